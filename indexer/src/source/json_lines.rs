//! JSON Lines: one object a line.

use std::io::{BufRead, BufReader, Read};

use super::{MAX_LINE_BYTES, Mapping, SourceError, SourceRow};

pub struct JsonLines {
    input: BufReader<Box<dyn Read>>,
    mapping: Mapping,
    line: u64,
}

impl JsonLines {
    pub fn new(input: BufReader<Box<dyn Read>>, mapping: Mapping) -> Self {
        Self { input, mapping, line: 0 }
    }

    fn read_line(&mut self) -> Result<Option<Vec<u8>>, SourceError> {
        let line = self.line + 1;
        let fault = |reason: String| SourceError::Read { line, reason };
        let mut bytes = Vec::new();
        let mut limited = (&mut self.input).take(MAX_LINE_BYTES as u64 + 1);
        if limited.read_until(b'\n', &mut bytes).map_err(|error| fault(error.to_string()))? == 0 {
            return Ok(None);
        }
        self.line = line;
        if bytes.len() > MAX_LINE_BYTES {
            return Err(fault(format!("is longer than {MAX_LINE_BYTES} bytes: is this JSON Lines?")));
        }
        Ok(Some(bytes))
    }
}

impl Iterator for JsonLines {
    type Item = Result<SourceRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = match self.read_line() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            // A byte order mark is no part of the first row.
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii();
            if bytes.is_empty() {
                continue;
            }
            let row = serde_json::from_slice(bytes).map_err(|error| format!("is no JSON object: {error}"));
            let text = String::from_utf8_lossy(bytes).into_owned();
            return Some(Ok(SourceRow::new(self.line, text, row.map(|row| self.mapping.apply(row)))));
        }
    }
}
