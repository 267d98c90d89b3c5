//! A filter made ready for one segment: names became columns, values became numbers.

use snapshots::{ABSENT, FacetRows, LiveSegment, Segment};

use crate::bits::Bits;
use crate::filter::Filter;

/// A condition that a segment's documents can be asked for.
pub(crate) enum Predicate<'a> {
    /// Has one of these facet values.
    Values(Vec<u32>),
    Range {
        column: &'a [i64],
        low: i64,
        high: i64,
    },
    Not(Box<Predicate<'a>>),
    All(Vec<Predicate<'a>>),
    Any(Vec<Predicate<'a>>),
}

impl<'a> Predicate<'a> {
    pub(crate) fn new(filter: &Filter, segment: &'a Segment) -> Self {
        let compile = |parts: &[Filter]| parts.iter().map(|part| Self::new(part, segment)).collect();
        match filter {
            Filter::Value { facet, value } => {
                let found = segment.facet(facet).and_then(|facet| segment.find_facet_value(facet, value));
                Self::Values(found.into_iter().collect())
            }
            Filter::Range { number, low, high } => {
                Self::Range { column: segment.number(number).unwrap_or(&[]), low: *low, high: *high }
            }
            Filter::Not(inner) => Self::Not(Box::new(Self::new(inner, segment))),
            Filter::All(parts) => Self::All(compile(parts)),
            Filter::Any(parts) => Self::any(compile(parts)),
        }
    }

    /// Alternatives; several values are looked for in one go.
    fn any(parts: Vec<Self>) -> Self {
        let (mut values, mut others) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Self::Values(more) => values.extend(more),
                other => others.push(other),
            }
        }
        match others.is_empty() {
            true => Self::Values(values),
            false => {
                others.push(Self::Values(values));
                Self::Any(others)
            }
        }
    }

    /// Whether a document fulfils it.
    pub(crate) fn holds(&self, doc: u32, rows: FacetRows<'_>) -> bool {
        match self {
            Self::Values(values) => rows.row(doc).iter().any(|value| values.contains(value)),
            Self::Range { column, low, high } => {
                column.get(doc as usize).is_some_and(|value| *value != ABSENT && (*low..=*high).contains(value))
            }
            Self::Not(inner) => !inner.holds(doc, rows),
            Self::All(parts) => parts.iter().all(|part| part.holds(doc, rows)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(doc, rows)),
        }
    }

    /// All documents that fulfil it, live or not.
    pub(crate) fn bits(&self, segment: &Segment) -> Bits {
        let count = segment.product_count();
        match self {
            Self::Values(values) => {
                let mut bits = Bits::none(count);
                for doc in values.iter().flat_map(|value| segment.facet_list(*value)) {
                    bits.insert(*doc);
                }
                bits
            }
            Self::Range { column, low, high } => {
                let mut bits = Bits::none(count);
                for (doc, value) in column.iter().enumerate() {
                    if *value != ABSENT && (*low..=*high).contains(value) {
                        bits.insert(doc as u32);
                    }
                }
                bits
            }
            Self::Not(inner) => {
                let mut bits = Bits::all(count);
                bits.subtract(&inner.bits(segment));
                bits
            }
            Self::All(parts) => parts.iter().fold(Bits::all(count), |mut bits, part| {
                bits.intersect(part.bits(segment).words());
                bits
            }),
            Self::Any(parts) => parts.iter().fold(Bits::none(count), |mut bits, part| {
                bits.unite(&part.bits(segment));
                bits
            }),
        }
    }
}

/// The documents of a segment that are current.
pub(crate) fn live_bits(part: &LiveSegment) -> Bits {
    let mut bits = Bits::all(part.segment.product_count());
    if let Some(liveness) = &part.liveness {
        bits.intersect(liveness.words());
    }
    bits
}

/// A whole filter as answers and facet counts need it: each refined facet apart, since it counts as if it were not
/// refined, and the rest.
pub(crate) struct Refinements<'a> {
    pub(crate) rest: Option<Predicate<'a>>,
    /// The facet's place in the catalogue, and what is asked of it.
    pub(crate) facets: Vec<(usize, Predicate<'a>)>,
}

/// A filter taken apart, before it is made ready for each segment.
#[derive(Default)]
pub(crate) struct SplitFilter {
    rest: Vec<Filter>,
    facets: Vec<(usize, Vec<Filter>)>,
}

impl SplitFilter {
    /// Of the request's filter and those of rules, which no shopper can take back. `counted` gives the place of a facet
    /// that the answer counts, by name.
    pub(crate) fn new(filter: Option<&Filter>, rules: &[&Filter], counted: impl Fn(&str) -> Option<usize>) -> Self {
        let mut split = Self { rest: rules.iter().map(|rule| (*rule).clone()).collect(), ..Self::default() };
        for part in filter.cloned().map(Filter::into_conjuncts).unwrap_or_default() {
            let Some(place) = part.subject().and_then(&counted) else {
                split.rest.push(part);
                continue;
            };
            match split.facets.iter_mut().find(|(facet, _)| *facet == place) {
                Some((_, parts)) => parts.push(part),
                None => split.facets.push((place, vec![part])),
            }
        }
        split
    }

    /// All conditions but those that are about one facet, in an order that does not depend on how they were asked.
    pub(crate) fn conditions(&self, without: Option<usize>) -> Vec<Filter> {
        let facets = self.facets.iter().filter(|(facet, _)| Some(*facet) != without).flat_map(|(_, parts)| parts);
        let mut conditions: Vec<Filter> = self.rest.iter().chain(facets).cloned().collect();
        conditions.sort_unstable();
        conditions.dedup();
        conditions
    }

    /// The places of the facets that are refined.
    pub(crate) fn refined(&self) -> impl Iterator<Item = usize> + '_ {
        self.facets.iter().map(|(facet, _)| *facet)
    }

    pub(crate) fn for_segment<'a>(&self, segment: &'a Segment) -> Refinements<'a> {
        let all = |parts: &[Filter]| match parts {
            [one] => Predicate::new(one, segment),
            many => Predicate::All(many.iter().map(|part| Predicate::new(part, segment)).collect()),
        };
        Refinements {
            rest: (!self.rest.is_empty()).then(|| all(&self.rest)),
            facets: self.facets.iter().map(|(facet, parts)| (*facet, all(parts))).collect(),
        }
    }
}

/// What a document is to a request.
pub(crate) enum Verdict {
    Hit,
    /// It would be a hit if the facet at this place of the refinements were not refined.
    OnlyFails(usize),
    Out,
}

impl Refinements<'_> {
    #[inline]
    pub(crate) fn verdict(&self, doc: u32, rows: FacetRows<'_>) -> Verdict {
        if self.rest.as_ref().is_some_and(|rest| !rest.holds(doc, rows)) {
            return Verdict::Out;
        }
        let mut verdict = Verdict::Hit;
        for (place, (_, predicate)) in self.facets.iter().enumerate() {
            if !predicate.holds(doc, rows) {
                match verdict {
                    Verdict::Hit => verdict = Verdict::OnlyFails(place),
                    _ => return Verdict::Out,
                }
            }
        }
        verdict
    }

    /// The hits among documents of a segment, and for each refined facet those that it alone keeps from being hits.
    pub(crate) fn split(&self, segment: &Segment, mut docs: Bits) -> (Bits, Vec<(usize, Bits)>) {
        if let Some(rest) = &self.rest {
            docs.intersect(rest.bits(segment).words());
        }
        let refined: Vec<Bits> = self.facets.iter().map(|(_, one)| one.bits(segment)).collect();
        let failing = self.facets.iter().enumerate().map(|(only, (facet, _))| {
            let mut failing = docs.clone();
            failing.subtract(&refined[only]);
            let others = refined.iter().enumerate().filter(|(other, _)| *other != only);
            others.for_each(|(_, bits)| failing.intersect(bits.words()));
            (*facet, failing)
        });
        let failing = failing.collect();
        refined.iter().for_each(|bits| docs.intersect(bits.words()));
        (docs, failing)
    }
}
