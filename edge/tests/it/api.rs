//! Every endpoint as a storefront developer meets it.

use edge::stages::Stages;
use serde_json::{Value, json};

use crate::client::Connection;
use crate::process::EdgeProcess;
use crate::shop::{Shop, wait_for};

fn serve(products: usize) -> (Shop, EdgeProcess) {
    let shop = Shop::new();
    shop.publish("alpha", products);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    (shop, edge)
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().expect("hits").iter().map(|hit| hit["id"].as_str().expect("an id")).collect()
}

#[test]
fn a_search_is_answered_whole() {
    let (_shop, edge) = serve(30);
    let path = "/v1/search?q=lamp+1&per_page=2&page=2&fields=id,title,price&facets=brand,price&highlight=title\
                &filters=color:green%20AND%20price%3C10.29&sort=price_asc";
    let answer = edge.get(path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    // Of p1, p10, p13, p16 and p19 the second two by price; p1 is below and p28 above the filter's end.
    assert_eq!(ids(&body), ["p13", "p16"]);
    assert_eq!(
        body["hits"][0],
        json!({
            "id": "p13", "title": "alpha lamp 13", "price": {"amount_minor": 1013, "currency": "USD"},
            "highlight": {"title": "alpha <mark>lamp</mark> <mark>13</mark>"},
        })
    );
    assert_eq!(body["found"], json!(10), "the any-word tier opened, since fewer than 20 have both words");
    assert_eq!((&body["page"], &body["per_page"]), (&json!(2), &json!(2)));
    assert_eq!(body["facets"]["brand"]["values"], json!([{"value": "alpha", "count": 10}]));
    let stats = &body["facets"]["price"]["stats"];
    assert_eq!((&stats["min"], &stats["max"], &stats["count"]), (&json!(10.01), &json!(10.28), &json!(10)));
    assert_eq!(body["query"], json!({"original": "lamp 1", "corrected": null, "dropped": []}));
    assert_eq!(body["snapshot"]["sequence"], 1);
    assert_eq!(answer.header("x-snapshot"), body["snapshot"]["id"].as_str().expect("an id"));
    assert!(answer.header("server-timing").starts_with("edge;dur="));
    assert_eq!(answer.header("cache-control"), "public, max-age=5, s-maxage=5");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let body = r#"{"q": "lamp 1", "per_page": 2, "page": 2, "fields": ["id", "title", "price"], "facets": "brand,price",
                   "highlight": ["title"], "filters": "color:green AND price<10.29", "sort": "price_asc"}"#;
    assert_eq!(edge.connect().post("/v1/search", body).body, answer.body, "GET and POST say the same");
}

#[test]
fn a_hit_shows_what_the_settings_say_and_says_what_it_lacks() {
    let (_shop, edge) = serve(3);
    let answer = edge.get("/v1/search?q=lamp+0+1+nowhere").json();
    assert_eq!(answer["query"]["dropped"], json!(["nowhere"]), "no product has it");
    let hit = answer["hits"][0].clone();
    assert_eq!(
        hit,
        json!({
            "id": "p0", "title": "alpha lamp 0", "brand": "alpha", "category": ["Home", "Lamps"],
            "price": {"amount_minor": 1000, "currency": "USD"}, "availability": "in_stock",
            "attributes": {"color": "red", "note": "say \"hi\""}, "missing": ["1"],
        })
    );
}

#[test]
fn answers_are_cached_by_etag() {
    let (_shop, edge) = serve(3);
    let mut connection = edge.connect();
    let first = connection.get("/v1/search?q=lamp&facets=brand");
    let etag = first.header("etag").to_owned();
    assert!(etag.len() > 10);
    let send = |connection: &mut Connection, path: &str, tag: &str| {
        connection.send("GET", path, &[("if-none-match", tag)], b"").expect("an answer")
    };
    let again = send(&mut connection, "/v1/search?facets=brand&q=lamp", &etag);
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, etag.as_str()));
    assert!(!again.header("x-snapshot").is_empty());
    assert_eq!(send(&mut connection, "/v1/search?q=lamps&facets=brand", &etag).status, 200);
    for path in ["/v1/products/p1", "/v1/products?ids=p1,p2", "/v1/categories"] {
        let etag = connection.get(path).header("etag").to_owned();
        assert_eq!(send(&mut connection, path, &etag).status, 304, "{path}");
    }
    for path in ["/v1/products/none", "/v1/categories/Garden"] {
        assert_eq!(send(&mut connection, path, "*").status, 404, "{path}: what is not there is not unchanged");
    }
    assert_eq!(send(&mut connection, "/v1/search?q=lamps", "*").status, 304, "any answer that there is");
    for path in ["/v1/search?page=0", "/v1/suggest?limit=99"] {
        assert_eq!(send(&mut connection, path, "*").status, 400, "{path}: what is at fault has no answer");
        assert_eq!(connection.get(path).status, 400, "{path}: nor is one kept");
    }
    let headers = [("if-none-match", etag.as_str())];
    let posted =
        connection.send("POST", "/v1/search", &headers, br#"{"q": "lamp", "facets": "brand"}"#).expect("an answer");
    assert_eq!((posted.status, posted.header("etag")), (200, etag.as_str()));
    let head = connection.send("HEAD", "/v1/search?q=lamp&facets=brand", &[], b"").expect("an answer");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), first.body.len().to_string());
}

#[test]
fn products_categories_and_snapshot() {
    let (_shop, edge) = serve(4);
    let product = edge.get("/v1/products/p1").json();
    assert_eq!((&product["title"], &product["popularity"]), (&json!("alpha lamp 1"), &json!(999.999)));
    assert_eq!(edge.get("/v1/products/p1?fields=id").json(), json!({"id": "p1"}));
    assert_eq!(edge.get("/v1/products/none").status, 404);
    let batch = edge.get("/v1/products?ids=p2,none,p1&fields=id").json();
    assert_eq!((&batch["products"], &batch["missing"]), (&json!([{"id": "p2"}, {"id": "p1"}]), &json!(["none"])));
    let tree = edge.get("/v1/categories").json();
    let child = |name: &str| json!({"name": name, "path": format!("Home > {name}"), "count": 2, "children": []});
    let home =
        json!([{"name": "Home", "path": "Home", "count": 4, "children": [child("Lamps"), child("Tables & more")]}]);
    assert_eq!(tree["categories"], home);
    assert_eq!(edge.get("/v1/categories/Home").json()["categories"], json!([child("Lamps"), child("Tables & more")]));
    assert_eq!(edge.get("/v1/categories/Home/Tables%20%26%20more").json()["categories"], json!([]));
    assert_eq!(edge.get("/v1/categories/Garden").status, 404);
    let served = edge.get("/v1/snapshot").json();
    let market = &served["markets"][0];
    assert_eq!(
        (&market["market"], &market["product_count"], &market["sequence"]),
        (&json!("us"), &json!(4), &json!(1))
    );
    assert!(market["age_s"].as_i64().is_some_and(|age| age > 0));
}

/// Otherwise each answer would need a second allocation, to remember how large the buffer is.
#[test]
fn a_product_fills_its_buffer() {
    let shop = Shop::new();
    shop.publish("alpha", 4);
    let stages = wait_for(Stages::open(&shop.store, &shop.cache())).expect("an open snapshot");
    let products: Vec<Vec<u8>> = stages.all_products().collect();
    assert_eq!(products.len(), 4);
    for product in products {
        assert_eq!(product.len(), product.capacity(), "{}", String::from_utf8_lossy(&product));
    }
}

#[test]
fn several_searches_in_one_call() {
    let (_shop, edge) = serve(4);
    let body =
        r#"{"searches": [{"q": "lamp 2", "fields": "id"}, {"filters": "color:red", "fields": "id", "per_page": 1}]}"#;
    let answer = edge.connect().post("/v1/multi-search", body);
    let results = answer.json()["results"].clone();
    assert_eq!(answer.header("x-snapshot"), results[0]["snapshot"]["id"]);
    assert!(!answer.header("etag").is_empty() && !answer.header("server-timing").is_empty());
    assert_eq!(results[0]["hits"][0]["id"], "p2");
    assert_eq!((&results[1]["found"], results[1]["hits"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert_eq!(results[0]["snapshot"], results[1]["snapshot"]);
    let faulty = edge.connect().post("/v1/multi-search", r#"{"searches": [{}, {"filters": "brand"}]}"#);
    assert_eq!((faulty.status, &faulty.json()["parameter"]), (400, &json!("searches[1].filters")));
}

#[test]
fn several_markets_at_once() {
    let (us, eu) = (Shop::new(), Shop::new());
    us.publish("alpha", 3);
    eu.publish("beta", 5);
    let edge = EdgeProcess::start(&us.cache(), &[("us", &us.url()), ("eu", &eu.url())], &[]);
    crate::process::wait_until("both are served", || {
        edge.health()["markets"].as_array().expect("markets").iter().all(|market| market["sequence"] == 1)
    });
    assert_eq!(edge.get("/v1/search").json()["found"], 3);
    assert_eq!(edge.get("/v1/search?market=eu").json()["found"], 5);
    assert_eq!(edge.get("/v1/products/p0?market=eu").json()["brand"], "beta");
    let unknown = edge.get("/v1/search?market=jp");
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("market: is none of us, eu"), "{}", unknown.text());
    let body = r#"{"searches": [{"market": "us"}, {"market": "eu"}]}"#;
    let results = edge.connect().post("/v1/multi-search", body).json()["results"].clone();
    assert_eq!((&results[0]["found"], &results[1]["found"]), (&json!(3), &json!(5)));
}

#[test]
fn errors_are_problem_documents() {
    let (_shop, edge) = serve(3);
    let answer = edge.get("/v1/search?filters=brand:a%20AND%20(price%3Cx)");
    assert_eq!((answer.status, answer.header("content-type")), (400, "application/problem+json"));
    let problem = answer.json();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(400), &json!("invalid_parameter")));
    assert_eq!((&problem["parameter"], &problem["position"]), (&json!("filters"), &json!(19)));
    let check = |path: &str, status: u16, text: &str| {
        let answer = edge.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().contains(text), "{path}: {}", answer.text());
    };
    check("/v1/search?querry=x", 400, "querry: is no parameter");
    check("/v1/search?page=0", 400, "page: starts at 1");
    check("/v1/search?per_page=101", 400, "above 100");
    check("/v1/search?facets=nope", 400, "'nope' is none of brand, category, price, color");
    check("/v1/products", 400, "ids: is missing");
    check("/v1/snapshot?market=jp", 400, "market: is none of us");
    check("/v1/search?q=a&q=b", 400, "q: stands twice");
    check("/v1/nothing", 404, "no such path");
    check("/metrics", 404, "no such path");
    let mut connection = edge.connect();
    let wrong = connection.send("DELETE", "/v1/search", &[], b"").expect("an answer");
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD, POST, OPTIONS"));
    let mixed = edge.connect().post("/v1/search?market=us", "{}");
    assert_eq!(mixed.status, 400, "a query string that would be passed over");
    let large = edge.connect().post("/v1/search", &format!("{{\"q\": \"{}\"}}", "x".repeat(70_000)));
    assert_eq!(large.status, 413);
    let preflight =
        connection.send("OPTIONS", "/v1/search", &[("origin", "https://shop.example")], b"").expect("an answer");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-methods"), "GET, HEAD, POST, OPTIONS");
}

#[test]
fn the_admin_port_and_the_page() {
    let (_shop, edge) = serve(3);
    let mut admin = Connection::open(edge.admin);
    assert_eq!((admin.get("/livez").status, admin.get("/readyz").status), (200, 200));
    edge.get("/v1/search?q=lamp");
    let metrics = admin.get("/metrics").text();
    assert!(metrics.contains("vitrine_edge_requests_total{route=\"search\",status=\"200\"}"), "{metrics}");
    assert!(metrics.contains("vitrine_edge_snapshot_products{market=\"us\"} 3"), "{metrics}");
    let health = edge.health();
    assert_eq!((&health["status"], &health["markets"][0]["fault"]), (&json!("ok"), &Value::Null));
    let page = edge.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    for file in page.text().split('"').filter(|part| part.starts_with("/storefront/")) {
        assert_eq!(edge.get(file).status, 200, "{file}");
    }
    crate::process::wait_until("the request is in the log", || {
        edge.log.lock().expect("the log").iter().any(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON lines");
            line["http.path"] == "/v1/search" && line["http.status"] == 200
        })
    });
    assert!(
        !edge.log.lock().expect("the log").iter().any(|line| line.contains("q=lamp")),
        "queries stay out of the log"
    );
}

#[test]
fn what_was_answered_is_answered_again() {
    let (_shop, edge) = serve(30);
    let mut admin = Connection::open(edge.admin);
    let lookups = |admin: &mut Connection, result: &str| {
        let text = admin.get("/metrics").text();
        let line = format!("vitrine_edge_result_cache_lookups_total{{result=\"{result}\"}} ");
        text.lines().find_map(|known| known.strip_prefix(&line)).map_or(0, |count| count.parse().expect("a count"))
    };
    let paths = ["/v1/search?q=lamp&facets=*", "/v1/suggest?q=la", "/v1/products/p1/similar"];
    for path in paths.into_iter().chain(["/v1/categories", "/v1/categories/Home"]) {
        let before = (lookups(&mut admin, "hit"), lookups(&mut admin, "miss"));
        let (first, second) = (edge.get(path), edge.get(path));
        assert_eq!((first.status, second.status), (200, 200), "{path}");
        assert_eq!((first.body, first.headers.len()), (second.body, second.headers.len()), "{path}");
        let after = (lookups(&mut admin, "hit"), lookups(&mut admin, "miss"));
        assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1), "{path}");
    }
    // The same request in other words.
    let before = lookups(&mut admin, "hit");
    edge.get("/v1/search?facets=*&page=1&q=lamp");
    assert_eq!(lookups(&mut admin, "hit"), before + 1);
    assert_eq!(edge.get("/v1/search?facets=color,brand").status, 200);
    edge.get("/v1/search?facets=brand,color&market=us");
    assert_eq!(lookups(&mut admin, "hit"), before + 2);
    let same = edge.get("/v1/suggest?q=la&limit=8&products=4");
    assert_eq!(lookups(&mut admin, "hit"), before + 3, "as many as without saying");
    assert_eq!(same.header("etag"), edge.get("/v1/suggest?q=la").header("etag"));
    let before = before + 2;
    // One of several.
    let body = r#"{"searches": [{"q": "lamp", "facets": "*"}, {"q": "lamp", "per_page": 1}]}"#;
    let several = edge.connect().post("/v1/multi-search", body).json()["results"].clone();
    assert_eq!(lookups(&mut admin, "hit"), before + 3);
    assert_eq!(several[0], edge.get("/v1/search?q=lamp&facets=*").json());
    assert_eq!(several[1], edge.get("/v1/search?q=lamp&per_page=1").json());
    assert_eq!(lookups(&mut admin, "hit"), before + 5);
    // Spaces are repeated in the answer.
    assert_eq!(edge.get("/v1/search?q=lamp+&facets=*").json()["query"]["original"], "lamp ");
}

#[test]
fn suggestions_and_similar_products() {
    let (_shop, edge) = serve(30);
    let body = edge.get("/v1/suggest?q=la&products=2&fields=id").json();
    let texts: Vec<&str> =
        body["suggestions"].as_array().expect("a list").iter().filter_map(|one| one["text"].as_str()).collect();
    assert!(texts.contains(&"lamps"), "{body}");
    let first = &body["suggestions"][0];
    assert_eq!(first["highlight"], "<mark>lamps</mark>");
    assert_eq!(first["scopes"], json!([{"category": "Home", "count": 30}]));
    assert_eq!(body["products"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["query"], json!({"original": "la", "corrected": null}));
    let body = edge.get("/v1/products/p3/similar?limit=3&fields=id,category").json();
    let ids: Vec<&str> =
        body["products"].as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect();
    assert!(ids.len() == 3 && !ids.contains(&"p3"), "{body}");
    assert_eq!(body["products"][0]["category"], json!(["Home", "Tables & more"]), "one of its category");
    assert_eq!(edge.get("/v1/products/none/similar").status, 404);
    for (path, parameter) in [
        ("/v1/suggest?limit=99", "limit"),
        ("/v1/suggest?size=1", "size"),
        ("/v1/products/p3/similar?limit=99", "limit"),
        ("/v1/search?distinct=yes", "distinct"),
    ] {
        let answer = edge.get(path);
        assert_eq!((answer.status, answer.json()["parameter"].as_str()), (400, Some(parameter)), "{path}");
    }
}

/// Rules changed which products were suggested, and nothing said so.
#[test]
fn suggestions_name_the_rules_that_applied() {
    let shop = Shop::new();
    let rules = r#"
        [[rules]]
        name = "light"
        when = { query_is = "lamps" }
        then = { pin = [{ id = "p7", position = 1 }], redirect = "/light", user_data = { banner = "Light!" } }
    "#;
    shop.announce(&shop.build_ruled(rules, "alpha", 30).id);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    // The products of the second one are those of the first.
    for fields in ["id", "id,title"] {
        let body = edge.get(&format!("/v1/suggest?q=la&products=2&fields={fields}")).json();
        assert_eq!((&body["searched"], &body["products"][0]["id"]), (&json!("lamps"), &json!("p7")), "{body}");
        assert_eq!(body["rules"], json!(["light"]));
        assert_eq!(body["redirect"], "/light");
        assert_eq!(body["user_data"], json!([{"banner": "Light!"}]));
    }
    let others = edge.get("/v1/suggest?q=alp").json();
    assert!(others["suggestions"][0].is_object() && others["rules"].is_null(), "{others}");
}

#[test]
fn misspelled_queries_and_explanations() {
    let (_shop, edge) = serve(30);
    let body = edge.get("/v1/search?q=alpah+lamp&per_page=1&explain=true&fields=id").json();
    assert_eq!(body["query"], json!({"original": "alpah lamp", "corrected": "alpha lamp", "dropped": []}));
    let explained = body["hits"][0]["explain"].as_object().expect("an explanation");
    let total = explained["score"].as_f64().expect("a number");
    let parts: f64 = explained.iter().filter(|(name, _)| *name != "score").filter_map(|(_, part)| part.as_f64()).sum();
    assert!((total - parts).abs() < 1e-4, "{explained:?}");
    assert_eq!(explained["level"], json!({"missing": 0, "weak": 0, "corrected": true}));
}
