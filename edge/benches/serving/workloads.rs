//! What is asked for: paths made of the words and ids of the shop that is served, so that every request finds something.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::client::Connection;
use crate::queries::{two_words, unfinished, with_typo};

/// A kind of request, with the paths that are asked for in turn.
pub struct Workload {
    pub name: &'static str,
    pub paths: Vec<String>,
    pub mean_body_bytes: usize,
    /// The edge may answer with what it has answered before.
    pub is_cached: bool,
}

/// Words and ids of the shop that is served, so that every request finds something.
pub fn workloads(address: SocketAddr) -> Vec<Workload> {
    let mut connection = Connection::open(address);
    let mut products: Vec<(String, String)> = Vec::new();
    for page in 1..=20 {
        let answer = connection.get(&format!("/v1/search?per_page=100&page={page}&sort=newest&fields=id,title")).json();
        for hit in answer["hits"].as_array().expect("hits") {
            let text = |name: &str| hit[name].as_str().expect(name).to_owned();
            products.push((text("id"), text("title")));
        }
    }
    let titles = products.iter().enumerate();
    let queries: Vec<String> = titles.filter_map(|(number, (_, title))| two_words(title, number)).collect();
    let beginnings: Vec<String> = queries.iter().map(|query| unfinished(query).to_owned()).collect();
    let mistyped: Vec<String> = queries.iter().map(|query| with_typo(query)).collect();
    let search = |queries: &[String], rest: &str| -> Vec<String> {
        queries.iter().map(|query| format!("/v1/search?q={}{rest}", query.replace(' ', "+"))).collect()
    };
    let facets = "&facets=category,brand,price";
    let suggest = |length: usize| -> Vec<String> {
        let beginnings = queries.iter().map(|query| &query[..query.floor_char_boundary(length)]);
        let some: BTreeSet<&str> = beginnings.filter(|query| !query.ends_with(' ')).collect();
        some.iter().map(|query| format!("/v1/suggest?q={query}")).collect()
    };
    let similar = products.iter().map(|(id, _)| format!("/v1/products/{id}/similar")).collect();
    let kinds: [(&'static str, Vec<String>); 12] = [
        ("product by id", products.iter().map(|(id, _)| format!("/v1/products/{id}")).collect()),
        ("search", search(&queries, "")),
        ("search, cached", search(&queries, "").into_iter().take(200).collect()),
        ("search, one typo", search(&mistyped, "")),
        ("search, variants folded", search(&queries, "&distinct=true")),
        ("search, 3 facets", search(&queries, facets)),
        ("as you type, 3 facets", search(&beginnings, facets)),
        ("filter, 3 facets", search(&queries, &format!("{facets}&filters=price%3C150"))),
        ("browse, 3 facets", vec![format!("/v1/search?{}", &facets[1..])]),
        ("suggest, 4 letters", suggest(4)),
        ("suggest, cached", suggest(4)),
        ("similar products", similar),
    ];
    let sized = kinds.map(|(name, paths)| {
        let sizes = paths.iter().take(200).map(|path| connection.get(path).body.len());
        let (count, sum) = sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
        Workload { name, mean_body_bytes: sum / count.max(1), paths, is_cached: name.ends_with("cached") }
    });
    sized.into()
}
