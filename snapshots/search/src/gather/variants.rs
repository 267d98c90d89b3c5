//! Groups of variants as one hit each, and the others behind each of them.

use super::Gathered;
use super::browse::level;
use crate::distinct::{GroupMember, other_hits};
use crate::rank::HEAD;
use crate::top::{Candidate, SortKeys, Top};

impl Gathered<'_> {
    /// Makes one candidate of each group of variants.
    pub(super) fn fold(&mut self) {
        let limit = self.reach().max(HEAD);
        let Some(groups) = self.groups.as_mut() else { return };
        let mut tops: Vec<Top> = self.index.segments().iter().map(|_| Top::new(limit)).collect();
        let found = &mut self.found;
        groups.fold(self.index, &mut self.counts, |best| {
            *found += 1;
            tops[best.segment()].push(best.candidate);
        });
        for (place, top) in tops.into_iter().enumerate() {
            self.candidates.extend(top.into_best().into_iter().map(|candidate| (place, candidate)));
        }
    }

    /// The other variants of a hit that were found, where one of them stands for all.
    pub(super) fn variants(&self, segment: usize, doc: u32) -> Vec<(usize, u32)> {
        let index = self.index;
        let Some(groups) = &self.groups else { return Vec::new() };
        let Some(known) = &self.known else { return groups.others(index, segment, doc) };
        let group = index.segments()[segment].segment.groups()[doc as usize];
        if group == 0 {
            return Vec::new();
        }
        let (pins, keys) = (self.pinned_products(), SortKeys::new(index, self.request.sort));
        let candidate = |segment, doc| Candidate::new(level(&pins, (segment, doc)), keys.of(segment, doc), doc);
        let members = index.variants().of(index, group, candidate);
        let is_found = |one: &GroupMember| known.docs(one.segment()).contains(one.candidate.doc());
        other_hits(index, self.request.sort.is_none(), members.filter(is_found).collect(), (segment, doc))
    }
}
