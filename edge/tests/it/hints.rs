//! Announcements are seen without waiting for a poll: through Redis, and by events of the store. Here polls are an hour
//! apart, so whatever is seen was hinted at.

use std::path::Path;

use serde_json::json;
use snapshots::{ChannelName, Hint, Hints};
use test_servers::Redis;

use crate::client::Answer;
use crate::process::{EdgeProcess, wait_until};
use crate::shop::{Shop, wait_for};

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// Nothing listens on port 1.
const NO_REDIS: &str = "redis://127.0.0.1:1";

/// A shop with one announcement, and an edge that serves it and polls no more.
fn serve(flags: &[&str]) -> (Shop, EdgeProcess) {
    let shop = Shop::new();
    shop.publish("alpha", 5);
    let edge = start(&shop, &shop.cache(), flags);
    (shop, edge)
}

fn start(shop: &Shop, cache: &Path, flags: &[&str]) -> EdgeProcess {
    let mut all = vec!["--poll-interval-ms", "3600000"];
    all.extend_from_slice(flags);
    let edge = EdgeProcess::start(cache, &[("us", &shop.url())], &all);
    edge.wait_for_sequence(1);
    edge
}

fn wait_for_redis(edge: &EdgeProcess, is_connected: bool) {
    let wanted = if is_connected { 1.0 } else { 0.0 };
    let told = || edge.metric("vitrine_edge_redis_connected") == Some(wanted);
    wait_until(&format!("Redis is connected: {is_connected}"), told);
}

fn hints_from(edge: &EdgeProcess, source: &str) -> f64 {
    edge.metric(&format!("vitrine_edge_hints_total{{source=\"{source}\"}}")).unwrap_or(0.0)
}

fn announce_next(shop: &Shop, brand: &str) -> u64 {
    let next = shop.build(brand, 6);
    shop.announce(&next.id)
}

fn hint(redis: &Redis, catalogue: Option<&str>, channel: &str) {
    let hints = Hints::new(&redis.url().into()).expect("a URL");
    let channel: ChannelName = channel.parse().expect("a channel");
    let hint = Hint { catalogue: catalogue.map(str::to_owned), channel, sequence: Some(2) };
    wait_for(hints.announce(&hint)).expect("a published hint");
}

/// The event of a blob that was written, in CloudEvents 1.0.
fn blob_created(blob: &str) -> String {
    let subject = format!("/blobServices/default/containers/catalogue/blobs/{blob}");
    json!({
        "specversion": "1.0", "type": "Microsoft.Storage.BlobCreated", "source": "/subscriptions/0/x", "id": "1",
        "time": "2026-05-01T09:10:11Z", "subject": subject, "data": { "api": "PutBlob" },
    })
    .to_string()
}

fn post(edge: &EdgeProcess, query: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let path = format!("/events/blob{query}");
    edge.connect().send("POST", &path, headers, body.as_bytes()).expect("an answer")
}

#[test]
fn a_hint_is_followed_at_once() {
    let redis = Redis::start();
    let (shop, edge) = serve(&["--redis-url", &redis.url()]);
    wait_for_redis(&edge, true);
    // Hints for others are heard, and followed by nobody here.
    hint(&redis, None, "canary");
    hint(&redis, Some("another"), "live");
    wait_until("both are heard", || hints_from(&edge, "redis") == 2.0);
    let sequence = announce_next(&shop, "beta");
    hint(&redis, Some("tests"), "live");
    edge.wait_for_sequence(sequence);
    assert_eq!(edge.get("/v1/search?q=lamp").json()["hits"][0]["brand"], "beta");
    // A flood is followed as well.
    let sequence = announce_next(&shop, "gamma");
    (0..50).for_each(|_| hint(&redis, None, "live"));
    edge.wait_for_sequence(sequence);
}

#[test]
fn an_event_reaches_every_node() {
    let redis = Redis::start();
    let url = redis.url();
    let (shop, called) = serve(&["--redis-url", &url, "--event-key", KEY]);
    let other = start(&shop, &shop.folder.path().join("other"), &["--redis-url", &url]);
    wait_for_redis(&called, true);
    wait_for_redis(&other, true);
    let sequence = announce_next(&shop, "beta");
    let answer = post(&called, &format!("?key={KEY}"), &[], &blob_created("us/channels/live.json"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    called.wait_for_sequence(sequence);
    other.wait_for_sequence(sequence);
    assert_eq!(hints_from(&called, "event"), 1.0);
    wait_until("the other node heard it", || hints_from(&other, "redis") == 1.0);
    assert_eq!(post(&called, &format!("?key={KEY}"), &[], &blob_created("us/objects/ab12")).status, 200);
    assert_eq!(hints_from(&called, "event"), 1.0, "an object is no pointer");
}

#[test]
fn an_event_is_followed_without_redis() {
    let (shop, edge) = serve(&["--event-key", KEY]);
    let sequence = announce_next(&shop, "beta");
    let body = format!("[{}]", blob_created("channels/live.json"));
    assert_eq!(post(&edge, "", &[("aeg-sas-key", KEY)], &body).status, 200);
    edge.wait_for_sequence(sequence);
}

#[test]
fn an_event_that_is_not_passed_on_is_to_come_again() {
    let (shop, edge) = serve(&["--event-key", KEY, "--redis-url", NO_REDIS]);
    let sequence = announce_next(&shop, "beta");
    let answer = post(&edge, &format!("?key={KEY}"), &[], &blob_created("channels/live.json"));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("not_passed_on")));
    assert_eq!(answer.header("retry-after"), "1");
    edge.wait_for_sequence(sequence);
}

#[test]
fn the_handshakes_of_both_schemas_are_answered() {
    let (_shop, edge) = serve(&["--event-key", KEY]);
    let query = format!("?key={KEY}");
    let body = json!([{
        "id": "1", "topic": "/subscriptions/0", "subject": "", "eventTime": "2026-05-01T09:10:11Z", "dataVersion": "1",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": { "validationCode": "512d38b6", "validationUrl": "https://eventgrid.example/validate" },
    }]);
    let answer = post(&edge, &query, &[("aeg-event-type", "SubscriptionValidation")], &body.to_string());
    assert_eq!((answer.status, answer.json()), (200, json!({ "validationResponse": "512d38b6" })));
    let options = |query: &str| {
        let headers = [("webhook-request-origin", "eventgrid.azure.net"), ("webhook-request-rate", "1000")];
        edge.connect().send("OPTIONS", &format!("/events/blob{query}"), &headers, b"").expect("an answer")
    };
    let answer = options(&query);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("webhook-allowed-origin"), "eventgrid.azure.net");
    assert_eq!(answer.header("webhook-allowed-rate"), "120");
    assert_eq!(options("").status, 401);
}

#[test]
fn events_need_the_key() {
    let (_shop, edge) = serve(&["--event-key", KEY]);
    let body = blob_created("channels/live.json");
    let check = |query: &str, headers: &[(&str, &str)], status: u16| {
        assert_eq!(post(&edge, query, headers, &body).status, status, "{query} {headers:?}");
    };
    let bearer = format!("Bearer {KEY}");
    check("", &[("authorization", &bearer)], 200);
    check("", &[], 401);
    check("?key=", &[], 401);
    check("?key=0123456789abcdef0123456789abcdee", &[], 401);
    check("", &[("aeg-sas-key", "0123456789abcdef")], 401);
    check("", &[("authorization", KEY)], 401);
    assert_eq!(post(&edge, &format!("?key={KEY}"), &[], "no event").status, 400);
    assert_eq!(edge.get("/events/blob").status, 405);
    assert!(!edge.log_has(KEY), "the key stays out of the log");
    let (_shop, off) = serve(&[]);
    assert_eq!(post(&off, &format!("?key={KEY}"), &[], &body).status, 404, "off without a key");
}

#[test]
fn redis_goes_and_comes_back() {
    let mut redis = Redis::start();
    let (shop, edge) = serve(&["--redis-url", &redis.url()]);
    wait_for_redis(&edge, true);
    redis.kill();
    wait_for_redis(&edge, false);
    wait_until("it is told", || edge.log_has("Redis is away"));
    let answer = edge.get("/v1/search?q=lamp");
    assert_eq!((answer.status, answer.json()["hits"][0]["brand"].as_str()), (200, Some("alpha")));
    assert_eq!(edge.get("/healthz").status, 200);
    assert_eq!(crate::client::Connection::open(edge.admin).get("/readyz").status, 200);
    assert_eq!(edge.metric("vitrine_edge_market_faulty"), Some(0.0), "the market follows by polling");
    let sequence = announce_next(&shop, "beta");
    redis.restart();
    wait_for_redis(&edge, true);
    // Nobody hinted: whoever comes back asks what was announced meanwhile.
    edge.wait_for_sequence(sequence);
}
