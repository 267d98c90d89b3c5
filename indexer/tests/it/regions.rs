//! Several regions on a bad day: what is down, slow or damaged in one of them is no other's fault.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use snapshots::{ChannelName, Heard, Hint, Hints, Pointer, SnapshotId, Store};
use test_servers::{Azurite, Moment, Passing, Proxy, Redis};

use crate::channels::url;
use crate::collecting::{block, build};
use crate::command::{build_products, fails, indexer, json, run};
use crate::shop::Watching;

/// How long something may take that must happen; waiting ends as soon as it does.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// What is live in a store, and by which sequence.
pub fn live(store: &str) -> (String, u64) {
    let store = Store::open(store, &[]).expect("a store");
    let read = block(store.pointer(&ChannelName::live())).expect("a pointer").expect("a live channel");
    (read.pointer.snapshot.to_string(), read.pointer.sequence)
}

fn fault(told: &Value) -> Option<&str> {
    told["regions"][0]["fault"].as_str()
}

#[test]
fn a_publish_that_died_after_its_announcement_is_finished_by_running_it_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    let (one, two) = (build_products(path, "one", 3), build_products(path, "two", 4));
    json(path, &["publish", "--store", &home, "--region", &region, "one"]);
    // A run that ends before it comes to the regions leaves the home store like this.
    json(path, &["publish", "--store", &home, "two"]);
    assert_eq!(live(&east), (one, 1));
    let again = json(path, &["publish", "--store", &home, "--region", &region, "two"]);
    assert_eq!((again["event"].as_str(), again["regions"].as_array().map(Vec::len)), (Some("unchanged"), Some(1)));
    assert_eq!((fault(&again), live(&east)), (None, (two, 2)));
}

#[test]
fn what_is_damaged_in_a_region_is_not_taken_for_proved_because_it_is_live_at_home() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    let one = build(path, "one", "one", None);
    let two = build(path, "two", "two", None);
    // Of the same products, with rules of its own.
    build(path, "three", "two", Some("[[synonyms]]\nwords = [\"thing\", \"item\"]\n"));
    let publish = |name: &str| json(path, &["publish", "--store", &home, "--region", &region, name]);
    publish("one");
    let built = Store::directory(&path.join("two")).expect("a folder");
    let id: SnapshotId = two.parse().expect("an id");
    let segment = block(built.get_manifest(&id)).expect("a manifest").segments[0].segment.to_string();
    let mut bytes = fs::read(path.join("two/objects").join(&segment)).expect("the segment");
    let whole = bytes.clone();
    bytes[500] ^= 1;
    fs::write(path.join("east/objects").join(&segment), bytes).expect("damage");
    let told = publish("two");
    assert!(fault(&told).is_some_and(|fault| fault.contains("is damaged")), "{told}");
    let told = publish("three");
    assert!(fault(&told).is_some_and(|fault| fault.contains("is damaged")), "{told}");
    assert_eq!(live(&east), (one, 1), "its edges are told of nothing that they could not open");
    fs::write(path.join("east/objects").join(&segment), whole).expect("mended");
    json(path, &["sync", "--store", &home, "--region", &region]);
    assert_eq!(live(&east), live(&home));
}

/// A home store, a region beside it, and one in Azurite where requests stand still that have a text in them.
struct Shop {
    folder: tempfile::TempDir,
    azurite: Azurite,
    endpoint: String,
    standing_still: Arc<Mutex<Option<&'static str>>>,
    /// How many requests have stood still.
    stood: Arc<AtomicUsize>,
    home: String,
    near: String,
}

impl Shop {
    fn new() -> Self {
        let (azurite, folder) = (Azurite::start(), tempfile::tempdir().expect("a temporary folder"));
        let standing_still: Arc<Mutex<Option<&'static str>>> = Arc::default();
        let stood: Arc<AtomicUsize> = Arc::default();
        let hook = {
            let (standing_still, stood) = (standing_still.clone(), stood.clone());
            move |passing: &Passing| {
                let stands_still = || {
                    let text = *standing_still.lock().expect("a text");
                    text.is_some_and(|text| passing.line.contains(text))
                };
                if passing.moment == Moment::Before && stands_still() {
                    stood.fetch_add(1, Ordering::Relaxed);
                }
                while passing.moment == Moment::Before && stands_still() {
                    std::thread::sleep(PAUSE);
                }
                true
            }
        };
        let proxy = Proxy::start(azurite.address(), hook);
        let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
        let (home, near) = (url(folder.path(), "home"), url(folder.path(), "near"));
        Self { folder, azurite, endpoint, standing_still, stood, home, near }
    }

    fn stand_still(&self, text: Option<&'static str>) {
        *self.standing_still.lock().expect("a text") = text;
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = indexer();
        let settings = self.azurite.settings_through(&self.endpoint);
        command.envs(settings.into_iter().map(|(name, value)| (format!("SLOW_{name}"), value)));
        let regions = format!("slow={},near={}", self.azurite.url("slow"), self.near);
        command.current_dir(self.folder.path()).arg("--json").args(args);
        command.args(["--store", &self.home, "--region", &regions]);
        command
    }

    fn call(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the indexer runs")
    }

    /// The last line of what a call says, which ends well.
    fn told(&self, args: &[&str]) -> Value {
        let output = self.call(args).wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        serde_json::from_str(text.lines().last().unwrap_or("null")).expect("JSON lines")
    }

    fn slow(&self) -> Store {
        Store::open(&self.azurite.url("slow"), &self.azurite.settings()).expect("a store")
    }

    fn live_in_slow(&self) -> (String, u64) {
        let there = block(self.slow().pointer(&ChannelName::live())).expect("a pointer").expect("a live channel");
        (there.pointer.snapshot.to_string(), there.pointer.sequence)
    }
}

#[test]
fn a_region_that_does_not_answer_keeps_no_other_waiting_for_a_rollback() {
    let shop = Shop::new();
    let (one, two) = (build_products(shop.folder.path(), "one", 3), build_products(shop.folder.path(), "two", 4));
    for name in ["one", "two"] {
        shop.told(&["publish", name]);
    }
    assert_eq!(live(&shop.near), (two, 2));
    shop.stand_still(Some(""));
    let rollback = shop.call(&["rollback"]);
    let started = Instant::now();
    while live(&shop.near) != (one.clone(), 3) {
        assert!(started.elapsed() < PATIENCE, "it waits for the other region");
        std::thread::sleep(PAUSE);
    }
    shop.stand_still(None);
    let output = rollback.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(shop.live_in_slow(), (one, 3), "it follows as well");
}

/// What edges hear from now on.
fn hints(redis: &Redis) -> Receiver<Hint> {
    let hints = Hints::new(&redis.url().into()).expect("a URL");
    let ((tell, told), (connected, is_connected)) = (channel(), channel());
    let hear = move |heard| match heard {
        Heard::Connected => connected.send(()).expect("the test waits"),
        // Whoever has heard enough is gone.
        Heard::Hint(hint) => tell.send(hint).unwrap_or_default(),
        other => panic!("{other:?}"),
    };
    std::thread::spawn(move || block(hints.listen(hear)));
    is_connected.recv_timeout(PATIENCE).expect("Redis answers");
    told
}

/// Edges were told once all regions had followed, or were given up on after ten minutes.
#[test]
fn a_region_that_does_not_answer_keeps_no_edge_from_being_told() {
    let (shop, redis) = (Shop::new(), Redis::start());
    ["one", "two"].iter().for_each(|name| drop(build_products(shop.folder.path(), name, 3)));
    shop.told(&["publish", "one"]);
    let (told, url) = (hints(&redis), redis.url());
    let hear = || told.recv_timeout(PATIENCE).expect("the edges are told").sequence;
    let announcement = "PUT /devstoreaccount1/snapshots/slow/channels/";
    for (command, text, sequence) in [(&["publish", "two"][..], announcement, 2), (&["rollback"][..], "", 3)] {
        shop.stand_still(Some(text));
        let call = shop.call(&[command, &["--redis-url", &url]].concat());
        assert_eq!((hear(), live(&shop.home).1), (Some(sequence), sequence), "{command:?}");
        assert_eq!(
            (hear(), live(&shop.near).1),
            (Some(sequence), sequence),
            "{command:?}: those that followed as well"
        );
        shop.stand_still(None);
        assert_eq!((hear(), shop.live_in_slow().1), (Some(sequence), sequence), "{command:?}");
        let output = call.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Whoever brought regions up was not told that no edge had heard of it.
#[test]
fn a_sync_says_once_that_edges_were_not_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let home = url(path, "home");
    let regions = format!("east={},west={}", url(path, "east"), url(path, "west"));
    build_products(path, "one", 3);
    json(path, &["publish", "--store", &home, "one"]);
    ["east", "west"].iter().for_each(|name| fs::create_dir(path.join(name)).expect("a folder"));
    let sync = ["--json", "sync", "--store", &home, "--region", &regions, "--redis-url", "redis://127.0.0.1:1/"];
    let notes = || {
        let output = run(path, &sync);
        let told = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{told}");
        told.matches("the edges were not told").count()
    };
    assert_eq!((notes(), live(&url(path, "east")), live(&url(path, "west"))), (1, live(&home), live(&home)));
    assert_eq!(notes(), 0, "nothing has moved");
}

/// Each request to a slow region ends at some time, and there are many: a publish had no end that anybody could name.
#[test]
fn a_region_that_is_slow_is_given_up_on_and_brought_up_later() {
    let shop = Shop::new();
    let (one, two) = (build_products(shop.folder.path(), "one", 3), build_products(shop.folder.path(), "two", 4));
    shop.told(&["publish", "one"]);
    shop.stand_still(Some(""));
    let told = shop.told(&["publish", "--region-timeout-s", "1", "two"]);
    assert_eq!(told["event"], "announced");
    let faults: Vec<Option<&str>> = (0..2_usize).map(|region| told["regions"][region]["fault"].as_str()).collect();
    assert!(faults[0].is_some_and(|fault| fault.contains("was given up on after 1 s")), "{told}");
    assert_eq!((faults[1], live(&shop.near)), (None, (two.clone(), 2)));
    let held = shop.told(&["hold", "--region-timeout-s", "1"]);
    assert!(held["regions"][0]["fault"].is_string(), "{held}");
    shop.stand_still(None);
    assert_eq!(shop.live_in_slow(), (one, 1));
    shop.told(&["sync"]);
    assert_eq!(shop.live_in_slow(), (two, 3));
}

/// A status waited for one region after another, until each had failed by itself.
#[test]
fn a_region_that_does_not_answer_keeps_no_status_waiting() {
    let shop = Shop::new();
    build_products(shop.folder.path(), "one", 3);
    shop.told(&["publish", "one"]);
    shop.stand_still(Some(""));
    let told = shop.told(&["status", "--region-timeout-s", "1"]);
    assert!(fault(&told).is_some_and(|fault| fault.contains("a status waits 1 s")), "{told}");
    assert_eq!(told["regions"][1]["channels"][0]["behind"], 0, "{told}");
    shop.stand_still(None);
}

/// Each attempt left a lease, which held what it was of for a day. After some weeks there were more than were ever listed.
#[test]
fn a_region_that_is_given_up_on_holds_no_lease() {
    let shop = Shop::new();
    ["one", "two"].iter().for_each(|name| drop(build_products(shop.folder.path(), name, 3)));
    shop.told(&["publish", "one"]);
    shop.stand_still(Some("/objects/"));
    for command in [&["publish", "--region-timeout-s", "5", "two"][..], &["hold", "--region-timeout-s", "5"]] {
        let told = shop.told(command);
        assert!(fault(&told).is_some_and(|fault| fault.contains("was given up on after 5 s")), "{told}");
        assert_eq!(block(shop.slow().list_leases()).expect("leases"), Vec::<String>::new());
    }
    shop.stand_still(None);
}

/// A source is followed every few seconds, and each time all regions waited until the slow one was given up on.
#[test]
fn following_a_source_leaves_a_slow_region_out_for_some_time() {
    let shop = Shop::new();
    let path = shop.folder.path();
    build_products(path, "one", 100);
    shop.told(&["publish", "one"]);
    fs::create_dir(path.join("inbox")).expect("a folder");
    let leave = |name: &str| {
        let row = format!(r#"{{"id": "p0", "title": "thing of {name}"}}"#) + "\n";
        fs::write(path.join("inbox/.unfinished"), row).expect("a row");
        fs::rename(path.join("inbox/.unfinished"), path.join("inbox").join(name)).expect("its name");
    };
    shop.stand_still(Some(""));
    // A first look that finds nothing would leave it out before that.
    leave("1.jsonl");
    let watch = ["watch", "--out", "updates", "--inbox", "inbox", "--every-s", "1", "--region-timeout-s", "1"];
    let watching = Watching::start(&mut shop.command(&watch));
    let published = || serde_json::from_str::<Value>(&watching.says("\"event\":\"published\"")).expect("JSON");
    let told = published();
    assert!(fault(&told).is_some_and(|fault| fault.contains("was given up on after 1 s")), "{told}");
    leave("2.jsonl");
    let told = published();
    assert!(fault(&told).is_some_and(|fault| fault.contains("is left out for 5 minutes")), "{told}");
    assert_eq!(live(&shop.near), live(&shop.home));
    shop.stand_still(None);
}

/// Whoever ended a watch waited for a region that was brought up, up to ten minutes.
#[test]
fn a_watch_ends_while_a_region_does_not_answer() {
    let shop = Shop::new();
    let path = shop.folder.path();
    build_products(path, "one", 3);
    shop.told(&["publish", "one"]);
    fs::create_dir(path.join("inbox")).expect("a folder");
    shop.stand_still(Some(""));
    let watch = ["watch", "--out", "updates", "--inbox", "inbox"];
    let check = |more: &[&str], expected: i32| {
        let before = shop.stood.load(Ordering::Relaxed);
        let mut watching = Watching::start(&mut shop.command(&[&watch[..], more].concat()));
        let started = Instant::now();
        while shop.stood.load(Ordering::Relaxed) == before {
            assert!(started.elapsed() < PATIENCE, "{more:?}: the region is asked for nothing");
            std::thread::sleep(PAUSE);
        }
        assert_eq!(watching.terminate().code(), Some(expected), "{more:?}");
    };
    check(&["--once"], 1);
    check(&[], 0);
    // That the policy had stopped something was lost.
    fs::write(path.join("inbox/1.jsonl"), "{\"delete\": \"p0\"}\n{\"delete\": \"p1\"}\n").expect("rows");
    check(&["--once"], 2);
    shop.stand_still(None);
}

/// A merge waited for a slow region, and nothing else was merged meanwhile.
#[test]
fn a_slow_region_keeps_no_merge_waiting() {
    let shop = Shop::new();
    let path = shop.folder.path();
    build_products(path, "one", 3);
    shop.told(&["publish", "one"]);
    fs::write(path.join("changes.jsonl"), "{\"id\": \"p0\", \"title\": \"another thing\"}\n").expect("a row");
    json(path, &["update", "--out", "one", "changes.jsonl"]);
    shop.told(&["publish", "one"]);
    fs::create_dir(path.join("inbox")).expect("a folder");
    // Whether it is behind is still told.
    shop.stand_still(Some("/objects/"));
    let watch = ["watch", "--out", "updates", "--inbox", "inbox", "--every-s", "1", "--region-timeout-s", "1"];
    let watching = Watching::start(&mut shop.command(&watch));
    let told = watching.says("will get what is merged when it is published");
    assert!(told.contains("it is slow"), "{told}");
    let merged = watching.merged();
    assert_eq!((merged["segments"].as_u64(), live(&shop.near)), (Some(1), live(&shop.home)), "{merged}");
    shop.stand_still(None);
}

/// A copy that was damaged kept its region from following anything, whatever was done at home.
#[test]
fn a_copy_that_cannot_be_read_is_copied_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    let stores = ["--store", &home, "--region", &region];
    ["one", "two"].iter().for_each(|name| drop(build_products(path, name, 3)));
    json(path, &[&["publish", "one"][..], &stores].concat());
    let damage = || fs::write(path.join("east/channels/live.json"), "{\"snap").expect("damage");
    damage();
    let status = run(path, &[&["status"][..], &stores].concat());
    let told = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(told.contains("is damaged") && told.contains("'indexer sync' writes it anew"), "{told}");
    assert_eq!(status.status.code(), Some(1), "whoever watches over it must not read it to see that");
    json(path, &[&["sync"][..], &stores].concat());
    assert_eq!(live(&east), live(&home));
    damage();
    let told = json(path, &[&["publish", "two"][..], &stores].concat());
    assert_eq!((fault(&told), live(&east)), (None, live(&home)));
}

/// A region that was further than a restored home store was told as up to date, and as having followed what it had not; and
/// nothing but publishing again and again got home past it.
#[test]
fn a_region_that_is_ahead_of_a_restored_home_is_told_and_gone_past() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    let stores = ["--store", &home, "--region", &region];
    let told = |command: &[&str]| {
        let output = run(path, &[command, &stores].concat());
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    ["one", "two"].iter().for_each(|name| drop(build_products(path, name, 3)));
    assert!(told(&["publish", "one"]).0);
    let pointer = path.join("home/channels/live.json");
    let backup = fs::read(&pointer).expect("a pointer");
    assert!(told(&["hold"]).0 && told(&["resume"]).0);
    fs::write(&pointer, backup).expect("it is restored");
    let (_, status) = told(&["status"]);
    assert!(status.contains("2 AHEAD"), "{status}");
    let (is_synced, sync) = told(&["sync"]);
    assert!(!is_synced && sync.contains("FAILED: it is AHEAD, at sequence 3 where home is at 1"), "{sync}");
    let (is_published, publish) = told(&["publish", "two"]);
    assert!(is_published && publish.contains("region east: NOT FOLLOWED"), "{publish}");
    let (two, sequence) = live(&home);
    assert_eq!((sequence, live(&east).1), (2, 3));

    let past = |sequence: &'static str| ["rollback", "--to", &two, "--sequence", sequence];
    let refused = fails(path, &[&past("2")[..], &stores].concat());
    assert!(refused.contains("--sequence must be higher"), "{refused}");
    let moved = json(path, &[&past("4")[..], &stores].concat());
    assert_eq!((fault(&moved), live(&home), live(&east)), (None, (two.clone(), 4), (two.clone(), 4)));
}

/// A region that came later never caught up with a canary that was over, once its snapshot was collected.
#[test]
fn a_canary_that_is_over_is_copied_without_its_snapshot() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    build_products(path, "one", 3);
    json(path, &["publish", "--store", &home, "one"]);
    let canary = ChannelName::canary();
    let over = Pointer::new("20260101T000000000Z-0123456789ab".parse().expect("an id"), 7);
    let opened = |name: &str| Store::directory(&path.join(name)).expect("a store");
    block(opened("home").move_pointer(&canary, None, &over)).expect("a canary that is over");
    let there = opened("east");
    let sync = ["sync", "--store", &home, "--region", &region];
    json(path, &sync);
    assert_eq!(live(&east), live(&home));
    let copy = block(there.pointer(&canary)).expect("a pointer").map(|copy| copy.pointer);
    assert_eq!(copy, Some(over), "what stood there may name nodes");
    let again = json(path, &sync);
    let behind: Vec<_> = again["channels"].as_array().expect("channels").iter().map(|one| &one["behind"]).collect();
    assert_eq!(behind, [0, 0], "{again}");
}

#[test]
fn following_a_source_tells_which_region_is_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    build_products(path, "one", 3);
    json(path, &["publish", "--store", &home, "one"]);
    fs::create_dir(path.join("east")).expect("a folder");
    fs::write(path.join("east/objects"), "").expect("a region that is down");
    fs::create_dir(path.join("inbox")).expect("a folder");
    fs::write(path.join("inbox/1.jsonl"), "{\"id\": \"p0\", \"title\": \"another thing\"}\n").expect("a row");
    let watch = ["watch", "--store", &home, "--region", &region, "--out", "updates", "--inbox", "inbox", "--once"];
    let told = json(path, &watch);
    assert_eq!((told["event"].as_str(), live(&home).1), (Some("published"), 2));
    assert!(fault(&told).is_some(), "{told}");
    fs::remove_file(path.join("east/objects")).expect("it is up again");
    assert_eq!(json(path, &watch)["event"], "unchanged");
    assert_eq!(live(&east), live(&home), "it is brought up although nothing is new");
}

/// Nothing was done about it until something was published again.
#[test]
fn a_region_that_is_up_again_is_brought_up_although_nothing_is_new() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    // So many that nothing is merged, which would be published as well.
    build_products(path, "one", 100);
    json(path, &["publish", "--store", &home, "one"]);
    fs::create_dir(path.join("east")).expect("a folder");
    fs::write(path.join("east/objects"), "").expect("a region that is down");
    fs::create_dir(path.join("inbox")).expect("a folder");
    fs::write(path.join("inbox/1.jsonl"), "{\"id\": \"p0\", \"title\": \"another thing\"}\n").expect("a row");
    let watch = ["--json", "watch", "--store", &home, "--region", &region, "--out", "updates", "--inbox", "inbox"];
    let watching = Watching::start(indexer().current_dir(path).args(watch).args(["--every-s", "1"]));
    let told: Value = serde_json::from_str(&watching.says("\"event\":\"published\"")).expect("JSON");
    assert!(fault(&told).is_some(), "{told}");
    fs::remove_file(path.join("east/objects")).expect("it is up again");
    let started = Instant::now();
    while !path.join("east/channels/live.json").exists() {
        assert!(started.elapsed() < PATIENCE, "it stays behind");
        std::thread::sleep(PAUSE);
    }
    assert_eq!(live(&east), live(&home));
}
