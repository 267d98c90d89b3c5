//! The greatest of a range of numbers, found by the greatest of each block and of each block of blocks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

pub(crate) const BLOCK: usize = 64;

/// The greatest number of each block.
pub(crate) fn maxima(numbers: &[u32]) -> Vec<u32> {
    numbers.chunks(BLOCK).map(|block| block.iter().copied().max().unwrap_or(0)).collect()
}

/// Weights, the greatest of each block of them, and the greatest of each block of those. A weight of 0 is none.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub(crate) numbers: &'a [u32],
    pub(crate) maxima: &'a [u32],
    pub(crate) peaks: &'a [u32],
}

impl Weights<'_> {
    /// The greatest weights of a range and their places, the first one among equals first.
    pub(crate) fn best(self, range: Range<usize>, count: usize) -> Vec<(u32, usize)> {
        let (mut best, mut open) = (Vec::with_capacity(count), BinaryHeap::new());
        open.extend(self.heaviest(range));
        while best.len() < count
            && let Some((weight, Reverse(place), start, end)) = open.pop()
        {
            best.push((weight, place));
            open.extend(self.heaviest(start..place));
            open.extend(self.heaviest(place + 1..end));
        }
        best
    }

    /// The greatest weight of a range, the first one among equals, with the range.
    fn heaviest(self, range: Range<usize>) -> Option<(u32, Reverse<usize>, usize, usize)> {
        let best = greatest(self.numbers, self.maxima, self.peaks, range.clone());
        best.filter(|(weight, _)| *weight > 0).map(|(weight, place)| (weight, Reverse(place), range.start, range.end))
    }
}

/// Weights in memory.
#[derive(Debug)]
pub(crate) struct OwnWeights {
    numbers: Vec<u32>,
    maxima: Vec<u32>,
    peaks: Vec<u32>,
}

impl OwnWeights {
    pub(crate) fn new(numbers: Vec<u32>) -> Self {
        let blocks = maxima(&numbers);
        Self { numbers, peaks: maxima(&blocks), maxima: blocks }
    }

    pub(crate) fn as_weights(&self) -> Weights<'_> {
        Weights { numbers: &self.numbers, maxima: &self.maxima, peaks: &self.peaks }
    }
}

/// The greatest number of a range and its place, the first one among equals. `peaks` are the maxima of the maxima.
fn greatest(numbers: &[u32], maxima: &[u32], peaks: &[u32], range: Range<usize>) -> Option<(u32, usize)> {
    let mut best: Option<(u32, usize)> = None;
    let mut at = range.start;
    while at < range.end {
        // Whole blocks that hold nothing better are passed over.
        let is_no_better = |size: usize, greatest: &[u32]| {
            let is_whole = at.is_multiple_of(size) && size <= range.end - at;
            is_whole && best.is_some_and(|(most, _)| greatest[at / size] <= most)
        };
        if is_no_better(BLOCK * BLOCK, peaks) {
            at += BLOCK * BLOCK;
            continue;
        }
        let end = ((at / BLOCK + 1) * BLOCK).min(range.end);
        if !is_no_better(BLOCK, maxima) {
            for (place, number) in numbers[at..end].iter().enumerate() {
                if best.is_none_or(|(most, _)| *number > most) {
                    best = Some((*number, at + place));
                }
            }
        }
        at = end;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_is_found_wherever_a_range_begins_and_ends() {
        let count = 3 * BLOCK * BLOCK + 2 * BLOCK + 7;
        // Many are equal, and the greatest ones lie far apart.
        let numbers: Vec<u32> = (0..count as u32).map(|place| place.wrapping_mul(2_654_435_761) >> 22).collect();
        let maxima = maxima(&numbers);
        let peaks = super::maxima(&maxima);
        assert_eq!((maxima.len(), peaks.len()), (3 * BLOCK + 3, 4));
        let large = BLOCK * BLOCK;
        let ends = [0, 1, BLOCK - 1, BLOCK, large - 1, large, large + 1, large + BLOCK, 2 * large, 3 * large, count];
        for start in ends {
            for end in ends {
                let expected = (start..end)
                    .map(|place| (numbers[place], place))
                    .reduce(|best, next| if next.0 > best.0 { next } else { best });
                assert_eq!(greatest(&numbers, &maxima, &peaks, start..end), expected, "{start}..{end}");
            }
        }
    }

    /// With one level, each of thousands of blocks was looked at.
    #[test]
    fn blocks_of_blocks_are_passed_over_whole() {
        let mut numbers = vec![1; 3 * BLOCK * BLOCK];
        numbers[0] = 9;
        let maxima = maxima(&numbers);
        let peaks = super::maxima(&maxima);
        // Whoever looked into the later ones would be out of bounds.
        assert_eq!(greatest(&numbers, &maxima[..BLOCK], &peaks, 0..numbers.len()), Some((9, 0)));
    }

    /// What an update passes over was taken out of the heap one by one, and was the weightiest of all.
    #[test]
    fn what_weighs_nothing_is_not_looked_at() {
        let mut numbers = vec![0; 3 * BLOCK * BLOCK];
        numbers[..4].copy_from_slice(&[7, 9, 0, 9]);
        let own = OwnWeights::new(numbers);
        let all = own.as_weights();
        // Whoever looked at the others one by one would be out of bounds.
        let weights = Weights { numbers: &all.numbers[..BLOCK], maxima: &all.maxima[..BLOCK], peaks: all.peaks };
        assert_eq!(weights.best(0..3 * BLOCK * BLOCK, 10), [(9, 1), (9, 3), (7, 0)]);
        assert_eq!(weights.best(0..3 * BLOCK * BLOCK, 2), [(9, 1), (9, 3)]);
        assert!(weights.best(4..3 * BLOCK * BLOCK, 10).is_empty());
    }
}
