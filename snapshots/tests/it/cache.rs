//! What a node keeps: nothing is read in place that was not checked as what it is.

use snapshots::{Cache, Digest, Error, ObjectRef, Role, Store};

/// The bytes of a segment that is none can be published as rules first, which are any text.
#[tokio::test]
async fn what_came_as_something_else_is_no_segment() {
    let text = "no segment at all";
    let store = Store::open("memory://", &[]).expect("a store");
    let blake3 = Digest::of(text.as_bytes());
    store.put_object(&blake3, text.into()).await.expect("an object");
    let object = |role| ObjectRef { role, blake3, size_bytes: text.len() as u64 };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..2 {
        // Also after a restart, when the bytes are there already.
        let cache = Cache::open(folder.path()).expect("a cache");
        let rules = cache.install(&store, &object(Role::Rules)).await.expect("any text is rules");
        assert_eq!(std::fs::read_to_string(rules.path()).expect("text"), text);
        assert!(cache.installed(&object(Role::Segment)).expect("an answer").is_none());
        let refused = cache.install(&store, &object(Role::Segment)).await;
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    }
    let cache = Cache::open(folder.path()).expect("a cache");
    assert_eq!(cache.retain(&Default::default()), 1, "whatever the name, it goes when nothing needs it");
}

#[test]
fn a_file_is_checked_before_it_is_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
    let file = folder.path().join("file");
    std::fs::write(&file, "some rules").expect("a file");
    let rules = |text: &str| ObjectRef {
        role: Role::Rules,
        blake3: Digest::of(text.as_bytes()),
        size_bytes: text.len() as u64,
    };
    let refused = cache.take(&rules("other rules"), &file);
    assert!(matches!(refused, Err(Error::DigestMismatch { .. })), "{refused:?}");
    let refused = cache.take(&ObjectRef { role: Role::Segment, ..rules("some rules") }, &file);
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    assert!(file.exists(), "what is refused stays where it is");
    cache.take(&rules("some rules"), &file).expect("they are what they should be");
    assert!(!file.exists());
    let installed = cache.installed(&rules("some rules")).expect("an answer").expect("they are here");
    assert_eq!(std::fs::read_to_string(installed.path()).expect("text"), "some rules");
}
