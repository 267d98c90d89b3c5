//! What a query with misspelled words was probably meant to be.

use crate::analysis::{Analyzer, Tokens};
use crate::curation::Curation;
use crate::error::Error;
use crate::index::Index;
use crate::joining::{MAX_TOGETHER, has_digits};
use crate::plan::{Alternative, Plan, Slot};
use crate::query::QueryWord;
use crate::request::limits::QUERY_WORDS;

/// A word that this few products have may be a misspelling of a word that many more have.
const RARE_PRODUCTS: u64 = 3;
const COMMONER: u64 = 20;
/// A long word that more products have may be one, too: the more have it, the more times as many must have the other.
/// Fewer than what the first tier keeps of its hits (see `gather.rs`).
const REPEATED_PRODUCTS: u64 = 32;
const MIN_REPEATED_LETTERS: usize = 6;
/// What a rare word's likelier spelling counts.
const RARE_CORRECTION_WEIGHT: f32 = 0.7;
/// What less likely corrections count at the most, and how many there are.
const OTHER_CORRECTION_WEIGHT: f32 = 0.5;
const MAX_CORRECTIONS: usize = 3;
/// A candidate is compared with so many other words of the query.
const MAX_CONTEXT: usize = 4;

/// What to make of a word.
enum Correction {
    None,
    /// The word stays, and may also mean this.
    Also(Alternative),
    /// The word was meant to be these, the last of which may also be something else.
    Words(Vec<String>, Vec<Alternative>),
}

impl Plan {
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
        let read = self.read_as_others(index)?;
        let mut words: Vec<QueryWord> = Vec::new();
        let (mut told, mut dropped, mut also) = (Vec::new(), Vec::new(), Vec::new());
        // Longer words that what is dropped is a part of: no product has them either.
        let mut lost: Vec<&String> = Vec::new();
        // The last word may be unfinished while it stands as it was typed.
        let mut is_unfinished = false;
        for word in curation.words() {
            let place = self.slots.iter().position(|slot| slot.text == word.text);
            let correction = match place {
                // What stands for other words is no misspelling of any; a code may still be told in its parts.
                Some(place) if read[place] && !has_digits(&word.text) => Correction::None,
                Some(place) => {
                    index.correction(curation, &self.slots[place], known[place], &self.context(place, &known))?
                }
                // What is not looked for is not corrected.
                None => Correction::None,
            };
            is_unfinished = false;
            match correction {
                Correction::None if place.is_some_and(|place| known[place] == 0 && !read[place]) => {
                    dropped.push(word.text.clone());
                    lost.extend(&word.wholes);
                }
                Correction::None => {
                    push(&mut words, word.clone());
                    is_unfinished = true;
                }
                Correction::Also(alternative) => {
                    also.push((word.text.clone(), alternative));
                    push(&mut words, word.clone());
                    is_unfinished = true;
                }
                Correction::Words(texts, others) => {
                    told.push((word.text.as_str(), texts.join(" ")));
                    let last = texts.last().cloned().unwrap_or_default();
                    also.extend(others.into_iter().map(|other| (last.clone(), other)));
                    texts.into_iter().for_each(|text| push(&mut words, QueryWord::new(&index.analyzer, text)));
                }
            }
        }
        let is_changed = !told.is_empty() || !dropped.is_empty() || !also.is_empty();
        let telling = self.telling();
        let is_kept = |(place, slot): (usize, &Slot)| telling >> place & 1 == 1 && !dropped.contains(&slot.text);
        if !is_changed || !self.slots.iter().enumerate().any(is_kept) {
            return Ok(None);
        }
        words.truncate(QUERY_WORDS);
        // A stop word says nothing without what it was joined to.
        words.iter_mut().for_each(|word| word.wholes.retain(|whole| !lost.contains(&whole)));
        let mut plan = Self::of_words(index, &words, is_unfinished)?;
        // What is left out did not stand before the letter that ends the query, and what did is not its neighbour.
        if !dropped.is_empty() {
            plan.ending = None;
        }
        for (text, other) in also {
            let slot = plan.slots.iter_mut().find(|slot| slot.text == text);
            slot.into_iter().for_each(|slot| slot.also(&other.stem, other.weight));
        }
        plan.read_in_parts(index)?;
        plan.dropped.extend(dropped);
        plan.corrected = (!told.is_empty()).then(|| retold(&index.analyzer, curation.query(), &told));
        Ok(Some(plan))
    }

    /// Which words of the query are read as others that products have together, each with the next. Parts of a compound
    /// may stand anywhere in a product: that some have both says little of how the compound is spelled.
    fn read_as_others(&self, index: &Index) -> Result<Vec<bool>, Error> {
        let mut read = vec![false; self.slots.len()];
        for reading in &self.readings {
            for part in reading.parts.iter().filter(|part| !part.phrase.is_empty()) {
                let others = &reading.plan.slots[part.others.clone()];
                let others: Vec<_> = others.iter().map(|slot| index.analyzer.stem(&slot.text)).collect();
                let mut are_together = true;
                for pair in others.windows(2) {
                    are_together &= index.count_together(&pair[0], &pair[1], 1)? > 0;
                }
                read[part.replaced.clone()].iter_mut().for_each(|read| *read |= are_together);
            }
        }
        Ok(read)
    }

    /// The rarest of the other words that products have: they say most, and are compared with at the least cost.
    fn context(&self, place: usize, known: &[u64]) -> Vec<&str> {
        let others = self.slots.iter().enumerate().filter(|(other, _)| *other != place && known[*other] > 0);
        let others = others.filter_map(|(other, slot)| Some((known[other], slot.alternatives.first()?.stem.as_str())));
        let mut context: Vec<(u64, &str)> = others.collect();
        context.sort_unstable();
        context.truncate(MAX_CONTEXT);
        context.into_iter().map(|(_, stem)| stem).collect()
    }
}

/// Adds a word; a repeated word keeps its last place.
fn push(words: &mut Vec<QueryWord>, word: QueryWord) {
    words.retain(|earlier| earlier.text != word.text);
    words.push(word);
}

/// A query as it was typed, but for the words that were corrected.
fn retold(analyzer: &Analyzer, typed: &str, corrected: &[(&str, String)]) -> String {
    let mut tokens = Tokens::default();
    analyzer.read(typed, &mut tokens);
    let (mut text, mut done) = (String::with_capacity(typed.len()), 0);
    for token in tokens.iter().filter(|token| !token.kind.is_extra()) {
        if let Some((_, right)) = corrected.iter().find(|(wrong, _)| *wrong == token.text) {
            text.push_str(&typed[done..token.range.0]);
            text.push_str(right);
            done = token.range.1;
        }
    }
    text.push_str(&typed[done..]);
    text
}

impl Slot {
    /// How many products have the word or something that stands for it, those that have several counted for each.
    fn product_count(&self, index: &Index) -> Result<u64, Error> {
        let mut count = 0;
        for alternative in &self.alternatives {
            count += index.stem_count(&alternative.stem)?;
        }
        if let Some(prefix) = &self.prefix {
            for words in index.vocabularies() {
                // The word itself is counted already.
                let own = words.find(&self.text);
                let longer = words.with_prefix(prefix).filter(|word| Some(*word) != own);
                count += longer.map(|word| u64::from(words.product_count(word))).sum::<u64>();
            }
        }
        Ok(count)
    }
}

impl Index {
    fn correction(
        &self,
        curation: &Curation<'_>,
        slot: &Slot,
        products: u64,
        context: &[&str],
    ) -> Result<Correction, Error> {
        let is_long = slot.text.chars().count() >= MIN_REPEATED_LETTERS;
        let most = if is_long { REPEATED_PRODUCTS } else { RARE_PRODUCTS };
        if products > most {
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
            let enough = COMMONER * products * products.div_ceil(RARE_PRODUCTS);
            candidates.retain(|candidate| candidate.mistakes == 1 && candidate.products >= enough);
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
            return Ok(Correction::Words(parts.to_vec(), Vec::new()));
        }
        let Some(best) = candidates.first() else { return Ok(Correction::None) };
        let mut others = Vec::new();
        for other in &candidates[1..candidates.len().min(MAX_CORRECTIONS)] {
            let weight = OTHER_CORRECTION_WEIGHT * ((other.likelihood - best.likelihood) / 2.0).exp();
            if weight >= 0.1 {
                others.push(Alternative { stem: self.analyzer.stem(&other.word).into_owned(), weight });
            }
        }
        Ok(Correction::Words(vec![best.word.clone()], others))
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

    /// How well a word fits the query's other words: the mean logarithm of how many products have it with each.
    fn fit(&self, word: &str, context: &[&str]) -> Result<f32, Error> {
        let stem = self.analyzer.stem(word);
        let mut sum = 0.0;
        for other in context {
            sum += (self.count_together(&stem, other, MAX_TOGETHER)? as f32).ln_1p();
        }
        Ok(sum / context.len().max(1) as f32)
    }
}
