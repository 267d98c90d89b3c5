//! Events that several processes look at.

use std::sync::Arc;
use std::time::Instant;

use checkout::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_servers::Postgres;

use super::load::{DEADLINE, PAUSE};
use super::{WAITING, migrated};
use crate::contract::shop::{ALL, LEASE_MS, NOW, paid_order};

/// One process put an event off, behind the one before it, while another delivered that: it waited for a lease in vain.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_off_while_the_one_before_it_is_delivered_is_due() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let store = Arc::new(migrated(&url).await);
    paid_order(store.as_ref(), 100).await;
    let first = store.due_outbox(1, LEASE_MS, NOW).await.expect("events");
    let ids: Vec<_> = first.iter().map(|event| event.id).collect();
    assert_eq!((ids.len(), first[0].version), (1, 1));
    let mut looker = PgConnection::connect(&url).await.expect("a connection");
    let put_off = format!("BEGIN; UPDATE outbox SET next_ms = {} WHERE version = 2", NOW + LEASE_MS);
    sqlx::raw_sql(AssertSqlSafe(put_off)).execute(&mut looker).await.expect("it is put off");
    let worker = store.clone();
    let delivering = tokio::spawn(async move { worker.delivered(&ids, NOW).await });
    let started = Instant::now();
    while !delivering.is_finished() && postgres.execute(&url, WAITING) == "0" {
        assert!(started.elapsed() < DEADLINE, "it neither waits nor ends");
        tokio::time::sleep(PAUSE).await;
    }
    sqlx::raw_sql("COMMIT").execute(&mut looker).await.expect("the look ends");
    delivering.await.expect("it ends").expect("it is delivered");
    let second = store.due_outbox(ALL, LEASE_MS, NOW).await.expect("events");
    assert_eq!(second.iter().map(|event| event.version).collect::<Vec<_>>(), [2]);
}
