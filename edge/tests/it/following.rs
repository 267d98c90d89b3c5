//! What a node follows: rollbacks, pins and canaries; whom it trusts; and what it tells of itself.

use snapshots::{
    ChannelName, Followed, NodeStatus, Pointer, RegionName, SigningKey, SnapshotId, StatusBoard, Store, Traffic,
};

use crate::process::{EdgeProcess, wait_until};
use crate::shop::{SETTINGS, Shop, wait_for};

fn served(edge: &EdgeProcess) -> String {
    edge.get("/v1/snapshot").json()["markets"][0]["id"].as_str().unwrap_or_default().to_owned()
}

fn wait_until_served(edge: &EdgeProcess, id: &SnapshotId) {
    wait_until(&format!("{id} is served"), || served(edge) == id.as_str());
}

#[test]
fn a_pin_a_canary_and_a_rollback_are_followed() {
    let shop = Shop::new();
    let (alpha, beta) = (shop.publish("alpha", 40), shop.build("beta", 50));
    let flags = ["--region", "westeurope", "--node", "n1"];
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &flags);
    wait_until_served(&edge, &alpha.id);

    let region: RegionName = "westeurope".parse().expect("a name");
    wait_for(shop.store.move_pointer(&region, None, &Pointer::new(beta.id.clone(), 1))).expect("a pin");
    wait_until_served(&edge, &beta.id);
    // An announcement changes nothing while the pin holds.
    let sequence = shop.announce(&alpha.id);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(served(&edge), beta.id.as_str());
    assert!(wait_for(shop.store.unpin(&region)).expect("no pin"));
    wait_until_served(&edge, &alpha.id);
    edge.wait_for_sequence(sequence);

    let canary = Pointer { nodes: vec!["n1".into()], ..Pointer::new(beta.id.clone(), 1) };
    wait_for(shop.store.move_pointer(&ChannelName::canary(), None, &canary)).expect("a canary");
    wait_until_served(&edge, &beta.id);
    let seen = wait_for(shop.store.pointer(&ChannelName::canary())).expect("a pointer").expect("a canary");
    let over = Pointer { nodes: Vec::new(), ..Pointer::after(Some(&canary), beta.id.clone()) };
    wait_for(shop.store.move_pointer(&ChannelName::canary(), Some(&seen), &over)).expect("an end");
    wait_until_served(&edge, &alpha.id);
    // The same snapshot under a new sequence is not opened anew.
    let sequence = shop.announce(&alpha.id);
    edge.wait_for_sequence(sequence);
    assert_eq!(served(&edge), alpha.id.as_str());
    assert!(edge.health()["markets"][0]["fault"].is_null());
}

/// A rollback waited as long as any new snapshot until what was asked lately was answered from it.
#[test]
fn what_is_gone_back_to_is_served_without_much_being_answered_ahead() {
    let shop = Shop::new();
    let (alpha, beta) = (shop.publish("alpha", 40), shop.publish("beta", 50));
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    wait_until_served(&edge, &beta.id);
    wait_for(async {
        let before = shop.store.pointer(&ChannelName::live()).await.expect("a pointer").expect("a pointer");
        let back = Pointer { held: true, ..Pointer::after(Some(&before.pointer), alpha.id.clone()) };
        shop.store.move_pointer(&ChannelName::live(), Some(&before), &back).await.expect("a rollback");
    });
    wait_until_served(&edge, &alpha.id);
    let gamma = shop.publish("gamma", 60);
    let told = |text: &str| -> Vec<String> {
        let log = edge.log.lock().expect("the log");
        log.iter().filter(|line| line.contains(text)).cloned().collect()
    };
    let is_told = || told("serving a new snapshot").iter().any(|line| line.contains(gamma.id.as_str()));
    wait_until("the new snapshot is told of", is_told);
    let back = told("going back to it");
    assert!(back.len() == 1 && back[0].contains(alpha.id.as_str()), "{back:?}");
}

/// What was served before could be remembered last, when an announcement came within a second after a resume.
#[test]
fn what_is_remembered_for_a_restart_is_what_is_served() {
    let shop = Shop::new();
    let (alpha, beta) = (shop.publish("alpha", 40), shop.build("beta", 50));
    let mut edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(1);
    // Resumed: the same snapshot under another sequence. What it replaces is let go of a second later.
    let sequence = shop.announce(&alpha.id);
    edge.wait_for_sequence(sequence);
    let sequence = shop.announce(&beta.id);
    edge.wait_for_sequence(sequence);
    wait_until("all is done that had to be", || !edge.has_thread("open-snapshot"));
    edge.signal("KILL");
    edge.wait();
    std::fs::remove_dir_all(shop.folder.path().join("store/channels")).expect("nothing is announced any more");
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(sequence);
    assert_eq!(served(&edge), beta.id.as_str());
}

/// The sequences of what was served under the market's name before made those of its new catalogue look like old copies.
#[test]
fn a_market_that_is_of_another_catalogue_now_begins_anew() {
    let (shop, other) = (Shop::new(), Shop::new());
    let alpha = shop.publish("alpha", 40);
    let sequence = shop.announce(&alpha.id);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &[]);
    edge.wait_for_sequence(sequence);
    wait_until("it is remembered", || shop.cache().join("served-us.json").exists());
    drop(edge);
    let beta = other.build_with(SETTINGS.replace("\"tests\"", "\"others\""), "beta", 50);
    let first = Pointer::new(beta.id.clone(), 1).of_catalogue("others");
    wait_for(other.store.move_pointer(&ChannelName::live(), None, &first)).expect("an announcement");
    let edge = EdgeProcess::start(&shop.cache(), &[("us:others", &other.url())], &[]);
    wait_until_served(&edge, &beta.id);
}

#[test]
fn only_what_is_signed_is_served() {
    let shop = Shop::new();
    let (private, public) = SigningKey::generate().expect("a key");
    let key = SigningKey::from_pem(&private).expect("a key");
    let file = shop.folder.path().join("key.pub");
    std::fs::write(&file, public).expect("a file");
    let plain = shop.publish("alpha", 40);
    let trust = file.to_string_lossy().into_owned();
    let edge = EdgeProcess::start(&shop.cache(), &[("us:tests", &shop.url())], &["--trust", &trust]);
    edge.wait_for_fault("it is not signed");
    assert_eq!(edge.get("/v1/search?q=lamp").status, 503);

    let signing = shop.store.clone().signing(Some(key));
    let announce = |id: &SnapshotId, catalogue: &str| {
        wait_for(async {
            let before = shop.store.pointer(&ChannelName::live()).await.expect("a pointer").expect("a pointer");
            let pointer = Pointer::after(Some(&before.pointer), id.clone()).of_catalogue(catalogue);
            signing.move_pointer(&ChannelName::live(), Some(&before), &pointer).await.expect("an announcement");
        });
    };
    announce(&plain.id, "tests");
    edge.wait_for_fault("none of the trusted keys has signed it");
    let signed = shop.build("beta", 50);
    wait_for(signing.put_manifest(&signed)).expect("a signature");
    announce(&signed.id, "tests");
    wait_until_served(&edge, &signed.id);
    // What the same key has signed for another market is followed no more than a forgery of someone who can write there.
    announce(&signed.id, "others");
    edge.wait_for_fault("it is of the catalogue 'others', and 'tests' is expected here");
    shop.announce(&plain.id);
    edge.wait_for_fault("it is not signed");
    assert_eq!(served(&edge), signed.id.as_str());
    drop(edge);

    // Nor does a cache whose content was taken on another's word.
    let (_, other) = SigningKey::generate().expect("a key");
    std::fs::write(&file, other).expect("a file");
    let edge = EdgeProcess::start(&shop.cache(), &[("us:tests", &shop.url())], &["--trust", &trust]);
    edge.wait_for_fault("is not trusted");
    assert_eq!(edge.get("/v1/search?q=lamp").status, 503);
}

/// Where nodes of a shop tell what they serve, and its URL.
fn status_board(shop: &Shop) -> (StatusBoard, String) {
    let folder = shop.folder.path().join("status");
    (StatusBoard::new(Store::directory(&folder).expect("a store")), format!("file://{}", folder.display()))
}

#[test]
fn a_node_tells_what_it_serves() {
    let shop = Shop::new();
    let alpha = shop.publish("alpha", 40);
    let (board, url) = status_board(&shop);
    let flags = ["--status-store", &url, "--region", "westeurope", "--node", "n1"];
    let mut edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &flags);
    let status = || -> Option<NodeStatus> { wait_for(board.read_all()).expect("statuses").pop() };
    let serves = |id: &SnapshotId| {
        status().is_some_and(|status| status.markets[0].served.as_ref().is_some_and(|served| served.snapshot == *id))
    };
    wait_until("the node tells what it serves", || serves(&alpha.id));
    let told = status().expect("a status");
    assert_eq!((told.node.as_str(), told.region.as_str()), ("n1", "westeurope"));
    let served = told.markets[0].served.clone().expect("something served");
    assert_eq!((served.catalogue.as_str(), served.followed), ("tests", Followed::Channel));
    edge.get("/v1/search?q=lamp");
    edge.get("/v1/search?q=nothinglikeit");
    // A swap is told at once, not at the next beat.
    let beta = shop.publish("beta", 50);
    wait_until("the node tells of the swap", || serves(&beta.id));
    shop.announce(&alpha.id);
    wait_until("the node tells of the rollback", || serves(&alpha.id));
    edge.signal("TERM");
    edge.wait();
    assert!(status().is_none(), "a node that ends takes its status back");
}

/// Only what was worked out when it was asked for was counted: of what is asked most, nothing.
#[test]
fn what_was_answered_before_counts_for_a_canary_and_what_is_at_fault_does_not() {
    let shop = Shop::new();
    shop.publish("alpha", 40);
    let (board, url) = status_board(&shop);
    let edge = EdgeProcess::start(&shop.cache(), &[("us", &shop.url())], &["--status-store", &url, "--node", "n1"]);
    edge.wait_for_sequence(1);
    let without_a_result = "/v1/search?q=nothinglikeit";
    edge.get(without_a_result);
    let beta = shop.publish("beta", 50);
    wait_until_served(&edge, &beta.id);
    let told = || {
        let status = wait_for(board.read_all()).expect("statuses").pop()?;
        status.markets[0].served.clone().filter(|served| served.snapshot == beta.id).map(|served| served.traffic)
    };
    wait_until("the node tells of the swap", || told().is_some());
    let misses = || edge.metric("vitrine_edge_result_cache_lookups_total{result=\"miss\"}");
    let before = misses();
    assert_eq!(edge.get(without_a_result).json()["found"], 0);
    assert_eq!(misses(), before, "it was answered ahead");
    let refused = edge.connect().post("/v1/multi-search", r#"{"searches": [{"facets": "nothing"}]}"#);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(edge.get("/v1/search?q=lamp").json()["found"], 50);
    // Both searches, and not what was refused between them.
    let is_counted = |traffic: Traffic| traffic.searches == 2;
    wait_until("the node tells of the searches", || told().is_some_and(is_counted));
    let traffic = told().expect("what was counted");
    assert_eq!((traffic.requests, traffic.errors, traffic.searches, traffic.empty), (2, 0, 2, 1));
}
