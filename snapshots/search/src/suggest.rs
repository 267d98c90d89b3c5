//! Suggestions while a shopper types: completions that find something, and the products that they find.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use snapshots::FacetKind;

use crate::analysis::{Analyzer, Tokens};
use crate::completions::{key_of, meaning_of};
use crate::curation::Curation;
use crate::error::{Error, RequestError};
use crate::index::Index;
use crate::matching::{FoundSlot, Matcher};
use crate::plan::Plan;
use crate::predicate::Predicate;
use crate::query::read_query;
use crate::rank::HEAD;
use crate::request::{FieldSet, RawRequest, SearchRequest};
use crate::score::WordWeight;
use crate::search::{Answer, Counted, Hit};

/// The published limits of a request.
pub mod limits {
    pub const SUGGESTIONS: usize = 20;
    pub const PRODUCTS: usize = 20;
}

/// So many completions are looked at for each that is shown: some find nothing, some say the same.
const LOOKED_AT: usize = 4;
/// So many categories scope the first suggestion.
const SCOPES: usize = 3;
/// The products of so many first suggestions are kept: a kilobyte each, twice that where the most products are shown.
const MAX_FIRSTS: usize = 8_192;

/// What is being typed, and what to show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SuggestRequest {
    pub query: String,
    /// How many suggestions and how many products.
    pub limit: usize,
    pub products: usize,
    pub fields: FieldSet,
    pub contexts: Vec<String>,
}

impl SuggestRequest {
    /// How much is shown where a request does not say.
    pub const DEFAULT_LIMIT: usize = 8;
    pub const DEFAULT_PRODUCTS: usize = 4;

    /// # Errors
    /// Names the parameter at fault and says what it takes.
    pub fn new(
        raw: RawRequest,
        limit: Option<usize>,
        products: Option<usize>,
        index: &Index,
    ) -> Result<Self, RequestError> {
        let (limit, products) = (limit.unwrap_or(Self::DEFAULT_LIMIT), products.unwrap_or(Self::DEFAULT_PRODUCTS));
        if limit > limits::SUGGESTIONS {
            return Err(RequestError::new("limit", format!("is above {}", limits::SUGGESTIONS)));
        }
        if products > limits::PRODUCTS {
            return Err(RequestError::new("products", format!("is above {}", limits::PRODUCTS)));
        }
        let search = index.request(raw)?;
        Ok(Self { query: search.query, limit, products, fields: search.fields, contexts: search.contexts })
    }
}

/// Completions and products for what is being typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestions {
    pub suggestions: Vec<Suggestion>,
    /// What was understood, where it was mistyped.
    pub corrected: Option<String>,
    /// The products that the first suggestion finds, or else what was typed.
    pub products: Arc<TopProducts>,
    /// What those were searched by.
    pub searched: String,
    /// What rules did to that search, as in an [`Answer`].
    pub rules: Vec<String>,
    pub redirect: Option<String>,
    pub user_data: Vec<String>,
}

/// The best products of a search, one of each group of variants, and where most of all that it finds belong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopProducts {
    pub hits: Vec<Hit>,
    scopes: Vec<(String, u64)>,
}

/// Something to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    pub text: String,
    /// Categories in which it finds something, and how much; of the first suggestion.
    pub scopes: Vec<(String, u64)>,
    /// The list and the place of the completion that it is, whole.
    completion: Option<(usize, usize)>,
}

/// What is being typed.
struct Typed<'q> {
    /// Its folded words, as completions begin.
    key: String,
    /// The text as it is shown, and where each of its words but the first begins there.
    text: Cow<'q, str>,
    starts: Vec<usize>,
}

impl<'q> Typed<'q> {
    fn read(analyzer: &Analyzer, query: &'q str) -> Self {
        let mut tokens = Tokens::default();
        let key = key_of(analyzer, query, &mut tokens);
        let words = tokens.iter().filter(|token| !token.kind.is_extra());
        Self { key, text: Cow::Borrowed(query), starts: words.skip(1).map(|word| word.range.0).collect() }
    }

    /// Folded words in place of what was typed.
    fn corrected(analyzer: &Analyzer, key: String) -> Self {
        let text = Cow::Owned(analyzer.written(&key).into_owned());
        let starts = key.match_indices(' ').map(|(at, _)| at + 1).collect();
        Self { key, text, starts }
    }
}

/// What stands before the part of a text that is completed: its folded words, and as it is shown.
#[derive(Clone, Copy, Default)]
struct Before<'t> {
    key: &'t str,
    text: &'t str,
}

/// Whether a completion finds something, once it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Known(AtomicU8);

impl Known {
    const YES: u8 = 1;
    const NO: u8 = 2;

    fn get_or(&self, find: impl FnOnce() -> Result<bool, Error>) -> Result<bool, Error> {
        // Whoever comes second stores the same.
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let finds = find()?;
                self.0.store(if finds { Self::YES } else { Self::NO }, Ordering::Relaxed);
                Ok(finds)
            }
            known => Ok(known == Self::YES),
        }
    }
}

/// The products of first suggestions: of all that may be typed, most begins one of few.
#[derive(Debug, Default)]
pub(crate) struct Firsts(Mutex<Kept>);

/// The version of the rules, a completion by list and place, and how many products are shown.
type First = (usize, (usize, usize), usize);

/// What was asked for lately, and what was before that.
#[derive(Debug, Default)]
struct Kept {
    young: HashMap<First, Arc<TopProducts>>,
    old: HashMap<First, Arc<TopProducts>>,
}

impl Firsts {
    fn get_or(
        &self,
        first: First,
        find: impl FnOnce() -> Result<TopProducts, Error>,
    ) -> Result<Arc<TopProducts>, Error> {
        if let Some(known) = self.kept().get(first) {
            return Ok(known);
        }
        let found = Arc::new(find()?);
        let gone = self.kept().put(first, found.clone());
        // It may be much, and others wait for the lock no longer.
        drop(gone);
        Ok(found)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&mut self, first: First) -> Option<Arc<TopProducts>> {
        if let Some(known) = self.young.get(&first) {
            return Some(known.clone());
        }
        let known = self.old.get(&first)?.clone();
        if self.young.len() < MAX_FIRSTS / 2 {
            self.young.insert(first, known.clone());
        }
        Some(known)
    }

    /// Keeps products; where there are too many, gives back those that nobody has asked for since the last time.
    fn put(&mut self, first: First, products: Arc<TopProducts>) -> HashMap<First, Arc<TopProducts>> {
        let mut gone = HashMap::new();
        if self.young.len() == MAX_FIRSTS / 2 {
            gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        }
        self.young.insert(first, products);
        gone
    }
}

impl Index {
    /// Suggests what may be meant by what is being typed.
    ///
    /// # Errors
    /// When the text index cannot be read.
    pub fn suggest(&self, request: &SuggestRequest) -> Result<Suggestions, Error> {
        self.suggest_at(request, Timestamp::now())
    }

    /// Suggests as at a time, which says which products are hidden.
    ///
    /// # Errors
    /// As [`Index::suggest`].
    pub fn suggest_at(&self, request: &SuggestRequest, now: Timestamp) -> Result<Suggestions, Error> {
        let typed = Typed::read(&self.analyzer, &request.query);
        let is_empty = typed.key.is_empty();
        let mut suggestions = Vec::new();
        let mut seen = HashSet::new();
        self.complete_in_parts(&typed, request, now, &mut seen, &mut suggestions)?;
        // Where none are asked for, none are missed.
        let is_missing = |suggestions: &[Suggestion]| suggestions.is_empty() && request.limit > 0;
        if is_missing(&suggestions) {
            for key in self.spaced_otherwise(&typed.key) {
                // What stands before the last words stands where it did.
                let spaced = Typed { key, text: typed.text.clone(), starts: typed.starts.clone() };
                self.complete_in_parts(&spaced, request, now, &mut seen, &mut suggestions)?;
                if !suggestions.is_empty() {
                    break;
                }
            }
        }
        let mut corrected = None;
        if is_missing(&suggestions)
            && !is_empty
            && let Some(better) = self.corrected_beginning(&typed.key)
        {
            let better = Typed::corrected(&self.analyzer, better);
            self.complete_in_parts(&better, request, now, &mut seen, &mut suggestions)?;
            corrected = (!suggestions.is_empty()).then(|| better.text.into_owned());
        }
        let searched = match (suggestions.first(), is_empty) {
            (Some(first), false) => first.text.clone(),
            _ => request.query.clone(),
        };
        let completion = suggestions.first().and_then(|first| first.completion).filter(|_| !is_empty);
        let products = match completion.filter(|_| request.contexts.is_empty()) {
            Some(completion) => {
                let first = (self.rules.version_at(now), completion, request.products);
                self.firsts.get_or(first, || self.products(&searched, request, now))?
            }
            None => Arc::new(self.products(&searched, request, now)?),
        };
        if let (Some(first), false) = (suggestions.first_mut(), is_empty) {
            first.scopes.clone_from(&products.scopes);
        }
        let (mut rules, mut redirect, mut user_data) = (Vec::new(), None, Vec::new());
        // Products are kept without it: it may be much, and is found at once.
        if self.rules.has_any() {
            let search = self.products_request(&searched, request);
            let curation = Curation::new(self, &search, now);
            (rules, redirect, user_data) = (curation.rule_names(), curation.redirect(), curation.user_data());
        }
        Ok(Suggestions { suggestions, corrected, products, searched, rules, redirect, user_data })
    }

    fn products(&self, searched: &str, request: &SuggestRequest, now: Timestamp) -> Result<TopProducts, Error> {
        // A scope that is chosen must find what it counts.
        let mut answer = self.search_counting(Counted::Typed, &self.products_request(searched, request), now)?;
        self.keep_one_of_each_group(&mut answer, request.products);
        answer.hits.shrink_to_fit();
        let scopes = answer.facets.into_iter().next().map(|facet| facet.values).unwrap_or_default();
        Ok(TopProducts { hits: answer.hits, scopes: scopes.into_iter().take(SCOPES).collect() })
    }

    /// Leaves one variant of each group among the first products: folding all that match would cost too much for every
    /// key that is pressed.
    pub(crate) fn keep_one_of_each_group(&self, answer: &mut Answer, count: usize) {
        let mut seen = HashSet::new();
        answer.hits.retain(|hit| {
            let group = self.segments()[hit.segment].segment.groups()[hit.doc as usize];
            group == 0 || seen.insert(group)
        });
        answer.hits.truncate(count);
    }

    fn products_request(&self, query: &str, request: &SuggestRequest) -> SearchRequest {
        let facets = &self.catalogue().facets;
        let hierarchy = facets.iter().position(|facet| facet.kind == FacetKind::Hierarchy);
        let mut words = read_query(&self.analyzer, query);
        words.truncate(crate::request::limits::QUERY_WORDS);
        SearchRequest {
            words,
            query: query.to_owned(),
            page: 1,
            // Variants are shown once, and a group of them may be large.
            per_page: if request.products == 0 { 0 } else { HEAD },
            sort: None,
            filter: None,
            facets: hierarchy.into_iter().collect(),
            facet_limit: SCOPES,
            fields: request.fields,
            highlight: FieldSet::default(),
            distinct: false,
            contexts: request.contexts.clone(),
            explain: false,
        }
    }

    /// Completes all that is typed or, where nothing begins so, its last words: nothing is called "leather bo...", but boots
    /// are of leather.
    fn complete_in_parts(
        &self,
        typed: &Typed<'_>,
        request: &SuggestRequest,
        now: Timestamp,
        seen: &mut HashSet<u64>,
        suggestions: &mut Vec<Suggestion>,
    ) -> Result<(), Error> {
        self.complete(Before::default(), &typed.key, request, now, seen, suggestions)?;
        for ((at, _), start) in typed.key.match_indices(' ').zip(&typed.starts) {
            if suggestions.is_empty() {
                let (key, beginning) = typed.key.split_at(at + 1);
                // Completions are in small letters, too.
                let text = typed.text[..*start].trim_start().to_lowercase();
                self.complete(Before { key, text: &text }, beginning, request, now, seen, suggestions)?;
            }
        }
        Ok(())
    }

    /// Adds completions of a beginning that, with what stands before it, find something and say something new.
    fn complete(
        &self,
        before: Before<'_>,
        beginning: &str,
        request: &SuggestRequest,
        now: Timestamp,
        seen: &mut HashSet<u64>,
        suggestions: &mut Vec<Suggestion>,
    ) -> Result<(), Error> {
        let known = self.known_finds(now);
        let mut best = self.phrases.heaviest_first(self, beginning).take(request.limit * LOOKED_AT);
        while suggestions.len() < request.limit
            && let Some((_, list, place)) = best.next()
        {
            let is_whole = before.key.is_empty();
            let meaning = match is_whole {
                true => Some(self.phrases.meaning(self, list, place)),
                false => {
                    let key = self.phrases.key(self, list, place);
                    meaning_of(&self.analyzer, &format!("{}{key}", before.key))
                }
            };
            if !meaning.is_some_and(|meaning| seen.insert(meaning)) {
                continue;
            }
            let text = format!("{}{}", before.text, self.phrases.text(self, list, place));
            let finds = || self.finds_something(&text, request, now);
            let finds = match is_whole && request.contexts.is_empty() {
                true => known[list][place].get_or(finds)?,
                false => finds()?,
            };
            if finds {
                let completion = is_whole.then_some((list, place));
                suggestions.push(Suggestion { text, scopes: Vec::new(), completion });
            }
        }
        Ok(())
    }

    /// What is known of completions while one set of rules is active, by list and place.
    fn known_finds(&self, now: Timestamp) -> Arc<Vec<Vec<Known>>> {
        let all = || self.phrases.lengths(self).map(|length| (0..length).map(|_| Known::default()).collect()).into();
        self.finds.get_or(self.rules.version_at(now), all)
    }

    /// Whether any product that may be seen has all words of a text.
    fn finds_something(&self, text: &str, request: &SuggestRequest, now: Timestamp) -> Result<bool, Error> {
        let search = self.products_request(text, request);
        let curation = Curation::new(self, &search, now);
        let plan = Plan::of_words(self, curation.words(), false)?;
        for (place, (text, part)) in self.texts.iter().zip(self.segments()).enumerate() {
            let docs = part.segment.product_count();
            let slots = plan.slots.iter().map(|slot| FoundSlot::look_up(text, slot, docs));
            let slots = slots.collect::<Result<Vec<_>, _>>()?;
            let weights = vec![WordWeight::default(); slots.len()];
            let matcher = Matcher::new(text, self.lengths(place), &slots, &weights)?;
            let filters: Vec<_> = curation.filters.iter().map(|one| Predicate::new(one, &part.segment)).collect();
            let rows = part.segment.facet_rows();
            let is_seen = |doc| part.is_live(doc) && !curation.is_hidden(place, doc);
            if matcher.finds(|doc| is_seen(doc) && filters.iter().all(|filter| filter.holds(doc, rows))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
