//! Rows of a catalogue, whatever they are written in.

mod entities;
mod feed_xml;
mod json_lines;
mod mapping;
mod merchant;
mod separated;
mod sql;
mod xml;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use thiserror::Error;

pub use feed_xml::FeedXml;
pub use json_lines::JsonLines;
pub use mapping::{Mapping, MappingError};
pub use merchant::Merchant;
pub use separated::Separated;
pub use sql::SqlQuery;

/// A longer line ends the build, so that a file without line ends cannot exhaust memory.
pub const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// One row, as JSON: the shape that every source brings its rows into.
pub type Row = serde_json::Map<String, serde_json::Value>;

/// A row that could not be read, or one that could.
pub struct SourceRow {
    /// The line in the input on which the row begins, or its number in what a query gives, from 1.
    pub line: u64,
    /// The row as it was written, to be set aside if it is no product.
    pub text: String,
    pub row: Result<Row, String>,
    /// An item of a feed that is to be sold no longer: the row deletes it, and is no fault of the feed's.
    pub is_expired: bool,
}

impl SourceRow {
    fn new(line: u64, text: String, row: Result<Row, String>) -> Self {
        Self { line, text, row, is_expired: false }
    }

    fn of_item(line: u64, text: String, item: Result<merchant::ItemRow, String>) -> Self {
        let is_expired = item.as_ref().is_ok_and(|item| item.is_expired);
        Self { is_expired, ..Self::new(line, text, item.map(|item| item.row)) }
    }
}

/// A row of which the source knows where it ends, and no more: it can be read on another thread.
pub struct UnreadRow {
    size_bytes: usize,
    read: Box<dyn FnOnce() -> SourceRow + Send>,
}

impl UnreadRow {
    fn new(size_bytes: usize, read: impl FnOnce() -> SourceRow + Send + 'static) -> Self {
        Self { size_bytes, read: Box::new(read) }
    }

    /// How long it is as it was written.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub fn read(self) -> SourceRow {
        (self.read)()
    }
}

/// The input as a whole cannot be read on.
#[derive(Debug, Error)]
pub enum SourceError {
    #[error("{}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("line {line}: {reason}")]
    Read { line: u64, reason: String },
    #[error("{}: {reason}", path.display())]
    Unknown { path: PathBuf, reason: String },
    #[error("{0}")]
    Sql(String),
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// What a query is called where its rows are at fault.
pub(crate) const QUERY_NAME: &str = "sql";

/// Where rows come from.
#[derive(Clone, Debug)]
pub enum Input {
    /// A file, or standard input for `-`.
    File(PathBuf),
    Sql(SqlQuery),
}

impl Input {
    /// What it is called where its rows are at fault.
    pub fn name(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Sql(_) => Path::new(QUERY_NAME),
        }
    }
}

/// How the input is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Columns separated by commas, the first row names them.
    Csv,
    /// Columns separated by tabs, the first row names them.
    Tsv,
    /// A Google Merchant feed: TSV, RSS 2.0 or Atom 1.0.
    Google,
}

/// The rows of an input.
type Rows = Box<dyn Iterator<Item = Result<UnreadRow, SourceError>>>;

/// An input that is read once, row by row.
pub struct Source {
    rows: Rows,
    progress: Arc<AtomicU64>,
    size_bytes: Option<u64>,
}

impl Source {
    /// Opens a file, or standard input for `-`. Compression is recognised by its first bytes, the format by the
    /// file's name where it is not given.
    ///
    /// # Errors
    /// When the file cannot be opened, or its format is neither given nor told by its name.
    pub fn open(path: &Path, format: Option<Format>, mapping: Mapping) -> Result<Self, SourceError> {
        let from_stdin = path.as_os_str() == "-";
        let format = match format.or_else(|| format_of(path)) {
            Some(format) => format,
            None if from_stdin => Format::Jsonl,
            None => {
                let reason = "its name ends in none of .jsonl, .ndjson, .csv, .tsv, .xml, .rss and .atom \
                              (with .gz or .zst or not); give --format";
                return Err(SourceError::Unknown { path: path.to_owned(), reason: reason.to_owned() });
            }
        };
        let open_error = |source| SourceError::Open { path: path.to_owned(), source };
        let (input, size_bytes): (Box<dyn Read>, _) = match from_stdin {
            true => (Box::new(io::stdin()), None),
            false => {
                let file = File::open(path).map_err(open_error)?;
                let size = file.metadata().map_err(open_error)?.len();
                (Box::new(file), Some(size))
            }
        };
        let progress = Arc::new(AtomicU64::new(0));
        let counted = CountedRead { inner: input, count: progress.clone() };
        let text = decompress(counted).map_err(open_error)?;
        let rows: Rows = match format {
            Format::Jsonl => Box::new(JsonLines::new(text, mapping)),
            Format::Csv => Box::new(Separated::new(text, b',', mapping)?),
            Format::Tsv => Box::new(Separated::new(text, b'\t', mapping)?),
            Format::Google => feed(text, path, Merchant::new(mapping, Timestamp::now()))?,
        };
        Ok(Self { rows, progress, size_bytes })
    }

    /// Opens an input of either kind.
    ///
    /// # Errors
    /// As [`Source::open`] and [`Source::sql`].
    pub fn of(input: &Input, format: Option<Format>, mapping: Mapping) -> Result<Self, SourceError> {
        match input {
            Input::File(path) => Self::open(path, format, mapping),
            Input::Sql(query) => Self::sql(query, mapping),
        }
    }

    /// Asks a database. Whether it answers shows with the first row.
    ///
    /// # Errors
    /// When nothing can be asked at all.
    pub fn sql(query: &SqlQuery, mapping: Mapping) -> Result<Self, SourceError> {
        let progress = Arc::new(AtomicU64::new(0));
        let rows = sql::SqlRows::ask(query, mapping, progress.clone())?;
        Ok(Self { rows: Box::new(rows), progress, size_bytes: None })
    }

    /// The next row, for whoever has other threads to read it.
    pub(crate) fn next_unread(&mut self) -> Option<Result<UnreadRow, SourceError>> {
        self.rows.next()
    }

    /// How many bytes there are to read, where that is known.
    pub fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// How many bytes of the input have been read, before any decompression.
    pub fn position(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }
}

impl Iterator for Source {
    type Item = Result<SourceRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_unread().map(|row| row.map(UnreadRow::read))
    }
}

fn format_of(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    match name.rsplit('.').next()? {
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "csv" => Some(Format::Csv),
        "tsv" => Some(Format::Tsv),
        "xml" | "rss" | "atom" => Some(Format::Google),
        _ => None,
    }
}

/// Undoes gzip or zstd where the first bytes announce them.
fn decompress(mut input: impl Read + 'static) -> io::Result<BufReader<Box<dyn Read>>> {
    let mut start = Vec::new();
    input.by_ref().take(4).read_to_end(&mut start)?;
    let all = io::Cursor::new(start.clone()).chain(input);
    let text: Box<dyn Read> = match start.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(all)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(all)?),
        _ => Box::new(all),
    };
    Ok(BufReader::with_capacity(256 * 1024, text))
}

/// How much of a feed is looked at to tell XML from TSV.
const SNIFF_BYTES: u64 = 1024;

/// A merchant feed: what begins with `<` is XML.
fn feed(mut input: BufReader<Box<dyn Read>>, path: &Path, merchant: Merchant) -> Result<Rows, SourceError> {
    let mut start = Vec::new();
    let read = input.by_ref().take(SNIFF_BYTES).read_to_end(&mut start);
    read.map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
    let unknown = |reason: &str| SourceError::Unknown { path: path.to_owned(), reason: reason.to_owned() };
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(unknown("is UTF-16, and only UTF-8 is read"));
    }
    let shown = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start);
    let first = shown.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
    let all: Box<dyn Read> = Box::new(io::Cursor::new(start).chain(input));
    let all = BufReader::with_capacity(256 * 1024, all);
    match first {
        Some(b'<') => Ok(Box::new(FeedXml::new(all, merchant))),
        Some(_) => Ok(Box::new(Separated::of_merchant(all, merchant)?)),
        // An empty file is what is left of a feed that could not be written.
        None => Err(unknown("is empty: a feed has at least the names of its columns")),
    }
}

struct CountedRead<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for CountedRead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
