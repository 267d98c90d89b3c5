//! From the words of a query to what is looked for: each word with the words that may stand for it, and what else the
//! query may mean.

use std::ops::Range;

use crate::analysis::{Analyzer, MAX_SHORT_PREFIX};
use crate::bits::every_word;
use crate::compounds::add_compounds;
use crate::error::Error;
use crate::index::Index;
use crate::joining::{MAX_CODE_PAIRS, has_digits, join_neighbours};
use crate::query::QueryWord;

/// What a synonym counts, next to the word itself.
const SYNONYM_WEIGHT: f32 = 0.9;
/// What a number counts without the unit that the query has behind it: so little that it makes a product weak, if it stands
/// where products say what they are.
const BARE_NUMBER_WEIGHT: f32 = 0.1;
/// So many readings are tried at the most: those with synonyms of several words first.
pub(crate) const MAX_READINGS: usize = 8;

/// Something that a product can have in place of a word of the query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alternative {
    /// As the text index knows it.
    pub(crate) stem: String,
    /// What it counts, next to the word itself.
    pub(crate) weight: f32,
}

/// A word of the query and all that may stand for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slot {
    /// The word as answers tell it: corrected, if it was.
    pub(crate) text: String,
    pub(crate) alternatives: Vec<Alternative>,
    /// Set where the word may be unfinished.
    pub(crate) prefix: Option<String>,
    pub(crate) is_number: bool,
    /// It says nothing by itself, and is looked for since the query joins it to another: "at&t".
    pub(crate) is_stop_word: bool,
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// At most 32.
    pub(crate) slots: Vec<Slot>,
    /// The word that names a product type, by its place.
    pub(crate) head: Option<usize>,
    /// Words of the query that are not looked for: they say nothing, or no product has them.
    pub(crate) dropped: Vec<String>,
    /// The query as it was understood, where that is not as it was typed.
    pub(crate) corrected: Option<String>,
    /// What the query may also mean, where synonyms of several words stand for some of it.
    pub(crate) readings: Vec<Reading>,
    /// The query with the letter that it ends in, though that is a stop word: what has it so comes first, and no product
    /// needs it.
    pub(crate) ending: Option<Box<Reading>>,
    /// It is such a reading of another plan.
    pub(crate) is_reading: bool,
    /// Stems by which a reading names a word of the query, and the word's place.
    pub(crate) also: Vec<(String, usize)>,
}

/// A query with other words in place of some.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) plan: Plan,
    /// Where it differs, in the order of the words.
    pub(crate) parts: Vec<ReadPart>,
}

/// Words of a query that are read as others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReadPart {
    /// Those words by their places in the query, and the others by theirs in the reading.
    pub(crate) replaced: Range<usize>,
    pub(crate) others: Range<usize>,
    /// What the others count together, next to the words that they stand for.
    pub(crate) weight: f32,
    /// The stems of the others, where they mean the same only side by side.
    pub(crate) phrase: Vec<String>,
    /// What has them apart is not found.
    pub(crate) is_strict: bool,
}

/// Words side by side that may stand for some of a query; see [`ReadPart`].
pub(crate) struct Replacement {
    pub(crate) replaced: Range<usize>,
    pub(crate) to: Vec<String>,
    pub(crate) weight: f32,
    pub(crate) is_strict: bool,
}

impl Plan {
    /// The query as it was typed.
    pub(crate) fn as_typed(index: &Index, words: &[QueryWord]) -> Result<Self, Error> {
        Self::of_words(index, words, true)
    }

    /// What is looked for by these words, the last of which may be unfinished.
    pub(crate) fn of_words(index: &Index, words: &[QueryWord], is_unfinished: bool) -> Result<Self, Error> {
        let kept = index.looked_for(words);
        let head = head(&index.analyzer, words, &kept);
        let mut slots: Vec<Slot> = words.iter().map(|word| Slot::of(&index.analyzer, word)).collect();
        if let (Some(slot), Some(word), true) = (slots.last_mut(), words.last(), is_unfinished) {
            slot.prefix = Some(word.text.clone());
        }
        for (slot, word) in slots.iter_mut().zip(words) {
            slot.is_stop_word = index.is_stop_word(word);
            // Where no product has the quantity, the number is all there is.
            if let Some(quantity) = quantity(words, word)
                && index.stem_count(quantity)? > 0
                && let Some(own) = slot.alternatives.first_mut()
            {
                own.weight = BARE_NUMBER_WEIGHT;
            }
        }
        join_neighbours(index, words, &mut slots)?;
        let mut plan = Self { slots, head, ..Self::default() };
        let stems: Vec<&str> = words.iter().map(|word| word.stem.as_str()).collect();
        let of_several_words = plan.add_synonyms(index, &stems);
        add_compounds(index, words, &mut plan.slots);
        plan.drop_idle_words(words, &kept);
        plan.ending = plan.with_last_letter(index, words, &kept);
        let place = |at: usize| place_of(&kept, at);
        let synonyms = of_several_words.into_iter().map(|(at, length, to)| Replacement {
            replaced: place(at)..place(at + length),
            to: to.to_vec(),
            weight: SYNONYM_WEIGHT,
            is_strict: false,
        });
        // Where nothing is looked for, other words would only ask for more.
        let mut replacements: Vec<Replacement> = synonyms.filter(|synonym| !synonym.replaced.is_empty()).collect();
        let mut pairs = MAX_CODE_PAIRS;
        for (at, word) in words.iter().enumerate().filter(|(at, _)| kept[*at]) {
            if replacements.len() < MAX_READINGS {
                replacements.extend(index.parts_of(word, place(at)..place(at + 1), &mut pairs)?);
            }
        }
        replacements.truncate(MAX_READINGS);
        plan.add_readings(index, replacements);
        Ok(plan)
    }

    /// The words that say something by themselves, as bits; all, where none does.
    pub(crate) fn telling(&self) -> u32 {
        let every_word = every_word(self.slots.len());
        let stop_words = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_stop_word);
        match stop_words.fold(every_word, |telling, (place, _)| telling & !(1 << place)) {
            0 => every_word,
            telling => telling,
        }
    }

    /// Adds to each word its synonyms; gives those that are several words: where they stand, for how many words, and what
    /// they are.
    fn add_synonyms<'i>(&mut self, index: &'i Index, stems: &[&str]) -> Vec<(usize, usize, &'i [String])> {
        let mut longer = Vec::new();
        if index.rules.synonyms.is_empty() {
            return longer;
        }
        for at in 0..stems.len() {
            for synonym in index.rules.synonyms.at(stems, at) {
                match synonym.to.as_slice() {
                    [one] => {
                        let stem = index.analyzer.stem(one);
                        let slots = &mut self.slots[at..at + synonym.from.len()];
                        slots.iter_mut().for_each(|slot| slot.also(&stem, SYNONYM_WEIGHT));
                    }
                    several => longer.push((at, synonym.from.len(), several)),
                }
            }
        }
        longer.truncate(MAX_READINGS);
        longer
    }

    /// Adds a reading for each replacement, and one with all of them, of those for the same words the first.
    fn add_readings(&mut self, index: &Index, mut replacements: Vec<Replacement>) {
        for one in &replacements {
            self.add_reading(index, one);
        }
        replacements.sort_by_key(|one| one.replaced.start);
        let mut end = 0;
        replacements.retain(|one| {
            let is_apart = one.replaced.start >= end;
            end = if is_apart { one.replaced.end } else { end };
            is_apart
        });
        if replacements.len() > 1 {
            self.readings.truncate(MAX_READINGS - 1);
            self.readings.push(self.read_with(index, &replacements));
        }
    }

    /// Adds a reading with words in place of others.
    pub(crate) fn add_reading(&mut self, index: &Index, one: &Replacement) {
        // The last of the words names what the others only describe.
        let name = one.to.last().map(|word| (index.analyzer.stem(word).into_owned(), one.replaced.start));
        self.also.extend(name);
        self.readings.push(self.read_with(index, std::slice::from_ref(one)));
    }

    /// The query with all of these replacements, which are in the order of its words and do not overlap.
    fn read_with(&self, index: &Index, replacements: &[Replacement]) -> Reading {
        let (mut slots, mut parts, mut done) = (Vec::with_capacity(self.slots.len()), Vec::new(), 0);
        for one in replacements {
            slots.extend_from_slice(&self.slots[done..one.replaced.start]);
            let start = slots.len();
            slots.extend(one.to.iter().map(|word| Slot::word(&index.analyzer, word)));
            done = one.replaced.end;
            parts.push(ReadPart {
                replaced: one.replaced.clone(),
                others: start..slots.len(),
                weight: one.weight,
                phrase: one.to.iter().map(|word| index.analyzer.stem(word).into_owned()).collect(),
                is_strict: one.is_strict,
            });
        }
        slots.extend_from_slice(&self.slots[done..]);
        slots.truncate(u32::BITS as usize);
        parts.retain(|part| part.others.start < slots.len());
        parts.iter_mut().for_each(|part| part.others.end = part.others.end.min(slots.len()));
        Reading { plan: Self { slots, is_reading: true, ..Self::default() }, parts }
    }

    /// The words that are looked for and the letter behind them, where that is a stop word: side by side it says which one is
    /// meant, as in "vitamin a".
    fn with_last_letter(&self, index: &Index, words: &[QueryWord], kept: &[bool]) -> Option<Box<Reading>> {
        let ([.., before, last], [.., true, false]) = (words, kept) else { return None };
        if !is_letter(last) || last.is_unit || index.rules.is_stop_word(&last.stem) {
            return None;
        }
        let mut slots = self.slots.clone();
        slots.push(Slot::of(&index.analyzer, last));
        let at = slots.len() - 2;
        let phrase = vec![before.stem.clone(), last.stem.clone()];
        let plan = Self { slots, is_reading: true, ..Self::default() };
        // Nothing is read as something else.
        let part = ReadPart { replaced: at..at, others: at..at, weight: 1.0, phrase, is_strict: true };
        Some(Box::new(Reading { plan, parts: vec![part] }))
    }

    /// Takes out the words that are not looked for.
    fn drop_idle_words(&mut self, words: &[QueryWord], kept: &[bool]) {
        let mut each = kept.iter();
        self.slots.retain(|_| each.next().copied().unwrap_or(true));
        self.head = self.head.map(|at| place_of(kept, at));
        let stop_words = words.iter().zip(kept).filter(|(word, kept)| !word.is_unit && !**kept);
        self.dropped = stop_words.map(|(word, _)| word.text.clone()).collect();
    }
}

/// A number with the unit that stands behind it, as it is indexed: codes have no stems.
fn quantity<'w>(words: &[QueryWord], number: &'w QueryWord) -> Option<&'w str> {
    if !number.is_number {
        return None;
    }
    let is_unit = |text: &str| words.iter().any(|word| word.is_unit && word.text == text);
    let mut wholes = number.wholes.iter().map(String::as_str);
    wholes.find(|whole| whole.strip_prefix(number.text.as_str()).is_some_and(is_unit))
}

/// The place of a word, once those that are not looked for are gone.
fn place_of(kept: &[bool], at: usize) -> usize {
    kept[..at].iter().filter(|kept| **kept).count()
}

/// The word that names a product type, of those that are looked for: the last one that is no number, or the first in
/// languages that describe behind it, before what is only mentioned. "Bag for laptop" names a bag.
fn head(analyzer: &Analyzer, words: &[QueryWord], kept: &[bool]) -> Option<usize> {
    let is_name = |at: &usize| kept[*at] && !has_digits(&words[*at].text);
    let rule = analyzer.head();
    let begins = |phrase: &str, at: usize| {
        let mut parts = phrase.split(' ').enumerate();
        parts.all(|(next, part)| words.get(at + next).is_some_and(|word| word.text == part))
    };
    let end = (0..words.len()).find(|at| rule.ends_before.iter().any(|phrase| begins(phrase, *at)));
    let is_noun = |at: &usize| is_name(at) && !analyzer.is_stop_word(&words[*at].text);
    let mut named = (0..end.unwrap_or(words.len())).filter(is_noun);
    let found = if rule.is_first { named.next() } else { named.next_back() };
    found.or_else(|| (0..words.len()).rev().find(is_name))
}

impl Slot {
    /// Whether the documents of its prefix are listed.
    pub(crate) fn has_short_prefix(&self) -> bool {
        self.prefix.as_ref().is_some_and(|prefix| prefix.chars().count() <= MAX_SHORT_PREFIX)
    }

    fn of(analyzer: &Analyzer, word: &QueryWord) -> Self {
        let own = Alternative { stem: word.stem.clone(), weight: 1.0 };
        let mut slot = Self {
            text: word.text.clone(),
            alternatives: vec![own],
            prefix: None,
            is_number: word.is_number,
            is_stop_word: false,
        };
        for whole in &word.wholes {
            slot.also(&analyzer.stem(whole), 1.0);
        }
        slot
    }

    pub(crate) fn word(analyzer: &Analyzer, text: &str) -> Self {
        let own = Alternative { stem: analyzer.stem(text).into_owned(), weight: 1.0 };
        Self { text: text.to_owned(), alternatives: vec![own], prefix: None, is_number: false, is_stop_word: false }
    }

    /// Adds what may stand for the word.
    pub(crate) fn also(&mut self, stem: &str, weight: f32) {
        match self.alternatives.iter_mut().find(|known| known.stem == stem) {
            Some(known) => known.weight = known.weight.max(weight),
            None => self.alternatives.push(Alternative { stem: stem.to_owned(), weight }),
        }
    }
}

impl Index {
    /// Which words are looked for: those that say something, or all if none does. A unit is said by its number, too.
    fn looked_for(&self, words: &[QueryWord]) -> Vec<bool> {
        let is_kept = |(at, word): (usize, &QueryWord)| !self.is_idle(word, at + 1 == words.len());
        let kept: Vec<bool> = words.iter().enumerate().map(is_kept).collect();
        if kept.contains(&true) { kept } else { vec![true; words.len()] }
    }

    /// Whether products need not have a word. A stop word is a part of what it is joined to: "at&t", "on-ear"; but a letter
    /// at the end has a reading of its own.
    fn is_idle(&self, word: &QueryWord, is_last: bool) -> bool {
        let is_alone = || !is_end_of_whole(word) || (is_last && is_letter(word));
        word.is_unit || self.rules.is_stop_word(&word.stem) || (self.analyzer.is_stop_word(&word.text) && is_alone())
    }

    fn is_stop_word(&self, word: &QueryWord) -> bool {
        self.rules.is_stop_word(&word.stem) || self.analyzer.is_stop_word(&word.text)
    }
}

/// Whether a longer word begins or ends with it. What stands between two others may be written otherwise: "black-and-white"
/// is "black & white".
fn is_end_of_whole(word: &QueryWord) -> bool {
    word.wholes.iter().any(|whole| whole.starts_with(&word.text) || whole.ends_with(&word.text))
}

fn is_letter(word: &QueryWord) -> bool {
    word.text.chars().nth(1).is_none()
}
