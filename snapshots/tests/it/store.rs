//! The store's contract: one suite, which a directory, memory and Azurite pass.

use std::time::Duration;

use azurite::Azurite;
use snapshots::{
    ChannelName, Digest, Error, Manifest, ObjectRef, Pointer, PointerState, ReadPointer, Role, SegmentRef, SnapshotId,
    Statistics, Store, Watcher,
};

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("file://{}/new", folder.path().display());
    assert!(Store::open(&url, &[]).expect_err("it is not there").to_string().contains("there is no folder"));
    Store::create(&url, &[]).expect("a new store");
    check_contract(&Store::open(&url, &[]).expect("a store")).await;
    // A second process on the same directory sees the same.
    let again = Store::open(&url, &[]).expect("a store");
    assert_eq!(again.list_channels().await.expect("channels").len(), 1);
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
    store.put_lease("publish-1", b"{}".to_vec()).await.expect("a lease");
    store.delete_lease("publish-1").await.expect("no lease");
    store.delete_lease("publish-1").await.expect("a lease that is gone is no error");
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

fn manifest(day: u32) -> Manifest {
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

fn pointer(snapshot: &str, sequence: u64) -> Pointer {
    let announced_at = "2026-01-01T00:00:00Z".parse().expect("a time");
    Pointer { snapshot: snapshot.parse().expect("an id"), sequence, announced_at, held: false }
}

async fn read(store: &Store, channel: &ChannelName) -> ReadPointer {
    match store.read_pointer(channel, None).await.expect("a pointer") {
        PointerState::Moved(read) => read,
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
    // A client that did not hear of its own success tries again, and that is no conflict.
    store.move_pointer(&live, Some(&first), &pointer("b", 2)).await.expect("its own move");
    assert_eq!(store.list_channels().await.expect("channels"), [live]);
}

async fn a_watcher_sees_each_move_once(store: &Store) {
    let live = ChannelName::live();
    let mut watcher = Watcher::new(store.clone(), live.clone(), Duration::from_secs(5));
    let PointerState::Moved(seen) = watcher.poll().await.expect("a poll") else { panic!("nothing there") };
    assert!(matches!(watcher.poll().await, Ok(PointerState::Moved(_))), "until it is accepted, it is told again");
    watcher.accept(&seen);
    assert!(matches!(watcher.poll().await, Ok(PointerState::Unchanged)));
    store.move_pointer(&live, Some(&seen), &pointer("c", 3)).await.expect("a move");
    let PointerState::Moved(moved) = watcher.poll().await.expect("a poll") else { panic!("it has not moved") };
    assert_eq!(moved.pointer, pointer("c", 3));
    let calm: Vec<Duration> = (0..100).map(|_| watcher.pause()).collect();
    assert!(calm.iter().all(|pause| (4_000..=6_000).contains(&pause.as_millis())), "five seconds give or take a fifth");
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
