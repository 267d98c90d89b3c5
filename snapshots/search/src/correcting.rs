//! What a query with misspelled words was probably meant to be.

use crate::curation::Curation;
use crate::error::Error;
use crate::index::Index;
use crate::joining::MAX_TOGETHER;
use crate::plan::{Alternative, Plan, Slot};

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

/// What to make of a word.
enum Correction {
    None,
    /// The word stays, and may also mean this.
    Also(Alternative),
    /// The word was meant to be this, or these.
    Words(Vec<Slot>),
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

impl Index {
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
