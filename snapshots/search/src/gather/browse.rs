//! A request without words: every product matches, and sets of documents do the filtering.

use super::{Gathered, PINNED_LEVEL, TYPED_LEVEL};
use crate::cursor::{Match, Worth};
use crate::predicate::{SplitFilter, live_bits};
use crate::rank::browsing_score;

impl Gathered<'_> {
    /// Answers such a request.
    pub(crate) fn browse(&mut self, filter: &SplitFilter) {
        let pins = self.pinned_products();
        let reach = self.reach();
        for (place, part) in self.index.segments().iter().enumerate() {
            let mut hits = live_bits(part);
            let curation = self.curation;
            curation.hidden_docs(place).for_each(|doc| hits.remove(doc));
            let hides = curation.hidden_docs(place).next().is_some();
            let mut collector = self.collector(place, filter);
            if let Some(rest) = &collector.refinements.rest {
                hits.intersect(rest.bits(&part.segment).words());
            }
            let refined: Vec<_> = collector.refinements.facets.iter().map(|(_, one)| one.bits(&part.segment)).collect();
            let facets: Vec<usize> = collector.refinements.facets.iter().map(|(facet, _)| *facet).collect();
            for (only, facet) in facets.into_iter().enumerate() {
                let mut docs = hits.clone();
                docs.subtract(&refined[only]);
                let others = refined.iter().enumerate().filter(|(other, _)| *other != only);
                others.for_each(|(_, bits)| docs.intersect(bits.words()));
                for doc in docs.iter() {
                    collector.fails(facet, doc);
                }
            }
            refined.iter().for_each(|bits| hits.intersect(bits.words()));
            let all_are_hits =
                collector.refinements.is_empty() && part.liveness.is_none() && !hides && collector.groups.is_none();
            if all_are_hits {
                collector.counts.add_all();
            }
            // Without rules that say otherwise, documents stand in their order already.
            let is_moved = collector.sort.is_none() && !collector.boosts.is_empty();
            let ranks = part.segment.static_ranks();
            let browsed = |doc: u32| {
                let score = if is_moved { browsing_score(ranks[doc as usize]) } else { 0.0 };
                Match { worth: Worth::Known(score), ..Match::none(doc) }
            };
            let level = |doc| if !pins.is_empty() && pins.contains(&(place, doc)) { PINNED_LEVEL } else { TYPED_LEVEL };
            if all_are_hits && collector.sort.is_none() && collector.boosts.is_empty() {
                // Documents stand in the order of an answer: those behind the page are counted, and not looked at.
                let count = part.segment.product_count() as u32;
                let shown = count.min(u32::try_from(reach).unwrap_or(u32::MAX));
                let pinned = pins.iter().filter(|pin| pin.0 == place && pin.1 >= shown).map(|pin| pin.1);
                (0..shown).chain(pinned).for_each(|doc| collector.take(browsed(doc), level(doc)));
                collector.found = u64::from(count);
            } else {
                for doc in hits.iter() {
                    match all_are_hits {
                        true => collector.take(browsed(doc), level(doc)),
                        false => collector.hit(browsed(doc), level(doc)),
                    }
                }
            }
            let done = collector.finish();
            self.keep(place, done);
        }
    }
}
