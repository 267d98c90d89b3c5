//! The outbox: every subject's events in order, again until they are delivered.

use checkout::domain::{Dispute, DisputeState, News};
use checkout::store::{ClaimUse, OutboxEvent, Store};

use super::shop::{ALL, LEASE_MS, NOW, checkout, deliver_all, done, kinds, named, paid_order, place, set_stock, tell};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("a subject's events come one after the other", |bench| Box::pin(in_order(bench))),
    ("an event that was not delivered comes again, later", |bench| Box::pin(later(bench))),
    ("what is due stays so when the one before it is delivered", |bench| Box::pin(still_due(bench))),
    ("what waits behind others hides nothing", |bench| Box::pin(behind_others(bench))),
    ("a dead event holds back those after it, until it is replayed", |bench| Box::pin(dead(bench))),
    ("those that are named are replayed", |bench| Box::pin(named_ones(bench))),
    ("whether a product is in stock is told when it changes", |bench| Box::pin(availability(bench))),
    ("events that were delivered are swept", |bench| Box::pin(swept(bench))),
];

async fn due(store: &dyn Store, now_ms: i64) -> Vec<OutboxEvent> {
    store.due_outbox(ALL, LEASE_MS, now_ms).await.expect("events")
}

/// Everything about stock is dealt with, so that orders are alone.
async fn tell_stock(store: &dyn Store) {
    while store.tell_availability(ALL, NOW).await.expect("it is told") > 0 {}
}

fn of(events: &[OutboxEvent]) -> Vec<(String, String)> {
    events.iter().map(|event| (event.subject.clone(), event.kind.clone())).collect()
}

async fn in_order(bench: Bench) {
    let store = bench.store.as_ref();
    let (one, _) = paid_order(store, 100).await;
    let (other, _) = paid_order(store, 100).await;
    let subjects = [format!("orders/{}", one.id), format!("orders/{}", other.id)];
    let first = due(store, NOW).await;
    let created = subjects.clone().map(|subject| (subject, "order.created".to_owned()));
    assert_eq!(of(&first), created);
    assert_eq!((first[0].tries, first[0].version, first[0].created_ms), (1, 1, NOW));
    // The second is not due while the first one is at a worker.
    assert!(due(store, NOW).await.is_empty());
    store.delivered(&[first[1].id], NOW).await.expect("it is delivered");
    let second = due(store, NOW).await;
    assert_eq!(of(&second), [(subjects[1].clone(), "order.paid".to_owned())]);
    let limited = store.due_outbox(1, LEASE_MS, NOW + LEASE_MS).await.expect("events");
    assert_eq!(limited.len(), 1);
    let backlog = store.backlog(NOW + 70).await.expect("a backlog");
    assert_eq!((backlog.outbox, backlog.oldest_outbox_ms, backlog.dead_letters), (3, 70, 0));
}

async fn later(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, _) = paid_order(store, 100).await;
    let first = due(store, NOW).await;
    store.undelivered(first[0].id, "503", Some(NOW + 10)).await.expect("it is noted");
    assert!(due(store, NOW + 9).await.is_empty());
    let again = due(store, NOW + 10).await;
    assert_eq!((again[0].id, again[0].tries), (first[0].id, 2));
    // A worker that died with it loses it when its lease is over.
    let third = due(store, NOW + 10 + LEASE_MS).await;
    assert_eq!((third[0].id, third[0].tries), (first[0].id, 3));
    store.delivered(&[third[0].id], NOW).await.expect("it is delivered");
    // Too late: it is delivered.
    store.undelivered(third[0].id, "503", None).await.expect("it is noted");
    assert!(store.dead_letters(ALL).await.expect("letters").is_empty());
    let rest = deliver_all(store, NOW + 10 * LEASE_MS).await;
    assert_eq!(kinds(&rest, &format!("orders/{}", order.id)), named(&[("order.paid", 2)]));
}

/// By a clock that is ahead, it was due later than before.
async fn still_due(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, _) = paid_order(store, 100).await;
    let first = store.due_outbox(1, LEASE_MS, NOW).await.expect("events");
    store.delivered(&[first[0].id], NOW + LEASE_MS).await.expect("it is delivered");
    let second = due(store, NOW).await;
    assert_eq!(kinds(&second, &format!("orders/{}", order.id)), named(&[("order.paid", 2)]));
}

/// Events that nobody may be told of yet stand before one that is due.
async fn behind_others(bench: Bench) {
    let store = bench.store.as_ref();
    let (one, _) = paid_order(store, 100).await;
    let (other, _) = paid_order(store, 100).await;
    let first = due(store, NOW).await;
    let later = NOW + LEASE_MS;
    store.undelivered(first[0].id, "503", Some(later + LEASE_MS)).await.expect("it is noted");
    let found = store.due_outbox(1, LEASE_MS, later).await.expect("events");
    assert_eq!(of(&found), [(format!("orders/{}", other.id), "order.created".to_owned())]);
    assert!(due(store, later).await.is_empty(), "all that is left waits for another one");
    // It waits no longer than that one does.
    store.delivered(&[found[0].id], later).await.expect("it is delivered");
    let told = kinds(&deliver_all(store, later).await, &format!("orders/{}", other.id));
    assert_eq!(told, named(&[("order.paid", 2)]));
    let told = kinds(&deliver_all(store, later + LEASE_MS).await, &format!("orders/{}", one.id));
    assert_eq!(told, named(&[("order.created", 1), ("order.paid", 2)]));
}

async fn dead(bench: Bench) {
    let store = bench.store.as_ref();
    let (one, _) = paid_order(store, 100).await;
    let (other, _) = paid_order(store, 100).await;
    let first = due(store, NOW).await;
    let of_one = first.iter().find(|event| event.subject.ends_with(&one.id.to_string())).expect("its event");
    store.undelivered(of_one.id, "400: no such topic", None).await.expect("it is noted");
    let letters = store.dead_letters(ALL).await.expect("letters");
    assert_eq!((letters.len(), letters[0].event.id, letters[0].why.as_str()), (1, of_one.id, "400: no such topic"));
    assert_eq!(letters[0].event.data, of_one.data);
    // Others go on; those after it wait.
    let rest = deliver_all(store, NOW + 10 * LEASE_MS).await;
    assert!(kinds(&rest, &format!("orders/{}", one.id)).is_empty());
    assert_eq!(kinds(&rest, &format!("orders/{}", other.id)).len(), 2);
    assert_eq!(store.backlog(NOW).await.expect("a backlog").dead_letters, 1);
    let replayed = store.replay_dead(&[], "anna", NOW + 10 * LEASE_MS).await.expect("it is replayed");
    assert_eq!(replayed, [of_one.id.to_string()]);
    assert!(store.dead_letters(ALL).await.expect("letters").is_empty());
    let replayed = deliver_all(store, NOW + 10 * LEASE_MS).await;
    let expected = named(&[("order.created", 1), ("order.paid", 2)]);
    assert_eq!(kinds(&replayed, &format!("orders/{}", one.id)), expected);
}

async fn named_ones(bench: Bench) {
    let store = bench.store.as_ref();
    for _ in 0..3 {
        paid_order(store, 100).await;
    }
    let first = due(store, NOW).await;
    for event in &first {
        store.undelivered(event.id, "gone", None).await.expect("it is noted");
    }
    assert_eq!(store.dead_letters(2).await.expect("letters").len(), 2);
    let some = [first[0].id, first[2].id];
    let named = some.map(|id| id.to_string());
    let mut replayed = store.replay_dead(&named, "anna", NOW).await.expect("they are replayed");
    replayed.sort();
    assert_eq!(replayed, named);
    assert!(store.replay_dead(&named, "anna", NOW).await.expect("none is dead").is_empty());
    assert_eq!(
        bench.count("SELECT count(*) FROM audit WHERE action = 'dead_letters.replay' AND actor = 'anna'").await,
        1
    );
    let left: Vec<_> = store.dead_letters(ALL).await.expect("letters").iter().map(|letter| letter.event.id).collect();
    assert_eq!(left, [first[1].id]);
    let due: Vec<_> = due(store, NOW).await.iter().map(|event| event.id).collect();
    assert_eq!(due, some);
}

async fn availability(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 2).await;
    tell_stock(store).await;
    place(store, &checkout(&[("boots", 1, 100)])).await;
    tell_stock(store).await;
    let last = place(store, &checkout(&[("boots", 1, 100)])).await;
    tell_stock(store).await;
    done(store.cancel_checkout(last.id, &ClaimUse::None, NOW).await);
    tell_stock(store).await;
    // In and out between two looks is no change.
    let last = place(store, &checkout(&[("boots", 1, 100)])).await;
    done(store.cancel_checkout(last.id, &ClaimUse::None, NOW).await);
    tell_stock(store).await;
    let events = deliver_all(store, NOW).await;
    let told: Vec<_> = events.iter().map(|event| (event.subject.as_str(), event.kind.as_str(), &event.data)).collect();
    let expected = [true, false, true].map(Some);
    assert_eq!(told.iter().map(|(_, _, data)| data["in_stock"].as_bool()).collect::<Vec<_>>(), expected);
    for (place, (subject, kind, data)) in told.iter().enumerate() {
        assert_eq!((*subject, *kind), ("products/boots", "product.availability_changed"));
        assert_eq!((data["product"].as_str(), data["version"].as_u64()), (Some("boots"), Some(place as u64 + 1)));
    }
}

async fn swept(bench: Bench) {
    let store = bench.store.as_ref();
    let (order, payment) = paid_order(store, 100).await;
    tell_stock(store).await;
    deliver_all(store, NOW).await;
    tell(store, order.id, News::Dispute(Dispute { id: "dp_1".to_owned(), payment, state: DisputeState::Open })).await;
    assert_eq!(store.sweep(NOW, ALL, NOW).await.expect("it sweeps"), 0);
    // Two of the order and one of its product. What waits is kept.
    assert_eq!(store.sweep(NOW + 1, 1, NOW).await.expect("it sweeps"), 1);
    assert_eq!(store.sweep(NOW + 1, ALL, NOW).await.expect("it sweeps"), 2);
    assert_eq!(store.sweep(NOW + 1, ALL, NOW).await.expect("it sweeps"), 0);
    let left = deliver_all(store, NOW + 1).await;
    assert_eq!(kinds(&left, &format!("orders/{}", order.id)), named(&[("order.disputed", 3)]));
}
