//! The container of a segment: named, aligned sections behind one header, with a table of contents at the end, so
//! that gigabytes can be written in one pass.
//!
//! ```text
//! header   64 bytes: magic, format version (u32), zeros
//! sections each aligned to 64 bytes
//! table    per section: name length (u16), name, offset (u64), length (u64)
//! footer   32 bytes: table offset (u64), table length (u64), section count (u32), format version (u32), magic
//! ```
//! All integers are little-endian.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use crate::error::Error;
use crate::manifest::{FORMAT_VERSION, check_format_version};

const MAGIC: &[u8; 8] = b"VITRSEGM";
const HEADER_BYTES: usize = 64;
const FOOTER_BYTES: usize = 32;
const ALIGNMENT: u64 = 64;
const MAX_SECTIONS: usize = 1_024;

/// Writes the sections of a segment one after another.
pub struct SectionWriter<W: Write> {
    out: W,
    position: u64,
    finished: Vec<(String, u64, u64)>,
    open: Option<(String, u64)>,
}

impl<W: Write> SectionWriter<W> {
    /// # Errors
    /// When writing fails, here and below.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, position: 0, finished: Vec::new(), open: None };
        writer.write_raw(MAGIC)?;
        writer.write_raw(&FORMAT_VERSION.to_le_bytes())?;
        writer.write_raw(&[0; HEADER_BYTES - 12])?;
        Ok(writer)
    }

    /// Starts a section; what [`Write`] receives until the next call belongs to it.
    pub fn begin(&mut self, name: &str) -> io::Result<()> {
        self.end();
        let padding = self.position.next_multiple_of(ALIGNMENT) - self.position;
        self.write_raw(&[0; ALIGNMENT as usize][..padding as usize])?;
        self.open = Some((name.to_owned(), self.position));
        Ok(())
    }

    pub fn section(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin(name)?;
        self.write_raw(bytes)
    }

    /// Writes the table of contents and gives back the writer below.
    pub fn finish(mut self) -> io::Result<W> {
        self.end();
        let table_offset = self.position;
        let finished = std::mem::take(&mut self.finished);
        for (name, offset, length) in &finished {
            self.write_raw(&(name.len() as u16).to_le_bytes())?;
            self.write_raw(name.as_bytes())?;
            self.write_raw(&offset.to_le_bytes())?;
            self.write_raw(&length.to_le_bytes())?;
        }
        let table_bytes = self.position - table_offset;
        let count = finished.len() as u32;
        self.write_raw(&table_offset.to_le_bytes())?;
        self.write_raw(&table_bytes.to_le_bytes())?;
        self.write_raw(&count.to_le_bytes())?;
        self.write_raw(&FORMAT_VERSION.to_le_bytes())?;
        self.write_raw(MAGIC)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end(&mut self) {
        if let Some((name, start)) = self.open.take() {
            self.finished.push((name, start, self.position - start));
        }
    }

    fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

impl<W: Write> Write for SectionWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads the table of contents: where each section lies in `bytes`.
///
/// # Errors
/// When the bytes are no segment, are cut short, or have a newer format.
pub(super) fn read_table(bytes: &[u8]) -> Result<BTreeMap<String, Range<usize>>, Error> {
    let corrupt = |reason: &str| Error::corrupt("segment", reason);
    if bytes.len() < HEADER_BYTES + FOOTER_BYTES || &bytes[..8] != MAGIC {
        return Err(corrupt("it does not begin like a segment"));
    }
    let version = u32_at(bytes, 8);
    check_format_version("segment", version)?;
    let footer = &bytes[bytes.len() - FOOTER_BYTES..];
    if &footer[24..] != MAGIC || u32_at(footer, 20) != version {
        return Err(corrupt("its end is missing"));
    }
    let (table_offset, table_bytes) = (u64_at(footer, 0), u64_at(footer, 8));
    let count = u32_at(footer, 16) as usize;
    let body_end = (bytes.len() - FOOTER_BYTES) as u64;
    if count > MAX_SECTIONS || table_offset.checked_add(table_bytes) != Some(body_end) {
        return Err(corrupt("its table of contents lies outside of it"));
    }
    let mut table = &bytes[table_offset as usize..body_end as usize];
    let mut sections = BTreeMap::new();
    for _ in 0..count {
        let entry = read_entry(&mut table).ok_or_else(|| corrupt("its table of contents is cut short"))?;
        let (name, offset, length) = entry;
        let end = offset.checked_add(length).filter(|end| *end <= table_offset);
        let end = end.ok_or_else(|| corrupt("a section lies outside of it"))?;
        if offset % ALIGNMENT != 0 || sections.insert(name, offset as usize..end as usize).is_some() {
            return Err(corrupt("a section is misplaced or stands twice"));
        }
    }
    Ok(sections)
}

fn read_entry(table: &mut &[u8]) -> Option<(String, u64, u64)> {
    let (length, rest) = table.split_at_checked(2)?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([length[0], length[1]])))?;
    let (numbers, rest) = rest.split_at_checked(16)?;
    *table = rest;
    Some((String::from_utf8(name.to_vec()).ok()?, u64_at(numbers, 0), u64_at(numbers, 8)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = SectionWriter::new(Vec::new()).expect("a vector takes all");
        writer.section("a", b"first").expect("a vector takes all");
        writer.begin("b").expect("a vector takes all");
        writer.write_all(&[7; 100]).expect("a vector takes all");
        writer.section("empty", b"").expect("a vector takes all");
        writer.finish().expect("a vector takes all")
    }

    #[test]
    fn sections_are_found_again() {
        let bytes = sample();
        let table = read_table(&bytes).expect("a whole segment");
        assert_eq!(&bytes[table["a"].clone()], b"first");
        assert_eq!(&bytes[table["b"].clone()], &[7; 100]);
        assert!(table["empty"].is_empty());
        assert!(table.values().all(|range| range.start % 64 == 0));
    }

    #[test]
    fn hostile_bytes_are_refused_without_a_panic() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(read_table(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                // Any answer will do, so long as it is one and all ranges lie inside.
                if let Ok(table) = read_table(&flipped) {
                    assert!(table.values().all(|range| range.end <= flipped.len()));
                }
            }
        }
    }

    #[test]
    fn another_format_is_named() {
        let mut bytes = sample();
        bytes[8] = FORMAT_VERSION as u8 + 1;
        let error = read_table(&bytes).expect_err("a newer format").to_string();
        assert!(error.contains("a newer build is needed"), "{error}");
        bytes[8] = 1;
        let error = read_table(&bytes).expect_err("an older format").to_string();
        assert!(error.contains("format version 1") && error.contains("build the snapshot again"), "{error}");
    }
}
