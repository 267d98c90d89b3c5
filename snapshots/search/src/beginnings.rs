//! What was probably meant by what is typed where no completion begins so: other spaces, or a mistake.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use crate::index::Index;
use crate::spelling::{MISTAKE_COST, distance};
use crate::vocabulary::{MAX_SPELLED_LETTERS, Vocabulary, is_spelled};

/// So many other spaces are tried: what the likeliest begins may find nothing.
const MAX_SPACED: usize = 3;
/// An unfinished word from this length on is forgiven one mistake.
const FORGIVEN_LETTERS: usize = 4;
/// So many words of a segment are compared, those with the likeliest mistakes first.
const MAX_RESEMBLING: usize = 4_096;
/// Alphabets have fewer letters; scripts that have more are read in pairs.
const MAX_LETTERS: usize = 128;

/// A word that begins like what was typed but for one mistake.
struct Resembling {
    number: u32,
    /// What the mistake costs; see [`distance`].
    cost: f32,
    /// How many of its letters were meant.
    letters: usize,
}

impl Index {
    /// The same key with another space in its last words, where completions begin so: "tshi" begins "t shirt", and
    /// "blue tooth" is "bluetooth". The likeliest comes first; a last word that is longer than words are has none.
    pub(crate) fn spaced_otherwise(&self, key: &str) -> Vec<String> {
        let last = key.rfind(' ').map_or(0, |at| at + 1);
        if key[last..].chars().count() > MAX_SPELLED_LETTERS {
            return Vec::new();
        }
        let splits = key[last..].char_indices().skip(1).map(|(at, _)| (last, last + at, " ", last + at));
        let before = last.checked_sub(1).map(|end| (key[..end].rfind(' ').map_or(0, |at| at + 1), end, "", last));
        let weighed = splits.chain(before).filter_map(|(start, end, between, next)| {
            let (left, right) = (&key[..end], &key[next..]);
            let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
            // 1 and 2 are not 12.
            if is_digit(left.chars().next_back()) && is_digit(right.chars().next()) {
                return None;
            }
            let spaced = format!("{left}{between}{right}");
            let (weight, ..) = self.phrases.heaviest_first(self, &spaced[start..]).next()?;
            Some((Reverse(weight), end, spaced))
        });
        let mut weighed: Vec<_> = weighed.collect();
        weighed.sort_unstable();
        weighed.into_iter().take(MAX_SPACED).map(|(_, _, spaced)| spaced).collect()
    }

    /// What was probably meant by a beginning that nothing begins with.
    pub(crate) fn corrected_beginning(&self, typed: &str) -> Option<String> {
        let words: Vec<&str> = typed.split(' ').collect();
        let (last, whole) = words.split_last()?;
        let mut corrected: Vec<String> = Vec::with_capacity(words.len());
        for word in whole {
            let known = self.word_count(word) > 0;
            let best = (!known).then(|| self.spelling_candidates(word).into_iter().next()).flatten();
            corrected.push(best.map_or_else(|| (*word).to_owned(), |best| best.word));
        }
        let is_known = self.vocabularies().any(|words| words.with_prefix(last).any(|number| words.is_current(number)));
        corrected.push(if is_known { (*last).to_owned() } else { self.corrected_prefix(last)? });
        let corrected = corrected.join(" ");
        (corrected != typed).then_some(corrected)
    }

    /// The beginning of the likeliest word that begins like this but for one mistake.
    fn corrected_prefix(&self, prefix: &str) -> Option<String> {
        let typed: Vec<char> = prefix.chars().collect();
        if typed.len() < FORGIVEN_LETTERS || !is_spelled(prefix) {
            return None;
        }
        // How many products have each word, in whatever segment.
        let mut found: FxHashMap<&str, (u64, Resembling)> = FxHashMap::default();
        for vocabulary in self.vocabularies() {
            for one in resembling(vocabulary, &typed) {
                let products = u64::from(vocabulary.product_count(one.number));
                found.entry(vocabulary.word(one.number)).or_insert((0, one)).0 += products;
            }
        }
        let likelihood = |(products, one): &(u64, Resembling)| (*products as f32).ln_1p() - MISTAKE_COST * one.cost;
        let best = found.into_iter().max_by(|(word, one), (other, another)| {
            likelihood(one).total_cmp(&likelihood(another)).then_with(|| other.cmp(word))
        });
        best.map(|(word, (_, one))| word.chars().take(one.letters).collect())
    }
}

/// The words of one vocabulary that begin like this but for one mistake.
fn resembling(vocabulary: &Vocabulary, typed: &[char]) -> Vec<Resembling> {
    let mut found: Vec<Resembling> = Vec::new();
    for beginning in mistaken(vocabulary, typed) {
        let text: String = beginning.iter().collect();
        let (_, cost) = distance(typed, &beginning);
        let is_likely = |number: &u32| vocabulary.is_current(*number) && is_spelled(vocabulary.word(*number));
        let words = vocabulary.with_prefix(&text).filter(is_likely).take(MAX_RESEMBLING - found.len());
        found.extend(words.map(|number| Resembling { number, cost, letters: beginning.len() }));
    }
    // Of several mistakes the likeliest, of those the one that leaves most open.
    found.sort_unstable_by(|a, b| {
        a.number.cmp(&b.number).then_with(|| a.cost.total_cmp(&b.cost)).then_with(|| a.letters.cmp(&b.letters))
    });
    found.dedup_by_key(|one| one.number);
    found
}

/// What is one mistake away from what was typed and may begin a word of the vocabulary.
fn mistaken(vocabulary: &Vocabulary, typed: &[char]) -> Vec<Vec<char>> {
    let swapped = (1..typed.len()).map(|at| {
        let mut letters = typed.to_vec();
        letters.swap(at - 1, at);
        letters
    });
    let mut all: Vec<Vec<char>> = swapped.collect();
    for at in 0..typed.len() {
        let (before, behind) = typed.split_at(at);
        let text: String = before.iter().collect();
        for letter in vocabulary.letters_behind(&text, MAX_LETTERS).into_iter().filter(|c| c.is_alphabetic()) {
            all.push([before, &[letter], &behind[1..]].concat());
            all.push([before, &[letter], behind].concat());
        }
    }
    all.extend((0..typed.len()).map(|at| [&typed[..at], &typed[at + 1..]].concat()));
    all.retain(|letters| letters != typed);
    all
}
