//! Uniting the documents of several words, a window of documents at a time.
//!
//! Where words are common, most documents of a window are touched by some word: noting word after word, without a
//! branch for each document, is several times faster than asking every list for every document. Which documents have what is
//! asked for is found out for 64 of them at once, and what one is worth only for those that may become hits.

use std::cell::Cell;

use crate::bits::{Bits, every_word, ones};
use crate::cursor::{Match, Worth};
use crate::score::{Lengths, WordWeight};

/// What is noted of so many documents stays in the processor's nearest cache.
pub(crate) const WINDOW: u32 = 2_048;
const WORDS: usize = WINDOW as usize / 64;
/// Some documents of a window, as bits.
type Docs = [u64; WORDS];

/// What the documents of a window have gathered.
pub(crate) struct Window<'a> {
    start: u32,
    /// By word, the documents that have it.
    having: Vec<Docs>,
    worths: Worths<'a>,
    /// The words that longer ones were noted for, as bits.
    prefixed: u32,
    /// How often documents have what may stand for one word, and which of them have any.
    stand_ins: Vec<f32>,
    gathered: Docs,
    /// By number, the documents that lack so many words.
    lacking: Vec<Docs>,
}

/// Which documents of a window are given.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// Those that have all words.
    All,
    /// Those that have any of these, which are bits.
    Any(u32),
    /// Those that have one of these and lack so many of all.
    Lacking { least: u32, most: u32, words: u32 },
}

impl Wanted {
    /// The wanted documents of a window, of which those are known that have each word. All of them are done at once, 64 or
    /// more at a time; what lacks a number of words is kept in `lacking`.
    fn among(self, having: &[Docs], lacking: &mut Vec<Docs>) -> Docs {
        match self {
            Self::All => {
                let mut all = [u64::MAX; WORDS];
                having.iter().for_each(|docs| change(&mut all, docs, |all, docs| all & docs));
                all
            }
            Self::Any(words) => {
                let mut any = [0; WORDS];
                let asked = having.iter().enumerate().filter(|(place, _)| words >> place & 1 == 1);
                asked.for_each(|(_, docs)| change(&mut any, docs, |any, docs| any | docs));
                any
            }
            Self::Lacking { least, most, words } => {
                // What has any word lacks no more than all others: then those that lack too few are left out instead.
                let leaves_out = most as usize + 1 >= having.len();
                let counted = if leaves_out { least } else { most + 1 };
                lacking.clear();
                lacking.push([u64::MAX; WORDS]);
                lacking.resize(counted.max(1) as usize, [0; WORDS]);
                for docs in having {
                    for number in (1..lacking.len()).rev() {
                        let fewer = lacking[number - 1];
                        let next = lacking[number].iter_mut().zip(fewer).zip(docs);
                        next.for_each(|((same, fewer), docs)| *same = *same & docs | fewer & !docs);
                    }
                    change(&mut lacking[0], docs, |all, docs| all & docs);
                }
                let (fewer, rest) = lacking.split_at((least as usize).min(lacking.len()));
                let mut some = [0; WORDS];
                let summed = if leaves_out { fewer } else { rest };
                summed.iter().for_each(|docs| change(&mut some, docs, |some, docs| some | docs));
                let mut wanted = Self::Any(words).among(having, &mut Vec::new());
                change(&mut wanted, &some, |wanted, some| wanted & if leaves_out { !some } else { some });
                wanted
            }
        }
    }
}

fn change(docs: &mut Docs, others: &Docs, with: impl Fn(u64, u64) -> u64) {
    docs.iter_mut().zip(others).for_each(|(docs, others)| *docs = with(*docs, *others));
}

/// The lists of a window, all stand-ins empty, and no document having anything.
#[derive(Default)]
struct Lists {
    having: Vec<Docs>,
    frequencies: Vec<f32>,
    stand_ins: Vec<f32>,
}

thread_local! {
    /// What the last window of this thread leaves to the next one: emptying them anew took a tenth of a search.
    static LISTS: Cell<Lists> = const { Cell::new(Lists { having: Vec::new(), frequencies: Vec::new(), stand_ins: Vec::new() }) };
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        // What a panic has left half-way is not for the next one.
        if std::thread::panicking() {
            return;
        }
        LISTS.set(Lists {
            having: std::mem::take(&mut self.having),
            frequencies: std::mem::take(&mut self.worths.frequencies),
            stand_ins: std::mem::take(&mut self.stand_ins),
        });
    }
}

/// What the documents of a window are worth.
pub(crate) struct Worths<'a> {
    lengths: Lengths<'a>,
    weights: &'a [WordWeight],
    /// By word and document: how often, or 0 for a document that only has a longer word.
    frequencies: Vec<f32>,
}

impl Worths<'_> {
    /// What a document is worth that has these words. They are added in their order, so that the sum is the same in every
    /// segment.
    pub(crate) fn of(&self, doc: u32, has: u32) -> f32 {
        let norm = self.lengths.norm(doc);
        let mut sum = 0.0;
        for place in ones(has) {
            let frequency = self.frequency((doc % WINDOW) as usize, place);
            sum += match frequency > 0.0 {
                true => self.weights[place].exact(frequency, norm),
                false => self.weights[place].prefix(),
            };
        }
        sum
    }

    /// How often a document of the window has a word, or what was noted for another one where it lacks the word.
    #[inline]
    fn frequency(&self, at: usize, place: usize) -> f32 {
        self.frequencies[place * WINDOW as usize + at]
    }
}

impl<'a> Window<'a> {
    pub(crate) fn new(lengths: Lengths<'a>, weights: &'a [WordWeight]) -> Self {
        let Lists { mut having, mut frequencies, stand_ins } = LISTS.take();
        having.resize(weights.len(), [0; WORDS]);
        // They are read only where a document has the word, so that they were written.
        if frequencies.len() < weights.len() * WINDOW as usize {
            frequencies.resize(weights.len() * WINDOW as usize, 0.0);
        }
        let worths = Worths { lengths, weights, frequencies };
        let (gathered, lacking) = ([0; WORDS], Vec::new());
        Self { start: 0, having, worths, prefixed: 0, stand_ins, gathered, lacking }
    }

    /// Moves the window to where a document lies.
    pub(crate) fn begin(&mut self, doc: u32) {
        self.start = doc - doc % WINDOW;
    }

    /// The first document behind the window.
    #[inline]
    pub(crate) fn end(&self) -> u32 {
        self.start + WINDOW
    }

    /// Notes a word that documents have so often.
    #[inline]
    pub(crate) fn add(&mut self, place: usize, docs: impl Iterator<Item = (u32, f32)>) {
        let (having, start) = (&mut self.having[place], place * WINDOW as usize);
        let frequencies = &mut self.worths.frequencies[start..start + WINDOW as usize];
        for (doc, frequency) in docs {
            let at = (doc % WINDOW) as usize;
            frequencies[at] = frequency;
            having[at / 64] |= 1 << (at % 64);
        }
    }

    /// Notes a word of which documents only have a longer one, but for those that have the word itself.
    #[inline]
    pub(crate) fn add_prefix(&mut self, place: usize, docs: impl Iterator<Item = u32>) {
        self.prefixed |= 1 << place;
        let exact = self.having[place];
        self.add(
            place,
            docs.filter(|doc| exact[(doc % WINDOW / 64) as usize] >> (doc % 64) & 1 == 0).map(|doc| (doc, 0.0)),
        );
    }

    /// The same, of the documents of a set that lie in the window.
    pub(crate) fn add_prefix_set(&mut self, place: usize, set: &Bits) {
        self.prefixed |= 1 << place;
        let words = &set.words()[self.start as usize / 64..];
        let (having, start) = (&mut self.having[place], place * WINDOW as usize);
        for (word, (having, docs)) in having.iter_mut().zip(words).enumerate() {
            let longer = docs & !*having;
            *having |= docs;
            ones(longer).for_each(|bit| self.worths.frequencies[start + word * 64 + bit] = 0.0);
        }
    }

    /// Takes note of what may stand for a word, and how often documents have it.
    #[inline]
    pub(crate) fn gather(&mut self, docs: impl Iterator<Item = (u32, f32)>) {
        self.stand_ins.resize(WINDOW as usize, 0.0);
        for (doc, frequency) in docs {
            let at = (doc % WINDOW) as usize;
            self.stand_ins[at] += frequency;
            self.gathered[at / 64] |= 1 << (at % 64);
        }
    }

    /// Notes the word whose stand-ins were gathered.
    pub(crate) fn add_gathered(&mut self, place: usize) {
        let start = place * WINDOW as usize;
        for (word, gathered) in self.gathered.iter_mut().enumerate() {
            self.having[place][word] |= *gathered;
            for bit in ones(std::mem::take(gathered)) {
                let at = word * 64 + bit;
                self.worths.frequencies[start + at] = std::mem::take(&mut self.stand_ins[at]);
            }
        }
    }

    /// Gives every document that is wanted, rising, and forgets all.
    #[inline]
    pub(crate) fn drain(&mut self, wanted: Wanted, mut each: impl FnMut(Match<'_>)) {
        let docs = wanted.among(&self.having, &mut self.lacking);
        for (word, docs) in docs.into_iter().enumerate() {
            for bit in ones(docs) {
                let at = word * 64 + bit;
                let has = match wanted {
                    Wanted::All => every_word(self.having.len()),
                    _ => self.words_of(at),
                };
                let weak = match wanted {
                    Wanted::Any(_) => self.weak_of_few(at, has),
                    _ => self.weak_of_most(at, has),
                };
                each(self.matched(at, has, weak));
            }
        }
        self.having.fill([0; WORDS]);
    }

    /// The words that a document of the window has, as bits.
    #[inline]
    fn words_of(&self, at: usize) -> u32 {
        let places = self.having.iter().enumerate();
        places.fold(0, |has, (place, docs)| has | ((docs[at / 64] >> (at % 64) & 1) as u32) << place)
    }

    /// Those of some words that a document has that count little there. Where it has most words it costs less to look at all
    /// than to ask for each.
    #[inline]
    fn weak_of_most(&self, at: usize, has: u32) -> u32 {
        let places = 0..self.having.len();
        places.fold(0, |weak, place| weak | u32::from(self.is_weak(at, place)) << place) & has
    }

    /// The same where it has few of them.
    #[inline]
    fn weak_of_few(&self, at: usize, has: u32) -> u32 {
        ones(has).fold(0, |weak, place| weak | u32::from(self.is_weak(at, place)) << place)
    }

    #[inline]
    fn is_weak(&self, at: usize, place: usize) -> bool {
        self.worths.weights[place].is_weak(self.worths.frequency(at, place))
    }

    /// What a document of the window is, which has these words.
    #[inline]
    fn matched(&self, at: usize, has: u32, mut weak: u32) -> Match<'_> {
        let mut begun = 0;
        for place in ones(weak & self.prefixed) {
            if self.worths.frequency(at, place) == 0.0 {
                match self.worths.weights[place].is_prefix_weak() {
                    true => begun |= 1 << place,
                    false => weak &= !(1 << place),
                }
            }
        }
        Match { doc: self.start + at as u32, has, weak, begun, worth: Worth::In { worths: &self.worths, has } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_wanted_that_lack_as_many_words_as_is_said() {
        // Each document has the words that are the digits of its number.
        let count = 9;
        let bits = |word: usize, place: usize| {
            (0..64_usize).fold(0, |bits, at| bits | ((word * 64 + at) as u64 >> place & 1) << at)
        };
        let having: Vec<Docs> = (0..count).map(|place| std::array::from_fn(|word| bits(word, place))).collect();
        let check = |wanted: Wanted, holds: &dyn Fn(u32) -> bool| {
            let among = wanted.among(&having, &mut Vec::new());
            for doc in 0..WINDOW {
                let has = doc & ((1 << count) - 1);
                let is_among = among[doc as usize / 64] >> (doc % 64) & 1 == 1;
                assert_eq!(is_among, holds(has), "{has:b}");
            }
        };
        check(Wanted::All, &|has| has.count_ones() == count as u32);
        check(Wanted::Any(0b110), &|has| has & 0b110 != 0);
        for (least, most, words) in [(1, 1, u32::MAX), (2, 4, 0b1_0100), (0, 8, u32::MAX), (8, 8, 1)] {
            let holds = |has: u32| (least..=most).contains(&(count as u32 - has.count_ones())) && has & words != 0;
            check(Wanted::Lacking { least, most, words }, &holds);
        }
    }
}
