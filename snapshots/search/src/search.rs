//! A search from request to answer: look the words up, match tier by tier, filter, count, keep the best.

use std::cmp::Reverse;

use snapshots::SortOrder;

use crate::error::Error;
use crate::facets::{FacetAnswer, FacetCounts, SegmentCounts};
use crate::index::Index;
use crate::matching::{FoundSlot, Match, Matcher};
use crate::plan::Plan;
use crate::predicate::{Refinements, SplitFilter, Verdict, live_bits};
use crate::rank::{Asked, HEAD};
use crate::request::SearchRequest;
use crate::score::WordWeight;
use crate::top::{Candidate, Top, score_key, sort_key};

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub hits: Vec<Hit>,
    pub found: u64,
    pub facets: Vec<FacetAnswer>,
    /// The words that were looked for; [`Hit::missing`] counts them.
    pub words: Vec<String>,
    /// The query as it was understood, where it was misspelled.
    pub corrected: Option<String>,
    /// Words of the query that were not looked for: they say nothing, or no product has them.
    pub dropped: Vec<String>,
}

/// A product of an answer, by its segment and document.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub segment: usize,
    pub doc: u32,
    pub score: f32,
    /// The words that the product lacks, as bits of their places in [`Answer::words`].
    pub missing: u32,
}

/// How much of a query a product has. A better tier ranks above a worse one, and a worse one opens only while too few
/// products are found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tier {
    /// All words, as they were typed.
    Typed,
    /// All words, misspelled ones corrected, joined ones split.
    Corrected,
    AllButOne,
    AnyWord,
}

/// What a query names exactly has the levels below this one.
const TYPED_LEVEL: u8 = 2;
/// What the score of such a product is.
const NAMED_SCORE: f32 = 100.0;
/// What a corrected query finds ranks below what the query finds as it was typed.
const CORRECTED_LEVEL: u8 = 128;
/// More products than this the first tier does not find where a query is corrected: some word of it is rare.
const MAX_RARE_MATCHES: usize = 64;

/// The words of a plan, in every segment, and what each is worth.
struct FoundPlan<'a> {
    plan: &'a Plan,
    is_corrected: bool,
    /// By segment, then by word.
    found: Vec<Vec<FoundSlot>>,
    weights: Vec<WordWeight>,
}

impl Index {
    /// Answers a request.
    ///
    /// # Errors
    /// When the text index cannot be read.
    pub fn search(&self, request: &SearchRequest) -> Result<Answer, Error> {
        let counted =
            |name: &str| request.facets.iter().copied().find(|place| self.catalogue().facets[*place].name == name);
        let filter = SplitFilter::new(request.filter.as_ref(), counted);
        let mut gathered = Gathered::new(self, request);
        if request.words.is_empty() {
            gathered.browse(&filter);
            return Ok(gathered.into_answer(Plan::default()));
        }
        gathered.take_named(&filter);
        let typed = Plan::as_typed(self, &request.words);
        let found = self.look_up(&typed, false)?;
        let enough = self.catalogue().min_results as u64;
        if gathered.run(&found, &filter, Tier::Typed)? >= enough {
            gathered.rank(&typed)?;
            return Ok(gathered.into_answer(typed));
        }
        let corrected = typed.corrected(self)?;
        let loosest = corrected.as_ref().unwrap_or(&typed);
        let found = self.look_up(loosest, corrected.is_some())?;
        let tiers = [Tier::Corrected, Tier::AllButOne, Tier::AnyWord].into_iter();
        let opens = |tier: &Tier| match tier {
            Tier::Typed => false,
            Tier::Corrected => corrected.is_some(),
            Tier::AllButOne => loosest.slots.len() > 1,
            Tier::AnyWord => loosest.slots.len() > 2,
        };
        for tier in tiers.filter(opens) {
            if gathered.run(&found, &filter, tier)? >= enough {
                break;
            }
        }
        gathered.rank(loosest)?;
        Ok(gathered.into_answer(corrected.unwrap_or(typed)))
    }

    fn look_up<'a>(&self, plan: &'a Plan, is_corrected: bool) -> Result<FoundPlan<'a>, Error> {
        let mut found = Vec::with_capacity(self.texts.len());
        for (text, part) in self.texts.iter().zip(self.segments()) {
            let docs = part.segment.product_count();
            let slots = plan.slots.iter().map(|slot| FoundSlot::look_up(text, slot, docs));
            found.push(slots.collect::<Result<Vec<_>, _>>()?);
        }
        let sum = |count: fn(&FoundSlot) -> u64, place: usize| found.iter().map(|slots| count(&slots[place])).sum();
        let weight = |place| {
            let (exact, prefix) = (sum(FoundSlot::exact_count, place), sum(FoundSlot::prefix_count, place));
            WordWeight::new(self.scale, self.product_count(), exact, prefix)
        };
        Ok(FoundPlan { plan, is_corrected, weights: (0..plan.slots.len()).map(weight).collect(), found })
    }
}

/// What is gathered over the segments of an index for one request.
struct Gathered<'a> {
    index: &'a Index,
    request: &'a SearchRequest,
    counts: FacetCounts,
    candidates: Vec<(usize, Candidate)>,
    /// What the first tier has found, by segment and document, and how many products match the text by now.
    matched: Vec<(usize, u32)>,
    matched_count: u64,
    /// What was taken before any word was looked up.
    taken: Vec<(usize, u32)>,
    found: u64,
}

impl<'a> Gathered<'a> {
    fn new(index: &'a Index, request: &'a SearchRequest) -> Self {
        Self {
            index,
            request,
            counts: FacetCounts::new(index, request),
            candidates: Vec::new(),
            matched: Vec::new(),
            matched_count: 0,
            taken: Vec::new(),
            found: 0,
        }
    }

    /// Takes the products that the query names exactly: they come first.
    fn take_named(&mut self, filter: &SplitFilter) {
        let named = self.index.named_exactly(&self.request.query);
        if named.is_empty() {
            return;
        }
        let by_sort = self.request.sort.is_some();
        for place in 0..self.index.segments().len() {
            let mut collector = self.collector(place, filter);
            for (_, doc, to_the_letter) in named.iter().filter(|(segment, ..)| *segment == place) {
                let hit = Match { score: NAMED_SCORE, has: u32::MAX, ..Match::none(*doc) };
                let level = if *to_the_letter { 0 } else { 1 };
                collector.offer(hit, if by_sort { TYPED_LEVEL } else { level });
            }
            let (found, top) = collector.finish();
            self.keep(place, found, top);
        }
        self.taken = named.into_iter().map(|(segment, doc, _)| (segment, doc)).collect();
    }

    /// Matches the words in every segment, but for the products that a better tier has; returns how many products match
    /// the text by now, whatever the filters say.
    fn run(&mut self, found: &FoundPlan<'_>, filter: &SplitFilter, tier: Tier) -> Result<u64, Error> {
        let index = self.index;
        let every_word = u32::MAX >> (u32::BITS - found.plan.slots.len() as u32);
        // A query is corrected only where some word of it is rare, so what the typed tier has found is short then.
        let base = if found.is_corrected && tier != Tier::Typed { CORRECTED_LEVEL } else { TYPED_LEVEL };
        let by_sort = self.request.sort.is_some();
        let taken = std::mem::take(&mut self.taken);
        let mut matched = std::mem::take(&mut self.matched);
        let mut count = 0;
        for (place, slots) in found.found.iter().enumerate() {
            let (part, text) = (&index.segments()[place], &index.texts[place]);
            let matcher = Matcher::new(text, index.lengths(place), slots, &found.weights)?;
            let mut collector = self.collector(place, filter);
            let mut each = |hit: Match| {
                let lacking = (every_word & !hit.has).count_ones();
                if !taken.is_empty() && taken.contains(&(place, hit.doc)) {
                    count += 1;
                    return;
                }
                let is_known = match tier {
                    Tier::Typed | Tier::AllButOne => false,
                    Tier::Corrected => matched.contains(&(place, hit.doc)),
                    Tier::AnyWord => lacking <= 1,
                };
                if is_known || !part.is_live(hit.doc) {
                    return;
                }
                // Where a product only mentions a word, a looser reading may find what is meant.
                count += u64::from(hit.weak == 0);
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
                Tier::AnyWord => matcher.any_word(&mut each),
            }
            let (found, top) = collector.finish();
            self.keep(place, found, top);
        }
        (self.matched, self.taken) = (matched, taken);
        self.matched_count += count;
        Ok(self.matched_count)
    }

    /// Looks again at the best candidates, where relevance decides.
    fn rank(&mut self, plan: &Plan) -> Result<(), Error> {
        if self.request.sort.is_some() {
            return Ok(());
        }
        self.sort_candidates();
        let index = self.index;
        let asked = index.texts.iter().map(|text| Asked::new(text, plan));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        let head = self.candidates.len().min(HEAD);
        let words = plan.slots.len() as u32;
        for (segment, candidate) in self.candidates[..head].iter_mut().filter(|(_, one)| one.tier >= TYPED_LEVEL) {
            let lead = asked[*segment].read(candidate.doc);
            let parts = lead.parts(candidate.score, words);
            candidate.score = parts.total();
            candidate.key = score_key(candidate.score);
            candidate.tier += u8::from(!lead.is_of_type);
        }
        let rest = self.candidates.split_off(head);
        self.sort_candidates();
        self.candidates.extend(rest);
        Ok(())
    }

    /// Best first. The order of documents within a segment, continued over all: rank, then id.
    fn sort_candidates(&mut self) {
        let (index, segments) = (self.index, self.index.segments());
        let rank = |(place, best): &(usize, Candidate)| segments[*place].segment.static_ranks()[best.doc as usize];
        let id = |(place, best): &(usize, Candidate)| index.record(*place, best.doc).id();
        self.candidates.sort_unstable_by(|a, b| {
            let key = |found: &(usize, Candidate)| (found.1.tier, Reverse(found.1.key));
            key(a).cmp(&key(b)).then_with(|| match a.0 == b.0 {
                true => a.1.doc.cmp(&b.1.doc),
                false => rank(b).cmp(&rank(a)).then_with(|| id(a).cmp(id(b))),
            })
        });
    }

    /// Answers a request without words: every product matches, and sets of documents do the filtering.
    fn browse(&mut self, filter: &SplitFilter) {
        for (place, part) in self.index.segments().iter().enumerate() {
            let mut collector = self.collector(place, filter);
            let mut hits = live_bits(part);
            if let Some(rest) = &collector.refinements.rest {
                hits.intersect(rest.bits(&part.segment).words());
            }
            let refined: Vec<_> = collector.refinements.facets.iter().map(|(_, one)| one.bits(&part.segment)).collect();
            for (only, (facet, _)) in collector.refinements.facets.iter().enumerate() {
                let mut docs = hits.clone();
                docs.subtract(&refined[only]);
                let others = refined.iter().enumerate().filter(|(other, _)| *other != only);
                others.for_each(|(_, bits)| docs.intersect(bits.words()));
                docs.iter().for_each(|doc| collector.counts.add_for(*facet, doc));
            }
            refined.iter().for_each(|bits| hits.intersect(bits.words()));
            let all_are_hits = collector.refinements.is_empty() && part.liveness.is_none();
            if all_are_hits {
                collector.counts.add_all();
            }
            for doc in hits.iter() {
                if !all_are_hits {
                    collector.counts.add(doc);
                }
                collector.take(Match::none(doc), 0);
            }
            let (found, top) = collector.finish();
            self.keep(place, found, top);
        }
    }

    fn collector(&mut self, segment: usize, filter: &SplitFilter) -> Collector<'_> {
        let part = &self.index.segments()[segment];
        let sort = self.request.sort.map(|place| &self.index.catalogue().sorts[place]);
        Collector {
            refinements: filter.for_segment(&part.segment),
            rows: part.segment.facet_rows(),
            counts: self.counts.for_segment(self.index, segment),
            sort: sort.map(|sort| (part.segment.number(&sort.by).unwrap_or(&[]), sort.order)),
            top: Top::new((self.request.page * self.request.per_page).max(HEAD)),
            found: 0,
        }
    }

    fn keep(&mut self, segment: usize, found: u64, top: Top) {
        self.found += found;
        self.candidates.extend(top.into_sorted().into_iter().map(|candidate| (segment, candidate)));
    }

    fn into_answer(mut self, plan: Plan) -> Answer {
        // Relevance has its order by now; otherwise there is one list from each segment and tier.
        if self.request.sort.is_some() || plan.slots.is_empty() {
            self.sort_candidates();
        }
        let every_word = u32::MAX.checked_shr(u32::BITS - plan.slots.len() as u32).unwrap_or(0);
        let page = self.candidates.iter().skip((self.request.page - 1) * self.request.per_page);
        let hits = page.take(self.request.per_page).map(|(segment, best)| Hit {
            segment: *segment,
            doc: best.doc,
            score: best.score,
            missing: every_word & !best.has,
        });
        let hits = hits.collect();
        let words = plan.slots.into_iter().map(|slot| slot.text).collect();
        let facets = self.counts.answer(self.index, self.request);
        Answer { hits, found: self.found, facets, words, corrected: plan.corrected, dropped: plan.dropped }
    }
}

/// Takes the matching documents of one segment.
struct Collector<'a> {
    refinements: Refinements<'a>,
    rows: snapshots::FacetRows<'a>,
    counts: SegmentCounts<'a>,
    sort: Option<(&'a [i64], SortOrder)>,
    top: Top,
    found: u64,
}

impl Collector<'_> {
    /// Takes a document that matches the text, if the filters let it pass.
    #[inline]
    fn offer(&mut self, hit: Match, tier: u8) {
        match self.refinements.verdict(hit.doc, self.rows) {
            Verdict::Hit => {
                self.counts.add(hit.doc);
                self.take(hit, tier);
            }
            Verdict::OnlyFails(place) => self.counts.add_for(self.refinements.facets[place].0, hit.doc),
            Verdict::Out => {}
        }
    }

    #[inline]
    fn take(&mut self, hit: Match, tier: u8) {
        let key = match self.sort {
            None => score_key(hit.score),
            Some((column, order)) => sort_key(column[hit.doc as usize], order),
        };
        self.found += 1;
        self.top.push(Candidate { tier, key, doc: hit.doc, has: hit.has, score: hit.score });
    }

    fn finish(self) -> (u64, Top) {
        (self.found, self.top)
    }
}
