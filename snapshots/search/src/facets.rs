//! Counting facets over the hits of an answer, and choosing what to show of the counts.

mod groups;
mod values;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hint::black_box;

use snapshots::{ABSENT, CATEGORY_SEPARATOR, FacetKind, FacetOrder, FacetRows};

use crate::bits::Bits;
use crate::categories::is_below;
use crate::index::Index;
use crate::request::{SearchRequest, counts_values};
use values::ValueCounts;

/// A facet of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetAnswer {
    /// The facet's place in the catalogue.
    pub facet: usize,
    /// Values and how many hits have them. Of a hierarchy: the widest level, and what lies below each refined path.
    pub values: Vec<(String, u64)>,
    /// Of a number: what the hits have of it.
    pub stats: Option<NumberStats>,
}

/// What hits have of a number, in units of its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberStats {
    pub min: i64,
    pub max: i64,
    pub sum: i128,
    pub count: u64,
    pub decimals: u8,
}

/// Counts over all segments of an answer.
pub(crate) struct FacetCounts {
    values: ValueCounts,
    /// The catalogue's place of each number that is measured, and its statistics.
    numbers: Vec<(usize, NumberStats)>,
}

impl FacetCounts {
    /// Counts of these facets, by their places in the catalogue.
    pub(crate) fn new(index: &Index, asked: &[usize]) -> Self {
        let facets = &index.catalogue().facets;
        let of_values = asked.iter().filter(|place| counts_values(facets[**place].kind));
        let numbers = asked.iter().filter_map(|place| match facets[*place].kind {
            FacetKind::Number { decimals } => Some((*place, NumberStats::none(decimals))),
            _ => None,
        });
        Self { values: ValueCounts::new(of_values.map(|place| index.values.range(*place))), numbers: numbers.collect() }
    }

    /// Counts of all facets of the catalogue.
    pub(crate) fn of_all(index: &Index) -> Self {
        Self::new(index, &(0..index.catalogue().facets.len()).collect::<Vec<_>>())
    }

    /// What a segment's documents are counted with.
    pub(crate) fn for_segment<'a>(&'a mut self, index: &'a Index, segment: usize) -> SegmentCounts<'a> {
        let part = &index.segments()[segment];
        let names = &index.catalogue().facets;
        let column = |place: usize| part.segment.number(&names[place].name).unwrap_or(&[]);
        let numbers: Vec<_> = self.numbers.iter_mut().map(|(place, stats)| (*place, column(*place), stats)).collect();
        let rows = part.segment.facet_rows();
        let table = index.values.table(segment);
        SegmentCounts { segment, rows, table, values: &mut self.values, numbers, index, pending: Vec::new() }
    }

    /// What an answer says of a facet that is counted.
    pub(crate) fn answer(&self, index: &Index, request: &SearchRequest, facet: usize) -> FacetAnswer {
        let number = self.numbers.iter().find(|(number, _)| *number == facet);
        let stats = number.map(|(_, stats)| *stats).filter(|stats| stats.count > 0);
        FacetAnswer { facet, values: shown_values(index, request, facet, &self.values), stats }
    }

    /// What it says of all that it asks for.
    pub(crate) fn answers(&self, index: &Index, request: &SearchRequest) -> Vec<FacetAnswer> {
        request.facets.iter().map(|facet| self.answer(index, request, *facet)).collect()
    }
}

/// What an answer shows of what was counted of a facet.
fn shown_values(index: &Index, request: &SearchRequest, place: usize, counts: &ValueCounts) -> Vec<(String, u64)> {
    let facet = &index.catalogue().facets[place];
    let (segments, values) = (index.segments(), &index.values);
    let text = |value: usize| values.text(segments, value);
    let wanted = wanted_values(request, &facet.name);
    let mut shown = if counts_values(facet.kind) { counts.within(values.range(place)) } else { Vec::new() };
    if facet.kind == FacetKind::Hierarchy {
        shown.retain(|(value, _)| is_visible(text(*value), &wanted));
    }
    // Values are numbered in the order of their text, so the number breaks ties.
    let key = |(value, count): &(usize, u32)| match facet.order {
        FacetOrder::Count => (Reverse(*count), *value),
        FacetOrder::Value => (Reverse(0), *value),
    };
    let limit = request.facet_limit;
    if facet.kind == FacetKind::Value && limit > 0 && shown.len() > limit {
        // Only the best need sorting; what is refined is shown all the same.
        let (_, _, rest) = shown.select_nth_unstable_by_key(limit - 1, key);
        let refined = |(value, _): &&(usize, u32)| wanted.iter().any(|wanted| wanted == text(*value));
        let refined: Vec<(usize, u32)> = rest.iter().filter(refined).copied().collect();
        shown.truncate(limit);
        shown.extend(refined);
    }
    shown.sort_unstable_by_key(key);
    // The limit is for each level of a hierarchy, and what is refined is always shown.
    let mut places: HashMap<&str, usize> = HashMap::new();
    shown.retain(|(value, _)| {
        let path = text(*value);
        let parent = if facet.kind == FacetKind::Hierarchy { parent(path) } else { "" };
        let place = places.entry(parent).or_default();
        *place += 1;
        *place <= limit || wanted.iter().any(|wanted| is_on_the_way(path, wanted))
    });
    shown.into_iter().map(|(value, count)| (text(value).to_owned(), u64::from(count))).collect()
}

/// The values of a facet that the request asks for.
fn wanted_values(request: &SearchRequest, facet: &str) -> Vec<String> {
    let mut wanted = Vec::new();
    if let Some(filter) = &request.filter {
        filter.wanted_values(&mut |name, value| {
            if name == facet {
                wanted.push(value.to_owned());
            }
        });
    }
    wanted
}

/// A path is shown at the widest level, and where its parent is refined or lies above something refined.
fn is_visible(path: &str, wanted: &[String]) -> bool {
    let above = parent(path);
    above.is_empty() || wanted.iter().any(|wanted| is_on_the_way(above, wanted))
}

fn parent(path: &str) -> &str {
    path.rsplit_once(CATEGORY_SEPARATOR).map_or("", |(parent, _)| parent)
}

/// Whether a value is what is wanted, or lies above it.
fn is_on_the_way(path: &str, wanted: &str) -> bool {
    wanted == path || is_below(wanted, path)
}

/// The counts of an answer, as one segment adds to them.
pub(crate) struct SegmentCounts<'a> {
    segment: usize,
    rows: FacetRows<'a>,
    index: &'a Index,
    table: Option<&'a [u32]>,
    values: &'a mut ValueCounts,
    numbers: Vec<(usize, &'a [i64], &'a mut NumberStats)>,
    /// Hits that are not counted yet.
    pending: Vec<u32>,
}

/// So many hits are counted in one go.
const MAX_PENDING: usize = 512;

impl SegmentCounts<'_> {
    /// Counts a hit for every facet, by and by: see [`SegmentCounts::count_pending`].
    #[inline]
    pub(crate) fn add(&mut self, doc: u32) {
        if !self.values.is_empty() || !self.numbers.is_empty() {
            self.pending.push(doc);
            if self.pending.len() == MAX_PENDING {
                self.count_pending();
            }
        }
    }

    /// Counts the hits that were added. Each lies elsewhere in memory; in short loops, many are fetched at once.
    pub(crate) fn count_pending(&mut self) {
        if !self.values.is_empty() {
            let rows = self.rows;
            // Rows differ in length, and a wrong guess of where one ends waits for what it reads. So all are read first.
            let first = |doc: &u32| rows.row(*doc).first().copied().unwrap_or_default();
            black_box(self.pending.iter().fold(0, |all, doc| all ^ first(doc)));
            self.values.add_rows(self.pending.iter().map(|doc| rows.row(*doc)), self.table);
        }
        for (_, column, stats) in &mut self.numbers {
            self.pending.iter().for_each(|doc| stats.add(column[*doc as usize]));
        }
        self.pending.clear();
    }

    /// Counts a document that only the refinement of this facet keeps from being a hit, for this facet alone.
    pub(crate) fn add_for(&mut self, facet: usize, doc: u32) {
        if let Some((_, column, stats)) = self.numbers.iter_mut().find(|(place, ..)| *place == facet) {
            stats.add(column[doc as usize]);
            return;
        }
        let (range, row) = (self.index.values.range(facet), self.rows.row(doc));
        self.values.expect(row.len());
        for value in row {
            let value = self.table.map_or(*value, |table| table[*value as usize]);
            if range.contains(&(value as usize)) {
                self.values.add(value, 1);
            }
        }
    }

    /// Counts the documents of a set.
    pub(crate) fn add_set(&mut self, docs: &Bits) {
        let part = &self.index.segments()[self.segment].segment;
        let mut rest = Bits::all(part.product_count());
        rest.subtract(docs);
        if self.values.is_empty() || rest.count() > docs.count() {
            docs.iter().for_each(|doc| self.add(doc));
            self.count_pending();
            return;
        }
        // The lists are as long as the counts of all; the rest is less to be counted.
        self.values.spread();
        // Where there is no table, only the values that are asked for need looking at.
        let asked = if self.table.is_none() { self.values.range() } else { 0..part.facet_value_count() };
        let table = self.table;
        let common = |value: u32| table.map_or(value, |table| table[value as usize]);
        for value in asked.start as u32..asked.end as u32 {
            self.values.add(common(value), part.facet_list(value).len() as u32);
        }
        rest.iter().flat_map(|doc| self.rows.row(doc)).for_each(|value| self.values.remove(common(*value)));
        for (_, column, stats) in &mut self.numbers {
            docs.iter().for_each(|doc| stats.add(column[doc as usize]));
        }
    }
}

impl NumberStats {
    fn none(decimals: u8) -> Self {
        Self { min: i64::MAX, max: i64::MIN, sum: 0, count: 0, decimals }
    }

    #[inline]
    fn add(&mut self, value: i64) {
        if value != ABSENT {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
            self.sum += i128::from(value);
            self.count += 1;
        }
    }
}
