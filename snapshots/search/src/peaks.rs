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

impl<'w> Weights<'w> {
    /// The weights of a range and their places, the greatest first, and the first one among equals.
    pub(crate) fn heaviest_first(self, range: Range<usize>) -> HeaviestFirst<'w> {
        HeaviestFirst { weights: self, open: BinaryHeap::new(), ranges: [range, 0..0] }
    }

    /// The greatest weight of a range, the first one among equals.
    fn heaviest(self, range: Range<usize>) -> Option<Heaviest> {
        let (weight, place) = greatest(self.numbers, self.maxima, self.peaks, range.clone())?;
        (weight > 0).then_some((weight, Reverse(place), range.start, range.end))
    }
}

/// A weight and its place, and where the range that it is the greatest of starts and ends.
type Heaviest = (u32, Reverse<usize>, usize, usize);

/// Finds one weight after the other: what is not asked for is not looked for.
pub(crate) struct HeaviestFirst<'w> {
    weights: Weights<'w>,
    open: BinaryHeap<Heaviest>,
    /// What lies on both sides of the last one, in which nothing was looked for yet.
    ranges: [Range<usize>; 2],
}

impl Iterator for HeaviestFirst<'_> {
    type Item = (u32, usize);

    fn next(&mut self) -> Option<Self::Item> {
        for range in std::mem::take(&mut self.ranges) {
            self.open.extend(self.weights.heaviest(range));
        }
        let (weight, Reverse(place), start, end) = self.open.pop()?;
        self.ranges = [start..place, place + 1..end];
        Some((weight, place))
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
    let most = |numbers: &[u32]| numbers.iter().copied().max().unwrap_or(0);
    let mut best: Option<(u32, Range<usize>)> = None;
    let mut at = range.start;
    while at < range.end {
        let is_whole = |size: usize| at.is_multiple_of(size) && size <= range.end - at;
        // Of whole blocks it is known.
        let (greatest, end) = if is_whole(BLOCK * BLOCK) {
            (peaks[at / (BLOCK * BLOCK)], at + BLOCK * BLOCK)
        } else if is_whole(BLOCK) {
            (maxima[at / BLOCK], at + BLOCK)
        } else {
            let end = ((at / BLOCK + 1) * BLOCK).min(range.end);
            (most(&numbers[at..end]), end)
        };
        if best.as_ref().is_none_or(|(most, _)| greatest > *most) {
            best = Some((greatest, at..end));
        }
        at = end;
    }
    let (most, mut range) = best?;
    if range.len() == BLOCK * BLOCK {
        let blocks = &maxima[range.start / BLOCK..range.end / BLOCK];
        let block = blocks.iter().position(|greatest| *greatest == most)?;
        range = range.start + block * BLOCK..range.start + (block + 1) * BLOCK;
    }
    let place = numbers[range.clone()].iter().position(|number| *number == most)?;
    Some((most, range.start + place))
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

    #[test]
    fn all_weights_come_in_their_order() {
        let (count, range) = (3 * (BLOCK * BLOCK) as u32, 70..3 * BLOCK * BLOCK - 10);
        let numbers: Vec<u32> = (0..count).map(|place| place.wrapping_mul(2_654_435_761) >> 26).collect();
        let mut expected: Vec<(u32, usize)> = range.clone().map(|place| (numbers[place], place)).collect();
        expected.retain(|(weight, _)| *weight > 0);
        expected.sort_by_key(|(weight, place)| (Reverse(*weight), *place));
        let own = OwnWeights::new(numbers);
        assert_eq!(own.as_weights().heaviest_first(range).collect::<Vec<_>>(), expected);
    }

    /// Where the sides of each were looked at when it was found, the last one cost as much as two more.
    #[test]
    fn what_is_not_asked_for_is_not_looked_for() {
        let mut numbers = vec![1; 2 * BLOCK];
        (numbers[0], numbers[BLOCK + 3]) = (9, 5);
        let own = OwnWeights::new(numbers);
        // Whoever looked for the second would be out of bounds.
        let weights = Weights { numbers: &own.numbers[..BLOCK], ..own.as_weights() };
        assert_eq!(weights.heaviest_first(0..2 * BLOCK).next(), Some((9, 0)));
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
        let found: Vec<_> = weights.heaviest_first(0..3 * BLOCK * BLOCK).collect();
        assert_eq!(found, [(9, 1), (9, 3), (7, 0)]);
        assert_eq!(weights.heaviest_first(4..3 * BLOCK * BLOCK).next(), None);
    }
}
