//! What a store holds, as people and programs are told.

use crate::channels::url;
use crate::command::{build_products, json, run};

#[test]
fn the_newest_snapshots_are_listed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let ids = ["one", "two", "three"].map(|name| {
        let id = build_products(path, name, 3);
        json(path, &["publish", "--store", &store, name]);
        id
    });
    let listed = |last: &str| {
        let told = json(path, &["list", "--store", &store, "--last", last]);
        let snapshots = told["snapshots"].as_array().expect("snapshots").iter();
        let names: Vec<String> =
            snapshots.filter_map(|listed| listed["snapshot"].as_str().map(str::to_owned)).collect();
        (names, told["has_older"].as_bool())
    };
    let newest = |most: usize| ids.iter().rev().take(most).cloned().collect::<Vec<_>>();
    assert_eq!(listed("2"), (newest(2), Some(true)));
    assert_eq!(listed("3"), (newest(3), Some(false)));
    let told = String::from_utf8(run(path, &["list", "--store", &store, "--last", "2"]).stdout).expect("text");
    assert!(told.contains("there are older ones: --last COUNT"), "{told}");
}
