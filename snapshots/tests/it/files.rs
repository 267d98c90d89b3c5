//! Files that others leave in a store, in their order, and what is too large for one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use snapshots::{Digest, Inbox, ObjectRef, Role, Store};
use test_servers::{Azurite, Moment, Passing, Proxy};

/// The names of the next files behind one.
async fn names_after(inbox: &Inbox, after: Option<&str>, most: usize) -> Vec<String> {
    inbox.look(after, Timestamp::UNIX_EPOCH, most).await.expect("names").next
}

/// A directory is listed in no order. Where only some of its names are looked at, the first may not be among them, and
/// whoever goes on behind the last of those never comes back for it.
#[tokio::test]
async fn files_are_taken_in_order_however_many_there_are() {
    const FILES: usize = 12_000;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = |number: usize| format!("{number:05}.jsonl");
    // Neither in their order nor in its reverse.
    for number in (0..FILES).map(|number| number * 7_919 % FILES) {
        std::fs::write(folder.path().join(name(number)), "").expect("a file");
    }
    let inbox = Inbox::new(Store::directory(folder.path()).expect("a store"));
    let names = |from: usize, to: usize| (from..to).map(name).collect::<Vec<_>>();
    assert_eq!(names_after(&inbox, None, 1_000).await, names(0, 1_000));
    assert_eq!(names_after(&inbox, Some(&name(999)), 500).await, names(1_000, 1_500));
    assert_eq!(names_after(&inbox, Some(&name(11_997)), 500).await, names(11_998, FILES));
}

/// Blob storage was relied on to begin its list behind a file, which not every version of it does: the first files came again
/// and again, and where they were many, no newer one ever did.
#[tokio::test]
async fn files_in_blob_storage_are_taken_behind_the_last_one() {
    let azurite = Azurite::start();
    // What is a store's object is a file of an inbox to whoever looks at its folder.
    let store = Store::open(&azurite.url("inbox"), &azurite.settings()).expect("a store");
    let mut files = Vec::new();
    for text in ["one", "two", "three", "four"] {
        let digest = Digest::of(text.as_bytes());
        store.put_object(&digest, text.into()).await.expect("a file");
        files.push(digest.to_string());
    }
    files.sort_unstable();
    let inbox = Store::open(&azurite.url("inbox/objects"), &azurite.settings()).expect("a store");
    let inbox = Inbox::new(inbox);
    assert_eq!(names_after(&inbox, None, 2).await, files[..2]);
    assert_eq!(names_after(&inbox, Some(&files[1]), 9).await, files[2..]);
    assert!(names_after(&inbox, Some(&files[3]), 9).await.is_empty());
}

#[tokio::test]
async fn files_may_be_called_anything_and_unfinished_ones_keep_no_others_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inbox = Inbox::new(Store::directory(folder.path()).expect("a store"));
    for name in [".a", "1.tmp", "2.partial", "3 [x] ~#100%.jsonl", "4 é?.jsonl", "5.jsonl"] {
        std::fs::write(folder.path().join(name), name).expect("a file");
    }
    let first = names_after(&inbox, None, 2).await;
    assert_eq!(first, ["3 [x] ~#100%.jsonl", "4 é?.jsonl"]);
    let to = folder.path().join(".fetched");
    for name in &first {
        inbox.fetch(name, &to).await.expect("its bytes");
        assert_eq!(std::fs::read_to_string(&to).expect("text"), *name);
    }
    assert_eq!(names_after(&inbox, Some(&first[0]), 9).await, ["4 é?.jsonl", "5.jsonl"]);
    assert_eq!(names_after(&inbox, Some(&first[1]), 9).await, ["5.jsonl"]);
}

/// What is large was one request, which ends after two minutes: over a slow line it never came, and it was all in memory.
#[tokio::test]
async fn what_is_large_comes_in_ranges() {
    let azurite = Azurite::start();
    let gets: Arc<AtomicUsize> = Arc::default();
    let hook = {
        let gets = gets.clone();
        move |passing: &Passing| {
            let is_get = passing.moment == Moment::Before && passing.line.starts_with("GET ");
            gets.fetch_add(usize::from(is_get), Ordering::SeqCst);
            true
        }
    };
    let proxy = Proxy::start(azurite.address(), hook);
    let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
    let settings = azurite.settings_through(&endpoint);
    let store = Store::open(&azurite.url("large"), &settings).expect("a store");
    let bytes: Vec<u8> = (0..40_000_000_u32).map(|n| (n % 251) as u8).collect();
    let object = ObjectRef { role: Role::Segment, blake3: Digest::of(&bytes), size_bytes: bytes.len() as u64 };
    store.put_object(&object.blake3, bytes.clone().into()).await.expect("a large object");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let mapped = store.map_object(&object, &folder.path().join("object")).await.expect("the object");
    assert!(mapped == bytes);
    assert!(gets.swap(0, Ordering::SeqCst) >= 5, "8 MiB each");
    let inbox = Inbox::new(Store::open(&azurite.url("large/objects"), &settings).expect("a store"));
    let file = folder.path().join("file");
    inbox.fetch(&object.blake3.to_string(), &file).await.expect("the file");
    assert!(std::fs::read(&file).expect("its bytes") == bytes);
    assert!(gets.load(Ordering::SeqCst) >= 5, "8 MiB each");
}
