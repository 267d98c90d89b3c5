//! Rolling back, holding, pinning, several regions, and the nodes that follow.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use snapshots::{ChannelName, Pointer, SnapshotId, Store, Traffic};

use crate::command::{SETTINGS, build_products, fails, indexer, json, run};
use crate::nodes::beside_nodes;

pub fn url(folder: &Path, name: &str) -> String {
    format!("file://{}/{name}", folder.display())
}

fn text_of(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_rollback_holds_the_channel_until_it_is_resumed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let (one, two) = (build_products(path, "one", 3), build_products(path, "two", 4));
    let refused = |args: &[&str], expected: &str| {
        let text = fails(path, args);
        assert!(text.contains(expected), "{args:?}: {text}");
    };
    json(path, &["publish", "--store", &store, "one"]);
    refused(&["rollback", "--store", &store], "give --to");
    refused(&["resume", "--store", &store], "is not held");
    json(path, &["publish", "--store", &store, "two"]);

    let dry = text_of(path, &["rollback", "--store", &store, "--dry-run"]);
    assert!(dry.contains(&format!("would move channel 'live' from {two} to {one}")), "{dry}");
    let back = json(path, &["rollback", "--store", &store, "--reason", "prices are wrong"]);
    assert_eq!((back["event"].as_str(), back["snapshot"].as_str()), (Some("rolled_back"), Some(one.as_str())));
    assert_eq!((back["sequence"].as_u64(), back["held"].as_bool()), (Some(3), Some(true)));
    let status = text_of(path, &["status", "--store", &store]);
    assert!(status.contains("HELD (prices are wrong)"), "{status}");
    refused(&["publish", "--store", &store, "two"], "is held at");
    refused(&["publish", "--store", &store, "two"], "prices are wrong");
    refused(&["rollback", "--store", &store], "say where to go back to");
    refused(&["rollback", "--store", &store, "--to", &one], "is at");
    refused(&["hold", "--store", &store], "held already");

    assert_eq!(json(path, &["resume", "--store", &store])["held"], false);
    // It went forward again to what had been gone back from.
    refused(&["rollback", "--store", &store], "is not known: give --to");
    let again = json(path, &["publish", "--store", &store, "two"]);
    assert_eq!((again["sequence"].as_u64(), again["previous"].as_str()), (Some(5), Some(one.as_str())));
    json(path, &["hold", "--store", &store, "--reason", "stocktaking"]);
    refused(&["publish", "--store", &store, "one"], "stocktaking");
    json(path, &["resume", "--store", &store]);

    // What is no longer whole cannot be gone back to.
    let manifest = json(path, &["show", "--store", &store, &one]);
    let segment = manifest["segments"][0]["segment"].as_str().expect("a digest");
    fs::remove_file(path.join("store/objects").join(segment)).expect("its segment goes");
    refused(&["rollback", "--store", &store], "no longer whole");
}

#[test]
fn regions_follow_the_home_store_and_catch_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    let stores = ["--store", &home, "--region", &region];
    let with = |command: &[&'static str], rest: &[&str]| {
        let args: Vec<String> =
            command.iter().copied().chain(stores).chain(rest.iter().copied()).map(str::to_owned).collect();
        args
    };
    let call = |command: &[&'static str], rest: &[&str]| {
        let args = with(command, rest);
        json(path, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (one, two) = (build_products(path, "one", 3), build_products(path, "two", 4));
    let published = call(&["publish"], &["one"]);
    assert_eq!(published["regions"][0]["fault"], Value::Null);
    let there = |name: &str| json(path, &["status", "--store", &url(path, name)])["channels"][0].clone();
    assert_eq!((there("east")["snapshot"].as_str(), there("east")["sequence"].as_u64()), (Some(one.as_str()), Some(1)));

    // A region that is down keeps nobody waiting: here its objects' folder is a file.
    fs::rename(path.join("east/objects"), path.join("east/away")).expect("a fault");
    fs::write(path.join("east/objects"), "").expect("a fault");
    let published = call(&["publish"], &["two"]);
    assert_eq!((published["event"].as_str(), published["sequence"].as_u64()), (Some("announced"), Some(2)));
    assert!(published["regions"][0]["fault"].is_string(), "{published}");
    assert_eq!(there("home")["snapshot"], two.as_str());
    assert_eq!(there("east")["snapshot"], one.as_str());
    let status = with(&["status"], &[]);
    let status = text_of(path, &status.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(status.contains("1 BEHIND"), "{status}");

    fs::remove_file(path.join("east/objects")).expect("it is mended");
    fs::rename(path.join("east/away"), path.join("east/objects")).expect("it is mended");
    assert_eq!(call(&["sync"], &["--dry-run"])["channels"][0]["behind"], 1);
    assert_eq!(there("east")["snapshot"], one.as_str());
    assert_eq!(call(&["sync"], &[])["channels"][0]["behind"], 1);
    assert_eq!((there("east")["snapshot"].as_str(), there("east")["sequence"].as_u64()), (Some(two.as_str()), Some(2)));
    assert_eq!(call(&["sync"], &[])["channels"][0]["behind"], 0);
    assert_eq!(fs::read_dir(path.join("east/leases")).expect("leases").count(), 0, "no lease is left");

    // A rollback reaches the regions as a publish does.
    call(&["rollback"], &[]);
    assert_eq!((there("east")["snapshot"].as_str(), there("east")["held"].as_bool()), (Some(one.as_str()), Some(true)));

    let pinned = call(&["pin"], &["east", "--to", &two, "--reason", "a trial"]);
    assert_eq!(pinned["stores"].as_array().map(Vec::len), Some(2), "{pinned}");
    assert!(path.join("east/pins/east.json").exists() && path.join("home/pins/east.json").exists());
    let status = with(&["status"], &[]);
    let status = text_of(path, &status.iter().map(String::as_str).collect::<Vec<_>>());
    for store in [&home, &east] {
        assert!(status.contains(&format!("region east is PINNED to {two} in {store}: a trial")), "{status}");
    }
    call(&["unpin"], &["east"]);
    assert!(!path.join("east/pins/east.json").exists() && !path.join("home/pins/east.json").exists());
    let args = with(&["unpin"], &["east"]);
    assert!(fails(path, &args.iter().map(String::as_str).collect::<Vec<_>>()).contains("is not pinned"));
    let unknown = fails(path, &["status", "--store", &home, "--region", "east"]);
    assert!(unknown.contains("is not NAME=URL"), "{unknown}");
}

/// The edges of a shop served another one's products.
#[test]
fn no_channel_or_region_is_moved_to_a_snapshot_of_another_catalogue() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let home = url(path, "home");
    let region = format!("east={}", url(path, "east"));
    let stores = ["--store", &home, "--region", &region];
    build_products(path, "one", 3);
    json(path, &[&["publish", "one"][..], &stores].concat());
    fs::write(path.join("other.toml"), SETTINGS.replace("\"shop\"", "\"other\"")).expect("settings");
    let built = json(path, &["build", "--catalogue", "other.toml", "--out", "other", "rows.jsonl"]);
    let other = built["snapshot"].as_str().expect("an id");
    json(path, &[&["publish", "--channel", "preview", "other"][..], &stores].concat());
    let refused = |command: &[&str]| {
        let text = fails(path, &[command, &["--to", other], &stores].concat());
        assert!(text.contains("serves the catalogue 'shop'") && text.contains("is of 'other'"), "{command:?}: {text}");
        let remedy = format!("'indexer rollback --mend --channel live --to {other} --sequence NUMBER'");
        assert!(text.contains("remove channels/live.json") && text.contains(&remedy), "{command:?}: {text}");
    };
    refused(&["rollback"]);
    refused(&["pin", "east"]);
    fs::remove_file(path.join("home/channels/live.json")).expect("it is lost");
    refused(&["rollback", "--mend"]);
    // Where that one is right, it can be put right.
    fs::remove_file(path.join("east/channels/live.json")).expect("a copy");
    let mend = ["rollback", "--mend", "--channel", "live", "--to", other, "--sequence", "2"];
    json(path, &[&mend[..], &stores].concat());
    for store in ["home", "east"] {
        assert_eq!(json(path, &["show", "--store", &url(path, store)])["id"], other, "{store}");
    }
}

/// A pin of a region whose store was not named, or whose name was mistyped, was written where none of its edges looked.
#[test]
fn a_pin_is_of_a_region_that_there_is_and_says_where_it_stands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, status) = (url(path, "store"), url(path, "status"));
    let one = build_products(path, "one", 3);
    json(path, &["publish", "--store", &store, "one"]);
    let pin = |region: &'static str| ["pin", region, "--store", &store, "--to", &one];
    let refused = fails(path, &pin("lokal"));
    assert!(refused.contains("no region 'lokal' is known") && refused.contains("--region lokal=URL"), "{refused}");
    // Nodes tell that they are in 'local'.
    beside_nodes(path, None, Default::default(), || {
        let known = ["--status-store", &status];
        fails(path, &[&pin("lokal")[..], &known].concat());
        let told = text_of(path, &[&pin("local")[..], &known].concat());
        assert!(told.contains(&format!("is PINNED to {one} in {store} until")), "{told}");
        assert!(told.contains("name any other with --region local=URL"), "{told}");
    });
    assert!(!path.join("store/pins/lokal.json").exists());
    let told = json(path, &[&pin("lokal")[..], &["--force"]].concat());
    assert_eq!((told["event"].as_str(), told["stores"][0].as_str()), (Some("pinned"), Some(store.as_str())));
    let lifted = text_of(path, &["unpin", "lokal", "--store", &store]);
    assert!(lifted.contains(&format!("follows its channel again in {store}\n")), "{lifted}");
}

#[test]
fn a_publish_waits_for_every_node_or_names_those_that_are_stuck() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, status) = (url(path, "store"), url(path, "status"));
    let (one, two) = (build_products(path, "one", 3), build_products(path, "two", 4));
    fs::create_dir(path.join("status")).expect("a folder");
    let wait = ["publish", "--store", &store, "--status-store", &status, "--wait", "--wait-timeout-s", "30"];
    let followed = beside_nodes(path, None, Default::default(), || json(path, &[&wait[..], &["one"]].concat()));
    assert_eq!(followed["event"], "followed");
    let nodes = followed["nodes"].as_array().expect("nodes");
    assert_eq!(nodes.len(), 3);
    assert!(nodes.iter().all(|node| node["snapshot"] == one.as_str()), "{followed}");
    let told = text_of(path, &["status", "--store", &store, "--status-store", &status]);
    assert!(told.contains("n2") && told.contains("ok"), "{told}");

    let wait = ["publish", "--store", &store, "--status-store", &status, "--wait", "--wait-timeout-s", "1", "two"];
    let stuck = beside_nodes(path, Some("the disk is full"), Default::default(), || fails(path, &wait));
    assert!(
        stuck.contains("3 of 3 nodes") && stuck.contains("local/n1") && stuck.contains("the disk is full"),
        "{stuck}"
    );
    assert_eq!(json(path, &["status", "--store", &store])["channels"][0]["snapshot"], two.as_str());
    // Without a node there is nothing to wait for, and that is no success either.
    fs::remove_dir_all(path.join("status")).expect("no nodes");
    fs::create_dir(path.join("status")).expect("a folder");
    let none =
        fails(path, &["rollback", "--store", &store, "--status-store", &status, "--wait", "--wait-timeout-s", "1"]);
    assert!(none.contains("no node was heard of"), "{none}");
}

#[test]
fn a_canary_is_promoted_or_withdrawn() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, status) = (url(path, "store"), url(path, "status"));
    let (one, two) = (build_products(path, "one", 3), build_products(path, "two", 4));
    json(path, &["publish", "--store", &store, "one"]);
    fs::create_dir(path.join("status")).expect("a folder");
    let canary = [
        &["publish", "--store", &store, "--status-store", &status, "--canary", "5%", "--canary-window-s", "1"][..],
        &["--canary-min-requests", "100", "two"],
    ]
    .concat();
    let live = || json(path, &["status", "--store", &store])["channels"].clone();
    let alone = fails(path, &canary);
    assert!(alone.contains("a canary needs one to try it"), "{alone}");

    let fine = Traffic { requests: 500, errors: 0, searches: 100, empty: 3, p99_us: 800 };
    let worse = Traffic { empty: 60, ..fine };
    let withdrawn = beside_nodes(path, None, [fine, worse], || fails(path, &canary));
    assert!(withdrawn.contains("worse than what is live"), "{withdrawn}");
    assert_eq!(live().as_array().map(Vec::len), Some(1), "a canary that is over is told no more");
    assert_eq!(live()[0]["snapshot"], one.as_str());
    let few = Traffic { requests: 5, ..fine };
    let withdrawn = beside_nodes(path, None, [fine, few], || run(path, &canary));
    let text = String::from_utf8_lossy(&withdrawn.stdout).into_owned();
    assert!(!withdrawn.status.success() && text.contains("canary nodes had 5 requests"), "{text}");

    let promoted = beside_nodes(path, None, [fine, fine], || json(path, &canary));
    assert_eq!((promoted["event"].as_str(), promoted["snapshot"].as_str()), (Some("announced"), Some(two.as_str())));
    assert_eq!(promoted["canary"]["nodes"].as_array().map(Vec::len), Some(1), "one at the least");
    assert_eq!(live()[0]["snapshot"], two.as_str());

    // While one is under way, nothing else is published.
    let home = Store::directory(&path.join("store")).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let before = home.pointer(&ChannelName::canary()).await.expect("a pointer").expect("a canary");
        let id: SnapshotId = two.parse().expect("an id");
        let pointer = Pointer { nodes: vec!["n1".into()], ..Pointer::after(Some(&before.pointer), id) };
        home.move_pointer(&ChannelName::canary(), Some(&before), &pointer).await.expect("a canary");
    });
    build_products(path, "three", 5);
    let refused = fails(path, &["publish", "--store", &store, "three"]);
    assert!(refused.contains("is under way"), "{refused}");
    json(path, &["withdraw", "--store", &store]);
    json(path, &["publish", "--store", &store, "three"]);
}

/// Someone holds the channel while a canary is tried: it cannot be announced, and the nodes that try it must not go on
/// with what nobody else is to see.
#[test]
fn a_canary_that_cannot_be_announced_is_taken_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, status) = (url(path, "store"), url(path, "status"));
    let one = build_products(path, "one", 3);
    build_products(path, "two", 4);
    json(path, &["publish", "--store", &store, "one"]);
    fs::create_dir(path.join("status")).expect("a folder");
    let home = Store::directory(&path.join("store")).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let pointer = |channel: &ChannelName| runtime.block_on(home.pointer(channel)).expect("a pointer");
    let is_tried = || pointer(&ChannelName::canary()).is_some_and(|canary| !canary.pointer.nodes.is_empty());

    let fine = Traffic { requests: 500, errors: 0, searches: 100, empty: 3, p99_us: 800 };
    let output = beside_nodes(path, None, [fine, fine], || {
        let mut command = indexer();
        command.current_dir(path).args(["publish", "--store", &store, "--status-store", &status, "--canary", "5%"]);
        command.args(["--canary-window-s", "5", "--canary-min-requests", "100", "two"]);
        let publishing = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the indexer runs");
        let started = Instant::now();
        while !is_tried() {
            assert!(started.elapsed() < Duration::from_secs(60), "no node was told to try it");
            std::thread::sleep(Duration::from_millis(20));
        }
        let before = pointer(&ChannelName::live()).expect("a live channel");
        let held = Pointer { held: true, ..Pointer::after(Some(&before.pointer), before.pointer.snapshot.clone()) };
        let moved = runtime.block_on(home.move_pointer(&ChannelName::live(), Some(&before), &held));
        moved.expect("the channel is held");
        publishing.wait_with_output().expect("it ends")
    });
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("another publish was faster"), "{told}");
    assert!(!is_tried(), "no node is to try it any more");
    let live = pointer(&ChannelName::live()).expect("a live channel").pointer;
    assert_eq!((live.snapshot.to_string(), live.held), (one, true));
}
