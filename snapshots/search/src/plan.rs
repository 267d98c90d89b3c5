//! From the words of a query to what is looked for: each word with the words that may stand for it, and what a looser
//! reading of the query would be.

use std::cmp::Reverse;

use crate::analysis::{Analyzer, MAX_SHORT_PREFIX};
use crate::curation::Curation;
use crate::error::Error;
use crate::index::Index;
use crate::query::QueryWord;
use crate::spelling::Candidate;

/// So many neighbouring words are tried as one at the most.
const MAX_JOINED_WORDS: usize = 4;
/// A joined word of letters alone must stand in this many products, and have this many letters, to be no accident.
const MIN_JOINED_PRODUCTS: u64 = 2;
const MIN_JOINED_LETTERS: usize = 5;
/// The shortest part that a word is split into.
const MIN_SPLIT_LETTERS: usize = 2;
const MIN_SPLIT_WORD_LETTERS: usize = 5;
/// A word that this few products have may be meant to be two, if so many times more products have those.
const RARE_COMPOUND_PRODUCTS: u64 = 30;
const COMMONER_PARTS: u64 = 3;
/// A word that this few products have may be a misspelling of a word that many more have.
const RARE_PRODUCTS: u64 = 3;
const COMMONER: u64 = 20;
/// What a rare word's likelier spelling counts.
const RARE_CORRECTION_WEIGHT: f32 = 0.7;
/// What less likely corrections count at the most, and how many there are.
const OTHER_CORRECTION_WEIGHT: f32 = 0.5;
const MAX_CORRECTIONS: usize = 3;
/// A candidate is compared with so many other words of the query.
const MAX_CONTEXT: usize = 4;
/// What a synonym counts, next to the word itself.
const SYNONYM_WEIGHT: f32 = 0.9;
/// So many readings are tried at the most: those with synonyms of several words first.
const MAX_READINGS: usize = 8;
/// What a compound counts, next to the word that it ends in, and how many there are at the most.
const COMPOUND_WEIGHT: f32 = 0.8;
const MAX_COMPOUNDS: usize = 64;
/// So many forms of a word are looked for as ends of compounds.
const MAX_FORMS: usize = 6;
/// So many words with an ending, or a beginning, are looked at.
const MAX_ENDINGS: usize = 2_000;
const MIN_COMPOUND_LETTERS: usize = 4;
/// What holds the parts of compounds together.
const LINKS: [&str; 6] = ["s", "n", "en", "es", "er", "e"];
/// Products that two words stand together in are counted up to this.
const MAX_TOGETHER: u32 = 256;

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
}

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// At most 32.
    pub(crate) slots: Vec<Slot>,
    /// Words of the query that are not looked for: they say nothing, or no product has them.
    pub(crate) dropped: Vec<String>,
    /// The query as it was understood, where that is not as it was typed.
    pub(crate) corrected: Option<String>,
    /// What the query may also mean, where synonyms of several words stand for some of it.
    pub(crate) readings: Vec<Plan>,
    /// It is such a reading of another plan.
    pub(crate) is_reading: bool,
    /// Stems by which a reading names a word of the query, and the word's place.
    pub(crate) also: Vec<(String, usize)>,
}

impl Plan {
    /// The query as it was typed.
    pub(crate) fn as_typed(index: &Index, words: &[QueryWord]) -> Result<Self, Error> {
        let mut slots: Vec<Slot> = words.iter().map(|word| Slot::of(&index.analyzer, word)).collect();
        if let (Some(slot), Some(word)) = (slots.last_mut(), words.last()) {
            slot.prefix = Some(word.text.clone());
        }
        join_neighbours(index, words, &mut slots)?;
        let mut plan = Self { slots, ..Self::default() };
        let stems: Vec<&str> = words.iter().map(|word| word.stem.as_str()).collect();
        let of_several_words = plan.add_synonyms(index, &stems);
        for (at, length, to) in of_several_words {
            plan.add_reading(index, words, at, length, to);
        }
        for (at, word) in words.iter().enumerate() {
            if plan.readings.len() < MAX_READINGS
                && let Some(parts) = index.commoner_parts(word)?
            {
                plan.add_reading(index, words, at, 1, &parts);
            }
        }
        add_compounds(index, words, &mut plan.slots);
        plan.drop_idle_words(index, words);
        Ok(plan)
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

    /// Adds a reading with other words in place of some.
    fn add_reading(&mut self, index: &Index, words: &[QueryWord], at: usize, length: usize, to: &[String]) {
        let mut slots = self.slots.clone();
        let others = to.iter().map(|word| Slot::word(&index.analyzer, word));
        slots.splice(at..at + length, others);
        slots.truncate(u32::BITS as usize);
        let kept: Vec<QueryWord> = words[..at].iter().chain(&words[at + length..]).cloned().collect();
        let mut reading = Self { slots, is_reading: true, ..Self::default() };
        let is_idle = |slot: &Slot| kept.iter().any(|word| word.text == slot.text && index.is_idle(word));
        if !reading.slots.iter().all(is_idle) {
            reading.slots.retain(|slot| !is_idle(slot));
        }
        self.readings.push(reading);
        // The last of the words names what the others only describe.
        self.also.extend(to.last().map(|word| (index.analyzer.stem(word).into_owned(), at)));
    }

    /// Takes out what says nothing, if something else is left: stop words, and units whose number says them too.
    fn drop_idle_words(&mut self, index: &Index, words: &[QueryWord]) {
        let is_idle = |word: &QueryWord| index.is_idle(word);
        if words.iter().all(is_idle) {
            return;
        }
        let mut idle = words.iter().map(is_idle);
        let before = self.slots.len();
        let places: Vec<bool> = (0..before).map(|_| !idle.next().unwrap_or(false)).collect();
        let mut kept = places.iter();
        self.slots.retain(|_| kept.next().copied().unwrap_or(true));
        // A word that is not looked for has no place.
        self.also.retain(|(_, place)| places[*place]);
        self.also.iter_mut().for_each(|(_, place)| *place = places[..*place].iter().filter(|kept| **kept).count());
        let stop_words = words.iter().filter(|word| !word.is_unit && is_idle(word));
        self.dropped = stop_words.map(|word| word.text.clone()).collect();
    }

    /// The word that names a product type: the last one that is no number.
    pub(crate) fn head(&self) -> Option<usize> {
        self.slots.iter().rposition(|slot| !slot.text.bytes().any(|byte| byte.is_ascii_digit()))
    }

    /// The query with its misspelled words corrected, and without the words that no product has. None where nothing
    /// would change.
    ///
    /// # Errors
    /// When the text index cannot be read.
    pub(crate) fn corrected(&self, index: &Index, curation: &Curation<'_>) -> Result<Option<Self>, Error> {
        let mut known = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            known.push(slot.product_count(index)?);
        }
        let mut plan = Self { dropped: self.dropped.clone(), ..Self::default() };
        let (mut changed, mut told) = (false, Vec::new());
        for (place, slot) in self.slots.iter().enumerate() {
            let context = self.slots.iter().enumerate();
            let context = context.filter(|(other, _)| *other != place && known[*other] > 0);
            // The rarest words say most, and are compared with at the least cost.
            let mut context: Vec<(u64, &str)> =
                context.map(|(other, slot)| (known[other], slot.alternatives[0].stem.as_str())).collect();
            context.sort_unstable();
            context.truncate(MAX_CONTEXT);
            let context: Vec<&str> = context.into_iter().map(|(_, stem)| stem).collect();
            match index.correction(curation, slot, known[place], &context)? {
                Correction::None if known[place] == 0 => {
                    plan.dropped.push(slot.text.clone());
                    changed = true;
                }
                Correction::None => {
                    told.push(slot.text.clone());
                    plan.slots.push(slot.clone());
                }
                Correction::Also(alternative) => {
                    let mut slot = slot.clone();
                    slot.alternatives.push(alternative);
                    told.push(slot.text.clone());
                    plan.slots.push(slot);
                    changed = true;
                }
                Correction::Words(words) => {
                    told.extend(words.iter().map(|slot| slot.text.clone()));
                    plan.slots.extend(words);
                    (changed, plan.corrected) = (true, Some(String::new()));
                }
            }
        }
        plan.corrected = plan.corrected.map(|_| told.join(" "));
        plan.slots.truncate(u32::BITS as usize);
        Ok((changed && !plan.slots.is_empty()).then_some(plan))
    }
}

impl Slot {
    /// Whether the documents of its prefix are listed.
    pub(crate) fn has_short_prefix(&self) -> bool {
        self.prefix.as_ref().is_some_and(|prefix| prefix.chars().count() <= MAX_SHORT_PREFIX)
    }

    fn of(analyzer: &Analyzer, word: &QueryWord) -> Self {
        let own = Alternative { stem: word.stem.clone(), weight: 1.0 };
        let mut slot =
            Self { text: word.text.clone(), alternatives: vec![own], prefix: None, is_number: word.is_number };
        for whole in &word.wholes {
            slot.also(&analyzer.stem(whole), 1.0);
        }
        slot
    }

    pub(crate) fn word(analyzer: &Analyzer, text: &str) -> Self {
        let own = Alternative { stem: analyzer.stem(text).into_owned(), weight: 1.0 };
        Self { text: text.to_owned(), alternatives: vec![own], prefix: None, is_number: false }
    }

    /// Adds what may stand for the word.
    pub(crate) fn also(&mut self, stem: &str, weight: f32) {
        match self.alternatives.iter_mut().find(|known| known.stem == stem) {
            Some(known) => known.weight = known.weight.max(weight),
            None => self.alternatives.push(Alternative { stem: stem.to_owned(), weight }),
        }
    }

    /// How many products have the word or something that stands for it, those that have several counted for each.
    fn product_count(&self, index: &Index) -> Result<u64, Error> {
        let mut count = 0;
        for alternative in &self.alternatives {
            count += index.stem_count(&alternative.stem)?;
        }
        if let Some(prefix) = &self.prefix {
            for words in index.vocabularies() {
                count += words.with_prefix(prefix).map(|word| u64::from(words.product_count(word))).sum::<u64>();
            }
        }
        Ok(count)
    }
}

/// Adds to each word what it makes together with its neighbours, where products write them as one: "blue tooth".
fn join_neighbours(index: &Index, words: &[QueryWord], slots: &mut [Slot]) -> Result<(), Error> {
    for first in 0..words.len() {
        let mut joined = words[first].text.clone();
        for last in first + 1..words.len().min(first + MAX_JOINED_WORDS) {
            joined.push_str(&words[last].text);
            if words[first..=last].iter().all(|word| word.is_number || word.is_unit) {
                continue;
            }
            let is_code = joined.bytes().any(|byte| byte.is_ascii_digit());
            if joined.len() < MIN_JOINED_LETTERS {
                continue;
            }
            let stem = index.analyzer.stem(&joined).into_owned();
            // What only looks like an ending is the whole last word.
            if stem.len() <= joined.len() - words[last].text.len() {
                continue;
            }
            let enough = if is_code { 1 } else { MIN_JOINED_PRODUCTS };
            if index.stem_count(&stem)? >= enough {
                slots[first..=last].iter_mut().for_each(|slot| slot.also(&stem, 1.0));
            }
        }
    }
    Ok(())
}

/// Adds to each word the compounds that end in it, where the language has such: "Schuhe" are also "Lederschuhe".
fn add_compounds(index: &Index, words: &[QueryWord], slots: &mut [Slot]) {
    if !index.analyzer.has_compounds() {
        return;
    }
    for (slot, word) in slots.iter_mut().zip(words).filter(|(_, word)| !word.is_number) {
        if word.text.chars().count() >= MIN_COMPOUND_LETTERS {
            for compound in index.compounds_of(&index.forms_of(word)) {
                slot.also(&index.analyzer.stem(&compound), COMPOUND_WEIGHT);
            }
        }
    }
}

/// What to make of a word.
enum Correction {
    None,
    /// The word stays, and may also mean this.
    Also(Alternative),
    /// The word was meant to be this, or these.
    Words(Vec<Slot>),
}

impl Index {
    /// Whether products need not have a word.
    fn is_idle(&self, word: &QueryWord) -> bool {
        word.is_unit || self.analyzer.is_stop_word(&word.text) || self.rules.is_stop_word(&word.stem)
    }

    /// A word and the commonest other forms of it that products have.
    fn forms_of(&self, word: &QueryWord) -> Vec<String> {
        let is_form = |form: &str| {
            let is_long = form.chars().count() >= MIN_COMPOUND_LETTERS;
            is_long && form != word.text && self.analyzer.stem(form) == word.stem
        };
        let all = self.vocabularies().flat_map(|vocabulary| {
            let numbers = vocabulary.with_prefix(&word.stem).take(MAX_ENDINGS);
            let numbers = numbers.filter(|number| vocabulary.is_current(*number));
            numbers.map(|number| vocabulary.word(number)).filter(|form| is_form(form))
        });
        let mut forms = vec![word.text.clone()];
        forms.extend(self.commonest_first(all.collect()).take(MAX_FORMS - 1).map(str::to_owned));
        forms
    }

    /// The commonest words that end in one of `forms`, and begin with another word.
    fn compounds_of(&self, forms: &[String]) -> Vec<String> {
        let is_word = |text: &str| text.chars().count() > MIN_SPLIT_LETTERS && self.word_count(text) > 0;
        let is_modifier =
            |text: &str| is_word(text) || LINKS.iter().filter_map(|link| text.strip_suffix(link)).any(is_word);
        let is_compound = |word: &&str| {
            let form = forms.iter().find(|form| word.len() > form.len() && word.ends_with(form.as_str()));
            form.is_some_and(|form| is_modifier(&word[..word.len() - form.len()]))
        };
        let all = self.vocabularies().flat_map(|vocabulary| {
            let endings = forms.iter().flat_map(move |form| vocabulary.with_ending(form).take(MAX_ENDINGS));
            endings.filter(|number| vocabulary.is_current(*number)).map(|number| vocabulary.word(number))
        });
        self.commonest_first(all.collect()).filter(is_compound).take(MAX_COMPOUNDS).map(str::to_owned).collect()
    }

    /// The words of a list, each once, those that most products have first, over all segments.
    fn commonest_first<'w>(&self, mut words: Vec<&'w str>) -> impl Iterator<Item = &'w str> + use<'w> {
        words.sort_unstable();
        words.dedup();
        words.sort_by_cached_key(|word| Reverse(self.word_count(word)));
        words.into_iter()
    }

    fn correction(
        &self,
        curation: &Curation<'_>,
        slot: &Slot,
        products: u64,
        context: &[&str],
    ) -> Result<Correction, Error> {
        if products > RARE_PRODUCTS {
            return Ok(Correction::None);
        }
        let mut candidates = self.spelling_candidates(&slot.text);
        candidates.retain(|candidate| !self.analyzer.is_stop_word(&candidate.word));
        if self.segments().iter().any(|part| part.liveness.is_some()) || curation.hides_any() {
            let mut seen = Vec::with_capacity(candidates.len());
            for candidate in &candidates {
                seen.push(self.is_seen(curation, &self.analyzer.stem(&candidate.word))?);
            }
            let mut seen = seen.into_iter();
            candidates.retain(|_| seen.next() == Some(true));
        }
        if products > 0 {
            candidates.retain(|candidate| candidate.mistakes == 1 && candidate.products >= COMMONER * products);
            let best = candidates.first();
            return Ok(best.map_or(Correction::None, |best| {
                let stem = self.analyzer.stem(&best.word).into_owned();
                Correction::Also(Alternative { stem, weight: RARE_CORRECTION_WEIGHT })
            }));
        }
        for candidate in &mut candidates {
            candidate.likelihood += self.fit(&candidate.word, context)?;
        }
        candidates.sort_by(|a, b| b.likelihood.total_cmp(&a.likelihood).then_with(|| a.word.cmp(&b.word)));
        if let Some(parts) = self.split(&slot.text, candidates.first())? {
            return Ok(Correction::Words(parts.map(|part| Slot::word(&self.analyzer, &part)).to_vec()));
        }
        let Some(best) = candidates.first() else { return Ok(Correction::None) };
        let mut corrected = Slot::word(&self.analyzer, &best.word);
        corrected.prefix.clone_from(&slot.prefix);
        for other in &candidates[1..candidates.len().min(MAX_CORRECTIONS)] {
            let weight = OTHER_CORRECTION_WEIGHT * ((other.likelihood - best.likelihood) / 2.0).exp();
            if weight >= 0.1 {
                corrected.also(&self.analyzer.stem(&other.word), weight);
            }
        }
        Ok(Correction::Words(vec![corrected]))
    }

    /// Whether any product that may be seen has a stem: words of others are none to lead a shopper to.
    fn is_seen(&self, curation: &Curation<'_>, stem: &str) -> Result<bool, Error> {
        for (place, (text, part)) in self.texts.iter().zip(self.segments()).enumerate() {
            let Some(stem) = text.stem_number(stem)? else { continue };
            if text.postings.docs(stem).iter().any(|doc| part.is_live(*doc) && !curation.is_hidden(place, *doc)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first part of a compound without what holds it to the next, where it is a word so, and else as it is.
    fn without_link<'w>(&self, part: &'w str) -> &'w str {
        if !self.analyzer.has_compounds() || self.word_count(part) > 0 {
            return part;
        }
        let bare = LINKS.iter().filter_map(|link| part.strip_suffix(link));
        bare.into_iter()
            .find(|bare| bare.chars().count() > MIN_SPLIT_LETTERS && self.word_count(bare) > 0)
            .unwrap_or(part)
    }

    /// How well a word fits the query's other words: the mean logarithm of how many products have it with each.
    fn fit(&self, word: &str, context: &[&str]) -> Result<f32, Error> {
        let stem = self.analyzer.stem(word);
        let mut sum = 0.0;
        for other in context {
            sum += (self.count_together(&stem, other, MAX_TOGETHER)? as f32).ln_1p();
        }
        Ok(sum / context.len().max(1) as f32)
    }

    /// The two words as which far more products write a rare one: "fire pit" for "firepit".
    fn commoner_parts(&self, word: &QueryWord) -> Result<Option<[String; 2]>, Error> {
        let is_rare = |products: u64| products > 0 && products <= RARE_COMPOUND_PRODUCTS;
        if word.is_number || !is_rare(self.stem_count(&word.stem)?) {
            return Ok(None);
        }
        let Some(parts) = self.split(&word.text, None)? else { return Ok(None) };
        let [left, right] = [&parts[0], &parts[1]].map(|part| self.analyzer.stem(part));
        let together = u64::from(self.count_neighbours(&left, &right, MAX_TOGETHER)?);
        Ok((together >= COMMONER_PARTS * self.stem_count(&word.stem)?).then_some(parts))
    }

    /// The two words that one was probably meant to be, unless the best correction is more likely.
    fn split(&self, word: &str, best: Option<&Candidate>) -> Result<Option<[String; 2]>, Error> {
        let letters = word.chars().count();
        if letters < MIN_SPLIT_WORD_LETTERS {
            return Ok(None);
        }
        let mut chosen: Option<(f32, u32, [String; 2])> = None;
        let ends = word.char_indices().map(|(at, _)| at).skip(MIN_SPLIT_LETTERS);
        for at in ends.take(letters + 1 - 2 * MIN_SPLIT_LETTERS) {
            let (left, right) = word.split_at(at);
            if !is_split_point(left, right) {
                continue;
            }
            let left = self.without_link(left);
            let right_stem = self.analyzer.stem(right);
            let rarer = match self.word_count(left) {
                0 => 0,
                left => left.min(self.stem_count(&right_stem)?),
            };
            if rarer == 0 {
                continue;
            }
            let together = self.count_together(&self.analyzer.stem(left), &right_stem, MAX_TOGETHER)?;
            let shorter = left.len().min(right.len());
            if shorter < 3 && together == 0 {
                continue;
            }
            let score = (rarer as f32).ln_1p() + 2.0 * (together as f32).ln_1p();
            if chosen.as_ref().is_none_or(|(best, ..)| score > *best) {
                chosen = Some((score, together, [left.to_owned(), right.to_owned()]));
            }
        }
        let Some((_, together, parts)) = chosen else { return Ok(None) };
        let wins = match best {
            None => true,
            // One mistake is likelier than a lost space, unless the two words often stand together.
            Some(best) if best.mistakes == 1 => together >= 5 && u64::from(together) * 50 >= best.products,
            Some(_) => together > 0,
        };
        Ok(wins.then_some(parts))
    }
}

/// A word with digits is split between letters and digits only.
fn is_split_point(left: &str, right: &str) -> bool {
    let (before, after) = (left.chars().next_back(), right.chars().next());
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let has_digits = left.bytes().chain(right.bytes()).any(|byte| byte.is_ascii_digit());
    !has_digits || is_digit(before) != is_digit(after)
}
