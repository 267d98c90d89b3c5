//! Gathering the products that match: tier by tier, segment by segment, filtered, counted, folded, and the best kept.

mod browse;
mod second_look;
mod variants;

use std::cmp::Ordering;
use std::sync::Arc;

use snapshots::SortOrder;

use crate::bits::Bits;
use crate::curation::Curation;
use crate::cursor::{Match, Worth};
use crate::distinct::{GroupMember, Groups};
use crate::doc_sets::DocSet;
use crate::error::Error;
use crate::facets::{FacetAnswer, FacetCounts, SegmentCounts};
use crate::index::Index;
use crate::matching::Matcher;
use crate::of_type::TypeWalk;
use crate::plan::Plan;
use crate::predicate::{Predicate, Refinements, SplitFilter, Verdict};
use crate::rank::{Asked, HEAD, TYPE_SHARE};
use crate::request::SearchRequest;
use crate::search::{Answer, FoundPlan, Hit, Tier};
use crate::top::{Candidate, Top, key_score, score_key, sort_key};

/// What rules pin, what a query names to the letter, and what it names but for separators.
const PINNED_LEVEL: u8 = 0;
const LETTER_LEVEL: u8 = 1;
const NAMED_LEVEL: u8 = 2;
/// What the words of a query find has the levels from here on.
const TYPED_LEVEL: u8 = 3;
/// What the score of such a product is.
const NAMED_SCORE: f32 = 100.0;
/// What a corrected query finds ranks below what the query finds as it was typed.
const CORRECTED_LEVEL: u8 = 128;
/// More products than this the first tier does not find where a query is corrected: some word of it is rare.
const MAX_RARE_MATCHES: usize = 64;

/// What is gathered over the segments of an index for one request.
pub(crate) struct Gathered<'a> {
    index: &'a Index,
    request: &'a SearchRequest,
    curation: &'a Curation<'a>,
    counts: FacetCounts,
    /// What is answered in place of the counts.
    facets: Option<Vec<FacetAnswer>>,
    candidates: Vec<(usize, Candidate)>,
    /// What the first tier has found, by segment and document, and how many products match the text by now.
    matched: Vec<(usize, u32)>,
    matched_count: u64,
    /// What was taken before any word was looked up.
    taken: Vec<(usize, u32)>,
    /// A group of variants that is not taken, but for 0, which is none.
    left_out: u64,
    /// One tier is all there is.
    is_alone: bool,
    /// What other readings of the query need not give again.
    seen: Option<Vec<Bits>>,
    /// The variants that were found, where a group of them is one hit.
    groups: Option<Groups>,
    /// The set that was found, where one is kept: the groups are empty then.
    known: Option<Arc<DocSet>>,
    found: u64,
    /// What candidates are asked, by segment, and how many of the best were looked at again.
    asked: Vec<Asked<'a>>,
    head: usize,
}

impl<'a> Gathered<'a> {
    pub(crate) fn new(index: &'a Index, request: &'a SearchRequest, curation: &'a Curation<'a>) -> Self {
        Self {
            index,
            request,
            curation,
            counts: FacetCounts::new(index, &request.facets),
            facets: None,
            candidates: Vec::new(),
            matched: Vec::new(),
            matched_count: 0,
            taken: Vec::new(),
            left_out: 0,
            is_alone: false,
            seen: None,
            groups: request.distinct.then(|| Groups::new(curation.words().is_empty() && request.sort.is_none())),
            known: None,
            found: 0,
            asked: Vec::new(),
            head: 0,
        }
    }

    /// Takes the products that rules pin, and those that the query names exactly: they come first.
    pub(crate) fn take_first(&mut self, filter: &SplitFilter) {
        let mut named = self.index.named_exactly(self.curation.query());
        named.retain(|(segment, doc, _)| !self.curation.is_hidden(*segment, *doc));
        let pins = self.pinned_products();
        named.retain(|(segment, doc, _)| !pins.contains(&(*segment, *doc)));
        if named.is_empty() && pins.is_empty() {
            return;
        }
        let by_sort = self.request.sort.is_some();
        for place in 0..self.index.segments().len() {
            let mut collector = self.collector(place, filter);
            let mut docs: Vec<(u32, u8)> =
                pins.iter().filter(|pin| pin.0 == place).map(|pin| (pin.1, PINNED_LEVEL)).collect();
            let named = named.iter().filter(|(segment, ..)| *segment == place);
            docs.extend(
                named.map(|(_, doc, to_the_letter)| (*doc, if *to_the_letter { LETTER_LEVEL } else { NAMED_LEVEL })),
            );
            docs.sort_unstable();
            for (doc, level) in docs {
                let hit = Match { worth: Worth::Known(NAMED_SCORE), has: u32::MAX, ..Match::none(doc) };
                collector.offer(hit, if by_sort { TYPED_LEVEL } else { level });
            }
            let done = collector.finish();
            self.keep(place, done);
        }
        self.taken = named.into_iter().map(|(segment, doc, _)| (segment, doc)).chain(pins).collect();
        self.taken.sort_unstable();
    }

    /// The products that rules pin; an explicit sort is what the shopper asked for, and pins nothing.
    fn pinned_products(&self) -> Vec<(usize, u32)> {
        let pins = self.curation.pins.iter().filter(|_| self.request.sort.is_none());
        pins.map(|pin| pin.product).collect()
    }

    /// Leaves out a product and its variants: what is asked for is others like it.
    pub(crate) fn like(&mut self, segment: usize, doc: u32) {
        self.is_alone = true;
        self.taken.push((segment, doc));
        self.left_out = self.index.segments()[segment].segment.groups()[doc as usize];
    }

    /// Matches the words in every segment, but for the products that a better tier has; returns how many products match
    /// the text by now, whatever the filters say.
    pub(crate) fn run(&mut self, found: &FoundPlan<'_>, filter: &SplitFilter, tier: Tier) -> Result<u64, Error> {
        let index = self.index;
        let every_word = u32::MAX >> (u32::BITS - found.plan.slots.len() as u32);
        let curation = self.curation;
        // A query is corrected only where some word of it is rare, so what the typed tier has found is short then.
        let base = if found.is_corrected && tier != Tier::Typed { CORRECTED_LEVEL } else { TYPED_LEVEL };
        let by_sort = self.request.sort.is_some();
        let taken = std::mem::take(&mut self.taken);
        let mut matched = std::mem::take(&mut self.matched);
        let mut seen = std::mem::take(&mut self.seen);
        if seen.is_none() && (!found.plan.readings.is_empty() || found.plan.is_reading) {
            seen = Some(index.segments().iter().map(|part| Bits::none(part.segment.product_count())).collect());
        }
        let (is_alone, left_out) = (self.is_alone, self.left_out);
        let mut count = 0;
        for (place, slots) in found.found.iter().enumerate() {
            let (part, text) = (&index.segments()[place], &index.texts[place]);
            let matcher = Matcher::new(text, index.lengths(place), slots, &found.weights)?;
            let mut collector = self.collector(place, filter);
            // Most searches are kept from no document, and must not pay for those that are.
            let may_take_any = taken.is_empty() && seen.is_none() && part.liveness.is_none() && !curation.hides_any();
            let mut each = |mut hit: Match<'_>| {
                let lacking = (every_word & !hit.has).count_ones();
                let is_known = match tier {
                    Tier::Typed | Tier::AllButOne => false,
                    Tier::Corrected => matched.contains(&(place, hit.doc)),
                    Tier::AnyWord => lacking <= 1 && !is_alone,
                };
                if is_known {
                    return;
                }
                if !may_take_any {
                    if !taken.is_empty() && taken.binary_search(&(place, hit.doc)).is_ok() {
                        count += u64::from(tier == Tier::Typed && !found.plan.is_reading && hit.begun == 0);
                        return;
                    }
                    if left_out != 0 && part.segment.groups()[hit.doc as usize] == left_out {
                        return;
                    }
                    if !part.is_live(hit.doc) || curation.is_hidden(place, hit.doc) {
                        return;
                    }
                    if !found.admits(text, place, hit.doc, hit.weak) {
                        return;
                    }
                    if seen.as_mut().is_some_and(|seen| !seen[place].insert(hit.doc)) {
                        return;
                    }
                    // A reading has other words; what it finds lacks none of the query's.
                    if found.plan.is_reading {
                        hit.has = u32::MAX;
                        hit.weak |= found.apart(text, place, hit.doc);
                    }
                }
                // Where a product only has longer words, a looser reading may find what is meant.
                count += u64::from(hit.begun == 0);
                if tier == Tier::Typed && matched.len() < MAX_RARE_MATCHES {
                    matched.push((place, hit.doc));
                }
                // A word that is only mentioned is half a word.
                let level = if by_sort { tier as u8 } else { (2 * lacking + hit.weak.count_ones()) as u8 };
                collector.offer(hit, base + level);
            };
            match tier {
                Tier::Typed | Tier::Corrected => matcher.all_words(&mut each),
                Tier::AllButOne => matcher.all_but_one(&mut each),
                Tier::AnyWord => matcher.any_word(found.plan.telling(), &mut each),
            }
            let done = collector.finish();
            self.keep(place, done);
        }
        (self.matched, self.taken, self.seen) = (matched, taken, seen);
        self.matched_count += count;
        Ok(self.matched_count)
    }

    /// Answers the facets of what was found so far, whatever is found from here on; of variants, each counts.
    pub(crate) fn settle_facets(&mut self) {
        self.facets = Some(self.counts.answers(self.index, self.request));
    }

    /// Takes note of what the first tier has found, for readings that are only thought of when it is too little.
    pub(crate) fn note_seen(&mut self, found: &FoundPlan<'_>) -> Result<(), Error> {
        if self.seen.is_some() {
            return Ok(());
        }
        let index = self.index;
        let mut seen: Vec<Bits> =
            index.segments().iter().map(|part| Bits::none(part.segment.product_count())).collect();
        for (place, slots) in found.found.iter().enumerate() {
            let matcher = Matcher::new(&index.texts[place], index.lengths(place), slots, &found.weights)?;
            matcher.all_words(&mut |hit: Match<'_>| {
                seen[place].insert(hit.doc);
            });
        }
        self.seen = Some(seen);
        Ok(())
    }

    /// Where the page ends, counted from the first hit.
    fn page_end(&self) -> usize {
        self.request.page * self.request.per_page
    }

    /// How many candidates a page may look at: those pinned behind it stand at the front, and are passed over.
    fn reach(&self) -> usize {
        let pins = if self.request.sort.is_none() { self.curation.pins.len() } else { 0 };
        self.page_end() + pins
    }

    /// Puts the candidates that the answer may show in order, the best first; those behind them have none.
    fn sort(&self, candidates: &mut [(usize, Candidate)]) {
        let shown = self.reach();
        if candidates.len() > shown && shown > 0 {
            candidates.select_nth_unstable_by(shown, |a, b| self.order(a, b));
        }
        let shown = candidates.len().min(shown);
        candidates[..shown].sort_unstable_by(|a, b| self.order(a, b));
    }

    /// Best first.
    fn order(&self, a: &(usize, Candidate), b: &(usize, Candidate)) -> Ordering {
        let order = a.1.level_and_key().cmp(&b.1.level_and_key());
        order.then_with(|| self.index.rank_order((a.0, a.1.doc()), (b.0, b.1.doc())))
    }

    fn collector(&mut self, segment: usize, filter: &SplitFilter) -> Collector<'_> {
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

    fn keep(&mut self, segment: usize, (found, top): (u64, Top)) {
        self.found += found;
        self.candidates.extend(top.into_best().into_iter().map(|candidate| (segment, candidate)));
    }

    pub(crate) fn into_answer(mut self, plan: Plan) -> Answer {
        // Relevance has its order by now; otherwise there is one list from each segment and tier.
        if self.request.sort.is_some() || plan.slots.is_empty() {
            let mut candidates = std::mem::take(&mut self.candidates);
            self.sort(&mut candidates);
            self.candidates = candidates;
        }
        let every_word = u32::MAX.checked_shr(u32::BITS - plan.slots.len() as u32).unwrap_or(0);
        let start = (self.request.page - 1) * self.request.per_page;
        let (mut hits, mut rest) = (Vec::with_capacity(self.request.per_page), self.candidates.iter().enumerate());
        let pins = self.pinned();
        // Pins have their positions, and the others follow one another around them.
        let is_pinned = |found: &(usize, Candidate)| pins.iter().any(|(_, pin)| *pin == (found.0, found.1.doc()));
        for position in 0..self.page_end() {
            let pin = pins.iter().find(|(at, _)| *at == position).map(|(_, pin)| *pin);
            let found = match pin {
                Some(pin) => self.candidates.iter().enumerate().find(|(_, found)| (found.0, found.1.doc()) == pin),
                None => rest.by_ref().find(|(_, found)| !is_pinned(found)),
            };
            let Some((place, (segment, best))) = found else { break };
            if position >= start {
                let missing = every_word & !best.has;
                hits.push(Hit {
                    segment: *segment,
                    doc: best.doc(),
                    score: if self.request.sort.is_some() { best.text_score() } else { key_score(best.key()) },
                    missing,
                    variants: self.variants(*segment, best.doc()),
                    parts: self.request.explain.then(|| self.explain(place, *segment, best)),
                    level: self.level(best, missing).filter(|_| self.request.explain),
                    is_pinned: pin.is_some(),
                });
            }
        }
        let words = plan.slots.into_iter().map(|slot| slot.text).collect();
        let facets = self.facets.take().unwrap_or_else(|| self.counts.answers(self.index, self.request));
        Answer {
            hits,
            found: self.found,
            facets,
            words,
            corrected: plan.corrected.or_else(|| self.curation.replaced.clone()),
            dropped: plan.dropped,
            rules: self.curation.rule_names(),
            redirect: self.curation.redirect(),
            user_data: self.curation.user_data(),
        }
    }

    /// The pinned products that passed the filters, with their positions from 0; those that would stand behind the end
    /// of the list close up.
    fn pinned(&self) -> Vec<(usize, (usize, u32))> {
        let is_found = |product: &(usize, u32)| self.candidates.iter().any(|one| (one.0, one.1.doc()) == *product);
        let mut pins: Vec<(usize, (usize, u32))> = Vec::new();
        if self.request.sort.is_some() {
            return pins;
        }
        let found: Vec<_> = self.curation.pins.iter().filter(|pin| is_found(&pin.product)).collect();
        let others = (self.found as usize).saturating_sub(found.len());
        for (place, pin) in found.into_iter().enumerate() {
            // Of the positions before it, so many are pinned and the others must be filled.
            pins.push(((pin.position - 1).min(others + place), pin.product));
        }
        pins
    }
}

/// Takes the matching documents of one segment.
struct Collector<'a> {
    segment: usize,
    refinements: Refinements<'a>,
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
    fn offer(&mut self, hit: Match<'_>, tier: u8) {
        match self.refinements.verdict(hit.doc, self.rows) {
            Verdict::Hit => self.hit(hit, tier),
            Verdict::OnlyFails(place) => self.fails(self.refinements.facets[place].0, hit.doc),
            Verdict::Out => {}
        }
    }

    /// Counts and takes a hit.
    #[inline(always)]
    fn hit(&mut self, hit: Match<'_>, tier: u8) {
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
    fn fails(&mut self, facet: usize, doc: u32) {
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

    fn finish(mut self) -> (u64, Top) {
        self.counts.count_pending();
        (self.found, self.top)
    }
}
