//! CSV and TSV: the first row names the columns.

use std::cell::Cell;
use std::io::{BufReader, Read};
use std::rc::Rc;

use serde_json::Value;

use super::merchant::{FeedItem, WITHHELD, add_cell, attribute_name, is_secret};
use super::{MAX_LINE_BYTES, Mapping, Merchant, Row, SourceError, SourceRow};

pub struct Separated {
    reader: csv::Reader<BoundedRead>,
    /// What was read since the last row began.
    unread_bytes: Rc<Cell<usize>>,
    columns: csv::StringRecord,
    naming: Naming,
    separator: u8,
    record: csv::ByteRecord,
}

/// Who knows what the columns are.
enum Naming {
    Columns(Mapping),
    Merchant(Merchant),
}

/// Fails when a row grows without end: a quote that is never closed would swallow the rest of the file.
struct BoundedRead {
    inner: BufReader<Box<dyn Read>>,
    unread_bytes: Rc<Cell<usize>>,
}

impl Read for BoundedRead {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.unread_bytes.get() > MAX_LINE_BYTES {
            let reason = format!("a row is longer than {MAX_LINE_BYTES} bytes: is a quote not closed?");
            return Err(std::io::Error::other(reason));
        }
        let count = self.inner.read(buffer)?;
        self.unread_bytes.set(self.unread_bytes.get() + count);
        Ok(count)
    }
}

impl Separated {
    /// # Errors
    /// When the first row cannot be read, or the mapping names a column that is not there.
    pub fn new(input: BufReader<Box<dyn Read>>, separator: u8, mapping: Mapping) -> Result<Self, SourceError> {
        Self::open(input, separator, Naming::Columns(mapping))
    }

    /// A merchant feed as a TSV. A quote in the middle of a cell is one of its letters, which many feeds rely on.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_merchant(input: BufReader<Box<dyn Read>>, merchant: Merchant) -> Result<Self, SourceError> {
        Self::open(input, b'\t', Naming::Merchant(merchant))
    }

    fn open(input: BufReader<Box<dyn Read>>, separator: u8, naming: Naming) -> Result<Self, SourceError> {
        let unread_bytes = Rc::new(Cell::new(0));
        let input = BoundedRead { inner: input, unread_bytes: unread_bytes.clone() };
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(input);
        let fault = |error: csv::Error| SourceError::Read { line: 1, reason: error.to_string() };
        let mut columns = reader.headers().map_err(fault)?.clone();
        if let Some(first) = columns.get(0).and_then(|first| first.strip_prefix('\u{feff}')) {
            let rest = columns.iter().skip(1);
            columns = std::iter::once(first).chain(rest).collect();
        }
        let mapping = match &naming {
            Naming::Columns(mapping) => mapping,
            Naming::Merchant(merchant) => {
                columns = columns.iter().map(attribute_name).collect();
                merchant.mapping()
            }
        };
        mapping.check_columns(columns.iter())?;
        Ok(Self { reader, unread_bytes, columns, naming, separator, record: csv::ByteRecord::new() })
    }

    fn row(&self) -> Result<Row, String> {
        if self.record.len() != self.columns.len() {
            return Err(format!("has {} columns, the first row has {}", self.record.len(), self.columns.len()));
        }
        let mut cells = Vec::with_capacity(self.columns.len());
        for (name, value) in self.columns.iter().zip(&self.record) {
            let value = std::str::from_utf8(value).map_err(|_| format!("column '{name}' is not UTF-8"))?;
            if !value.is_empty() {
                cells.push((name, value));
            }
        }
        match &self.naming {
            Naming::Columns(mapping) => {
                let row = cells.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())));
                Ok(mapping.apply(row.collect()))
            }
            Naming::Merchant(merchant) => {
                let mut item = FeedItem::default();
                cells.into_iter().for_each(|(name, value)| add_cell(&mut item, name, value));
                merchant.row(item)
            }
        }
    }

    fn text(&self) -> String {
        if matches!(self.naming, Naming::Merchant(_)) && self.columns.iter().any(is_secret) {
            return WITHHELD.to_owned();
        }
        let cells = self.record.iter().map(String::from_utf8_lossy);
        cells.collect::<Vec<_>>().join(&char::from(self.separator).to_string())
    }
}

impl Iterator for Separated {
    type Item = Result<SourceRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let started = self.reader.position().line();
        self.unread_bytes.set(0);
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let line = self.record.position().map_or(started, csv::Position::line);
                let lines = self.reader.position().line().saturating_sub(line);
                let row = self.row();
                // One stray quote makes one row of many, and they must not count as one that is set aside.
                if row.is_err() && lines > 1 {
                    let reason = format!("a row begins here and runs over {lines} lines: is a quote not closed?");
                    return Some(Err(SourceError::Read { line, reason }));
                }
                Some(Ok(SourceRow { line, text: self.text(), row }))
            }
            Err(error) => {
                let line = error.position().map_or(started, csv::Position::line);
                Some(Err(SourceError::Read { line, reason: error.to_string() }))
            }
        }
    }
}
