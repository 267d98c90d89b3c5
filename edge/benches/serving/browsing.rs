//! What listing pages ask for, and a page while the first letter is typed: query strings, which the steps of a request and a
//! served edge are asked alike.

use std::collections::BTreeSet;

pub const FACETS: &str = "facets=category,brand,price";
/// More bounds of prices than an index keeps sets for, or remembers: each shopper moves the slider elsewhere.
const PRICES: u32 = 300;

/// Each kind of browsing with its query strings, for a shop with these categories.
pub fn browsing(categories: &BTreeSet<String>) -> [(&'static str, Vec<String>); 5] {
    let filtered = |filter: String| {
        let filter: String = form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        format!("{FACETS}&filters={filter}")
    };
    let by_category = categories.iter().map(|name| filtered(format!("category:\"{name}\"")));
    let by_price = (0..PRICES).map(|step| filtered(format!("price<{}", 15 + 3 * step)));
    [
        ("browse, 3 facets", vec![FACETS.to_owned()]),
        ("browse, variants folded", vec![format!("{FACETS}&distinct=true")]),
        ("browse, category", by_category.collect()),
        ("browse, price", by_price.collect()),
        ("browse, sorted", ["price_asc", "price_desc", "newest"].map(|sort| format!("sort={sort}")).into()),
    ]
}

/// Searches for each letter that a query begins with, one of each group of variants.
pub fn first_letters(queries: &[String]) -> Vec<String> {
    let letters: BTreeSet<char> = queries.iter().filter_map(|query| query.chars().next()).collect();
    letters.iter().map(|letter| format!("q={letter}&distinct=true")).collect()
}
