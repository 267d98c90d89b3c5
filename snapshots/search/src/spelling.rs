//! What a word that no product has was probably meant to be.
//!
//! Candidates come from the vocabularies of the segments (see [`Vocabulary::sharing_variant`]); the nearer and the more
//! frequent of them wins, and what stands in products together with the query's other words.

use crate::index::Index;
use crate::vocabulary::{Vocabulary, each_variant, is_spelled};

/// Words from this length on are forgiven one mistake, and two.
const ONE_MISTAKE_LETTERS: usize = 4;
const TWO_MISTAKES_LETTERS: usize = 8;
/// Where nothing is nearer, two mistakes are forgiven from here on.
const LAST_RESORT_LETTERS: usize = 6;
/// So many candidates are compared with the rest of the query.
const MAX_CANDIDATES: usize = 12;
/// A mistake makes a word this much less likely, in units of the logarithm of its frequency.
pub(crate) const MISTAKE_COST: f32 = 5.0;

/// A word of the vocabulary that resembles another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) word: String,
    pub(crate) mistakes: u32,
    pub(crate) products: u64,
    /// How likely it is what was meant, as a logarithm; greater is likelier.
    pub(crate) likelihood: f32,
}

impl Index {
    /// The words that `word` may be a misspelling of, likeliest first.
    pub(crate) fn spelling_candidates(&self, word: &str) -> Vec<Candidate> {
        let letters = word.chars().count();
        let allowed = match letters {
            _ if !is_spelled(word) => return Vec::new(),
            TWO_MISTAKES_LETTERS.. => 2,
            ONE_MISTAKE_LETTERS.. => 1,
            _ => return Vec::new(),
        };
        let found = self.within(word, allowed);
        match found.is_empty() && letters >= LAST_RESORT_LETTERS && allowed == 1 {
            // Of two mistakes in a short word, none is the first letter.
            true => {
                let mut found = self.within(word, 2);
                found.retain(|candidate| candidate.word.chars().next() == word.chars().next());
                found
            }
            false => found,
        }
    }

    /// The words within so many mistakes, likeliest first.
    fn within(&self, word: &str, allowed: usize) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = Vec::new();
        for vocabulary in self.vocabularies() {
            for (number, mistakes, cost) in resembling(vocabulary, word, allowed) {
                let products = u64::from(vocabulary.product_count(number));
                let text = vocabulary.word(number);
                match found.iter_mut().find(|known| known.word == text) {
                    Some(known) => known.products += products,
                    None => {
                        let likelihood = -MISTAKE_COST * cost;
                        found.push(Candidate { word: text.to_owned(), mistakes, products, likelihood });
                    }
                }
            }
        }
        found.iter_mut().for_each(|candidate| candidate.likelihood += (candidate.products as f32).ln_1p());
        found.sort_by(|a, b| b.likelihood.total_cmp(&a.likelihood).then_with(|| a.word.cmp(&b.word)));
        found.truncate(MAX_CANDIDATES);
        found
    }
}

/// The words of one vocabulary within so many mistakes: their numbers, mistakes and costs.
fn resembling(vocabulary: &Vocabulary, word: &str, allowed: usize) -> Vec<(u32, u32, f32)> {
    let mut numbers = Vec::new();
    each_variant(word, allowed, |variant| vocabulary.sharing_variant(variant, |number| numbers.push(number)));
    numbers.sort_unstable();
    numbers.dedup();
    let letters: Vec<char> = word.chars().collect();
    let mut buffer = Vec::new();
    let close = numbers.into_iter().filter(|number| vocabulary.is_current(*number)).filter_map(|number| {
        buffer.clear();
        buffer.extend(vocabulary.word(number).chars());
        if buffer.len().abs_diff(letters.len()) > allowed {
            return None;
        }
        let (mistakes, cost) = distance(&letters, &buffer);
        (mistakes > 0 && mistakes as usize <= allowed).then_some((number, mistakes, cost))
    });
    close.collect()
}

/// The mistakes that make `right` of `typed`, a letter left out, added, replaced or swapped with its neighbour each
/// (Damerau's distance in the form of optimal string alignment), and what they cost together: less where hands and ears
/// slip easily, more at the first letter.
pub(crate) fn distance(typed: &[char], right: &[char]) -> (u32, f32) {
    let width = right.len() + 1;
    let mut rows = vec![(0_u32, 0.0_f32); 3 * width];
    for at in 0..=typed.len() {
        let (current, before, earlier) = (at % 3 * width, (at + 2) % 3 * width, (at + 1) % 3 * width);
        for other in 0..=right.len() {
            let mut best = if at == 0 && other == 0 { (0, 0.0) } else { (u32::MAX, f32::MAX) };
            let mut offer = |(mistakes, cost): (u32, f32), more: u32, dearer: f32| {
                best = (best.0.min(mistakes + more), best.1.min(cost + dearer));
            };
            if at > 0 {
                offer(rows[before + other], 1, single_cost(typed, at));
            }
            if other > 0 {
                offer(rows[current + other - 1], 1, single_cost(right, other));
            }
            if at > 0 && other > 0 {
                let (a, b) = (typed[at - 1], right[other - 1]);
                let first = if at == 1 || other == 1 { FIRST_LETTER } else { 0.0 };
                match a == b {
                    true => offer(rows[before + other - 1], 0, 0.0),
                    false => offer(rows[before + other - 1], 1, replacement_cost(a, b) + first),
                }
                if at > 1 && other > 1 && a == right[other - 2] && typed[at - 2] == b && a != b {
                    offer(rows[earlier + other - 2], 1, SWAP + if at == 2 { SWAPPED_FIRST } else { 0.0 });
                }
            }
            rows[current + other] = best;
        }
    }
    rows[typed.len() % 3 * width + right.len()]
}

const FIRST_LETTER: f32 = 0.5;
const SWAP: f32 = 0.7;
const SWAPPED_FIRST: f32 = 0.3;
const DOUBLED: f32 = 0.6;
const VOWEL_FOR_VOWEL: f32 = 0.7;
const NEIGHBOURING_KEY: f32 = 0.85;

/// What leaving out or adding the letter before `end` costs.
fn single_cost(letters: &[char], end: usize) -> f32 {
    let doubled = end > 1 && letters[end - 1] == letters[end - 2];
    let first = if end == 1 { FIRST_LETTER } else { 0.0 };
    first + if doubled { DOUBLED } else { 1.0 }
}

fn replacement_cost(a: char, b: char) -> f32 {
    let is_vowel = |c| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
    match () {
        () if is_vowel(a) && is_vowel(b) => VOWEL_FOR_VOWEL,
        () if are_neighbours(a, b) => NEIGHBOURING_KEY,
        () => 1.0,
    }
}

/// Whether two letters lie side by side on a keyboard, in one row or across two (QWERTY; other layouts differ in few).
fn are_neighbours(a: char, b: char) -> bool {
    let place =
        |c| KEYBOARD.iter().enumerate().find_map(|(row, keys)| Some((row, keys.iter().position(|key| *key == c)?)));
    let (Some((row, column)), Some((other_row, other_column))) = (place(a), place(b)) else { return false };
    match row.abs_diff(other_row) {
        0 => column.abs_diff(other_column) == 1,
        // Each row stands half a key to the right of the one above it.
        1 => {
            let (upper, lower) = if row < other_row { (column, other_column) } else { (other_column, column) };
            upper == lower || upper == lower + 1
        }
        _ => false,
    }
}

const KEYBOARD: [&[char]; 3] = [
    &['q', 'w', 'e', 'r', 't', 'y', 'u', 'i', 'o', 'p'],
    &['a', 's', 'd', 'f', 'g', 'h', 'j', 'k', 'l'],
    &['z', 'x', 'c', 'v', 'b', 'n', 'm'],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn between(typed: &str, right: &str) -> (u32, f32) {
        distance(&typed.chars().collect::<Vec<_>>(), &right.chars().collect::<Vec<_>>())
    }

    #[test]
    fn mistakes_are_counted() {
        let check = |typed, right, mistakes| assert_eq!(between(typed, right).0, mistakes, "{typed} {right}");
        check("lamp", "lamp", 0);
        check("lmap", "lamp", 1);
        check("lam", "lamp", 1);
        check("lammp", "lamp", 1);
        check("lump", "lamp", 1);
        check("kitten", "sitting", 3);
        check("sprkinler", "sprinkler", 2);
        check("", "ab", 2);
    }

    #[test]
    fn likely_mistakes_cost_less() {
        let cost = |typed, right| between(typed, right).1;
        assert!(cost("batery", "battery") < cost("baxery", "battery"));
        assert!(cost("wimdow", "window") < cost("wirdow", "window"), "m and n are neighbours");
        assert!(cost("indow", "window") > cost("widow", "window"), "the first letter is rarely wrong");
        assert!(cost("widnow", "window") < 1.0, "a swap");
    }
}
