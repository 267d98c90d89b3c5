//! Variants of one article as one hit: the best of a group stands for it, and a facet counts the group once a value.

use std::cmp::Reverse;

use crate::facets::FacetCounts;
use crate::index::Index;
use crate::top::Candidate;

/// A hit lists so many other variants at the most.
const MAX_VARIANTS: usize = 100;

/// A product of a group that was found.
#[derive(Clone, Copy)]
pub(crate) struct GroupMember {
    pub(crate) group: u64,
    pub(crate) segment: usize,
    pub(crate) candidate: Candidate,
    /// The facet that alone keeps the product from being a hit.
    pub(crate) only_fails: Option<usize>,
}

/// The products with variants that one request finds.
#[derive(Default)]
pub(crate) struct Groups {
    /// Once folded: sorted by group, and best first within it.
    members: Vec<GroupMember>,
}

impl Groups {
    pub(crate) fn add(&mut self, member: GroupMember) {
        self.members.push(member);
    }

    /// Counts each group, and gives how many have a hit, and the best of each by segment and document.
    pub(crate) fn fold(&mut self, index: &Index, counts: &mut FacetCounts) -> (u64, Vec<(usize, Candidate)>) {
        let rank = |one: &GroupMember| index.segments()[one.segment].segment.static_ranks()[one.candidate.doc as usize];
        let id = |one: &GroupMember| index.record(one.segment, one.candidate.doc).id();
        self.members.sort_unstable_by(|a, b| {
            let key = |one: &GroupMember| {
                (
                    one.group,
                    one.only_fails.is_some(),
                    one.candidate.tier,
                    Reverse(one.candidate.key),
                    Reverse(rank(one)),
                )
            };
            key(a).cmp(&key(b)).then_with(|| id(a).cmp(id(b)))
        });
        let (mut found, mut best) = (0, Vec::new());
        for group in self.members.chunk_by(|a, b| a.group == b.group) {
            counts.add_group(index, group);
            if group[0].only_fails.is_none() {
                found += 1;
                best.push((group[0].segment, group[0].candidate));
            }
        }
        best.sort_unstable_by_key(|(segment, candidate)| (*segment, candidate.doc));
        (found, best)
    }

    /// The other hits of a product's group, best first, and at most [`MAX_VARIANTS`] of them.
    pub(crate) fn others(&self, index: &Index, segment: usize, doc: u32) -> Vec<(usize, u32)> {
        let group = index.segments()[segment].segment.groups()[doc as usize];
        let start = self.members.partition_point(|member| member.group < group);
        let members = self.members[start..].iter().take_while(|member| member.group == group && group != 0);
        let hits = members.filter(|member| member.only_fails.is_none()).map(|one| (one.segment, one.candidate.doc));
        hits.filter(|other| *other != (segment, doc)).take(MAX_VARIANTS).collect()
    }
}
