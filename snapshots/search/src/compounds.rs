//! Words that are written as one, in languages that do: "Lederschuhe" are "Schuhe".

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::error::Error;
use crate::index::Index;
use crate::joining::MIN_SPLIT_LETTERS;
use crate::plan::{MAX_READINGS, Plan, Replacement, Slot};
use crate::query::QueryWord;

/// What a compound counts, next to the word that it ends in, and how many there are at the most.
const COMPOUND_WEIGHT: f32 = 0.8;
const MAX_COMPOUNDS: usize = 64;
/// So many forms of a word are looked for as ends of compounds.
const MAX_FORMS: usize = 6;
/// So many words with an ending, or a beginning, are looked at.
const MAX_ENDINGS: usize = 2_000;
/// The shortest word that compounds end in, where products have it on its own. One shorter than what a compound's parts usually have ends too many others by
/// chance: what stands before it must be a word.
const MIN_HEAD_LETTERS: usize = 3;
const MIN_PART_LETTERS: usize = 4;
/// A beginning that is no word is one of compounds, where as many words go on with another: "gummi" of "Gummistiefel" is in
/// "Gummiboot" and "Gummihandschuh". So many beginnings are asked for that, and so many words for each.
const SHARING_WORDS: usize = 2;
const MAX_SHARED: usize = 32;
const MAX_SHARING: usize = 32;
/// What holds the parts of compounds together.
const LINKS: [&str; 6] = ["s", "n", "en", "es", "er", "e"];

/// Adds to each word the compounds that end in it, where the language has such: "Schuhe" are also "Lederschuhe".
pub(crate) fn add_compounds(index: &Index, words: &[QueryWord], slots: &mut [Slot]) {
    if !index.analyzer.has_compounds() {
        return;
    }
    for (slot, word) in slots.iter_mut().zip(words).filter(|(_, word)| !word.is_number) {
        let letters = word.text.chars().count();
        if letters < MIN_HEAD_LETTERS || index.analyzer.is_stop_word(&word.text) {
            continue;
        }
        let forms = index.forms_of(word);
        // Most that is this short is only the beginning of a word, and going through its endings would be for nothing.
        if letters < MIN_PART_LETTERS && !forms.iter().any(|form| index.word_count(form) > 0) {
            continue;
        }
        for compound in index.compounds_of(&word.stem, &forms) {
            slot.also(&index.analyzer.stem(&compound), COMPOUND_WEIGHT);
        }
    }
}

impl Plan {
    /// Adds readings with the parts of compounds in their place: "Lederschuhe" are also "Schuhe aus Leder". Whether there are
    /// any.
    ///
    /// # Errors
    /// When the text index cannot be read.
    pub(crate) fn read_in_parts(&mut self, index: &Index) -> Result<bool, Error> {
        if !index.analyzer.has_compounds() {
            return Ok(false);
        }
        let before = self.readings.len();
        for place in 0..self.slots.len() {
            let slot = &self.slots[place];
            let mut parts = self.readings.iter().flat_map(|reading| &reading.parts);
            let is_read = parts.any(|part| part.replaced == (place..place + 1));
            if slot.is_number || is_read || self.readings.len() >= MAX_READINGS {
                continue;
            }
            // What no product has is corrected, and told.
            if index.stem_count(&index.analyzer.stem(&slot.text))? == 0 {
                continue;
            }
            if let Some(parts) = index.split(&slot.text, None)?
                && parts.iter().all(|part| part.chars().count() >= MIN_HEAD_LETTERS)
            {
                let replaced = place..place + 1;
                let (to, weight) = (parts.into(), COMPOUND_WEIGHT);
                self.add_reading(index, &Replacement { replaced, to, weight, is_strict: false });
                // Apart they say the same: side by side they would be written as one.
                let added = self.readings[before..].iter_mut().flat_map(|reading| &mut reading.parts);
                added.for_each(|part| part.phrase.clear());
            }
        }
        Ok(self.readings.len() > before)
    }
}

impl Index {
    /// A word and the commonest other forms of it that products have.
    fn forms_of(&self, word: &QueryWord) -> Vec<String> {
        let is_form = |form: &str| {
            let is_long = form.chars().count() >= MIN_HEAD_LETTERS;
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

    /// The commonest words that end in one of the forms of a stem, and begin with another word.
    fn compounds_of(&self, stem: &str, forms: &[String]) -> Vec<String> {
        let is_word = |text: &str| text.chars().count() > MIN_SPLIT_LETTERS && self.word_count(text) > 0;
        let is_modifier =
            |text: &str| is_word(text) || LINKS.iter().filter_map(|link| text.strip_suffix(link)).any(is_word);
        let mut shared = 0;
        let is_compound = |word: &&str| {
            let form = forms.iter().find(|form| word.len() > form.len() && word.ends_with(form.as_str()));
            let Some(form) = form else { return false };
            let beginning = &word[..word.len() - form.len()];
            let is_long = beginning.chars().count() >= MIN_PART_LETTERS;
            if form.chars().count() < MIN_PART_LETTERS {
                return is_long && is_modifier(beginning);
            }
            if is_modifier(beginning) {
                return true;
            }
            let is_asked = is_long && shared < MAX_SHARED;
            shared += usize::from(is_asked);
            is_asked && self.is_shared(beginning, stem)
        };
        let all = self.vocabularies().flat_map(|vocabulary| {
            let endings = forms.iter().flat_map(move |form| vocabulary.with_ending(form).take(MAX_ENDINGS));
            endings.filter(|number| vocabulary.is_current(*number)).map(|number| vocabulary.word(number))
        });
        self.commonest_first(all.collect()).filter(is_compound).take(MAX_COMPOUNDS).map(str::to_owned).collect()
    }

    /// Whether several words begin like this and go on with words of their own, forms of `stem` aside: "praktische" is no
    /// table.
    fn is_shared(&self, beginning: &str, stem: &str) -> bool {
        let mut others: Vec<Cow<'_, str>> = Vec::new();
        for vocabulary in self.vocabularies() {
            let numbers = vocabulary.with_prefix(beginning).take(MAX_SHARING);
            for number in numbers.filter(|number| vocabulary.is_current(*number)) {
                let rest = &vocabulary.word(number)[beginning.len()..];
                if rest.chars().count() >= MIN_PART_LETTERS && self.word_count(rest) > 0 {
                    let other = self.analyzer.stem(rest);
                    if other != stem && !others.contains(&other) {
                        others.push(other);
                    }
                }
                if others.len() == SHARING_WORDS {
                    return true;
                }
            }
        }
        false
    }

    /// The words of a list, each once, those that most products have first, over all segments.
    fn commonest_first<'w>(&self, mut words: Vec<&'w str>) -> impl Iterator<Item = &'w str> + use<'w> {
        words.sort_unstable();
        words.dedup();
        words.sort_by_cached_key(|word| Reverse(self.word_count(word)));
        words.into_iter()
    }

    /// The first part of a compound without what holds it to the next, where it is a word so, and else as it is.
    pub(crate) fn without_link<'w>(&self, part: &'w str) -> &'w str {
        if !self.analyzer.has_compounds() || self.word_count(part) > 0 {
            return part;
        }
        let bare = LINKS.iter().filter_map(|link| part.strip_suffix(link));
        bare.into_iter()
            .find(|bare| bare.chars().count() > MIN_SPLIT_LETTERS && self.word_count(bare) > 0)
            .unwrap_or(part)
    }
}
