//! The inbox, the outbox, carts, and what is swept away.

use super::{Bench, NOW, refusal};
use crate::domain::{Dispute, DisputeState, News, Refusal};
use crate::ids::CartId;
use crate::store::{Cart, CartLine, NewInboxEvent, OutboxEvent, Store};

const LEASE_MS: i64 = 1_000;

async fn due(bench: &Bench, now_ms: i64) -> Vec<OutboxEvent> {
    bench.store.due_outbox(10, LEASE_MS, now_ms).await.expect("events")
}

fn only(events: Vec<OutboxEvent>) -> OutboxEvent {
    match <[OutboxEvent; 1]>::try_from(events) {
        Ok([event]) => event,
        Err(events) => panic!("one was expected: {events:?}"),
    }
}

#[tokio::test]
async fn events_of_a_subject_are_delivered_in_their_order() {
    let bench = Bench::start().await;
    let store = &bench.store;
    let (order, payment) = bench.paid().await;
    bench
        .tell(order.id, News::Dispute(Dispute { id: "dp_1".to_owned(), payment, state: DisputeState::Open }), NOW)
        .await;

    let event = only(due(&bench, NOW).await);
    assert_eq!((event.kind.as_str(), event.version, event.tries), ("order.created", 1, 1));
    assert_eq!(event.subject, format!("orders/{}", order.id));
    assert!(event.data["version"] == 1 && event.data["state"] == "pending_payment", "{event:?}");
    assert_eq!(due(&bench, NOW + LEASE_MS - 1).await, [], "somebody delivers it");
    assert_eq!(only(due(&bench, NOW + LEASE_MS).await).tries, 2, "nobody said that it was delivered");
    store.delivered(&[event.id], NOW).await.expect("delivered");

    let event = only(due(&bench, NOW).await);
    assert!(event.kind == "order.paid" && event.data["state"] == "paid", "{event:?}");
    store.undelivered(event.id, "it answered 500", Some(NOW + 50)).await.expect("noted");
    assert_eq!(due(&bench, NOW + 49).await, []);
    assert_eq!(only(due(&bench, NOW + 50).await).id, event.id);
    store.undelivered(event.id, "it answered 500", None).await.expect("noted");
    assert_eq!(due(&bench, NOW + 1_000_000).await, [], "a dead one holds back those after it");
    let dead = store.dead_letters(10).await.expect("dead letters");
    assert_eq!(
        dead.iter().map(|one| (one.event.id, one.why.as_str())).collect::<Vec<_>>(),
        [(event.id, "it answered 500")]
    );
    let backlog = store.backlog(NOW + 9).await.expect("a backlog");
    assert_eq!((backlog.dead_letters, backlog.outbox, backlog.oldest_outbox_ms), (1, 1, 9));

    let id = event.id.to_string();
    assert_eq!(store.replay_dead(std::slice::from_ref(&id), "anna", NOW).await.expect("one"), [id]);
    assert_eq!(store.replay_dead(&[], "anna", NOW).await.expect("none"), [""; 0]);
    assert_eq!(only(due(&bench, NOW).await).tries, 1);
    store.delivered(&[event.id], NOW).await.expect("delivered");
    assert_eq!(only(due(&bench, NOW).await).kind, "order.disputed");
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn all_dead_letters_are_replayed_where_none_are_named() {
    let bench = Bench::start().await;
    bench.paid().await;
    let event = only(due(&bench, NOW).await);
    bench.store.undelivered(event.id, "gone", None).await.expect("noted");
    assert_eq!(bench.store.replay_dead(&[], "anna", NOW).await.expect("one"), [event.id.to_string()]);
    assert_eq!(only(due(&bench, NOW).await).id, event.id);
    assert_eq!(bench.store.dead_letters(10).await.expect("none"), []);
}

#[tokio::test]
async fn a_webhook_is_received_once_and_tried_until_it_is_settled() {
    let bench = Bench::start().await;
    let store = &bench.store;
    let event = NewInboxEvent { id: "evt_1", kind: "charge.updated", body: b"\xff{}", received_ms: NOW };
    assert!(store.receive(&event).await.expect("received"));
    assert!(!store.receive(&event).await.expect("known"));
    let handed = store.due_events(10, LEASE_MS, NOW).await.expect("events");
    let seen: Vec<_> = handed.iter().map(|one| (one.id.as_str(), one.body.as_slice(), one.tries)).collect();
    assert_eq!(seen, [("evt_1", event.body, 1)]);
    assert_eq!(store.due_events(10, LEASE_MS, NOW).await.expect("none"), []);
    store.fail_event("evt_1", "its object is of a kind that is not known").await.expect("noted");
    assert_eq!(store.backlog(NOW).await.expect("a backlog").inbox, 1);
    let again = store.due_events(10, LEASE_MS, NOW + LEASE_MS).await.expect("events");
    assert_eq!(again.iter().map(|one| one.tries).collect::<Vec<_>>(), [2]);
    store.settle_event("evt_1", NOW).await.expect("settled");
    assert_eq!(store.due_events(10, LEASE_MS, NOW + 1_000_000).await.expect("none"), []);
    assert_eq!(store.backlog(NOW).await.expect("a backlog").inbox, 0);
    assert!(!store.receive(&event).await.expect("it is still known"));
}

#[tokio::test]
async fn what_was_dealt_with_is_swept_and_nothing_else() {
    let bench = Bench::start().await;
    let store = &bench.store;
    bench.paid().await;
    let created = only(due(&bench, NOW).await);
    store.delivered(&[created.id], NOW).await.expect("delivered");
    let event = NewInboxEvent { id: "evt_1", kind: "charge.updated", body: b"{}", received_ms: NOW };
    store.receive(&event).await.expect("received");
    store.settle_event("evt_1", NOW).await.expect("settled");
    store.receive(&NewInboxEvent { id: "evt_2", ..event }).await.expect("received");
    store.put_cart(&cart(CartId::new(), 1)).await.expect("a cart");

    assert_eq!(store.sweep(NOW, 10, NOW).await.expect("none"), 0);
    assert_eq!(store.sweep(NOW + 1, 1, NOW + 1_000_000).await.expect("one at most"), 1);
    assert_eq!(store.sweep(NOW + 1, 10, NOW + 1_000_000).await.expect("the others"), 2);
    assert_eq!(store.sweep(NOW + 1, 10, NOW + 1_000_000).await.expect("none"), 0);
    assert_eq!(store.due_events(10, LEASE_MS, NOW).await.expect("events").len(), 1);
    assert_eq!(only(due(&bench, NOW).await).kind, "order.paid");
    bench.expect_sound_books().await;
}

fn cart(id: CartId, version: u32) -> Cart {
    let lines = vec![CartLine { product: "lamp \"Ø\"".to_owned(), quantity: version }];
    Cart { id, version, market: "de".to_owned(), lines, expires_ms: NOW + 1_000 }
}

#[tokio::test]
async fn a_cart_is_written_over_the_version_before_it() {
    let bench = Bench::start().await;
    let store = &bench.store;
    let id = CartId::new();
    assert_eq!(refusal(store.put_cart(&cart(id, 2)).await), Refusal::NotFound("cart"));
    store.put_cart(&cart(id, 1)).await.expect("a new cart");
    assert_eq!(refusal(store.put_cart(&cart(id, 1)).await), Refusal::VersionConflict { current: 1 });
    store.put_cart(&cart(id, 2)).await.expect("the next version");
    assert_eq!(refusal(store.put_cart(&cart(id, 4)).await), Refusal::VersionConflict { current: 2 });
    assert_eq!(store.cart(id, NOW).await.expect("a cart"), Some(cart(id, 2)));
    assert_eq!(store.cart(id, NOW + 1_000).await.expect("an answer"), None, "it is over");
    assert!(store.delete_cart(id).await.expect("deleted"));
    assert!(!store.delete_cart(id).await.expect("gone"));
    assert_eq!(store.cart(id, NOW).await.expect("an answer"), None);
}
