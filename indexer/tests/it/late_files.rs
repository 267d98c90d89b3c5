//! Files that come once one of a later name was taken: nobody takes them, and a watch says so.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use test_servers::{Moment, Passing, Proxy};

use crate::command::{json, run};
use crate::shop::Shop;
use crate::watching::{leave, row, shop, watch};

/// Writes a file now, by the clock that a watch goes by.
fn write_now(path: &Path) -> io::Result<()> {
    File::create(path)?.set_modified(SystemTime::now())
}

/// It is never taken, and nobody was told.
#[test]
fn a_file_that_comes_too_late_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = shop(path, 20);
    let once = watch(&store, &["--once"]);
    leave(path, "0002.jsonl", &row(2, "second"));
    assert_eq!(json(path, &once)["watermark"], "files:0002.jsonl");
    let look = || String::from_utf8(run(path, &once).stderr).expect("text");
    assert!(!look().contains("too late"), "none has");
    write_now(&path.join("inbox/0001.jsonl")).expect("a file");
    let told = look();
    assert!(told.contains("0001.jsonl came too late, and will not be taken: 0002.jsonl was taken before"), "{told}");
    write_now(&path.join("inbox/0000.jsonl")).expect("a file");
    let told = look();
    assert!(told.contains("0000.jsonl and 1 more came too late"), "{told}");
}

/// A single look goes by the time of what is live. That was when all had been read and indexed, and not when the inbox was
/// looked at.
#[test]
fn a_file_that_comes_too_late_during_a_single_look_is_told_by_the_next() {
    let mut shop = Shop::of(20);
    shop.leave("0002.jsonl", vec![(2, Some("blue lamp".to_owned()))]);
    let late = shop.path().join("inbox/0001.jsonl");
    let proxy = Proxy::start(shop.azurite.address(), move |passing: &Passing| {
        // The inbox was looked at before any object of the store is read.
        let is_read = passing.line.starts_with("GET") && passing.line.contains("/objects/");
        if is_read && passing.moment == Moment::Before && !late.exists() {
            // Stores tell milliseconds at the most.
            std::thread::sleep(Duration::from_millis(20));
            write_now(&late).expect("a file");
        }
        true
    });
    let endpoint = format!("http://{}{}", proxy.address, shop.azurite.account_path());
    let url = shop.url();
    let once = ["watch", "--store", &url, "--out", "updates", "--inbox", "inbox", "--once"];
    let look = |settings| {
        let output = shop.command(&once, settings).output().expect("the indexer runs");
        String::from_utf8(output.stdout).expect("text")
    };
    let told = look(shop.azurite.settings_through(&endpoint));
    assert!(told.contains("\"watermark\":\"files:0002.jsonl\""), "{told}");
    let told = look(shop.azurite.settings());
    assert!(told.contains("0001.jsonl came too late"), "{told}");
}
