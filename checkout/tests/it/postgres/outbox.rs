//! Events that several processes look at.

use std::sync::Arc;

use checkout::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_servers::Postgres;
use tokio::task::JoinHandle;

use super::{WAITING, migrated};
use crate::contract::shop::{ALL, LEASE_MS, NOW, paid_order};
use crate::http::shop::wait_until;

/// Waits until some work waits for a lock, or has ended.
async fn until_it_waits<T>(work: &JoinHandle<T>, postgres: &Postgres, url: &str) {
    wait_until("it waits or ends", async || work.is_finished() || postgres.execute(url, WAITING) != "0").await;
}

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
    until_it_waits(&delivering, &postgres, &url).await;
    sqlx::raw_sql("COMMIT").execute(&mut looker).await.expect("the look ends");
    delivering.await.expect("it ends").expect("it is delivered");
    let second = store.due_outbox(ALL, LEASE_MS, NOW).await.expect("events");
    assert_eq!(second.iter().map(|event| event.version).collect::<Vec<_>>(), [2]);
}

/// A look judged by what it saw before it locked anything: an event was put off behind one that was delivered in between.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_while_a_look_begins_holds_nothing_back() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let store = Arc::new(migrated(&url).await);
    paid_order(store.as_ref(), 100).await;
    let mut worker = PgConnection::connect(&url).await.expect("a connection");
    // Whoever reads events is held up, after it began to, until the worker lets it go on.
    let hold_up = format!(
        "UPDATE outbox SET next_ms = {} WHERE version = 1;
         ALTER TABLE outbox RENAME TO events;
         CREATE VIEW outbox AS SELECT * FROM events WHERE pg_advisory_xact_lock_shared(1) IS NOT NULL;
         SELECT pg_advisory_lock(1)",
        NOW + LEASE_MS
    );
    sqlx::raw_sql(AssertSqlSafe(hold_up)).execute(&mut worker).await.expect("the first is at the worker");
    let looker = store.clone();
    let looking = tokio::spawn(async move { looker.due_outbox(ALL, LEASE_MS, NOW).await });
    until_it_waits(&looking, &postgres, &url).await;
    let deliver = format!(
        "UPDATE events SET delivered_ms = {NOW} WHERE version = 1; UPDATE events SET next_ms = {NOW} WHERE version = 2"
    );
    sqlx::raw_sql(AssertSqlSafe(deliver)).execute(&mut worker).await.expect("it is delivered");
    sqlx::raw_sql("SELECT pg_advisory_unlock(1)").execute(&mut worker).await.expect("the look goes on");
    let second = looking.await.expect("it ends").expect("events");
    assert_eq!(second.iter().map(|event| event.version).collect::<Vec<_>>(), [2]);
}
