//! Bounds, draining and bad settings.

use std::process::Command;

use crate::process::{EdgeProcess, wait_until};
use crate::shop::Shop;

/// The head of a request whose body is still to come: the request is worked on, and waits.
const UNFINISHED: &[u8] = b"POST /v1/search HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{";

#[test]
fn more_requests_than_allowed_are_turned_away_at_once() {
    let shop = Shop::new();
    shop.publish("alpha", 5);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &["--max-in-flight", "2"]);
    edge.wait_for_sequence(1);
    let mut waiting = [edge.connect(), edge.connect()];
    waiting.iter_mut().for_each(|connection| connection.write(UNFINISHED).expect("half a request"));
    wait_until("both are worked on", || edge.metric("vitrine_edge_requests_in_flight") == Some(2.0));
    let refused = edge.get("/v1/search");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert!(refused.text().contains("overloaded"), "{}", refused.text());
    assert_eq!(edge.get("/healthz").status, 200, "probes are always answered");
    for mut connection in waiting {
        connection.write(b"}").expect("the rest");
        assert_eq!(connection.read(false).expect("an answer").status, 200);
    }
    assert_eq!(edge.get("/v1/search").status, 200);
}

#[test]
fn sigterm_drains() {
    let shop = Shop::new();
    shop.publish("alpha", 5);
    let mut edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &["--drain-ms", "1500"]);
    edge.wait_for_sequence(1);
    let mut open = edge.connect();
    open.write(UNFINISHED).expect("half a request");
    wait_until("it is worked on", || edge.metric("vitrine_edge_requests_in_flight") == Some(1.0));
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
