//! Finding the documents of one segment that have all words of a query, or any of them.
//!
//! This is the narrow door to tantivy's postings: nothing outside reads them.

use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED, Term};

use crate::analysis::MAX_SHORT_PREFIX;
use crate::bits::Bits;
use crate::error::Error;
use crate::index::TextReader;
use crate::score::{NormTable, WordWeight};

/// A longer prefix stands for at most this many words of the vocabulary, in the order of the alphabet.
const MAX_PREFIX_WORDS: usize = 1 << 17;
/// Documents are united in windows of this many, whose scores stay in the processor's nearest cache.
const WINDOW: u32 = 4_096;

/// A word of the query as one segment knows it.
pub(crate) struct FoundWord {
    exact: Option<TermInfo>,
    /// Documents with a word that begins like this one (or is it), where the word may be unfinished.
    prefix: Option<PrefixDocs>,
}

enum PrefixDocs {
    Postings(TermInfo),
    Bits(Bits),
}

impl FoundWord {
    /// Looks a word up; with `as_prefix`, also what it may be the beginning of.
    pub(crate) fn look_up(text: &TextReader, word: &str, as_prefix: bool, doc_count: usize) -> Result<Self, Error> {
        let exact = text.words.get_term_info(&Term::from_field_text(text.fields.text, word)).map_err(read_error)?;
        let prefix = match as_prefix {
            false => None,
            true if word.chars().count() <= MAX_SHORT_PREFIX => {
                let term = Term::from_field_text(text.fields.prefix, word);
                text.prefixes.get_term_info(&term).map_err(read_error)?.map(PrefixDocs::Postings)
            }
            true => long_prefix(text, word, exact.as_ref(), doc_count)?,
        };
        Ok(Self { exact, prefix })
    }

    pub(crate) fn exact_count(&self) -> u64 {
        self.exact.as_ref().map_or(0, |info| u64::from(info.doc_freq))
    }

    pub(crate) fn prefix_count(&self) -> u64 {
        match &self.prefix {
            // No other word of the segment begins like it.
            None => self.exact_count(),
            Some(PrefixDocs::Postings(info)) => u64::from(info.doc_freq),
            Some(PrefixDocs::Bits(bits)) => bits.count() as u64,
        }
    }
}

/// The documents of all words that begin with a longer prefix; None where that is no word but the prefix itself.
fn long_prefix(
    text: &TextReader,
    word: &str,
    exact: Option<&TermInfo>,
    doc_count: usize,
) -> Result<Option<PrefixDocs>, Error> {
    // No word holds this letter, so it stands above all that begin with the prefix.
    let end = format!("{word}\u{10ffff}");
    let range = text.words.terms().range().ge(word.as_bytes()).lt(end.as_bytes());
    let mut stream = range.into_stream().map_err(read_error)?;
    let mut infos: Vec<TermInfo> = Vec::new();
    while infos.len() < MAX_PREFIX_WORDS && stream.advance() {
        infos.push(stream.value().clone());
    }
    if infos.len() == usize::from(exact.is_some()) {
        return Ok(None);
    }
    let mut bits = Bits::none(doc_count);
    for info in &infos {
        let postings = text.words.read_postings_from_terminfo(info, IndexRecordOption::Basic);
        let mut postings = postings.map_err(read_error)?;
        while postings.doc() != TERMINATED {
            bits.insert(postings.doc());
            postings.advance();
        }
    }
    Ok(Some(PrefixDocs::Bits(bits)))
}

/// A walk over the documents of one word.
struct WordCursor<'a> {
    weight: WordWeight,
    /// What is walked, where that is not the word's own postings.
    prefix: PrefixCursor<'a>,
    exact: SegmentPostings,
}

// There is one for each word of a query, on the stack of its search: a box would cost more than the space.
#[expect(clippy::large_enum_variant)]
enum PrefixCursor<'a> {
    None,
    Postings(SegmentPostings),
    Bits { bits: &'a Bits, doc: u32 },
}

impl<'a> WordCursor<'a> {
    fn open(text: &TextReader, word: &'a FoundWord, weight: WordWeight) -> Result<Self, Error> {
        let exact = match &word.exact {
            Some(info) => text.words.read_postings_from_terminfo(info, IndexRecordOption::WithFreqs),
            None => Ok(SegmentPostings::empty()),
        };
        let prefix = match &word.prefix {
            None => PrefixCursor::None,
            Some(PrefixDocs::Postings(info)) => {
                let postings = text.prefixes.read_postings_from_terminfo(info, IndexRecordOption::Basic);
                PrefixCursor::Postings(postings.map_err(read_error)?)
            }
            Some(PrefixDocs::Bits(bits)) => PrefixCursor::Bits { bits, doc: bits.next_from(0).unwrap_or(TERMINATED) },
        };
        Ok(Self { weight, prefix, exact: exact.map_err(read_error)? })
    }

    #[inline]
    fn doc(&self) -> u32 {
        match &self.prefix {
            PrefixCursor::None => self.exact.doc(),
            PrefixCursor::Postings(postings) => postings.doc(),
            PrefixCursor::Bits { doc, .. } => *doc,
        }
    }

    #[inline]
    fn advance(&mut self) -> u32 {
        match &mut self.prefix {
            PrefixCursor::None => self.exact.advance(),
            PrefixCursor::Postings(postings) => postings.advance(),
            PrefixCursor::Bits { bits, doc } => {
                *doc = bits.next_from(*doc + 1).unwrap_or(TERMINATED);
                *doc
            }
        }
    }

    /// Moves to the first document from `target` on.
    #[inline]
    fn seek(&mut self, target: u32) -> u32 {
        if self.doc() >= target {
            return self.doc();
        }
        match &mut self.prefix {
            PrefixCursor::None => self.exact.seek(target),
            PrefixCursor::Postings(postings) => postings.seek(target),
            PrefixCursor::Bits { bits, doc } => {
                *doc = bits.next_from(target).unwrap_or(TERMINATED);
                *doc
            }
        }
    }

    /// What the word is worth in `doc`, at which the cursor stands.
    #[inline]
    fn score(&mut self, doc: u32, norm: f32) -> f32 {
        if !matches!(self.prefix, PrefixCursor::None) && self.exact.doc() < doc {
            self.exact.seek(doc);
        }
        match self.exact.doc() == doc {
            true => self.weight.exact(self.exact.term_freq(), norm),
            false => self.weight.prefix(),
        }
    }
}

/// Matches the words of a query in one segment.
pub(crate) struct Matcher<'a> {
    text: &'a TextReader,
    norms: &'a NormTable,
    cursors: Vec<WordCursor<'a>>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(
        text: &'a TextReader,
        norms: &'a NormTable,
        words: &'a [FoundWord],
        weights: &[WordWeight],
    ) -> Result<Self, Error> {
        let cursors = words.iter().zip(weights).map(|(word, weight)| WordCursor::open(text, word, *weight));
        Ok(Self { text, norms, cursors: cursors.collect::<Result<_, _>>()? })
    }

    /// Calls `each` with every document that has all words, and its score.
    pub(crate) fn all_words(mut self, words: &[FoundWord], mut each: impl FnMut(u32, f32)) {
        // The rarest word leads; the others are asked for its documents only.
        let cost = |place: &usize| words[*place].prefix_count();
        let mut order: Vec<usize> = (0..self.cursors.len()).collect();
        order.sort_unstable_by_key(cost);
        let Some((&lead, others)) = order.split_first() else { return };
        let mut doc = self.cursors[lead].doc();
        'documents: while doc != TERMINATED {
            for &other in others {
                let found = self.cursors[other].seek(doc);
                if found != doc {
                    doc = self.cursors[lead].seek(found);
                    continue 'documents;
                }
            }
            let norm = self.norms.of(self.text.lengths.fieldnorm_id(doc));
            // Scores are added in the order of the words, so that the sum is the same in every segment.
            each(doc, self.cursors.iter_mut().map(|cursor| cursor.score(doc, norm)).sum());
            doc = self.cursors[lead].advance();
        }
    }

    /// Calls `each` with every document that has any of the words, its score, and the words that it has as bits.
    pub(crate) fn any_word(mut self, mut each: impl FnMut(u32, f32, u32)) {
        let mut window = vec![(0.0_f32, 0_u32); WINDOW as usize];
        while let Some(first) = self.cursors.iter().map(WordCursor::doc).min().filter(|doc| *doc != TERMINATED) {
            let (start, end) = (first - first % WINDOW, first - first % WINDOW + WINDOW);
            for (place, cursor) in self.cursors.iter_mut().enumerate() {
                let mut doc = cursor.doc();
                while doc < end {
                    let norm = self.norms.of(self.text.lengths.fieldnorm_id(doc));
                    let (score, has) = &mut window[(doc - start) as usize];
                    *score += cursor.score(doc, norm);
                    *has |= 1 << place;
                    doc = cursor.advance();
                }
            }
            for (offset, (score, has)) in window.iter_mut().enumerate() {
                if *has != 0 {
                    each(start + offset as u32, *score, *has);
                    (*score, *has) = (0.0, 0);
                }
            }
        }
    }
}

fn read_error(error: std::io::Error) -> Error {
    Error::io("text index", error)
}
