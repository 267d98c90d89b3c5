//! CSV and TSV: the first row names the columns.

use std::cell::Cell;
use std::io::{BufReader, Read};
use std::rc::Rc;

use jiff::Timestamp;
use serde_json::Value;

use super::merchant;
use super::{MAX_LINE_BYTES, Mapping, Row, SourceError, SourceRow};

pub struct Separated {
    reader: csv::Reader<BoundedRead>,
    /// What was read since the last row began.
    unread_bytes: Rc<Cell<usize>>,
    columns: csv::StringRecord,
    mapping: Mapping,
    separator: u8,
    /// In a feed for merchants: the moment at which its prices hold.
    feed_at: Option<Timestamp>,
    record: csv::ByteRecord,
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
        let separated = Self::open(input, separator)?;
        mapping.check_columns(separated.columns.iter())?;
        Ok(Self { mapping, ..separated })
    }

    fn open(input: BufReader<Box<dyn Read>>, separator: u8) -> Result<Self, SourceError> {
        let unread_bytes = Rc::new(Cell::new(0));
        let input = BoundedRead { inner: input, unread_bytes: unread_bytes.clone() };
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(input);
        let fault = |error: csv::Error| SourceError::Read { line: 1, reason: error.to_string() };
        let mut columns = reader.headers().map_err(fault)?.clone();
        if let Some(first) = columns.get(0).and_then(|first| first.strip_prefix('\u{feff}')) {
            let rest = columns.iter().skip(1);
            columns = std::iter::once(first).chain(rest).collect();
        }
        let (mapping, record) = (Mapping::default(), csv::ByteRecord::new());
        Ok(Self { reader, unread_bytes, columns, mapping, separator, feed_at: None, record })
    }

    /// A Google Merchant feed in columns, whose names may be written in several ways.
    ///
    /// # Errors
    /// As [`Separated::new`].
    pub fn feed(input: BufReader<Box<dyn Read>>, mapping: Mapping, now: Timestamp) -> Result<Self, SourceError> {
        let mut feed = Self::open(input, b'\t')?;
        feed.columns = feed.columns.iter().map(merchant::plain_name).collect();
        mapping.check_columns(feed.columns.iter())?;
        Ok(Self { mapping, feed_at: Some(now), ..feed })
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
        match self.feed_at {
            Some(now) => merchant::row(row, &self.mapping, now),
            None => Ok(self.mapping.apply(row)),
        }
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
                let cells = self.record.iter().map(String::from_utf8_lossy);
                let text = cells.collect::<Vec<_>>().join(&char::from(self.separator).to_string());
                Some(Ok(SourceRow { line, text, row }))
            }
            Err(error) => {
                let line = error.position().map_or(started, csv::Position::line);
                Some(Err(SourceError::Read { line, reason: error.to_string() }))
            }
        }
    }
}
