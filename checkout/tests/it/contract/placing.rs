//! Checkouts are placed with their stock, changed and cancelled.

use checkout::domain::{CheckoutState, Refusal};
use checkout::ids::{CartId, CheckoutId};
use checkout::store::{CheckoutChange, ClaimUse, StoreSettings};

use super::shop::{HOLD_MS, NOW, checkout, done, eur, open_order, paid_order, place, refused, set_stock, stock};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("a checkout reads as it was placed", |bench| Box::pin(reads_as_placed(bench))),
    ("what is sold out is told with what is left", |bench| Box::pin(sold_out(bench))),
    ("a product that is not counted is sold out, or sold without a hold", |bench| Box::pin(untracked(bench))),
    ("many units are taken from wherever they are", |bench| Box::pin(many_units(bench))),
    ("nothing is held where one product is missing", |bench| Box::pin(all_or_nothing(bench))),
    ("a checkout that is placed twice is held once", |bench| Box::pin(placed_twice(bench))),
    ("details change with the version", |bench| Box::pin(details_change(bench))),
    ("a checkout that is cancelled gives its stock back once", |bench| Box::pin(cancelled(bench))),
    ("a checkout with an order is not cancelled by itself", |bench| Box::pin(cancelled_with_order(bench))),
];

async fn reads_as_placed(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    set_stock(store, "lamp", 3).await;
    let mut new = checkout(&[("lamp", 1, 4_999), ("boots", 2, 8_950)]);
    new.cart = Some(CartId::new());
    new.email = Some("ada@example.com".to_owned());
    new.shipping_address = Some(serde_json::json!({ "name": "Ada \"the\" Ünïcode", "floor": 3 }));
    assert_eq!(new.total, eur(22_899));
    assert_eq!(place(store, &new).await, new);
    assert_eq!(store.checkout(new.id).await.expect("it is read"), Some(new));
    assert_eq!((stock(store, "boots").await, stock(store, "lamp").await), ((8, 2), (2, 1)));
    assert_eq!(store.checkout(CheckoutId::new()).await.expect("it is looked for"), None);
    assert_eq!(store.stock("chair").await.expect("it is looked for"), None);
}

async fn sold_out(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 3).await;
    let new = checkout(&[("boots", 5, 100)]);
    let refusal = refused(store.place_checkout(&new, &ClaimUse::None).await);
    assert_eq!(refusal, Refusal::SoldOut { product: "boots".to_owned(), wanted: 5, available: 3 });
    assert_eq!(store.checkout(new.id).await.expect("it is looked for"), None);
    assert_eq!(stock(store, "boots").await, (3, 0));
    place(store, &checkout(&[("boots", 3, 100)])).await;
    let refusal = refused(store.place_checkout(&checkout(&[("boots", 1, 100)]), &ClaimUse::None).await);
    assert_eq!(refusal, Refusal::SoldOut { product: "boots".to_owned(), wanted: 1, available: 0 });
}

async fn untracked(bench: Bench) {
    let store = bench.store.as_ref();
    let new = checkout(&[("download", 2, 100)]);
    let refusal = refused(store.place_checkout(&new, &ClaimUse::None).await);
    assert_eq!(refusal, Refusal::SoldOut { product: "download".to_owned(), wanted: 2, available: 0 });
    let generous = bench.another(StoreSettings { sells_untracked: true, ..StoreSettings::default() }).await;
    set_stock(store, "boots", 1).await;
    place(generous.as_ref(), &checkout(&[("download", 2, 100), ("boots", 1, 100)])).await;
    assert_eq!(stock(store, "boots").await, (0, 1));
    // What is counted is counted all the same.
    let both = checkout(&[("download", 2, 100), ("boots", 1, 100)]);
    let refusal = refused(generous.place_checkout(&both, &ClaimUse::None).await);
    assert_eq!(refusal, Refusal::SoldOut { product: "boots".to_owned(), wanted: 1, available: 0 });
}

async fn many_units(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 300).await;
    for quantity in [150, 100, 37, 13] {
        place(store, &checkout(&[("boots", quantity, 100)])).await;
    }
    assert_eq!(stock(store, "boots").await, (0, 300));
    // More is there, wherever it is put.
    assert_eq!(set_stock(store, "boots", 2).await.available, 2);
    place(store, &checkout(&[("boots", 2, 100)])).await;
    assert_eq!(stock(store, "boots").await, (0, 302));
}

async fn all_or_nothing(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 3).await;
    set_stock(store, "lamp", 1).await;
    let refusal = refused(store.place_checkout(&checkout(&[("boots", 1, 1), ("lamp", 2, 1)]), &ClaimUse::None).await);
    assert_eq!(refusal, Refusal::SoldOut { product: "lamp".to_owned(), wanted: 2, available: 1 });
    assert_eq!((stock(store, "boots").await, stock(store, "lamp").await), ((3, 0), (1, 0)));
    // Two lines of one product are one wish.
    let refusal = refused(store.place_checkout(&checkout(&[("boots", 2, 1), ("boots", 2, 2)]), &ClaimUse::None).await);
    assert_eq!(refusal, Refusal::SoldOut { product: "boots".to_owned(), wanted: 4, available: 3 });
    place(store, &checkout(&[("boots", 2, 1), ("boots", 1, 2)])).await;
    assert_eq!(stock(store, "boots").await, (0, 3));
}

async fn placed_twice(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 3).await;
    let new = checkout(&[("boots", 2, 100)]);
    assert_eq!(place(store, &new).await, new);
    assert_eq!(place(store, &new).await, new);
    assert_eq!(stock(store, "boots").await, (1, 2));
}

async fn details_change(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 3).await;
    let placed = place(store, &checkout(&[("boots", 1, 100)])).await;
    let email = CheckoutChange { email: Some("ada@example.com".to_owned()), shipping_address: None };
    let changed = store.change_checkout(placed.id, 1, &email, NOW).await.expect("it changes");
    assert_eq!((changed.version, changed.email.as_deref()), (2, Some("ada@example.com")));
    let address = serde_json::json!({ "city": "Köln" });
    let to = CheckoutChange { email: None, shipping_address: Some(address.clone()) };
    let changed = store.change_checkout(placed.id, 2, &to, NOW).await.expect("it changes");
    assert_eq!((changed.version, changed.email.is_some(), &changed.shipping_address), (3, true, &Some(address)));
    assert_eq!(store.checkout(placed.id).await.expect("it is read"), Some(changed));
    let refusal = refused(store.change_checkout(placed.id, 2, &email, NOW).await);
    assert_eq!(refusal, Refusal::VersionConflict { current: 3 });
    assert_eq!(refused(store.change_checkout(placed.id, 3, &email, NOW + HOLD_MS).await), Refusal::HoldOver);
    let unknown = store.change_checkout(CheckoutId::new(), 1, &email, NOW).await;
    assert!(matches!(refused(unknown), Refusal::NotFound(_)));
    done(store.cancel_checkout(placed.id, &ClaimUse::None, NOW).await);
    let refusal = refused(store.change_checkout(placed.id, 3, &email, NOW).await);
    assert_eq!(refusal, Refusal::CheckoutClosed(CheckoutState::Cancelled));
}

async fn cancelled(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 3).await;
    let placed = place(store, &checkout(&[("boots", 2, 100)])).await;
    for _ in 0..2 {
        let cancelled = done(store.cancel_checkout(placed.id, &ClaimUse::None, NOW).await);
        assert_eq!(cancelled.state, CheckoutState::Cancelled);
        assert_eq!(stock(store, "boots").await, (3, 0));
    }
    let unknown = store.cancel_checkout(CheckoutId::new(), &ClaimUse::None, NOW).await;
    assert!(matches!(refused(unknown), Refusal::NotFound(_)));
}

async fn cancelled_with_order(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 3).await;
    let placed = place(store, &checkout(&[("boots", 2, 100)])).await;
    open_order(store, placed.id).await;
    let refusal = refused(store.cancel_checkout(placed.id, &ClaimUse::None, NOW).await);
    assert_eq!(refusal, Refusal::PaymentInProgress);
    let (order, _) = paid_order(store, 100).await;
    let refusal = refused(store.cancel_checkout(order.checkout, &ClaimUse::None, NOW).await);
    assert_eq!(refusal, Refusal::PaymentInProgress);
}
