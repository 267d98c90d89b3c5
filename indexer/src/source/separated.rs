//! CSV and TSV: the first row names the columns.

use std::cell::Cell;
use std::io::{BufReader, Read};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::merchant::{FeedItem, ItemRow, WITHHELD, add_cell, attribute_name, is_secret};
use super::{MAX_LINE_BYTES, Mapping, Merchant, SourceError, SourceRow, UnreadRow};

pub struct Separated {
    reader: csv::Reader<BoundedRead>,
    read: Rc<ReadState>,
    columns: Arc<Columns>,
    record: csv::ByteRecord,
}

/// What makes a row of a record.
struct Columns {
    names: csv::StringRecord,
    naming: Naming,
    separator: u8,
}

/// Who knows what the columns are.
enum Naming {
    Columns(Mapping),
    Merchant(Merchant),
}

/// Fails when a row grows without end: a quote that is never closed would swallow the rest of the file.
struct BoundedRead {
    inner: Box<dyn Read>,
    state: Rc<ReadState>,
}

#[derive(Default)]
struct ReadState {
    /// What was read since the last row began.
    unread_bytes: Cell<usize>,
    last_byte: Cell<u8>,
    /// Whether the first line ends in a carriage return and a line feed; None before its end.
    has_cr: Cell<Option<bool>>,
    has_ended: Cell<bool>,
}

impl ReadState {
    fn take_note(&self, bytes: &[u8]) {
        if self.has_cr.get().is_none()
            && let Some(end) = bytes.iter().position(|byte| *byte == b'\n')
        {
            let before = bytes[..end].last().copied().unwrap_or(self.last_byte.get());
            self.has_cr.set(Some(before == b'\r'));
        }
        self.unread_bytes.set(self.unread_bytes.get() + bytes.len());
        self.has_ended.set(bytes.is_empty());
        self.last_byte.set(bytes.last().copied().unwrap_or(self.last_byte.get()));
    }
}

/// A byte order mark is no part of the first cell. It goes before that is parsed, which may begin with a quote.
fn without_mark(mut input: BufReader<Box<dyn Read>>) -> std::io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    input.by_ref().take(3).read_to_end(&mut start)?;
    if start == b"\xef\xbb\xbf" {
        start.clear();
    }
    Ok(Box::new(std::io::Cursor::new(start).chain(input)))
}

impl Read for BoundedRead {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.state.unread_bytes.get() > MAX_LINE_BYTES {
            let reason = format!("a row is longer than {MAX_LINE_BYTES} bytes: is a quote not closed?");
            return Err(std::io::Error::other(reason));
        }
        let count = self.inner.read(buffer)?;
        self.state.take_note(&buffer[..count]);
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
        let fault = |reason: String| SourceError::Read { line: 1, reason };
        let read = Rc::new(ReadState::default());
        let inner = without_mark(input).map_err(|error| fault(error.to_string()))?;
        let input = BoundedRead { inner, state: read.clone() };
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(input);
        let mut names = reader.headers().map_err(|error| fault(error.to_string()))?.clone();
        let mapping = match &naming {
            Naming::Columns(mapping) => mapping,
            Naming::Merchant(merchant) => {
                names = names.iter().map(attribute_name).collect();
                merchant.mapping()
            }
        };
        mapping.check_columns(names.iter())?;
        let columns = Arc::new(Columns { names, naming, separator });
        Ok(Self { reader, read, columns, record: csv::ByteRecord::new() })
    }

    /// The line that the row begins on which was read last, counted back from where the parser is: what it says of the
    /// beginning counts empty lines before the row as a part of it.
    fn line(&self, inner_ends: u64) -> u64 {
        // A row that ends the input has no end of its own. Of an end of two bytes the parser leaves one to the next.
        let own_end = u64::from(self.read.has_cr.get() != Some(true) && !self.read.has_ended.get());
        self.reader.position().line().saturating_sub(inner_ends + own_end)
    }

    /// Whether the input has ended in a cell with lines of its own, which must be in quotes, and without a quote: all
    /// rows from the one on that opened it are in this cell.
    fn ends_within_quotes(&self) -> bool {
        let has_lines = self.record.iter().next_back().is_some_and(|cell| cell.contains(&b'\n'));
        has_lines && self.read.has_ended.get() && self.read.last_byte.get() != b'"'
    }

    /// Whether the input has ended within the row. Where all columns are there, many programs leave out the last line's
    /// end, and nothing tells whether the last cell is whole.
    fn ends_within_row(&self) -> bool {
        self.read.has_ended.get() && self.record.len() < self.columns.names.len()
    }

    /// Takes the record that was read last.
    fn unread(&mut self, line: u64) -> UnreadRow {
        let (size_bytes, cells) = (self.record.as_slice().len(), self.record.len());
        // The next one is most likely as long.
        let next = csv::ByteRecord::with_capacity(size_bytes, cells);
        let (record, columns) = (std::mem::replace(&mut self.record, next), self.columns.clone());
        UnreadRow::new(size_bytes, move || SourceRow::of_item(line, columns.text(&record), columns.row(&record)))
    }
}

impl Columns {
    fn row(&self, record: &csv::ByteRecord) -> Result<ItemRow, String> {
        if record.len() != self.names.len() {
            return Err(format!("has {} columns, the first row has {}", record.len(), self.names.len()));
        }
        let mut cells = Vec::with_capacity(self.names.len());
        for (name, value) in self.names.iter().zip(record) {
            let value = std::str::from_utf8(value).map_err(|_| format!("column '{name}' is not UTF-8"))?;
            if !value.is_empty() {
                cells.push((name, value));
            }
        }
        match &self.naming {
            Naming::Columns(mapping) => {
                let row = cells.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())));
                Ok(ItemRow { row: mapping.apply(row.collect()), is_expired: false })
            }
            Naming::Merchant(merchant) => {
                let mut item = FeedItem::default();
                cells.into_iter().for_each(|(name, value)| add_cell(&mut item, name, value));
                merchant.row(item)
            }
        }
    }

    fn text(&self, record: &csv::ByteRecord) -> String {
        if matches!(self.naming, Naming::Merchant(_)) && self.names.iter().any(is_secret) {
            return WITHHELD.to_owned();
        }
        let cells = record.iter().map(String::from_utf8_lossy);
        cells.collect::<Vec<_>>().join(&char::from(self.separator).to_string())
    }
}

impl Iterator for Separated {
    type Item = Result<UnreadRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let started = self.reader.position().line();
        self.read.unread_bytes.set(0);
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => {
                let inner_ends = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
                let line = self.line(inner_ends);
                // One stray quote makes one row of many, which must count neither as one bad row nor as one product.
                let is_many = inner_ends > 0 && self.record.len() != self.columns.names.len();
                if is_many || self.ends_within_quotes() {
                    let lines = inner_ends + 1;
                    let reason = format!("a row begins here and runs over {lines} lines: is a quote not closed?");
                    return Some(Err(SourceError::Read { line, reason }));
                }
                if self.ends_within_row() {
                    let (has, wanted) = (self.record.len(), self.columns.names.len());
                    let reason = format!("the last row has {has} of {wanted} columns and no end: is the file cut off?");
                    return Some(Err(SourceError::Read { line, reason }));
                }
                Some(Ok(self.unread(line)))
            }
            Err(error) => {
                let line = error.position().map_or(started, csv::Position::line);
                Some(Err(SourceError::Read { line, reason: error.to_string() }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(text: &str) -> Vec<Result<SourceRow, SourceError>> {
        // As files come, whose first bytes are looked at before.
        let (start, rest) = text.as_bytes().split_at(text.len().min(4));
        let input: Box<dyn Read> = Box::new(Cursor::new(start.to_vec()).chain(Cursor::new(rest.to_vec())));
        let rows = Separated::new(BufReader::new(input), b',', Mapping::default());
        rows.expect("names of columns").map(|row| row.map(UnreadRow::read)).collect()
    }

    #[test]
    fn rows_are_told_by_the_line_that_they_begin_on() {
        let check = |text: &str, expected: &[u64]| {
            for text in [text.to_owned(), text.replace('\n', "\r\n")] {
                let lines: Vec<u64> = read(&text).into_iter().map(|row| row.expect("a row").line).collect();
                assert_eq!(lines, expected, "{text:?}");
            }
        };
        check("id,title\n1,a\n2,b\n", &[2, 3]);
        check("id,title\n1,a\n2,b", &[2, 3]);
        check("id,title\n\n\n1,a\n\n2,b\n\n", &[4, 6]);
        check("id,title\n1,\"a\n\nb\"\n2,\"c\nd\"", &[2, 5]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_quoted_name() {
        for text in ["\u{feff}\"id\",\"title\"\n7,a\n", "\u{feff}id,title\n7,a\n", "id,title\n7,a\n"] {
            let rows: Vec<SourceRow> = read(text).into_iter().map(|row| row.expect("a row")).collect();
            let row = rows[0].row.as_ref().expect("a row");
            assert_eq!(row.get("id"), Some(&Value::String("7".to_owned())), "{text:?}");
        }
    }

    #[test]
    fn empty_lines_before_a_bad_row_are_no_unclosed_quote() {
        let rows = read("id,title\n\n\n1,a,b\n2,c\n");
        let rows: Vec<SourceRow> = rows.into_iter().map(|row| row.expect("the input can be read")).collect();
        assert_eq!(rows[0].row, Err("has 3 columns, the first row has 2".to_owned()));
        assert!(rows[1].row.is_ok());
    }

    #[test]
    fn a_stray_quote_swallows_no_rows() {
        let check = |text: &str, expected: &str| {
            let fault = read(text).into_iter().find_map(Result::err).expect(text).to_string();
            assert!(fault.contains(expected), "{fault}");
        };
        check("id,title\n1,a\n\"2,b\n3,c\n", "line 3: a row begins here and runs over 3 lines");
        // In the last column, it leaves as many columns as there should be.
        check("id,title\n1,\"a\n2,b\n3,c\n", "line 2: a row begins here and runs over 4 lines");
        check("id,title\n1,\"a\n2,b\n3,c", "line 2: a row begins here and runs over 3 lines");
    }

    /// The last row of a file that is cut off was set aside like any bad row, and those behind it were gone.
    #[test]
    fn a_file_that_is_cut_off_in_a_row_fails() {
        let whole = "id,title,link\n1,a,x\n2,b,y";
        for length in whole.len() - 4..whole.len() - 1 {
            let fault = read(&whole[..length]).into_iter().find_map(Result::err).expect("a fault").to_string();
            assert!(fault.starts_with("line 3: the last row has ") && fault.contains("cut off?"), "{fault}");
        }
        // Only the end of the line is missing, or the row is merely bad.
        for text in [whole, "id,title,link\n1,a,x\n2\n", "id,title,link\n1,a,x\n2\r\n"] {
            let rows: Vec<SourceRow> = read(text).into_iter().map(|row| row.expect("the input can be read")).collect();
            assert_eq!(rows.len(), 2, "{text:?}");
        }
    }

    #[test]
    fn a_row_of_several_lines_can_be_bad_like_any_other() {
        let text = "id\tdescription\tsale_price\tsale_price_effective_date\n1\t\"a\nb\"\t5\tsoon\n2\tc\t5\t\n";
        let input: Box<dyn Read> = Box::new(Cursor::new(text));
        let merchant = Merchant::new(Mapping::default(), "2026-03-01T12:00:00Z".parse().expect("a time"));
        let rows = Separated::of_merchant(BufReader::new(input), merchant).expect("a feed");
        let rows: Vec<SourceRow> = rows.map(|row| row.expect("the input can be read").read()).collect();
        assert!(rows[0].row.as_ref().expect_err("no time").contains("sale_price_effective_date"));
        assert!(rows[1].row.is_ok());
    }
}
