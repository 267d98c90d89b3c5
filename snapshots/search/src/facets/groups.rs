//! Counting groups of variants: once for each value that any of a group's hits has.

use std::hint::black_box;

use snapshots::FacetRows;

use super::values::{Seen, ValueCounts};
use super::{FacetCounts, NumberStats};
use crate::distinct::GroupMember;
use crate::index::Index;

/// The counts of an answer, as groups add to them.
pub(crate) struct GroupCounts<'a> {
    index: &'a Index,
    segments: Vec<Columns<'a>>,
    values: &'a mut ValueCounts,
    seen: Seen,
    numbers: &'a mut [(usize, NumberStats)],
    /// What one group has of a number.
    had: Vec<i64>,
}

/// What a segment's documents are counted with.
struct Columns<'a> {
    rows: FacetRows<'a>,
    table: Option<&'a [u32]>,
    /// Of each number that is measured.
    numbers: Vec<&'a [i64]>,
}

impl FacetCounts {
    /// What groups of variants are counted with.
    pub(crate) fn for_groups<'a>(&'a mut self, index: &'a Index) -> GroupCounts<'a> {
        let names = &index.catalogue().facets;
        let columns = |(place, part): (usize, &'a snapshots::LiveSegment)| {
            let column = |(facet, _): &(usize, NumberStats)| part.segment.number(&names[*facet].name).unwrap_or(&[]);
            Columns {
                rows: part.segment.facet_rows(),
                table: index.values.table(place),
                numbers: self.numbers.iter().map(column).collect(),
            }
        };
        let segments = index.segments().iter().enumerate().map(columns).collect();
        let (values, numbers) = (&mut self.values, self.numbers.as_mut_slice());
        GroupCounts { index, segments, values, seen: Seen::default(), numbers, had: Vec::new() }
    }
}

impl GroupCounts<'_> {
    /// Counts groups, the members of each side by side. A facet counts also those that only its refinement keeps from
    /// being hits.
    pub(crate) fn add(&mut self, members: &[GroupMember]) {
        if !self.values.is_empty() {
            // As in `SegmentCounts::count_pending`: all are read in a short loop before any is counted.
            let rows = members.iter().map(|one| self.segments[one.segment()].rows.row(one.candidate.doc()));
            black_box(rows.clone().fold(0, |all, row| all ^ row.first().copied().unwrap_or_default()));
            self.values.expect(rows.map(<[u32]>::len).sum());
            members.chunk_by(|a, b| a.group == b.group).for_each(|group| self.add_values(group));
        }
        if !self.numbers.is_empty() {
            members.chunk_by(|a, b| a.group == b.group).for_each(|group| self.add_numbers(group));
        }
    }

    fn add_values(&mut self, group: &[GroupMember]) {
        let values = group.iter().flat_map(|member| {
            let columns = &self.segments[member.segment()];
            let (row, table) = (columns.rows.row(member.candidate.doc()), columns.table);
            let row = row.iter().map(move |value| table.map_or(*value, |table| table[*value as usize]));
            let range = member.only_fails().map(|facet| self.index.values.range(facet));
            row.filter(move |value| range.as_ref().is_none_or(|range| range.contains(&(*value as usize))))
        });
        self.values.add_once(values, &mut self.seen);
    }

    fn add_numbers(&mut self, group: &[GroupMember]) {
        for (place, (facet, stats)) in self.numbers.iter_mut().enumerate() {
            let counted = group.iter().filter(|member| member.only_fails().is_none_or(|only| only == *facet));
            let column = |member: &GroupMember| self.segments[member.segment()].numbers[place];
            self.had.clear();
            self.had.extend(counted.map(|member| column(member)[member.candidate.doc() as usize]));
            self.had.sort_unstable();
            self.had.dedup();
            self.had.iter().for_each(|value| stats.add(*value));
        }
    }
}
