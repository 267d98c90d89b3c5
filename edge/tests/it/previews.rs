//! Snapshots that are not live, as a merchandiser looks at them.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use snapshots::Manifest;

use crate::client::Answer;
use crate::process::{EdgeProcess, wait_until};
use crate::shop::{SETTINGS, Shop};

const KEY: &str = "correct-horse-battery";

/// An edge with a key, which serves the first market's first announcement.
fn serve(shop: &Shop, flags: &[&str]) -> EdgeProcess {
    let file = shop.folder.path().join("preview-key");
    fs::write(&file, format!("{KEY}\n")).expect("a key");
    let key_flags = ["--preview-key-file", file.to_str().expect("a plain path")];
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[&key_flags[..], flags].concat());
    edge.wait_for_sequence(1);
    edge
}

fn ask(edge: &EdgeProcess, path: &str, id: impl Display, key: &str) -> Answer {
    let joint = if path.contains('?') { '&' } else { '?' };
    let headers = [("x-preview-key", key), ("if-none-match", "*")];
    edge.connect().send("GET", &format!("{path}{joint}snapshot={id}"), &headers, b"").expect("an answer")
}

fn preview(edge: &EdgeProcess, path: &str, manifest: &Manifest) -> Answer {
    let answer = ask(edge, path, &manifest.id, KEY);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

fn still_serves_alpha(edge: &EdgeProcess) {
    let live = edge.get("/v1/search?q=lamp&per_page=1");
    assert_eq!((live.status, live.header("cache-control")), (200, "public, max-age=5, s-maxage=5"));
    let body = live.json();
    assert_eq!((&body["hits"][0]["brand"], &body["snapshot"]["sequence"]), (&json!("alpha"), &json!(1)));
}

#[test]
fn every_endpoint_answers_from_the_snapshot() {
    let shop = Shop::new();
    let (alpha, beta) = (shop.publish("alpha", 30), shop.build("beta", 40));
    let edge = serve(&shop, &[]);
    let id = beta.id.to_string();
    let told = json!({"id": id, "sequence": 0});
    for (path, count) in [
        ("/v1/search?q=lamp&facets=*", "/found"),
        ("/v1/categories", "/categories/0/count"),
        ("/v1/suggest?q=la&fields=id", "/suggestions/0/scopes/0/count"),
    ] {
        let answer = preview(&edge, path, &beta);
        let body = answer.json();
        assert_eq!((body.pointer(count), &body["snapshot"]), (Some(&json!(40)), &told), "{path}");
        assert_eq!((answer.header("x-snapshot"), answer.header("etag")), (id.as_str(), ""), "{path}");
        assert_eq!(answer.header("cache-control"), "private, no-store", "{path}");
    }
    assert_eq!(preview(&edge, "/v1/products/p35", &beta).json()["title"], "beta lamp 35");
    assert_eq!(edge.get("/v1/products/p35").status, 404, "it is not live");
    assert_eq!(preview(&edge, "/v1/products?ids=p35&fields=id", &beta).json()["products"], json!([{"id": "p35"}]));
    assert_eq!(preview(&edge, "/v1/products/p35/similar", &beta).header("x-snapshot"), id);
    let served = preview(&edge, "/v1/snapshot", &beta).json();
    assert_eq!((&served["markets"][0]["id"], &served["markets"][0]["product_count"]), (&json!(id), &json!(40)));

    let linked = edge.get(&format!("/v1/search?q=lamp&snapshot={id}&preview_key={KEY}"));
    assert_eq!(linked.json()["found"], 40, "a link that is passed on");
    let body = json!({"q": "lamp", "snapshot": id, "preview_key": KEY});
    assert_eq!(edge.connect().post("/v1/search", &body.to_string()).json()["found"], 40);
    let several = json!({"searches": [{"q": "lamp"}, body]}).to_string();
    let both = edge.connect().post("/v1/multi-search", &several);
    assert_eq!(both.header("x-snapshot"), format!("{},{id}", alpha.id));
    assert_eq!((both.header("cache-control"), both.header("etag")), ("private, no-store", ""));
    let results = both.json()["results"].clone();
    assert_eq!((&results[0]["found"], &results[1]["found"]), (&json!(30), &json!(40)));

    still_serves_alpha(&edge);
    assert_eq!(edge.metric("vitrine_edge_previews"), Some(1.0));
    assert_eq!(edge.metric("vitrine_edge_preview_bytes"), Some(beta.size_bytes() as f64));
    wait_until("requests are logged", || edge.log_has("/v1/multi-search"));
    assert!(edge.log_has("a preview is open") && !edge.log_has(KEY), "keys stay out of the log");
}

#[test]
fn who_may_not_look_is_turned_away() {
    let shop = Shop::new();
    let (alpha, beta) = (shop.publish("alpha", 5), shop.build("beta", 5));
    let other = shop.build_with(SETTINGS.replace("\"tests\"", "\"others\""), "gamma", 5);
    let edge = serve(&shop, &[]);
    let check = |answer: Answer, status: u16, text: &str| {
        assert_eq!(answer.status, status, "{text}: {}", answer.text());
        assert!(answer.text().contains(text), "{text}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
    };
    check(edge.get(&format!("/v1/search?snapshot={}", beta.id)), 403, "preview_key_refused");
    check(edge.get(&format!("/v1/categories?snapshot={}&preview_key=", beta.id)), 403, "preview_key_refused");
    check(edge.get(&format!("/v1/snapshot?snapshot={}", alpha.id)), 403, "preview_key_refused");
    check(ask(&edge, "/v1/search", &beta.id, "correct-horse-batterx"), 403, "preview_key_refused");
    check(ask(&edge, "/v1/search", "20260102T030405000Z-000000000000", KEY), 404, "there is no snapshot");
    check(ask(&edge, "/v1/search", "..%2Fchannels%2Flive", KEY), 400, "snapshot: is no id");
    check(ask(&edge, "/v1/search", &other.id, KEY), 400, "one of catalogue 'others', and the market serves 'tests'");
    let searches = vec![json!({"snapshot": beta.id}); 2];
    let body = json!({ "searches": searches }).to_string();
    check(edge.connect().post("/v1/multi-search", &body), 403, "searches[0]: a preview needs the key");
    assert_eq!(edge.metric("vitrine_edge_previews"), Some(0.0));
    let live = ask(&edge, "/v1/search?q=lamp", &alpha.id, KEY);
    assert_eq!(live.status, 304, "what is live is answered as it is without a preview");
    drop(edge);
    let without = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    without.wait_for_sequence(1);
    check(ask(&without, "/v1/search", &beta.id, KEY), 403, "previews_off");
    still_serves_alpha(&without);
}

#[test]
fn many_who_ask_at_once_wait_for_one_opening() {
    let shop = Shop::new();
    shop.publish("alpha", 5);
    let beta = shop.build("beta", 2_000);
    let edge = serve(&shop, &[]);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(preview(&edge, "/v1/search", &beta).json()["found"], 2_000));
        }
    });
    assert_eq!(edge.metric("vitrine_edge_previews"), Some(1.0));
    let opened = || edge.log.lock().expect("the log").iter().filter(|line| line.contains("a preview is open")).count();
    wait_until("the opening is logged", || opened() > 0);
    assert_eq!(opened(), 1);
}

#[test]
fn previews_take_no_more_memory_than_they_may() {
    let shop = Shop::new();
    let alpha = shop.publish("alpha", 5);
    let (beta, gamma) = (shop.build("beta", 5_000), shop.build("gamma", 5_000));
    let mib = beta.size_bytes().max(gamma.size_bytes()).div_ceil(1 << 20);
    assert!(mib > 1, "5,000 products take {} bytes", beta.size_bytes());
    {
        let edge = serve(&shop, &["--preview-memory-mib", &mib.to_string()]);
        for manifest in [&beta, &gamma, &beta] {
            assert_eq!(preview(&edge, "/v1/search", manifest).json()["found"], 5_000);
            assert_eq!(edge.metric("vitrine_edge_previews"), Some(1.0), "there is room for one");
        }
        let segments = [&alpha, &beta].map(|manifest| manifest.segments[0].segment.to_string());
        wait_until("what made room is unmapped", || edge.mapped_objects() == segments.clone().into());
        let gone = shop.cache().join("objects").join(gamma.segments[0].segment.to_string());
        assert!(!gone.exists(), "it takes no room on the disk either");
        still_serves_alpha(&edge);
    }
    let edge = serve(&shop, &["--preview-memory-mib", &(mib - 1).to_string()]);
    let refused = ask(&edge, "/v1/search", &beta.id, KEY);
    assert_eq!((refused.status, &refused.json()["code"]), (422, &json!("preview_too_large")));
    let reason = format!("previews may take {} MiB together", mib - 1);
    assert!(refused.text().contains(&reason), "{}", refused.text());
    still_serves_alpha(&edge);
}

#[test]
fn a_damaged_snapshot_is_no_preview_and_harms_nobody() {
    let shop = Shop::new();
    shop.publish("alpha", 50);
    let beta = shop.build("beta", 60);
    let edge = serve(&shop, &[]);
    let path = shop.segment_path(&beta);
    let whole = fs::read(&path).expect("the segment");
    let mut damaged = whole.clone();
    damaged[whole.len() / 3] ^= 4;
    fs::write(&path, damaged).expect("damage");
    let answer = ask(&edge, "/v1/search", &beta.id, KEY);
    assert_eq!((answer.status, answer.header("retry-after")), (503, "30"), "{}", answer.text());
    assert!(answer.text().contains("preview_failed") && !answer.text().contains("digest"), "{}", answer.text());
    wait_until("the cause is logged", || edge.log_has("its bytes have the digest"));
    still_serves_alpha(&edge);
    assert_eq!(edge.get("/healthz").json()["markets"][0]["fault"], json!(null));
    fs::write(&path, whole).expect("mended");
    assert_eq!(preview(&edge, "/v1/search?q=lamp", &beta).json()["found"], 60);
}

/// Previews kept their space while the live snapshot found none.
#[test]
fn previews_make_room_for_what_is_announced_where_the_disk_is_full() {
    let shop = Shop::new();
    shop.publish("alpha", 30);
    let (beta, gamma) = (shop.build("beta", 40), shop.build("gamma", 50));
    let edge = serve(&shop, &[]);
    preview(&edge, "/v1/search", &beta);
    let cached = |manifest: &Manifest| shop.cache().join("objects").join(manifest.segments[0].segment.to_string());
    assert!(cached(&beta).exists());
    // /dev/full takes nothing, as a full disk does.
    let partial = cached(&gamma).with_extension("partial");
    symlink("/dev/full", &partial).expect("a full disk");
    let sequence = shop.announce(&gamma.id);
    edge.wait_for_fault("No space left on device");
    wait_until("the preview is closed", || edge.metric("vitrine_edge_previews") == Some(0.0));
    wait_until("its files are gone", || !cached(&beta).exists());
    let refused = ask(&edge, "/v1/search", &beta.id, KEY);
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("preview_without_space")));
    still_serves_alpha(&edge);
    fs::remove_file(&partial).expect("space again");
    edge.wait_for_sequence(sequence);
    assert_eq!(edge.get("/v1/search?q=lamp").json()["found"], 50);
    let is_it = |line: &String| line.contains("serving a new snapshot") && line.contains(gamma.id.as_str());
    wait_until("it is told", || edge.log.lock().expect("the log").iter().any(is_it));
    assert_eq!(preview(&edge, "/v1/search", &beta).json()["found"], 40, "previews are opened again at once");
}

#[test]
fn announcements_leave_the_objects_of_previews_alone() {
    let shop = Shop::new();
    let alpha = shop.publish("alpha", 30);
    let beta = shop.build("beta", 40);
    let edge = serve(&shop, &[]);
    preview(&edge, "/v1/search", &beta);
    for products in 31..36 {
        let sequence = shop.announce(&shop.build("alpha", products).id);
        edge.wait_for_sequence(sequence);
    }
    let cached = |manifest: &Manifest| shop.cache().join("objects").join(manifest.segments[0].segment.to_string());
    wait_until("the oldest snapshot's objects are gone", || !cached(&alpha).exists());
    assert!(cached(&beta).exists());
    assert_eq!(preview(&edge, "/v1/search?q=lamp", &beta).json()["found"], 40);
    assert_eq!(edge.get("/v1/search?q=lamp").json()["found"], 35, "the newest announcement is live");
    let sequence = shop.announce(&beta.id);
    edge.wait_for_sequence(sequence);
    let live = edge.connect().send("GET", &format!("/v1/search?snapshot={}", beta.id), &[("x-preview-key", KEY)], b"");
    assert_eq!(live.expect("an answer").json()["snapshot"]["sequence"], sequence, "what is previewed became live");
}
