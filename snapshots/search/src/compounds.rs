//! Words that are written as one, in languages that do: "Lederschuhe" are "Schuhe".

use std::cmp::Reverse;

use crate::index::Index;
use crate::joining::MIN_SPLIT_LETTERS;
use crate::plan::Slot;
use crate::query::QueryWord;

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

/// Adds to each word the compounds that end in it, where the language has such: "Schuhe" are also "Lederschuhe".
pub(crate) fn add_compounds(index: &Index, words: &[QueryWord], slots: &mut [Slot]) {
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

impl Index {
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
