//! A channel whose pointer cannot be read is written anew, and whoever follows it goes on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use snapshots::{ChannelName, Place, Store, Watcher};

use crate::channels::url;
use crate::collecting::block;
use crate::command::{build_products, fails, json, run};
use crate::nodes::beside_nodes;
use crate::regions::live;

/// Publishes two snapshots with the same flags; returns their ids.
fn shop(path: &Path, flags: &[&str]) -> [String; 2] {
    ["one", "two"].map(|name| {
        let id = build_products(path, name, 3);
        json(path, &[&["publish"][..], flags, &[name]].concat());
        id
    })
}

#[test]
fn a_damaged_channel_is_written_anew_beyond_what_nodes_have_seen() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, status) = (url(path, "store"), url(path, "status"));
    let [one, two] = shop(path, &["--store", &store]);
    fs::create_dir(path.join("status")).expect("a folder");
    let follow = ["publish", "--store", &store, "--status-store", &status, "--wait", "two"];
    beside_nodes(path, None, Default::default(), || json(path, &follow));
    let opened = Store::directory(&path.join("store")).expect("a store");
    let mut watcher = Watcher::new(opened, ChannelName::live(), Place::default(), Duration::from_secs(5));
    let mut followed = || block(watcher.poll()).map(|target| target.expect("a target").pointer.snapshot.to_string());
    assert_eq!(followed().expect("an answer"), two);

    let pointer = path.join("store/channels/live.json");
    fs::write(&pointer, "{\"snapshot\":\"2026").expect("damage");
    assert!(followed().is_err());
    // Whatever is tried then says what to do.
    let remedy = "'indexer rollback --mend --to ID'";
    build_products(path, "three", 3);
    for command in [&["publish", "three"][..], &["rollback"], &["hold"], &["sync"], &["show"], &["gc"]] {
        let refused = fails(path, &[command, &["--store", &store]].concat());
        assert!(refused.contains("is damaged") && refused.contains(remedy), "{command:?}: {refused}");
    }
    let told = String::from_utf8(run(path, &["status", "--store", &store]).stdout).expect("text");
    assert!(told.contains("DAMAGED") && told.contains(remedy), "{told}");

    let mend = ["rollback", "--store", &store, "--mend", "--to", &one];
    let refused = fails(path, &mend);
    assert!(refused.contains("nobody tells which sequences were announced"), "{refused}");
    let told = [&mend[..], &["--status-store", &status]].concat();
    let dry = String::from_utf8(run(path, &[&told[..], &["--dry-run"]].concat()).stdout).expect("text");
    assert!(dry.contains(&format!("from what cannot be read to {one} (sequence 1003)")), "{dry}");
    assert!(followed().is_err(), "a dry run writes nothing");
    let mended = json(path, &[&told[..], &["--reason", "it was cut"]].concat());
    assert_eq!((mended["event"].as_str(), mended["sequence"].as_u64()), (Some("mended"), Some(1_003)));
    assert_eq!((&mended["held"], &mended["previous"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(followed().expect("an answer"), one, "the new sequence is higher than the one that was seen");

    assert!(fails(path, &told).contains("can be read: leave out --mend"));
    assert!(fails(path, &["publish", "--store", &store, "three"]).contains("it was cut"));
    json(path, &["resume", "--store", &store]);
    assert_eq!(json(path, &["publish", "--store", &store, "three"])["sequence"], 1_005);
    // Which snapshot it was nobody can guess.
    assert_eq!(run(path, &["rollback", "--store", &store, "--mend"]).status.code(), Some(64));
}

#[test]
fn a_channel_that_is_gone_is_written_anew_beyond_the_copies_of_its_regions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    let stores = ["--store", &home, "--region", &region];
    let [one, two] = shop(path, &stores);
    fs::remove_file(path.join("home/channels/live.json")).expect("it is lost");
    let mend = [&["rollback", "--mend", "--to", &one][..], &stores].concat();
    let mended = json(path, &mend);
    assert_eq!((&mended["regions"][0]["fault"], live(&home)), (&Value::Null, (one.clone(), 1_003)));
    assert_eq!(live(&east), live(&home));

    // Whoever knows better says so, but cannot go back.
    fs::write(path.join("home/channels/live.json"), "").expect("damage");
    let refused = fails(path, &[&mend[..], &["--sequence", "1003"]].concat());
    assert!(refused.contains("sequence 1003 was announced"), "{refused}");
    json(path, &[&mend[..], &["--sequence", "5000"]].concat());
    assert_eq!((live(&home), live(&east)), ((one.clone(), 5_000), (one, 5_000)));
    json(path, &[&["rollback", "--to", &two][..], &stores].concat());
    assert_eq!(live(&east), (two, 5_001));
}

#[test]
fn what_someone_without_the_key_has_announced_is_written_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    json(path, &["keygen", "key"]);
    let [one, _] = shop(path, &["--store", &store, "--sign-key", "key"]);
    json(path, &["hold", "--store", &store]);
    let signed = ["--store", &store, "--trust", "key.pub", "--sign-key", "key"];
    let refused = fails(path, &[&["resume"][..], &signed].concat());
    assert!(refused.contains("it is not signed"), "{refused}");
    json(path, &[&["rollback", "--mend", "--to", &one, "--sequence", "4"][..], &signed].concat());
    assert_eq!(json(path, &["show", "--store", &store, "--trust", "key.pub"])["id"], one.as_str());
}
