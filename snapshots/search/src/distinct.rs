//! Variants of one article as one hit: the best of a group stands for it, and a facet counts the group once a value.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

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
    /// Neither words nor a sort order say which variant matches better.
    is_browsed: bool,
    members: Vec<GroupMember>,
    /// Of each member the place of the group's one before it, plus one; 0 for its first.
    before: Vec<u32>,
    /// The place of each group's last member, plus one, and the groups in the order in which they were found.
    last: HashMap<u64, u32, BuildHasherDefault<GroupHasher>>,
    order: Vec<u64>,
}

/// Groups are known by hashes already.
#[derive(Default)]
struct GroupHasher(u64);

impl Hasher for GroupHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, group: u64) {
        self.0 = group;
    }
}

impl Groups {
    pub(crate) fn new(is_browsed: bool) -> Self {
        Self { is_browsed, ..Self::default() }
    }

    pub(crate) fn add(&mut self, member: GroupMember) {
        let last = self.last.entry(member.group).or_default();
        if *last == 0 {
            self.order.push(member.group);
        }
        self.before.push(*last);
        self.members.push(member);
        *last = self.members.len() as u32;
    }

    /// The members of a group: hits first, the best of them before the others.
    fn of(&self, index: &Index, group: u64) -> Vec<GroupMember> {
        let mut members = Vec::new();
        let mut at = self.last.get(&group).copied().unwrap_or(0);
        while at > 0 {
            members.push(self.members[at as usize - 1]);
            at = self.before[at as usize - 1];
        }
        let rank =
            |one: &GroupMember| index.segments()[one.segment].segment.static_ranks()[one.candidate.doc() as usize];
        let id = |one: &GroupMember| index.record(one.segment, one.candidate.doc()).id();
        let share = |one: &GroupMember| index.availability_share(one.segment, one.candidate.doc());
        // What is browsed may have its rank as its score: only rules say that one is better than another.
        let key = |one: &GroupMember| match self.is_browsed {
            true => (one.only_fails.is_some(), u128::from(one.candidate.level())),
            false => (one.only_fails.is_some(), one.candidate.level_and_key()),
        };
        let boost = |one: &GroupMember| if self.is_browsed { one.candidate.boost } else { 0.0 };
        members.sort_unstable_by(|a, b| {
            let order = key(a).cmp(&key(b)).then_with(|| boost(b).total_cmp(&boost(a)));
            // Where variants match alike, one that can be had stands for those that cannot.
            let order = order.then_with(|| share(b).total_cmp(&share(a)));
            order.then_with(|| rank(b).cmp(&rank(a))).then_with(|| id(a).cmp(id(b)))
        });
        members
    }

    /// Counts each group, and gives how many have a hit, and the best of each by segment.
    pub(crate) fn fold(&self, index: &Index, counts: &mut FacetCounts) -> (u64, Vec<(usize, Candidate)>) {
        let mut best = Vec::new();
        for group in &self.order {
            let members = self.of(index, *group);
            counts.add_group(index, &members);
            if members[0].only_fails.is_none() {
                best.push((members[0].segment, members[0].candidate));
            }
        }
        (best.len() as u64, best)
    }

    /// The other hits of a product's group, best first, and at most [`MAX_VARIANTS`] of them.
    pub(crate) fn others(&self, index: &Index, segment: usize, doc: u32) -> Vec<(usize, u32)> {
        let group = index.segments()[segment].segment.groups()[doc as usize];
        let members = if group == 0 { Vec::new() } else { self.of(index, group) };
        let hits = members.iter().filter(|member| member.only_fails.is_none());
        let hits = hits.map(|one| (one.segment, one.candidate.doc()));
        hits.filter(|other| *other != (segment, doc)).take(MAX_VARIANTS).collect()
    }
}
