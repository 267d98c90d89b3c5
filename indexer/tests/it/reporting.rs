//! What a store holds, as people and programs are told.

use std::fs;
use std::path::Path;
use std::sync::Barrier;

use serde_json::Value;
use test_servers::{Azurite, Moment, Passing, Proxy, Settings};

use crate::channels::url;
use crate::command::{build_products, indexer, json, run};
use crate::nodes::beside_nodes;

/// What `status` says, which must fail: something is damaged.
fn status_of_damage(path: &Path, flags: &[&str]) -> String {
    let output = run(path, &[&["status"], flags].concat());
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{told}");
    told
}

/// One after another, those of a region with many took longer than a status waits, and it was told as down.
#[test]
fn the_channels_of_a_region_are_read_at_once() {
    const CHANNELS: [&str; 4] = ["live", "preview", "spring", "summer"];
    let (azurite, folder) = (Azurite::start(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path();
    let all = Barrier::new(CHANNELS.len());
    let proxy = Proxy::start(azurite.address(), move |passing: &Passing| {
        let is_read = passing.line.starts_with("GET") && passing.line.contains("/channels/");
        if is_read && passing.moment == Moment::Before {
            all.wait();
        }
        true
    });
    let (store, region) = (url(path, "store"), format!("east={}", azurite.url("east")));
    let call = |settings: Settings, args: &[&str]| {
        let mut command = indexer();
        command.envs(settings.into_iter().map(|(name, value)| (format!("EAST_{name}"), value)));
        command.current_dir(path).arg("--json").args(args).args(["--store", &store, "--region", &region]);
        let output = command.output().expect("the indexer runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{text}");
        serde_json::from_str::<Value>(text.lines().last().unwrap_or("null")).expect("JSON lines")
    };
    build_products(path, "one", 3);
    for channel in CHANNELS {
        call(azurite.settings(), &["publish", "--channel", channel, "one"]);
    }
    let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
    let told = call(azurite.settings_through(&endpoint), &["status"]);
    let channels = told["regions"][0]["channels"].as_array().expect("channels");
    assert!(channels.iter().map(|channel| &channel["channel"]).eq(CHANNELS), "{told}");
    assert!(channels.iter().all(|channel| channel["behind"] == 0), "{told}");
}

/// Of a shop whose pointer at home was lost, neither pins nor regions nor nodes were told any more.
#[test]
fn a_lost_channel_hides_neither_pins_nor_regions_nor_nodes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (store, status) = (url(path, "store"), url(path, "status"));
    let region = format!("east={}", url(path, "east"));
    let stores = ["--store", &store, "--region", &region];
    let one = build_products(path, "one", 3);
    json(path, &[&["publish", "one"][..], &stores].concat());
    json(path, &[&["pin", "east", "--to", &one][..], &stores].concat());
    beside_nodes(path, None, Default::default(), || ());
    fs::remove_file(path.join("store/channels/live.json")).expect("it is lost");
    let told = status_of_damage(path, &[&stores[..], &["--status-store", &status]].concat());
    assert!(told.contains("DAMAGED: its pointer is lost ('indexer rollback --mend --to ID' writes it anew)"), "{told}");
    assert!(told.contains(&format!("region east is PINNED to {one}")), "{told}");
    assert!(told.lines().any(|line| line.starts_with("east    live     ")), "{told}");
    assert!(told.contains("local   n1"), "{told}");

    // Nor does one that is lost everywhere.
    fs::remove_file(path.join("east/channels/live.json")).expect("it is lost");
    let told = run(path, &[&["status"][..], &stores, &["--status-store", &status]].concat());
    let told = String::from_utf8(told.stdout).expect("text");
    assert!(told.contains("nothing has been announced yet") && told.contains("is PINNED"), "{told}");
    assert!(told.contains("n1"), "{told}");
}

/// A channel that was held was told as damaged alone, and one that could not be read as announced just now.
#[test]
fn what_is_damaged_is_told_beside_the_rest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    let one = build_products(path, "one", 3);
    json(path, &["publish", "--store", &store, "one"]);
    json(path, &["hold", "--store", &store, "--reason", "stocktaking"]);
    let whole = ["status", "--store", &store];
    assert!(run(path, &whole).status.success());
    fs::write(path.join(format!("store/snapshots/{one}.json")), "{").expect("damage");
    let told = status_of_damage(path, &["--store", &store]);
    assert!(told.contains("DAMAGED: ") && told.contains("; HELD (stocktaking): publishers refuse"), "{told}");

    fs::create_dir_all(path.join("store/pins")).expect("a folder");
    fs::write(path.join("store/pins/west.json"), "{").expect("damage");
    fs::write(path.join("store/channels/live.json"), "{").expect("damage");
    let told = status_of_damage(path, &["--store", &store]);
    assert!(told.contains(&format!("the pin of region west in {store} is DAMAGED: ")), "{told}");
    assert!(told.contains("DAMAGED: ") && !told.contains("just now"), "{told}");
}

/// A pin that was lifted at home alone still held its region, and nobody was told; nor was one that was damaged there.
#[test]
fn a_pin_is_told_wherever_it_stands() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let (home, east) = (url(path, "home"), url(path, "east"));
    let region = format!("east={east}");
    let stores = ["--store", &home, "--region", &region];
    let one = build_products(path, "one", 3);
    json(path, &[&["publish", "one"][..], &stores].concat());
    json(path, &[&["pin", "east", "--to", &one][..], &stores].concat());
    let pinned = || {
        let status = json(path, &[&["status"][..], &stores].concat());
        let pins = status["pins"].as_array().expect("pins").iter();
        pins.filter_map(|pin| pin["store"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(pinned(), [home.clone(), east.clone()]);
    json(path, &["unpin", "east", "--store", &home]);
    assert_eq!(pinned(), std::slice::from_ref(&east));
    fs::write(path.join("east/pins/east.json"), "{").expect("damage");
    let told = status_of_damage(path, &stores);
    assert!(told.contains(&format!("the pin of region east in {east} is DAMAGED: ")), "{told}");
}

/// `sync` said nothing at all where a forgotten --region left it nothing to do.
#[test]
fn bringing_up_no_region_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = url(path, "store");
    build_products(path, "one", 3);
    json(path, &["publish", "--store", &store, "one"]);
    let told = run(path, &["sync", "--store", &store]);
    assert!(told.status.success(), "{told:?}");
    assert_eq!(
        String::from_utf8_lossy(&told.stdout),
        "nothing to bring up: no region is named, or nothing has been announced yet\n"
    );
    assert_eq!(json(path, &["sync", "--store", &store])["channels"].as_array().map(Vec::len), Some(0));
}

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
