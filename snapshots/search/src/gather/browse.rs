//! A request without words: every product matches, and sets of documents do the filtering.

use std::sync::Arc;

use super::{Collector, Gathered, PINNED_LEVEL, TYPED_LEVEL};
use crate::bits::Bits;
use crate::cursor::{Match, Worth};
use crate::doc_sets::DocSet;
use crate::predicate::SplitFilter;
use crate::rank::browsing_score;

/// The sets that a filter asks for, where they are kept.
struct Sets {
    /// What fulfils all of it; None unless the others are kept, too.
    whole: Option<Arc<DocSet>>,
    /// By refined facet, what fulfils all that is not about it: that is what the facet counts.
    others: Vec<(usize, Option<Arc<DocSet>>)>,
}

impl Sets {
    /// What a facet counts.
    fn counted(&self, facet: usize) -> Option<&DocSet> {
        let refined = self.others.iter().find(|(other, _)| *other == facet);
        refined.map_or(&self.whole, |(_, others)| others).as_deref()
    }
}

impl Gathered<'_> {
    /// Answers such a request.
    pub(crate) fn browse(&mut self, filter: &SplitFilter) {
        if self.browse_folded() {
            return;
        }
        let sets = self.sets(filter);
        for place in 0..self.index.segments().len() {
            match &sets.whole {
                // Variants that are folded must all be looked at.
                Some(whole) if self.groups.is_none() => self.take_shown(place, filter, whole),
                _ => self.take_each(place, filter, &sets),
            }
        }
        if self.groups.is_none() {
            for facet in &self.request.facets {
                if let Some(counted) = sets.counted(*facet) {
                    self.counts.replace(self.index, *facet, counted.totals(self.index));
                }
            }
        }
    }

    fn sets(&self, filter: &SplitFilter) -> Sets {
        let (index, curation) = (self.index, self.curation);
        let kept = |without: Option<usize>| match curation.hides.is_empty() {
            true => index.kept_set(curation.version, filter.conditions(without)),
            // What is hidden from some requests only is in no set that is kept.
            false => None,
        };
        let others: Vec<_> = filter.refined().map(|facet| (facet, kept(Some(facet)))).collect();
        let whole = kept(None).filter(|_| others.iter().all(|(_, set)| set.is_some()));
        Sets { whole, others }
    }

    /// Takes the hits of a segment that may be shown, out of a set that is kept. What facets count is known.
    fn take_shown(&mut self, place: usize, filter: &SplitFilter, whole: &DocSet) {
        let (index, reach, pins) = (self.index, self.reach(), self.pinned_products());
        let (docs, count) = (whole.docs(place), whole.count(place));
        let shown: Option<Vec<u32>> = match self.request.sort {
            Some(sort) => whole.first(index, place, sort).get(..reach.min(count)).map(<[u32]>::to_vec),
            // Without rules that say otherwise, documents stand in the order of an answer already.
            None if self.curation.boosts.is_empty() => {
                let mut shown: Vec<u32> = docs.iter().take(reach).collect();
                let end = shown.last().map_or(0, |last| last + 1);
                let pinned = pins.iter().filter(|(of, doc)| *of == place && *doc >= end && docs.contains(*doc));
                shown.extend(pinned.map(|(_, doc)| *doc));
                Some(shown)
            }
            None => None,
        };
        let ranks = index.segments()[place].segment.static_ranks();
        let mut collector = self.collector(place, filter);
        let take = |doc: u32| {
            let hit = collector.browsed(doc, ranks);
            collector.take(hit, level(&pins, (place, doc)));
        };
        match shown {
            Some(shown) => shown.into_iter().for_each(take),
            None => docs.iter().for_each(take),
        }
        collector.found = count as u64;
        let done = collector.finish();
        self.keep(place, done);
    }

    /// Takes every hit of a segment, and counts those that no kept set counts.
    fn take_each(&mut self, place: usize, filter: &SplitFilter, sets: &Sets) {
        let (index, curation, pins) = (self.index, self.curation, self.pinned_products());
        let segment = &index.segments()[place].segment;
        let folds = self.groups.is_some();
        let mut collector = self.collector(place, filter);
        let (hits, failing): (Bits, Vec<(usize, Bits)>) = match &sets.whole {
            Some(whole) => {
                let hits = whole.docs(place);
                let failing = sets.others.iter().filter_map(|(facet, others)| {
                    let mut docs = others.as_ref()?.docs(place).clone();
                    docs.subtract(hits);
                    Some((*facet, docs))
                });
                (hits.clone(), failing.collect())
            }
            None => {
                let mut seen = index.seen(curation.version).docs(place).clone();
                let hidden = curation.hides.iter().filter(|(of, _)| *of == place);
                hidden.for_each(|(_, doc)| seen.remove(*doc));
                collector.refinements.split(segment, seen)
            }
        };
        for (facet, docs) in failing {
            if folds || sets.counted(facet).is_none() {
                docs.iter().for_each(|doc| collector.fails(facet, doc));
            }
        }
        let ranks = segment.static_ranks();
        for doc in hits.iter() {
            let hit = collector.browsed(doc, ranks);
            collector.hit(hit, level(&pins, (place, doc)));
        }
        let done = collector.finish();
        self.keep(place, done);
    }
}

impl Collector<'_> {
    /// A document that is there to be browsed. It has a score where rules move products by a share of that.
    fn browsed(&self, doc: u32, ranks: &[u32]) -> Match<'static> {
        let is_moved = self.sort.is_none() && !self.boosts.is_empty();
        let score = if is_moved { browsing_score(ranks[doc as usize]) } else { 0.0 };
        Match { worth: Worth::Known(score), ..Match::none(doc) }
    }
}

fn level(pins: &[(usize, u32)], product: (usize, u32)) -> u8 {
    if pins.contains(&product) { PINNED_LEVEL } else { TYPED_LEVEL }
}
