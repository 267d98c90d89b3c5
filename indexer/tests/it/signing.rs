//! Who signs, whose signatures are taken, and what becomes of them in other regions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use snapshots::{ChannelName, Followed, Place, Pointer, Store, Traffic, Trust, Watcher};

use crate::channels::url;
use crate::collecting::block;
use crate::command::{build_products, fails, json, run};
use crate::nodes::beside_nodes;
use crate::regions::live;

#[test]
fn keys_are_made_and_rotated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    build_products(path, "one", 3);
    json(path, &["keygen", "old"]);
    json(path, &["keygen", "new"]);
    assert!(fails(path, &["keygen", "old"]).contains("old"), "a key is never overwritten");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path.join("old")).expect("a key").permissions());
    assert_eq!(mode & 0o777, 0o600);

    json(path, &["publish", "--store", &store, "--sign-key", "old", "one"]);
    json(path, &["show", "--store", &store, "--trust", "old.pub"]);
    let refused = fails(path, &["show", "--store", &store, "--trust", "new.pub"]);
    assert!(refused.contains("is not trusted"), "{refused}");
    json(path, &["sign", "--store", &store, "--trust", "old.pub", "--sign-key", "new"]);
    json(path, &["show", "--store", &store, "--trust", "new.pub"]);
    json(path, &["show", "--store", &store, "--trust", "old.pub,new.pub"]);
    let refused = fails(path, &["show", "--store", &store, "--trust", "old.pub"]);
    assert!(refused.contains("is not trusted"), "the pointer is signed by one key: {refused}");
    assert!(fails(path, &["sign", "--store", &store]).contains("--sign-key"));
}

/// What was live before a key was changed is signed with the old one, which nodes no longer trust when it is gone back to
/// or pinned.
#[test]
fn what_is_gone_back_to_or_pinned_is_signed_with_the_key_of_today() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let [one, two, _] = ["one", "two", "three"].map(|name| build_products(path, name, 3));
    json(path, &["keygen", "old"]);
    json(path, &["keygen", "new"]);
    for name in ["one", "two", "three"] {
        json(path, &["publish", "--store", &store, "--sign-key", "old", name]);
    }
    json(path, &["sign", "--store", &store, "--trust", "old.pub", "--sign-key", "new"]);
    let opens = |name: &str| json(path, &["show", "--store", &store, "--trust", "new.pub", name]);
    let new = ["--store", &store, "--trust", "new.pub", "--sign-key", "new"];
    let both = ["--store", &store, "--trust", "old.pub,new.pub", "--sign-key", "new"];
    let refused = fails(path, &[&["rollback"][..], &new].concat());
    assert!(refused.contains("none of the trusted keys has signed it"), "{refused}");
    json(path, &[&["rollback"][..], &both].concat());
    assert_eq!(opens("live")["id"], two.as_str());
    assert!(fails(path, &[&["pin", "local", "--force", "--to", &one][..], &new].concat()).contains("is not trusted"));
    json(path, &[&["pin", "local", "--force", "--to", &one][..], &both].concat());
    opens(&one);
}

/// A pin was forgotten when keys were changed, and the edges of its region served nothing once they trusted the new one alone.
#[test]
fn a_pin_that_is_to_be_signed_anew_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, east) = (url(path, "store"), url(path, "east"));
    let region = format!("east={east}");
    let stores = ["--store", &store, "--region", &region];
    let one = build_products(path, "one", 3);
    ["old", "new"].iter().for_each(|name| drop(json(path, &["keygen", name])));
    json(path, &[&["publish", "--sign-key", "old", "one"][..], &stores].concat());
    json(path, &[&["pin", "east", "--to", &one, "--sign-key", "old"][..], &stores].concat());
    let public = fs::read_to_string(path.join("new.pub")).expect("a key");
    let trusting = Store::directory(&path.join("east")).expect("a store").trusting(Trust::from_pem(&public).ok());
    let place = Place { region: "east".parse().ok(), node: None };
    // As an edge that is started anew.
    let followed = || block(Watcher::new(trusting.clone(), ChannelName::live(), place.clone(), Duration::ZERO).poll());

    let both = ["--trust", "old.pub,new.pub", "--sign-key", "new"];
    let told = run(path, &[&["sign"][..], &stores, &both].concat());
    let told = String::from_utf8(told.stderr).expect("text");
    assert_eq!(told.matches("region east is pinned").count(), 1, "{told}");
    assert!(told.contains("'indexer pin east --to ID"), "{told}");
    assert!(followed().is_err(), "it is pinned by a key that is not trusted");
    json(path, &[&["pin", "east", "--to", &one][..], &stores, &both].concat());
    let target = followed().expect("an answer").expect("a target");
    assert_eq!((target.followed, target.pointer.snapshot.as_str()), (Followed::Pin, one.as_str()));
    json(path, &["show", "--store", &east, "--trust", "new.pub", &one]);
}

/// What was gone back to was announced with a key that it was not signed with, and no node followed.
#[test]
fn what_another_key_has_signed_is_not_gone_back_to_before_it_is_verified() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let [one, two] = ["one", "two"].map(|name| build_products(path, name, 3));
    ["old", "new"].iter().for_each(|name| drop(json(path, &["keygen", name])));
    for (name, key) in [("one", "old"), ("two", "new")] {
        json(path, &["publish", "--store", &store, "--sign-key", key, name]);
    }
    let new = ["--store", &store, "--sign-key", "new"];
    for command in [&["rollback"][..], &["rollback", "--dry-run"], &["pin", "local", "--force", "--to", &one]] {
        let refused = fails(path, &[command, &new].concat());
        assert!(refused.contains("is not signed with this key (--sign-key)"), "{command:?}: {refused}");
        assert!(refused.contains("(--trust)"), "{command:?}: {refused}");
    }
    assert_eq!(live(&store), (two.clone(), 2));
    // What it has signed itself it may pin.
    json(path, &[&["pin", "local", "--force", "--to", &two][..], &new].concat());
    // There may be no key to name.
    let three = build_products(path, "three", 3);
    json(path, &["publish", "--store", &store, "--channel", "preview", "three"]);
    let refused = fails(path, &[&["rollback", "--to", &three][..], &new].concat());
    assert!(refused.contains("Where nobody has signed it, publish it again from its folder"), "{refused}");
    json(path, &[&["publish", "three"][..], &new].concat());
    assert_eq!(live(&store), (three, 3));
}

/// A canary that was over before a key was changed had the status fail for good, and so retention, bringing up regions, and
/// the next canary.
#[test]
fn a_canary_of_an_old_key_is_told_and_is_no_damage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let one = build_products(path, "one", 3);
    ["old", "new"].iter().for_each(|name| drop(json(path, &["keygen", name])));
    json(path, &["publish", "--store", &store, "--sign-key", "old", "one"]);
    let opened = Store::directory(&path.join("store")).expect("a store");
    let pointer = Pointer { nodes: vec!["n1".into()], ..Pointer::new(one.parse().expect("an id"), 1) };
    block(opened.move_pointer(&ChannelName::canary(), None, &pointer)).expect("a canary");
    json(path, &["withdraw", "--store", &store, "--sign-key", "old"]);
    json(path, &["sign", "--store", &store, "--trust", "old.pub", "--sign-key", "new"]);
    let status = ["status", "--store", &store, "--trust", "new.pub"];
    let told = json(path, &status);
    let channels = told["channels"].as_array().expect("channels").iter();
    let faults = channels.map(|channel| (channel["channel"].as_str(), channel["fault"].is_string()));
    let faults: BTreeMap<_, _> = faults.collect();
    assert_eq!(faults, [(Some("canary"), true), (Some("live"), false)].into(), "{told}");

    json(path, &["gc", "--store", &store, "--trust", "new.pub"]);
    let region = format!("east={}", url(path, "east"));
    fs::create_dir(path.join("east")).expect("a folder");
    let sync = ["sync", "--store", &store, "--trust", "new.pub", "--region", &region];
    assert_eq!(json(path, &sync)["channels"].as_array().map(Vec::len), Some(2));
    assert_eq!(live(&url(path, "east")), live(&store));
    let new = ["--store", &store, "--trust", "new.pub", "--sign-key", "new"];
    let refused = fails(path, &[&["withdraw"][..], &new].concat());
    assert!(refused.contains("no canary is under way"), "{refused}");
    let two = build_products(path, "two", 4);
    let told_by = url(path, "status");
    let canary = ["publish", "--status-store", &told_by, "--canary", "5%", "--canary-window-s", "1", "two"];
    let fine = Traffic { requests: 500, ..Traffic::default() };
    let promoted = beside_nodes(path, None, [fine, fine], || json(path, &[&canary[..], &new].concat()));
    assert_eq!((promoted["event"].as_str(), promoted["snapshot"].as_str()), (Some("announced"), Some(two.as_str())));
    let last = block(opened.pointer(&ChannelName::canary())).expect("a pointer").expect("a canary").pointer;
    assert_eq!((last.sequence, last.nodes.len()), (4, 0), "nodes follow no sequence lower than the one they saw");
    fs::write(path.join("store/channels/live.json"), "{").expect("damage");
    fails(path, &status);
}

/// What was announced without a key need not say which catalogue it is of. Whoever came with a key could neither hold nor take
/// back any of that.
#[test]
fn what_does_not_name_its_catalogue_is_held_resumed_and_withdrawn_with_a_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let one = build_products(path, "one", 3);
    json(path, &["keygen", "key"]);
    json(path, &["publish", "--store", &store, "one"]);
    let opened = Store::directory(&path.join("store")).expect("a store");
    let channels = [ChannelName::live(), ChannelName::canary()];
    let read = |channel: &ChannelName| block(opened.pointer(channel)).expect("a pointer");
    for channel in &channels {
        let pointer = Pointer { nodes: vec!["n1".into()], ..Pointer::new(one.parse().expect("an id"), 7) };
        block(opened.move_pointer(channel, read(channel).as_ref(), &pointer)).expect("it is announced");
    }
    for command in ["hold", "resume", "withdraw"] {
        json(path, &[command, "--store", &store, "--sign-key", "key"]);
    }
    let catalogues = channels.map(|channel| read(&channel).and_then(|read| read.pointer.catalogue));
    assert_eq!(catalogues, [Some("shop".to_owned()), Some("shop".to_owned())]);
}

/// The files of a folder and what is in them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let read = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path()).expect("a file");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    entries.map(read).collect()
}

/// Whoever brought a region up signed its copies anew, or could not do so for want of a key.
#[test]
fn what_a_region_is_brought_is_signed_as_it_is_at_home() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, region) = (url(path, "home"), format!("east={}", url(path, "east")));
    let stores = ["--store", &home, "--region", &region];
    ["one", "two"].iter().for_each(|name| drop(build_products(path, name, 3)));
    ["key", "other"].iter().for_each(|name| drop(json(path, &["keygen", name])));
    fs::create_dir(path.join("east")).expect("a folder");
    let is_same = || {
        for kind in ["channels", "signatures"] {
            assert_eq!(files(&path.join("home").join(kind)), files(&path.join("east").join(kind)), "{kind}");
        }
    };
    json(path, &["publish", "--store", &home, "--sign-key", "key", "one"]);
    json(path, &[&["sync", "--trust", "key.pub"][..], &stores].concat());
    is_same();
    json(path, &["show", "--store", &url(path, "east"), "--trust", "key.pub"]);
    // Nor does another key sign what nobody has verified.
    json(path, &["publish", "--store", &home, "--sign-key", "key", "two"]);
    json(path, &[&["sync", "--sign-key", "other"][..], &stores].concat());
    is_same();
    // A region follows when keys are changed, although what moves then is signed by nobody who was trusted before.
    let signed = json(path, &[&["sign", "--trust", "key.pub", "--sign-key", "other"][..], &stores].concat());
    assert_eq!(signed["regions"][0]["fault"], Value::Null, "{signed}");
    is_same();
    json(path, &["show", "--store", &url(path, "east"), "--trust", "other.pub"]);
}

#[test]
fn only_what_is_signed_is_compared_with_or_updated() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    ["one", "two"].iter().for_each(|name| drop(build_products(path, name, 3)));
    ["key", "other"].iter().for_each(|name| drop(json(path, &["keygen", name])));
    fs::write(path.join("changes.jsonl"), "{\"id\": \"p0\", \"title\": \"another thing\"}\n").expect("rows");
    json(path, &["publish", "--store", &store, "--sign-key", "key", "one"]);
    let commands: [&[&str]; 4] = [
        &["diff", &store, "two"],
        &["check", "--snapshot", "two", "--against", &store],
        &["update", "--out", "updates", "--base", &store, "changes.jsonl"],
        &["merge", "--out", "merged", "--base", &store],
    ];
    for command in commands {
        let refused = fails(path, &[command, &["--trust", "other.pub"]].concat());
        assert!(refused.contains("is not trusted"), "{command:?}: {refused}");
        json(path, &[command, &["--trust", "key.pub"]].concat());
    }
    // What was built here is signed by nobody, and needs not be.
    json(path, &["update", "--out", "updates", "--trust", "other.pub", "changes.jsonl"]);
}
