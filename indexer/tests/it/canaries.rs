//! However a canary's publish ends, no node is left to try what nobody will announce.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indexer::canary::{self, CanaryPlan};
use indexer::progress::{Output, Progress};
use indexer::publish::{self, Change, PublishRequest};
use indexer::regions::Regions;
use snapshots::{ChannelName, Pointer, StatusBoard, Store, Traffic};
use test_servers::{Azurite, Moment, Passing, Proxy};

use crate::channels::url;
use crate::collecting::block;
use crate::command::{build_products, fails, indexer, json, run};
use crate::nodes::{Nodes, beside_nodes};

const FINE: Traffic = Traffic { requests: 500, errors: 0, searches: 100, empty: 3, p99_us: 800 };

fn canary_of(store: &Store) -> Option<Pointer> {
    block(store.pointer(&ChannelName::canary())).expect("an answer").map(|read| read.pointer)
}

/// A canary that two nodes try, as one that is under way has it.
fn begin_canary(store: &Store, id: &str) -> Pointer {
    block(async {
        let last = store.pointer(&ChannelName::canary()).await.expect("an answer");
        let pointer = Pointer::after(last.as_ref().map(|last| &last.pointer), id.parse().expect("an id"));
        let pointer = Pointer { nodes: vec!["n1".into(), "n2".into()], ..pointer };
        store.move_pointer(&ChannelName::canary(), last.as_ref(), &pointer).await.expect("a canary");
        pointer
    })
}

/// A store with one snapshot live, another that is built, and a folder for what nodes tell.
fn shop(path: &Path) -> (Store, String) {
    build_products(path, "one", 3);
    json(path, &["publish", "--store", &url(path, "store"), "one"]);
    fs::create_dir(path.join("status")).expect("a folder");
    (Store::directory(&path.join("store")).expect("a store"), build_products(path, "two", 4))
}

#[test]
fn a_canary_ends_when_its_snapshot_cannot_be_announced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, two) = shop(path);
    let board = StatusBoard::new(Store::directory(&path.join("status")).expect("a store"));
    let plan = CanaryPlan { percent: 5, window: Duration::from_secs(1), min_requests: 100 };
    let request = PublishRequest {
        from: Store::directory(&path.join("two")).expect("a folder"),
        snapshot: None,
        to: Regions::of(home.clone()),
        channel: ChannelName::live(),
        reason: None,
        change: Change::Answers,
        canary: Some((plan, board)),
        dry_run: false,
    };
    let prepared = block(publish::prepare(&request)).expect("it may be published");
    // Somebody moves the channel before the canary is over.
    json(path, &["hold", "--store", &url(path, "store")]);
    let publish = || block(publish::publish(&request, prepared, &mut Progress::new(Output::Text)));
    let refused = beside_nodes(path, None, [FINE, FINE], publish).expect_err("a conflict");
    assert!(format!("{refused:#}").contains("another publish was faster"), "{refused:#}");
    let canary = canary_of(&home).expect("a canary that was tried");
    assert_eq!((canary.snapshot.as_str(), canary.nodes.len()), (two.as_str(), 0), "nobody tries it any more");
}

/// One region that was down stopped every publish with a canary.
#[test]
fn a_region_that_is_down_has_no_part_in_a_canary() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    shop(path);
    fs::create_dir(path.join("east")).expect("a folder");
    fs::write(path.join("east/objects"), "").expect("a region that is down");
    let (store, status) = (url(path, "store"), url(path, "status"));
    let region = format!("east={}", url(path, "east"));
    // Two of the three were to try it, of whom one at the least is in the region.
    let canary = ["publish", "--store", &store, "--region", &region, "--status-store", &status, "--canary", "99%"];
    let canary = [&canary[..], &["--canary-window-s", "1", "two"]].concat();
    let names = vec![("local", "n1"), ("east", "n1"), ("east", "n2")];
    let nodes = Nodes { names, traffic: [FINE, FINE], ..Nodes::of(path) };
    let told = nodes.beside(|| json(path, &canary));
    assert_eq!(told["event"], "announced");
    assert_eq!(*told["canary"]["nodes"].as_array().expect("nodes"), ["local/n1"]);
    assert!(told["regions"][0]["fault"].is_string(), "{told}");
}

#[test]
fn a_canary_ends_when_none_of_its_nodes_can_be_told_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, two) = shop(path);
    // What is left of an earlier canary cannot be written over, for a folder stands where its lock should.
    fs::create_dir_all(path.join("east/locks/canary.lock")).expect("a folder");
    fs::create_dir(path.join("east/channels")).expect("a folder");
    fs::write(path.join("east/channels/canary.json"), "{").expect("damage");
    let (store, status) = (url(path, "store"), url(path, "status"));
    let region = format!("east={}", url(path, "east"));
    let canary = ["publish", "--store", &store, "--region", &region, "--status-store", &status, "--canary", "99%"];
    let canary = [&canary[..], &["--canary-window-s", "1", "two"]].concat();
    let of = |names: &[(&'static str, &'static str)]| Nodes {
        names: names.to_vec(),
        traffic: [FINE, FINE],
        ..Nodes::of(path)
    };
    let refused = of(&[("east", "n1"), ("east", "n2")]).beside(|| fails(path, &canary));
    assert!(refused.contains("the canary in region east"), "{refused}");
    assert_eq!(canary_of(&home).map(|canary| canary.nodes.len()), Some(0), "nobody tries it any more");
    // Those of other regions try it, if there are any.
    fs::remove_dir_all(path.join("status/status")).expect("the nodes are gone");
    let names = [("east", "n1"), ("local", "n1"), ("local", "n2"), ("local", "n3")];
    let told = of(&names).beside(|| json(path, &canary));
    assert_eq!((told["event"].as_str(), told["snapshot"].as_str()), (Some("announced"), Some(two.as_str())));
    let nodes = told["canary"]["nodes"].as_array().expect("nodes");
    assert!(nodes.iter().all(|node| node.as_str().is_some_and(|name| name.starts_with("local/"))), "{told}");
}

/// All of it was read once more in each region before its nodes were told.
#[test]
fn a_canary_is_brought_to_a_region_once() {
    let (azurite, folder) = (Azurite::start(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path();
    let (_, two) = shop(path);
    let built = Store::directory(&path.join("two")).expect("a store");
    let manifest = block(built.get_manifest(&two.parse().expect("an id"))).expect("a manifest");
    let (object, reads) = (format!("/objects/{}", manifest.segments[0].segment), Arc::new(AtomicUsize::new(0)));
    let count = reads.clone();
    let proxy = Proxy::start(azurite.address(), move |passing: &Passing| {
        let is_read = passing.line.starts_with("GET") && passing.line.contains(&object);
        if is_read && passing.moment == Moment::Before {
            count.fetch_add(1, Ordering::SeqCst);
        }
        true
    });
    let settings = azurite.settings_through(&format!("http://{}{}", proxy.address, azurite.account_path()));
    let (store, status) = (url(path, "store"), url(path, "status"));
    let region = format!("east={}", azurite.url("east"));
    let canary = ["publish", "--store", &store, "--region", &region, "--status-store", &status, "--canary", "5%"];
    let publish = || {
        let mut command = indexer();
        command.envs(settings.into_iter().map(|(name, value)| (format!("EAST_{name}"), value)));
        command.current_dir(path).args(canary).args(["--canary-window-s", "1", "two"]);
        command.output().expect("the indexer runs")
    };
    let promoted = Nodes { traffic: [FINE, FINE], ..Nodes::of(path) }.beside(publish);
    assert!(promoted.status.success(), "{}", String::from_utf8_lossy(&promoted.stderr));
    let east = Store::open(&azurite.url("east"), &azurite.settings()).expect("a store");
    let copy = canary_of(&east).expect("a copy of the canary");
    assert_eq!((copy.snapshot.as_str(), reads.load(Ordering::SeqCst)), (two.as_str(), 1));
}

/// What it had told before was enough.
#[test]
fn a_canary_is_withdrawn_whose_node_falls_silent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    shop(path);
    let (store, status) = (url(path, "store"), url(path, "status"));
    let canary = ["publish", "--store", &store, "--status-store", &status, "--canary", "5%", "--canary-window-s", "1"];
    let nodes = Nodes { fall_silent: true, traffic: [FINE, FINE], ..Nodes::of(path) };
    let withdrawn = nodes.beside(|| run(path, &[&canary[..], &["two"]].concat()));
    let told = String::from_utf8_lossy(&withdrawn.stdout).into_owned();
    assert!(!withdrawn.status.success() && told.contains("has told nothing since the window ended"), "{told}");
}

/// A node was taken for all that are called so: more tried it than should, and one in a region that is pinned was waited for.
#[test]
fn nodes_of_the_same_name_in_other_regions_have_no_part_in_a_canary() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    shop(path);
    let (store, status) = (url(path, "store"), url(path, "status"));
    let canary = ["publish", "--store", &store, "--status-store", &status, "--canary", "5%", "--canary-window-s", "1"];
    let names = vec![("east", "n1"), ("west", "n1"), ("north", "n1")];
    let nodes = Nodes { names, pinned: Some("north"), traffic: [FINE, FINE], ..Nodes::of(path) };
    let promoted = nodes.beside(|| json(path, &[&canary[..], &["two"]].concat()));
    assert_eq!(promoted["event"], "announced");
    let nodes = promoted["canary"]["nodes"].as_array().expect("nodes");
    assert!(nodes.len() == 1 && (nodes[0] == "east/n1" || nodes[0] == "west/n1"), "{nodes:?}");
}

/// What was brought was held no longer at the end of a window of twelve hours, and a longer one had no end.
#[test]
fn a_window_is_shorter_than_what_is_brought_is_held() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, status) = (url(path, "store"), url(path, "status"));
    let canary = ["publish", "--store", &store, "--status-store", &status, "--canary", "5%"];
    for window in ["0", "36001", "18446744073709551615"] {
        let refused = run(path, &[&canary[..], &["--canary-window-s", window, "two"]].concat());
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(64), "{told}");
        assert!(told.contains("--canary-window-s"), "{told}");
    }
}

#[test]
fn a_rollback_takes_a_canary_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, two) = shop(path);
    let store = url(path, "store");
    json(path, &["publish", "--store", &store, "two"]);
    begin_canary(&home, &two);
    json(path, &["rollback", "--store", &store]);
    let canary = canary_of(&home).expect("a canary");
    assert_eq!((canary.nodes.len(), canary.reason.as_deref()), (0, Some("rolled back")));
}

#[test]
fn only_the_canary_that_is_meant_is_taken_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, two) = shop(path);
    let (stores, progress) = (Regions::of(home.clone()), Progress::new(Output::Text));
    let withdraw = |meant: Option<&Pointer>| {
        block(canary::withdraw(&stores, meant, Some("x".repeat(100_000)), &progress)).expect("an answer")
    };
    let first = begin_canary(&home, &two);
    let second = begin_canary(&home, &two);
    assert!(!withdraw(Some(&first)), "by now it is another one");
    assert_eq!(canary_of(&home), Some(second.clone()));
    assert!(withdraw(Some(&second)), "however long its reason is");
    assert!(!withdraw(None), "none is under way");
}
