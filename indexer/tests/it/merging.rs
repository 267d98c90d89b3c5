//! `watch` merges in the background: updates are published meanwhile and are there afterwards, and what someone else has
//! done meanwhile is not undone.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use snapshots::Digest;
use test_servers::{Moment, Passing, Proxy};

use crate::collecting::{block, check_whole};
use crate::shop::{Change, PATIENCE, PRODUCTS, Shop, Watching, all};
use crate::updating::{answers, answers_in, build, row};

#[test]
fn updates_are_published_during_a_merge_and_lie_on_top_of_it_afterwards() {
    let mut shop = Shop::new();
    let (watching, gate) = shop.watch_merging();
    let mut published = Vec::new();
    for round in 2..7 {
        let name = format!("{round:04}.jsonl");
        // What the first update had changed is changed again, what it had not is deleted, and something is new.
        let title = |what: &str| Some(format!("{what} of round {round}"));
        shop.leave(&name, vec![(round, title("green lamp")), (10 + round, None), (100 + round, title("table"))]);
        let manifest = shop.wait_for_file(&name);
        assert!(manifest.segments.len() <= 5, "{manifest:?}");
        assert!(manifest.segments.iter().all(|part| part.segment.to_string() != shop.merged), "{manifest:?}");
        published.push(manifest);
    }
    let most = published.iter().map(|manifest| manifest.segments.len()).max();
    assert_eq!(most, Some(5), "three updates lay on top of the two segments that are merged");

    drop(gate.closed);
    let told = watching.merged();
    let fresh = build(shop.path(), "fresh", &all(&shop.rows));
    let (fresh, expected) = answers(shop.path(), "fresh", &fresh);
    let (merged, answered) = answers_in(&shop.store(), told["snapshot"].as_str().expect("an id"));
    assert_eq!(answered, expected);
    assert_eq!(merged.statistics, fresh.statistics);
    assert_eq!(merged.source_watermark.as_deref(), Some("files:0006.jsonl"));
    // What came to the inbox after that is too late, and whoever begins to watch says so.
    let looked_at = published.last().map(|manifest| manifest.created_at);
    assert_eq!(Some(merged.created_at - SignedDuration::from_millis(1)), looked_at);
    let first = &merged.segments[0];
    assert_eq!((first.segment.to_string(), first.product_count, first.live_count), (shop.merged.clone(), 40, 30));
    assert!(merged.segments.len() <= 4, "{merged:?}");

    // That much is outdated by now that all is merged again, and then it is as if it had been built.
    let last = shop.wait_until("one segment", |manifest| manifest.segments.len() == 1);
    assert_eq!(last.segments, fresh.segments, "byte for byte");
    drop(watching);
    // Whoever goes back wants other answers.
    let back = shop.run(&["rollback", "--store", &shop.url()]);
    assert_eq!(back["snapshot"], published[published.len() - 2].id.as_str());
}

/// An update that was published meanwhile took the place of the smallest part, so that a merge that took longer than updates
/// are apart gained nothing, and was begun again.
#[test]
fn updates_during_a_merge_leave_its_parts_alone() {
    let mut shop = Shop::of(100);
    let mut id = 100..;
    let mut lamps = |count: usize| -> Vec<Change> {
        id.by_ref().take(count).map(|id| (id, Some(format!("blue lamp {id}")))).collect()
    };
    let url = shop.url();
    let once = ["watch", "--store", &url, "--out", "updates", "--inbox", "inbox", "--once"];
    for (name, count) in [("0001.jsonl", 12), ("0002.jsonl", 4), ("0003.jsonl", 2)] {
        shop.leave(name, lamps(count));
        shop.run(&once);
    }
    assert_eq!(shop.live().1.segments.len(), 4, "no segment is near another in size");
    // What the smaller two come to.
    let rows: Vec<String> = shop.rows.range(112..).map(|(_, row)| row.clone()).collect();
    let fresh = build(shop.path(), "merged", &rows);
    shop.merged = answers(shop.path(), "merged", &fresh).0.segments[0].segment.to_string();

    let gate = shop.gate();
    let watching = shop.watch(shop.azurite.settings_through(&gate.endpoint));
    gate.reached.recv_timeout(PATIENCE).expect("the merge of the smaller two");
    shop.leave("0004.jsonl", lamps(1));
    assert_eq!(shop.wait_for_file("0004.jsonl").segments.len(), 5, "it lies beside what is being merged");
    drop(gate.closed);
    let told = watching.merged();
    assert_eq!((told["segment"].as_str(), told["segments"].as_u64()), (Some(shop.merged.as_str()), Some(4)), "{told}");
    let (merged, answered) = answers_in(&shop.store(), told["snapshot"].as_str().expect("an id"));
    let part = merged.segments.iter().find(|part| part.segment.to_string() == shop.merged).expect("the merged segment");
    assert_eq!((part.product_count, part.live_count), (6, 6));
    let fresh = build(shop.path(), "fresh", &all(&shop.rows));
    assert_eq!(answered, answers(shop.path(), "fresh", &fresh).1);
}

/// Nobody waited for what a merge uploads while a look was under way, and looks follow each other without a pause where each
/// takes longer than the time between them.
#[test]
fn a_merge_goes_on_while_the_source_is_looked_at() {
    let shop = Shop::new();
    let ((look, looks), (read, reads)) = (channel(), channel());
    let (looks, reads) = (Mutex::new(looks), Mutex::new(reads));
    let (is_uploading, is_looking) = (AtomicBool::new(false), AtomicBool::new(false));
    let goes_on = Arc::new(AtomicBool::new(false));
    let (object, told) = (format!("/objects/{}", shop.merged), goes_on.clone());
    let proxy = Proxy::start(shop.azurite.address(), move |passing: &Passing| {
        let is_of_merge = passing.line.contains(&object);
        let is_upload = is_of_merge && passing.line.starts_with("PUT") && passing.moment == Moment::After;
        let is_read = passing.line.starts_with("GET") && passing.moment == Moment::Before;
        let is_look = is_read && passing.line.contains("/channels/live.json");
        if is_upload && !is_uploading.swap(true, Ordering::SeqCst) {
            // The answer to the upload comes when a look is under way,
            let _ = looks.lock().expect("the looks").recv_timeout(PATIENCE);
        } else if is_read && is_of_merge {
            let _ = read.send(());
        } else if is_look && is_uploading.load(Ordering::SeqCst) && !is_looking.swap(true, Ordering::SeqCst) {
            // and that look waits until what was uploaded is read back.
            let _ = look.send(());
            let waited = reads.lock().expect("the reads").recv_timeout(PATIENCE / 3);
            told.store(waited.is_ok(), Ordering::SeqCst);
        }
        true
    });
    let endpoint = format!("http://{}{}", proxy.address, shop.azurite.account_path());
    let watching = shop.watch(shop.azurite.settings_through(&endpoint));
    watching.merged();
    assert!(goes_on.load(Ordering::SeqCst), "the merge stood still while the source was looked at");
}

/// Where one region was down, all stores read the merged segment back once more while it was published.
#[test]
fn what_is_merged_is_read_back_once_whatever_becomes_of_another_region() {
    let shop = Shop::new();
    fs::create_dir(shop.path().join("east")).expect("a folder");
    fs::write(shop.path().join("east/objects"), "").expect("a region that is down");
    let reads = Arc::new(AtomicUsize::new(0));
    let (object, count) = (format!("/objects/{}", shop.merged), reads.clone());
    let proxy = Proxy::start(shop.azurite.address(), move |passing: &Passing| {
        let is_read = passing.line.starts_with("GET") && passing.line.contains(&object);
        if is_read && passing.moment == Moment::Before {
            count.fetch_add(1, Ordering::SeqCst);
        }
        true
    });
    let endpoint = format!("http://{}{}", proxy.address, shop.azurite.account_path());
    let (url, region) = (shop.url(), format!("east=file://{}/east", shop.path().display()));
    let args =
        ["watch", "--store", &url, "--region", &region, "--out", "updates", "--inbox", "inbox", "--every-s", "1"];
    let watching = Watching::start(&mut shop.command(&args, shop.azurite.settings_through(&endpoint)));
    watching.says("region east will get what is merged when it is published");
    let told = watching.merged();
    assert_eq!((told["segment"].as_str(), reads.load(Ordering::SeqCst)), (Some(shop.merged.as_str()), 1), "{told}");
}

#[test]
fn a_rollback_during_a_merge_is_not_undone() {
    let mut shop = Shop::new();
    let (watching, gate) = shop.watch_merging();
    shop.run(&["rollback", "--store", &shop.url()]);
    watching.says("the channel is held");
    drop(gate.closed);
    // Otherwise what was taken back is taken once more.
    fs::remove_file(shop.path().join("inbox/0001.jsonl")).expect("a file");
    shop.run(&["resume", "--store", &shop.url()]);
    watching.says("thrown away");
    let (pointer, _) = shop.live();
    assert_eq!(
        (pointer.snapshot.as_str(), pointer.sequence),
        (shop.base.as_str(), 4),
        "published, rolled back, resumed"
    );
    assert_eq!(block(shop.store().list_leases()).expect("leases"), Vec::<String>::new());

    shop.leave("0002.jsonl", vec![(1, Some("green lamp".to_owned()))]);
    let live = shop.wait_for_file("0002.jsonl");
    assert_eq!(live.parent.map(|parent| parent.to_string()), Some(shop.base.clone()));
}

#[test]
fn a_build_during_a_merge_is_not_undone() {
    let shop = Shop::new();
    let (watching, gate) = shop.watch_merging();
    let rows: String = (0..PRODUCTS).map(|id| row(id, "chair", 10)).collect();
    fs::write(shop.path().join("rows.jsonl"), rows).expect("rows");
    let build =
        ["build", "--catalogue", "catalogue.toml", "--out", "other", "--inbox-read-to", "0001.jsonl", "rows.jsonl"];
    let other = shop.run(&build);
    shop.run(&["publish", "--store", &shop.url(), "other"]);
    drop(gate.closed);
    watching.says("thrown away");
    assert_eq!(other["snapshot"], shop.live().0.snapshot.as_str());
}

/// It was begun again at once, and most likely overtaken again.
#[test]
fn a_merge_that_was_overtaken_is_not_begun_again_for_some_time() {
    let shop = Shop::new();
    let (watching, gate) = shop.watch_merging();
    // Someone else is faster with the same.
    let url = shop.url();
    let other = shop.run(&["merge", "--out", "other", "--base", &url]);
    shop.run(&["publish", "--store", &url, "other"]);
    drop(gate.closed);
    watching.says("is tried again in 5 minutes: newer versions have taken the place");
    assert_eq!(other["snapshot"], shop.live().0.snapshot.as_str());
    assert_eq!(block(shop.store().list_leases()).expect("leases"), Vec::<String>::new());
}

/// What a policy stops is made anew with each look, and nothing of that went while something merged waited for the end of it.
#[test]
fn the_folder_of_updates_is_tidied_while_something_merged_waits() {
    let mut shop = Shop::new();
    let (watching, gate) = shop.watch_merging();
    shop.leave("0002.jsonl", (0..25).map(|id| (id, None)).collect());
    watching.says("the policy stops");
    let objects = shop.path().join("updates/objects");
    let nobodys = objects.join(Digest::of(b"nobody's").to_string());
    fs::write(&nobodys, "nobody's").expect("an object that no manifest names");
    drop(gate.closed);
    let started = Instant::now();
    while nobodys.exists() {
        assert!(started.elapsed() < PATIENCE, "nothing is tidied away");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(objects.join(&shop.merged).exists(), "what is to be published stays");
    fs::remove_file(shop.path().join("inbox/0002.jsonl")).expect("a file");
    assert_eq!(watching.merged()["segment"], shop.merged.as_str());
}

#[test]
fn a_watch_ends_without_waiting_for_its_merge() {
    let shop = Shop::new();
    let (mut watching, gate) = shop.watch_merging();
    let before = shop.live();
    assert!(watching.terminate().success());
    assert_eq!(shop.live(), before);
    block(check_whole(&shop.store(), &before.1));
    assert!(!shop.path().join("updates/.merging").exists());
    drop(gate);

    // Whoever goes on merges anew.
    let watching = shop.watch(shop.azurite.settings());
    assert_eq!(watching.merged()["segment"], shop.merged.as_str());
    let (_, live) = shop.live();
    assert_eq!(live.segments.iter().map(|part| part.segment.to_string()).collect::<Vec<_>>(), [shop.merged.as_str()]);
}

/// Each took the other's folder away, in the middle of what it wrote there.
#[test]
fn a_watch_lets_the_merge_of_another_in_its_folder_be() {
    let shop = Shop::new();
    let updates = shop.path().join("updates");
    fs::create_dir_all(updates.join(".merging")).expect("a folder");
    fs::write(updates.join(".merging/segment"), "half").expect("what another watch has written");
    let lock = fs::File::create(updates.join(".merging.lock")).expect("a lock");
    lock.try_lock().expect("nobody holds it");
    let watching = shop.watch(shop.azurite.settings());
    watching.says("another watch is merging in");
    assert_eq!(fs::read_to_string(updates.join(".merging/segment")).expect("it is there still"), "half");
    drop(lock);
}

/// What is merged when depends on how fast all goes: whatever comes of it is right.
#[test]
fn every_snapshot_of_a_watch_that_merges_answers_as_a_fresh_build() {
    let mut shop = Shop::new();
    let watching = shop.watch(shop.azurite.settings());
    let mut states = BTreeMap::from([("files:0001.jsonl".to_owned(), shop.rows.clone())]);
    let mut seed = 88_172_645_463_325_252_u64;
    let mut pick = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for round in 2..16 {
        let changes = (0..1 + pick(6)).map(|_| {
            let title = format!("{} {round}", ["red lamp", "table", "lamp table", "gone red"][pick(4) as usize]);
            (pick(60) as usize, (pick(4) > 0).then_some(title))
        });
        let (name, changes) = (format!("{round:04}.jsonl"), changes.collect());
        shop.leave(&name, changes);
        states.insert(format!("files:{name}"), shop.rows.clone());
        std::thread::sleep(Duration::from_millis(100 + pick(700)));
    }
    shop.wait_for_file("0015.jsonl");
    watching.merged();
    drop(watching);
    let mut fresh: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for id in block(shop.store().list_snapshots()).expect("a list") {
        let (manifest, answered) = answers_in(&shop.store(), id.as_str());
        assert!(manifest.segments.len() <= 7, "{manifest:?}");
        // The first build has read nothing of the inbox.
        let Some(mark) = manifest.source_watermark else { continue };
        let expected = fresh.entry(mark.clone()).or_insert_with(|| {
            let fresh = build(shop.path(), "fresh", &all(&states[&mark]));
            answers(shop.path(), "fresh", &fresh).1
        });
        assert_eq!(&answered, expected, "{id} at {mark}");
    }
}
