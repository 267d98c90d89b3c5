//! Finding the documents of one segment that have all words of a query, or any of them: from document to document where
//! some word is rare, window by window where all are common.
//!
//! Words are followed through our own postings, the first letters of an unfinished one through tantivy's; nothing outside
//! reads either.

use std::cell::Cell;

use tantivy::postings::TermInfo;
use tantivy::{TERMINATED, Term};

use crate::analysis::MAX_SHORT_PREFIX;
use crate::bits::{Bits, every_word};
use crate::cursor::{Match, SlotCursor, Worth};
use crate::error::Error;
use crate::index::{Index, TextReader};
use crate::plan::Slot;
use crate::score::{Lengths, WordWeight};
use crate::vocabulary::Vocabulary;
use crate::window::{WINDOW, Wanted, Window};

/// A longer prefix stands for at most this many words of the vocabulary, in the order of the alphabet.
const MAX_PREFIX_WORDS: usize = 1 << 17;
/// Looking for a document in the list of another word costs as much as reading so many documents in turn.
const LOOK_UP_COST: u64 = 14;
/// So does a window, whatever lies in it.
const WINDOW_COST: u64 = 60;
/// Two words are looked for together in so many documents of the rarer one.
const MAX_TOGETHER_STEPS: u32 = 4_096;

/// A word of the query, and all that may stand for it, as one segment knows them.
pub(crate) struct FoundSlot {
    pub(crate) exact: Vec<FoundStem>,
    /// Documents with a word that begins like this one (or is it), where the word may be unfinished.
    pub(crate) prefix: Option<PrefixDocs>,
    prefix_count: u64,
}

/// A stem that the segment has.
pub(crate) struct FoundStem {
    pub(crate) stem: u32,
    /// How many current documents have it.
    current: u32,
    /// What it counts, next to the word itself.
    pub(crate) weight: f32,
}

pub(crate) enum PrefixDocs {
    Postings(TermInfo),
    Bits(Bits),
}

impl FoundSlot {
    pub(crate) fn look_up(text: &TextReader, slot: &Slot, doc_count: usize) -> Result<Self, Error> {
        let mut exact = Vec::with_capacity(slot.alternatives.len());
        for alternative in &slot.alternatives {
            exact.extend(text.stem_number(&alternative.stem)?.map(|stem| FoundStem {
                stem,
                current: text.stem_count(stem),
                weight: alternative.weight,
            }));
        }
        let prefix = match &slot.prefix {
            None => None,
            Some(prefix) if prefix.chars().count() <= MAX_SHORT_PREFIX => {
                let term = Term::from_field_text(text.fields.prefix, prefix);
                text.prefixes.get_term_info(&term).map_err(read_error)?.map(PrefixDocs::Postings)
            }
            Some(prefix) => long_prefix(text, prefix, &exact, doc_count),
        };
        let mut found = Self { exact, prefix, prefix_count: 0 };
        found.prefix_count = match &slot.prefix {
            Some(prefix) => found.count_prefix(text, prefix, doc_count),
            None => found.exact_count(),
        };
        Ok(found)
    }

    /// Current documents with the word or with what counts as much; those that have several are counted for each.
    pub(crate) fn exact_count(&self) -> u64 {
        self.exact.iter().map(|found| u64::from(found.current)).sum()
    }

    /// Current documents with a word that begins like it.
    pub(crate) fn prefix_count(&self) -> u64 {
        self.prefix_count
    }

    /// However the products are split into segments, all together must come to the same count.
    fn count_prefix(&self, text: &TextReader, prefix: &str, doc_count: usize) -> u64 {
        let current = |bits: &Bits| match &text.live {
            Some(live) => bits.count_common(live) as u64,
            None => bits.count() as u64,
        };
        let is_short = prefix.chars().count() <= MAX_SHORT_PREFIX;
        match &self.prefix {
            Some(PrefixDocs::Postings(info)) => u64::from(info.doc_freq.saturating_sub(text.dead_prefixes(prefix))),
            Some(PrefixDocs::Bits(bits)) => current(bits),
            None if is_short => 0,
            // No other word of the segment begins like it; documents that have several are counted once.
            None if self.exact.len() > 1 => {
                current(&bits_of(text, self.exact.iter().map(|known| known.stem), doc_count))
            }
            None => self.exact_count(),
        }
    }
}

impl TextReader {
    /// How many current documents have a stem.
    pub(crate) fn stem_count(&self, stem: u32) -> u32 {
        let all = self.postings.count(stem);
        match self.dead.stems.is_empty() {
            true => all,
            false => all.saturating_sub(self.dead.stems.get(&stem).copied().unwrap_or(0)),
        }
    }

    /// How many documents that are no longer current have a short prefix.
    fn dead_prefixes(&self, prefix: &str) -> u32 {
        self.dead.prefixes.get(prefix).copied().unwrap_or(0)
    }

    /// A stem by its number.
    pub(crate) fn stem_text(&self, number: u32) -> Result<String, Error> {
        let mut bytes = Vec::new();
        self.words.terms().ord_to_term(u64::from(number), &mut bytes).map_err(read_error)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The number of a stem: its place in tantivy's dictionary.
    pub(crate) fn stem_number(&self, stem: &str) -> Result<Option<u32>, Error> {
        Ok(self.words.terms().term_ord(stem.as_bytes()).map_err(read_error)?.map(|number| number as u32))
    }
}

impl Index {
    /// How many products have a word with this stem.
    pub(crate) fn stem_count(&self, stem: &str) -> Result<u64, Error> {
        let mut count = 0;
        for text in &self.texts {
            count += text.stem_number(stem)?.map_or(0, |stem| u64::from(text.stem_count(stem)));
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
        self.count_common(one, other, enough, |_, _, _, _| true)
    }

    /// How many products have both stems side by side in what says what they are, counted up to `enough`.
    pub(crate) fn count_neighbours(&self, left: &str, right: &str, enough: u32) -> Result<u32, Error> {
        self.count_common(left, right, enough, |text, left, right, doc| {
            let (lead, _) = text.vocabulary.lead(doc);
            lead.windows(2)
                .any(|pair| pair[0].part() == pair[1].part() && pair[0].stem() == left && pair[1].stem() == right)
        })
    }

    /// How many products have both stems and are as `is_counted` wants them.
    fn count_common(
        &self,
        one: &str,
        other: &str,
        enough: u32,
        is_counted: impl Fn(&TextReader, u32, u32, u32) -> bool,
    ) -> Result<u32, Error> {
        let mut count = 0;
        for (text, part) in self.texts.iter().zip(self.segments()) {
            let (Some(one), Some(other)) = (text.stem_number(one)?, text.stem_number(other)?) else { continue };
            let (mut rarer, mut commoner) = (text.postings.walk(one), text.postings.walk(other));
            if text.postings.count(one) > text.postings.count(other) {
                std::mem::swap(&mut rarer, &mut commoner);
            }
            let mut steps = 0;
            while rarer.doc() != TERMINATED && count < enough && steps < MAX_TOGETHER_STEPS {
                steps += 1;
                let found = commoner.seek(rarer.doc());
                if found == rarer.doc() {
                    count += u32::from(part.is_live(found) && is_counted(text, one, other, found));
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
fn long_prefix(text: &TextReader, prefix: &str, exact: &[FoundStem], doc_count: usize) -> Option<PrefixDocs> {
    let range = text.vocabulary.with_prefix(prefix);
    let mut stems: Vec<u32> = range.take(MAX_PREFIX_WORDS).map(|word| text.vocabulary.stem(word)).collect();
    stems.sort_unstable();
    stems.dedup();
    if stems.iter().all(|stem| exact.iter().any(|known| known.stem == *stem)) {
        return None;
    }
    stems.extend(exact.iter().map(|known| known.stem));
    Some(PrefixDocs::Bits(bits_of(text, stems.into_iter(), doc_count)))
}

/// The documents that have any of these stems.
fn bits_of(text: &TextReader, stems: impl Iterator<Item = u32>, doc_count: usize) -> Bits {
    let mut bits = Bits::none(doc_count);
    for doc in stems.flat_map(|stem| text.postings.docs(stem)) {
        bits.insert(*doc);
    }
    bits
}

/// Matches the words of a query in one segment.
pub(crate) struct Matcher<'a> {
    lengths: Lengths<'a>,
    weights: &'a [WordWeight],
    cursors: Vec<SlotCursor<'a>>,
    /// How many documents the rarest word has, and all together.
    rarest_count: u64,
    total: u64,
    /// The places of the words, rarest first.
    rising: Vec<usize>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(
        text: &'a TextReader,
        lengths: Lengths<'a>,
        slots: &'a [FoundSlot],
        weights: &'a [WordWeight],
    ) -> Result<Self, Error> {
        let cursors = slots.iter().zip(weights).map(|(slot, weight)| SlotCursor::open(text, slot, *weight));
        let mut rising: Vec<usize> = (0..slots.len()).collect();
        let counts: Vec<u64> = slots.iter().map(FoundSlot::prefix_count).collect();
        rising.sort_by_key(|place| counts[*place]);
        let (rarest_count, total) = (counts.iter().copied().min().unwrap_or(0), counts.iter().sum());
        Ok(Self { lengths, weights, cursors: cursors.collect::<Result<_, _>>()?, rarest_count, total, rising })
    }

    /// Calls `each` with every document that has all words.
    pub(crate) fn all_words(mut self, each: &mut impl FnMut(Match<'_>)) {
        if is_dense(self.rarest_count, self.total, self.lengths.count() as u64) {
            return self.by_windows(|| Wanted::All, each);
        }
        let every_word = every_word(self.cursors.len());
        while let Some(doc) = self.next_common() {
            each(self.scored(doc, every_word));
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

    /// Calls `each` with every document that has all words but so many, and one of these, which are bits. Of any words that
    /// are one more than it lacks such a document has one, so the rarest of them lead.
    pub(crate) fn all_but(mut self, lacking: u32, words: u32, each: &mut impl FnMut(Match<'_>)) {
        let rising = std::mem::take(&mut self.rising);
        let (leaders, others) = rising.split_at(rising.len().min(lacking as usize + 1));
        while let Some(doc) = leaders.iter().map(|leader| self.cursors[*leader].doc()).min()
            && doc != TERMINATED
        {
            let leading = leaders.iter().filter(|leader| self.cursors[**leader].doc() == doc);
            let mut has = leading.fold(0_u32, |has, leader| has | 1 << leader);
            let mut lacks = leaders.len() as u32 - has.count_ones();
            for &other in others {
                if lacks > lacking {
                    break;
                }
                match self.cursors[other].seek(doc) == doc {
                    true => has |= 1 << other,
                    false => lacks += 1,
                }
            }
            if lacks == lacking && has & words != 0 {
                each(self.scored(doc, has));
            }
            for &leader in leaders {
                if self.cursors[leader].doc() == doc {
                    self.cursors[leader].advance();
                }
            }
        }
    }

    /// A document that has these words, at which their cursors stand.
    #[inline]
    fn scored(&mut self, doc: u32, has: u32) -> Match<'static> {
        let norm = self.lengths.norm(doc);
        let (mut score, mut weak, mut begun) = (0.0, 0, 0);
        // Scores are added in the order of the words, so that the sum is the same in every segment.
        for (place, cursor) in self.cursors.iter_mut().enumerate() {
            if has >> place & 1 == 1 {
                let word = cursor.score(doc, norm);
                score += word.score;
                weak |= u32::from(word.is_weak) << place;
                begun |= u32::from(word.is_begun) << place;
            }
        }
        Match { doc, has, weak, begun, worth: Worth::Known(score) }
    }

    /// Calls `each` with every document that has any of these words, which are bits.
    pub(crate) fn any_word(self, words: u32, each: &mut impl FnMut(Match<'_>)) {
        self.by_windows(|| Wanted::Any(words), each);
    }

    /// Calls `each` with every document that has one of these words, which are bits, and lacks at least so many of all, and
    /// at most as many as is said by then.
    pub(crate) fn lacking(self, least: u32, most: &Cell<u32>, words: u32, each: &mut impl FnMut(Match<'_>)) {
        self.by_windows(|| Wanted::Lacking { least, most: most.get(), words }, each);
    }

    /// Unites the documents of all words, and calls `each` with those that are wanted.
    fn by_windows(mut self, wanted: impl Fn() -> Wanted, each: &mut impl FnMut(Match<'_>)) {
        let mut window = Window::new(self.lengths, self.weights);
        while let Some(first) = self.cursors.iter().map(SlotCursor::doc).min().filter(|doc| *doc != TERMINATED) {
            window.begin(first);
            for (place, cursor) in self.cursors.iter_mut().enumerate() {
                cursor.fill(&mut window, place);
            }
            window.drain(wanted(), &mut *each);
        }
    }
}

/// Whether uniting lists that have so many documents together, of all that there are, costs less than looking for some of
/// them in the others.
pub(crate) fn is_dense(leading: u64, total: u64, docs: u64) -> bool {
    total + docs / u64::from(WINDOW) * WINDOW_COST < LOOK_UP_COST * leading
}

pub(crate) fn read_error(error: std::io::Error) -> Error {
    Error::io("text index", error)
}
