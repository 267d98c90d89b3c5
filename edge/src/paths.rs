//! Paths: what each asks for, and by which methods.

use std::borrow::Cow;

use hyper::Method;
use percent_encoding::percent_decode_str;
use snapshots::CATEGORY_SEPARATOR;

use crate::storefront;

/// How many kinds of paths there are.
pub const KINDS: usize = 13;

/// A path, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    Health,
    Search,
    MultiSearch,
    Suggest,
    Products,
    Product(Cow<'a, str>),
    Similar(Cow<'a, str>),
    Categories(Option<String>),
    Snapshot,
    Events,
    Page(&'static storefront::PageFile),
    Picture(&'a str),
    Unknown,
}

impl<'a> Route<'a> {
    pub fn of(path: &'a str) -> Self {
        match path {
            "/healthz" => Self::Health,
            "/v1/search" => Self::Search,
            "/v1/multi-search" => Self::MultiSearch,
            "/v1/suggest" => Self::Suggest,
            "/v1/products" => Self::Products,
            "/v1/categories" => Self::Categories(None),
            "/v1/snapshot" => Self::Snapshot,
            "/events/blob" => Self::Events,
            _ => Self::of_prefix(path),
        }
    }

    fn of_prefix(path: &'a str) -> Self {
        let similar = path.strip_prefix("/v1/products/").and_then(|rest| rest.strip_suffix("/similar"));
        if let Some(id) = similar.filter(|id| !id.contains('/')) {
            return decode(id).map_or(Self::Unknown, Self::Similar);
        }
        if let Some(id) = path.strip_prefix("/v1/products/").filter(|rest| !rest.contains('/')) {
            return decode(id).map_or(Self::Unknown, Self::Product);
        }
        if let Some(levels) = path.strip_prefix("/v1/categories/") {
            // A slash divides levels; one within a name is written %2F.
            let levels: Option<Vec<Cow<'_, str>>> = levels.split('/').map(decode).collect();
            return levels.map_or(Self::Unknown, |levels| Self::Categories(Some(levels.join(CATEGORY_SEPARATOR))));
        }
        if let Some(name) = path.strip_prefix("/pictures/") {
            return Self::Picture(name);
        }
        storefront::file(path).map_or(Self::Unknown, Self::Page)
    }

    /// The number of its kind, and a name for metrics.
    pub fn kind(&self) -> (usize, &'static str) {
        match self {
            Self::Health => (0, "healthz"),
            Self::Search => (1, "search"),
            Self::MultiSearch => (2, "multi-search"),
            Self::Suggest => (3, "suggest"),
            Self::Products => (4, "products"),
            Self::Product(_) => (5, "product"),
            Self::Similar(_) => (6, "similar"),
            Self::Categories(_) => (7, "categories"),
            Self::Snapshot => (8, "snapshot"),
            Self::Events => (9, "events"),
            Self::Page(_) => (10, "page"),
            Self::Picture(_) => (11, "picture"),
            Self::Unknown => (12, "unknown"),
        }
    }

    pub fn name(&self) -> &'static str {
        self.kind().1
    }

    pub fn allowed(&self) -> &'static str {
        match self {
            Self::Search => "GET, HEAD, POST, OPTIONS",
            Self::MultiSearch | Self::Events => "POST, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    pub fn takes(&self, method: &Method) -> bool {
        match *method {
            Method::GET | Method::HEAD => !matches!(self, Self::MultiSearch | Self::Events),
            Method::POST => matches!(self, Self::Search | Self::MultiSearch | Self::Events),
            Method::OPTIONS => true,
            _ => false,
        }
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One path of each kind.
    const PATHS: [&str; KINDS] = [
        "/healthz",
        "/v1/search",
        "/v1/multi-search",
        "/v1/suggest",
        "/v1/products",
        "/v1/products/p",
        "/v1/products/p/similar",
        "/v1/categories",
        "/v1/snapshot",
        "/events/blob",
        "/",
        "/pictures/p",
        "/v2",
    ];

    #[test]
    fn paths_are_routes() {
        let check = |path: &str, expected: Route<'_>| assert_eq!(Route::of(path), expected, "{path}");
        check("/v1/products/a%20b", Route::Product("a b".into()));
        check("/v1/products/a/b", Route::Unknown);
        check("/v1/products/a%20b/similar", Route::Similar("a b".into()));
        check("/v1/categories/Home/A%2FB", Route::Categories(Some("Home > A/B".into())));
        check("/v1/categories/Home%20%3E%20Lamps", Route::Categories(Some("Home > Lamps".into())));
        check("/v2", Route::Unknown);
        assert!(matches!(Route::of("/"), Route::Page(_)));
    }

    #[test]
    fn a_path_takes_the_methods_that_it_names() {
        for route in PATHS.map(Route::of) {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::PUT, Method::DELETE] {
                let is_named = route.allowed().split(", ").any(|allowed| allowed == method.as_str());
                assert_eq!(route.takes(&method), is_named, "{method} {route:?}");
            }
        }
    }

    #[test]
    fn every_kind_of_path_has_its_number() {
        let numbers = PATHS.map(|path| Route::of(path).kind().0);
        let all: [usize; KINDS] = std::array::from_fn(|number| number);
        assert_eq!(numbers, all);
    }
}
