//! Words that some write as one and others as two: "blue tooth", "firepit".

use crate::error::Error;
use crate::index::Index;
use crate::plan::Slot;
use crate::query::QueryWord;
use crate::spelling::Candidate;

/// So many neighbouring words are tried as one at the most.
const MAX_JOINED_WORDS: usize = 4;
/// A joined word of letters alone must stand in this many products, and have this many letters, to be no accident.
const MIN_JOINED_PRODUCTS: u64 = 2;
const MIN_JOINED_LETTERS: usize = 5;
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

impl Index {
    /// The two words as which far more products write a rare one: "fire pit" for "firepit".
    pub(crate) fn commoner_parts(&self, word: &QueryWord) -> Result<Option<[String; 2]>, Error> {
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
    let has_digits = left.bytes().chain(right.bytes()).any(|byte| byte.is_ascii_digit());
    !has_digits || is_digit(before) != is_digit(after)
}
