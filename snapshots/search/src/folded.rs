//! Sets of documents with variants as one: the best of each group stands for it.

use std::sync::OnceLock;

use crate::bits::Bits;
use crate::buckets::Buckets;
use crate::distinct::{GroupMember, fold};
use crate::doc_sets::First;
use crate::facets::FacetCounts;
use crate::index::Index;
use crate::predicate::live_bits;
use crate::top::{Candidate, SortKeys};

/// What a set of documents comes to where variants are one.
pub(crate) struct Folded {
    /// By segment, what stands in a list: the best of each group, and what has no variants.
    pub(crate) shown: Vec<Bits>,
    pub(crate) found: u64,
    /// Of all facets.
    pub(crate) counts: FacetCounts,
    /// By sort order of the catalogue and by segment, what comes first. Which variant is the best depends on it.
    first: Vec<OnceLock<Vec<Vec<u32>>>>,
}

/// Products with variants, by group.
pub(crate) struct Variants {
    /// The place of each segment's first document.
    firsts: Vec<u32>,
    buckets: Buckets,
}

impl Variants {
    /// Of these documents of each segment.
    fn new(index: &Index, docs: &[&Bits]) -> Self {
        let mut firsts = Vec::with_capacity(docs.len());
        let mut next = 0;
        for part in index.segments() {
            firsts.push(next);
            next += part.segment.product_count() as u32;
        }
        let grouped = docs.iter().zip(index.segments()).zip(&firsts).flat_map(|((docs, part), first)| {
            let groups = part.segment.groups();
            let grouped = docs.iter().map(move |doc| (groups[doc as usize], first + doc));
            grouped.filter(|(group, _)| *group != 0)
        });
        let buckets = Buckets::new(grouped);
        Self { firsts, buckets }
    }

    /// The product at a place, as one of its group that is found as such a candidate.
    fn member(&self, index: &Index, place: u32, candidate: impl Fn(usize, u32) -> Candidate) -> GroupMember {
        let segment = self.firsts.partition_point(|first| *first <= place) - 1;
        let doc = place - self.firsts[segment];
        let group = index.segments()[segment].segment.groups()[doc as usize];
        GroupMember::new(group, segment, candidate(segment, doc), None)
    }

    /// The members of a group.
    pub(crate) fn of<'a>(
        &'a self,
        index: &'a Index,
        group: u64,
        candidate: impl Fn(usize, u32) -> Candidate + 'a,
    ) -> impl Iterator<Item = GroupMember> + 'a {
        let members = self.buckets.of(group).iter().map(move |place| self.member(index, *place, &candidate));
        members.filter(move |member| member.group == group)
    }
}

impl Folded {
    /// Of these documents of each segment.
    pub(crate) fn new(index: &Index, docs: &[&Bits]) -> Self {
        let mut counts = FacetCounts::of_all(index);
        let mut shown: Vec<Bits> = docs.iter().copied().cloned().collect();
        for (place, alone) in shown.iter_mut().enumerate() {
            let groups = index.segments()[place].segment.groups();
            docs[place].iter().filter(|doc| groups[*doc as usize] != 0).for_each(|doc| alone.remove(doc));
            let mut counted = counts.for_segment(index, place);
            alone.iter().for_each(|doc| counted.add(doc));
            counted.count_pending();
        }
        best_of_each(index, docs, None, &mut counts, |segment, doc, _| {
            shown[segment].insert(doc);
        });
        let found = shown.iter().map(|bits| bits.count() as u64).sum();
        let sorts = index.catalogue().sorts.len();
        Self { shown, found, counts, first: std::iter::repeat_with(OnceLock::new).take(sorts).collect() }
    }

    /// By segment, what comes first in a sort order of the catalogue, of the documents that it was made of.
    pub(crate) fn first(&self, index: &Index, docs: &[&Bits], sort: usize) -> &[Vec<u32>] {
        self.first[sort].get_or_init(|| {
            let keys = SortKeys::new(index, Some(sort));
            let mut first: Vec<First> = docs.iter().map(|_| First::default()).collect();
            for (place, (docs, part)) in docs.iter().zip(index.segments()).enumerate() {
                let groups = part.segment.groups();
                let alone = docs.iter().filter(|doc| groups[*doc as usize] == 0);
                alone.for_each(|doc| first[place].push(keys.of(place, doc), doc));
            }
            best_of_each(index, docs, Some(sort), &mut FacetCounts::new(index, &[]), |segment, doc, key| {
                first[segment].push(key, doc);
            });
            first.into_iter().map(First::into_docs).collect()
        })
    }
}

/// Counts each group of variants among documents, and takes the best of each in a sort order: segment, document and key.
fn best_of_each(
    index: &Index,
    docs: &[&Bits],
    sort: Option<usize>,
    counts: &mut FacetCounts,
    mut take: impl FnMut(usize, u32, u64),
) {
    let (variants, keys) = (Variants::new(index, docs), SortKeys::new(index, sort));
    let candidate = |segment, doc| Candidate::new(0, keys.of(segment, doc), doc);
    let member = |place| variants.member(index, place, candidate);
    fold(index, sort.is_none(), &variants.buckets, member, counts, |best| {
        take(best.segment(), best.candidate.doc(), best.candidate.key());
    });
}

impl Index {
    /// The current products with variants, hidden ones among them.
    pub(crate) fn variants(&self) -> &Variants {
        self.variants.get_or_init(|| {
            let live: Vec<Bits> = self.segments().iter().map(live_bits).collect();
            Variants::new(self, &live.iter().collect::<Vec<_>>())
        })
    }
}
