//! Whatever happens to the store or the disk, the edge goes on serving what it has, says so, and recovers by itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use snapshots::{ChannelName, Manifest, Pointer, Store};
use test_servers::{Azurite, Moment, Outcome, Passing, Proxy};

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
        let version = |number: u32| format!("\"format_version\": {number}");
        let (ours, newer) = (version(snapshots::FORMAT_VERSION), version(snapshots::FORMAT_VERSION + 1));
        String::from_utf8_lossy(whole).replace(&ours, &newer).into_bytes()
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

/// Brings a snapshot of the shop to Blob storage, and announces it there.
fn publish_to(blob: &Store, shop: &Shop, manifest: &Manifest) {
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
}

/// Blob storage goes away in the middle, for an edge that follows and for one that starts: both serve what they have, and
/// follow again without help.
#[test]
fn blob_storage_goes_and_comes_back() {
    let mut azurite = Azurite::start();
    let shop = Shop::new();
    let (alpha, beta) = (shop.build("alpha", 40), shop.build("beta", 50));
    let blob = Store::open(&azurite.url("shop"), &azurite.settings()).expect("a store");
    publish_to(&blob, &shop, &alpha);
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
    publish_to(&blob, &shop, &beta);
    edge.wait_for_sequence(2);
    assert_eq!(edge.get("/v1/search?q=lamp").json()["found"], 50);
    wait_until("no fault is told any more", || edge.health()["markets"][0]["fault"].is_null());
}

/// What becomes of the next request for a path, or of its answer.
struct Planned {
    path: String,
    fault: (Moment, Outcome),
    /// An answer counts whose request came after this was planned.
    has_begun: bool,
}

/// An edge that follows Blob storage through a proxy, which does to it what is planned.
struct FaultyBlob {
    /// It ends first.
    edge: EdgeProcess,
    shop: Shop,
    blob: Store,
    plan: Arc<Mutex<Option<Planned>>>,
    is_slow: Arc<AtomicBool>,
    _azurite: Azurite,
}

impl FaultyBlob {
    /// Serves the first snapshot, of as many products as it is told.
    fn serve(products: usize) -> Self {
        let (azurite, shop) = (Azurite::start(), Shop::new());
        let plan: Arc<Mutex<Option<Planned>>> = Arc::default();
        let is_slow = Arc::new(AtomicBool::new(false));
        let hook = {
            let (plan, is_slow) = (plan.clone(), is_slow.clone());
            move |passing: &Passing| {
                if passing.moment == Moment::Before && is_slow.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(300));
                }
                meet(&mut plan.lock().expect("the plan"), passing)
            }
        };
        let proxy = Proxy::start(azurite.address(), hook);
        let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
        let (url, settings) = (azurite.url("shop"), azurite.settings_through(&endpoint));
        let blob = Store::open(&url, &azurite.settings()).expect("a store");
        publish_to(&blob, &shop, &shop.build("first", products));
        let edge = EdgeProcess::start_with(&shop.cache(), &[("us", &url)], &[], &settings);
        edge.wait_for_sequence(1);
        Self { edge, shop, blob, plan, is_slow, _azurite: azurite }
    }

    /// Announces a snapshot of one product more, and has a fault met on the way to it: the old one is served until the new
    /// one is.
    fn follows(&self, what: &str, manifest: &Manifest, served: usize, planned: Option<Planned>) {
        {
            // No request begins or ends meanwhile, so that what is planned is met by one that comes after the announcement.
            let mut plan = self.plan.lock().expect("the plan");
            publish_to(&self.blob, &self.shop, manifest);
            *plan = planned;
        }
        wait_until(&format!("{what}: the new snapshot is served"), || {
            let answer = self.edge.get("/v1/search?q=lamp");
            assert_eq!((answer.status, self.edge.get("/healthz").status), (200, 200), "{what}");
            let found = answer.json()["found"].as_u64().expect("a number") as usize;
            assert!(found == served || found == served + 1, "{what}: {found} are found");
            found == served + 1
        });
        // The pointer's may be met only now, where a poll was on its way when the new one was written.
        wait_until(&format!("{what}: the fault is met"), || self.plan.lock().expect("the plan").is_none());
        wait_until(&format!("{what}: no fault is told any more"), || {
            self.edge.health()["markets"][0]["fault"].is_null()
        });
    }
}

/// What becomes of a request, which is nothing but for the one that is planned.
fn meet(plan: &mut Option<Planned>, passing: &Passing) -> Outcome {
    let Some(planned) = plan.as_mut().filter(|planned| passing.line.ends_with(&planned.path)) else {
        return Outcome::Passes;
    };
    planned.has_begun |= passing.moment == Moment::Before;
    match planned.has_begun && planned.fault.0 == passing.moment {
        true => plan.take().map_or(Outcome::Passes, |planned| planned.fault.1),
        false => Outcome::Passes,
    }
}

#[test]
fn a_download_that_meets_a_fault_at_any_step_gets_there() {
    let (mut served, blob) = (20, FaultyBlob::serve(20));
    for step in ["the pointer", "the manifest", "the settings", "the segment"] {
        for fault in [
            (Moment::Before, Outcome::Refused(500)),
            (Moment::Before, Outcome::Refused(503)),
            (Moment::Before, Outcome::Cut),
            (Moment::After, Outcome::Halved),
            (Moment::After, Outcome::Shortened),
        ] {
            let what = format!("{step} meets {fault:?}");
            // Of a brand of its own, so that it shares no object with those before.
            let manifest = blob.shop.build(&format!("brand{served}"), served + 1);
            let path = match step {
                "the pointer" => "/channels/live.json".to_owned(),
                "the manifest" => format!("/snapshots/{}.json", manifest.id),
                "the settings" => format!("/objects/{}", manifest.catalogue_object().expect("the settings").blake3),
                _ => format!("/objects/{}", manifest.segments[0].segment),
            };
            blob.follows(&what, &manifest, served, Some(Planned { path, fault, has_begun: false }));
            served += 1;
        }
    }
}

#[test]
fn a_download_from_a_slow_store_gets_there() {
    let blob = FaultyBlob::serve(20);
    blob.is_slow.store(true, Ordering::SeqCst);
    blob.follows("each request is slow", &blob.shop.build("slow", 21), 20, None);
}

/// A snapshot that was rolled back while it was downloaded was served until the next poll.
#[test]
fn what_is_rolled_back_during_its_download_is_never_served() {
    let (azurite, shop) = (Azurite::start(), Shop::new());
    let (good, bad) = (shop.build("good", 20), shop.build("bad", 30));
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let held = Mutex::new((begun, may_go));
    let path = format!("/objects/{}", bad.segments[0].segment);
    let hook = move |passing: &Passing| {
        if passing.moment == Moment::Before && passing.line.ends_with(&path) {
            let held = held.lock().expect("the request that is held");
            let _ = held.0.send(());
            // Until the other end is dropped.
            let _ = held.1.recv();
        }
        Outcome::Passes
    };
    let proxy = Proxy::start(azurite.address(), hook);
    let endpoint = format!("http://{}{}", proxy.address, azurite.account_path());
    let (url, settings) = (azurite.url("shop"), azurite.settings_through(&endpoint));
    let blob = Store::open(&url, &azurite.settings()).expect("a store");
    publish_to(&blob, &shop, &good);
    let edge = EdgeProcess::start_with(&shop.cache(), &[("us", &url)], &[], &settings);
    edge.wait_for_sequence(1);
    publish_to(&blob, &shop, &bad);
    has_begun.recv_timeout(Duration::from_secs(30)).expect("the download begins");
    publish_to(&blob, &shop, &good);
    drop(go);
    wait_until("what was gone back to is served", || {
        assert_eq!(edge.get("/v1/search?q=lamp").json()["found"], 20);
        edge.health()["markets"][0]["sequence"] == 3
    });
}
