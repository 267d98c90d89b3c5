//! What is asked for: paths made of the words and ids of the shop that is served, so that every request finds something.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::browsing::{FACETS, browsing, first_letters};
use crate::client::Connection;
use crate::queries::{two_words, unfinished, with_typo};

/// So many answers tell how large they are.
const SIZED: usize = 200;

/// A kind of request, with the paths that are asked for in turn.
#[derive(Clone)]
pub struct Workload {
    pub name: &'static str,
    pub paths: Vec<String>,
    pub mean_body_bytes: usize,
    pub by: By,
    pub protocol: Protocol,
    /// What the client takes besides plain bodies.
    pub coding: Option<&'static str>,
}

/// Which edge answers.
#[derive(Clone, Copy)]
pub enum By {
    /// One that searches anew each time.
    Searching,
    /// One that gives again what it has answered before.
    Caching,
    Tls,
}

/// What is spoken, with or without TLS.
#[derive(Clone, Copy)]
pub enum Protocol {
    Http1,
    Http2,
}

/// The one of that name.
pub fn named(name: &str, workloads: Vec<Workload>) -> Workload {
    workloads.into_iter().find(|workload| workload.name == name).expect("a workload")
}

/// Words and ids of the shop that is served, so that every request finds something.
pub fn workloads(address: SocketAddr) -> Vec<Workload> {
    let mut connection = Connection::open(address);
    let (mut products, mut categories) = (Vec::new(), BTreeSet::new());
    for page in 1..=20 {
        let path = format!("/v1/search?per_page=100&page={page}&sort=newest&fields=id,title,category");
        for hit in connection.get(&path).json()["hits"].as_array().expect("hits") {
            let text = |name: &str| hit[name].as_str().expect(name).to_owned();
            products.push((text("id"), text("title")));
            categories.extend(hit["category"][0].as_str().map(str::to_owned));
        }
    }
    let titles = products.iter().enumerate();
    let queries: Vec<String> = titles.filter_map(|(number, (_, title))| two_words(title, number)).collect();
    let beginnings: Vec<String> = queries.iter().map(|query| unfinished(query).to_owned()).collect();
    let mistyped: Vec<String> = queries.iter().filter_map(|query| with_typo(query)).collect();
    let search = |queries: &[String], rest: &str| -> Vec<String> {
        queries.iter().map(|query| format!("/v1/search?q={}{rest}", query.replace(' ', "+"))).collect()
    };
    let facets = &format!("&{FACETS}");
    let asked =
        |strings: Vec<String>| -> Vec<String> { strings.iter().map(|string| format!("/v1/search?{string}")).collect() };
    let suggest = |length: usize, rest: &str| -> Vec<String> {
        let beginnings = queries.iter().map(|query| &query[..query.floor_char_boundary(length)]);
        let some: BTreeSet<&str> = beginnings.filter(|query| !query.ends_with(' ')).collect();
        some.iter().map(|query| format!("/v1/suggest?q={query}{rest}")).collect()
    };
    let similar = products.iter().map(|(id, _)| format!("/v1/products/{id}/similar")).collect();
    let mut kinds: Vec<(&'static str, Vec<String>)> = vec![
        ("product by id", products.iter().map(|(id, _)| format!("/v1/products/{id}")).collect()),
        ("search", search(&queries, "")),
        ("search, cached", search(&queries, "").into_iter().take(200).collect()),
        ("search, one typo", search(&mistyped, "")),
        ("search, variants folded", search(&queries, "&distinct=true")),
        ("search, 3 facets", search(&queries, facets)),
        ("as you type, 3 facets", search(&beginnings, facets)),
        ("filter, 3 facets", search(&queries, &format!("{facets}&filters=price%3C150"))),
        ("browse and filter, folded", vec!["/v1/search?facets=*&filters=price%3C150&distinct=true".to_owned()]),
        ("one letter, variants folded", asked(first_letters(&queries))),
        // Few things are typed, and an index keeps what their first suggestions find; for a context it keeps nothing.
        ("suggest, 4 letters", suggest(4, "")),
        ("suggest, nothing kept", suggest(4, "&contexts=bench")),
        ("suggest, cached", suggest(4, "")),
        ("similar products", similar),
    ];
    kinds.extend(browsing(&categories).map(|(name, strings)| (name, asked(strings))));
    let sized = kinds.into_iter().map(|(name, paths)| {
        let by = if name.ends_with("cached") { By::Caching } else { By::Searching };
        Workload { by, ..searching(name, paths, address) }
    });
    sized.collect()
}

/// What is worked out anew each time.
pub fn searching(name: &'static str, paths: Vec<String>, address: SocketAddr) -> Workload {
    let mean_body_bytes = mean_body_bytes(address, &paths);
    Workload { name, mean_body_bytes, paths, by: By::Searching, protocol: Protocol::Http1, coding: None }
}

/// How large answers are, by the first of them.
pub fn mean_body_bytes(address: SocketAddr, paths: &[String]) -> usize {
    let mut connection = Connection::open(address);
    mean(paths.iter().take(SIZED).map(|path| connection.get(path).body.len()))
}

/// The same cached searches for clients that read smaller bodies, and some over TLS and HTTP/2.
pub fn on_the_wire(workloads: &[Workload], caching: SocketAddr) -> Vec<Workload> {
    let paths = |name: &str| {
        let found = workloads.iter().find(|workload| workload.name == name).expect("a workload");
        (found.paths.clone(), found.mean_body_bytes)
    };
    let mut connection = Connection::open(caching);
    let mut coded = |name: &'static str, coding: &'static str| {
        let (paths, _) = paths("search, cached");
        let mut ask = |path: &str| {
            let headers = [("accept-encoding", coding)];
            connection.send("GET", path, &headers, b"").expect("an answer").body.len()
        };
        // Only what is asked for again is made smaller.
        let mut size = || mean(paths.iter().take(SIZED).map(|path| ask(path)));
        size();
        let mean_body_bytes = size();
        Workload { name, mean_body_bytes, paths, by: By::Caching, protocol: Protocol::Http1, coding: Some(coding) }
    };
    let mut all = vec![coded("search, cached, gzip", "gzip"), coded("search, cached, zstd", "zstd")];
    let rest = [
        ("product by id, TLS", "product by id", By::Tls, Protocol::Http1),
        ("product by id, HTTP/2", "product by id", By::Searching, Protocol::Http2),
        ("product by id, HTTP/2 TLS", "product by id", By::Tls, Protocol::Http2),
        ("search, cached, HTTP/2", "search, cached", By::Caching, Protocol::Http2),
    ];
    all.extend(rest.map(|(name, of, by, protocol)| {
        let (paths, mean_body_bytes) = paths(of);
        Workload { name, mean_body_bytes, paths, by, protocol, coding: None }
    }));
    all
}

fn mean(sizes: impl Iterator<Item = usize>) -> usize {
    let (count, sum) = sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
    sum / count.max(1)
}
