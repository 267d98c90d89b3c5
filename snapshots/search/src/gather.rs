//! Gathering the products that match: tier by tier, segment by segment, filtered, counted, folded, and the best kept.

mod browse;
mod collector;
mod door;
mod lacking;
mod second_look;
mod variants;

use std::cmp::Ordering;
use std::sync::Arc;

use crate::bits::{Bits, every_word};
use crate::curation::Curation;
use crate::cursor::{Match, Worth};
use crate::distinct::Groups;
use crate::doc_sets::DocSet;
use crate::error::Error;
use crate::facets::{FacetAnswer, FacetCounts};
use crate::index::Index;
use crate::matching::Matcher;
use crate::plan::Plan;
use crate::predicate::SplitFilter;
use crate::rank::Asked;
use crate::request::SearchRequest;
use crate::search::{Answer, FoundPlan, Hit, Tier};
use crate::top::{Candidate, Top, key_score};

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
        self.taken.push((segment, doc));
        self.left_out = self.index.segments()[segment].segment.groups()[doc as usize];
    }

    /// Matches the words in every segment, but for the products that a better tier has; returns how many products match
    /// the text by now, whatever the filters say.
    pub(crate) fn run(&mut self, found: &FoundPlan<'_>, filter: &SplitFilter, tier: Tier) -> Result<u64, Error> {
        let index = self.index;
        let every_word = every_word(found.plan.slots.len());
        // A query is corrected only where some word of it is rare, so what the typed tier has found is short then.
        let base = if found.is_corrected && tier != Tier::Typed { CORRECTED_LEVEL } else { TYPED_LEVEL };
        let by_sort = self.request.sort.is_some();
        let mut matched = std::mem::take(&mut self.matched);
        let mut door = self.door(found);
        let mut count = 0;
        for (place, slots) in found.found.iter().enumerate() {
            let matcher = Matcher::new(&index.texts[place], index.lengths(place), slots, &found.weights)?;
            let mut collector = self.collector(place, filter);
            door.stand_at(place);
            let mut each = |mut hit: Match<'_>| {
                if tier == Tier::Corrected && matched.contains(&(place, hit.doc)) {
                    return;
                }
                let lacking = (every_word & !hit.has).count_ones();
                if !door.admits(&mut hit) {
                    let counts = tier == Tier::Typed && !found.plan.is_reading && door.has_taken(hit.doc);
                    count += u64::from(counts && hit.begun == 0);
                    return;
                }
                // Where a product only has longer words, a looser reading may find what is meant.
                count += u64::from(hit.begun == 0);
                if tier == Tier::Typed && matched.len() < MAX_RARE_MATCHES {
                    matched.push((place, hit.doc));
                }
                let level = base + level(by_sort, tier, lacking, hit.weak);
                collector.offer(hit, level);
            };
            match tier {
                Tier::Typed | Tier::Corrected => matcher.all_words(&mut each),
                Tier::AllBut(lacking) => matcher.all_but(lacking, found.plan.telling(), &mut each),
                Tier::AnyWord => matcher.any_word(found.plan.telling(), &mut each),
            }
            let done = collector.finish();
            self.keep(place, done);
        }
        self.matched = matched;
        self.come_from(door);
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
        let every_word = every_word(plan.slots.len());
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

/// What places a product before its score or a sort: what it lacks, in halves, since a word that is only mentioned is half a
/// word; and where a sort is asked for, the tier.
fn level(by_sort: bool, tier: Tier, lacking: u32, weak: u32) -> u8 {
    if by_sort { tier.number() } else { (2 * lacking + weak.count_ones()) as u8 }
}
