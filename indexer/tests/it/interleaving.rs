//! `gc` and `publish` at the same time, on Azurite: whatever comes before what, the live snapshot is whole.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use snapshots::{ChannelName, Pointer, Store};
use test_servers::{Azurite, Moment, Passing, Proxy};

use crate::collecting::{AT_ONCE, Publishing, STRICT, block, build, check_whole, present};
use crate::command::indexer;

/// Azurite, and snapshots to bring to it.
struct Shop {
    azurite: Azurite,
    folder: tempfile::TempDir,
    next: String,
}

impl Shop {
    /// `next` has the segment of `old` and rules of its own.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["old", "base", "after"] {
            build(folder.path(), name, name, None);
        }
        let rules = "[[synonyms]]\nwords = [\"thing\", \"item\"]\n";
        let next = build(folder.path(), "next", "old", Some(rules));
        let segment = |name: &str| {
            let built = Store::directory(&folder.path().join(name)).expect("a folder");
            block(async {
                let newest = built.list_snapshots().await.expect("a list").pop().expect("a snapshot");
                built.get_manifest(&newest).await.expect("a manifest").segments[0].segment
            })
        };
        assert_eq!(segment("old"), segment("next"), "they share what matters");
        Self { azurite: Azurite::start(), folder, next }
    }

    fn store(&self, prefix: &str) -> Store {
        Store::open(&self.azurite.url(prefix), &self.azurite.settings()).expect("a store")
    }

    /// A store where `after` is live and was `base` before; what `old` is made of is there, and held by nothing.
    fn prepare(&self, prefix: &str) {
        let to = self.store(prefix);
        block(async {
            for name in ["old", "base", "after"] {
                let from = Store::directory(&self.folder.path().join(name)).expect("a folder");
                let id = from.list_snapshots().await.expect("a list").pop().expect("a snapshot");
                let manifest = from.get_manifest(&id).await.expect("a manifest");
                for object in &manifest.objects {
                    let bytes = from.get_object(&object.blake3).await.expect("an object");
                    to.put_object(&object.blake3, bytes).await.expect("an upload");
                }
                to.put_manifest(&manifest).await.expect("a manifest");
                let before = to.pointer(&ChannelName::live()).await.expect("a pointer");
                let pointer = Pointer::after(before.as_ref().map(|before| &before.pointer), id);
                to.move_pointer(&ChannelName::live(), before.as_ref(), &pointer).await.expect("a move");
            }
        });
    }

    fn command(&self, endpoint: Option<&str>, args: &[&str]) -> Command {
        let mut command = indexer();
        let settings = match endpoint {
            Some(endpoint) => self.azurite.settings_through(endpoint),
            None => self.azurite.settings(),
        };
        command.current_dir(self.folder.path()).arg("--json").args(args).envs(settings);
        command
    }

    fn gc(&self, prefix: &str, endpoint: Option<&str>) -> Command {
        let url = self.azurite.url(prefix);
        self.command(endpoint, &[&["gc", "--store", &url][..], &STRICT, &AT_ONCE].concat())
    }

    fn publish(&self, prefix: &str, endpoint: Option<&str>) -> Command {
        self.command(endpoint, &["publish", "--store", &self.azurite.url(prefix), "next"])
    }

    fn endpoint(&self, proxy: &Proxy) -> String {
        format!("http://{}{}", proxy.address, self.azurite.account_path())
    }

    /// What is live is `next`, and whole.
    fn check_live(&self, prefix: &str) {
        let store = self.store(prefix);
        block(async {
            let live = store.pointer(&ChannelName::live()).await.expect("a pointer").expect("a live channel");
            assert_eq!(live.pointer.snapshot.to_string(), self.next, "{prefix}");
            check_whole(&store, &store.get_manifest(&live.pointer.snapshot).await.expect("its manifest")).await;
        });
    }
}

fn succeeds(mut command: Command) -> String {
    let output = command.output().expect("the indexer runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A hook that does something once, before the request of some number; and whether it has come to that.
fn before_request(
    request: usize,
    work: impl FnOnce() + Send + 'static,
) -> (impl Fn(&Passing) -> bool + Send + Sync + 'static, Arc<AtomicBool>) {
    let (count, reached) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let work = Mutex::new(Some(work));
    let told = reached.clone();
    let hook = move |passing: &Passing| {
        if passing.moment == Moment::Before && count.fetch_add(1, Ordering::SeqCst) == request {
            told.store(true, Ordering::SeqCst);
            let work = work.lock().expect("the work").take();
            work.expect("it is done once")();
        }
        true
    };
    (hook, reached)
}

#[test]
fn a_sweep_at_any_step_of_a_publish_takes_nothing_from_under_it() {
    let shop = Shop::new();
    let mut requests = 0;
    loop {
        let prefix = format!("sweep-within-{requests}");
        shop.prepare(&prefix);
        let mut sweep = shop.gc(&prefix, None);
        let work = move || {
            let output = sweep.output().expect("the indexer runs");
            // A panic here would be one of the proxy's threads, and the request would fail.
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        };
        let (hook, reached) = before_request(requests, work);
        let proxy = Proxy::start(shop.azurite.address(), hook);
        succeeds(shop.publish(&prefix, Some(&shop.endpoint(&proxy))));
        shop.check_live(&prefix);
        // What is left is swept by another run, and what is live is none of it.
        succeeds(shop.gc(&prefix, None));
        shop.check_live(&prefix);
        assert_eq!(present(&shop.store(&prefix)).len(), 2, "what is live, and what was before");
        if !reached.load(Ordering::SeqCst) {
            break;
        }
        requests += 1;
    }
    assert!(requests >= 10, "a publish is {requests} requests");
}

#[test]
fn a_publish_at_any_step_of_a_sweep_loses_nothing() {
    let shop = Shop::new();
    let (mut requests, mut waited) = (0, 0);
    loop {
        let prefix = format!("publish-within-{requests}");
        shop.prepare(&prefix);
        let beside: Arc<Mutex<Option<(Publishing, bool)>>> = Arc::default();
        let mut publish = shop.publish(&prefix, None);
        let work = {
            let beside = beside.clone();
            move || {
                // To its end, or until it waits for the sweep, which is in the middle of this request.
                let mut publishing = Publishing::start(&mut publish);
                let waits = publishing.waits_or_ends();
                *beside.lock().expect("the publish") = Some((publishing, waits));
            }
        };
        let (hook, reached) = before_request(requests, work);
        let proxy = Proxy::start(shop.azurite.address(), hook);
        succeeds(shop.gc(&prefix, Some(&shop.endpoint(&proxy))));
        if !reached.load(Ordering::SeqCst) {
            break;
        }
        let (publishing, waits) = beside.lock().expect("the publish").take().expect("a publish");
        waited += usize::from(waits);
        publishing.succeeds();
        shop.check_live(&prefix);
        succeeds(shop.gc(&prefix, None));
        shop.check_live(&prefix);
        requests += 1;
    }
    assert!(requests >= 20, "a sweep is {requests} requests");
    assert!(waited >= 3 && waited < requests, "{waited} of {requests} publishes had to wait");
}

#[test]
fn what_goes_away_before_it_is_read_back_is_brought_again() {
    let shop = Shop::new();
    shop.prepare("robbed");
    let is_robbed = AtomicBool::new(false);
    let robber = shop.store("robbed");
    let hook = move |passing: &Passing| {
        let is_put = passing.line.starts_with("PUT") && passing.line.contains("/robbed/snapshots/");
        if passing.moment == Moment::After && is_put && !is_robbed.swap(true, Ordering::SeqCst) {
            // Someone heeds no lease.
            block(async {
                let newest = robber.list_snapshots().await.expect("a list").pop().expect("a snapshot");
                let manifest = robber.get_manifest(&newest).await.expect("a manifest");
                robber.delete_object(&manifest.segments[0].segment).await.expect("a theft");
            });
        }
        true
    };
    let proxy = Proxy::start(shop.azurite.address(), hook);
    let told = succeeds(shop.publish("robbed", Some(&shop.endpoint(&proxy))));
    assert!(told.contains("bringing it again"), "{told}");
    shop.check_live("robbed");
}

#[test]
fn what_is_published_while_a_watch_reads_is_not_undone() {
    let shop = Shop::new();
    shop.prepare("watched");
    let inbox = shop.folder.path().join("inbox");
    std::fs::create_dir(&inbox).expect("a folder");
    std::fs::write(inbox.join("0001.jsonl"), "{\"id\": \"new\", \"title\": \"a new thing\"}\n").expect("rows");
    let url = shop.azurite.url("watched");
    let watch = ["watch", "--store", &url, "--out", "updates", "--inbox", "inbox", "--once"];
    // A watch reads the pointer to begin from what is live, and again before it publishes what it has made of that.
    let (reads, is_done) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let publish = Mutex::new(shop.publish("watched", None));
    let done = is_done.clone();
    let hook = move |passing: &Passing| {
        let is_read = passing.line.starts_with("GET") && passing.line.contains("/channels/live.json");
        if passing.moment == Moment::Before && is_read && reads.fetch_add(1, Ordering::SeqCst) == 1 {
            let output = publish.lock().expect("the publish").output().expect("the indexer runs");
            done.store(output.status.success(), Ordering::SeqCst);
        }
        true
    };
    let proxy = Proxy::start(shop.azurite.address(), hook);
    let output = shop.command(Some(&shop.endpoint(&proxy)), &watch).output().expect("the indexer runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(is_done.load(Ordering::SeqCst), "someone else has published meanwhile");
    assert!(!output.status.success() && told.contains("has moved on"), "{told}");
    shop.check_live("watched");

    // The next look takes the same file on top of that.
    succeeds(shop.command(None, &watch));
    let store = shop.store("watched");
    block(async {
        let live = store.pointer(&ChannelName::live()).await.expect("a pointer").expect("a live channel");
        let manifest = store.get_manifest(&live.pointer.snapshot).await.expect("its manifest");
        assert_eq!(manifest.parent.map(|parent| parent.to_string()), Some(shop.next.clone()));
        assert_eq!(manifest.source_watermark.as_deref(), Some("files:0001.jsonl"));
    });
}
