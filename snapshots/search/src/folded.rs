//! What is found where nothing is asked for and variants are folded: made once while the same products may be seen.

use crate::bits::Bits;
use crate::buckets::Buckets;
use crate::distinct::{GroupMember, fold};
use crate::facets::FacetCounts;
use crate::index::Index;
use crate::predicate::live_bits;
use crate::top::Candidate;

/// All products that may be seen, with their variants as one.
pub(crate) struct Folded {
    /// By segment, what stands in a list: the best of each group, and what has no variants.
    pub(crate) shown: Vec<Bits>,
    pub(crate) found: u64,
    /// Of all facets.
    pub(crate) counts: FacetCounts,
}

/// The current products with variants, by group.
pub(crate) struct Variants {
    /// The place of each segment's first document.
    firsts: Vec<u32>,
    buckets: Buckets,
}

impl Variants {
    fn new(index: &Index) -> Self {
        let mut firsts = Vec::with_capacity(index.segments().len());
        let mut next = 0;
        for part in index.segments() {
            firsts.push(next);
            next += part.segment.product_count() as u32;
        }
        let grouped = index.segments().iter().zip(&firsts).flat_map(|(part, first)| {
            let docs = part.segment.groups().iter().zip(0..);
            let docs = docs.filter(move |(group, doc)| **group != 0 && part.is_live(*doc));
            docs.map(move |(group, doc)| (*group, first + doc))
        });
        let buckets = Buckets::new(grouped);
        Self { firsts, buckets }
    }

    /// The product at a place, as one of its group that is found at this level.
    fn member(&self, index: &Index, place: u32, level: impl Fn(usize, u32) -> u8) -> GroupMember {
        let segment = self.firsts.partition_point(|first| *first <= place) - 1;
        let doc = place - self.firsts[segment];
        let group = index.segments()[segment].segment.groups()[doc as usize];
        GroupMember::new(group, segment, Candidate::new(level(segment, doc), 0, doc), None)
    }

    /// The members of a group.
    pub(crate) fn of<'a>(
        &'a self,
        index: &'a Index,
        group: u64,
        level: impl Fn(usize, u32) -> u8 + 'a,
    ) -> impl Iterator<Item = GroupMember> + 'a {
        let members = self.buckets.of(group).iter().map(move |place| self.member(index, *place, &level));
        members.filter(move |member| member.group == group)
    }
}

impl Folded {
    /// Of all current products but those that are hidden, by segment.
    fn new(index: &Index, hidden: &[Bits]) -> Self {
        let facets: Vec<usize> = (0..index.catalogue().facets.len()).collect();
        let mut counts = FacetCounts::new(index, &facets);
        let mut shown = Vec::with_capacity(index.segments().len());
        for (place, part) in index.segments().iter().enumerate() {
            let mut alone = live_bits(part);
            hidden.get(place).into_iter().for_each(|hidden| alone.subtract(hidden));
            let grouped = part.segment.groups().iter().zip(0..).filter(|(group, _)| **group != 0);
            grouped.for_each(|(_, doc)| alone.remove(doc));
            let mut counted = counts.for_segment(index, place);
            alone.iter().for_each(|doc| counted.add(doc));
            counted.count_pending();
            shown.push(alone);
        }
        let variants = index.variants();
        let is_seen = |segment: usize, doc| !hidden.get(segment).is_some_and(|bits| bits.contains(doc));
        let member = |place| {
            let member = variants.member(index, place, |_, _| 0);
            is_seen(member.segment(), member.candidate.doc()).then_some(member)
        };
        fold(index, true, &variants.buckets, member, &mut counts, |best| {
            shown[best.segment()].insert(best.candidate.doc());
        });
        let found = shown.iter().map(|bits| bits.count() as u64).sum();
        Self { shown, found, counts }
    }
}

impl Index {
    /// The current products with variants, hidden ones among them.
    pub(crate) fn variants(&self) -> &Variants {
        self.variants.get_or_init(|| Variants::new(self))
    }

    /// The fold of what may be seen while a version of the rules is active.
    pub(crate) fn folded(&self, version: usize) -> &Folded {
        self.folded[version].get_or_init(|| Folded::new(self, self.hidden_in(version)))
    }
}
