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
            let is_ended = bytes.ends_with(b"\n");
            // A byte order mark is no part of the first row.
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii();
            if bytes.is_empty() {
                continue;
            }
            let row = match serde_json::from_slice(bytes) {
                // Whatever lay behind it is gone as well, which must not count as one bad row.
                Err(error) if error.is_eof() && !is_ended => {
                    let reason = "the last line ends within its JSON: is the file cut off?".to_owned();
                    return Some(Err(SourceError::Read { line: self.line, reason }));
                }
                Err(error) => Err(format!("is no JSON object: {error}")),
                Ok(row) => Ok(self.mapping.apply(row)),
            };
            let text = String::from_utf8_lossy(bytes).into_owned();
            return Some(Ok(SourceRow::new(self.line, text, row)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<SourceRow, SourceError>> {
        let input: Box<dyn Read> = Box::new(Cursor::new(bytes.to_vec()));
        JsonLines::new(BufReader::new(input), Mapping::default()).collect()
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
