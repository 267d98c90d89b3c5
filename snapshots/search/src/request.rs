//! A search request: read once at the boundary into something that can be answered.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use snapshots::{Catalogue, FacetKind, PRODUCT_FIELDS};

use crate::analysis::Analyzer;
use crate::error::RequestError;
use crate::filter::Filter;
use crate::index::Index;
use crate::query::{QueryWord, read_query};

/// The published limits of a request.
pub mod limits {
    pub const QUERY_BYTES: usize = 512;
    /// So many words of a query are looked for: those that come first.
    pub const QUERY_WORDS: usize = 32;
    pub const PER_PAGE: usize = 100;
    /// The last hit that paging reaches.
    pub const DEPTH: usize = 10_000;
    pub const FACET_VALUES: usize = 1_000;
    pub const FILTER_BYTES: usize = 16 * 1024;
    pub const CONTEXTS: usize = 10;
    pub const CONTEXT_BYTES: usize = 64;
}

/// What a request asks for where it does not say.
const DEFAULT_PAGE: usize = 1;
const DEFAULT_PER_PAGE: usize = 20;
const DEFAULT_FACET_LIMIT: usize = 20;

/// A request in the words of its sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct RawRequest {
    pub q: String,
    /// From 1.
    pub page: Option<usize>,
    pub per_page: Option<usize>,
    pub sort: Option<String>,
    pub filters: Option<String>,
    pub facets: Vec<String>,
    pub facet_limit: Option<usize>,
    /// None: the catalogue's choice. `*`: all.
    pub fields: Option<Vec<String>>,
    pub highlight: Vec<String>,
    /// One hit for each group of variants.
    pub distinct: bool,
    /// Where the request comes from, for rules that ask.
    pub contexts: Vec<String>,
    /// Tell what each score is made of.
    pub explain: bool,
}

impl RawRequest {
    /// The same request as most senders would write it, so that it is known again without being understood. The query and
    /// the contexts stay as they are: the answer repeats the one, and rules read the other.
    pub fn normalised(mut self, catalogue: &Catalogue) -> Self {
        self.page.get_or_insert(DEFAULT_PAGE);
        self.per_page.get_or_insert(DEFAULT_PER_PAGE);
        self.facet_limit.get_or_insert(DEFAULT_FACET_LIMIT);
        self.sort = self.sort.filter(|name| is_an_order(name));
        self.filters = self.filters.filter(|text| !text.trim().is_empty());
        let chosen = |names: &[String]| FieldSet::parse("fields", names).ok();
        // Not filled in: a snapshot with other settings has another choice.
        self.fields = self.fields.filter(|names| match chosen(names) {
            None => true,
            same => same != chosen(&catalogue.hit_fields),
        });
        sort_names(&mut self.facets);
        sort_names(&mut self.highlight);
        // What stands after `*` is not read, so that order matters there.
        if let Some(fields) = self.fields.as_mut().filter(|fields| !fields.iter().any(|name| name == "*")) {
            sort_names(fields);
        }
        self
    }

    /// About how much memory it takes.
    pub fn size_bytes(&self) -> usize {
        let list = |names: &Vec<String>| {
            names.capacity() * size_of::<String>() + names.iter().map(String::capacity).sum::<usize>()
        };
        let texts = [Some(&self.q), self.sort.as_ref(), self.filters.as_ref()];
        let lists = [Some(&self.facets), self.fields.as_ref(), Some(&self.highlight), Some(&self.contexts)];
        let texts_bytes: usize = texts.into_iter().flatten().map(String::capacity).sum();
        size_of::<Self>() + texts_bytes + lists.into_iter().flatten().map(list).sum::<usize>()
    }
}

fn sort_names(names: &mut Vec<String>) {
    names.sort_unstable();
    names.dedup();
}

/// A request that can be answered by any snapshot with these settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SearchRequest {
    /// The query as it was typed.
    pub query: String,
    /// Its words, each once; the last one may be unfinished.
    pub(crate) words: Vec<QueryWord>,
    pub page: usize,
    pub per_page: usize,
    /// A place in the catalogue's sort orders; None is relevance.
    pub sort: Option<usize>,
    pub filter: Option<Filter>,
    /// Places in the catalogue's facets.
    pub facets: Vec<usize>,
    pub facet_limit: usize,
    pub fields: FieldSet,
    pub highlight: FieldSet,
    pub distinct: bool,
    pub contexts: Vec<String>,
    pub explain: bool,
}

/// A choice of product fields: places in [`PRODUCT_FIELDS`] as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u32);

impl FieldSet {
    pub const ALL: Self = Self((1 << PRODUCT_FIELDS.len()) - 1);

    pub fn contains(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// # Errors
    /// Names the first field that is unknown.
    pub fn parse(parameter: &'static str, names: &[String]) -> Result<Self, RequestError> {
        let mut set = 0;
        for name in names {
            if name == "*" {
                return Ok(Self::ALL);
            }
            let place = PRODUCT_FIELDS.iter().position(|field| field == name).ok_or_else(|| {
                RequestError::new(parameter, format!("'{name}' is none of {}", PRODUCT_FIELDS.join(", ")))
            })?;
            set |= 1 << place;
        }
        Ok(Self(set))
    }
}

/// The fields whose text can be marked.
const HIGHLIGHTED: [&str; 3] = ["title", "description", "brand"];

impl Index {
    /// Reads what a client asks for.
    ///
    /// # Errors
    /// Names the parameter at fault and says what it takes.
    pub fn request(&self, raw: RawRequest) -> Result<SearchRequest, RequestError> {
        SearchRequest::parse(raw, self.catalogue(), &self.analyzer)
    }
}

impl SearchRequest {
    fn parse(raw: RawRequest, catalogue: &Catalogue, analyzer: &Analyzer) -> Result<Self, RequestError> {
        if raw.q.len() > limits::QUERY_BYTES {
            return Err(RequestError::new("q", format!("is longer than {} bytes", limits::QUERY_BYTES)));
        }
        // A long title that is pasted as a query still finds its product.
        let mut words = read_query(analyzer, &raw.q);
        words.truncate(limits::QUERY_WORDS);
        let (page, per_page) = paging(raw.page.unwrap_or(DEFAULT_PAGE), raw.per_page.unwrap_or(DEFAULT_PER_PAGE))?;
        let filter = match raw.filters.as_deref() {
            None => None,
            Some(text) if text.trim().is_empty() => None,
            Some(text) if text.len() > limits::FILTER_BYTES => {
                return Err(RequestError::new("filters", format!("is longer than {} bytes", limits::FILTER_BYTES)));
            }
            Some(text) => Some(Filter::parse(text, catalogue)?),
        };
        let facet_limit = raw.facet_limit.unwrap_or(DEFAULT_FACET_LIMIT);
        if facet_limit > limits::FACET_VALUES {
            return Err(RequestError::new("facet_limit", format!("is above {}", limits::FACET_VALUES)));
        }
        let highlight = FieldSet::parse("highlight", &raw.highlight)?;
        if let Some(name) = raw.highlight.iter().find(|name| !HIGHLIGHTED.contains(&name.as_str()) && *name != "*") {
            let reason = format!("'{name}' is none of {}", HIGHLIGHTED.join(", "));
            return Err(RequestError::new("highlight", reason));
        }
        Ok(Self {
            words,
            page,
            per_page,
            sort: sort(raw.sort.as_deref(), catalogue)?,
            filter,
            facets: facets(&raw.facets, catalogue)?,
            facet_limit,
            fields: FieldSet::parse("fields", raw.fields.as_ref().unwrap_or(&catalogue.hit_fields))?,
            highlight,
            distinct: raw.distinct,
            contexts: contexts(raw.contexts)?,
            explain: raw.explain,
            query: raw.q,
        })
    }
}

fn contexts(names: Vec<String>) -> Result<Vec<String>, RequestError> {
    if names.len() > limits::CONTEXTS {
        return Err(RequestError::new("contexts", format!("has more than {} entries", limits::CONTEXTS)));
    }
    match names.iter().find(|name| name.len() > limits::CONTEXT_BYTES) {
        Some(_) => {
            Err(RequestError::new("contexts", format!("an entry is longer than {} bytes", limits::CONTEXT_BYTES)))
        }
        None => Ok(names),
    }
}

fn paging(page: usize, per_page: usize) -> Result<(usize, usize), RequestError> {
    if per_page > limits::PER_PAGE {
        return Err(RequestError::new("per_page", format!("is above {}", limits::PER_PAGE)));
    }
    if page == 0 {
        return Err(RequestError::new("page", "starts at 1"));
    }
    if page.saturating_mul(per_page) > limits::DEPTH {
        return Err(RequestError::new("page", format!("reaches past the first {} hits", limits::DEPTH)));
    }
    Ok((page, per_page))
}

/// Whether a sort is any other than what goes without saying.
fn is_an_order(name: &str) -> bool {
    !name.is_empty() && name != "relevance"
}

fn sort(name: Option<&str>, catalogue: &Catalogue) -> Result<Option<usize>, RequestError> {
    let Some(name) = name.filter(|name| is_an_order(name)) else { return Ok(None) };
    let place = catalogue.sorts.iter().position(|sort| sort.name == name);
    let names = || catalogue.sorts.iter().map(|sort| sort.name.as_str()).collect::<Vec<_>>().join(", ");
    place.map(Some).ok_or_else(|| RequestError::new("sort", format!("'{name}' is none of relevance, {}", names())))
}

fn facets(names: &[String], catalogue: &Catalogue) -> Result<Vec<usize>, RequestError> {
    let mut places = BTreeSet::new();
    for name in names {
        if name == "*" {
            places.extend(0..catalogue.facets.len());
            continue;
        }
        let place = catalogue.facets.iter().position(|facet| facet.name == *name).ok_or_else(|| {
            let known: Vec<&str> = catalogue.facets.iter().map(|facet| facet.name.as_str()).collect();
            RequestError::new("facets", format!("'{name}' is none of {}", known.join(", ")))
        })?;
        places.insert(place);
    }
    Ok(places.into_iter().collect())
}

/// Whether a facet counts values, or only measures a range.
pub(crate) fn counts_values(kind: FacetKind) -> bool {
    !matches!(kind, FacetKind::Number { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let settings = "name = \"t\"\ncurrency = \"EUR\"\n[[facets]]\nname = \"brand\"\n[[facets]]\nname = \"price\"\n";
        Catalogue::parse(settings).expect("valid settings")
    }

    fn parse(raw: RawRequest) -> Result<SearchRequest, RequestError> {
        SearchRequest::parse(raw, &catalogue(), &Analyzer::new("en"))
    }

    #[test]
    fn words_are_distinct_and_the_last_stays_last() {
        let request = parse(RawRequest { q: "Red shoe red".into(), ..Default::default() }).expect("a request");
        let words: Vec<&str> = request.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words, ["shoe", "red"]);
        assert_eq!((request.page, request.per_page), (1, 20));
    }

    #[test]
    fn a_long_query_is_cut() {
        let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let request = parse(RawRequest { q: many.join(" "), ..Default::default() }).expect("a request");
        let words: Vec<&str> = request.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words, many[..32]);
        assert_eq!(request.query, many.join(" "));
    }

    #[test]
    fn a_normalised_request_is_understood_as_before() {
        let catalogue = catalogue();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let said = RawRequest {
            q: " Red  shoe ".into(),
            facets: names(&["price", "brand", "price"]),
            fields: Some(names(&["title", "id"])),
            highlight: names(&["title", "brand"]),
            ..Default::default()
        };
        let other = RawRequest {
            page: Some(1),
            per_page: Some(20),
            facet_limit: Some(20),
            facets: names(&["brand", "price"]),
            fields: Some(names(&["id", "title"])),
            highlight: names(&["brand", "title"]),
            ..said.clone()
        };
        assert_eq!(said.clone().normalised(&catalogue), other.clone().normalised(&catalogue));
        assert_eq!(parse(said.clone()).expect("a request"), parse(said.normalised(&catalogue)).expect("a request"));
        let all = RawRequest { fields: Some(names(&["title", "*"])), ..other };
        assert_eq!(parse(all.clone()).expect("a request"), parse(all.normalised(&catalogue)).expect("a request"));
        for fields in [names(&["x", "*"]), names(&["*", "x"])] {
            let raw = RawRequest { fields: Some(fields), ..Default::default() };
            assert_eq!(parse(raw.clone()).is_ok(), parse(raw.normalised(&catalogue)).is_ok(), "faults stay");
        }
    }

    /// As the storefront's page writes it.
    #[test]
    fn what_goes_without_saying_may_be_said() {
        let catalogue = catalogue();
        let unsaid = RawRequest { q: "shoe".into(), ..Default::default() };
        let turned = catalogue.hit_fields.iter().rev().cloned().collect();
        for sort in ["relevance", ""] {
            let said = RawRequest {
                sort: Some(sort.into()),
                filters: Some(" ".into()),
                fields: Some(catalogue.hit_fields.clone()),
                ..unsaid.clone()
            };
            assert_eq!(said.clone().normalised(&catalogue), unsaid.clone().normalised(&catalogue));
            assert_eq!(parse(said.clone()).expect("a request"), parse(said.normalised(&catalogue)).expect("a request"));
        }
        let said = RawRequest { fields: Some(turned), ..unsaid.clone() };
        assert_eq!(said.normalised(&catalogue), unsaid.clone().normalised(&catalogue));
        let less = RawRequest { fields: Some(vec!["id".into()]), ..unsaid.clone() };
        assert_ne!(less.normalised(&catalogue), unsaid.normalised(&catalogue));
    }

    #[test]
    fn faults_name_the_parameter() {
        let check = |raw: RawRequest, parameter, reason: &str| {
            let error = parse(raw).expect_err(parameter);
            assert_eq!(error.parameter, parameter);
            assert!(error.reason.contains(reason), "{error}");
        };
        let raw = RawRequest::default;
        let list = |name: &str| vec![name.to_owned()];
        check(RawRequest { q: "x".repeat(513), ..raw() }, "q", "512 bytes");
        check(RawRequest { page: Some(0), ..raw() }, "page", "starts at 1");
        check(RawRequest { page: Some(501), ..raw() }, "page", "10000 hits");
        check(RawRequest { per_page: Some(101), ..raw() }, "per_page", "above 100");
        check(RawRequest { sort: Some("x".into()), ..raw() }, "sort", "'x' is none of relevance");
        check(RawRequest { facets: list("x"), ..raw() }, "facets", "'x' is none of brand, price");
        check(RawRequest { fields: Some(list("x")), ..raw() }, "fields", "'x' is none of id, sku");
        check(RawRequest { highlight: list("price"), ..raw() }, "highlight", "none of title");
        check(RawRequest { filters: Some("(".into()), ..raw() }, "filters", "character 1");
    }
}
