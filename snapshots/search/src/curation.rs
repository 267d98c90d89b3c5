//! What the rules of a catalogue make of one request.

use std::sync::Arc;

use jiff::Timestamp;

use crate::doc_sets::DocSet;
use crate::filter::Filter;
use crate::index::Index;
use crate::predicate::{SplitFilter, Verdict};
use crate::query::{QueryWord, read_query};
use crate::request::SearchRequest;
use crate::rules::Rule;

/// A product that a rule pins.
pub(crate) struct Pin {
    /// From 1.
    pub(crate) position: usize,
    /// Segment and document.
    pub(crate) product: (usize, u32),
}

/// The rules that apply to a request, and what they come to.
pub(crate) struct Curation<'a> {
    request: &'a SearchRequest,
    rules: Vec<&'a Rule>,
    /// The query in place of the one that was sent, and its words.
    pub(crate) replaced: Option<String>,
    replaced_words: Vec<QueryWord>,
    /// What products must pass besides the request's own filter.
    pub(crate) filters: Vec<&'a Filter>,
    /// By rising position.
    pub(crate) pins: Vec<Pin>,
    pub(crate) boosts: Vec<(&'a Filter, f32)>,
    /// The version of the rules, as far as it says which products nobody may see.
    pub(crate) version: usize,
    /// What may be seen now; None where nothing is hidden from all.
    seen: Option<Arc<DocSet>>,
    /// Those that this request must not see, rising.
    pub(crate) hides: Vec<(usize, u32)>,
}

impl<'a> Curation<'a> {
    pub(crate) fn new(index: &'a Index, request: &'a SearchRequest, now: Timestamp) -> Self {
        let read = |query: &Option<String>| {
            let mut words = query.as_ref().map(|query| read_query(&index.analyzer, query)).unwrap_or_default();
            words.truncate(crate::request::limits::QUERY_WORDS);
            words
        };
        let mut replaced = index.rules.synonyms.replaced(&index.analyzer, &request.words);
        let mut replaced_words = read(&replaced);
        let queries = [request.words.as_slice(), &replaced_words];
        let rules = index.rules.applying(queries, request.filter.as_ref(), &request.contexts, now);
        // A rule knows more of the query than the list of words that are replaced.
        if let Some(query) = rules.iter().find_map(|rule| rule.then.replace_query.clone()) {
            replaced = Some(query);
            replaced_words = read(&replaced);
        }
        let version = index.rules.hiding_version(now);
        let mut curation = Self {
            request,
            replaced,
            replaced_words,
            filters: Vec::new(),
            pins: Vec::new(),
            boosts: Vec::new(),
            version,
            seen: index.seen_at(now),
            hides: Vec::new(),
            rules,
        };
        curation.gather_effects(index);
        curation
    }

    fn gather_effects(&mut self, index: &Index) {
        for rule in &self.rules {
            self.filters.extend(&rule.then.filter);
            self.boosts.extend(rule.then.boosts.iter().map(|(filter, share)| (filter, *share)));
            self.hides.extend(rule.then.hide.iter().filter_map(|id| index.snapshot().find(id)));
            for (id, position) in &rule.then.pins {
                // The first rule of the file has the position, and the product.
                let Some(product) = index.snapshot().find(id) else { continue };
                if !self.pins.iter().any(|pin| pin.position == *position || pin.product == product) {
                    self.pins.push(Pin { position: *position, product });
                }
            }
        }
        self.hides.sort_unstable();
        let mut pins = std::mem::take(&mut self.pins);
        pins.retain(|pin| !self.is_hidden(pin.product.0, pin.product.1));
        pins.sort_by_key(|pin| pin.position);
        self.pins = pins;
    }

    /// Leaves one pin of each group of variants: of those that pass the filter the first.
    pub(crate) fn fold_pins(&mut self, index: &Index, filter: &SplitFilter) {
        let mut groups: Vec<u64> = Vec::new();
        self.pins.retain(|pin| {
            let (place, doc) = pin.product;
            let segment = &index.segments()[place].segment;
            let group = segment.groups()[doc as usize];
            let is_later = groups.contains(&group);
            let passes = || matches!(filter.for_segment(segment).verdict(doc, segment.facet_rows()), Verdict::Hit);
            if group != 0 && !is_later && passes() {
                groups.push(group);
            }
            !is_later
        });
    }

    pub(crate) fn query(&self) -> &str {
        self.replaced.as_deref().unwrap_or(&self.request.query)
    }

    pub(crate) fn words(&self) -> &[QueryWord] {
        if self.replaced.is_some() { &self.replaced_words } else { &self.request.words }
    }

    /// Whether a product must not be seen.
    #[inline]
    pub(crate) fn is_hidden(&self, segment: usize, doc: u32) -> bool {
        self.seen.as_ref().is_some_and(|seen| !seen.docs(segment).contains(doc))
            || (!self.hides.is_empty() && self.hides.binary_search(&(segment, doc)).is_ok())
    }

    pub(crate) fn hides_any(&self) -> bool {
        self.seen.is_some() || !self.hides.is_empty()
    }

    pub(crate) fn rule_names(&self) -> Vec<String> {
        self.rules.iter().map(|rule| rule.name.clone()).collect()
    }

    pub(crate) fn redirect(&self) -> Option<String> {
        self.rules.iter().find_map(|rule| rule.then.redirect.clone())
    }

    pub(crate) fn user_data(&self) -> Vec<String> {
        self.rules.iter().filter_map(|rule| rule.then.user_data.clone()).collect()
    }
}
