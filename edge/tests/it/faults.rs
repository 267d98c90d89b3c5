//! Whatever happens to the store or the disk, the edge goes on serving what it has, says so, and recovers by itself.

use std::fs;
use std::os::unix::fs::symlink;

use snapshots::{ChannelName, Manifest, Pointer, Store};
use test_servers::Azurite;

use crate::process::{EdgeProcess, wait_until};
use crate::shop::{Shop, wait_for};

fn serve_alpha() -> (Shop, EdgeProcess) {
    let shop = Shop::new();
    shop.publish("alpha", 50);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    (shop, edge)
}

/// The edge still answers from the first snapshot, and is healthy in the eyes of a balancer.
fn still_serves_alpha(edge: &EdgeProcess) {
    let answer = edge.get("/v1/search?q=lamp&facets=brand");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["hits"][0]["brand"], "alpha");
    assert_eq!(edge.get("/healthz").status, 200, "an old catalogue sells more than none");
    assert_eq!(edge.metric("vitrine_edge_market_faulty"), Some(1.0));
}

fn serves_beta(edge: &EdgeProcess, sequence: u64) {
    edge.wait_for_sequence(sequence);
    assert_eq!(edge.get("/v1/search?q=lamp").json()["hits"][0]["brand"], "beta");
    wait_until("the fault is over", || edge.health()["markets"][0]["fault"].is_null());
}

#[test]
fn the_store_is_gone_and_comes_back() {
    let (shop, edge) = serve_alpha();
    let beta = shop.build("beta", 60);
    let (there, away) = (shop.folder.path().join("store"), shop.folder.path().join("away"));
    fs::rename(&there, &away).expect("the store goes");
    edge.wait_for_fault("nothing has been announced to the channel, or the store was emptied");
    still_serves_alpha(&edge);
    fs::write(&there, "no folder").expect("something in its place");
    edge.wait_for_fault("the channel cannot be read");
    still_serves_alpha(&edge);
    fs::remove_file(&there).expect("mended");
    fs::rename(&away, &there).expect("the store is back");
    let sequence = shop.announce(&beta.id);
    serves_beta(&edge, sequence);
}

/// Publishes a snapshot that `damage` spoils, expects the fault to be told, mends it, and expects recovery.
fn check_damage(
    fault: &str,
    path_of: impl Fn(&Shop, &Manifest) -> std::path::PathBuf,
    damage: impl Fn(&[u8]) -> Vec<u8>,
) {
    let (shop, edge) = serve_alpha();
    let beta = shop.build("beta", 60);
    let path = path_of(&shop, &beta);
    let whole = fs::read(&path).expect("the file");
    fs::write(&path, damage(&whole)).expect("damage");
    let sequence = shop.announce(&beta.id);
    edge.wait_for_fault(fault);
    still_serves_alpha(&edge);
    fs::write(&path, whole).expect("mended");
    serves_beta(&edge, sequence);
}

fn manifest_path(shop: &Shop, manifest: &Manifest) -> std::path::PathBuf {
    shop.folder.path().join(format!("store/snapshots/{}.json", manifest.id))
}

#[test]
fn a_manifest_is_corrupt() {
    check_damage("manifest is damaged", manifest_path, |whole| whole[..whole.len() / 2].to_vec());
}

#[test]
fn a_manifest_has_a_newer_format() {
    check_damage("a newer build is needed", manifest_path, |whole| {
        String::from_utf8_lossy(whole).replace("\"format_version\": 4", "\"format_version\": 5").into_bytes()
    });
}

fn cut(whole: &[u8]) -> Vec<u8> {
    whole[..whole.len() - 100].to_vec()
}

fn flip(whole: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    bytes[whole.len() / 3] ^= 4;
    bytes
}

#[test]
fn a_segment_is_truncated() {
    check_damage("cannot be served", Shop::segment_path, cut);
}

#[test]
fn a_segment_has_a_flipped_bit() {
    check_damage("its bytes have the digest", Shop::segment_path, flip);
}

#[test]
fn settings_are_truncated() {
    check_damage("cannot be served", Shop::settings_path, cut);
}

#[test]
fn settings_have_a_flipped_bit() {
    check_damage("its bytes have the digest", Shop::settings_path, flip);
}

#[test]
fn the_disk_is_full() {
    let (shop, edge) = serve_alpha();
    let beta = shop.build("beta", 60);
    // /dev/full takes nothing, as a full disk does.
    let partial = shop.cache().join("objects").join(format!("{}.partial", beta.segments[0].segment));
    symlink("/dev/full", &partial).expect("a full disk");
    let sequence = shop.announce(&beta.id);
    edge.wait_for_fault("No space left on device");
    still_serves_alpha(&edge);
    fs::remove_file(&partial).expect("space again");
    serves_beta(&edge, sequence);
}

#[test]
fn a_restart_without_the_store_serves_from_the_cache() {
    let shop = Shop::new();
    shop.publish("alpha", 50);
    {
        let mut edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
        edge.wait_for_sequence(1);
        edge.signal("KILL");
        edge.wait();
    }
    fs::remove_dir_all(shop.folder.path().join("store")).expect("the store goes");
    fs::create_dir(shop.folder.path().join("store")).expect("an empty store");
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    assert_eq!(edge.get("/v1/search?q=lamp").json()["hits"][0]["brand"], "alpha");
}

#[test]
fn a_damaged_cache_is_downloaded_again() {
    let shop = Shop::new();
    let alpha = shop.publish("alpha", 50);
    drop({
        let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
        edge.wait_for_sequence(1);
        edge
    });
    let cached = shop.cache().join("objects").join(alpha.segments[0].segment.to_string());
    let mut bytes = fs::read(&cached).expect("the cached object");
    bytes[1000] ^= 1;
    fs::write(&cached, bytes).expect("damage");
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    assert_eq!(edge.get("/v1/search?q=lamp").status, 200);
}

#[test]
fn an_older_sequence_is_not_followed() {
    let (shop, edge) = serve_alpha();
    let beta = shop.build("beta", 60);
    let pointer = shop.folder.path().join("store/channels/live.json");
    let old = fs::read(&pointer).expect("the pointer");
    let sequence = shop.announce(&beta.id);
    edge.wait_for_sequence(sequence);
    fs::write(&pointer, old).expect("a copy that lags behind");
    edge.wait_for_fault("this copy of the pointer is behind");
    assert_eq!(edge.get("/v1/search?q=lamp").json()["hits"][0]["brand"], "beta");
}

/// Blob storage goes away in the middle, for an edge that follows and for one that starts: both serve what they have, and
/// follow again without help.
#[test]
fn blob_storage_goes_and_comes_back() {
    let mut azurite = Azurite::start();
    let shop = Shop::new();
    let (alpha, beta) = (shop.build("alpha", 40), shop.build("beta", 50));
    let blob = Store::open(&azurite.url("shop"), &azurite.settings()).expect("a store");
    let bring = |manifest: &Manifest| {
        wait_for(async {
            for object in &manifest.objects {
                let bytes = shop.store.get_object(&object.blake3).await.expect("an object");
                blob.put_object(&object.blake3, bytes).await.expect("the object in Blob");
            }
            blob.put_manifest(manifest).await.expect("its manifest");
            let live = ChannelName::live();
            let before = blob.pointer(&live).await.expect("an answer");
            let pointer = Pointer::after(before.as_ref().map(|read| &read.pointer), manifest.id.clone());
            blob.move_pointer(&live, before.as_ref(), &pointer).await.expect("an announcement");
        });
    };
    bring(&alpha);
    let url = azurite.url("shop");
    let (markets, settings) = ([("us", url.as_str())], azurite.settings());
    let edge = EdgeProcess::start_with(&shop.cache(), &markets, &[], &settings);
    edge.wait_for_sequence(1);
    azurite.kill();
    edge.wait_for_fault("the channel cannot be read");
    assert_eq!(edge.get("/v1/search?q=lamp").json()["found"], 40);
    assert_eq!(edge.get("/healthz").status, 200, "an old catalogue sells more than none");
    drop(edge);
    // A start without the store serves from the cache.
    let edge = EdgeProcess::start_with(&shop.cache(), &markets, &[], &settings);
    edge.wait_for_sequence(1);
    assert_eq!(edge.get("/v1/search?q=lamp").json()["found"], 40);
    azurite.restart();
    bring(&beta);
    edge.wait_for_sequence(2);
    assert_eq!(edge.get("/v1/search?q=lamp").json()["found"], 50);
    wait_until("no fault is told any more", || edge.health()["markets"][0]["fault"].is_null());
}
