//! Words that some write as one and others as two: "blue tooth", "firepit", "ps 5".

use std::ops::Range;

use crate::error::Error;
use crate::index::Index;
use crate::plan::{Replacement, Slot};
use crate::query::QueryWord;
use crate::spelling::Candidate;

/// So many neighbouring words are tried as one at the most.
const MAX_JOINED_WORDS: usize = 4;
/// A joined word of letters alone must stand in this many products, and have this many letters, to be no accident.
const MIN_JOINED_PRODUCTS: u64 = 2;
const MIN_JOINED_LETTERS: usize = 5;
/// A code from this length on may be divided anywhere, and a number from this length on is a code.
const MIN_LONG_CODE: usize = 6;
/// So many pairs of parts are looked for side by side for all codes of a query together.
pub(crate) const MAX_CODE_PAIRS: usize = 16;
/// What the parts of a code count, next to the code itself.
const CODE_PARTS_WEIGHT: f32 = 0.9;
/// The shortest part that a word is split into.
pub(crate) const MIN_SPLIT_LETTERS: usize = 2;
const MIN_SPLIT_WORD_LETTERS: usize = 5;
/// A word that this few products have may be meant to be two, if so many times more products have those.
const RARE_COMPOUND_PRODUCTS: u64 = 30;
const COMMONER_PARTS: u64 = 3;
/// Products that two words stand together in are counted up to this.
pub(crate) const MAX_TOGETHER: u32 = 256;

/// Adds to each word what it makes together with its neighbours, where products write them as one: "blue tooth".
pub(crate) fn join_neighbours(index: &Index, words: &[QueryWord], slots: &mut [Slot]) -> Result<(), Error> {
    for first in 0..words.len() {
        let mut joined = words[first].text.clone();
        for last in first + 1..words.len().min(first + MAX_JOINED_WORDS) {
            joined.push_str(&words[last].text);
            let are_numbers = words[first..=last].iter().all(|word| word.is_number || word.is_unit);
            if are_numbers && !is_long_number(&joined) {
                continue;
            }
            let is_code = has_digits(&joined);
            if !is_code && joined.len() < MIN_JOINED_LETTERS {
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

pub(crate) fn has_digits(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

fn is_long_number(word: &str) -> bool {
    word.len() >= MIN_LONG_CODE && word.bytes().all(|byte| byte.is_ascii_digit())
}

impl Index {
    /// What products may write in place of a word, which stands at these places of a query, as two; `pairs` is how many
    /// may still be looked for.
    pub(crate) fn parts_of(
        &self,
        word: &QueryWord,
        replaced: Range<usize>,
        pairs: &mut usize,
    ) -> Result<Vec<Replacement>, Error> {
        let is_code = has_digits(&word.text);
        let all = match is_code {
            true => self.parts_of_code(word, pairs)?,
            false => self.commoner_parts(word)?.into_iter().collect(),
        };
        let weight = if is_code { CODE_PARTS_WEIGHT } else { 1.0 };
        let parts = all.into_iter().map(|to| Replacement {
            replaced: replaced.clone(),
            to: to.into(),
            weight,
            is_strict: is_code,
        });
        Ok(parts.collect())
    }

    /// The words as which products write a code in two, side by side: "ps 5" for "ps5", "dv7 1211ea" for "dv71211ea".
    fn parts_of_code(&self, word: &QueryWord, pairs: &mut usize) -> Result<Vec<[String; 2]>, Error> {
        let text = word.text.as_str();
        let is_divided = text.chars().all(char::is_alphanumeric) && (!word.is_number || is_long_number(text));
        let is_word = |part: &str| !self.analyzer.is_stop_word(part) && self.word_count(part) > 0;
        let mut found = Vec::new();
        for (at, _) in text.char_indices().skip(1).filter(|_| is_divided) {
            let (left, right) = text.split_at(at);
            let is_point = text.len() >= MIN_LONG_CODE || is_split_point(left, right);
            if *pairs > 0 && is_point && is_word(left) && is_word(right) {
                *pairs -= 1;
                let [first, second] = [left, right].map(|part| self.analyzer.stem(part));
                if self.count_neighbours(&first, &second, 1)? > 0 {
                    found.push([left.to_owned(), right.to_owned()]);
                }
            }
        }
        Ok(found)
    }

    /// The two words as which far more products write a rare one: "fire pit" for "firepit".
    fn commoner_parts(&self, word: &QueryWord) -> Result<Option<[String; 2]>, Error> {
        let is_rare = |products: u64| products > 0 && products <= RARE_COMPOUND_PRODUCTS;
        if !is_rare(self.stem_count(&word.stem)?) {
            return Ok(None);
        }
        let Some(parts) = self.split(&word.text, None)? else { return Ok(None) };
        let [left, right] = [&parts[0], &parts[1]].map(|part| self.analyzer.stem(part));
        let together = u64::from(self.count_neighbours(&left, &right, MAX_TOGETHER)?);
        Ok((together >= COMMONER_PARTS * self.stem_count(&word.stem)?).then_some(parts))
    }

    /// The two words that one was probably meant to be, unless the best correction is more likely.
    pub(crate) fn split(&self, word: &str, best: Option<&Candidate>) -> Result<Option<[String; 2]>, Error> {
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
    let is_code = has_digits(left) || has_digits(right);
    !is_code || is_digit(before) != is_digit(after)
}
