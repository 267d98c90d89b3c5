//! What `make bench-peer` asks of peers: of a PostgreSQL, and of servers that answer as Meilisearch and Typesense do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::stages::Stages;
use serde_json::{Value, json};
use test_servers::{Postgres, processes};

use crate::peer::drive::{Drive, drive, find_nothing};
use crate::peer::shop::{Set, Shop as Asked};
use crate::peer::{Kind, Target, edge_target};
use crate::process::EdgeProcess;
use crate::queries;
use crate::shop::{Shop, wait_for};

const KEY: &str = "right-key";
/// A letter of it may be wrong: PostgreSQL's trigrams find it all the same.
const BRAND: &str = "Fenwicke";
const PRODUCTS: usize = 10;

/// A server that answers as it is told to, in pieces and with a header that says nothing.
struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

#[derive(Clone)]
struct Request {
    /// Method and path.
    line: String,
    headers: String,
    body: String,
}

impl Fake {
    fn start(answer: impl Fn(&Request) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (answer, asked) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let heard = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, heard) = (answer.clone(), heard.clone());
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read(&mut stream) {
                        heard.lock().expect("the requests").push(request.clone());
                        let (status, body) = answer(&request);
                        let head = format!("HTTP/1.1 {status} Told\r\nvary:\r\ntransfer-encoding: chunked\r\n\r\n");
                        let body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                        stream.get_mut().write_all((head + &body).as_bytes()).expect("the client listens");
                    }
                });
            }
        });
        Self { url, asked }
    }

    fn requests(&self) -> Vec<Request> {
        self.asked.lock().expect("the requests").clone()
    }

    /// Methods and paths of what was asked, but for what waits.
    fn lines(&self) -> Vec<String> {
        let lines = self.requests().into_iter().map(|request| request.line);
        lines.filter(|line| !line.starts_with("GET /tasks/")).collect()
    }

    /// The body of the first request with such a line.
    fn body_of(&self, line: &str) -> String {
        self.requests().into_iter().find(|request| request.line == line).expect("the request").body
    }
}

/// None when the client has left.
fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().ok()?;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let (first, headers) = head.split_once("\r\n")?;
    let line = first.strip_suffix(" HTTP/1.1")?.to_owned();
    Some(Request { line, headers: headers.to_owned(), body: String::from_utf8(body).ok()? })
}

/// A store with products of a brand, and what peers get of it.
fn shop(brand: &str) -> (Shop, Asked) {
    let published = Shop::new();
    published.publish(brand, PRODUCTS);
    let cache = tempfile::tempdir().expect("a temporary folder");
    let stages = wait_for(Stages::open(&published.store, cache.path())).expect("an open snapshot");
    let asked = Asked::read(&stages).expect("products");
    (published, asked)
}

/// How many products the first question of each set finds.
fn counts(target: &dyn Target, shop: &Asked) -> [u64; 4] {
    let mut session = target.connect().expect("a connection");
    Set::ALL.map(|set| session.count(&shop.questions(set)[0]).expect("a count"))
}

/// As Meilisearch does it: what is wanted is done by the second look.
fn meilisearch() -> Fake {
    let looks = AtomicUsize::new(0);
    Fake::start(move |request| {
        if !request.headers.contains(&format!("authorization: Bearer {KEY}\r\n")) {
            return (
                403,
                json!({ "message": "The provided API key is invalid.", "code": "invalid_api_key" }).to_string(),
            );
        }
        let line = request.line.as_str();
        let (status, answer) = match line {
            "GET /version" => (200, json!({ "pkgVersion": "1.50.0" })),
            "GET /indexes/vitrine_bench" => (200, json!({ "uid": "vitrine_bench" })),
            "GET /tasks/7" if looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                (200, json!({ "status": "processing" }))
            }
            "GET /tasks/7" => (200, json!({ "status": "succeeded" })),
            "GET /tasks/8" => {
                let error = json!({ "message": "the disk is full" });
                (200, json!({ "status": "failed", "type": "documentAdditionOrUpdate", "error": error }))
            }
            _ if line.contains("/search?") => {
                let found = if line.contains("q=Feniwcke") { 0 } else { 3 };
                (200, json!({ "hits": [], "estimatedTotalHits": found }))
            }
            _ if request.body.contains("Refused") => (202, json!({ "taskUid": 8 })),
            _ => (202, json!({ "taskUid": 7 })),
        };
        (status, answer.to_string())
    })
}

fn typesense() -> Fake {
    Fake::start(|request| {
        if !request.headers.contains(&format!("x-typesense-api-key: {KEY}\r\n")) {
            return (401, json!({ "message": "Forbidden" }).to_string());
        }
        let line = request.line.as_str();
        match line {
            "GET /debug" => (200, json!({ "version": "0.24.1" }).to_string()),
            "DELETE /collections/vitrine_bench" => (404, json!({ "message": "No collection" }).to_string()),
            _ if line.contains("/import?") && request.body.contains("Refused") => {
                (200, json!({ "success": false, "error": "Field `price` must be an int64." }).to_string())
            }
            _ if line.contains("/import?") => {
                let said: Vec<_> = request.body.lines().map(|_| json!({ "success": true }).to_string()).collect();
                (200, said.join("\n"))
            }
            _ => (200, json!({ "found": 3 }).to_string()),
        }
    })
}

#[test]
fn meilisearch_is_loaded_asked_and_tidied() {
    let (fake, (_published, shop)) = (meilisearch(), shop(BRAND));
    let peer = Kind::Meilisearch.open(&fake.url, KEY).expect("it answers");
    assert_eq!(peer.version(), "1.50.0");
    peer.remove().expect("nothing is left");
    peer.load(&shop).expect("it is loaded");
    let expected = [
        "GET /version",
        "GET /indexes/vitrine_bench",
        "DELETE /indexes/vitrine_bench",
        "POST /indexes",
        "PATCH /indexes/vitrine_bench/settings",
        "POST /indexes/vitrine_bench/documents",
    ];
    assert_eq!(fake.lines(), expected);
    let waited = fake.requests().len() - expected.len();
    assert_eq!(waited, 8, "four tasks, each looked at until it was done");
    let settings: Value = serde_json::from_str(&fake.body_of(expected[4])).expect("JSON");
    assert_eq!(settings["filterableAttributes"], json!(["category", "brand", "price"]));
    let documents: Value = serde_json::from_str(&fake.body_of(expected[5])).expect("JSON");
    assert_eq!(documents.as_array().map(Vec::len), Some(PRODUCTS));
    assert_eq!(documents[0]["id"], "0");
    assert_eq!(documents[0]["price"], 1000);
    assert_eq!(documents[0]["attribute_values"], json!(["red", "say \"hi\""]));

    let target = peer.target(&shop);
    assert_eq!(counts(target.as_ref(), &shop), [3, 3, 3, 0]);
    let lines = fake.lines();
    assert!(lines.contains(&"GET /indexes/vitrine_bench/search?limit=20&q=Fenwicke+la".to_owned()), "{lines:?}");
    let filtered = "search?limit=20&q=Fenwicke+lamp&facets=category,brand,price&filter=price+%3C+1005";
    assert!(lines.iter().any(|line| line.ends_with(filtered)), "{lines:?}");
    assert_eq!(find_nothing(target.as_ref(), &shop.questions(Set::Plain)).expect("answers"), 0);
    assert_eq!(find_nothing(target.as_ref(), &shop.questions(Set::Typo)).expect("answers"), PRODUCTS);
}

#[test]
fn typesense_is_loaded_asked_and_tidied() {
    let (fake, (_published, shop)) = (typesense(), shop(BRAND));
    let peer = Kind::Typesense.open(&fake.url, KEY).expect("it answers");
    assert_eq!(peer.version(), "0.24.1");
    peer.remove().expect("what is not there is no fault");
    peer.load(&shop).expect("it is loaded");
    let import = "POST /collections/vitrine_bench/documents/import?action=create";
    assert_eq!(fake.lines(), ["GET /debug", "DELETE /collections/vitrine_bench", "POST /collections", import]);
    let collection: Value = serde_json::from_str(&fake.body_of("POST /collections")).expect("JSON");
    let fields = collection["fields"].as_array().expect("fields");
    let price = json!({ "name": "price", "type": "int64", "facet": true, "optional": true });
    assert!(fields.contains(&price), "{fields:?}");
    assert_eq!(fake.body_of(import).lines().count(), PRODUCTS);

    assert_eq!(counts(peer.target(&shop).as_ref(), &shop), [3; 4]);
    let lines = fake.lines();
    let filtered = "&q=Fenwicke+lamp&facet_by=category,brand,price&max_facet_values=20&filter_by=price%3A%3C1005";
    assert!(lines.iter().any(|line| line.contains("query_by=title,") && line.ends_with(filtered)), "{lines:?}");
}

#[test]
fn postgresql_finds_what_the_edge_finds() {
    let (published, shop) = shop(BRAND);
    let edge = EdgeProcess::start(&published.cache(), &[("us", &published.url())], &[]);
    edge.wait_for_sequence(1);
    let postgres = Postgres::start();
    let url = postgres.database();
    let peer = Kind::Postgres.open(&url, "").expect("it answers");
    assert_eq!(peer.local_port().and_then(processes::listening_on), postgres.process_id());
    peer.remove().expect("what is not there is no fault");
    peer.load(&shop).expect("it is loaded");

    let (ours, theirs) = (edge_target(edge.public, &shop), peer.target(&shop));
    assert_eq!(counts(ours.as_ref(), &shop), [10, 5, 10, 10]);
    assert_eq!(counts(theirs.as_ref(), &shop), [10, 5, 10, 10]);
    let questions = shop.questions(Set::Filtered);
    let hard = Drive { connections: 2, time: Duration::from_millis(50) };
    for (target, process) in [(&ours, Some(edge.id())), (&theirs, postgres.process_id())] {
        let driven = drive(target.as_ref(), process, &questions, hard).expect("answers");
        assert!(driven.requests_per_s > 0.0 && driven.cpu_ms.is_some(), "{driven:?}");
        assert!(driven.p50_ms <= driven.p99_ms, "{driven:?}");
    }

    peer.remove().expect("it is tidied");
    let left = postgres.execute(&url, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'vitrine_bench%'");
    assert_eq!(left, "0");
}

#[test]
fn a_missing_right_is_told() {
    let (_published, shop) = shop(BRAND);
    let postgres = Postgres::start();
    let url = postgres.database();
    postgres.execute(&url, "CREATE ROLE guest LOGIN");
    let peer = Kind::Postgres.open(&url.replace("postgres@", "guest@"), "").expect("it answers");
    let fault = format!("{:#}", peer.load(&shop).expect_err("no right"));
    assert!(fault.starts_with("pg_trgm, ") && fault.contains("permission denied to create extension"), "{fault}");
}

#[test]
fn a_peer_that_cannot_be_measured_is_told() {
    let check = |kind: Kind, url: &str, key: &str, reason: &str| {
        let fault = kind.open(url, key).err().expect("a fault");
        assert!(format!("{fault:#}").contains(reason), "{fault:#}");
    };
    check(Kind::Meilisearch, "http://127.0.0.1:1", "", "nothing answers at http://127.0.0.1:1");
    check(Kind::Meilisearch, "http://127.0.0.1", "", "leads to no http://HOST:PORT");
    check(Kind::Typesense, "https://127.0.0.1:1", "", "TLS is not measured");
    check(
        Kind::Meilisearch,
        &meilisearch().url,
        "",
        "refuses the key: The provided API key is invalid.; give it as MEILI_KEY",
    );
    check(Kind::Typesense, &typesense().url, "wrong", "refuses the key: Forbidden; give it as TYPESENSE_API_KEY");
    check(Kind::Postgres, "postgres://postgres@127.0.0.1:1/x", "", "cannot connect to 127.0.0.1:1");
    check(Kind::Postgres, "http://127.0.0.1:1", "", "does not begin with postgres://");
    let fault = "solr".parse::<Kind>().expect_err("no kind of ours").to_string();
    assert_eq!(fault, "KIND: 'solr' is none of meilisearch, typesense, postgres");
}

#[test]
fn a_product_that_is_refused_is_told() {
    let (_published, shop) = shop("Refused");
    let check = |kind: Kind, fake: &Fake, reason: &str| {
        let peer = kind.open(&fake.url, KEY).expect("it answers");
        let fault = peer.load(&shop).expect_err("it is refused");
        assert!(format!("{fault:#}").contains(reason), "{fault:#}");
    };
    check(Kind::Meilisearch, &meilisearch(), "the disk is full");
    check(Kind::Typesense, &typesense(), "must be an int64");
}

#[test]
fn queries_are_two_neighbours_as_typed() {
    let check = |title: &str, number: usize, expected: Option<&str>| {
        assert_eq!(queries::two_words(title, number).as_deref(), expected, "{title} {number}");
    };
    check("Oak Desk Lamp, black, with Shade", 0, Some("Desk with"));
    check("Oak Desk Lamp, black, with Shade", 1, Some("with Shade"));
    check("Oak Desk Lamp, black, with Shade", 2, Some("Desk with"));
    check("Oak Desk", 7, Some("Desk"));
    check("Öl 5 l", 0, None);
    assert_eq!(queries::unfinished("Desk with"), "Desk wi");
    assert_eq!(queries::with_typo("Leather boots").as_deref(), Some("Letaher boots"));
    assert_eq!(queries::with_typo("Desk").as_deref(), Some("Dsek"));
    assert_eq!(queries::with_typo("boots leather"), None, "the same letter twice");
    assert_eq!(queries::with_typo("1080p screen"), None, "another number");
}
