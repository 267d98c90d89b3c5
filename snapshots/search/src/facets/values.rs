//! How often each facet value was counted, at a cost of what is asked for and found, not of all that a catalogue has.

use std::ops::Range;

/// So many counters are zeroed and read again in the time that it takes to sort one value that was counted.
const COUNTERS_FOR_ONE: usize = 32;

/// A count for each value that is asked for.
#[derive(Default)]
pub(crate) struct ValueCounts {
    /// From the first to the last value of the facets that are asked for.
    range: Range<usize>,
    /// A counter for each value of the range; none while few were counted.
    counters: Vec<u32>,
    /// While they are few, the values that were counted, as often as they were.
    few: Vec<u32>,
}

/// Which values were counted for a group by now.
#[derive(Default)]
pub(crate) struct Seen {
    /// The group that each counter was last raised for.
    last: Vec<u32>,
    group: u32,
    values: Vec<u32>,
}

impl ValueCounts {
    /// Counts the values of these ranges, of which none may be.
    pub(crate) fn new(asked: impl Iterator<Item = Range<usize>>) -> Self {
        let hull = |all: Range<usize>, one: Range<usize>| match all.is_empty() {
            true => one,
            false => all.start.min(one.start)..all.end.max(one.end),
        };
        Self { range: asked.filter(|one| !one.is_empty()).fold(0..0, hull), ..Self::default() }
    }

    /// Whether nothing can be counted.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Gets ready to count so many more values.
    pub(crate) fn expect(&mut self, more: usize) {
        if self.counters.is_empty() && self.few.len() + more > self.range.len() / COUNTERS_FOR_ONE {
            self.spread();
        }
    }

    /// Gives each value a counter.
    pub(crate) fn spread(&mut self) {
        if self.counters.is_empty() {
            self.counters = vec![0; self.range.len()];
            let start = self.range.start;
            std::mem::take(&mut self.few).into_iter().for_each(|value| self.counters[value as usize - start] += 1);
        }
    }

    /// Counts all values of these rows, which a table brings to the common numbers.
    pub(crate) fn add_rows<'a>(&mut self, rows: impl Iterator<Item = &'a [u32]> + Clone, table: Option<&[u32]>) {
        if self.counters.is_empty() {
            self.expect(rows.clone().map(<[u32]>::len).sum());
        }
        if self.counters.is_empty() {
            let values = rows.flatten().map(|value| table.map_or(*value, |table| table[*value as usize]));
            self.few.extend(values.filter(|value| self.range.contains(&(*value as usize))));
            return;
        }
        let (start, counters) = (self.range.start, self.counters.as_mut_slice());
        // What stands before the first counter wraps to behind the last.
        let mut count = |value: u32| {
            if let Some(counter) = counters.get_mut((value as usize).wrapping_sub(start)) {
                *counter += 1;
            }
        };
        match table {
            None => rows.for_each(|row| row.iter().for_each(|value| count(*value))),
            Some(table) => rows.for_each(|row| row.iter().for_each(|value| count(table[*value as usize]))),
        }
    }

    /// Counts a value so many times.
    pub(crate) fn add(&mut self, value: u32, times: u32) {
        if self.range.contains(&(value as usize)) {
            match self.counters.get_mut(value as usize - self.range.start) {
                Some(counter) => *counter += times,
                None => self.few.extend(std::iter::repeat_n(value, times as usize)),
            }
        }
    }

    /// Counts a value once less, where it is counted at all.
    pub(crate) fn remove(&mut self, value: u32) {
        if let Some(counter) = self.counters.get_mut((value as usize).wrapping_sub(self.range.start)) {
            *counter = counter.saturating_sub(1);
        }
    }

    /// Counts the values of one group, each once.
    pub(crate) fn add_once(&mut self, values: impl Iterator<Item = u32>, seen: &mut Seen) {
        if self.counters.is_empty() {
            seen.values.clear();
            seen.values.extend(values.filter(|value| self.range.contains(&(*value as usize))));
            seen.values.sort_unstable();
            seen.values.dedup();
            self.few.extend_from_slice(&seen.values);
            return;
        }
        seen.group += 1;
        seen.last.resize(self.counters.len(), 0);
        values.for_each(|value| {
            let place = (value as usize).wrapping_sub(self.range.start);
            if let (Some(counter), Some(last)) = (self.counters.get_mut(place), seen.last.get_mut(place))
                && *last != seen.group
            {
                *last = seen.group;
                *counter += 1;
            }
        });
    }

    /// The values of a facet that is asked for that were counted at all, rising, and their counts.
    pub(crate) fn within(&self, facet: Range<usize>) -> Vec<(usize, u32)> {
        if facet.is_empty() {
            return Vec::new();
        }
        if self.counters.is_empty() {
            let few = self.few.iter().map(|value| *value as usize).filter(|value| facet.contains(value));
            let mut few: Vec<usize> = few.collect();
            few.sort_unstable();
            return few.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect();
        }
        let first = self.range.start;
        let counters = &self.counters[facet.start - first..facet.end - first];
        facet.zip(counters.iter().copied()).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of facets that have the values 100 to 1,099 and 2,000 to 2,999, in counters or not.
    fn counts(are_spread: bool) -> ValueCounts {
        let mut counts = ValueCounts::new([2_000..3_000, 5..5, 100..1_100].into_iter());
        if are_spread {
            counts.spread();
        }
        counts
    }

    #[test]
    fn few_values_are_counted_without_counters() {
        let (first, second): ([u32; 4], [u32; 3]) = ([99, 100, 2_999, 3_000], [100, 1_500, 2_000]);
        let table: Vec<u32> = (0..=3_000).rev().collect();
        let turned = second.map(|value| 3_000 - value);
        for are_spread in [false, true] {
            let mut counts = counts(are_spread);
            counts.add_rows([&first[..], &second[..]].into_iter(), None);
            counts.add_rows([&turned[..]].into_iter(), Some(&table));
            counts.add(2_000, 3);
            counts.add(3_000, 1);
            assert_eq!(counts.counters.is_empty(), !are_spread);
            assert_eq!(counts.within(100..1_100), [(100, 3)]);
            assert_eq!(counts.within(2_000..3_000), [(2_000, 5), (2_999, 1)]);
            assert!(counts.within(5..5).is_empty());
        }
    }

    #[test]
    fn values_get_counters_when_they_are_many() {
        let mut counts = counts(false);
        let row: Vec<u32> = (100..130).collect();
        for _ in 0..3 {
            counts.add_rows([&row[..]].into_iter(), None);
        }
        assert!(counts.counters.is_empty());
        counts.add_rows([&row[..1]].into_iter(), None);
        assert_eq!(counts.counters.len(), 2_900, "one for each from the first to the last, and for no other");
        assert_eq!(counts.within(100..1_100)[..2], [(100, 4), (101, 3)]);
    }

    #[test]
    fn a_group_counts_once_for_each_value() {
        for are_spread in [false, true] {
            let (mut counts, mut seen) = (counts(are_spread), Seen::default());
            counts.add_once([100, 2_000, 100, 7, 2_000].into_iter(), &mut seen);
            counts.add_once([2_000].into_iter(), &mut seen);
            assert_eq!(counts.within(100..1_100), [(100, 1)]);
            assert_eq!(counts.within(2_000..3_000), [(2_000, 2)]);
        }
    }

    #[test]
    fn nothing_is_counted_where_nothing_is_asked_for() {
        let mut counts = ValueCounts::new(std::iter::empty());
        assert!(counts.is_empty());
        counts.add_rows([&[0, 1][..]].into_iter(), None);
        assert!(counts.within(0..0).is_empty());
    }
}
