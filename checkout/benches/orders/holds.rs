//! Checkouts that are placed and nothing more, all of them on a few hot products: stock is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use checkout::domain::{Checkout, CheckoutState, Line};
use checkout::ids::CheckoutId;
use checkout::store::{Answer, Claim, ClaimUse, Claimed, PostgresStore, Store, StoreSettings};
use checkout::work::now_ms;
use secrecy::SecretString;
use snapshots::{Currency, Money};
use test_servers::Postgres;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::arguments::Settings;
use crate::load::{highest, run};
use crate::pgbench::{Bench, CLIENTS, Script};
use crate::report::{Report, Target};
use crate::scene::{NO_LIMIT, Scene};
use crate::shopper::{HOT_PRODUCTS, PRODUCTS, name_of, scattered};
use crate::texts::of_holding;

const FIRST_RATE: f64 = 375.0;
const LEAST_PER_S: f64 = 1_500.0;
/// Of what pgbench reaches with the same statement.
const LEAST_RATIO: f64 = 0.5;
/// As many as the store has connections.
const WORKERS: u64 = 16;
const HOLD_MS: i64 = 900_000;
const LEASE_MS: i64 = 30_000;

pub async fn measure(postgres: &Postgres, settings: &Settings, report: &mut Report) {
    report.begin("holds");
    let scene = Scene::set(postgres, NO_LIMIT).await;
    let most = highest(FIRST_RATE, async |rate| {
        let shop = scene.shop.clone();
        let holding = move |number, intended| {
            let shop = shop.clone();
            async move { shop.hold(number, intended).await }
        };
        let load = run(rate, settings.time, holding).await;
        report.note(&load.summary());
        load.is_sustained()
    })
    .await;
    report.judge("POST checkouts, sustained", most, "holds/s", Target::AtLeast(LEAST_PER_S));
    let (placed, _, _) = scene.shop.samples().await;
    drop(scene);
    let mut bench = Bench::new(postgres);
    let (in_process, faults) = by_the_store(&bench.database, &placed, settings.time).await;
    report.tell("Store::place_checkout", in_process, "holds/s");
    report.faults(&faults);
    let mut best: f64 = 0.0;
    for clients in CLIENTS {
        let per_s = bench.run(Script::Hold, &of_holding(&placed, now_ms()), clients, settings.time);
        report.tell(&format!("pgbench, {clients} clients"), per_s, "holds/s");
        best = best.max(per_s);
    }
    report.judge("Store::place_checkout, of pgbench's", in_process / best, "", Target::AtLeast(LEAST_RATIO));
    report.tell("POST checkouts, of pgbench's", most / best, "");
}

/// The store in this process, as fast as it goes: holds a second, and what went wrong.
async fn by_the_store(database: &str, answer: &str, time: Duration) -> (f64, BTreeMap<String, u64>) {
    let url = SecretString::from(database);
    let store = PostgresStore::connect(&url, None, StoreSettings::default()).await.expect("a store");
    let (store, answer) = (Arc::new(store), Arc::<[u8]>::from(answer.as_bytes()));
    let (started, mut workers) = (Instant::now(), JoinSet::new());
    for worker in 0..WORKERS {
        workers.spawn(hold_until(store.clone(), answer.clone(), worker, started + time));
    }
    let (mut held, mut faults) = (0, BTreeMap::<String, u64>::new());
    while let Some(ended) = workers.join_next().await {
        let (of_worker, its_faults) = ended.expect("a worker ends");
        held += of_worker;
        its_faults.into_iter().for_each(|(fault, count)| *faults.entry(fault).or_insert(0) += count);
    }
    (held as f64 / started.elapsed().as_secs_f64(), faults)
}

async fn hold_until(
    store: Arc<PostgresStore>,
    answer: Arc<[u8]>,
    worker: u64,
    end: Instant,
) -> (u64, BTreeMap<String, u64>) {
    let (mut held, mut faults, mut number) = (0, BTreeMap::<String, u64>::new(), worker);
    while Instant::now() < end {
        let new = new_checkout(PRODUCTS.start + scattered(number) % HOT_PRODUCTS);
        number += WORKERS;
        let claim = Claim {
            caller: "guest".to_owned(),
            endpoint: "POST /checkout/v1/checkouts".to_owned(),
            key: Uuid::now_v7().to_string(),
            fingerprint: [7; 32],
            subject: new.id.to_string(),
            now_ms: new.created_ms,
            lease_until_ms: new.created_ms + LEASE_MS,
        };
        let render = |_: &Checkout| Answer { status: 201, body: answer.to_vec() };
        match store.place_checkout(&new, &ClaimUse::Whole(&claim, &render)).await {
            Ok(Claimed::Done(..)) => held += 1,
            Ok(other) => *faults.entry(format!("{other:?}")).or_insert(0) += 1,
            Err(error) => *faults.entry(error.to_string()).or_insert(0) += 1,
        }
    }
    (held, faults)
}

fn new_checkout(product: u64) -> Checkout {
    let currency: Currency = "EUR".parse().expect("a currency");
    let unit_price = Money::from_minor(1_999, currency);
    let product = name_of(product);
    let line = Line { title: format!("The lamp of benches {product}"), product, quantity: 1, unit_price };
    let now_ms = now_ms();
    Checkout {
        id: CheckoutId::new(),
        state: CheckoutState::Open,
        version: 1,
        market: String::new(),
        currency,
        lines: vec![line],
        total: unit_price,
        snapshot: "01hx-bench-snapshot".to_owned(),
        held_until_ms: now_ms + HOLD_MS,
        cart: None,
        email: Some("shopper@example.com".to_owned()),
        shipping_address: None,
        token_hash: [7; 32],
        created_ms: now_ms,
    }
}
