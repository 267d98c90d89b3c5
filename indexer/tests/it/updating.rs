//! `update` and `merge`: small segments on top of one, and what they answer.

use std::fs;
use std::path::Path;

use search::{Index, RawRequest};
use snapshots::{Cache, Manifest, Snapshot, Store};

use crate::command::{SETTINGS, fails, json, run};

pub fn row(id: usize, title: &str, price: u32) -> String {
    format!("{{\"id\": \"p{id}\", \"title\": \"{title}\", \"price\": {price}, \"brand\": \"Acme\"}}\n")
}

fn write(path: &Path, name: &str, rows: &[String]) {
    fs::write(path.join(name), rows.concat()).expect("rows");
}

pub fn build(path: &Path, out: &str, rows: &[String]) -> String {
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    write(path, "rows.jsonl", rows);
    let built = json(path, &["build", "--catalogue", "catalogue.toml", "--out", out, "rows.jsonl"]);
    built["snapshot"].as_str().expect("an id").to_owned()
}

/// What a snapshot of a folder answers.
pub fn answers(path: &Path, out: &str, id: &str) -> (Manifest, Vec<String>) {
    answers_in(&Store::directory(&path.join(out)).expect("a store"), id)
}

/// What a snapshot answers to a few queries: ids with the bits of their scores.
pub fn answers_in(store: &Store, id: &str) -> (Manifest, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = Cache::open(folder.path()).expect("a cache");
    let manifest = runtime.block_on(store.get_manifest(&id.parse().expect("an id"))).expect("a manifest");
    runtime.block_on(snapshots::install(store, &cache, &manifest)).expect("all objects are there");
    let index = Index::open(Snapshot::open(&cache, manifest.clone()).expect("a snapshot")).expect("an index");
    let mut told = Vec::new();
    for query in ["", "lamp", "red lamp", "lmap", "table", "gone", "la"] {
        let raw = RawRequest { q: query.into(), per_page: Some(100), facets: vec!["*".into()], ..Default::default() };
        let answer = index.search(&index.request(raw).expect("a request")).expect("an answer");
        let hits = answer.hits.iter().map(|hit| {
            let record = index.record(hit.segment, hit.doc);
            format!("{}:{}:{:?}", record.id(), hit.score.to_bits(), record.field(7).map(String::from_utf8_lossy))
        });
        told.push(format!("{query}: {:?} {:?}", hits.collect::<Vec<_>>(), answer.facets));
    }
    (manifest, told)
}

#[test]
fn an_update_adds_a_small_segment_and_answers_as_a_fresh_build() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let mut rows: Vec<String> = (0..200).map(|id| row(id, &format!("red lamp {id}"), 10)).collect();
    let first = build(path, "shop", &rows);
    let store = format!("file://{}/store", path.display());
    json(path, &["publish", "--store", &store, "shop"]);

    rows[7] = row(7, "green table", 25);
    rows.push(row(200, "blue lamp", 30));
    let unchanged = rows[8].clone();
    let mut changes = vec![row(7, "a first version", 1), rows[7].clone(), rows[200].clone(), unchanged];
    changes.extend(["{\"delete\": \"p9\"}\n", "{\"delete\": \"gone\"}\n"].map(str::to_owned));
    rows.remove(9);
    write(path, "changes.jsonl", &changes);
    let updated = json(path, &["update", "--out", "shop", "changes.jsonl"]);
    let count = |name: &str| updated[name].as_u64().expect(name);
    assert_eq!((count("changed"), count("deleted"), count("unchanged_rows")), (2, 1, 1), "{updated}");
    assert_eq!((count("unknown_deletions"), count("rows_rejected"), count("segments")), (1, 0, 2), "{updated}");
    assert_eq!((count("product_count"), updated["parent"].as_str()), (200, Some(first.as_str())));
    let fresh = build(path, "fresh", &rows);
    let (manifest, told) = answers(path, "shop", updated["snapshot"].as_str().expect("an id"));
    let (fresh_manifest, expected) = answers(path, "fresh", &fresh);
    assert_eq!(told, expected);
    assert_eq!(manifest.statistics, fresh_manifest.statistics);

    // Publishing it uploads what is new, and no more.
    let published = json(path, &["publish", "--store", &store, "shop"]);
    let large = manifest.segments[0].segment;
    assert_eq!(published["uploaded_objects"], 2, "a segment and a liveness: {published}");
    let whole = manifest.object(&large).expect("the first segment").size_bytes;
    assert!(published["uploaded_bytes"].as_u64().expect("bytes") < whole / 2, "{published}");

    // The same rows again change nothing.
    assert_eq!(json(path, &["update", "--out", "shop", "changes.jsonl"])["event"], "unchanged");
    // Merged it is one segment, and answers the same.
    let merged = json(path, &["merge", "--out", "shop"]);
    let (manifest, told) = answers(path, "shop", merged["snapshot"].as_str().expect("an id"));
    assert_eq!((manifest.segments.len(), told), (1, expected));
    assert_eq!(manifest.segments[0], fresh_manifest.segments[0], "byte for byte");
}

/// Builds with the queries that shoppers typed.
fn build_with_queries(path: &Path, out: &str, rows: &[String]) -> String {
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    fs::write(path.join("queries.tsv"), "red lamp\t7\ncheap chair\t3\n").expect("queries");
    write(path, "rows.jsonl", rows);
    let from = ["build", "--catalogue", "catalogue.toml", "--recorded-queries", "queries.tsv", "rows.jsonl"];
    json(path, &[&from[..], &["--out", out]].concat())["snapshot"].as_str().expect("an id").to_owned()
}

#[test]
fn a_merge_keeps_what_shoppers_typed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let mut rows: Vec<String> = (0..20).map(|id| row(id, "red lamp", 10)).collect();
    build_with_queries(path, "shop", &rows);
    rows[3] = row(3, "cheap chair", 10);
    write(path, "changes.jsonl", &rows[3..4]);
    json(path, &["update", "--out", "shop", "changes.jsonl"]);
    let merged = json(path, &["merge", "--out", "shop"]);
    let (merged, _) = answers(path, "shop", merged["snapshot"].as_str().expect("an id"));
    let (fresh, _) = answers(path, "fresh", &build_with_queries(path, "fresh", &rows));
    assert_eq!(merged.segments, fresh.segments, "byte for byte");
}

/// They went with the first segment once nothing of it was current any more; then all that lay on top of it was written anew
/// with them at once, in memory; and then it stayed for them, slow to open, even where the update was all that was left.
#[test]
fn an_update_of_everything_keeps_what_shoppers_typed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build_with_queries(path, "shop", &(0..20).map(|id| row(id, "red lamp", 10)).collect::<Vec<_>>());
    let check = |changes: &[String], rows: &[String], expected_live: &[u32]| {
        write(path, "changes.jsonl", changes);
        let updated = json(path, &["update", "--out", "shop", "changes.jsonl"]);
        let (updated, told) = answers(path, "shop", updated["snapshot"].as_str().expect("an id"));
        let live: Vec<u32> = updated.segments.iter().map(|part| part.live_count).collect();
        assert_eq!(live, expected_live, "what is left of each segment, the first one before the updates");
        let (fresh, expected) = answers(path, "fresh", &build_with_queries(path, "fresh", rows));
        assert_eq!(told, expected);
        (updated.segments, fresh.segments)
    };
    let rows: Vec<String> = (0..20).map(|id| row(id, "cheap chair", 12)).collect();
    let (updated, fresh) = check(&rows, &rows, &[20]);
    assert_eq!(updated, fresh, "byte for byte");
    let mut added: Vec<String> = (20..22).map(|id| row(id, "red lamp", 10)).collect();
    check(&added, &[&rows[..], &added[..]].concat(), &[20, 2]);
    let deletions: Vec<String> = (0..20).map(|id| format!("{{\"delete\": \"p{id}\"}}\n")).collect();
    check(&deletions, &added, &[0, 2]);
    // On top of a first segment of which nothing was left before, and of an update that is too large to join.
    added.push(row(22, "red lamp", 10));
    let (_, fresh) = check(&added[2..], &added, &[0, 2, 1]);
    let merged = json(path, &["merge", "--out", "merged", "--base", "shop"]);
    let (merged, _) = answers(path, "merged", merged["snapshot"].as_str().expect("an id"));
    assert_eq!(merged.segments, fresh, "byte for byte");
    // What is left of the updates joins what is new.
    let changed: Vec<String> = (20..22).map(|id| row(id, "red lamp", 12)).collect();
    let (updated, fresh) = check(&changed, &[&changed[..], &added[2..]].concat(), &[3]);
    assert_eq!(updated, fresh, "byte for byte");
}

/// It had to be called `delete`, which nothing in a feed can be.
#[test]
fn a_column_of_any_format_can_say_what_is_deleted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build(path, "shop", &(0..20).map(|id| row(id, "lamp", 10)).collect::<Vec<_>>());
    fs::write(path.join("changes.csv"), "id,title,gone\np1,table,\n,,p2\n").expect("rows");
    let item = "<item><g:id>p3</g:id><g:custom_label_4>p3</g:custom_label_4></item>";
    let feed = format!("<rss xmlns:g=\"http://base.google.com/ns/1.0\"><channel>{item}</channel></rss>");
    fs::write(path.join("changes.xml"), feed).expect("a feed");
    for (file, mapping, changed) in [("changes.csv", "gone=delete", 1), ("changes.xml", "custom_label_4=delete", 0)] {
        let updated = json(path, &["update", "--out", "shop", "--map", mapping, file]);
        let count = |name: &str| updated[name].as_u64().expect(name);
        let counts = (count("changed"), count("deleted"), count("rows_rejected"));
        assert_eq!(counts, (changed, 1, 0), "{file}: {updated}");
    }
}

#[test]
fn rules_alone_upload_no_segment() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build(path, "shop", &(0..20).map(|id| row(id, "lamp", 10)).collect::<Vec<_>>());
    let store = format!("file://{}/store", path.display());
    json(path, &["publish", "--store", &store, "shop"]);
    let text = "[[rules]]\nname = \"pin\"\nwhen = { query_is = \"lamp\" }\nthen = { pin = [{ id = \"p19\", position = 1 }] }\n";
    fs::write(path.join("rules.toml"), text).expect("rules");
    let updated = json(path, &["update", "--out", "shop", "--rules", "rules.toml"]);
    assert_eq!(
        (updated["event"].as_str(), updated["segments"].as_u64()),
        (Some("updated"), Some(1)),
        "{text}: {updated}"
    );
    let published = json(path, &["publish", "--store", &store, "shop"]);
    assert_eq!(published["uploaded_objects"], 1, "the rules: {published}");
    let wrong = text.replace("p19", "p77");
    fs::write(path.join("rules.toml"), wrong).expect("rules");
    let refused = fails(path, &["update", "--out", "shop", "--rules", "rules.toml"]);
    assert!(refused.contains("there is no product 'p77'"), "{refused}");
}

/// One pinned product that was sold out kept every other change away, until someone changed the rules.
#[test]
fn what_rules_name_can_be_deleted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build(path, "shop", &(0..20).map(|id| row(id, "lamp", 10)).collect::<Vec<_>>());
    let text = "[[rules]]\nname = \"pin\"\nwhen = { query_is = \"lamp\" }\nthen = { pin = [{ id = \"p19\", position = 1 }] }\n";
    fs::write(path.join("rules.toml"), text).expect("rules");
    json(path, &["update", "--out", "shop", "--rules", "rules.toml"]);
    write(path, "changes.jsonl", &[row(1, "lamp", 12), "{\"delete\": \"p19\"}\n".to_owned()]);
    let told = run(path, &["--json", "update", "--out", "shop", "changes.jsonl"]);
    let told = String::from_utf8(told.stdout).expect("text");
    assert!(told.contains("rule 'pin': product 'p19' is deleted"), "{told}");
    let updated: serde_json::Value = serde_json::from_str(told.lines().last().unwrap_or("null")).expect("JSON lines");
    assert_eq!((updated["changed"].as_u64(), updated["deleted"].as_u64()), (Some(1), Some(1)), "{updated}");
    let (_, answers) = answers(path, "shop", updated["snapshot"].as_str().expect("an id"));
    assert!(answers[1].contains("p1:") && !answers[1].contains("p19:"), "{answers:?}");
    let refused = fails(path, &["update", "--out", "shop", "--rules", "rules.toml"]);
    assert!(refused.contains("there is no product 'p19'"), "rules that are given must be right: {refused}");
}

#[test]
fn there_are_never_more_than_three_updates_on_top() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let mut titles: Vec<String> = (0..300).map(|id| format!("lamp {id}")).collect();
    let rows = |titles: &[String]| titles.iter().enumerate().map(|(id, title)| row(id, title, 10)).collect::<Vec<_>>();
    build(path, "shop", &rows(&titles));
    let mut most = 0;
    for round in 0..12_usize {
        // Sizes that fall, so that merging has something to choose.
        let size = [40, 18, 8, 3][round % 4];
        let ids: Vec<usize> = (0..size).map(|n| (round * 37 + n * 5) % 300).collect();
        ids.iter().for_each(|id| titles[*id] = format!("red lamp {id} of round {round}"));
        write(path, "changes.jsonl", &ids.iter().map(|id| row(*id, &titles[*id], 10)).collect::<Vec<_>>());
        let updated = json(path, &["update", "--out", "shop", "changes.jsonl"]);
        let segments = updated["segments"].as_u64().expect("a count");
        most = most.max(segments);
        assert!(segments <= 4, "round {round}: {updated}");
        let fresh = build(path, &format!("fresh{round}"), &rows(&titles));
        let (_, told) = answers(path, "shop", updated["snapshot"].as_str().expect("an id"));
        assert_eq!(told, answers(path, &format!("fresh{round}"), &fresh).1, "round {round}");
    }
    assert_eq!(most, 4, "three updates lay on top at some time");
}

#[test]
fn an_update_says_when_a_merge_is_due() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build(path, "shop", &(0..40).map(|id| row(id, "lamp", 10)).collect::<Vec<_>>());
    let update = |changed: std::ops::Range<usize>, title: &str| {
        write(path, "changes.jsonl", &changed.map(|id| row(id, title, 10)).collect::<Vec<_>>());
        let output = run(path, &["update", "--out", "shop", "changes.jsonl"]);
        String::from_utf8(output.stderr).expect("text")
    };
    // What is outdated counts, and what takes its place.
    assert!(!update(0..4, "table").contains("indexer merge"));
    assert!(update(4..5, "table").contains("'indexer merge' is due"));
    json(path, &["merge", "--out", "shop"]);
    assert!(!update(0..1, "chair").contains("indexer merge"));
}

/// A watch that publishes every ten seconds has written so many in a day and a quarter.
#[test]
fn a_folder_of_many_snapshots_is_still_written_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let first = build(path, "shop", &[row(1, "lamp", 10)]);
    for number in 0..11_000 {
        fs::write(path.join(format!("shop/snapshots/20260101T000000000Z-{number:012x}.json")), "{}").expect("a file");
    }
    write(path, "changes.jsonl", &[row(2, "table", 20)]);
    let updated = json(path, &["update", "--out", "shop", "changes.jsonl"]);
    assert_eq!((updated["event"].as_str(), updated["parent"].as_str()), (Some("updated"), Some(first.as_str())));
    let store = format!("file://{}/store", path.display());
    assert_eq!(json(path, &["publish", "--store", &store, "shop"])["snapshot"], updated["snapshot"]);
}

/// Two people update the same snapshot, and publish one after the other.
#[test]
fn an_update_of_something_else_than_what_is_live_is_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let rows: Vec<String> = (0..20).map(|id| row(id, "lamp", 10)).collect();
    let first = build(path, "shop", &rows);
    let store = format!("file://{}/store", path.display());
    let publish = |from: &str| json(path, &["publish", "--store", &store, from]);
    publish("shop");
    write(path, "prices.jsonl", &[row(1, "lamp", 11)]);
    write(path, "titles.jsonl", &[row(2, "lantern", 10)]);
    json(path, &["update", "--out", "other", "--base", &format!("shop@{first}"), "titles.jsonl"]);
    // Updates of updates are made of what is live, too.
    json(path, &["update", "--out", "shop", "prices.jsonl"]);
    write(path, "prices.jsonl", &[row(1, "lamp", 12)]);
    json(path, &["update", "--out", "shop", "prices.jsonl"]);
    assert_eq!(publish("shop")["event"], "announced");

    let stopped = run(path, &["publish", "--store", &store, "other"]);
    let told = String::from_utf8_lossy(&stopped.stdout).into_owned();
    assert!(!stopped.status.success() && told.contains("undone_update") && told.contains(&first), "{told}");
    let elsewhere = json(path, &["publish", "--store", &store, "--channel", "preview", "other"]);
    assert_eq!(elsewhere["event"], "announced");
    json(path, &["update", "--out", "other", "--base", &store, "titles.jsonl"]);
    assert_eq!(publish("other")["event"], "announced", "it is made of what is live now");

    // With a reason it is let through, and what is made of the same in the folder goes on from that.
    write(path, "prices.jsonl", &[row(1, "lamp", 13)]);
    json(path, &["update", "--out", "shop", "prices.jsonl"]);
    json(path, &["publish", "--store", &store, "--override", "the titles were wrong", "shop"]);
    write(path, "prices.jsonl", &[row(1, "lamp", 14)]);
    json(path, &["update", "--out", "shop", "prices.jsonl"]);
    assert_eq!(publish("shop")["event"], "announced");
    // A build of everything takes the place of anything.
    build(path, "shop", &rows);
    assert_eq!(publish("shop")["event"], "announced");
}

#[test]
fn what_cannot_be_updated_says_why() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build(path, "shop", &[row(1, "lamp", 10)]);
    write(path, "changes.jsonl", &["{\"delete\": \"p1\"}\n".to_owned()]);
    let refused = fails(path, &["update", "--out", "shop", "changes.jsonl"]);
    assert!(refused.contains("would empty the shop"), "{refused}");
    write(path, "both.jsonl", &["{\"delete\": \"p1\", \"title\": \"x\"}\n".to_owned()]);
    let refused = fails(path, &["update", "--out", "shop", "--strict", "both.jsonl"]);
    assert!(refused.contains("a row deletes a product or is one"), "{refused}");
    let refused = fails(path, &["update", "--out", "nothing", "changes.jsonl"]);
    assert!(refused.contains("holds no snapshot"), "{refused}");
    let refused = fails(path, &["build", "--catalogue", "catalogue.toml", "--out", "shop"]);
    assert!(refused.contains("give a file of rows"), "{refused}");
}
