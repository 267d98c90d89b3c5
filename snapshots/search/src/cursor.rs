//! Walks over the documents of one word of a query, with all that may stand for it.

use tantivy::postings::SegmentPostings;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED};

use crate::bits::Bits;
use crate::error::Error;
use crate::index::TextReader;
use crate::matching::{FoundSlot, PrefixDocs, read_error};
use crate::postings::Walk;
use crate::score::WordWeight;
use crate::window::{Window, Worths};

/// What a document has of a word.
#[derive(Clone, Copy)]
pub(crate) struct WordScore {
    pub(crate) score: f32,
    /// The word stands only where it counts little: among attributes, say.
    pub(crate) is_weak: bool,
    /// It is weak because only a longer word stands there.
    pub(crate) is_begun: bool,
}

/// A walk over the documents of one word.
pub(crate) struct SlotCursor<'a> {
    weight: WordWeight,
    /// What is walked, where that is not the word's own postings.
    prefix: PrefixCursor<'a>,
    exact: ExactCursor<'a>,
}

enum PrefixCursor<'a> {
    None,
    Postings(BegunPostings),
    Bits { bits: &'a Bits, doc: u32 },
}

/// A walk over the documents that have a word with a short beginning.
struct BegunPostings {
    postings: Box<SegmentPostings>,
    /// How many documents there are: tantivy believes its file, and may tell of others where that is damaged.
    doc_count: u32,
}

impl BegunPostings {
    #[inline]
    fn doc(&self) -> u32 {
        let doc = self.postings.doc();
        if doc < self.doc_count { doc } else { TERMINATED }
    }

    #[inline]
    fn advance(&mut self) {
        self.postings.advance();
    }

    #[inline]
    fn seek(&mut self, target: u32) -> u32 {
        if self.doc() < target {
            self.postings.seek(target);
        }
        self.doc()
    }
}

/// A walk over the documents of a word itself, or of several that stand for it.
enum ExactCursor<'a> {
    One(Walk<'a>, f32),
    Several { all: Vec<(Walk<'a>, f32)>, doc: u32 },
}

impl ExactCursor<'_> {
    #[inline]
    fn doc(&self) -> u32 {
        match self {
            Self::One(walk, _) => walk.doc(),
            Self::Several { doc, .. } => *doc,
        }
    }

    #[inline]
    fn advance(&mut self) -> u32 {
        match self {
            Self::One(walk, _) => walk.advance(),
            Self::Several { doc, .. } => {
                let next = doc.saturating_add(1);
                self.seek(next)
            }
        }
    }

    #[inline]
    fn seek(&mut self, target: u32) -> u32 {
        match self {
            Self::One(walk, _) => walk.seek(target),
            Self::Several { all, doc } => {
                *doc = all.iter_mut().map(|(walk, _)| walk.seek(target)).min().unwrap_or(TERMINATED);
                *doc
            }
        }
    }

    /// How often the word stands in the document that the cursor is at, weighted.
    #[inline]
    fn frequency(&self) -> f32 {
        match self {
            Self::One(walk, weight) => weight * walk.frequency(),
            Self::Several { all, doc } => {
                let here = all.iter().filter(|(walk, _)| walk.doc() == *doc);
                here.map(|(walk, weight)| weight * walk.frequency()).sum()
            }
        }
    }
}

impl<'a> SlotCursor<'a> {
    pub(crate) fn open(text: &'a TextReader, slot: &'a FoundSlot, weight: WordWeight) -> Result<Self, Error> {
        let exact = match slot.exact.as_slice() {
            [] => ExactCursor::One(Walk::empty(), 1.0),
            [one] => ExactCursor::One(text.postings.walk(one.stem), one.weight),
            several => {
                let all = several.iter().map(|one| (text.postings.walk(one.stem), one.weight));
                let all: Vec<_> = all.collect();
                let doc = all.iter().map(|(walk, _)| walk.doc()).min().unwrap_or(TERMINATED);
                ExactCursor::Several { all, doc }
            }
        };
        let prefix = match &slot.prefix {
            None => PrefixCursor::None,
            Some(PrefixDocs::Postings(info)) => {
                let postings = text.prefixes.read_postings_from_terminfo(info, IndexRecordOption::Basic);
                let postings = Box::new(postings.map_err(read_error)?);
                PrefixCursor::Postings(BegunPostings { postings, doc_count: text.doc_count() as u32 })
            }
            Some(PrefixDocs::Bits(bits)) => PrefixCursor::Bits { bits, doc: bits.next_from(0).unwrap_or(TERMINATED) },
        };
        Ok(Self { weight, prefix, exact })
    }

    #[inline]
    pub(crate) fn doc(&self) -> u32 {
        match &self.prefix {
            PrefixCursor::None => self.exact.doc(),
            PrefixCursor::Postings(postings) => postings.doc().min(self.exact.doc()),
            PrefixCursor::Bits { doc, .. } => *doc,
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self) -> u32 {
        match &mut self.prefix {
            PrefixCursor::None => self.exact.advance(),
            PrefixCursor::Postings(_) => {
                let next = self.doc().saturating_add(1);
                self.seek(next)
            }
            PrefixCursor::Bits { bits, doc } => {
                *doc = bits.next_from(*doc + 1).unwrap_or(TERMINATED);
                *doc
            }
        }
    }

    /// Moves to the first document from `target` on.
    #[inline]
    pub(crate) fn seek(&mut self, target: u32) -> u32 {
        if self.doc() >= target {
            return self.doc();
        }
        match &mut self.prefix {
            PrefixCursor::None => self.exact.seek(target),
            // What stands for the word need not begin like it.
            PrefixCursor::Postings(postings) => postings.seek(target).min(self.exact.seek(target)),
            PrefixCursor::Bits { bits, doc } => {
                *doc = bits.next_from(target).unwrap_or(TERMINATED);
                *doc
            }
        }
    }

    /// What the word is worth in `doc`, at which the cursor stands.
    #[inline]
    pub(crate) fn score(&mut self, doc: u32, norm: f32) -> WordScore {
        if !matches!(self.prefix, PrefixCursor::None) {
            self.exact.seek(doc);
        }
        match self.exact.doc() == doc {
            true => {
                let frequency = self.exact.frequency();
                let is_weak = self.weight.is_weak(frequency);
                WordScore { score: self.weight.exact(frequency, norm), is_weak, is_begun: false }
            }
            false => {
                let is_weak = self.weight.is_prefix_weak();
                WordScore { score: self.weight.prefix(), is_weak, is_begun: is_weak }
            }
        }
    }

    /// Notes the word in each of its documents in a window, and moves behind it.
    pub(crate) fn fill(&mut self, window: &mut Window<'_>, place: usize) {
        match &mut self.exact {
            ExactCursor::One(walk, weight) => {
                let docs = walk.take_until(window.end());
                window.add(place, docs.map(|(doc, frequency)| (doc, *weight * f32::from(frequency))));
            }
            ExactCursor::Several { all, doc } => {
                for (walk, weight) in all.iter_mut() {
                    let docs = walk.take_until(window.end());
                    window.gather(docs.map(|(doc, frequency)| (doc, *weight * f32::from(frequency))));
                }
                window.add_gathered(place);
                *doc = all.iter().map(|(walk, _)| walk.doc()).min().unwrap_or(TERMINATED);
            }
        }
        match &mut self.prefix {
            PrefixCursor::None => {}
            PrefixCursor::Postings(postings) => {
                let end = window.end();
                let docs = std::iter::from_fn(|| {
                    let doc = Some(postings.doc()).filter(|doc| *doc < end)?;
                    postings.advance();
                    Some(doc)
                });
                window.add_prefix(place, docs);
            }
            PrefixCursor::Bits { bits, doc } => {
                window.add_prefix_set(place, bits);
                *doc = bits.next_from(window.end()).unwrap_or(TERMINATED);
            }
        }
    }
}

/// A document that was found.
#[derive(Clone, Copy)]
pub(crate) struct Match<'w> {
    pub(crate) doc: u32,
    /// The words that it has, as bits.
    pub(crate) has: u32,
    /// Those of them that stand only where they count little.
    pub(crate) weak: u32,
    /// Those of these that only a longer word begins with.
    pub(crate) begun: u32,
    pub(crate) worth: Worth<'w>,
}

/// What the words of a document are worth.
#[derive(Clone, Copy)]
pub(crate) enum Worth<'w> {
    Known(f32),
    /// To be computed, which many documents never need.
    In {
        worths: &'w Worths<'w>,
        has: u32,
    },
}

impl Match<'_> {
    pub(crate) fn none(doc: u32) -> Self {
        Self { doc, has: 0, weak: 0, begun: 0, worth: Worth::Known(0.0) }
    }

    #[inline]
    pub(crate) fn score(&self) -> f32 {
        match self.worth {
            Worth::Known(score) => score,
            Worth::In { worths, has } => worths.of(self.doc, has),
        }
    }
}

#[cfg(test)]
mod tests {
    use tantivy::schema::{STRING, Schema, TantivyDocument};
    use tantivy::{Index, Term};

    use super::*;

    /// A damaged list of a short beginning told of more documents than there are, which have no lengths.
    #[test]
    fn documents_behind_the_last_one_end_a_walk() {
        let mut schema = Schema::builder();
        let field = schema.add_text_field("word", STRING);
        let index = Index::create_in_ram(schema.build());
        let mut writer = index.writer_with_num_threads(1, 15_000_000).expect("a writer");
        for _ in 0..5 {
            let mut document = TantivyDocument::new();
            document.add_text(field, "w");
            writer.add_document(document).expect("a document");
        }
        writer.commit().expect("an index");
        let searcher = index.reader().expect("a reader").searcher();
        let words = searcher.segment_reader(0).inverted_index(field).expect("words");
        let term = Term::from_field_text(field, "w");
        let postings = words.read_postings(&term, IndexRecordOption::Basic).expect("a list").expect("documents");
        let mut walk = BegunPostings { postings: Box::new(postings), doc_count: 3 };
        assert_eq!((walk.doc(), walk.seek(2)), (0, 2));
        walk.advance();
        assert_eq!((walk.doc(), walk.seek(4)), (TERMINATED, TERMINATED));
    }
}
