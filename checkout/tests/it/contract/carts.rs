//! Carts, where the database keeps them.

use checkout::domain::Refusal;
use checkout::ids::CartId;
use checkout::store::{Cart, CartLine};

use super::shop::{ALL, NOW, refused};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("a cart changes with its version", |bench| Box::pin(changes(bench))),
    ("a cart that is over is not there", |bench| Box::pin(over(bench))),
    ("a cart is deleted once", |bench| Box::pin(deleted(bench))),
];

fn cart(version: u32) -> Cart {
    Cart {
        id: CartId::new(),
        version,
        market: "de".to_owned(),
        lines: vec![CartLine { product: "boots \"size 9\"".to_owned(), quantity: 2 }],
        expires_ms: NOW + 1_000,
    }
}

async fn changes(bench: Bench) {
    let store = bench.store.as_ref();
    let mut cart = cart(1);
    assert_eq!(store.cart(cart.id, NOW).await.expect("it is looked for"), None);
    store.put_cart(&cart).await.expect("it is made");
    assert_eq!(store.cart(cart.id, NOW).await.expect("it is read").as_ref(), Some(&cart));
    cart.version = 2;
    cart.lines.clear();
    cart.expires_ms += 1;
    store.put_cart(&cart).await.expect("it changes");
    assert_eq!(store.cart(cart.id, NOW).await.expect("it is read").as_ref(), Some(&cart));
    // Another page has it as it was.
    cart.market = "at".to_owned();
    assert_eq!(refused(store.put_cart(&cart).await), Refusal::VersionConflict { current: 2 });
    cart.version = 1;
    assert_eq!(refused(store.put_cart(&cart).await), Refusal::VersionConflict { current: 2 });
    cart.version = 4;
    assert_eq!(refused(store.put_cart(&cart).await), Refusal::VersionConflict { current: 2 });
    assert!(matches!(refused(store.put_cart(&self::cart(2)).await), Refusal::NotFound(_)));
}

async fn over(bench: Bench) {
    let store = bench.store.as_ref();
    let mut cart = cart(1);
    store.put_cart(&cart).await.expect("it is made");
    assert!(store.cart(cart.id, NOW + 999).await.expect("it is read").is_some());
    assert_eq!(store.cart(cart.id, NOW + 1_000).await.expect("it is looked for"), None);
    cart.id = CartId::new();
    cart.expires_ms = NOW + 5_000;
    store.put_cart(&cart).await.expect("another is made");
    assert_eq!(store.sweep(0, ALL, NOW + 1_000).await.expect("it sweeps"), 1);
    assert_eq!(store.cart(cart.id, NOW + 1_000).await.expect("it is read"), Some(cart));
}

async fn deleted(bench: Bench) {
    let store = bench.store.as_ref();
    let cart = cart(1);
    store.put_cart(&cart).await.expect("it is made");
    assert!(store.delete_cart(cart.id).await.expect("it is deleted"));
    assert!(!store.delete_cart(cart.id).await.expect("it is looked for"));
    assert_eq!(store.cart(cart.id, NOW).await.expect("it is looked for"), None);
}
