//! A search from request to answer: look the words up, match tier by tier, filter, count, keep the best.

use std::cmp::Reverse;

use snapshots::SortOrder;

use crate::error::Error;
use crate::facets::{FacetAnswer, FacetCounts, SegmentCounts};
use crate::index::Index;
use crate::matching::{FoundWord, Matcher};
use crate::predicate::{Refinements, SplitFilter, Verdict, live_bits};
use crate::request::SearchRequest;
use crate::score::WordWeight;
use crate::top::{Candidate, Top, score_key, sort_key};

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub hits: Vec<Hit>,
    pub found: u64,
    pub facets: Vec<FacetAnswer>,
}

/// A product of an answer, by its segment and document.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub segment: usize,
    pub doc: u32,
    pub score: f32,
    /// The words of the request that the product lacks, as bits of their places.
    pub missing: u32,
}

/// How the words of a query are matched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Matching {
    AllWords,
    AnyWord,
}

/// The words of a query, in every segment, and what each is worth.
struct Query {
    /// By segment, then by word.
    found: Vec<Vec<FoundWord>>,
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
            return Ok(gathered.into_answer());
        }
        let query = self.look_up(&request.words)?;
        let matched = gathered.run(&query, &filter, Matching::AllWords)?;
        if matched < self.catalogue().min_results as u64 && request.words.len() > 1 {
            gathered = Gathered::new(self, request);
            gathered.run(&query, &filter, Matching::AnyWord)?;
        }
        Ok(gathered.into_answer())
    }

    fn look_up(&self, words: &[String]) -> Result<Query, Error> {
        let last = words.len().saturating_sub(1);
        let mut found = Vec::with_capacity(self.texts.len());
        for (text, part) in self.texts.iter().zip(self.segments()) {
            let docs = part.segment.product_count();
            let words = words.iter().enumerate();
            let words = words.map(|(place, word)| FoundWord::look_up(text, word, place == last, docs));
            found.push(words.collect::<Result<Vec<_>, _>>()?);
        }
        let sum = |count: fn(&FoundWord) -> u64, place: usize| found.iter().map(|words| count(&words[place])).sum();
        let weight = |place| {
            let (exact, prefix) = (sum(FoundWord::exact_count, place), sum(FoundWord::prefix_count, place));
            WordWeight::new(self.product_count(), exact, prefix)
        };
        Ok(Query { weights: (0..words.len()).map(weight).collect(), found })
    }
}

/// What is gathered over the segments of an index for one request.
struct Gathered<'a> {
    index: &'a Index,
    request: &'a SearchRequest,
    counts: FacetCounts,
    candidates: Vec<(usize, Candidate)>,
    found: u64,
}

impl<'a> Gathered<'a> {
    fn new(index: &'a Index, request: &'a SearchRequest) -> Self {
        Self { index, request, counts: FacetCounts::new(index, request), candidates: Vec::new(), found: 0 }
    }

    /// Matches the words in every segment; returns how many products match the text, whatever the filters say.
    fn run(&mut self, query: &Query, filter: &SplitFilter, matching: Matching) -> Result<u64, Error> {
        let index = self.index;
        let every_word = u32::MAX >> (u32::BITS - self.request.words.len() as u32);
        let mut matched = 0;
        for (place, words) in query.found.iter().enumerate() {
            let (part, text) = (&index.segments()[place], &index.texts[place]);
            let matcher = Matcher::new(text, &index.norms, words, &query.weights)?;
            let mut collector = self.collector(place, filter);
            let mut each = |doc: u32, score: f32, has: u32| {
                if part.is_live(doc) {
                    matched += 1;
                    collector.offer(doc, score, has, u8::from(has != every_word));
                }
            };
            match matching {
                Matching::AllWords => matcher.all_words(words, |doc, score| each(doc, score, every_word)),
                Matching::AnyWord => matcher.any_word(each),
            }
            let (found, top) = collector.finish();
            self.keep(place, found, top);
        }
        Ok(matched)
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
                collector.take(doc, 0.0, 0, 0);
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
            top: Top::new(self.request.page * self.request.per_page),
            found: 0,
        }
    }

    fn keep(&mut self, segment: usize, found: u64, top: Top) {
        self.found += found;
        self.candidates.extend(top.into_sorted().into_iter().map(|candidate| (segment, candidate)));
    }

    fn into_answer(mut self) -> Answer {
        let segments = self.index.segments();
        if segments.len() > 1 {
            // The order of documents within a segment, continued over all: rank, then id.
            let rank = |(place, best): &(usize, Candidate)| segments[*place].segment.static_ranks()[best.doc as usize];
            let id = |(place, best): &(usize, Candidate)| self.index.record(*place, best.doc).id();
            self.candidates.sort_unstable_by(|a, b| {
                let key = |found: &(usize, Candidate)| (found.1.tier, Reverse(found.1.key), Reverse(rank(found)));
                key(a).cmp(&key(b)).then_with(|| id(a).cmp(id(b)))
            });
        }
        let every_word = u32::MAX.checked_shr(u32::BITS - self.request.words.len() as u32).unwrap_or(0);
        let page = self.candidates.iter().skip((self.request.page - 1) * self.request.per_page);
        let hits = page.take(self.request.per_page).map(|(segment, best)| Hit {
            segment: *segment,
            doc: best.doc,
            score: best.score,
            missing: every_word & !best.has,
        });
        Answer { hits: hits.collect(), found: self.found, facets: self.counts.answer(self.index, self.request) }
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
    fn offer(&mut self, doc: u32, score: f32, has: u32, tier: u8) {
        match self.refinements.verdict(doc, self.rows) {
            Verdict::Hit => {
                self.counts.add(doc);
                self.take(doc, score, has, tier);
            }
            Verdict::OnlyFails(place) => self.counts.add_for(self.refinements.facets[place].0, doc),
            Verdict::Out => {}
        }
    }

    #[inline]
    fn take(&mut self, doc: u32, score: f32, has: u32, tier: u8) {
        let key = match self.sort {
            None => score_key(score),
            Some((column, order)) => sort_key(column[doc as usize], order),
        };
        self.found += 1;
        self.top.push(Candidate { tier, key, doc, has, score });
    }

    fn finish(self) -> (u64, Top) {
        (self.found, self.top)
    }
}
