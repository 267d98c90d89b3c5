//! Uniting the documents of several words, a window of documents at a time.
//!
//! Where words are common, most documents of a window are touched by some word: noting word after word, without a
//! branch for each document, is several times faster than asking every list for every document. What a document is worth
//! is computed only for those that may become hits.

use std::cell::Cell;

use crate::cursor::{Match, Worth};
use crate::score::{Lengths, WordWeight};

/// The marks of so many documents stay in the processor's nearest cache.
const WINDOW: u32 = 2_048;
const WORDS: usize = WINDOW as usize / 64;

/// What the documents of a window have gathered.
pub(crate) struct Window<'a> {
    start: u32,
    marks: Vec<Mark>,
    /// The documents that have something, as bits.
    touched: [u64; WORDS],
    worths: Worths<'a>,
    /// The words that longer ones were noted for, as bits.
    prefixed: u32,
    /// How often documents have what may stand for one word, and which of them have any, as bits.
    stand_ins: Vec<f32>,
    gathered: [u64; WORDS],
}

/// The lists of a window, all marks and stand-ins empty.
#[derive(Default)]
struct Lists {
    marks: Vec<Mark>,
    frequencies: Vec<f32>,
    stand_ins: Vec<f32>,
}

thread_local! {
    /// What the last window of this thread leaves to the next one: emptying them anew took a tenth of a search.
    static LISTS: Cell<Lists> = const { Cell::new(Lists { marks: Vec::new(), frequencies: Vec::new(), stand_ins: Vec::new() }) };
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        // What a panic has left half-way is not for the next one.
        if std::thread::panicking() {
            return;
        }
        LISTS.set(Lists {
            marks: std::mem::take(&mut self.marks),
            frequencies: std::mem::take(&mut self.worths.frequencies),
            stand_ins: std::mem::take(&mut self.stand_ins),
        });
    }
}

/// The words that a document has, and those of them that are only mentioned, as bits.
#[derive(Clone, Copy, Default)]
struct Mark {
    has: u32,
    weak: u32,
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
        let (mut left, mut sum) = (has, 0.0);
        while left != 0 {
            let place = left.trailing_zeros() as usize;
            left &= left - 1;
            let frequency = self.frequencies[place * WINDOW as usize + (doc % WINDOW) as usize];
            sum += match frequency > 0.0 {
                true => self.weights[place].exact(frequency, norm),
                false => self.weights[place].prefix(),
            };
        }
        sum
    }

    /// Of some words that a document has, those that it has as they stand, as bits.
    fn exact(&self, doc: u32, mut words: u32) -> u32 {
        let mut exact = 0;
        while words != 0 {
            let place = words.trailing_zeros();
            words &= words - 1;
            let frequency = self.frequencies[place as usize * WINDOW as usize + (doc % WINDOW) as usize];
            exact |= u32::from(frequency > 0.0) << place;
        }
        exact
    }
}

impl<'a> Window<'a> {
    pub(crate) fn new(lengths: Lengths<'a>, weights: &'a [WordWeight]) -> Self {
        let Lists { mut marks, mut frequencies, stand_ins } = LISTS.take();
        marks.resize(WINDOW as usize, Mark::default());
        // They are read only where a mark says that they were written.
        if frequencies.len() < weights.len() * WINDOW as usize {
            frequencies.resize(weights.len() * WINDOW as usize, 0.0);
        }
        let worths = Worths { lengths, weights, frequencies };
        Self { start: 0, marks, touched: [0; WORDS], worths, prefixed: 0, stand_ins, gathered: [0; WORDS] }
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

    /// Notes a word that a document has so often.
    #[inline]
    pub(crate) fn add(&mut self, place: usize, doc: u32, frequency: f32) {
        let at = (doc % WINDOW) as usize;
        let is_weak = self.worths.weights[place].is_weak(frequency);
        self.mark(place, at, is_weak, frequency);
    }

    /// Says that longer words are noted for a word, too.
    pub(crate) fn expect_longer(&mut self, place: usize) {
        self.prefixed |= 1 << place;
    }

    /// Notes a word of which a document only has a longer one, unless it has the word itself.
    #[inline]
    pub(crate) fn add_prefix(&mut self, place: usize, doc: u32) {
        let at = (doc % WINDOW) as usize;
        if self.marks[at].has >> place & 1 == 0 {
            let is_weak = self.worths.weights[place].is_prefix_weak();
            self.mark(place, at, is_weak, 0.0);
        }
    }

    #[inline]
    fn mark(&mut self, place: usize, at: usize, is_weak: bool, frequency: f32) {
        let mark = &mut self.marks[at];
        mark.has |= 1 << place;
        mark.weak |= u32::from(is_weak) << place;
        self.worths.frequencies[place * WINDOW as usize + at] = frequency;
        self.touched[at / 64] |= 1 << (at % 64);
    }

    /// Takes note of something that may stand for a word.
    pub(crate) fn gather(&mut self, doc: u32, frequency: f32) {
        self.stand_ins.resize(WINDOW as usize, 0.0);
        let at = (doc % WINDOW) as usize;
        self.stand_ins[at] += frequency;
        self.gathered[at / 64] |= 1 << (at % 64);
    }

    /// Notes the word whose stand-ins were gathered.
    pub(crate) fn add_gathered(&mut self, place: usize) {
        for word in 0..WORDS {
            let mut left = std::mem::take(&mut self.gathered[word]);
            while left != 0 {
                let at = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let frequency = std::mem::take(&mut self.stand_ins[at]);
                self.add(place, self.start + at as u32, frequency);
            }
        }
    }

    /// Gives every document that has what is asked for, rising, and forgets all.
    #[inline]
    pub(crate) fn drain(&mut self, accept: impl Fn(u32) -> bool, mut each: impl FnMut(Match<'_>)) {
        for word in 0..WORDS {
            let mut left = std::mem::take(&mut self.touched[word]);
            while left != 0 {
                let at = word * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let Mark { has, weak } = std::mem::take(&mut self.marks[at]);
                if accept(has) {
                    let doc = self.start + at as u32;
                    let may_begin = weak & self.prefixed;
                    let begun = if may_begin == 0 { 0 } else { may_begin & !self.worths.exact(doc, may_begin) };
                    each(Match { doc, has, weak, begun, worth: Worth::In { worths: &self.worths, has } });
                }
            }
        }
    }
}
