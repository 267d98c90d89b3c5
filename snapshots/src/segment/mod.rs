//! A segment: the products of one build in static-rank order, as records, columns, facet rows and a text index, in
//! one immutable object.
//!
//! A document's number is its place in every column, in the record table and in the text index.

mod hashes;
mod record;
mod sections;
mod unpack;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::AnyBitPattern;
use rkyv::rancor;
use serde::{Deserialize, Serialize};

pub use hashes::first_from_hash;
pub use record::{FragmentKey, RecordView};
pub use sections::SectionWriter;
pub use writer::{ColumnReport, SegmentWriter};

use crate::error::Error;
use crate::mapping::{Mapping, access_checked};
use record::ArchivedRecord;

/// What a number column holds where a product has no such number.
pub const ABSENT: i64 = i64::MIN;

#[cfg(target_endian = "big")]
compile_error!("segments are read in place, and they are little-endian");

/// A facet's values within a segment: a range of value ids, in the order of their text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetInfo {
    pub name: String,
    pub hierarchy: bool,
    pub first: u32,
    pub count: u32,
}

/// A number column, in units of ten to the power of minus its decimals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberInfo {
    pub name: String,
    pub decimals: u8,
}

impl FacetInfo {
    pub fn range(&self) -> Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// The key of a product id or a variant group in a table of hashes.
pub fn id_hash(text: &str) -> u64 {
    let digest = blake3::hash(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    // Zero means none where groups are stored.
    u64::from_le_bytes(first).max(1)
}

/// Whether what a segment holds besides products was found sound: known to all who open the same bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct TextProof(Arc<AtomicBool>);

/// An open segment. Cheap to clone.
#[derive(Clone)]
pub struct Segment {
    bytes: Mapping,
    text_proof: TextProof,
    product_count: usize,
    sections: BTreeMap<String, Range<usize>>,
    layout: Layout,
    /// The attributes' names as they stand in JSON, quoted and escaped.
    attribute_keys: Vec<String>,
    attribute_names: Vec<String>,
    numbers: HashMap<String, Range<usize>>,
    number_infos: Vec<NumberInfo>,
    facets: Vec<FacetInfo>,
}

/// Where the sections lie that every segment has.
#[derive(Clone)]
struct Layout {
    record_offsets: Range<usize>,
    records: Range<usize>,
    static_ranks: Range<usize>,
    groups: Range<usize>,
    id_hashes: Range<usize>,
    id_docs: Range<usize>,
    facet_value_offsets: Range<usize>,
    facet_value_bytes: Range<usize>,
    facet_row_offsets: Range<usize>,
    facet_rows: Range<usize>,
    facet_list_offsets: Range<usize>,
    facet_lists: Range<usize>,
}

impl Segment {
    /// Opens a segment whose content is known to be sound: its bytes passed [`Segment::check`] and their digest.
    ///
    /// # Errors
    /// When sections are missing or do not fit each other, or the format is newer.
    pub(crate) fn open(bytes: Mapping, text_proof: TextProof) -> Result<Self, Error> {
        let sections = sections::read_table(&bytes)?;
        let find = |name: &str| {
            let missing = || Error::corrupt("segment", format!("it has no section '{name}'"));
            sections.get(name).cloned().ok_or_else(missing)
        };
        let layout = Layout {
            record_offsets: find("record_offsets")?,
            records: find("records")?,
            static_ranks: find("static_ranks")?,
            groups: find("groups")?,
            id_hashes: find("id_hashes")?,
            id_docs: find("id_docs")?,
            facet_value_offsets: find("facet_value_offsets")?,
            facet_value_bytes: find("facet_value_bytes")?,
            facet_row_offsets: find("facet_row_offsets")?,
            facet_rows: find("facet_rows")?,
            facet_list_offsets: find("facet_list_offsets")?,
            facet_lists: find("facet_lists")?,
        };
        let names: Vec<String> = serde_json::from_slice(&bytes[find("attribute_names")?])
            .map_err(|error| Error::corrupt("attribute names", error))?;
        let facets = serde_json::from_slice(&bytes[find("facets")?]);
        let number_infos = serde_json::from_slice(&bytes[find("numbers")?]);
        let numbers = sections.iter().filter_map(|(name, range)| Some((name.strip_prefix("number/")?, range)));
        let segment = Self {
            product_count: layout.static_ranks.len() / 4,
            layout,
            attribute_keys: names.iter().map(|name| record::json_text(name)).collect(),
            attribute_names: names,
            facets: facets.map_err(|error| Error::corrupt("facets", error))?,
            number_infos: number_infos.map_err(|error| Error::corrupt("numbers", error))?,
            numbers: numbers.map(|(name, range)| (name.to_owned(), range.clone())).collect(),
            sections,
            bytes,
            text_proof,
        };
        segment.check_lengths()?;
        Ok(segment)
    }

    /// How many products the segment was written with, live or not.
    pub fn product_count(&self) -> usize {
        self.product_count
    }

    pub fn record(&self, doc: u32) -> RecordView<'_> {
        let offsets = self.column::<u64>(&self.layout.record_offsets);
        let (start, end) = (offsets[doc as usize] as usize, offsets[doc as usize + 1] as usize);
        let records = &self.bytes[self.layout.records.clone()];
        // SAFETY: a Segment is only made of bytes that `check` has accepted record by record.
        RecordView(unsafe { access_checked::<ArchivedRecord>(records, start..end) })
    }

    /// The document with this product id.
    pub fn find(&self, id: &str) -> Option<u32> {
        let (hash, hashes) = (id_hash(id), self.column::<u64>(&self.layout.id_hashes));
        let place = first_from_hash(hashes, hash);
        if hashes.get(place) != Some(&hash) {
            return None;
        }
        let doc = self.column::<u32>(&self.layout.id_docs)[place];
        (self.record(doc).id() == id).then_some(doc)
    }

    /// The names of attributes by their numbers, quoted and escaped for JSON.
    pub fn attribute_keys(&self) -> &[String] {
        &self.attribute_keys
    }

    pub fn static_ranks(&self) -> &[u32] {
        self.column(&self.layout.static_ranks)
    }

    /// A hash of each document's variant group, 0 where it has none.
    pub fn groups(&self) -> &[u64] {
        self.column(&self.layout.groups)
    }

    /// The column of a number, [`ABSENT`] where a product has none.
    pub fn number(&self, name: &str) -> Option<&[i64]> {
        self.numbers.get(name).map(|range| self.column(range))
    }

    pub fn numbers(&self) -> &[NumberInfo] {
        &self.number_infos
    }

    pub fn facets(&self) -> &[FacetInfo] {
        &self.facets
    }

    pub fn facet(&self, name: &str) -> Option<&FacetInfo> {
        self.facets.iter().find(|facet| facet.name == name)
    }

    /// The text of a facet value.
    pub fn facet_value(&self, value: u32) -> &str {
        let offsets: &[u32] = self.column(&self.layout.facet_value_offsets);
        let bytes: &[u8] = self.column(&self.layout.facet_value_bytes);
        let text = &bytes[offsets[value as usize] as usize..offsets[value as usize + 1] as usize];
        // `check` has read it as UTF-8 before.
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// The id of a facet's value, by its text.
    pub fn find_facet_value(&self, facet: &FacetInfo, text: &str) -> Option<u32> {
        let (mut low, mut high) = (facet.first, facet.first + facet.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.facet_value(middle).cmp(text) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    pub fn facet_value_count(&self) -> usize {
        self.facets.last().map_or(0, |facet| facet.range().end)
    }

    /// Every document's facet values.
    pub fn facet_rows(&self) -> FacetRows<'_> {
        FacetRows { offsets: self.column(&self.layout.facet_row_offsets), values: self.column(&self.layout.facet_rows) }
    }

    /// The documents that have a facet value, rising.
    pub fn facet_list(&self, value: u32) -> &[u32] {
        let offsets: &[u32] = self.column(&self.layout.facet_list_offsets);
        let lists: &[u32] = self.column(&self.layout.facet_lists);
        &lists[offsets[value as usize] as usize..offsets[value as usize + 1] as usize]
    }

    /// Where a section of this name lies in [`Segment::bytes`]; it begins at a multiple of 64 bytes.
    pub fn section(&self, name: &str) -> Option<Range<usize>> {
        self.sections.get(name).cloned()
    }

    /// The sections whose names begin with `prefix`, by the rest of their name.
    pub fn sections_under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, Range<usize>)> + 'a {
        self.sections.iter().filter_map(move |(name, range)| Some((name.strip_prefix(prefix)?, range.clone())))
    }

    pub fn bytes(&self) -> &Mapping {
        &self.bytes
    }

    /// Checks what this crate does not read, unless that was done since the digest of the same bytes was proved.
    ///
    /// # Errors
    /// Those of the check, which is done again the next time.
    pub fn check_text_once<E>(&self, check: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        if !self.text_proof.0.load(Ordering::Relaxed) {
            check()?;
            self.text_proof.0.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn column<T: AnyBitPattern>(&self, range: &Range<usize>) -> &[T] {
        bytemuck::cast_slice(&self.bytes[range.clone()])
    }

    /// That every section is there with the length that the number of products asks for: after this, no column can
    /// be read past its end by a document's number.
    fn check_lengths(&self) -> Result<(), Error> {
        let count = self.product_count;
        let values = self.facet_value_count();
        let layout = &self.layout;
        let exact = [
            ("record_offsets", &layout.record_offsets, 8 * (count + 1)),
            ("static_ranks", &layout.static_ranks, 4 * count),
            ("groups", &layout.groups, 8 * count),
            ("id_hashes", &layout.id_hashes, 8 * count),
            ("id_docs", &layout.id_docs, 4 * count),
            ("facet_row_offsets", &layout.facet_row_offsets, 4 * (count + 1)),
            ("facet_value_offsets", &layout.facet_value_offsets, 4 * (values + 1)),
            ("facet_list_offsets", &layout.facet_list_offsets, 4 * (values + 1)),
            ("facet_rows", &layout.facet_rows, layout.facet_rows.len() / 4 * 4),
            ("facet_lists", &layout.facet_lists, layout.facet_rows.len()),
        ];
        for (name, range, length) in exact {
            if range.len() != length {
                return Err(Error::corrupt("segment", format!("section '{name}' has the wrong length")));
            }
        }
        if self.number_infos.iter().any(|info| !self.numbers.contains_key(&info.name)) {
            return Err(Error::corrupt("segment", "a number has no column"));
        }
        for (name, range) in &self.numbers {
            if range.len() != 8 * count {
                return Err(Error::corrupt("segment", format!("number column '{name}' has the wrong length")));
            }
        }
        Ok(())
    }

    /// Reads all of the segment once: that offsets rise and stay inside, records are sound archives, and numbers of
    /// documents and values exist. Done when an object arrives; its digest proves it from then on.
    ///
    /// # Errors
    /// Says which part is damaged.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let corrupt = |what: &str| Error::corrupt("segment", format!("{what} point outside of it"));
        self.check_facet_table()?;
        let values = self.facet_value_count();
        let rows = self.facet_rows();
        if !rises_to(rows.offsets, rows.values.len()) || rows.values.iter().any(|value| *value as usize >= values) {
            return Err(corrupt("facet rows"));
        }
        let lists: &[u32] = self.column(&self.layout.facet_lists);
        let outside = |doc: &u32| *doc as usize >= self.product_count;
        if !rises_to(self.column(&self.layout.facet_list_offsets), lists.len()) || lists.iter().any(outside) {
            return Err(corrupt("facet lists"));
        }
        if self.column::<u32>(&self.layout.id_docs).iter().any(outside) {
            return Err(corrupt("ids"));
        }
        let offsets = self.column::<u64>(&self.layout.record_offsets);
        let records = &self.bytes[self.layout.records.clone()];
        if offsets.first() != Some(&0) || offsets.last() != Some(&(records.len() as u64)) {
            return Err(corrupt("records"));
        }
        for pair in offsets.windows(2) {
            let bytes = records.get(pair[0] as usize..pair[1] as usize).ok_or_else(|| corrupt("records"))?;
            let record = rkyv::access::<ArchivedRecord, rancor::Error>(bytes);
            let record = record.map_err(|error| Error::corrupt("product record", error))?;
            RecordView(record).check(self.attribute_keys.len())?;
        }
        Ok(())
    }

    fn check_facet_table(&self) -> Result<(), Error> {
        let mut next = 0;
        for facet in &self.facets {
            if facet.first != next {
                return Err(Error::corrupt("facets", "their values are not side by side"));
            }
            next = facet.first.checked_add(facet.count).ok_or_else(|| Error::corrupt("facets", "too many values"))?;
        }
        let bytes: &[u8] = self.column(&self.layout.facet_value_bytes);
        let offsets: &[u32] = self.column(&self.layout.facet_value_offsets);
        let text = std::str::from_utf8(bytes).map_err(|error| Error::corrupt("facet values", error))?;
        let whole = offsets.iter().all(|offset| text.is_char_boundary(*offset as usize));
        match rises_to(offsets, bytes.len()) && whole {
            true => Ok(()),
            false => Err(Error::corrupt("facet values", "their offsets point outside of them")),
        }
    }
}

/// Rows of facet values, one a document: its values of all facets, rising.
#[derive(Clone, Copy)]
pub struct FacetRows<'a> {
    offsets: &'a [u32],
    values: &'a [u32],
}

impl<'a> FacetRows<'a> {
    #[inline]
    pub fn row(self, doc: u32) -> &'a [u32] {
        &self.values[self.offsets[doc as usize] as usize..self.offsets[doc as usize + 1] as usize]
    }
}

fn rises_to(offsets: &[u32], end: usize) -> bool {
    offsets.first() == Some(&0)
        && offsets.last() == Some(&(end as u32))
        && offsets.windows(2).all(|pair| pair[0] <= pair[1])
}
