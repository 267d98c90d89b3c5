//! Finding the documents of one segment that have all words of a query, or any of them.
//!
//! This is the narrow door to tantivy's postings: nothing outside reads them.

use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED, Term};

use crate::analysis::MAX_SHORT_PREFIX;
use crate::bits::Bits;
use crate::error::Error;
use crate::index::{Index, TextReader};
use crate::plan::Slot;
use crate::score::{Lengths, WordWeight};
use crate::vocabulary::Vocabulary;

/// A longer prefix stands for at most this many words of the vocabulary, in the order of the alphabet.
const MAX_PREFIX_WORDS: usize = 1 << 17;
/// Two words are looked for together in so many documents of the rarer one.
const MAX_TOGETHER_STEPS: u32 = 4_096;
/// Documents are united in windows of this many, whose scores stay in the processor's nearest cache.
const WINDOW: u32 = 4_096;

/// A word of the query, and all that may stand for it, as one segment knows them.
pub(crate) struct FoundSlot {
    exact: Vec<(TermInfo, f32)>,
    /// Documents with a word that begins like this one (or is it), where the word may be unfinished.
    prefix: Option<PrefixDocs>,
}

enum PrefixDocs {
    Postings(TermInfo),
    Bits(Bits),
}

impl FoundSlot {
    pub(crate) fn look_up(text: &TextReader, slot: &Slot, doc_count: usize) -> Result<Self, Error> {
        let mut exact = Vec::with_capacity(slot.alternatives.len());
        for alternative in &slot.alternatives {
            exact.extend(text.stem(&alternative.stem)?.map(|info| (info, alternative.weight)));
        }
        let prefix = match &slot.prefix {
            None => None,
            Some(prefix) if prefix.chars().count() <= MAX_SHORT_PREFIX => {
                let term = Term::from_field_text(text.fields.prefix, prefix);
                text.prefixes.get_term_info(&term).map_err(read_error)?.map(PrefixDocs::Postings)
            }
            Some(prefix) => long_prefix(text, prefix, &exact, doc_count)?,
        };
        Ok(Self { exact, prefix })
    }

    /// Documents with the word or with what counts as much; those that have several are counted for each.
    pub(crate) fn exact_count(&self) -> u64 {
        self.exact.iter().map(|(info, _)| u64::from(info.doc_freq)).sum()
    }

    pub(crate) fn prefix_count(&self) -> u64 {
        match &self.prefix {
            // No other word of the segment begins like it.
            None => self.exact_count(),
            Some(PrefixDocs::Postings(info)) => u64::from(info.doc_freq).max(self.exact_count()),
            Some(PrefixDocs::Bits(bits)) => bits.count() as u64,
        }
    }
}

impl TextReader {
    /// Where the documents of a stem are listed.
    pub(crate) fn stem(&self, stem: &str) -> Result<Option<TermInfo>, Error> {
        self.words.get_term_info(&Term::from_field_text(self.fields.text, stem)).map_err(read_error)
    }

    /// The number of a stem in leads.
    pub(crate) fn stem_number(&self, stem: &str) -> Result<Option<u32>, Error> {
        Ok(self.words.terms().term_ord(stem.as_bytes()).map_err(read_error)?.map(|number| number as u32))
    }
}

impl Index {
    /// How many products have a word with this stem.
    pub(crate) fn stem_count(&self, stem: &str) -> Result<u64, Error> {
        let mut count = 0;
        for text in &self.texts {
            count += text.stem(stem)?.map_or(0, |info| u64::from(info.doc_freq));
        }
        Ok(count)
    }

    /// How many products have this very word.
    pub(crate) fn word_count(&self, word: &str) -> u64 {
        let count = |words: &Vocabulary| words.find(word).map_or(0, |number| u64::from(words.product_count(number)));
        self.vocabularies().map(count).sum()
    }

    /// How many products have both stems, counted up to `enough`.
    pub(crate) fn count_together(&self, one: &str, other: &str, enough: u32) -> Result<u32, Error> {
        let mut count = 0;
        for text in &self.texts {
            let (Some(one), Some(other)) = (text.stem(one)?, text.stem(other)?) else { continue };
            let open =
                |info| text.words.read_postings_from_terminfo(info, IndexRecordOption::Basic).map_err(read_error);
            let (mut rarer, mut commoner) = (open(&one)?, open(&other)?);
            if one.doc_freq > other.doc_freq {
                std::mem::swap(&mut rarer, &mut commoner);
            }
            let mut steps = 0;
            while rarer.doc() != TERMINATED && count < enough && steps < MAX_TOGETHER_STEPS {
                steps += 1;
                let found = if commoner.doc() < rarer.doc() { commoner.seek(rarer.doc()) } else { commoner.doc() };
                if found == rarer.doc() {
                    count += 1;
                    rarer.advance();
                } else {
                    rarer.seek(found);
                }
            }
        }
        Ok(count)
    }
}

/// The documents of all words that begin with a longer prefix, by what those are indexed by; None where that adds none.
fn long_prefix(
    text: &TextReader,
    prefix: &str,
    exact: &[(TermInfo, f32)],
    doc_count: usize,
) -> Result<Option<PrefixDocs>, Error> {
    let range = text.vocabulary.with_prefix(prefix);
    let mut stems: Vec<u32> = range.take(MAX_PREFIX_WORDS).map(|word| text.vocabulary.stem(word)).collect();
    stems.sort_unstable();
    stems.dedup();
    let (terms, mut stem) = (text.words.terms(), Vec::new());
    let mut infos: Vec<TermInfo> = Vec::with_capacity(stems.len());
    for number in stems {
        terms.ord_to_term(u64::from(number), &mut stem).map_err(read_error)?;
        infos.extend(terms.get(&stem).map_err(read_error)?);
    }
    let is_exact = |info: &TermInfo| exact.iter().any(|(known, _)| known == info);
    if infos.iter().all(is_exact) {
        return Ok(None);
    }
    infos.extend(exact.iter().map(|(info, _)| info.clone()));
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

/// What a document has of a word.
#[derive(Clone, Copy)]
pub(crate) struct WordScore {
    pub(crate) score: f32,
    /// The word stands only where it counts little: among attributes, say.
    pub(crate) is_weak: bool,
}

/// A walk over the documents of one word.
struct SlotCursor<'a> {
    weight: WordWeight,
    /// What is walked, where that is not the word's own postings.
    prefix: PrefixCursor<'a>,
    exact: ExactCursor,
}

// There is one for each word of a query, on the stack of its search: a box would cost more than the space.
#[expect(clippy::large_enum_variant)]
enum PrefixCursor<'a> {
    None,
    Postings(SegmentPostings),
    Bits { bits: &'a Bits, doc: u32 },
}

/// A walk over the documents of a word itself, or of several that stand for it.
#[expect(clippy::large_enum_variant)]
enum ExactCursor {
    One(SegmentPostings, f32),
    Several { all: Vec<(SegmentPostings, f32)>, doc: u32 },
}

impl ExactCursor {
    #[inline]
    fn doc(&self) -> u32 {
        match self {
            Self::One(postings, _) => postings.doc(),
            Self::Several { doc, .. } => *doc,
        }
    }

    #[inline]
    fn advance(&mut self) -> u32 {
        match self {
            Self::One(postings, _) => postings.advance(),
            Self::Several { doc, .. } => {
                let next = doc.saturating_add(1);
                self.seek(next)
            }
        }
    }

    #[inline]
    fn seek(&mut self, target: u32) -> u32 {
        match self {
            Self::One(postings, _) if postings.doc() >= target => postings.doc(),
            Self::One(postings, _) => postings.seek(target),
            Self::Several { all, doc } => {
                let docs = all.iter_mut().map(|(postings, _)| match postings.doc() >= target {
                    true => postings.doc(),
                    false => postings.seek(target),
                });
                *doc = docs.min().unwrap_or(TERMINATED);
                *doc
            }
        }
    }

    /// How often the word stands in the document that the cursor is at, weighted.
    #[inline]
    fn frequency(&self) -> f32 {
        match self {
            Self::One(postings, weight) => weight * postings.term_freq() as f32,
            Self::Several { all, doc } => {
                let here = all.iter().filter(|(postings, _)| postings.doc() == *doc);
                here.map(|(postings, weight)| weight * postings.term_freq() as f32).sum()
            }
        }
    }
}

impl<'a> SlotCursor<'a> {
    fn open(text: &TextReader, slot: &'a FoundSlot, weight: WordWeight) -> Result<Self, Error> {
        let open = |info: &TermInfo| {
            text.words.read_postings_from_terminfo(info, IndexRecordOption::WithFreqs).map_err(read_error)
        };
        let exact = match slot.exact.as_slice() {
            [] => ExactCursor::One(SegmentPostings::empty(), 1.0),
            [(info, weight)] => ExactCursor::One(open(info)?, *weight),
            several => {
                let all = several.iter().map(|(info, weight)| Ok((open(info)?, *weight)));
                let all = all.collect::<Result<Vec<_>, Error>>()?;
                let doc = all.iter().map(|(postings, _)| postings.doc()).min().unwrap_or(TERMINATED);
                ExactCursor::Several { all, doc }
            }
        };
        let prefix = match &slot.prefix {
            None => PrefixCursor::None,
            Some(PrefixDocs::Postings(info)) => {
                let postings = text.prefixes.read_postings_from_terminfo(info, IndexRecordOption::Basic);
                PrefixCursor::Postings(postings.map_err(read_error)?)
            }
            Some(PrefixDocs::Bits(bits)) => PrefixCursor::Bits { bits, doc: bits.next_from(0).unwrap_or(TERMINATED) },
        };
        Ok(Self { weight, prefix, exact })
    }

    #[inline]
    fn doc(&self) -> u32 {
        match &self.prefix {
            PrefixCursor::None => self.exact.doc(),
            PrefixCursor::Postings(postings) => postings.doc().min(self.exact.doc()),
            PrefixCursor::Bits { doc, .. } => *doc,
        }
    }

    #[inline]
    fn advance(&mut self) -> u32 {
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
    fn seek(&mut self, target: u32) -> u32 {
        if self.doc() >= target {
            return self.doc();
        }
        match &mut self.prefix {
            PrefixCursor::None => self.exact.seek(target),
            // What stands for the word need not begin like it.
            PrefixCursor::Postings(postings) => {
                let found = if postings.doc() >= target { postings.doc() } else { postings.seek(target) };
                found.min(self.exact.seek(target))
            }
            PrefixCursor::Bits { bits, doc } => {
                *doc = bits.next_from(target).unwrap_or(TERMINATED);
                *doc
            }
        }
    }

    /// What the word is worth in `doc`, at which the cursor stands.
    #[inline]
    fn score(&mut self, doc: u32, norm: f32) -> WordScore {
        if !matches!(self.prefix, PrefixCursor::None) {
            self.exact.seek(doc);
        }
        match self.exact.doc() == doc {
            true => {
                let frequency = self.exact.frequency();
                WordScore { score: self.weight.exact(frequency, norm), is_weak: self.weight.is_weak(frequency) }
            }
            false => WordScore { score: self.weight.prefix(), is_weak: self.weight.is_prefix_weak() },
        }
    }
}

/// A document that was found.
#[derive(Clone, Copy)]
pub(crate) struct Match {
    pub(crate) doc: u32,
    pub(crate) score: f32,
    /// The words that it has, as bits.
    pub(crate) has: u32,
    /// Those of them that stand only where they count little.
    pub(crate) weak: u32,
}

impl Match {
    pub(crate) fn none(doc: u32) -> Self {
        Self { doc, score: 0.0, has: 0, weak: 0 }
    }

    #[inline]
    fn add(&mut self, place: usize, word: WordScore) {
        self.score += word.score;
        self.has |= 1 << place;
        self.weak |= u32::from(word.is_weak) << place;
    }
}

/// Matches the words of a query in one segment.
pub(crate) struct Matcher<'a> {
    lengths: Lengths<'a>,
    cursors: Vec<SlotCursor<'a>>,
    /// The places of the words, rarest first.
    rising: Vec<usize>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(
        text: &TextReader,
        lengths: Lengths<'a>,
        slots: &'a [FoundSlot],
        weights: &[WordWeight],
    ) -> Result<Self, Error> {
        let cursors = slots.iter().zip(weights).map(|(slot, weight)| SlotCursor::open(text, slot, *weight));
        let mut rising: Vec<usize> = (0..slots.len()).collect();
        rising.sort_by_key(|place| slots[*place].prefix_count());
        Ok(Self { lengths, cursors: cursors.collect::<Result<_, _>>()?, rising })
    }

    /// Calls `each` with every document that has all words.
    pub(crate) fn all_words(mut self, each: &mut impl FnMut(Match)) {
        while let Some(doc) = self.next_common() {
            let norm = self.lengths.norm(doc);
            let mut found = Match::none(doc);
            // Scores are added in the order of the words, so that the sum is the same in every segment.
            for (place, cursor) in self.cursors.iter_mut().enumerate() {
                found.add(place, cursor.score(doc, norm));
            }
            each(found);
            self.cursors[self.rising[0]].advance();
        }
    }

    /// Whether any document that has all words is accepted.
    pub(crate) fn finds(mut self, accept: impl Fn(u32) -> bool) -> bool {
        while let Some(doc) = self.next_common() {
            if accept(doc) {
                return true;
            }
            self.cursors[self.rising[0]].advance();
        }
        false
    }

    /// Moves to the next document that has all words, from where the rarest word stands on: it leads, and the others are
    /// asked for its documents only.
    #[inline]
    fn next_common(&mut self) -> Option<u32> {
        let (&lead, others) = self.rising.split_first()?;
        let mut doc = self.cursors[lead].doc();
        'documents: while doc != TERMINATED {
            for &other in others {
                let found = self.cursors[other].seek(doc);
                if found != doc {
                    doc = self.cursors[lead].seek(found);
                    continue 'documents;
                }
            }
            return Some(doc);
        }
        None
    }

    /// Calls `each` with every document that has all words but one. Of any two words such a document has one, so the
    /// two rarest lead.
    pub(crate) fn all_but_one(mut self, each: &mut impl FnMut(Match)) {
        let rising = std::mem::take(&mut self.rising);
        let [first, second, others @ ..] = rising.as_slice() else { return };
        let (first, second) = (*first, *second);
        loop {
            let doc = self.cursors[first].doc().min(self.cursors[second].doc());
            if doc == TERMINATED {
                return;
            }
            let mut has = u32::from(self.cursors[first].doc() == doc) << first;
            has |= u32::from(self.cursors[second].doc() == doc) << second;
            let mut lacks = 2 - has.count_ones();
            for &other in others {
                match self.cursors[other].seek(doc) == doc {
                    true => has |= 1 << other,
                    false => lacks += 1,
                }
                if lacks > 1 {
                    break;
                }
            }
            if lacks == 1 {
                each(self.scored(doc, has));
            }
            for leader in [first, second] {
                if self.cursors[leader].doc() == doc {
                    self.cursors[leader].advance();
                }
            }
        }
    }

    fn scored(&mut self, doc: u32, has: u32) -> Match {
        let norm = self.lengths.norm(doc);
        let mut found = Match::none(doc);
        for (place, cursor) in self.cursors.iter_mut().enumerate() {
            if has >> place & 1 == 1 {
                found.add(place, cursor.score(doc, norm));
            }
        }
        found
    }

    /// Calls `each` with every document that has any of the words.
    pub(crate) fn any_word(mut self, each: &mut impl FnMut(Match)) {
        let mut window = vec![Match::none(0); WINDOW as usize];
        while let Some(first) = self.cursors.iter().map(SlotCursor::doc).min().filter(|doc| *doc != TERMINATED) {
            let (start, end) = (first - first % WINDOW, first - first % WINDOW + WINDOW);
            for (place, cursor) in self.cursors.iter_mut().enumerate() {
                let mut doc = cursor.doc();
                while doc < end {
                    window[(doc - start) as usize].add(place, cursor.score(doc, self.lengths.norm(doc)));
                    doc = cursor.advance();
                }
            }
            for (offset, found) in window.iter_mut().enumerate() {
                if found.has != 0 {
                    each(Match { doc: start + offset as u32, ..*found });
                    *found = Match::none(0);
                }
            }
        }
    }
}

fn read_error(error: std::io::Error) -> Error {
    Error::io("text index", error)
}
