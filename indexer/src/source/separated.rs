//! CSV and TSV: the first row names the columns.

use std::io::{BufReader, Read};

use serde_json::Value;

use super::{MAX_LINE_BYTES, Mapping, Row, SourceError, SourceRow};

pub struct Separated {
    reader: csv::Reader<BufReader<Box<dyn Read>>>,
    columns: csv::StringRecord,
    mapping: Mapping,
    separator: u8,
    record: csv::ByteRecord,
}

impl Separated {
    /// # Errors
    /// When the first row cannot be read, or the mapping names a column that is not there.
    pub fn new(input: BufReader<Box<dyn Read>>, separator: u8, mapping: Mapping) -> Result<Self, SourceError> {
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(input);
        let fault = |error: csv::Error| SourceError::Read { line: 1, reason: error.to_string() };
        let mut columns = reader.headers().map_err(fault)?.clone();
        if let Some(first) = columns.get(0).and_then(|first| first.strip_prefix('\u{feff}')) {
            let rest = columns.iter().skip(1);
            columns = std::iter::once(first).chain(rest).collect();
        }
        mapping.check_columns(columns.iter())?;
        Ok(Self { reader, columns, mapping, separator, record: csv::ByteRecord::new() })
    }

    fn row(&self) -> Result<Row, String> {
        if self.record.len() != self.columns.len() {
            return Err(format!("has {} columns, the first row has {}", self.record.len(), self.columns.len()));
        }
        let mut row = Row::new();
        for (name, value) in self.columns.iter().zip(&self.record) {
            let value = std::str::from_utf8(value).map_err(|_| format!("column '{name}' is not UTF-8"))?;
            if !value.is_empty() {
                row.insert(name.to_owned(), Value::String(value.to_owned()));
            }
        }
        Ok(self.mapping.apply(row))
    }
}

impl Iterator for Separated {
    type Item = Result<SourceRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let line = self.record.position().map_or(0, csv::Position::line);
                let cells = self.record.iter().map(String::from_utf8_lossy);
                let text = cells.collect::<Vec<_>>().join(&char::from(self.separator).to_string());
                let row = match self.record.as_slice().len() > MAX_LINE_BYTES {
                    true => Err(format!("is longer than {MAX_LINE_BYTES} bytes")),
                    false => self.row(),
                };
                Some(Ok(SourceRow { line, text, row }))
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                Some(Err(SourceError::Read { line, reason: error.to_string() }))
            }
        }
    }
}
