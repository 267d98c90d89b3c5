//! Many who want the same: nobody gets what is not there, and nothing stays that somebody wanted.

use std::sync::Arc;

use checkout::domain::{Checkout, Effects, IntentStatus, Order, Refusal, StockEffect};
use checkout::store::{ClaimUse, Store};
use futures::future::join_all;

use super::shop::{NOW, checkout, done, eur, intent, open_order, place, set_stock, stock, tell, try_to_place};
use super::{Bench, Case};

const CLIENTS: usize = 200;

pub const CASES: &[Case] = &[
    ("one of many gets the last unit", |bench| Box::pin(one_unit(bench))),
    ("fifty units are sold to fifty of many", |bench| Box::pin(fifty_units(bench))),
    ("a hold that is rolled back loses no sale", |bench| Box::pin(rolled_back(bench))),
    ("mixed baskets, cancelled and placed again, lose no unit", |bench| Box::pin(mixed_baskets(bench))),
    ("stock is changed while it is sold", |bench| Box::pin(changed_meanwhile(bench))),
    ("stock is sold or given back once", |bench| Box::pin(sold_once(bench))),
];

/// How many of these are placed when all try at once.
async fn placed(store: &Arc<dyn Store>, wanted: Vec<Checkout>) -> usize {
    let tries = wanted.into_iter().map(|new| {
        let store = store.clone();
        tokio::spawn(async move { try_to_place(store.as_ref(), &new).await })
    });
    let outcomes: Vec<_> = tries.collect();
    join_all(outcomes).await.into_iter().filter(|outcome| *outcome.as_ref().expect("it ends")).count()
}

async fn one_unit(bench: Bench) {
    set_stock(bench.store.as_ref(), "boots", 1).await;
    let wanted = (0..CLIENTS).map(|_| checkout(&[("boots", 1, 100)])).collect();
    assert_eq!(placed(&bench.store, wanted).await, 1);
    assert_eq!(stock(bench.store.as_ref(), "boots").await, (0, 1));
}

async fn fifty_units(bench: Bench) {
    set_stock(bench.store.as_ref(), "boots", 50).await;
    let wanted = (0..CLIENTS).map(|_| checkout(&[("boots", 1, 100)])).collect();
    assert_eq!(placed(&bench.store, wanted).await, 50);
    assert_eq!(stock(bench.store.as_ref(), "boots").await, (0, 50));
}

async fn rolled_back(bench: Bench) {
    // Boots are held for a moment by those who find no lamp.
    set_stock(bench.store.as_ref(), "boots", 5).await;
    set_stock(bench.store.as_ref(), "lamp", 0).await;
    let in_vain = (0..CLIENTS).map(|_| checkout(&[("boots", 1, 100), ("lamp", 1, 100)]));
    let well = (0..5).map(|_| checkout(&[("boots", 1, 100)]));
    let mut wanted: Vec<Checkout> = in_vain.collect();
    for (place, one) in well.enumerate() {
        wanted.insert(place * CLIENTS / 5 + 7, one);
    }
    assert_eq!(placed(&bench.store, wanted).await, 5);
    assert_eq!(stock(bench.store.as_ref(), "boots").await, (0, 5));
}

async fn mixed_baskets(bench: Bench) {
    let products = ["boots", "chair", "lamp", "table"];
    for product in products {
        set_stock(bench.store.as_ref(), product, 40).await;
    }
    let clients = (0..40_usize).map(|client| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            for round in 0..5_usize {
                let (one, other) = (products[(client + round) % 4], products[(client * 3 + round + 1) % 4]);
                let quantity = 1 + (client as u32 + round as u32) % 3;
                let basket = match one == other {
                    true => checkout(&[(one, quantity, 100)]),
                    false => checkout(&[(one, quantity, 100), (other, 1, 50)]),
                };
                if try_to_place(store.as_ref(), &basket).await && (client + round) % 3 != 0 {
                    done(store.cancel_checkout(basket.id, &ClaimUse::None, NOW).await);
                }
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    for client in join_all(clients).await {
        client.expect("a client ends");
    }
    for product in products {
        let (available, held) = stock(bench.store.as_ref(), product).await;
        assert_eq!(available + held, 40, "{product}");
    }
}

async fn changed_meanwhile(bench: Bench) {
    set_stock(bench.store.as_ref(), "boots", 10).await;
    let counting = {
        let store = bench.store.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                set_stock(store.as_ref(), "boots", 10).await;
            }
        })
    };
    let wanted = (0..60).map(|_| checkout(&[("boots", 1, 100)])).collect();
    let placed = placed(&bench.store, wanted).await;
    counting.await.expect("it is counted");
    let (available, held) = stock(bench.store.as_ref(), "boots").await;
    assert_eq!(held, i64::try_from(placed).expect("a small number"));
    assert!(placed >= 10 && (0..=10).contains(&available), "{placed} were placed, {available} are left");
}

async fn sold_once(bench: Bench) {
    let store = bench.store.as_ref();
    set_stock(store, "boots", 10).await;
    let bought = place(store, &checkout(&[("boots", 2, 100)])).await;
    let (order, payment) = open_order(store, bought.id).await;
    tell(store, order.id, intent(payment, IntentStatus::Succeeded, eur(200))).await;
    assert_eq!(stock(store, "boots").await, (8, 0));
    for effect in [StockEffect::Sell, StockEffect::Release] {
        let again =
            move |_: &mut Order| -> Result<Effects, Refusal> { Ok(Effects { stock: effect, ..Effects::default() }) };
        done(store.change_order(order.id, &again, &ClaimUse::None, None, None, NOW).await);
        assert_eq!(stock(store, "boots").await, (8, 0));
    }
}
