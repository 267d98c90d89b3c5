//! Stock is sold once, and others are told when there is none.

use tokio::task::JoinSet;

use super::{Bench, HOLD_MS, NOW, audit, checkout, done, refusal};
use crate::domain::{CheckoutState, Refusal};
use crate::store::{CheckoutChange, ClaimUse, Claimed, StockChange, StockLevel, Store, StoreError, StoreSettings};

const CLIENTS: usize = 50;
const UNITS: i64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_clients_ten_get_the_ten_units() {
    let bench = Bench::start().await;
    bench.set_stock("lamp", UNITS).await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let store = bench.store.clone();
        clients.spawn(async move { store.place_checkout(&checkout(&[("lamp", 1)]), &ClaimUse::None).await });
    }
    let outcomes = clients.join_all().await;
    let placed = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Claimed::Done(..)))).count();
    let is_sold_out = |outcome: &&Result<_, StoreError>| {
        matches!(outcome, Err(StoreError::Refused(Refusal::SoldOut { wanted: 1, available: 0, .. })))
    };
    let sold_out = outcomes.iter().filter(is_sold_out).count();
    assert_eq!((placed as i64, sold_out), (UNITS, CLIENTS - UNITS as usize));
    assert_eq!(bench.stock("lamp").await, (0, UNITS));
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn a_checkout_takes_all_of_its_lines_or_none() {
    let bench = Bench::start().await;
    bench.set_stock("lamp", 3).await;
    bench.set_stock("shade", 1).await;
    let outcome = bench.store.place_checkout(&checkout(&[("lamp", 2), ("shade", 2)]), &ClaimUse::None).await;
    assert_eq!(refusal(outcome), Refusal::SoldOut { product: "shade".to_owned(), wanted: 2, available: 1 });
    assert_eq!(bench.stock("lamp").await, (3, 0));
    // Two lines of one product want both of their quantities.
    let outcome = bench.store.place_checkout(&checkout(&[("lamp", 2), ("lamp", 2)]), &ClaimUse::None).await;
    assert_eq!(refusal(outcome), Refusal::SoldOut { product: "lamp".to_owned(), wanted: 4, available: 3 });
    let placed = bench.place(&[("lamp", 2), ("lamp", 1)]).await;
    assert_eq!(bench.store.checkout(placed.id).await.expect("a checkout"), Some(placed.clone()));
    // It was placed, though nobody heard of it: a second time changes nothing.
    assert_eq!(done(bench.store.place_checkout(&placed, &ClaimUse::None).await), placed);
    assert_eq!(bench.stock("lamp").await, (0, 3));
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn products_that_are_not_tracked_are_sold_as_the_settings_say() {
    let bench = Bench::start().await;
    let outcome = bench.store.place_checkout(&checkout(&[("poster", 1)]), &ClaimUse::None).await;
    assert_eq!(refusal(outcome), Refusal::SoldOut { product: "poster".to_owned(), wanted: 1, available: 0 });
    assert_eq!(bench.store.stock("poster").await.expect("an answer"), None);

    let bench = Bench::start_with(StoreSettings { sells_untracked: true, ..StoreSettings::default() }).await;
    bench.set_stock("lamp", 1).await;
    let placed = bench.place(&[("lamp", 1), ("poster", 1)]).await;
    // That it is tracked from now on takes nothing for what was sold before.
    bench.set_stock("poster", 5).await;
    bench.expect_sound_books().await;
    done(bench.store.cancel_checkout(placed.id, &ClaimUse::None, NOW).await);
    assert_eq!((bench.stock("lamp").await, bench.stock("poster").await), ((1, 0), (5, 0)));
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn stock_is_set_and_adjusted_within_bounds() {
    let bench = Bench::start().await;
    let adjust = |by| StockChange::Adjust { product: "lamp".to_owned(), by, reason: "breakage".to_owned() };
    let set = |available| StockChange::Set { product: "lamp".to_owned(), available, reason: "count".to_owned() };
    let store = &bench.store;
    let levels = done(store.change_stock(&[set(4), adjust(-1)], &ClaimUse::None, &audit(), NOW).await);
    let level = StockLevel { product: "lamp".to_owned(), available: 3, held: 0 };
    assert_eq!(levels, [level]);
    assert_eq!(
        refusal(store.change_stock(&[adjust(-4)], &ClaimUse::None, &audit(), NOW).await),
        Refusal::StockOutOfBounds(-1)
    );
    assert_eq!(
        refusal(store.change_stock(&[set(-1)], &ClaimUse::None, &audit(), NOW).await),
        Refusal::StockOutOfBounds(-1)
    );
    assert!(matches!(
        refusal(store.change_stock(&[adjust(i64::MAX)], &ClaimUse::None, &audit(), NOW).await),
        Refusal::StockOutOfBounds(_)
    ));
    let many = vec![adjust(1); 1_001];
    assert_eq!(refusal(store.change_stock(&many, &ClaimUse::None, &audit(), NOW).await), Refusal::TooMany("products"));
    bench.place(&[("lamp", 2)]).await;
    // What is held stays held.
    bench.set_stock("lamp", 7).await;
    assert_eq!(bench.stock("lamp").await, (7, 2));
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn others_are_told_when_a_product_sells_out_and_when_it_is_back() {
    let bench = Bench::start().await;
    let store = &bench.store;
    let told = async || {
        store.tell_availability(10, NOW).await.expect("products");
        let events = store.due_outbox(10, 1_000, NOW).await.expect("events");
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        store.delivered(&ids, NOW).await.expect("delivered");
        events
            .iter()
            .map(|event| (event.subject.clone(), event.version, event.data["in_stock"] == true))
            .collect::<Vec<_>>()
    };
    bench.set_stock("lamp", 2).await;
    assert_eq!(told().await, [("products/lamp".to_owned(), 1, true)]);
    let placed = bench.place(&[("lamp", 1)]).await;
    assert_eq!(told().await, [], "one is left");
    let last = bench.place(&[("lamp", 1)]).await;
    assert_eq!(told().await, [("products/lamp".to_owned(), 2, false)]);
    done(store.cancel_checkout(placed.id, &ClaimUse::None, NOW).await);
    bench.place(&[("lamp", 1)]).await;
    assert_eq!(store.tell_availability(10, NOW).await.expect("products"), 1, "it was back for a while");
    assert_eq!(told().await, [], "which nobody needs to know");
    done(store.cancel_checkout(last.id, &ClaimUse::None, NOW).await);
    assert_eq!(told().await, [("products/lamp".to_owned(), 3, true)]);
}

#[tokio::test]
async fn a_checkout_is_changed_cancelled_and_expires() {
    let bench = Bench::start().await;
    let store = &bench.store;
    bench.set_stock("lamp", 3).await;
    let placed = bench.place(&[("lamp", 1)]).await;
    let change = CheckoutChange { email: Some("ada@example.org".to_owned()), shipping_address: None };
    let changed = store.change_checkout(placed.id, 1, &change, NOW).await.expect("a change");
    assert_eq!((changed.version, changed.email.as_deref()), (2, Some("ada@example.org")));
    assert_eq!(changed.shipping_address, placed.shipping_address);
    assert_eq!(store.checkout(placed.id).await.expect("a checkout"), Some(changed));
    let stale = store.change_checkout(placed.id, 1, &change, NOW).await;
    assert_eq!(refusal(stale), Refusal::VersionConflict { current: 2 });
    let late = store.change_checkout(placed.id, 2, &change, NOW + HOLD_MS).await;
    assert_eq!(refusal(late), Refusal::HoldOver);

    for _ in 0..2 {
        let cancelled = done(store.cancel_checkout(placed.id, &ClaimUse::None, NOW).await);
        assert_eq!(cancelled.state, CheckoutState::Cancelled);
        assert_eq!(bench.stock("lamp").await, (3, 0));
    }
    let closed = store.change_checkout(placed.id, 2, &change, NOW).await;
    assert_eq!(refusal(closed), Refusal::CheckoutClosed(CheckoutState::Cancelled));
    let unknown = store.cancel_checkout(checkout(&[]).id, &ClaimUse::None, NOW).await;
    assert_eq!(refusal(unknown), Refusal::NotFound("checkout"));

    let (first, second) = (bench.place(&[("lamp", 1)]).await, bench.place(&[("lamp", 1)]).await);
    assert_eq!(store.expire_checkouts(10, NOW + HOLD_MS - 1).await.expect("none"), 0);
    assert_eq!(store.expire_checkouts(1, NOW + HOLD_MS).await.expect("one"), 1);
    assert_eq!(store.expire_checkouts(10, NOW + HOLD_MS).await.expect("the other"), 1);
    assert_eq!(bench.stock("lamp").await, (3, 0));
    for id in [first.id, second.id] {
        let expired = store.checkout(id).await.expect("a checkout").expect("it is kept");
        assert_eq!(expired.state, CheckoutState::Expired);
        let outcome = store.cancel_checkout(id, &ClaimUse::None, NOW).await;
        assert_eq!(refusal(outcome), Refusal::CheckoutClosed(CheckoutState::Expired));
    }
    bench.expect_sound_books().await;
}
