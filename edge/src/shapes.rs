//! In which forms a market is asked, apart from the query: how many hits, which facets, which fields. Each storefront has a
//! few of its own, and what is answered ahead at a start is of use only in these.

use std::cmp::Reverse;
use std::collections::HashMap;

use search::RawRequest;
use serde::{Deserialize, Serialize};
use snapshots::{Cache, Catalogue};
use tracing::warn;

use crate::result_cache::{Asked, ResultCache};

/// So many forms of searches are known, and as many of suggestions.
const MAX_SHAPES: usize = 3;
/// Among so many requests the commonest forms are looked for.
const MAX_LOOKED_AT: usize = 1_024;

/// A request whose query is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    Search(RawRequest),
    /// With how many suggestions and products are wanted.
    Suggest(RawRequest, usize, usize),
}

impl Shape {
    /// The form of a request; None where it is for something narrower than what comes first for a query.
    fn of(asked: &Asked) -> Option<Self> {
        match asked {
            Asked::Search(raw) if raw.page == Some(1) && raw.filters.is_none() => {
                Some(Self::Search(with_query(raw, "")))
            }
            Asked::Suggest(raw, limit, products) => Some(Self::Suggest(with_query(raw, ""), *limit, *products)),
            _ => None,
        }
    }

    /// The request in this form with a query.
    pub fn with(&self, query: &str, catalogue: &Catalogue) -> Asked {
        match self {
            Self::Search(raw) => Asked::search(with_query(raw, query), catalogue),
            Self::Suggest(raw, limit, products) => {
                Asked::suggest(with_query(raw, query), Some(*limit), Some(*products), catalogue)
            }
        }
    }
}

fn with_query(raw: &RawRequest, query: &str) -> RawRequest {
    RawRequest { q: query.to_owned(), ..raw.clone() }
}

/// The commonest forms of what was asked for again.
pub fn of_generation(results: &ResultCache) -> Vec<Shape> {
    commonest(&results.asked_again(MAX_LOOKED_AT))
}

fn commonest(asked: &[Asked]) -> Vec<Shape> {
    let mut counts: HashMap<Shape, usize> = HashMap::new();
    asked.iter().filter_map(Shape::of).for_each(|shape| *counts.entry(shape).or_default() += 1);
    let mut counts: Vec<(Shape, usize)> = counts.into_iter().collect();
    counts.sort_unstable_by_key(|(_, count)| Reverse(*count));
    let shapes = counts.into_iter().map(|(shape, _)| shape);
    let (searches, suggestions): (Vec<_>, Vec<_>) = shapes.partition(|shape| matches!(shape, Shape::Search(_)));
    searches.into_iter().take(MAX_SHAPES).chain(suggestions.into_iter().take(MAX_SHAPES)).collect()
}

/// Keeps forms for the next start of a market; where there are none, those stay that are kept.
pub fn keep(cache: &Cache, market: &str, shapes: &[Shape]) {
    if shapes.is_empty() {
        return;
    }
    let json = serde_json::to_vec(shapes).expect("shapes have no map");
    if let Err(fault) = cache.keep_asked(market, &json) {
        warn!(market, "the cache will not know how the market is asked: {fault}");
    }
}

/// The forms that were kept for a market or, where there are none that can be read, those of the storefront's page.
pub fn recall(cache: &Cache, market: &str) -> Vec<Shape> {
    let kept = cache.recall_asked(market).and_then(|json| serde_json::from_slice(&json).ok());
    kept.unwrap_or_else(of_page)
}

/// As `storefront/api.js` asks.
fn of_page() -> Vec<Shape> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let search = RawRequest {
        per_page: Some(24),
        facets: names(&["*"]),
        facet_limit: Some(12),
        highlight: names(&["title"]),
        distinct: true,
        ..RawRequest::default()
    };
    let suggest = RawRequest { fields: Some(names(&["id", "title", "price", "images"])), ..RawRequest::default() };
    vec![Shape::Search(search), Shape::Suggest(suggest, 6, 3)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../storefront/api.js");

    fn catalogue() -> Catalogue {
        Catalogue::parse("name = \"t\"\ncurrency = \"EUR\"\n").expect("valid settings")
    }

    fn search(q: &str, per_page: usize) -> Asked {
        let raw = RawRequest { q: q.to_owned(), per_page: Some(per_page), ..RawRequest::default() };
        Asked::search(raw, &catalogue())
    }

    #[test]
    fn the_commonest_forms_are_known_whatever_was_searched_for() {
        let typed = |q: &str| {
            Asked::suggest(RawRequest { q: q.to_owned(), ..RawRequest::default() }, Some(3), None, &catalogue())
        };
        let mut asked = vec![typed("l")];
        // Of the forms 1 to 5, each is asked for once more than the one before.
        (1..=5).for_each(|form| asked.extend((0..form).map(|number| search(&format!("lamp {number}"), form))));
        let filtered = RawRequest { filters: Some("brand:a".into()), ..RawRequest::default() };
        let second = RawRequest { page: Some(2), ..RawRequest::default() };
        asked.extend([filtered, second].map(|raw| Asked::search(raw, &catalogue())).into_iter().cycle().take(20));
        let anew: Vec<Asked> = commonest(&asked).iter().map(|shape| shape.with("shoe", &catalogue())).collect();
        assert_eq!(anew, [search("shoe", 5), search("shoe", 4), search("shoe", 3), typed("shoe")]);
    }

    #[test]
    fn the_page_asks_so() {
        for part in [
            "per_page: 24,\n    sort: state.sort,\n    filters: filterOf(state),\n    facets: \"*\",",
            "facet_limit: 12,\n    highlight: \"title\",\n    distinct: true,\n  }",
            "{ q, limit: 6, products: 3, fields: \"id,title,price,images\" }",
        ] {
            assert!(PAGE.contains(part), "{part}");
        }
    }

    #[test]
    fn what_is_kept_is_recalled_and_what_cannot_be_read_is_as_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(folder.path()).expect("a cache");
        assert_eq!(recall(&cache, "us"), of_page());
        let shapes = commonest(&[search("lamp", 5)]);
        keep(&cache, "us", &shapes);
        keep(&cache, "us", &[]);
        assert_eq!((recall(&cache, "us"), recall(&cache, "eu")), (shapes, of_page()));
        cache.keep_asked("us", b"{").expect("a file");
        assert_eq!(recall(&cache, "us"), of_page());
    }
}
