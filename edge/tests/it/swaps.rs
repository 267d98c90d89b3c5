//! A newer snapshot takes over under load: no request fails, no answer mixes two, and nothing of the old one stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::client::{Answer, Connection};
use crate::process::{EdgeProcess, wait_until};
use crate::shop::{SETTINGS, Shop};

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 10_000;
const SWAPS: u64 = 20;

#[test]
fn twenty_swaps_under_load() {
    let shop = Shop::new();
    let (alpha, beta) = (shop.publish("alpha", 400), shop.build("beta", 500));
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    let done = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let brands = Arc::new([(alpha.id.to_string(), "alpha", 400), (beta.id.to_string(), "beta", 500)]);
    let clients = (0..CONNECTIONS).map(|client| {
        let (address, done, stop, brands) = (edge.public, done.clone(), stop.clone(), brands.clone());
        std::thread::spawn(move || {
            let mut connection = Connection::open(address);
            let mut number = client;
            // Until the swaps are over, and at least this client's share of the requests.
            while !stop.load(Ordering::Relaxed) || done.load(Ordering::Relaxed) < REQUESTS {
                check(&ask(&mut connection, number), brands.as_slice());
                number += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    for swap in 0..SWAPS {
        let next = if swap % 2 == 0 { &beta } else { &alpha };
        let sequence = shop.announce(&next.id);
        edge.wait_for_sequence(sequence);
        // Requests are answered between swaps as well.
        let seen = done.load(Ordering::Relaxed);
        wait_until("requests go on", || done.load(Ordering::Relaxed) >= seen + CONNECTIONS);
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("no request failed"));
    assert!(done.load(Ordering::Relaxed) >= REQUESTS);
    wait_until("one generation is alive", || edge.metric("vitrine_edge_snapshot_generations") == Some(1.0));
    let mapped = edge.mapped_objects();
    assert_eq!(mapped, [alpha.segments[0].segment.to_string()].into(), "only the served segment is mapped");
}

fn ask(connection: &mut Connection, number: usize) -> Answer {
    match number % 3 {
        0 => connection.get("/v1/search?q=lamp+1&facets=brand&per_page=50"),
        1 => connection.get("/v1/search?facets=*&filters=color:red&per_page=100"),
        _ => connection.post(
            "/v1/multi-search",
            r#"{"searches": [{"q": "lamp", "facets": "brand"}, {"facets": "brand", "market": "us"}]}"#,
        ),
    }
}

/// Everything in an answer comes from the snapshot that it names.
fn check(answer: &Answer, brands: &[(String, &str, u64)]) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let results = body["results"].as_array().cloned().unwrap_or_else(|| vec![body]);
    let first = results[0]["snapshot"]["id"].clone();
    for result in &results {
        assert_eq!(result["snapshot"]["id"], first, "one snapshot for a whole call");
        let (_, brand, products) =
            brands.iter().find(|(id, ..)| result["snapshot"]["id"] == **id).expect("a known snapshot");
        let hits = result["hits"].as_array().expect("hits");
        assert!(!hits.is_empty() && hits.iter().all(|hit| hit["brand"] == *brand), "{brand}: {result}");
        let counted: Vec<&Value> = result["facets"]["brand"]["values"].as_array().into_iter().flatten().collect();
        assert!(counted.iter().all(|value| value["value"] == *brand), "{brand}: {counted:?}");
        if result["query"]["original"] == "" && results.len() == 2 {
            assert_eq!(result["found"], *products);
        }
    }
    if results.len() == 1 {
        assert_eq!(answer.header("x-snapshot"), first.as_str().expect("an id"));
    }
}

#[test]
fn what_was_asked_before_a_swap_is_answered_before_it_is_asked_again() {
    let shop = Shop::new();
    shop.publish("alpha", 30);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    let paths = ["/v1/search?q=lamp&facets=*&per_page=1", "/v1/suggest?q=la", "/v1/products/p1/similar"];
    paths.iter().for_each(|path| assert_eq!(edge.get(path).status, 200));
    let sequence = shop.announce(&shop.build("alpha", 40).id);
    edge.wait_for_sequence(sequence);
    let misses = || edge.metric("vitrine_edge_result_cache_lookups_total{result=\"miss\"}");
    let before = misses();
    let found = edge.get(paths[0]).json();
    assert_eq!((&found["found"], &found["snapshot"]["sequence"]), (&Value::from(40), &Value::from(sequence)));
    paths.iter().for_each(|path| assert_eq!(edge.get(path).status, 200));
    assert_eq!(misses(), before, "nothing was searched anew");
}

/// Holding and resuming announces the same snapshot anew, and everything was searched again then, by those who asked.
#[test]
fn what_was_asked_is_answered_ahead_when_the_same_snapshot_is_announced_anew() {
    let shop = Shop::new();
    let alpha = shop.publish("alpha", 30);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    let path = "/v1/search?q=lamp&facets=*&per_page=1";
    assert_eq!(edge.get(path).status, 200);
    let sequence = shop.announce(&alpha.id);
    edge.wait_for_sequence(sequence);
    let misses = || edge.metric("vitrine_edge_result_cache_lookups_total{result=\"miss\"}");
    let before = misses();
    assert_eq!(edge.get(path).json()["snapshot"]["sequence"], sequence);
    assert_eq!(misses(), before, "it was not searched anew");
}

/// With other settings nothing was answered ahead, not even what both understand.
#[test]
fn a_swap_to_other_settings_answers_ahead_what_they_take() {
    let shop = Shop::new();
    shop.publish("alpha", 30);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    let (plain, sorted) = ("/v1/search?q=lamp", "/v1/search?q=lamp&sort=price_asc");
    [plain, sorted].iter().for_each(|path| assert_eq!(edge.get(path).status, 200));
    let settings = SETTINGS.replace("price_asc", "cheapest");
    let sequence = shop.announce(&shop.build_with(settings, "alpha", 40).id);
    edge.wait_for_sequence(sequence);
    let misses = || edge.metric("vitrine_edge_result_cache_lookups_total{result=\"miss\"}");
    let before = misses();
    assert_eq!(edge.get(plain).json()["found"], 40);
    assert_eq!(misses(), before, "it was not searched anew");
    assert_eq!(edge.get(sorted).status, 400, "there is no such order any more");
}

/// How often answers were looked for, and found or not.
fn lookups(edge: &EdgeProcess) -> [Option<f64>; 2] {
    ["hit", "miss"]
        .map(|result| edge.metric(&format!("vitrine_edge_result_cache_lookups_total{{result=\"{result}\"}}")))
}

/// They were answered in a form that only those ask who leave out everything, and the page does not.
#[test]
fn recorded_queries_are_answered_as_the_page_asks_before_the_first_snapshot_is_served() {
    let shop = Shop::new();
    let alpha = shop.build_recorded(SETTINGS.to_owned(), "alpha", 30, &[("alpha lamp", 9), ("nothing like it", 1)]);
    shop.announce(&alpha.id);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    let search = |q: &str| {
        let paging = "page=1&per_page=24&sort=relevance&filters=&facets=*&facet_limit=12&highlight=title&distinct=true";
        edge.get(&format!("/v1/search?q={q}&{paging}"))
    };
    let found = search("alpha+lamp").json();
    assert_eq!((&found["found"], &found["snapshot"]["sequence"]), (&Value::from(30), &Value::from(1)));
    assert_eq!(search("nothing+like+it").status, 200);
    assert_eq!(search("").json()["found"], 30, "as the page begins");
    for q in ["a", "alpha+l"] {
        let path = format!("/v1/suggest?q={q}&limit=6&products=3&fields=id%2Ctitle%2Cprice%2Cimages");
        assert_eq!(edge.get(&path).status, 200);
    }
    assert_eq!(lookups(&edge), [Some(5.0), None], "nothing was searched anew");
}

#[test]
fn recorded_queries_are_answered_at_a_restart_as_the_market_was_asked() {
    let shop = Shop::new();
    let build = |products| shop.build_recorded(SETTINGS.to_owned(), "alpha", products, &[("alpha lamp", 9)]);
    shop.announce(&build(30).id);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    for path in ["/v1/search?q=lamp&per_page=5&facets=brand", "/v1/suggest?q=lam&limit=3"] {
        (0..2).for_each(|_| assert_eq!(edge.get(path).status, 200));
    }
    let sequence = shop.announce(&build(40).id);
    edge.wait_for_sequence(sequence);
    wait_until("how it was asked is kept", || shop.cache().join("asked-us.json").exists());
    drop(edge);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(sequence);
    for path in ["/v1/search?q=alpha+lamp&per_page=5&facets=brand", "/v1/suggest?q=alpha+l&limit=3"] {
        assert_eq!(edge.get(path).status, 200);
    }
    assert_eq!(lookups(&edge), [Some(2.0), None], "nothing was searched anew");
}
