//! `watch`: a folder and a query are followed, and whoever is killed goes on where what is live left off.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use snapshots::{Cache, Snapshot, Store};
use test_servers::Postgres;

use crate::collecting::present;
use crate::command::{SETTINGS, fails, indexer, json};

pub const PATIENCE: Duration = Duration::from_secs(60);
/// A query that takes longer than any test.
pub const SLEEPING: &str = "SELECT 'p1' AS id, 'table' AS title, now() AS updated_at, pg_sleep(500)::text AS pause";
pub const SLEEPERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";

pub fn row(id: usize, title: &str) -> String {
    format!("{{\"id\": \"p{id}\", \"title\": \"{title}\"}}\n")
}

fn deletions(ids: Range<usize>) -> String {
    ids.map(|id| format!("{{\"delete\": \"p{id}\"}}\n")).collect()
}

/// A store with a first snapshot of `count` products.
pub fn shop(path: &Path, count: usize) -> String {
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    fs::write(path.join("rows.jsonl"), (0..count).map(|id| row(id, "lamp")).collect::<String>()).expect("rows");
    json(path, &["build", "--catalogue", "catalogue.toml", "--out", "shop", "rows.jsonl"]);
    let store = format!("file://{}/store", path.display());
    json(path, &["publish", "--store", &store, "shop"]);
    fs::create_dir(path.join("inbox")).expect("a folder");
    store
}

/// Leaves a file whole, under its name at once.
pub fn leave(path: &Path, name: &str, rows: &str) {
    fs::write(path.join("inbox/.unfinished"), rows).expect("rows");
    fs::rename(path.join("inbox/.unfinished"), path.join("inbox").join(name)).expect("its name");
}

/// The live products: id and title.
fn live(path: &Path, store: &str) -> BTreeMap<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let from = Store::open(store, &[]).expect("a store");
    let live = json(path, &["show", "--store", store])["id"].as_str().expect("an id").to_owned();
    let manifest = runtime.block_on(from.get_manifest(&live.parse().expect("an id"))).expect("a manifest");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = Cache::open(folder.path()).expect("a cache");
    runtime.block_on(snapshots::install(&from, &cache, &manifest)).expect("its objects");
    let snapshot = Snapshot::open(&cache, manifest).expect("a snapshot");
    let mut products = BTreeMap::new();
    for part in &snapshot.segments {
        for doc in (0..part.segment.product_count() as u32).filter(|doc| part.is_live(*doc)) {
            let product = part.segment.product(doc).expect("a product");
            let twice = products.insert(product.id.to_string(), product.title);
            assert_eq!(twice, None, "{} is live twice", product.id);
        }
    }
    products
}

pub fn watch<'a>(store: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["watch", "--store", store, "--out", "updates", "--inbox", "inbox", "--every-s", "1"], more].concat()
}

/// Breaks off the connections of such queries.
pub fn wake(postgres: &Postgres) {
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    postgres.execute(&postgres.url(), end);
    postgres.wait_for(SLEEPERS, "0");
}

#[test]
fn files_are_taken_once_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    let once = watch(&store, &["--once"]);
    assert_eq!(json(path, &once)["event"], "unchanged", "nothing is there yet");
    leave(path, "0002.jsonl", &row(1, "second"));
    leave(path, "0001.jsonl", &(row(1, "first") + &row(30, "new") + "{\"delete\": \"p2\"}\n"));
    fs::write(path.join("inbox/0003.jsonl.partial"), "{").expect("an unfinished file");
    let published = json(path, &once);
    assert_eq!(
        (published["event"].as_str(), published["watermark"].as_str()),
        (Some("published"), Some("files:0002.jsonl"))
    );
    let products = live(path, &store);
    assert_eq!((products.len(), products["p1"].as_str(), products["p30"].as_str()), (20, "second", "new"));
    assert!(!products.contains_key("p2"));
    assert_eq!(json(path, &once)["event"], "unchanged", "they are taken once");

    json(path, &["hold", "--store", &store]);
    leave(path, "0004.jsonl", &row(3, "third"));
    assert_eq!(json(path, &once)["event"], "held", "a held channel is left alone");
    json(path, &["resume", "--store", &store]);
    assert_eq!(json(path, &once)["watermark"], "files:0004.jsonl");
    assert_eq!(live(path, &store)["p3"], "third");

    // What a policy stops stays where it is, and is told.
    leave(path, "0005.jsonl", &deletions(4..20));
    let stopped = fails(path, &once);
    assert!(stopped.contains("the policy stops") && stopped.contains("removed_products"), "{stopped}");
    assert_eq!(live(path, &store).len(), 20);
    let nothing = fails(path, &["watch", "--store", &store, "--out", "updates", "--once"]);
    assert!(nothing.contains("say what to follow"), "{nothing}");
}

/// The next look, seconds later, took away what the one before had set aside, which never comes again.
#[test]
fn what_was_set_aside_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    let good: String = (0..20).map(|id| row(id, "lamp")).collect();
    for (name, bad) in
        [("0001.jsonl", "{\"id\": \"bad1\"}\n"), ("0002.jsonl", "{\"id\": \"bad2\"}\n"), ("0003.jsonl", "")]
    {
        leave(path, name, &(good.clone() + bad));
        let published = json(path, &watch(&store, &["--once"]));
        assert_eq!(published["rows_rejected"], u64::from(!bad.is_empty()), "{published}");
    }
    // A build begins a file of its own, which it would have written in the place of the watch's.
    json(path, &["build", "--catalogue", "catalogue.toml", "--out", "shop", "rows.jsonl"]);
    let rejects = fs::read_to_string(path.join("updates/rejects.jsonl")).expect("the rejects");
    let rows: Vec<Value> = rejects.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let ids: Vec<_> = rows.iter().map(|reject| reject["row"]["id"].as_str()).collect();
    assert_eq!(ids, [Some("bad1"), Some("bad2")]);
    assert_eq!(rows[1]["input"], "0002.jsonl", "as the inbox calls it");
}

/// A file that could not be read kept those before it away, and those behind it until someone looked.
#[test]
fn a_file_that_cannot_be_read_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    leave(path, "0001.jsonl", &row(1, "first"));
    leave(path, "0002.dat", "?");
    leave(path, "0003.jsonl", &row(3, "third"));
    leave(path, "0004.jsonl", &row(4, "fourth"));
    let once = watch(&store, &["--once"]);
    assert_eq!(json(path, &once)["watermark"], "files:0001.jsonl");
    let told = fails(path, &once);
    assert!(told.contains("0002.dat stops the inbox") && told.contains("move it out of the inbox"), "{told}");

    let mut command = indexer();
    command.current_dir(path).arg("--json").args(watch(&store, &[])).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watching = command.spawn().expect("the indexer runs");
    let lines = BufReader::new(watching.stdout.take().expect("its output")).lines();
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON lines"));
    let fault = events.find(|event| event["event"] == "fault").expect("a fault");
    assert!(fault["error"].as_str().is_some_and(|error| error.contains("0002.dat stops the inbox")), "{fault}");
    fs::remove_file(path.join("inbox/0002.dat")).expect("it is moved away");
    // What stops the inbox is looked at alone: each try fetched all that lay behind it.
    for watermark in ["files:0003.jsonl", "files:0004.jsonl"] {
        let published = events.find(|event| event["event"] == "published").expect("a publish");
        assert_eq!(published["watermark"], watermark);
    }
    watching.kill().expect("it is killed");
    watching.wait().expect("it ends");
}

/// One bad row was all of its file, and the policy stopped it, and what came behind it, until nine good rows had.
#[test]
fn a_bad_row_stops_neither_a_watch_nor_a_first_publish() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    leave(path, "0001.jsonl", "{\"id\": \"bad\"}\n");
    let published = json(path, &watch(&store, &["--once"]));
    let of = (published["rows_rejected"].as_u64(), published["watermark"].as_str());
    assert_eq!(of, (Some(1), Some("files:0001.jsonl")));
    leave(path, "0002.jsonl", &row(1, "good"));
    assert_eq!(json(path, &watch(&store, &["--once"]))["changed"], 1);
    assert_eq!(live(path, &store)["p1"], "good");

    fs::write(path.join("rows.jsonl"), row(1, "lamp") + &row(2, "lamp") + "{\"id\": \"bad\"}\n").expect("rows");
    json(path, &["build", "--catalogue", "catalogue.toml", "--out", "first", "rows.jsonl"]);
    json(path, &["publish", "--store", &format!("file://{}/other", path.display()), "first"]);
}

#[test]
fn the_folder_of_updates_does_not_grow_without_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    for round in 0..13 {
        leave(path, &format!("{round:04}.jsonl"), &row(round, &format!("round {round}")));
        json(path, &watch(&store, &["--once"]));
    }
    // What the updates that went had for themselves went with them, and the others are whole.
    let updates = Store::directory(&path.join("updates")).expect("a folder");
    assert_eq!(present(&updates).len(), 10);
    let products = live(path, &store);
    assert!((0..13).all(|round| products[&format!("p{round}")] == format!("round {round}")), "{products:?}");
}

/// Each try left a manifest, and a segment where the source had moved on.
#[test]
fn what_a_policy_stops_does_not_fill_the_folder_of_updates() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    for round in 0..12 {
        leave(path, "0001.jsonl", &(row(30, &format!("round {round}")) + &deletions(4..20)));
        let stopped = fails(path, &watch(&store, &["--once"]));
        // A snapshot that it had named was gone by the time that somebody read this.
        let told = "the policy stops what is new, and these rows are tried again later; publish them all the same with 'indexer \
                    publish --store URL --override REASON updates'";
        assert!(stopped.contains(told), "{stopped}");
    }
    let updates = Store::directory(&path.join("updates")).expect("a folder");
    assert_eq!(present(&updates).len(), 10);
    json(path, &["publish", "--store", &store, "--override", "the end of a season", "updates"]);
    assert_eq!(live(path, &store)["p30"], "round 11");
}

/// A build of everything takes the place of what was followed so far. It knows of an inbox what it is told.
#[test]
fn a_build_says_how_far_an_inbox_was_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    let once = watch(&store, &["--once"]);
    leave(path, "0001.jsonl", &row(1, "of last month"));
    assert_eq!(json(path, &once)["watermark"], "files:0001.jsonl");
    let rows: String = (0..20).map(|id| row(id, "of today")).collect();
    fs::write(path.join("rows.jsonl"), rows).expect("rows");
    let build =
        ["build", "--catalogue", "catalogue.toml", "--out", "shop", "--inbox-read-to", "0001.jsonl", "rows.jsonl"];
    json(path, &build);
    json(path, &["publish", "--store", &store, "shop"]);
    assert_eq!(json(path, &once)["event"], "unchanged", "what is older is not taken once more");
    leave(path, "0002.jsonl", &row(2, "of tonight"));
    assert_eq!(json(path, &once)["changed"], 1);
    let products = live(path, &store);
    assert_eq!((products["p1"].as_str(), products["p2"].as_str()), ("of today", "of tonight"));
}

fn start(path: &Path, store: &str) -> Child {
    let mut command = indexer();
    command.current_dir(path).arg("--json").args(watch(store, &[]));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the indexer runs")
}

#[test]
fn killed_at_any_time_it_loses_no_row_and_takes_none_twice() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 50);
    let mut expected = live(path, &store);
    let mut watching = start(path, &store);
    for round in 0..24_usize {
        let (changed, new) = (round * 7 % 50, 100 + round);
        let (title, name) = (format!("round {round}"), format!("{round:04}.jsonl"));
        leave(path, &name, &(row(changed, &title) + &row(new, &title)));
        expected.insert(format!("p{changed}"), title.clone());
        expected.insert(format!("p{new}"), title);
        std::thread::sleep(Duration::from_millis(40 + (round * 61 % 190) as u64));
        if round % 3 == 2 {
            watching.kill().expect("it is killed");
            watching.wait().expect("it ends");
            watching = start(path, &store);
        }
    }
    let started = Instant::now();
    while live(path, &store) != expected {
        assert!(started.elapsed() < PATIENCE, "not all that was left in the inbox has become live");
        std::thread::sleep(Duration::from_millis(100));
    }
    watching.kill().expect("it is killed");
    watching.wait().expect("it ends");
}

#[test]
fn a_query_is_followed_by_the_times_of_its_rows() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    postgres.execute(
        &url,
        "CREATE TABLE products (id text PRIMARY KEY, title text, gone boolean DEFAULT false, updated_at timestamptz);
         INSERT INTO products SELECT 'p' || n, 'lamp', false, '2026-01-01T00:00:03Z'::timestamptz - n * interval '1 ms'
         FROM generate_series(1, 2000) n",
    );
    let query = "SELECT id, title, updated_at, CASE WHEN gone THEN id END AS delete FROM products";
    let store = format!("file://{}/store", path.display());
    let run = |args: &[&str]| {
        let mut command = indexer();
        let output = command.current_dir(path).env("READ_SQL_URL", &url).arg("--json").args(args).output();
        let output = output.expect("the indexer runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{text}");
        serde_json::from_str::<Value>(text.lines().last().unwrap_or("null")).expect("JSON lines")
    };
    // A build of a query with such a column says how far it has read, whether it is named or not.
    run(&["build", "--catalogue", "catalogue.toml", "--out", "shop", "--sql", query]);
    run(&["publish", "--store", &store, "shop"]);
    let once = ["watch", "--store", &store, "--out", "updates", "--sql", query, "--overlap-s", "0", "--once"];
    assert_eq!(run(&once)["event"], "unchanged", "the build has read it all");

    postgres.execute(
        &url,
        "UPDATE products SET title = 'table', updated_at = '2026-01-01T00:01:00Z' WHERE id IN ('p7', 'p8');
         UPDATE products SET gone = true, updated_at = '2026-01-01T00:01:00Z' WHERE id = 'p9';
         INSERT INTO products VALUES ('new', 'chair', false, '2026-01-01T00:02:00.123456Z')",
    );
    let published = run(&once);
    let count = |name: &str| published[name].as_u64().expect(name);
    assert_eq!((count("changed"), count("deleted")), (3, 1), "{published}");
    assert_eq!(published["watermark"], "sql:2026-01-01T00:02:00.123456+00:00");
    let products = live(path, &store);
    assert_eq!((products.len(), products["p7"].as_str(), products["new"].as_str()), (2_000, "table", "chair"));
    assert!(!products.contains_key("p9"));
    // What is as late as the last row is read once more, and is no change.
    assert_eq!(run(&once)["event"], "unchanged");
    postgres.execute(&url, "INSERT INTO products VALUES ('tie', 'chair', false, '2026-01-01T00:02:00.123456Z')");
    assert_eq!(run(&once)["changed"], 1);
    // A transaction that took long is seen by those who look back far enough.
    postgres.execute(&url, "INSERT INTO products VALUES ('late', 'chair', false, '2026-01-01T00:01:30Z')");
    assert_eq!(run(&once)["event"], "unchanged");
    let back: Vec<&str> = once.iter().map(|arg| if *arg == "0" { "60" } else { *arg }).collect();
    assert_eq!(run(&back)["changed"], 1);
    assert!(live(path, &store).contains_key("late"));

    // The same query builds: what is gone is no product with an attribute 'delete'.
    let built = run(&["build", "--catalogue", "catalogue.toml", "--out", "shop", "--sql", query]);
    let count = |name: &str| built[name].as_u64().expect(name);
    assert_eq!((count("product_count"), count("rows_deleted"), count("rows_rejected")), (2_002, 1, 0), "{built}");

    // An inbox may be followed on top of it.
    run(&["publish", "--store", &store, "shop"]);
    fs::create_dir(path.join("inbox")).expect("a folder");
    let inbox = watch(&store, &["--once"]);
    assert_eq!(run(&inbox)["event"], "unchanged");
    // On top of an update, all its files were taken, and the query was followed no longer.
    fs::write(path.join("rules.toml"), "[[synonyms]]\nwords = [\"lamp\", \"light\"]\n").expect("rules");
    run(&["update", "--out", "shop", "--rules", "rules.toml"]);
    run(&["publish", "--store", &store, "shop"]);
    leave(path, "0001.jsonl", &row(7, "sofa"));
    leave(path, "0002.jsonl", &row(8, "sofa"));
    let refused = fails(path, &inbox);
    assert!(refused.contains("follows a query") && refused.contains("--from"), "{refused}");
    let published = run(&watch(&store, &["--once", "--from", "0001.jsonl"]));
    assert_eq!((published["watermark"].as_str(), published["changed"].as_u64()), (Some("files:0002.jsonl"), Some(1)));
    // A query may not be on top of an inbox.
    let refused = fails(path, &[&once[..], &["--read-sql-url", &url]].concat());
    assert!(refused.contains("another kind of source"), "{refused}");
}

/// Ctrl-C was heard by nobody while a query was asked, and never with --once.
#[test]
fn a_query_that_takes_long_is_given_up_when_the_watch_is_to_end() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    for (more, expected) in [(&["--once"][..], Some(1)), (&[][..], Some(0))] {
        let mut command = indexer();
        command.current_dir(path).env("READ_SQL_URL", &url);
        command.args(["watch", "--store", &store, "--out", "updates", "--sql", SLEEPING]).args(more);
        let mut watching = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the indexer runs");
        postgres.wait_for(SLEEPERS, "1");
        let interrupted = std::process::Command::new("kill").args(["-INT", &watching.id().to_string()]).status();
        assert!(interrupted.expect("kill runs").success());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = watching.try_wait().expect("its status") {
                break status;
            }
            if began.elapsed() > PATIENCE {
                watching.kill().expect("it is killed");
                panic!("it goes on waiting for the query");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), expected, "{more:?}");
        wake(&postgres);
    }
}

#[test]
fn killed_at_any_time_it_loses_no_row_of_a_query() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 50);
    postgres
        .execute(&url, "CREATE TABLE products (id text PRIMARY KEY, title text, gone boolean, updated_at timestamptz)");
    let query = "SELECT id, title, updated_at, CASE WHEN gone THEN id END AS delete FROM products";
    let start = || {
        let mut command = indexer();
        command.current_dir(path).env("READ_SQL_URL", &url).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(["watch", "--store", &store, "--out", "updates", "--every-s", "1", "--sql", query]);
        command.spawn().expect("the indexer runs")
    };
    let mut expected = live(path, &store);
    let mut watching = start();
    for round in 0..24_usize {
        let (changed, new, gone) = (round * 7 % 50, 100 + round, round * 7 % 50 + 1);
        let title = format!("round {round}");
        postgres.execute(
            &url,
            &format!(
                "INSERT INTO products VALUES ('p{changed}', '{title}', false, now()), ('p{new}', '{title}', false, now()),
                 ('p{gone}', 'gone', true, now()) ON CONFLICT (id) DO UPDATE
                 SET title = EXCLUDED.title, gone = EXCLUDED.gone, updated_at = EXCLUDED.updated_at"
            ),
        );
        expected.insert(format!("p{changed}"), title.clone());
        expected.insert(format!("p{new}"), title);
        expected.remove(&format!("p{gone}"));
        std::thread::sleep(Duration::from_millis(40 + (round * 61 % 190) as u64));
        if round % 3 == 2 {
            watching.kill().expect("it is killed");
            watching.wait().expect("it ends");
            watching = start();
        }
    }
    let started = Instant::now();
    while live(path, &store) != expected {
        assert!(started.elapsed() < PATIENCE, "not all that the table says has become live");
        std::thread::sleep(Duration::from_millis(100));
    }
    watching.kill().expect("it is killed");
    watching.wait().expect("it ends");
}
