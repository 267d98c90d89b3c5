//! JSON Lines: one object a line.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use super::{MAX_LINE_BYTES, Mapping, Row, SourceError, SourceRow, UnreadRow};

pub struct JsonLines {
    input: BufReader<Box<dyn Read>>,
    mapping: Arc<Mapping>,
    line: u64,
}

impl JsonLines {
    pub fn new(input: BufReader<Box<dyn Read>>, mapping: Mapping) -> Self {
        Self { input, mapping: Arc::new(mapping), line: 0 }
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
    type Item = Result<UnreadRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = match self.read_line() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            let text = text_of(&bytes);
            if text.is_empty() {
                continue;
            }
            // Whatever lay behind it is gone as well, which must not count as one bad row.
            let is_ended = bytes.ends_with(b"\n");
            if !is_ended && serde_json::from_slice::<Row>(text).is_err_and(|error| error.is_eof()) {
                let reason = "the last line ends within its JSON: is the file cut off?".to_owned();
                return Some(Err(SourceError::Read { line: self.line, reason }));
            }
            let (line, mapping) = (self.line, self.mapping.clone());
            return Some(Ok(UnreadRow::new(bytes.len(), move || row_of(line, &bytes, &mapping))));
        }
    }
}

/// A line without what surrounds it. A byte order mark is no part of the first row.
fn text_of(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

fn row_of(line: u64, bytes: &[u8], mapping: &Mapping) -> SourceRow {
    let bytes = text_of(bytes);
    let row = serde_json::from_slice(bytes).map_err(|error| format!("is no JSON object: {error}"));
    let text = String::from_utf8_lossy(bytes).into_owned();
    SourceRow::new(line, text, row.map(|row| mapping.apply(row)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<SourceRow, SourceError>> {
        let input: Box<dyn Read> = Box::new(Cursor::new(bytes.to_vec()));
        JsonLines::new(BufReader::new(input), Mapping::default()).map(|row| row.map(UnreadRow::read)).collect()
    }

    /// The last row of a file that is cut off was set aside like any bad row, and those behind it were gone.
    #[test]
    fn a_file_that_is_cut_off_in_a_row_fails() {
        let first = r#"{"id": "1", "title": "a"}"#;
        let last = r#"{"id": -1.5e3, "is": [true, null], "title": "\u00e9é", "attributes": {"a": "b"}}"#;
        let whole = format!("{first}\n{last}");
        let begins = first.len() + 1;
        for length in begins + 1..whole.len() {
            let fault = read(&whole.as_bytes()[..length]).into_iter().find_map(Result::err);
            let fault = fault.unwrap_or_else(|| panic!("{length} bytes are taken for whole")).to_string();
            assert_eq!(fault, "line 2: the last line ends within its JSON: is the file cut off?");
        }
        // Only the end of the line is missing, or the row is merely bad.
        for text in [whole, format!("{first}\n{{\"id\":\n"), format!("{first}\nno JSON"), format!("{first}\n[]")] {
            let rows = read(text.as_bytes());
            assert!(rows.len() == 2 && rows.iter().all(Result::is_ok), "{text:?}");
        }
    }
}
