//! The store's contract: one suite, which a directory, memory and Azurite pass.

use std::time::Duration;

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use snapshots::{
    ChannelName, Digest, Error, Followed, Lease, ListedObject, Manifest, Marks, NodeStatus, ObjectRef, Place, Pointer,
    PointerState, ReadPointer, RegionName, Role, SegmentRef, SigningKey, SnapshotId, Statistics, StatusBoard, Store,
    Sweep, Target, Watcher,
};
use test_servers::Azurite;

use crate::trusting::only_the_trusted_are_read;

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("file://{}/new", folder.path().display());
    assert!(Store::open(&url, &[]).expect_err("it is not there").to_string().contains("there is no folder"));
    Store::create(&url, &[]).expect("a new store");
    check_contract(&Store::open(&url, &[]).expect("a store")).await;
    // A second process on the same directory sees the same.
    let again = Store::open(&url, &[]).expect("a store");
    assert_eq!(again.list_channels().await.expect("channels").len(), 4);
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    check_contract(&Store::open("memory://", &[]).expect("a store")).await;
}

#[tokio::test]
async fn azurite_keeps_the_contract() {
    let azurite = Azurite::start();
    check_contract(&Store::open(&azurite.url("shop/us"), &azurite.settings()).expect("a store")).await;
    // A prefix is a store of its own.
    let other = Store::open(&azurite.url("shop/eu"), &azurite.settings()).expect("a store");
    assert!(other.list_snapshots().await.expect("an empty list").is_empty());
}

async fn check_contract(store: &Store) {
    objects_are_written_once(store).await;
    large_objects_go_up_in_parts(store).await;
    manifests_are_written_once(store).await;
    pointers_move_by_compare_and_swap(store).await;
    a_watcher_sees_each_move_once(store).await;
    one_of_many_racing_moves_wins(store).await;
    pins_and_canaries_come_first(store).await;
    a_pin_can_be_lifted_and_set_again(store).await;
    older_copies_are_not_followed(store).await;
    only_the_trusted_are_read(store).await;
    what_cannot_be_read_is_written_anew(store).await;
    nodes_tell_what_they_serve(store).await;
    let lease = Lease::of(&manifest(3));
    store.put_lease("publish-1", &lease).await.expect("a lease");
    // A client that did not hear of its own success tries again, and that is no conflict.
    store.put_lease("publish-1", &lease).await.expect("its own lease");
    let other = store.put_lease("publish-1", &Lease::of(&manifest(4))).await;
    assert!(matches!(other, Err(Error::Exists(_))), "{other:?}");
    assert_eq!(store.list_leases().await.expect("leases"), ["publish-1"]);
    assert_eq!(store.get_lease("publish-1").await.expect("the lease"), lease);
    store.delete_lease("publish-1").await.expect("no lease");
    store.delete_lease("publish-1").await.expect("a lease that is gone is no error");
    what_is_there_is_listed_and_removed(store).await;
    sweeps_and_marks_are_kept(store).await;
}

async fn what_is_there_is_listed_and_removed(store: &Store) {
    let key = SigningKey::from_pem(&SigningKey::generate().expect("a key").0).expect("a key");
    let signed = manifest(9);
    store.clone().signing(Some(key)).put_manifest(&signed).await.expect("a manifest");
    let digest = Digest::of(b"to be removed");
    store.put_object(&digest, "to be removed".into()).await.expect("an object");

    let listed: Vec<ListedObject> = store.list_objects().try_collect().await.expect("objects");
    let object = listed.iter().find(|object| object.digest == digest).expect("the object");
    assert_eq!(object.size_bytes, 13);
    let age = Timestamp::now().duration_since(object.modified_at);
    assert!((-5..60).contains(&age.as_secs()), "{age}");
    let manifests = store.list_manifests().await.expect("manifests");
    assert!(manifests.is_sorted_by_key(|listed| &listed.id));
    let found = manifests.iter().find(|listed| listed.id == signed.id).expect("the manifest");
    assert!(found.has_manifest && found.size_bytes > signed.to_json().len() as u64, "its signature counts too");

    for _ in 0..2 {
        store.delete_object(&digest).await.expect("what is gone is no error");
        store.delete_manifest(found).await.expect("what is gone is no error");
    }
    assert_eq!(store.object_size(&digest).await.expect("an answer"), None);
    assert!(matches!(store.get_manifest(&signed.id).await, Err(Error::NotFound(_))));
    let manifests = store.list_manifests().await.expect("manifests");
    assert!(manifests.iter().all(|listed| listed.id != signed.id), "no signature is left");
}

async fn sweeps_and_marks_are_kept(store: &Store) {
    let made_of = manifest(3);
    let mut sweep =
        Sweep { until: Timestamp::now(), snapshots: Default::default(), objects: [Digest::of(b"other")].into() };
    store.put_sweep("run", &sweep).await.expect("a sweep");
    assert!(!sweep.condemns(&made_of));
    sweep.objects.insert(made_of.objects[0].blake3);
    store.put_sweep("run", &sweep).await.expect("a sweep says something else");
    assert_eq!(store.list_sweeps().await.expect("sweeps"), ["run"]);
    assert_eq!(store.get_sweep("run").await.expect("the sweep"), sweep);
    assert!(sweep.condemns(&made_of));
    store.delete_sweep("run").await.expect("no sweep");
    store.delete_sweep("run").await.expect("a sweep that is gone is no error");

    assert!(store.get_marks().await.expect("no marks").is_empty());
    let now = Timestamp::now();
    let marks = Marks { snapshots: [(made_of.id, now)].into(), objects: [(Digest::of(b"other"), now)].into() };
    store.put_marks(&marks).await.expect("marks");
    assert_eq!(store.get_marks().await.expect("the marks"), marks);
    store.put_marks(&Marks::default()).await.expect("no marks");
    assert!(store.get_marks().await.expect("no marks").is_empty());
}

async fn objects_are_written_once(store: &Store) {
    let digest = Digest::of(b"hello");
    assert_eq!(store.object_size(&digest).await.expect("an answer"), None);
    assert!(matches!(store.get_object(&digest).await, Err(Error::NotFound(_))));
    assert!(store.put_object(&digest, "hello".into()).await.expect("a new object"));
    assert!(!store.put_object(&digest, "other".into()).await.expect("an answer"), "it was there already");
    assert_eq!(store.object_size(&digest).await.expect("an answer"), Some(5));
    assert_eq!(store.get_object(&digest).await.expect("the object"), "hello");
    assert_eq!(store.get_object_range(&digest, 1..4).await.expect("a range"), "ell");
    assert_eq!(store.digest_of_object(&digest).await.expect("a digest"), digest);
}

async fn large_objects_go_up_in_parts(store: &Store) {
    let bytes: Vec<u8> = (0..40_000_000_u32).map(|n| (n % 251) as u8).collect();
    let digest = Digest::of(&bytes);
    assert!(store.put_object(&digest, bytes.clone().into()).await.expect("a large object"));
    assert!(!store.put_object(&digest, bytes.into()).await.expect("an answer"));
    assert_eq!(store.object_size(&digest).await.expect("an answer"), Some(40_000_000));
    assert_eq!(store.digest_of_object(&digest).await.expect("a digest"), digest);
}

pub fn manifest(day: u32) -> Manifest {
    let object = |role, text: &[u8]| ObjectRef { role, blake3: Digest::of(text), size_bytes: text.len() as u64 };
    let segment = SegmentRef { segment: Digest::of(b"segment"), liveness: None, product_count: 3, live_count: 3 };
    let mut manifest = Manifest {
        format_version: snapshots::FORMAT_VERSION,
        id: "unsealed".parse().expect("an id"),
        catalogue: "shop".into(),
        parent: None,
        created_at: format!("2026-01-{day:02}T00:00:00Z").parse().expect("a time"),
        builder_version: "test".into(),
        objects: vec![object(Role::Catalogue, b"settings"), object(Role::Segment, b"segment")],
        segments: vec![segment],
        statistics: Statistics { product_count: 3, ..Default::default() },
        validation: Default::default(),
        source_watermark: None,
    };
    manifest.seal();
    manifest
}

async fn manifests_are_written_once(store: &Store) {
    let (first, second) = (manifest(1), manifest(2));
    assert!(store.put_manifest(&second).await.expect("a manifest"));
    assert!(store.put_manifest(&first).await.expect("a manifest"));
    assert!(!store.put_manifest(&first).await.expect("the same again is no fault"));
    let other = Manifest { catalogue: "other".into(), ..first.clone() };
    assert!(matches!(store.put_manifest(&other).await, Err(Error::Exists(_))));
    assert_eq!(store.get_manifest(&first.id).await.expect("the manifest"), first);
    assert_eq!(store.list_snapshots().await.expect("a list"), [first.id, second.id]);
    let missing: SnapshotId = "nothing".parse().expect("an id");
    assert!(matches!(store.get_manifest(&missing).await, Err(Error::NotFound(_))));
    // A manifest that was changed after it was sealed is not taken for the one that its id names.
    let mut changed = Manifest { catalogue: "other".into(), ..manifest(3) };
    store.put_manifest(&changed).await.expect("a manifest");
    assert!(matches!(store.get_manifest(&changed.id).await, Err(Error::Corrupt { .. })));
    changed.seal();
    store.put_manifest(&changed).await.expect("a manifest");
    assert_eq!(store.get_manifest(&changed.id).await.expect("sealed"), changed);
}

pub fn pointer(snapshot: &str, sequence: u64) -> Pointer {
    let announced_at = "2026-01-01T00:00:00Z".parse().expect("a time");
    Pointer { announced_at, ..Pointer::new(snapshot.parse().expect("an id"), sequence).of_catalogue("shop") }
}

pub async fn read(store: &Store, channel: &ChannelName) -> ReadPointer {
    match store.read_pointer(channel, None).await.expect("a pointer") {
        PointerState::Moved(read) => *read,
        other => panic!("{other:?}"),
    }
}

async fn pointers_move_by_compare_and_swap(store: &Store) {
    let live = ChannelName::live();
    assert!(matches!(store.read_pointer(&live, None).await, Ok(PointerState::Missing)));
    store.move_pointer(&live, None, &pointer("a", 1)).await.expect("a first announcement");
    let first = read(store, &live).await;
    assert_eq!(first.pointer, pointer("a", 1));
    let again = store.read_pointer(&live, Some(first.version())).await;
    assert!(matches!(again, Ok(PointerState::Unchanged)), "{again:?}");
    store.move_pointer(&live, Some(&first), &pointer("b", 2)).await.expect("a second announcement");
    assert_eq!(read(store, &live).await.pointer, pointer("b", 2));
    // Whoever saw an older state is told what is there now.
    for stale in [Some(&first), None] {
        let error = store.move_pointer(&live, stale, &pointer("c", 2)).await.expect_err("a conflict");
        assert!(matches!(&error, Error::Conflict { now, .. } if now == "b (sequence 2)"), "{error}");
        assert!(!error.is_transient());
    }
    // Nor is anything written that nobody could read: then neither nodes nor publishers would get past it.
    let long = Pointer { reason: Some("x".repeat(64 * 1024)), ..pointer("c", 3) };
    let seen = read(store, &live).await;
    let refused = store.move_pointer(&live, Some(&seen), &long).await;
    assert!(matches!(refused, Err(Error::Unreadable { .. })), "{refused:?}");
    assert_eq!(read(store, &live).await.pointer, pointer("b", 2));
    // A client that did not hear of its own success tries again, and that is no conflict.
    store.move_pointer(&live, Some(&first), &pointer("b", 2)).await.expect("its own move");
    assert_eq!(store.list_channels().await.expect("channels"), [live]);
}

async fn a_watcher_sees_each_move_once(store: &Store) {
    let live = ChannelName::live();
    let mut watcher = Watcher::new(store.clone(), live.clone(), Place::default(), Duration::from_secs(5));
    let target = |pointer: Pointer, followed| Some(Target { pointer, followed });
    let mut check = async |expected| assert_eq!(watcher.poll().await.expect("a poll"), expected);
    check(target(pointer("b", 2), Followed::Channel)).await;
    check(target(pointer("b", 2), Followed::Channel)).await;
    let seen = read(store, &live).await;
    store.move_pointer(&live, Some(&seen), &pointer("c", 3)).await.expect("a move");
    check(target(pointer("c", 3), Followed::Channel)).await;
    let calm: Vec<Duration> = (0..100).map(|_| watcher.pause()).collect();
    assert!(calm.iter().all(|pause| (4_000..=6_000).contains(&pause.as_millis())), "five seconds give or take a fifth");
}

/// A pin comes before a canary, and a canary before the channel.
async fn pins_and_canaries_come_first(store: &Store) {
    let (live, canary) = (ChannelName::live(), ChannelName::canary());
    let region: RegionName = "westeurope".parse().expect("a name");
    let place = Place { region: Some(region.clone()), node: Some("n1".into()) };
    let mut watcher = Watcher::new(store.clone(), live.clone(), place, Duration::from_secs(5));
    let mut check = async |snapshot: &str, followed| {
        let target = watcher.poll().await.expect("a poll").expect("a target");
        assert_eq!((target.pointer.snapshot.as_str(), target.followed), (snapshot, followed));
    };
    let current = read(store, &live).await.pointer.snapshot.to_string();
    check(&current, Followed::Channel).await;
    let of = |nodes: &[&str], sequence| Pointer {
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        ..pointer("tried", sequence)
    };
    store.move_pointer(&canary, None, &of(&["westeurope/n2", "eastus/n1"], 1)).await.expect("a canary");
    check(&current, Followed::Channel).await;
    let seen = read(store, &canary).await;
    store.move_pointer(&canary, Some(&seen), &of(&["westeurope/n2", "westeurope/n1"], 2)).await.expect("a canary");
    check("tried", Followed::Canary).await;
    store.move_pointer(&region, None, &pointer("pinned", 9)).await.expect("a pin");
    assert_eq!(store.list_pins().await.expect("pins"), std::slice::from_ref(&region));
    check("pinned", Followed::Pin).await;
    assert!(store.unpin(&region).await.expect("no pin"));
    assert!(!store.unpin(&region).await.expect("no pin"));
    // A pin that was lifted begins anew: lower sequences were taken for old copies, and nothing was followed any more.
    let again = Pointer { announced_at: Timestamp::now(), ..pointer("pinned-again", 1) };
    store.move_pointer(&region, None, &again).await.expect("a pin");
    check("pinned-again", Followed::Pin).await;
    assert!(store.unpin(&region).await.expect("no pin"));
    check("tried", Followed::Canary).await;
    let seen = read(store, &canary).await;
    let over = Pointer { until: Some("2026-01-02T00:00:00Z".parse().expect("a time")), ..of(&["n1"], 3) };
    store.move_pointer(&canary, Some(&seen), &over).await.expect("a canary that is over");
    check(&current, Followed::Channel).await;
}

/// A pin that is lifted leaves nothing behind, so that the next one has the first sequence again.
async fn a_pin_can_be_lifted_and_set_again(store: &Store) {
    let region: RegionName = "eastus".parse().expect("a name");
    let place = Place { region: Some(region.clone()), node: None };
    let mut watcher = Watcher::new(store.clone(), ChannelName::live(), place, Duration::from_secs(5));
    let at = |snapshot: &str, sequence, hour: u32| {
        let announced_at = format!("2026-01-01T{hour:02}:00:00Z").parse().expect("a time");
        Pointer { announced_at, ..Pointer::new(snapshot.parse().expect("an id"), sequence) }
    };
    let pinned = |target: Option<Target>| target.map(|target| (target.pointer.snapshot.to_string(), target.followed));
    store.move_pointer(&region, None, &at("first", 1, 1)).await.expect("a pin");
    let first = store.pointer(&region).await.expect("a pointer").expect("a pin");
    store.move_pointer(&region, Some(&first), &at("second", 2, 2)).await.expect("another pin");
    let second = watcher.poll().await.expect("a poll");
    assert_eq!(pinned(second), Some(("second".to_owned(), Followed::Pin)));

    // Whether the node has seen in between that the region was not pinned makes no difference.
    assert!(store.unpin(&region).await.expect("no pin"));
    store.move_pointer(&region, None, &at("third", 1, 3)).await.expect("a pin");
    let third = watcher.poll().await.expect("a lower sequence that is no older copy");
    assert_eq!(pinned(third), Some(("third".to_owned(), Followed::Pin)));
    let third = store.pointer(&region).await.expect("a pointer").expect("a pin");
    store.move_pointer(&region, Some(&third), &at("fourth", 2, 4)).await.expect("another pin");
    assert!(watcher.poll().await.is_ok());

    // An older copy is followed no more than one of a channel.
    assert!(store.unpin(&region).await.expect("no pin"));
    store.move_pointer(&region, None, &at("third", 1, 3)).await.expect("an old pin, replayed");
    assert!(matches!(watcher.poll().await, Err(Error::Older { announced: 1, seen: 2 })));
    assert!(store.unpin(&region).await.expect("no pin"));
}

/// A copy of a pointer that is behind what was seen is not followed, not even after a restart.
async fn older_copies_are_not_followed(store: &Store) {
    let live = ChannelName::live();
    let served = Target { pointer: pointer("z", 99), followed: Followed::Channel };
    let mut watcher = Watcher::new(store.clone(), live, Place::default(), Duration::from_secs(5));
    watcher.remember(&served);
    assert!(matches!(watcher.poll().await, Err(Error::Older { seen: 99, .. })));
}

/// Retention gave up on so many, and only retention removes those of runs that died.
#[tokio::test]
async fn many_leases_are_listed() {
    let store = Store::open("memory://", &[]).expect("a store");
    let lease = Lease::of(&manifest(1));
    for number in 0..10_001 {
        store.put_lease(&number.to_string(), &lease).await.expect("a lease");
    }
    assert_eq!(store.list_leases().await.expect("leases").len(), 10_001);
}

/// A store of so many was listed by nobody.
#[tokio::test]
async fn the_newest_of_many_snapshots_are_found() {
    let store = Store::open("memory://", &[]).expect("a store");
    let mut ids = Vec::new();
    for second in 0..10_001 {
        let created_at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let mut manifest = Manifest { created_at, ..manifest(1) };
        manifest.seal();
        store.put_manifest(&manifest).await.expect("a manifest");
        ids.push(manifest.id);
    }
    ids.reverse();
    assert!(store.list_snapshots().await.is_err(), "they are more than are listed");
    assert_eq!(store.newest_snapshots(3).await.expect("a list"), ids[..3]);
    assert_eq!(store.newest_snapshot().await.expect("an answer").as_ref(), ids.first());
}

async fn nodes_tell_what_they_serve(store: &Store) {
    let board = StatusBoard::new(store.clone());
    let status = |node: &str| NodeStatus {
        node: node.into(),
        region: "westeurope".parse().expect("a name"),
        version: "1".into(),
        started_at: Timestamp::now(),
        reported_at: Timestamp::now(),
        draining: false,
        markets: Vec::new(),
    };
    for node in ["b", "a", "b"] {
        board.write(&status(node)).await.expect("a status");
    }
    // Whoever tells more than is read is not heard, and keeps nobody else from being heard.
    board.write(&NodeStatus { version: "x".repeat(300 * 1024), ..status("c") }).await.expect("a status");
    let names = |nodes: Vec<NodeStatus>| nodes.into_iter().map(|status| status.node).collect::<Vec<_>>();
    assert_eq!(names(board.read_all().await.expect("statuses")), ["a", "b"]);
    board.remove(&status("a").region, "a").await.expect("no status");
    assert_eq!(names(board.read_all().await.expect("statuses")), ["b"]);
}

/// Whoever writes a damaged pointer anew writes over what was damaged, and over nothing that came to be there since.
async fn what_cannot_be_read_is_written_anew(store: &Store) {
    let channel: ChannelName = "damaged".parse().expect("a name");
    let version = async || store.unreadable_pointer(&channel).await.expect("an answer");
    let written = |snapshot: &str, sequence| store.written(&channel, &pointer(snapshot, sequence)).expect("a pointer");
    assert_eq!(version().await, None, "there is none");
    store.move_pointer(&channel, None, &pointer("a", 1)).await.expect("a pointer");
    assert_eq!(version().await, None, "it can be read");
    // Of another catalogue is as good as damaged, and needs no bytes to be broken.
    let other = store.clone().of_catalogue(Some("other".into()));
    let damaged = other.unreadable_pointer(&channel).await.expect("an answer").expect("what cannot be read");
    other.put_pointer(&channel, Some(&damaged), &written("b", 7)).await.expect("a pointer that is written anew");
    assert_eq!(read(store, &channel).await.pointer, pointer("b", 7));
    let late = other.put_pointer(&channel, Some(&damaged), &written("c", 8)).await;
    assert!(late.is_err(), "by now something else is there");
    assert_eq!(read(store, &channel).await.pointer, pointer("b", 7));
}

async fn one_of_many_racing_moves_wins(store: &Store) {
    let live = ChannelName::live();
    let seen = read(store, &live).await;
    let racers = (0..8).map(|racer| {
        let (store, live, seen) = (store.clone(), live.clone(), seen.clone());
        tokio::spawn(
            async move { store.move_pointer(&live, Some(&seen), &pointer(&format!("racer-{racer}"), 4)).await },
        )
    });
    let racers: Vec<_> = racers.collect();
    let mut winners = 0;
    for racer in racers {
        match racer.await.expect("no panic") {
            Ok(()) => winners += 1,
            Err(Error::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(winners, 1);
    assert_eq!(read(store, &live).await.pointer.sequence, 4);
}

#[test]
fn urls_that_are_no_store_are_explained() {
    let check = |url: &str, reason: &str| {
        let error = Store::open(url, &[]).expect_err(url).to_string();
        assert!(error.contains(reason), "{error}");
    };
    check("nonsense", "give file:///..., memory:// or az://...");
    check("s3://bucket", "'s3' is none of file, memory and az");
    check("file://host/x", "absolute");
}
