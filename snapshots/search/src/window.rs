//! Uniting the documents of several words, a window of documents at a time.
//!
//! Where words are common, most documents of a window are touched by some word: adding up word after word, without a
//! branch for each document, is several times faster than asking every list for every document.

use crate::cursor::Match;
use crate::score::{Lengths, WordWeight};

/// The sums of so many documents stay in the processor's nearest cache.
const WINDOW: u32 = 2_048;
const WORDS: usize = WINDOW as usize / 64;

/// What the documents of a window have gathered.
pub(crate) struct Window<'a> {
    lengths: Lengths<'a>,
    start: u32,
    sums: Vec<Sum>,
    /// The documents that have something, as bits.
    touched: [u64; WORDS],
    /// How often documents have what may stand for one word, and which of them have any, as bits.
    frequencies: Vec<f32>,
    gathered: [u64; WORDS],
}

#[derive(Clone, Copy, Default)]
struct Sum {
    score: f32,
    has: u32,
    weak: u32,
}

impl<'a> Window<'a> {
    pub(crate) fn new(lengths: Lengths<'a>) -> Self {
        Self {
            lengths,
            start: 0,
            sums: vec![Sum::default(); WINDOW as usize],
            touched: [0; WORDS],
            frequencies: Vec::new(),
            gathered: [0; WORDS],
        }
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

    /// Adds what a word is worth in a document that has it so often.
    #[inline]
    pub(crate) fn add(&mut self, place: usize, doc: u32, frequency: f32, weight: WordWeight) {
        let at = (doc % WINDOW) as usize;
        let sum = &mut self.sums[at];
        sum.score += weight.exact(frequency, self.lengths.norm(doc));
        sum.has |= 1 << place;
        sum.weak |= u32::from(weight.is_weak(frequency)) << place;
        self.touched[at / 64] |= 1 << (at % 64);
    }

    /// Adds what a word is worth in a document that only has a longer one, unless it has the word itself.
    #[inline]
    pub(crate) fn add_prefix(&mut self, place: usize, doc: u32, weight: WordWeight) {
        let at = (doc % WINDOW) as usize;
        let sum = &mut self.sums[at];
        if sum.has >> place & 1 == 0 {
            sum.score += weight.prefix();
            sum.has |= 1 << place;
            sum.weak |= u32::from(weight.is_prefix_weak()) << place;
            self.touched[at / 64] |= 1 << (at % 64);
        }
    }

    /// Takes note of something that may stand for a word.
    pub(crate) fn gather(&mut self, doc: u32, frequency: f32) {
        self.frequencies.resize(WINDOW as usize, 0.0);
        let at = (doc % WINDOW) as usize;
        self.frequencies[at] += frequency;
        self.gathered[at / 64] |= 1 << (at % 64);
    }

    /// Adds the word whose stand-ins were gathered.
    pub(crate) fn add_gathered(&mut self, place: usize, weight: WordWeight) {
        for word in 0..WORDS {
            let mut left = std::mem::take(&mut self.gathered[word]);
            while left != 0 {
                let at = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let frequency = std::mem::take(&mut self.frequencies[at]);
                self.add(place, self.start + at as u32, frequency, weight);
            }
        }
    }

    /// Gives every document that has something, rising, and forgets it.
    #[inline]
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Match)) {
        for word in 0..WORDS {
            let mut left = std::mem::take(&mut self.touched[word]);
            while left != 0 {
                let at = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let Sum { score, has, weak } = std::mem::take(&mut self.sums[at]);
                each(Match { doc: self.start + at as u32, score, has, weak });
            }
        }
    }
}
