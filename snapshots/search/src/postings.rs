//! Which documents have a stem, and how often: plain rising arrays that are searched where they lie.
//!
//! tantivy gathers them while a segment is built; its own files are smaller, but a cursor over them unpacks 128
//! documents to find one. These arrays cost five bytes a posting and nothing to open, and following them takes a few
//! nanoseconds a document.

use std::io::Write;
use std::ops::Range;

use snapshots::{SectionWriter, Segment};
use tantivy::postings::Postings as _;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, InvertedIndexReader, TERMINATED};

use crate::error::Error;
use crate::sections::numbers;
use crate::vocabulary::rises;

/// Writes the postings of every stem, in the order of tantivy's dictionary.
pub(crate) fn write<W: Write>(words: &InvertedIndexReader, out: &mut SectionWriter<W>) -> Result<(), Error> {
    let io = |error| Error::io("postings", error);
    let (mut offsets, mut docs, mut frequencies) = (vec![0_u32], Vec::new(), Vec::new());
    let mut terms = words.terms().stream().map_err(io)?;
    while let Some((_, info)) = terms.next() {
        let mut postings = words.read_postings_from_terminfo(info, IndexRecordOption::WithFreqs).map_err(io)?;
        while postings.doc() != TERMINATED {
            docs.push(postings.doc());
            // BM25 hardly tells 255 occurrences from more.
            frequencies.push(u8::try_from(postings.term_freq()).unwrap_or(u8::MAX));
            postings.advance();
        }
        offsets.push(u32::try_from(docs.len()).map_err(|_| {
            snapshots::Error::TooLarge(
                "a segment has more than 4 billion words; build several of fewer products".into(),
            )
        })?);
    }
    out.section("postings/offsets", bytemuck::cast_slice(&offsets)).map_err(io)?;
    out.section("postings/docs", bytemuck::cast_slice(&docs)).map_err(io)?;
    out.section("postings/frequencies", &frequencies).map_err(io)
}

fn corrupt() -> snapshots::Error {
    snapshots::Error::corrupt("segment", "its postings are missing or damaged")
}

/// The postings of an open segment.
pub(crate) struct Postings {
    segment: Segment,
    offsets: Range<usize>,
    docs: Range<usize>,
    frequencies: Range<usize>,
}

impl Postings {
    /// # Errors
    /// When a section is missing.
    pub(crate) fn open(segment: &Segment) -> Result<Self, Error> {
        let find = |name: &str| segment.section(name).ok_or_else(corrupt);
        Ok(Self {
            offsets: find("postings/offsets")?,
            docs: find("postings/docs")?,
            frequencies: find("postings/frequencies")?,
            segment: segment.clone(),
        })
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// When a section does not fit the others.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let (offsets, docs) = (self.numbers(&self.offsets), self.numbers(&self.docs));
        let fits = rises(offsets, docs.len())
            && self.frequencies.len() == docs.len()
            && docs.iter().copied().max().is_none_or(|last| (last as usize) < self.segment.product_count());
        if fits { Ok(()) } else { Err(corrupt().into()) }
    }

    fn numbers(&self, range: &Range<usize>) -> &[u32] {
        numbers(&self.segment, range)
    }

    pub(crate) fn stem_count(&self) -> usize {
        (self.offsets.len() / 4).saturating_sub(1)
    }

    fn range(&self, stem: u32) -> Range<usize> {
        let offsets = self.numbers(&self.offsets);
        offsets[stem as usize] as usize..offsets[stem as usize + 1] as usize
    }

    /// How many documents have a stem.
    pub(crate) fn count(&self, stem: u32) -> u32 {
        self.range(stem).len() as u32
    }

    /// The documents that have a stem, rising.
    pub(crate) fn docs(&self, stem: u32) -> &[u32] {
        &self.numbers(&self.docs)[self.range(stem)]
    }

    /// A walk over the documents that have a stem.
    pub(crate) fn walk(&self, stem: u32) -> Walk<'_> {
        let range = self.range(stem);
        let frequencies = &self.segment.bytes()[self.frequencies.clone()];
        Walk { docs: &self.numbers(&self.docs)[range.clone()], frequencies: &frequencies[range], at: 0 }
    }
}

/// A walk over rising documents, from the first one on.
#[derive(Clone, Copy)]
pub(crate) struct Walk<'a> {
    docs: &'a [u32],
    frequencies: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn empty() -> Self {
        Self { docs: &[], frequencies: &[], at: 0 }
    }

    /// Where it stands; [`TERMINATED`] behind the last document.
    #[inline]
    pub(crate) fn doc(&self) -> u32 {
        self.docs.get(self.at).copied().unwrap_or(TERMINATED)
    }

    #[inline]
    pub(crate) fn advance(&mut self) -> u32 {
        self.at += 1;
        self.doc()
    }

    /// Moves to the first document from `target` on.
    #[inline]
    pub(crate) fn seek(&mut self, target: u32) -> u32 {
        self.at += count_before(self.docs.get(self.at..).unwrap_or(&[]), target);
        self.doc()
    }

    /// The documents before `end` with their frequencies; the walk then stands behind them.
    #[inline]
    pub(crate) fn take_until(&mut self, end: u32) -> impl Iterator<Item = (u32, u8)> + use<'a> {
        let start = self.at.min(self.docs.len());
        self.seek(end);
        let range = start..self.at.clamp(start, self.docs.len());
        self.docs[range.clone()].iter().copied().zip(self.frequencies[range].iter().copied())
    }

    /// How often the document that it stands at has the stem, weighted.
    #[inline]
    pub(crate) fn frequency(&self) -> f32 {
        self.frequencies.get(self.at).copied().map_or(0.0, f32::from)
    }
}

/// How many of rising documents lie before a target.
#[inline]
pub(crate) fn count_before(docs: &[u32], target: u32) -> usize {
    // Steps double until they pass the target: what is near is found at once, what is far in few steps.
    let mut step = 1;
    while docs.get(step - 1).is_some_and(|doc| *doc < target) {
        step *= 2;
    }
    let (low, high) = (step / 2, (step - 1).min(docs.len()));
    low + docs[low.min(high)..high].partition_point(|doc| *doc < target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_finds_the_first_document_from_a_target_on() {
        let docs: Vec<u32> = (0..100).map(|n| n * 3 + 1).collect();
        let frequencies = vec![1; docs.len()];
        for start in 0..docs.len() {
            for target in 0..310 {
                let mut walk = Walk { docs: &docs, frequencies: &frequencies, at: start };
                let expected = docs[start..].iter().copied().find(|doc| *doc >= target).unwrap_or(TERMINATED);
                assert_eq!(walk.seek(target), expected, "from {start} to {target}");
                assert_eq!(walk.doc(), expected);
            }
        }
        let mut walk = Walk::empty();
        assert_eq!((walk.doc(), walk.seek(5), walk.advance()), (TERMINATED, TERMINATED, TERMINATED));
    }
}
