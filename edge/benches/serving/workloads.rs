//! What is asked for: paths made of the words and ids of the shop that is served, so that every request finds something.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::client::Connection;

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
    let mut products: Vec<(String, Vec<String>)> = Vec::new();
    for page in 1..=20 {
        let answer = connection.get(&format!("/v1/search?per_page=100&page={page}&sort=newest&fields=id,title")).json();
        for hit in answer["hits"].as_array().expect("hits") {
            let title = hit["title"].as_str().expect("a title");
            let plain = |word: &&str| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
            products.push((
                hit["id"].as_str().expect("an id").to_owned(),
                title.split_whitespace().filter(plain).map(str::to_owned).collect(),
            ));
        }
    }
    let queries = |cut: usize| -> Vec<String> {
        let two = products.iter().enumerate().map(|(number, (_, words))| {
            let start = number % words.len().saturating_sub(1).max(1);
            let query = words[start..words.len().min(start + 2)].join("+");
            query[..query.len() - cut].to_owned()
        });
        two.collect()
    };
    let search =
        |cut: usize, rest: &str| queries(cut).iter().map(|query| format!("/v1/search?q={query}{rest}")).collect();
    let facets = "&facets=category,brand,price";
    let suggest = |length: usize| -> Vec<String> {
        let beginnings = queries(0).into_iter().map(|query| query[..query.floor_char_boundary(length)].to_owned());
        let some: BTreeSet<String> = beginnings.filter(|query| !query.ends_with('+')).collect();
        some.iter().map(|query| format!("/v1/suggest?q={query}")).collect()
    };
    let typo = |query: &String| {
        let mut letters = query.clone().into_bytes();
        let middle = letters.iter().position(|byte| *byte == b'+').unwrap_or(letters.len()) / 2;
        letters.swap(middle - 1, middle);
        format!("/v1/search?q={}", String::from_utf8_lossy(&letters))
    };
    let similar = products.iter().map(|(id, _)| format!("/v1/products/{id}/similar")).collect();
    let kinds: [(&'static str, Vec<String>); 12] = [
        ("product by id", products.iter().map(|(id, _)| format!("/v1/products/{id}")).collect()),
        ("search", search(0, "")),
        ("search, cached", search(0, "").into_iter().take(200).collect()),
        ("search, one typo", queries(0).iter().map(typo).collect()),
        ("search, variants folded", search(0, "&distinct=true")),
        ("search, 3 facets", search(0, facets)),
        ("as you type, 3 facets", search(2, facets)),
        ("filter, 3 facets", search(0, &format!("{facets}&filters=price%3C150"))),
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
