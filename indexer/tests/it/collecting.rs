//! `gc` on a directory: what nothing reaches goes, and nothing else; and copies of stores.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json as value};
use snapshots::{
    ChannelName, Followed, Lease, Manifest, MarketStatus, NodeStatus, Pointer, ServedStatus, SnapshotId, StatusBoard,
    Store, Sweep, Times, Traffic,
};

use crate::command::{SETTINGS, fails, indexer, json, run};

/// Keeps nothing for its age.
pub const STRICT: [&str; 4] = ["--keep", "0", "--keep-days", "0"];
pub const AT_ONCE: [&str; 3] = ["--apply", "--grace-s", "0"];

pub fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Builds a snapshot of products that are called by `rows`: the same rows are the same segment.
pub fn build(folder: &Path, name: &str, rows: &str, rules: Option<&str>) -> String {
    let lines = (0..3).map(|number| format!("{{\"id\": \"p{number}\", \"title\": \"{rows} thing {number}\"}}\n"));
    fs::write(folder.join("catalogue.toml"), SETTINGS).expect("settings");
    fs::write(folder.join("rows.jsonl"), lines.collect::<String>()).expect("rows");
    let mut args = vec!["build", "--catalogue", "catalogue.toml", "--out", name, "rows.jsonl"];
    if let Some(rules) = rules {
        fs::write(folder.join("some-rules.toml"), rules).expect("rules");
        args.extend(["--rules", "some-rules.toml"]);
    }
    json(folder, &args)["snapshot"].as_str().expect("an id").to_owned()
}

fn id(text: &str) -> SnapshotId {
    text.parse().expect("an id")
}

/// Every snapshot that is there, each of which is whole; nothing else may be there.
pub fn present(store: &Store) -> Vec<String> {
    block(async {
        let mut objects = BTreeSet::new();
        let ids = store.list_snapshots().await.expect("a list");
        for id in &ids {
            let manifest = store.get_manifest(id).await.expect("a manifest");
            check_whole(store, &manifest).await;
            objects.extend(manifest.objects.iter().map(|object| object.blake3));
        }
        let listed: Vec<_> = futures::TryStreamExt::try_collect(store.list_objects()).await.expect("objects");
        let listed: BTreeSet<_> = listed.into_iter().map(|object| object.digest).collect();
        assert_eq!(listed, objects, "an object stays if a manifest names it");
        ids.iter().map(SnapshotId::to_string).collect()
    })
}

pub async fn check_whole(store: &Store, manifest: &Manifest) {
    for object in &manifest.objects {
        let found = store.digest_of_object(&object.blake3).await;
        assert_eq!(found.expect("its object"), object.blake3, "of {}", manifest.id);
    }
}

fn url(folder: &Path, name: &str) -> String {
    format!("file://{}/{name}", folder.display())
}

fn gc(folder: &Path, store: &str, args: &[&str]) -> Value {
    json(folder, &[&["gc", "--store", store][..], &STRICT, args].concat())
}

/// Makes everything in a store look as if it had been written some hours ago.
fn age(store: &Path, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(hours * 3600);
    for folder in ["objects", "snapshots", "signatures"] {
        for entry in fs::read_dir(store.join(folder)).into_iter().flatten() {
            let file = fs::File::options().write(true).open(entry.expect("an entry").path()).expect("a file");
            file.set_modified(then).expect("an older file");
        }
    }
}

/// Makes what is marked look as if it had been marked some hours ago.
fn age_marks(store: &Path, hours: i64) {
    let path = store.join("gc/marked.json");
    let mut marks: Value = serde_json::from_slice(&fs::read(&path).expect("marks")).expect("JSON");
    for kind in ["snapshots", "objects"] {
        for since in marks[kind].as_object_mut().expect("a table").values_mut() {
            *since = value!(Timestamp::now() - SignedDuration::from_hours(hours));
        }
    }
    fs::write(&path, marks.to_string()).expect("older marks");
}

#[test]
fn what_is_unreachable_in_two_listings_a_grace_apart_goes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, files) = (url(path, "store"), path.join("store"));
    json(path, &["keygen", "key"]);
    let ids = ["one", "two", "three"].map(|name| build(path, name, name, None));
    for name in ["one", "two", "three"] {
        json(path, &["publish", "--store", &store, "--sign-key", "key", name]);
    }
    let trusting = |args: &[&str]| gc(path, &store, &[&["--trust", "key.pub"], args].concat());
    let opened = Store::directory(&files).expect("a store");
    let counts = |tally: &Value| (tally["snapshots"].as_u64(), tally["objects"].as_u64());
    let none = (Some(0), Some(0));
    // Its settings are those of the others.
    let first = (Some(1), Some(1));

    // A dry run says what it is, and changes nothing.
    age(&files, 3);
    let dry = trusting(&[]);
    assert_eq!((dry["event"].as_str(), counts(&dry["due"]), counts(&dry["later"])), (Some("dry_run"), none, first));
    assert_eq!(dry["kept_for"], value!({"channel": 1, "previous": 1}));
    assert!(!files.join("gc").exists());
    let text = run(path, &[&["gc", "--store", &store][..], &STRICT].concat());
    assert!(String::from_utf8_lossy(&text.stdout).contains("nothing was changed"), "{text:?}");
    // As it comes, everything is among the newest.
    let kept = json(path, &["gc", "--store", &store]);
    assert_eq!((counts(&kept["later"]), kept["kept_for"]["newest"].as_u64()), (none, Some(1)));

    // The first run marks; another within the grace lets it be.
    for _ in 0..2 {
        let marked = trusting(&["--apply"]);
        assert_eq!((counts(&marked["removed"]), counts(&marked["later"])), (none, first));
        assert!(marked["next_at"].is_string(), "{marked}");
    }
    assert_eq!(present(&opened), ids);
    // What was written again since it was marked was needed in between.
    age_marks(&files, 2);
    age(&files, 1);
    assert_eq!(counts(&trusting(&["--apply"])["removed"]), none);
    age(&files, 3);
    age_marks(&files, 2);
    assert_eq!(counts(&trusting(&[])["due"]), first, "a dry run knows the marks");
    assert_eq!(present(&opened), ids);
    assert_eq!(counts(&trusting(&["--apply"])["removed"]), first);
    assert_eq!(present(&opened), ids[1..]);
    let signatures: Vec<_> = fs::read_dir(files.join("signatures")).expect("signatures").collect();
    assert_eq!(signatures.len(), 2, "its signature went along");
    assert!(!files.join("gc/marked.json").exists(), "no marks are left");
    assert_eq!(fs::read_dir(files.join("sweeps")).expect("sweeps").count(), 0);

    // In one run, with the grace in between.
    json(path, &["publish", "--store", &store, "--sign-key", "key", "one"]);
    age(&files, 3);
    let swept = trusting(&["--apply", "--wait", "--grace-s", "1"]);
    assert_eq!(counts(&swept["removed"]), first);
    assert_eq!(present(&opened), [ids[0].clone(), ids[2].clone()]);
    json(path, &["show", "--store", &store, "--trust", "key.pub"]);
    // What went can be published again.
    json(path, &["publish", "--store", &store, "--sign-key", "key", "two"]);
    assert_eq!(present(&opened), ids);
}

fn served(snapshot: &str) -> NodeStatus {
    let served = ServedStatus {
        catalogue: "shop".into(),
        snapshot: id(snapshot),
        sequence: 1,
        followed: Followed::Channel,
        since: Timestamp::now(),
        traffic: Traffic::default(),
        times_us: Times::default(),
    };
    let market = MarketStatus {
        market: "us".into(),
        channel: "live".into(),
        served: Some(served),
        fault: None,
        contact_age_s: None,
    };
    NodeStatus {
        node: "n1".into(),
        region: "west".parse().expect("a name"),
        version: "1".into(),
        started_at: Timestamp::now(),
        reported_at: Timestamp::now(),
        draining: false,
        markets: vec![market],
    }
}

#[test]
fn pins_canaries_leases_and_nodes_hold_what_they_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, status) = (url(path, "store"), url(path, "status"));
    let names = ["nothing", "pinned", "tried", "leased", "expired", "served", "previous", "live"];
    let ids = names.map(|name| build(path, name, name, None));
    for name in names {
        json(path, &["publish", "--store", &store, name]);
    }
    let [_, pinned, tried, leased, expired, serving, previous, live] = &ids;
    let opened = Store::directory(&path.join("store")).expect("a store");
    json(path, &["pin", "--force", "--store", &store, "west", "--to", pinned]);
    block(async {
        let canary = Pointer { nodes: vec!["n1".into()], ..Pointer::new(id(tried), 1) };
        opened.move_pointer(&ChannelName::canary(), None, &canary).await.expect("a canary");
        let lease = Lease::of(&opened.get_manifest(&id(leased)).await.expect("a manifest"));
        opened.put_lease("young", &lease).await.expect("a lease");
        let lease = Lease::of(&opened.get_manifest(&id(expired)).await.expect("a manifest"));
        let taken_at = Timestamp::now() - SignedDuration::from_hours(25);
        opened.put_lease("old", &Lease { taken_at, ..lease }).await.expect("a lease");
        let board = StatusBoard::new(Store::directory(&path.join("status")).expect("a store"));
        board.write(&served(serving)).await.expect("a status");
    });

    let swept = gc(path, &store, &[&AT_ONCE[..], &["--status-store", &status]].concat());
    let reasons = value!({"channel": 1, "canary": 1, "pin": 1, "previous": 1, "lease": 1, "node": 1});
    assert_eq!((&swept["kept_for"], &swept["expired_leases"]), (&reasons, &value!(["old"])));
    assert_eq!((swept["leases"].as_u64(), swept["removed"]["snapshots"].as_u64()), (Some(1), Some(2)));
    assert_eq!(present(&opened), [pinned, tried, leased, serving, previous, live].map(String::clone));
    assert_eq!(block(opened.list_leases()).expect("leases"), ["young"], "a lease that has expired goes");

    // Let go, they go.
    json(path, &["unpin", "--store", &store, "west"]);
    json(path, &["withdraw", "--store", &store]);
    block(opened.delete_lease("young")).expect("no lease");
    assert_eq!(gc(path, &store, &AT_ONCE)["removed"]["snapshots"], 4);
    assert_eq!(present(&opened), [previous, live].map(String::clone));
    assert_eq!(gc(path, &store, &AT_ONCE)["removed"]["snapshots"], 0);
}

#[test]
fn what_cannot_be_read_keeps_everything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let ids = ["zero", "one", "two", "three"].map(|name| build(path, name, name, None));
    for name in ["zero", "one", "two", "three"] {
        json(path, &["publish", "--store", &store, name]);
    }
    let manifest = |id: &str| path.join("store/snapshots").join(format!("{id}.json"));
    let damage = |id: &str, from: &str, to: &str| {
        let text = fs::read_to_string(manifest(id)).expect("a manifest");
        fs::write(manifest(id), text.replace(from, to)).expect("damage");
        text
    };
    let sweep = ["gc", "--store", &store, "--keep", "3", "--keep-days", "0", "--apply", "--grace-s", "0"];
    let objects = || fs::read_dir(path.join("store/objects")).expect("objects").count();
    let before = objects();
    // The newest three are kept, the oldest of them for nothing else.
    for (from, to) in [("\"shop\"", "\"shap\""), ("\"format_version\": ", "\"format_version\": 9")] {
        let whole = damage(&ids[1], from, to);
        let refused = fails(path, &sweep);
        assert!(refused.contains("nothing is removed") && refused.contains("--ignore-manifest"), "{refused}");
        assert!(refused.contains(&ids[1]), "{refused}");
        fs::write(manifest(&ids[1]), whole).expect("it is mended");
    }
    json(path, &["keygen", "key"]);
    let refused = fails(path, &[&sweep[..], &["--trust", "key.pub"]].concat());
    assert!(refused.contains("is not trusted"), "{refused}");
    assert_eq!(objects(), before);

    // What is pointed at cannot be let go of.
    let whole = damage(&ids[3], "\"shop\"", "\"shap\"");
    let refused = fails(path, &[&sweep[..], &["--ignore-manifest", &ids[3]]].concat());
    assert!(refused.contains("roll back"), "{refused}");
    fs::write(manifest(&ids[3]), whole).expect("it is mended");
    fs::write(path.join("store/leases/broken.json"), "{").expect("a damaged lease");
    assert!(fails(path, &sweep).contains("lease broken"));
    fs::remove_file(path.join("store/leases/broken.json")).expect("it goes");
    assert_eq!(objects(), before);

    damage(&ids[1], "\"shop\"", "\"shap\"");
    let swept = json(path, &[&sweep[..], &["--ignore-manifest", &ids[1]]].concat());
    assert_eq!(swept["removed"]["objects"], 2, "{swept}");
    assert!(manifest(&ids[1]).exists(), "itself it stays");
    assert!(!manifest(&ids[0]).exists(), "what is not kept need not be read");
}

#[test]
fn a_publish_waits_for_a_sweep_that_condemns_what_it_needs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let ids = ["one", "two"].map(|name| build(path, name, name, None));
    json(path, &["publish", "--store", &store, "one"]);
    json(path, &["publish", "--store", &store, "two"]);
    let opened = Store::directory(&path.join("store")).expect("a store");
    let sweep = |minutes: i64| Sweep {
        until: Timestamp::now() + SignedDuration::from_mins(minutes),
        snapshots: [id(&ids[0])].into(),
        objects: BTreeSet::new(),
    };
    block(opened.put_sweep("dead", &sweep(-1))).expect("a sweep that is over");
    block(opened.put_sweep("alive", &sweep(10))).expect("a sweep");
    let mut waiting = Publishing::start(indexer().current_dir(path).args(["--json", "rollback", "--store", &store]));
    assert!(waiting.waits_or_ends(), "it waits");
    assert_eq!(json(path, &["show", "--store", &store])["id"], ids[1].as_str());
    block(opened.delete_sweep("alive")).expect("it lets go");
    waiting.succeeds();
    assert_eq!(json(path, &["show", "--store", &store])["id"], ids[0].as_str());
    gc(path, &store, &["--apply"]);
    assert!(block(opened.list_sweeps()).expect("sweeps").is_empty(), "one that is over is tidied away");
}

/// A command that runs beside another one.
pub struct Publishing {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Publishing {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the indexer runs");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, lines }
    }

    /// Returns true once it waits for a sweep, and false once it has ended.
    pub fn waits_or_ends(&mut self) -> bool {
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("a line") > 0 {
            if line.contains("waiting until it lets go") {
                return true;
            }
            line.clear();
        }
        false
    }

    pub fn succeeds(mut self) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("the rest");
        assert!(self.child.wait().expect("it ends").success(), "{rest}");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn a_store_that_was_backed_up_and_restored_serves_as_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, copy) = (url(path, "store"), url(path, "copy"));
    let ids = ["one", "two", "three"].map(|name| build(path, name, name, None));
    json(path, &["keygen", "key"]);
    for name in ["one", "two"] {
        json(path, &["publish", "--store", &store, "--sign-key", "key", name]);
    }
    json(path, &["pin", "--force", "--store", &store, "--sign-key", "key", "west", "--to", &ids[0]]);
    // As README.md says. What points is backed up first, since what it points at is there by then, and restored last.
    let kinds = ["pins", "channels", "signatures", "snapshots", "objects"];
    kinds.iter().for_each(|kind| copy_folder(&path.join("store").join(kind), &path.join("backup").join(kind)));
    kinds.iter().rev().for_each(|kind| copy_folder(&path.join("backup").join(kind), &path.join("copy").join(kind)));
    fs::remove_dir_all(path.join("store")).expect("the store is lost");
    let trust = ["--trust", "key.pub"];
    let shown = json(path, &[&["show", "--store", &copy][..], &trust].concat());
    assert_eq!(shown["id"], ids[1].as_str());
    assert_eq!(present(&Store::directory(&path.join("copy")).expect("a store")), ids[..2]);
    let sign = ["--trust", "key.pub", "--sign-key", "key"];
    let back = json(path, &[&["rollback", "--store", &copy][..], &sign].concat());
    assert_eq!((back["snapshot"].as_str(), back["sequence"].as_u64()), (Some(ids[0].as_str()), Some(3)));
    json(path, &[&["resume", "--store", &copy][..], &sign].concat());
    let published = json(path, &[&["publish", "--store", &copy][..], &sign, &["three"]].concat());
    assert_eq!((published["sequence"].as_u64(), published["uploaded_objects"].as_u64()), (Some(5), Some(1)));
    assert_eq!(gc(path, &copy, &[&trust[..], &AT_ONCE].concat())["kept_for"]["pin"], 1);
}
