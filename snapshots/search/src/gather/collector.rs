//! Taking the matching documents of one segment: filtered, counted, and the best kept.

use snapshots::SortOrder;

use super::Gathered;
use crate::cursor::{Match, Worth};
use crate::distinct::{GroupMember, Groups};
use crate::facets::SegmentCounts;
use crate::of_type::TypeWalk;
use crate::predicate::{Predicate, Refinements, SplitFilter, Verdict};
use crate::rank::{Asked, HEAD, TYPE_SHARE, browsing_score};
use crate::top::{Candidate, Top, score_key, sort_key};

/// Takes the matching documents of one segment.
pub(super) struct Collector<'a> {
    segment: usize,
    pub(super) refinements: Refinements<'a>,
    rows: snapshots::FacetRows<'a>,
    counts: SegmentCounts<'a>,
    sort: Option<(&'a [i64], SortOrder)>,
    boosts: Vec<(Predicate<'a>, f32)>,
    /// The documents of the type that the query names, where relevance decides.
    of_type: Option<TypeWalk<'a>>,
    /// Where a group of variants is one hit: what was found of them, and each document's group.
    groups: Option<(&'a mut Groups, &'a [u64])>,
    top: Top,
    found: u64,
}

impl Collector<'_> {
    /// Takes a document that matches the text, if the filters let it pass.
    #[inline]
    pub(super) fn offer(&mut self, hit: Match<'_>, tier: u8) {
        match self.refinements.verdict(hit.doc, self.rows) {
            Verdict::Hit => self.hit(hit, tier),
            Verdict::OnlyFails(place) => self.fails(self.refinements.facets[place].0, hit.doc),
            Verdict::Out => {}
        }
    }

    /// Counts and takes a hit.
    #[inline(always)]
    pub(super) fn hit(&mut self, hit: Match<'_>, tier: u8) {
        if let Some(group) = self.group(hit.doc) {
            let candidate = self.candidate(hit, tier);
            let member = GroupMember::new(group, self.segment, candidate, None);
            self.groups.as_mut().into_iter().for_each(|(groups, _)| groups.add(member));
            return;
        }
        self.counts.add(hit.doc);
        self.take(hit, tier);
    }

    /// Counts a document that would be a hit if one facet were not refined.
    pub(super) fn fails(&mut self, facet: usize, doc: u32) {
        match self.group(doc) {
            Some(group) => {
                let candidate = Candidate::new(u8::MAX, 0, doc);
                let member = GroupMember::new(group, self.segment, candidate, Some(facet));
                self.groups.as_mut().into_iter().for_each(|(groups, _)| groups.add(member));
            }
            None => self.counts.add_for(facet, doc),
        }
    }

    /// The group of variants that a document belongs to, where that matters.
    #[inline]
    fn group(&self, doc: u32) -> Option<u64> {
        self.groups.as_ref().map(|(_, of)| of[doc as usize]).filter(|group| *group != 0)
    }

    #[inline]
    fn take(&mut self, hit: Match<'_>, tier: u8) {
        self.found += 1;
        if self.top.admits(tier) {
            let candidate = self.candidate(hit, tier);
            self.top.push(candidate);
        }
    }

    #[inline(always)]
    fn candidate(&mut self, hit: Match<'_>, tier: u8) -> Candidate {
        let boost = if self.boosts.is_empty() { 0.0 } else { self.boost(hit.doc) };
        let is_of_type = self.of_type.as_mut().is_some_and(|walk| walk.has(hit.doc));
        let type_share = if is_of_type { TYPE_SHARE } else { 0.0 };
        let score = hit.score();
        let key = match self.sort {
            None => score_key(score * (1.0 + boost + type_share)),
            Some((column, order)) => sort_key(column[hit.doc as usize], order),
        };
        let mut candidate = Candidate::new(tier, key, hit.doc);
        (candidate.has, candidate.text) = (hit.has, score);
        (candidate.boost, candidate.type_share) = (boost, type_share);
        candidate
    }

    fn boost(&self, doc: u32) -> f32 {
        let holding = self.boosts.iter().filter(|(predicate, _)| predicate.holds(doc, self.rows));
        holding.map(|(_, share)| share).sum::<f32>().max(-1.0)
    }

    /// A document that is there to be browsed. It has a score where rules move products by a share of that.
    pub(super) fn browsed(&self, doc: u32, ranks: &[u32]) -> Match<'static> {
        let is_moved = self.sort.is_none() && !self.boosts.is_empty();
        let score = if is_moved { browsing_score(ranks[doc as usize]) } else { 0.0 };
        Match { worth: Worth::Known(score), ..Match::none(doc) }
    }

    pub(super) fn finish(mut self) -> (u64, Top) {
        self.counts.count_pending();
        (self.found, self.top)
    }
}

impl Gathered<'_> {
    pub(super) fn collector(&mut self, segment: usize, filter: &SplitFilter) -> Collector<'_> {
        let part = &self.index.segments()[segment];
        let sort = self.request.sort.map(|place| &self.index.catalogue().sorts[place]);
        let limit = self.reach().max(HEAD);
        let boosts = self.curation.boosts.iter();
        Collector {
            segment,
            refinements: filter.for_segment(&part.segment),
            rows: part.segment.facet_rows(),
            counts: self.counts.for_segment(self.index, segment),
            sort: sort.map(|sort| (part.segment.number(&sort.by).unwrap_or(&[]), sort.order)),
            boosts: boosts.map(|(filter, share)| (Predicate::new(filter, &part.segment), *share)).collect(),
            of_type: self.asked.get(segment).map(Asked::type_walk),
            groups: self.groups.as_mut().map(|groups| (groups, part.segment.groups())),
            top: Top::new(limit),
            found: 0,
        }
    }
}
