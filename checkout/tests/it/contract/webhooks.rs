//! The inbox: each event once, for one worker at a time, until it is applied.

use std::collections::HashSet;

use checkout::store::{DeadWebhook, InboxEvent, NewInboxEvent, Store};

use super::shop::{ALL, LEASE_MS, NOW};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("an event is received once", |bench| Box::pin(received_once(bench))),
    ("an event is leased to one worker until it is settled", |bench| Box::pin(leased(bench))),
    ("an event that failed comes again", |bench| Box::pin(failed(bench))),
    ("an event that fails again and again comes later each time", |bench| Box::pin(later_each_time(bench))),
    ("two workers never have the same event", |bench| Box::pin(two_workers(bench))),
    ("events that were applied are swept", |bench| Box::pin(swept(bench))),
    ("an event that was given up is kept until it is replayed", |bench| Box::pin(given_up(bench))),
    ("an event that was given up can be put away", |bench| Box::pin(discarded(bench))),
];

async fn receive(store: &dyn Store, id: &str, received_ms: i64) -> bool {
    let event = NewInboxEvent { id, kind: "charge.refunded", body: b"{\"raw\": \"\xff\"}", received_ms };
    store.receive(&event).await.expect("it is received")
}

async fn due(store: &dyn Store, limit: u32, now_ms: i64) -> Vec<InboxEvent> {
    store.due_events(limit, LEASE_MS, now_ms).await.expect("events")
}

fn ids(events: &[InboxEvent]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

async fn received_once(bench: Bench) {
    let store = bench.store.as_ref();
    assert!(receive(store, "evt_1", NOW).await);
    assert!(!receive(store, "evt_1", NOW + 1).await);
    let events = due(store, ALL, NOW + 1).await;
    assert_eq!(ids(&events), ["evt_1"]);
    // The body is kept as it came, byte by byte.
    assert_eq!((events[0].kind.as_str(), events[0].body.as_slice()), ("charge.refunded", &b"{\"raw\": \"\xff\"}"[..]));
    store.settle_event("evt_1", NOW + 2).await.expect("it is settled");
    assert!(!receive(store, "evt_1", NOW + 3).await);
    assert!(due(store, ALL, NOW + 10 * LEASE_MS).await.is_empty());
}

async fn leased(bench: Bench) {
    let store = bench.store.as_ref();
    for number in 0..3 {
        receive(store, &format!("evt_{number}"), NOW + number).await;
    }
    assert_eq!(ids(&due(store, 2, NOW + 5).await), ["evt_0", "evt_1"]);
    assert_eq!(ids(&due(store, 2, NOW + 5).await), ["evt_2"]);
    assert!(due(store, 2, NOW + LEASE_MS).await.is_empty());
    store.settle_event("evt_1", NOW + 6).await.expect("it is settled");
    let again = due(store, ALL, NOW + 5 + LEASE_MS).await;
    assert_eq!(ids(&again), ["evt_0", "evt_2"]);
    let backlog = store.backlog(NOW + 100).await.expect("a backlog");
    assert_eq!((backlog.inbox, backlog.oldest_inbox_ms), (2, 100));
}

async fn failed(bench: Bench) {
    let store = bench.store.as_ref();
    receive(store, "evt_1", NOW).await;
    let first = due(store, ALL, NOW).await;
    store.fail_event("evt_1", "the order is locked").await.expect("it is noted");
    let second = due(store, ALL, NOW + LEASE_MS).await;
    assert_eq!((first[0].tries, second[0].tries), (1, 2));
    store.settle_event("evt_1", NOW + LEASE_MS).await.expect("it is settled");
    assert!(due(store, ALL, NOW + 10 * LEASE_MS).await.is_empty());
}

/// Events that could not be applied came back with every lease, oldest first: enough of them kept new ones out for ever.
async fn later_each_time(bench: Bench) {
    let store = bench.store.as_ref();
    receive(store, "evt_1", NOW).await;
    let mut due_ms = NOW;
    for leases in [1, 2, 4, 8, 8] {
        assert_eq!(ids(&due(store, ALL, due_ms).await), ["evt_1"]);
        due_ms += leases * LEASE_MS;
        assert!(due(store, ALL, due_ms - 1).await.is_empty(), "{leases} leases");
    }
    assert_eq!(ids(&due(store, ALL, due_ms).await), ["evt_1"]);
}

async fn two_workers(bench: Bench) {
    let store = bench.store.as_ref();
    for number in 0..60 {
        receive(store, &format!("evt_{number:02}"), NOW + number).await;
    }
    let worker = || {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            // One that finds nothing while the other one has rows in hand asks again.
            for _ in 0..40 {
                let events = due(store.as_ref(), 5, NOW + 100).await;
                mine.extend(events.into_iter().map(|event| event.id));
            }
            mine
        })
    };
    let (one, other) = (worker(), worker());
    let (one, other) = (one.await.expect("it ends"), other.await.expect("it ends"));
    let all: HashSet<&String> = one.iter().chain(&other).collect();
    assert_eq!((all.len(), one.len() + other.len()), (60, 60));
}

async fn swept(bench: Bench) {
    let store = bench.store.as_ref();
    for number in 0..3 {
        receive(store, &format!("evt_{number}"), NOW).await;
    }
    store.settle_event("evt_0", NOW + 1).await.expect("it is settled");
    store.settle_event("evt_1", NOW + 10).await.expect("it is settled");
    assert_eq!(store.sweep(NOW + 5, ALL, NOW + 20).await.expect("it sweeps"), 1);
    assert_eq!(store.sweep(NOW + 5, ALL, NOW + 20).await.expect("it sweeps"), 0);
    assert!(!receive(store, "evt_1", NOW).await);
    assert_eq!(ids(&due(store, ALL, NOW + 20).await), ["evt_2"]);
}

/// It looked like one that was applied: the reason was lost, nobody counted it, and a week later it was gone.
async fn given_up(bench: Bench) {
    let store = bench.store.as_ref();
    for id in ["evt_1", "evt_2"] {
        receive(store, id, NOW).await;
    }
    due(store, ALL, NOW).await;
    store.give_up_event("evt_1", "it cannot be read", NOW + 1).await.expect("it is given up");
    store.settle_event("evt_2", NOW + 1).await.expect("it is settled");
    store.give_up_event("evt_2", "too late", NOW + 2).await.expect("it is applied already");
    let later = NOW + 10 * LEASE_MS;
    assert!(due(store, ALL, later).await.is_empty());
    let backlog = store.backlog(later).await.expect("a backlog");
    assert_eq!((backlog.inbox, backlog.dead_webhooks), (0, 1));
    assert_eq!(store.sweep(later, ALL, later).await.expect("it sweeps"), 1, "the other one is swept");
    let dead = store.dead_webhooks(ALL).await.expect("dead ones");
    let expected = DeadWebhook {
        id: "evt_1".to_owned(),
        kind: "charge.refunded".to_owned(),
        received_ms: NOW,
        tries: 1,
        why: "it cannot be read".to_owned(),
    };
    assert_eq!(dead, [expected]);
    assert!(!receive(store, "evt_1", later).await, "it is known");
    let named = ["evt_1".to_owned(), "evt_2".to_owned()];
    assert_eq!(store.replay_dead(&named, "anna", later).await.expect("it is replayed"), ["evt_1"]);
    assert_eq!(
        bench.count("SELECT count(*) FROM audit WHERE action = 'dead_letters.replay' AND actor = 'anna'").await,
        1
    );
    assert!(store.dead_webhooks(ALL).await.expect("none").is_empty());
    let again = due(store, ALL, later).await;
    assert_eq!((ids(&again), again[0].tries), (vec!["evt_1"], 1));
}

/// It could be replayed alone, and the alert on one that never passes had no end.
async fn discarded(bench: Bench) {
    let store = bench.store.as_ref();
    for id in ["evt_1", "evt_2", "evt_3"] {
        receive(store, id, NOW).await;
    }
    due(store, ALL, NOW).await;
    for id in ["evt_1", "evt_2"] {
        store.give_up_event(id, "it cannot be read", NOW + 1).await.expect("it is given up");
    }
    let named = ["evt_1".to_owned(), "evt_3".to_owned()];
    let discarded = store.discard_dead(&named, "of a test", "anna", NOW + 10).await.expect("it is put away");
    assert_eq!(discarded, ["evt_1"], "the other one waits");
    assert!(store.discard_dead(&named, "of a test", "anna", NOW + 20).await.expect("none is dead").is_empty());
    let audited = "SELECT count(*) FROM audit WHERE action = 'dead_letters.discard' AND actor = 'anna'
        AND detail LIKE '%evt_1%of a test%'";
    assert_eq!(bench.count(audited).await, 1);
    let dead = store.dead_webhooks(ALL).await.expect("dead ones");
    assert_eq!(dead.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["evt_2"]);
    let backlog = store.backlog(NOW + 10).await.expect("a backlog");
    assert_eq!((backlog.inbox, backlog.dead_webhooks), (1, 1));
    let later = NOW + 10 * LEASE_MS;
    assert_eq!(ids(&due(store, ALL, later).await), ["evt_3"]);
    assert!(!receive(store, "evt_1", later).await, "it is known");
    assert_eq!(store.sweep(NOW + 10, ALL, later).await.expect("it sweeps"), 0, "it is as old as it was put away");
    assert_eq!(store.sweep(NOW + 11, ALL, later).await.expect("it sweeps"), 1);
}
