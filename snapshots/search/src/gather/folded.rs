//! A request without words and filters that wants variants folded: what comes of all products is known, and rules may
//! pin some of them.

use super::{Gathered, PINNED_LEVEL, TYPED_LEVEL};
use crate::distinct::{GroupMember, other_hits};
use crate::top::Candidate;

impl Gathered<'_> {
    /// Answers such a request; false where it is another, or rules say which variant is the best.
    pub(super) fn browse_folded(&mut self) -> bool {
        let asks_for_all = self.request.sort.is_none() && self.request.filter.is_none();
        if self.groups.is_none() || !asks_for_all || self.curation.moves_hits() {
            return false;
        }
        let (index, folded) = (self.index, self.index.folded(self.curation.version));
        let group_of = |segment: usize, doc: u32| index.segments()[segment].segment.groups()[doc as usize];
        let pins = self.pinned_products().into_iter().map(|(segment, doc)| {
            GroupMember::new(group_of(segment, doc), segment, Candidate::new(PINNED_LEVEL, 0, doc), None)
        });
        let pinned: Vec<GroupMember> = pins.collect();
        let gives_way = |segment: usize, doc: u32| {
            let group = group_of(segment, doc);
            pinned.iter().any(|pin| match group {
                0 => (pin.segment(), pin.candidate.doc()) == (segment, doc),
                _ => pin.group == group,
            })
        };
        let reach = self.reach();
        for (place, shown) in folded.shown.iter().enumerate() {
            // Documents stand in the order of an answer.
            let docs = shown.iter().filter(|doc| pinned.is_empty() || !gives_way(place, *doc)).take(reach);
            self.candidates.extend(docs.map(|doc| (place, Candidate::new(TYPED_LEVEL, 0, doc))));
        }
        self.candidates.extend(pinned.iter().map(|pin| (pin.segment(), pin.candidate)));
        self.found = folded.found;
        self.facets = Some(folded.counts.answer(index, self.request));
        self.is_known = true;
        true
    }

    /// The other variants of a hit that were found, where one of them stands for all.
    pub(super) fn variants(&self, segment: usize, doc: u32) -> Vec<(usize, u32)> {
        let index = self.index;
        match &self.groups {
            None => Vec::new(),
            Some(groups) if !self.is_known => groups.others(index, segment, doc),
            Some(_) => {
                let group = index.segments()[segment].segment.groups()[doc as usize];
                if group == 0 {
                    return Vec::new();
                }
                let pins = self.pinned_products();
                let level = |segment, doc| if pins.contains(&(segment, doc)) { PINNED_LEVEL } else { TYPED_LEVEL };
                let members = index.variants().of(index, group, level);
                let is_seen = |one: &GroupMember| !self.curation.is_hidden(one.segment(), one.candidate.doc());
                other_hits(index, true, members.filter(is_seen).collect(), (segment, doc))
            }
        }
    }
}
