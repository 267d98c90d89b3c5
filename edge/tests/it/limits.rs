//! Bounds, draining and bad settings.

use std::process::Command;

use crate::process::{EdgeProcess, wait_until};
use crate::shop::Shop;

/// The head of a request whose body is still to come.
const UNFINISHED: &[u8] = b"POST /v1/search HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{";

/// Work for some milliseconds, which no other number's spares.
fn heavy(number: usize) -> String {
    let search = |place: usize| {
        let (limit, per_page) = (number + 1, 51 + place);
        format!(r#"{{"q": "l", "facets": "*", "facet_limit": {limit}, "per_page": {per_page}, "fields": "*"}}"#)
    };
    let searches: Vec<String> = (0..50).map(search).collect();
    format!("{{\"searches\": [{}]}}", searches.join(","))
}

#[test]
fn more_requests_than_allowed_are_turned_away_at_once() {
    let shop = Shop::new();
    shop.publish("alpha", 2_000);
    // Whether answers are kept or not.
    for cache_mib in ["0", "64"] {
        let flags = ["--max-in-flight", "3", "--result-cache-mib", cache_mib];
        let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &flags);
        edge.wait_for_sequence(1);
        turns_away_what_is_too_much(&edge);
    }
}

fn turns_away_what_is_too_much(edge: &EdgeProcess) {
    let clients: Vec<_> = (0..32)
        .map(|client| {
            let mut connection = edge.connect();
            std::thread::spawn(move || {
                let numbers = 4 * client..4 * client + 4;
                numbers.map(|number| connection.post("/v1/multi-search", &heavy(number))).collect::<Vec<_>>()
            })
        })
        .collect();
    assert_eq!(edge.get("/healthz").status, 200, "probes are always answered");
    let answers: Vec<_> = clients.into_iter().flat_map(|client| client.join().expect("answers")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty() && refused.len() < answers.len(), "{} of {} refused", refused.len(), answers.len());
    for answer in refused {
        assert_eq!(answer.header("retry-after"), "1");
        assert!(answer.text().contains("overloaded"), "{}", answer.text());
    }
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 503)));
    assert_eq!(edge.get("/v1/search").status, 200);
    assert_eq!(edge.metric("vitrine_edge_requests_in_flight"), Some(0.0));
}

#[test]
fn clients_that_dawdle_with_their_bodies_keep_no_one_out() {
    let shop = Shop::new();
    shop.publish("alpha", 5);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &["--max-in-flight", "1"]);
    edge.wait_for_sequence(1);
    let mut slow: Vec<_> = (0..20).map(|_| edge.connect()).collect();
    slow.iter_mut().for_each(|connection| connection.write(UNFINISHED).expect("half a request"));
    assert_eq!(edge.get("/v1/search").status, 200);
    for mut connection in slow {
        connection.write(b"}").expect("the rest");
        assert_eq!(connection.read(false).expect("an answer").status, 200);
    }
}

#[test]
fn a_client_that_asks_and_never_reads_is_held_back() {
    let shop = Shop::new();
    shop.publish("alpha", 300);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    let mut stream = std::net::TcpStream::connect(edge.public).expect("a connection");
    stream.set_write_timeout(Some(std::time::Duration::from_secs(2))).expect("a timeout");
    let request = b"GET /v1/search?per_page=100&fields=* HTTP/1.1\r\nhost: test\r\n\r\n".repeat(100);
    // Answers to all of these would be gigabytes.
    let held_back = (0..2_000).any(|_| std::io::Write::write_all(&mut stream, &request).is_err());
    assert!(held_back, "nothing kept the client from asking on");
    let status = std::fs::read_to_string(format!("/proc/{}/status", edge.id())).expect("the process's memory");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let resident_kb: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(resident_kb < 300_000, "{resident_kb} kB are held for one client");
}

/// Each connection had a bound, and all together none.
#[test]
fn what_many_leave_unread_has_a_bound() {
    let shop = Shop::new();
    // Names so long that no answer fits into what the system keeps of a connection.
    shop.publish(&"alpha ".repeat(100), 200);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &["--max-unread-mib", "32"]);
    edge.wait_for_sequence(1);
    let searches = [r#"{"per_page": 100, "fields": "*"}"#; 50].join(",");
    let large = format!("{{\"searches\": [{searches}]}}");
    let whole = edge.connect().post("/v1/multi-search", &large);
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(whole.body.len() > 6 << 20, "{} bytes", whole.body.len());
    let head = format!("POST /v1/multi-search HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", large.len());
    let mut silent: Vec<_> = (0..40).map(|_| edge.connect()).collect();
    silent.iter_mut().for_each(|client| client.write(format!("{head}{large}").as_bytes()).expect("a request"));
    let answered = |status: u16| {
        let name = format!("vitrine_edge_requests_total{{route=\"multi-search\",status=\"{status}\"}}");
        edge.metric(&name).unwrap_or(0.0)
    };
    wait_until("all are answered", || answered(200) + answered(503) == 41.0);
    let unread = || edge.metric("vitrine_edge_unread_bytes").expect("a gauge");
    assert!(answered(503) > 0.0 && unread() <= f64::from(32 << 20), "{} refused", answered(503));
    assert_eq!(edge.get("/v1/search").status, 200, "others are answered");
    drop(silent);
    wait_until("nothing is held any more", || unread() == 0.0);
    assert_eq!(edge.connect().post("/v1/multi-search", &large).status, 200);
}

/// Who had said something once kept the rest out for two minutes.
#[test]
fn a_full_house_answers_probes() {
    let shop = Shop::new();
    shop.publish("alpha", 5);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &["--max-connections", "2"]);
    edge.wait_for_sequence(1);
    let mut asked = edge.connect();
    assert_eq!(asked.get("/v1/search").status, 200);
    let mut unfinished = edge.connect();
    unfinished.write(b"GET /healthz HT").expect("the start of a head");
    wait_until("the house is full", || edge.metric("vitrine_edge_connections") == Some(2.0));
    assert_eq!(edge.get("/healthz").status, 200, "probes are always answered");
}

/// It once was after two minutes, for which this client does not wait.
#[test]
fn a_client_that_says_nothing_is_cut() {
    let shop = Shop::new();
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    let ended = edge.connect().read(false).expect_err("it is cut");
    assert_eq!(ended.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn requests_that_are_no_http_are_answered() {
    let shop = Shop::new();
    shop.publish("alpha", 5);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    let check = |request: &str, status: u16| {
        let mut connection = edge.connect();
        connection.write(request.as_bytes()).expect("a request");
        assert_eq!(connection.read(false).expect("an answer").status, status, "{request:.60}");
    };
    check("GET /healthz HTTP/1.1 nonsense\r\n\r\n", 400);
    check(&format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "y".repeat(100_000)), 431);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let chunked = "HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n";
    check(&format!("POST /v1/search {chunked}{chunk}{chunk}0\r\n\r\n"), 413);
    check(&format!("POST /healthz {chunked}{chunk}0\r\n\r\n"), 405);
    check(&format!("POST /nothing {chunked}2\r\n{{}}\r\n0\r\n\r\n"), 404);
    check(&format!("POST /v1/search {chunked}2\r\n{{}}\r\n0\r\n\r\n"), 200);
}

#[test]
fn sigterm_drains() {
    let shop = Shop::new();
    shop.publish("alpha", 5);
    let mut edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &["--drain-ms", "1500"]);
    edge.wait_for_sequence(1);
    let mut open = edge.connect();
    open.write(UNFINISHED).expect("half a request");
    edge.signal("TERM");
    wait_until("the balancer is told", || edge.get("/healthz").status == 503);
    assert_eq!(edge.get("/v1/search").status, 200, "answers go on while the balancer takes note");
    open.write(b"}").expect("the rest");
    assert_eq!(open.read(false).expect("an answer").status, 200, "an open request is finished");
    assert!(edge.wait().success());
    assert!(std::net::TcpStream::connect(edge.public).is_err());
}

#[test]
fn nothing_is_served_before_the_first_snapshot() {
    let shop = Shop::new();
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    let health = edge.get("/healthz");
    assert_eq!((health.status, health.json()["status"].as_str()), (503, Some("starting")));
    assert_eq!(edge.get("/v1/search").status, 503);
    assert_eq!(crate::client::Connection::open(edge.admin).get("/readyz").status, 503);
    shop.publish("alpha", 5);
    edge.wait_for_sequence(1);
    assert_eq!(edge.get("/healthz").status, 200);
}

#[test]
fn settings_at_fault_are_told_all_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_edge"))
        .args(["--market", "us=s3://x", "--listen", "nowhere", "--poll-interval-ms", "soon"])
        .output()
        .expect("the edge runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{text}");
    for flag in ["--market", "--listen", "--poll-interval-ms"] {
        assert!(text.contains(flag), "{text}");
    }
    let missing = Command::new(env!("CARGO_BIN_EXE_edge")).output().expect("the edge runs");
    assert_eq!(missing.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("--market"));
}
