//! Requests as they arrive: query strings and JSON bodies become [`RawRequest`]s.

use search::RawRequest;
use serde::Deserialize;

use crate::error::ApiError;
use crate::preview_key::PreviewKey;

/// How many searches one call may hold.
pub const MAX_SEARCHES: usize = 50;
/// How many products one call may ask for.
pub const MAX_IDS: usize = 100;

/// What is asked: what a market serves, or another snapshot of its store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub market: Option<String>,
    pub snapshot: Option<String>,
    pub preview_key: Option<PreviewKey>,
}

impl Target {
    /// The target of an endpoint that takes nothing else.
    ///
    /// # Errors
    /// Names a parameter that is unknown.
    pub fn from_query(query: &str) -> Result<Self, ApiError> {
        let mut target = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !target.takes(&name, &value) {
                return Err(unknown(&name, "market, snapshot, preview_key"));
            }
        }
        Ok(target)
    }

    /// Takes a parameter, if it is one of its own.
    fn takes(&mut self, name: &str, value: &str) -> bool {
        match name {
            "market" => self.market = Some(value.to_owned()),
            "snapshot" => self.snapshot = Some(value.to_owned()),
            "preview_key" => self.preview_key = Some(PreviewKey::given(value)),
            _ => return false,
        }
        true
    }
}

/// A search and what it is asked of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchParams {
    pub target: Target,
    pub raw: RawRequest,
}

const SEARCH_PARAMETERS: &str = "q, market, page, per_page, sort, filters, facets, facet_limit, fields, highlight, distinct, \
                                 contexts, explain, snapshot, preview_key";

const SUGGEST_PARAMETERS: &str = "q, market, limit, products, fields, contexts, snapshot, preview_key";

/// What `/v1/suggest` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuggestParams {
    pub target: Target,
    pub raw: RawRequest,
    pub limit: Option<usize>,
    pub products: Option<usize>,
}

impl SuggestParams {
    /// # Errors
    /// Names a parameter that is unknown or not of its form.
    pub fn from_query(query: &str) -> Result<Self, ApiError> {
        let mut params = Self::default();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            once(&mut seen, &name)?;
            match name.as_ref() {
                "q" => params.raw.q = value.into_owned(),
                "limit" => params.limit = Some(number("limit", &value)?),
                "products" => params.products = Some(number("products", &value)?),
                "fields" => params.raw.fields.get_or_insert_default().extend(list(&value)),
                "contexts" => params.raw.contexts.extend(list(&value)),
                other if params.target.takes(other, &value) => {}
                other => return Err(unknown(other, SUGGEST_PARAMETERS)),
            }
        }
        Ok(params)
    }
}

/// What the other endpoints take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductParams {
    pub target: Target,
    pub ids: Vec<String>,
    /// How many similar ones.
    pub limit: Option<usize>,
    pub fields: Option<Vec<String>>,
}

impl SearchParams {
    /// # Errors
    /// Names a parameter that is unknown or not of its form.
    pub fn from_query(query: &str) -> Result<Self, ApiError> {
        let mut params = Self::default();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            once(&mut seen, &name)?;
            let raw = &mut params.raw;
            match name.as_ref() {
                "q" => raw.q = value.into_owned(),
                "page" => raw.page = Some(number("page", &value)?),
                "per_page" => raw.per_page = Some(number("per_page", &value)?),
                "facet_limit" => raw.facet_limit = Some(number("facet_limit", &value)?),
                "sort" => raw.sort = Some(value.into_owned()),
                "filters" => raw.filters = Some(value.into_owned()),
                "facets" => raw.facets.extend(list(&value)),
                "fields" => raw.fields.get_or_insert_default().extend(list(&value)),
                "highlight" => raw.highlight.extend(list(&value)),
                "contexts" => raw.contexts.extend(list(&value)),
                "distinct" => raw.distinct = flag("distinct", &value)?,
                "explain" => raw.explain = flag("explain", &value)?,
                other if params.target.takes(other, &value) => {}
                other => return Err(unknown(other, SEARCH_PARAMETERS)),
            }
        }
        Ok(params)
    }

    /// # Errors
    /// Says where the body is no such request.
    pub fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        Ok(serde_json::from_slice::<SearchBody>(body).map_err(|error| body_error(&error))?.into())
    }
}

/// Reads the searches of a multi-search.
///
/// # Errors
/// Says where the body is no such request.
pub fn searches_from_json(body: &[u8]) -> Result<Vec<SearchParams>, ApiError> {
    let body: MultiBody = serde_json::from_slice(body).map_err(|error| body_error(&error))?;
    match body.searches.len() > MAX_SEARCHES {
        true => Err(ApiError::bad_parameter("searches", format!("has more than {MAX_SEARCHES} entries"))),
        false => Ok(body.searches.into_iter().map(SearchParams::from).collect()),
    }
}

impl ProductParams {
    /// # Errors
    /// Names a parameter that is unknown, or says that there are too many ids.
    pub fn from_query(query: &str, takes_ids: bool, takes_limit: bool) -> Result<Self, ApiError> {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "fields" => params.fields.get_or_insert_default().extend(list(&value)),
                "ids" if takes_ids => params.ids.extend(list(&value)),
                "limit" if takes_limit => params.limit = Some(number("limit", &value)?),
                other if params.target.takes(other, &value) => {}
                other => {
                    let own = if takes_limit { "limit, " } else { "" };
                    let own = if takes_ids { "ids, " } else { own };
                    return Err(unknown(other, &format!("{own}fields, market, snapshot, preview_key")));
                }
            }
        }
        match params.ids.len() > MAX_IDS {
            true => Err(ApiError::bad_parameter("ids", format!("has more than {MAX_IDS} entries"))),
            false => Ok(params),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MultiBody {
    searches: Vec<SearchBody>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SearchBody {
    q: String,
    market: Option<String>,
    page: Option<usize>,
    per_page: Option<usize>,
    sort: Option<String>,
    filters: Option<String>,
    facets: OneOrMany,
    facet_limit: Option<usize>,
    fields: Option<OneOrMany>,
    highlight: OneOrMany,
    contexts: OneOrMany,
    distinct: bool,
    explain: bool,
    snapshot: Option<String>,
    preview_key: Option<PreviewKey>,
}

/// `"a,b"` and `["a", "b"]` are the same.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl From<OneOrMany> for Vec<String> {
    fn from(value: OneOrMany) -> Self {
        match value {
            OneOrMany::One(text) => list(&text).collect(),
            OneOrMany::Many(texts) => texts,
        }
    }
}

impl From<SearchBody> for SearchParams {
    fn from(body: SearchBody) -> Self {
        let raw = RawRequest {
            q: body.q,
            page: body.page,
            per_page: body.per_page,
            sort: body.sort,
            filters: body.filters,
            facets: body.facets.into(),
            facet_limit: body.facet_limit,
            fields: body.fields.map(Vec::from),
            highlight: body.highlight.into(),
            contexts: body.contexts.into(),
            distinct: body.distinct,
            explain: body.explain,
        };
        let target = Target { market: body.market, snapshot: body.snapshot, preview_key: body.preview_key };
        Self { target, raw }
    }
}

/// Of a parameter that stands twice, one would be passed over without a word; only lists add up.
fn once(seen: &mut Vec<String>, name: &str) -> Result<(), ApiError> {
    if !matches!(name, "facets" | "fields" | "highlight" | "contexts") && seen.iter().any(|other| other == name) {
        return Err(ApiError::bad_parameter(name, "stands twice"));
    }
    seen.push(name.to_owned());
    Ok(())
}

fn list(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

fn flag(name: &'static str, text: &str) -> Result<bool, ApiError> {
    text.parse().map_err(|_| ApiError::bad_parameter(name, format!("'{text}' is neither true nor false")))
}

fn number(name: &'static str, text: &str) -> Result<usize, ApiError> {
    text.parse().map_err(|_| ApiError::bad_parameter(name, format!("'{text}' is not a whole number")))
}

fn unknown(name: &str, known: &str) -> ApiError {
    ApiError::bad_parameter(name, format!("is no parameter; there are {known}"))
}

fn body_error(error: &serde_json::Error) -> ApiError {
    ApiError::bad_parameter("body", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_bodies_say_the_same() {
        let query = "q=red+sh%C3%B6e&facets=brand,color&facets=price&page=2&filters=brand%3A%22A%26B%22&fields=*&market=us\
             &snapshot=abc&preview_key=k";
        let body = r#"{"q": "red shöe", "facets": ["brand", "color", "price"], "page": 2, "filters": "brand:\"A&B\"", "fields": "*", "market": "us", "snapshot": "abc", "preview_key": "k"}"#;
        let params = SearchParams::from_query(query).expect("a request");
        assert_eq!(params, SearchParams::from_json(body.as_bytes()).expect("a request"));
        assert_eq!(params.raw.q, "red shöe");
        assert_eq!(params.target.snapshot.as_deref(), Some("abc"));
        assert_eq!(params.target.preview_key, Some(PreviewKey::given("k")));
        let many = searches_from_json(format!("{{\"searches\": [{body}, {{}}]}}").as_bytes()).expect("requests");
        assert_eq!(many, [params, SearchParams::default()]);
    }

    #[test]
    fn faults_are_named() {
        let check = |result: Result<SearchParams, ApiError>, expected: &str| {
            let text = String::from_utf8(result.expect_err(expected).to_json()).expect("text");
            assert!(text.contains(expected), "{text}");
        };
        check(SearchParams::from_query("query=x"), "query: is no parameter");
        check(SearchParams::from_query("filters=a&filters=b"), "filters: stands twice");
        check(SearchParams::from_query("snapshot=a&snapshot=b"), "snapshot: stands twice");
        check(SearchParams::from_query("page=-1"), "page: '-1' is not a whole number");
        check(SearchParams::from_json(b"{\"page\": \"x\"}"), "line 1 column 12");
        check(SearchParams::from_json(b"{\"pages\": 1}"), "unknown field `pages`");
        check(SearchParams::from_json(b"["), "body: ");
    }
}
