//! A request without words: every product matches, and sets of documents do the filtering.

use std::sync::Arc;

use super::{Gathered, PINNED_LEVEL, TYPED_LEVEL};
use crate::bits::Bits;
use crate::doc_sets::{DocSet, Fulfilled};
use crate::facets::FacetCounts;
use crate::predicate::SplitFilter;
use crate::top::{Candidate, SortKeys};

/// The sets that a filter asks for, where they are kept.
#[derive(Default)]
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
        let (index, request, folds) = (self.index, self.request, self.groups.is_some());
        let sets = self.sets(filter);
        // What a kept set counts is not counted again.
        let rest = request.facets.iter().copied().filter(|facet| sets.counted(*facet).is_none());
        self.counts = FacetCounts::new(index, &rest.collect::<Vec<_>>());
        if !sets.whole.as_ref().is_some_and(|whole| self.take_shown(whole)) {
            (0..index.segments().len()).for_each(|place| self.take_each(place, filter, &sets));
            self.fold();
        }
        let answer = |facet: &usize| {
            let counts = sets.counted(*facet).map_or(&self.counts, |set| set.counts(index, folds));
            counts.answer(index, request, *facet)
        };
        self.facets = Some(request.facets.iter().map(answer).collect());
    }

    fn sets(&self, filter: &SplitFilter) -> Sets {
        let (index, curation) = (self.index, self.curation);
        // What is hidden from some requests only is in no set that is kept.
        if !curation.hides.is_empty() {
            return Sets::default();
        }
        let mut fulfilled = Fulfilled::default();
        let mut kept =
            |without: Option<usize>| index.kept_set(curation.version, filter.conditions(without), &mut fulfilled);
        let others: Vec<_> = filter.refined().map(|facet| (facet, kept(Some(facet)))).collect();
        let whole = kept(None).filter(|_| others.iter().all(|(_, set)| set.is_some()));
        Sets { whole, others }
    }

    /// Takes the hits that may be shown out of a set that is kept; false where all of it must be looked at.
    fn take_shown(&mut self, whole: &Arc<DocSet>) -> bool {
        let (index, folds) = (self.index, self.groups.is_some());
        let Some(shown) = self.shown(whole) else { return false };
        let (pins, keys) = (self.pinned_products(), SortKeys::new(index, self.request.sort));
        for (place, docs) in shown.into_iter().enumerate() {
            let candidate = |doc| Candidate::new(level(&pins, (place, doc)), keys.of(place, doc), doc);
            self.candidates.extend(docs.into_iter().map(|doc| (place, candidate(doc))));
        }
        self.found = whole.found(index, folds);
        self.known = Some(whole.clone());
        true
    }

    /// The documents of a set that may be shown, by segment; None where what is kept of it does not say.
    fn shown(&self, whole: &DocSet) -> Option<Vec<Vec<u32>>> {
        let (index, reach, folds) = (self.index, self.reach(), self.groups.is_some());
        let places = 0..index.segments().len();
        if let Some(sort) = self.request.sort {
            let first = |place| whole.first(index, place, sort, folds, reach).map(<[u32]>::to_vec);
            return places.map(first).collect();
        }
        // Rules say which product, and which variant, is the better one.
        if !self.curation.boosts.is_empty() {
            return None;
        }
        let mut pins = self.pinned_products();
        pins.retain(|(place, doc)| whole.docs(*place).contains(*doc));
        let group_of = |(place, doc): (usize, u32)| index.segments()[place].segment.groups()[doc as usize];
        let gives_way = |product: (usize, u32)| {
            let is_variant = |pin: &(usize, u32)| group_of(*pin) != 0 && group_of(*pin) == group_of(product);
            pins.iter().any(|pin| *pin == product || folds && is_variant(pin))
        };
        let shown = places.map(|place| {
            // Without rules that say otherwise, documents stand in the order of an answer.
            let docs = whole.listed(index, place, folds).iter().filter(|doc| !gives_way((place, *doc))).take(reach);
            docs.chain(pins.iter().filter(|(of, _)| *of == place).map(|(_, doc)| *doc)).collect()
        });
        Some(shown.collect())
    }

    /// Takes every hit of a segment, and counts those that no kept set counts.
    fn take_each(&mut self, place: usize, filter: &SplitFilter, sets: &Sets) {
        let (index, curation, pins) = (self.index, self.curation, self.pinned_products());
        let segment = &index.segments()[place].segment;
        let mut collector = self.collector(place, filter);
        let (hits, failing): (Bits, Vec<(usize, Bits)>) = match &sets.whole {
            Some(whole) => (whole.docs(place).clone(), Vec::new()),
            None => {
                let mut seen = index.seen(curation.version).docs(place).clone();
                let hidden = curation.hides.iter().filter(|(of, _)| *of == place);
                hidden.for_each(|(_, doc)| seen.remove(*doc));
                collector.refinements.split(segment, seen)
            }
        };
        for (facet, docs) in failing {
            if sets.counted(facet).is_none() {
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

pub(super) fn level(pins: &[(usize, u32)], product: (usize, u32)) -> u8 {
    if pins.contains(&product) { PINNED_LEVEL } else { TYPED_LEVEL }
}
