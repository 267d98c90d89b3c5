//! Servers that die, connections that break, and acknowledgements that are lost.

use std::sync::Arc;
use std::time::Duration;

use checkout::domain::News;
use checkout::ids::{CheckoutId, OrderId, PaymentId};
use checkout::store::{
    CheckoutChange, ClaimUse, Claimed, Lane, NewInboxEvent, PostgresStore, StockChange, StockLevel, Store, StoreError,
    Terms,
};
use sqlx::{Connection, PgConnection};
use test_servers::{Direction, Postgres, TcpProxy};

use super::load::Load;
use super::{WAITING, connect, migrated};
use crate::contract::shop::{
    NOW, answer_with_checkout, answer_with_levels, answer_with_order, audit, begin_payment, checkout, claim, done,
    hear, open_order, place, set_stock, stock,
};
use crate::http::shop::wait_until;

/// How many shoppers are served before and after a fault.
const SERVED: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_under_load_loses_nothing_that_was_acknowledged() {
    let mut postgres = Postgres::start();
    let load = Load::start(Arc::new(migrated(&postgres.database()).await)).await;
    for _ in 0..2 {
        load.wait_for(SERVED).await;
        postgres.kill();
        postgres.restart();
    }
    load.wait_for(SERVED).await;
    load.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_under_load() {
    let (mut primary, standby) = Postgres::start_with_standby();
    let url = primary.database();
    let name = url.rsplit('/').next().expect("a name").to_owned();
    // The standby stands first: it is passed over as long as it is one.
    let urls = format!("{}, {url}", standby.url_of(&name));
    standby.wait_for("SELECT count(*) FROM pg_database WHERE datname = 'test_0'", "1");
    let load = Load::start(Arc::new(migrated(&urls).await)).await;
    load.wait_for(SERVED).await;
    primary.kill();
    standby.promote();
    load.wait_for(SERVED).await;
    load.settle().await;
    assert_ne!(standby.execute(&standby.url_of(&name), "SELECT count(*) FROM checkouts"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_may_be_down_when_the_store_begins() {
    let mut postgres = Postgres::start();
    let url = postgres.database();
    postgres.kill();
    let store = connect(&url).await;
    let down = store.ping().await.expect_err("it is down");
    assert!(down.is_transient(), "{down}");
    postgres.restart();
    store.ping().await.expect("it is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_ended_are_opened_anew() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let store = migrated(&url).await;
    for _ in 0..3 {
        store.ping().await.expect("it answers");
        let end_all = "SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert_eq!(postgres.execute(&url, end_all), "t");
    }
    store.ping().await.expect("it answers");
}

/// A store whose connections can be broken.
async fn through_proxy(postgres: &Postgres) -> (PostgresStore, TcpProxy) {
    let url = postgres.database();
    migrated(&url).await;
    let proxy = TcpProxy::start(&postgres.address());
    let name = url.rsplit('/').next().expect("a name");
    let store = connect(&format!("postgres://postgres@{}/{name}?sslmode=disable", proxy.address())).await;
    (store, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_whose_acknowledgement_is_lost_is_placed_once() {
    let postgres = Postgres::start();
    let (store, proxy) = through_proxy(&postgres).await;
    set_stock(&store, "boots", 5).await;
    let new = checkout(&[("boots", 2, 100)]);
    proxy.swallow_answer_to(new.id.to_string().as_bytes());
    assert_eq!(place(&store, &new).await, new);
    assert_eq!((proxy.cuts(), stock(&store, "boots").await), (1, (3, 2)));
    let new = checkout(&[("boots", 1, 100)]);
    let key = claim("key", &new.id.to_string(), NOW);
    proxy.swallow_answer_to(new.id.to_string().as_bytes());
    let whole = ClaimUse::Whole(&key, &answer_with_checkout);
    match store.place_checkout(&new, &whole).await {
        Ok(Claimed::Done(placed, answer)) => {
            assert_eq!((answer, &placed), (Some(answer_with_checkout(&new)), &new));
        }
        other => panic!("it is not done: {other:?}"),
    }
    assert_eq!((proxy.cuts(), stock(&store, "boots").await), (2, (2, 3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_without_an_acknowledgement_is_done_once() {
    let postgres = Postgres::start();
    let (store, proxy) = through_proxy(&postgres).await;
    set_stock(&store, "boots", 5).await;
    let placed = place(&store, &checkout(&[("boots", 1, 100)])).await;
    let email = CheckoutChange { email: Some("ada@example.com".to_owned()), shipping_address: None };
    proxy.swallow_answer_to(b"COMMIT");
    let changed = store.change_checkout(placed.id, 1, &email, NOW).await.expect("it is changed");
    assert_eq!((changed.version, proxy.cuts()), (2, 1));
    // The work goes on after it: it must not be told that somebody is at it already.
    let key = claim("key", "work", NOW);
    let (id, payment) = (OrderId::new(), PaymentId::new());
    let change = begin_payment(payment, NOW);
    // It is written by one statement, which commits by itself.
    proxy.swallow_answer_to(id.to_string().as_bytes());
    let order = done(store.open_order(placed.id, id, &change, &ClaimUse::Begin(&key), NOW).await);
    assert_eq!((order.id, order.payments.len(), proxy.cuts()), (id, 1, 2));
    assert_eq!(store.order(order.id).await.expect("it is read"), Some(order));
    // So is a change, and its answer.
    let dead = hear(News::PaymentDead { payment, failure: "expired_card".to_owned() }, NOW);
    proxy.swallow_answer_to(b"expired_card");
    let finish = ClaimUse::Finish(&key, &answer_with_order);
    match store.change_order(id, &dead, &finish, None, None, NOW).await {
        Ok(Claimed::Done(order, answer)) => {
            assert_eq!((answer, proxy.cuts()), (Some(answer_with_order(&order)), 3));
            assert_eq!(store.order(id).await.expect("it is read"), Some(order));
        }
        other => panic!("it is not done: {other:?}"),
    }
    // An adjustment has no id: it is found by its transaction.
    let adjust = StockChange::Adjust { product: "boots".to_owned(), by: 10, reason: "delivered".to_owned() };
    proxy.swallow_answer_to(b"COMMIT");
    let adjust = [adjust];
    let levels = done(store.change_stock(&adjust, &ClaimUse::None, &audit(), NOW).await);
    assert_eq!((levels[0].available, levels[0].held, proxy.cuts()), (14, 1, 4));
    // With a key, it is found by that.
    let key = claim("adjust", "adjust", NOW);
    let render = |levels: &Vec<StockLevel>| answer_with_levels(levels);
    let whole: ClaimUse<'_, Vec<StockLevel>> = ClaimUse::Whole(&key, &render);
    proxy.swallow_answer_to(b"COMMIT");
    match store.change_stock(&adjust, &whole, &audit(), NOW).await {
        Ok(Claimed::Done(levels, answer)) => {
            assert_eq!((answer, levels[0].available, proxy.cuts()), (Some(answer_with_levels(&levels)), 24, 5));
        }
        other => panic!("it is not done: {other:?}"),
    }
    let violations = store.violations().await.expect("the books are read");
    assert!(violations.is_empty(), "{violations:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_are_no_errors() {
    let postgres = Postgres::start();
    let (store, proxy) = through_proxy(&postgres).await;
    set_stock(&store, "boots", 1_000).await;
    for bytes in [1, 40, 200, 700, 1_500, 3_000] {
        proxy.cut_after(Direction::ToServer, bytes);
        let placed = place(&store, &checkout(&[("boots", 1, 100)])).await;
        proxy.cut_after(Direction::ToClient, bytes);
        open_order(&store, placed.id).await;
    }
    assert!(proxy.cuts() > 0);
    let violations = store.violations().await.expect("the books are read");
    assert!(violations.is_empty(), "{violations:?}");
    proxy.refuse(true);
    proxy.cut();
    let away = store.ping().await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    proxy.refuse(false);
    store.ping().await.expect("it is back");
}

/// A request waited for a database that hangs as often as it had transactions.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_a_request_has_is_spent_once() {
    let postgres = Postgres::start();
    let (store, proxy) = through_proxy(&postgres).await;
    store.ping().await.expect("it answers");
    let request = store.with_terms(Terms::together(Lane::Begun, Duration::from_millis(300)));
    // It takes questions, and answers none.
    proxy.delay(Duration::from_secs(600));
    let hung = request.ping().await;
    assert!(matches!(hung, Err(StoreError::Unavailable(_))), "{hung:?}");
    proxy.delay(Duration::ZERO);
    let spent = request.ping().await;
    assert!(matches!(spent, Err(StoreError::Unavailable(_))), "{spent:?}");
    store.ping().await.expect("others have a time of their own");
    store
        .with_terms(Terms::together(Lane::Begun, Duration::from_secs(60)))
        .ping()
        .await
        .expect("and so has the next request");
}

/// Everybody waits for a lock, with a connection each. Webhooks waited for one, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_stored_while_all_others_wait() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let store = Arc::new(migrated(&url).await);
    let id = CheckoutId::new();
    let mut locker = PgConnection::connect(&url).await.expect("a connection");
    sqlx::raw_sql("BEGIN; LOCK TABLE checkouts").execute(&mut locker).await.expect("the lock");
    let readers = (0..20).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            while let Err(error) = store.checkout(id).await {
                assert!(error.is_transient(), "{error}");
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    // Of sixteen connections, two are kept.
    wait_until("all others wait", async || postgres.execute(&url, WAITING) == "14").await;
    let webhooks = store.with_terms(Terms::each(Lane::Webhook));
    let event = NewInboxEvent { id: "evt_1", kind: "charge.updated", body: b"{}", received_ms: NOW };
    assert!(webhooks.receive(&event).await.expect("it is stored"));
    sqlx::raw_sql("ROLLBACK").execute(&mut locker).await.expect("the lock is gone");
    for reader in readers {
        reader.await.expect("a reader ends");
    }
}
