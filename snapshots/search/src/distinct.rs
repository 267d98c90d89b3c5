//! Variants of one article as one hit: the best of a group stands for it, and a facet counts the group once a value.

use std::cmp::Ordering;

use crate::buckets::Buckets;
use crate::facets::FacetCounts;
use crate::index::Index;
use crate::top::Candidate;

/// A hit lists so many other variants at the most.
const MAX_VARIANTS: usize = 100;
/// Groups are counted when they have so many members together: each of those lies elsewhere in memory.
const BATCH: usize = 256;

/// A product of a group that was found.
#[derive(Clone, Copy)]
pub(crate) struct GroupMember {
    pub(crate) group: u64,
    pub(crate) candidate: Candidate,
    segment: u16,
    /// The facet that alone keeps the product from being a hit.
    only_fails: Option<u16>,
}

impl GroupMember {
    pub(crate) fn new(group: u64, segment: usize, candidate: Candidate, only_fails: Option<usize>) -> Self {
        Self { group, candidate, segment: segment as u16, only_fails: only_fails.map(|facet| facet as u16) }
    }

    pub(crate) fn segment(&self) -> usize {
        usize::from(self.segment)
    }

    pub(crate) fn only_fails(&self) -> Option<usize> {
        self.only_fails.map(usize::from)
    }

    fn is_hit(&self) -> bool {
        self.only_fails.is_none()
    }
}

/// The products with variants that one request finds.
#[derive(Default)]
pub(crate) struct Groups {
    /// Neither words nor a sort order say which variant matches better.
    is_browsed: bool,
    members: Vec<GroupMember>,
    /// The members by group, once all are there.
    buckets: Buckets,
}

impl Groups {
    pub(crate) fn new(is_browsed: bool) -> Self {
        Self { is_browsed, ..Self::default() }
    }

    #[inline]
    pub(crate) fn add(&mut self, member: GroupMember) {
        self.members.push(member);
    }

    /// Counts each group, and takes the best hit of each that has one.
    pub(crate) fn fold(&mut self, index: &Index, counts: &mut FacetCounts, take: impl FnMut(&GroupMember)) {
        self.buckets = Buckets::new(self.members.iter().zip(0..).map(|(member, place)| (member.group, place)));
        let member = |place: u32| self.members[place as usize];
        fold(index, self.is_browsed, &self.buckets, member, counts, take);
    }

    /// The other hits of a product's group, as [`other_hits`] has them.
    pub(crate) fn others(&self, index: &Index, segment: usize, doc: u32) -> Vec<(usize, u32)> {
        let group = index.segments()[segment].segment.groups()[doc as usize];
        if group == 0 {
            return Vec::new();
        }
        let members = self.buckets.of(group).iter().map(|place| self.members[*place as usize]);
        let hits = members.filter(|member| member.group == group && member.is_hit());
        other_hits(index, self.is_browsed, hits.collect(), (segment, doc))
    }
}

/// Counts each group of the members at these places, and takes the best hit of each that has one.
pub(crate) fn fold(
    index: &Index,
    is_browsed: bool,
    buckets: &Buckets,
    member: impl Fn(u32) -> GroupMember,
    counts: &mut FacetCounts,
    mut take: impl FnMut(&GroupMember),
) {
    let mut counts = counts.for_groups(index);
    let mut members: Vec<GroupMember> = Vec::new();
    let mut count_and_take = |members: &[GroupMember]| {
        counts.add(members);
        for group in members.chunk_by(|a, b| a.group == b.group) {
            let hits = group.iter().filter(|member| member.is_hit());
            hits.min_by(|a, b| order(index, is_browsed, a, b)).into_iter().for_each(&mut take);
        }
    };
    for bucket in buckets.iter() {
        let start = members.len();
        members.extend(bucket.iter().map(|place| member(*place)));
        members[start..].sort_unstable_by_key(|member| member.group);
        if members.len() >= BATCH {
            count_and_take(&members);
            members.clear();
        }
    }
    count_and_take(&members);
}

/// The hits of one group but for one of them, best first, and at most [`MAX_VARIANTS`].
pub(crate) fn other_hits(
    index: &Index,
    is_browsed: bool,
    mut hits: Vec<GroupMember>,
    shown: (usize, u32),
) -> Vec<(usize, u32)> {
    hits.sort_unstable_by(|a, b| order(index, is_browsed, a, b));
    let hits = hits.iter().map(|one| (one.segment(), one.candidate.doc()));
    hits.filter(|other| *other != shown).take(MAX_VARIANTS).collect()
}

/// The better of two hits of a group first.
fn order(index: &Index, is_browsed: bool, a: &GroupMember, b: &GroupMember) -> Ordering {
    let (one, other) = (&a.candidate, &b.candidate);
    // What is browsed may have its rank as its score: only rules say that one is better than another.
    let order = match is_browsed {
        true => one.level().cmp(&other.level()).then_with(|| other.boost.total_cmp(&one.boost)),
        false => one.level_and_key().cmp(&other.level_and_key()),
    };
    // Where variants match alike, one that can be had stands for those that cannot.
    let share = |member: &GroupMember| index.availability_share(member.segment(), member.candidate.doc());
    let order = order.then_with(|| share(b).total_cmp(&share(a)));
    order.then_with(|| index.rank_order((a.segment(), one.doc()), (b.segment(), other.doc())))
}
