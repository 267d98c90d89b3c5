//! Listings are read from a replica, as long as it keeps up.

use std::time::Duration;

use checkout::ids::OrderId;
use checkout::store::{Lane, OrderFilter, PostgresStore, Store, StoreError, StoreSettings, Terms};
use secrecy::SecretString;
use sqlx::{Connection, PgConnection};
use test_servers::{Postgres, TcpProxy};

use super::migrated;
use crate::contract::shop::{ALL, paid_order};
use crate::http::shop::wait_until;

const DEADLINE: Duration = Duration::from_secs(30);
/// Less than a lock is waited for, and more than it takes to connect.
const SLOW_MS: u64 = 2_000;
const FOR_EVER: Duration = Duration::from_secs(3_600);

async fn with_replica(primary: &str, replica: &str, replica_lag_max_ms: u64) -> PostgresStore {
    let settings = StoreSettings { replica_lag_max_ms, ..StoreSettings::default() };
    let (primary, replica) = (SecretString::from(primary), SecretString::from(replica));
    PostgresStore::connect(&primary, Some(&replica), settings).await.expect("a store")
}

async fn listed(store: &dyn Store) -> Vec<OrderId> {
    let filter = OrderFilter { limit: ALL, ..OrderFilter::default() };
    store.orders(&filter).await.expect("orders").into_iter().map(|row| row.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_keeps_up_is_read_even_when_the_primary_is_away() {
    let primary = Postgres::start();
    let url = primary.database();
    let (order, _) = paid_order(&migrated(&url).await, 100).await;
    let standby = primary.standby(&[]);
    let name = url.rsplit('/').next().expect("a name");
    standby.wait_for_in(&standby.url_of(name), "SELECT count(*) FROM orders", "1");
    let proxy = TcpProxy::start(&primary.address());
    let through = format!("postgres://postgres@{}/{name}?sslmode=disable", proxy.address());
    let store = with_replica(&through, &standby.url_of(name), 60_000).await;
    proxy.refuse(true);
    assert_eq!(listed(&store).await, [order.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_or_is_away_is_not_read() {
    let primary = Postgres::start();
    let url = primary.database();
    let (first, _) = paid_order(&migrated(&url).await, 100).await;
    let mut standby = primary.standby(&["recovery_min_apply_delay=1h"]);
    let name = url.rsplit('/').next().expect("a name").to_owned();
    let store = with_replica(&url, &standby.url_of(&name), 0).await;
    let (second, _) = paid_order(&store, 200).await;
    // What was not sent yet is not known to lag, for a moment.
    wait_until("a replica that lags is not read", async || listed(&store).await == [second.id, first.id]).await;
    assert_eq!(standby.execute(&standby.url_of(&name), "SELECT count(*) FROM orders"), "1");
    standby.kill();
    let (third, _) = paid_order(&store, 300).await;
    assert_eq!(listed(&store).await, [third.id, second.id, first.id]);
}

/// A store whose replica can be made to hang, with an order that is read from there.
async fn before_it_hangs(
    primary: &Postgres,
    standby: &Postgres,
    statement_timeout_ms: u64,
) -> (PostgresStore, TcpProxy) {
    let url = primary.database();
    let (order, _) = paid_order(&migrated(&url).await, 100).await;
    let name = url.rsplit('/').next().expect("a name");
    standby.wait_for_in(&standby.url_of(name), "SELECT count(*) FROM orders", "1");
    let proxy = TcpProxy::start(&standby.address());
    let through = format!("postgres://postgres@{}/{name}?sslmode=disable", proxy.address());
    let settings = StoreSettings { statement_timeout_ms, ..StoreSettings::default() };
    let (primary_url, replica_url) = (SecretString::from(url.as_str()), SecretString::from(through.as_str()));
    let store = PostgresStore::connect(&primary_url, Some(&replica_url), settings).await.expect("a store");
    assert_eq!(listed(&store).await, [order.id]);
    (store, proxy)
}

/// Whoever listed orders waited for it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hangs_is_not_waited_for() {
    let primary = Postgres::start();
    let standby = primary.standby(&[]);
    let (store, proxy) = before_it_hangs(&primary, &standby, 1_000).await;
    proxy.delay(FOR_EVER);
    for _ in 0..2 {
        let orders = tokio::time::timeout(DEADLINE, listed(&store)).await.expect("it does not hang as well");
        assert_eq!(orders.len(), 1);
    }
}

/// It cost as much as a statement may, beside the time that a request has, which then began for the primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hangs_leaves_time_for_the_primary() {
    let primary = Postgres::start();
    let standby = primary.standby(&[]);
    let (store, proxy) = before_it_hangs(&primary, &standby, FOR_EVER.as_millis() as u64).await;
    proxy.delay(FOR_EVER);
    store.ping().await.expect("the primary answers");
    let request = store.with_terms(Terms::together(Lane::Begun, Duration::from_secs(3)));
    let orders = tokio::time::timeout(DEADLINE, listed(request.as_ref())).await.expect("it does not hang as well");
    assert_eq!(orders.len(), 1);
}

/// A listing that took too long there was begun once more where money is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_slow_on_a_replica_that_is_well_is_no_burden_for_the_primary() {
    let postgres = Postgres::start();
    let (url, other) = (postgres.database(), postgres.database());
    paid_order(&migrated(&url).await, 100).await;
    migrated(&other).await;
    let mut locker = PgConnection::connect(&other).await.expect("a connection");
    sqlx::raw_sql("BEGIN; LOCK TABLE orders").execute(&mut locker).await.expect("the lock");
    let settings = StoreSettings { statement_timeout_ms: SLOW_MS, ..StoreSettings::default() };
    let (primary, replica) = (SecretString::from(url.as_str()), SecretString::from(other.as_str()));
    let store = PostgresStore::connect(&primary, Some(&replica), settings).await.expect("a store");
    let slow = store.orders(&OrderFilter { limit: ALL, ..OrderFilter::default() }).await;
    assert!(matches!(slow, Err(StoreError::Unavailable(_))), "{slow:?}");
}
