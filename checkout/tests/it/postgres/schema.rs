//! Migrations.

use std::process::Command;

use checkout::ids::CheckoutId;
use checkout::store::{PostgresStore, Store, StoreError, migrations};
use futures::future::join_all;
use sqlx::{Connection, PgConnection};
use test_servers::Postgres;

use super::{WAITING, connect, migrated};
use crate::contract::shop::{ALL, HOLD_MS, NOW, checkout, place, set_stock};
use crate::http::shop::wait_until;

/// As the database was before it was noted when checkouts ended.
const FORGET_ENDS: &str = "
DROP TRIGGER checkouts_note_end ON checkouts;
DROP FUNCTION note_end_of_checkout;
ALTER TABLE checkouts DROP COLUMN ended_ms;
DELETE FROM schema_migrations WHERE version BETWEEN 4 AND 6";

async fn fault(store: &PostgresStore) -> String {
    match store.check_schema().await {
        Err(StoreError::Broken(why)) => why,
        other => panic!("the schema is not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_and_then_applied_once() {
    let postgres = Postgres::start();
    let store = connect(&postgres.database()).await;
    let why = fault(&store).await;
    assert!(why.contains("checkout migrate") && why.contains("orders"), "{why}");
    for _ in 0..2 {
        let planned = store.migrate(true).await.expect("a plan");
        let names: Vec<_> = planned.iter().map(|step| step.name).collect();
        let all: Vec<_> = migrations::postgres().iter().map(|step| step.name).collect();
        assert_eq!(names, all);
    }
    fault(&store).await;
    assert_eq!(store.migrate(false).await.expect("migrations").len(), migrations::postgres().len());
    assert!(store.migrate(false).await.expect("nothing is left").is_empty());
    assert!(store.migrate(true).await.expect("nothing is left").is_empty());
    store.check_schema().await.expect("the schema is right");
}

/// The output had no notes of what was applied: whoever applied it had tables that were refused.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_prints_can_be_applied_by_hand() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let printed = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_checkout"));
        let output =
            command.args(["migrate", "--dry-run"]).env("PRIMARY_SQL_URL", &url).output().expect("checkout runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    postgres.execute(&url, &printed());
    connect(&url).await.check_schema().await.expect("the schema is right");
    assert_eq!(printed(), "-- there is nothing to apply\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_migrators_one_applies() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let migrators = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { connect(&url).await.migrate(false).await.expect("migrations").len() })
    });
    let applied: usize = join_all(migrators).await.into_iter().map(|applied| applied.expect("it ends")).sum();
    let all = migrations::postgres().len();
    assert_eq!(applied, all);
    assert_eq!(postgres.execute(&url, "SELECT count(*) FROM schema_migrations"), all.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_version_is_told() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let store = migrated(&url).await;
    let add = |version: u32, is_compatible: bool| {
        let row = format!("INSERT INTO schema_migrations VALUES ({version}, 'later', 'sum', {is_compatible}, 0)");
        postgres.execute(&url, &row);
    };
    let newest = migrations::postgres().len() as u32;
    add(newest + 1, true);
    store.check_schema().await.expect("it runs on a database that was expanded");
    add(newest + 2, false);
    let told = format!("migration {}", newest + 2);
    let why = fault(&store).await;
    assert!(why.contains(&told), "{why}");
    let refused = store.migrate(false).await.expect_err("it does not migrate either").to_string();
    assert!(refused.contains(&told), "{refused}");
    let edit = "UPDATE schema_migrations SET sha256 = 'x'";
    postgres.execute(&url, &format!("DELETE FROM schema_migrations WHERE version > {newest}; {edit}"));
    let why = fault(&store).await;
    assert!(why.contains("another text"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_leaves_nothing() {
    let postgres = Postgres::start();
    let url = postgres.database();
    // The last table of the first step is there already.
    postgres.execute(&url, "CREATE TABLE carts (id TEXT)");
    let store = connect(&url).await;
    assert!(matches!(store.migrate(false).await, Err(StoreError::Broken(_))));
    assert_eq!(postgres.execute(&url, "SELECT to_regclass('orders') IS NULL"), "t");
    postgres.execute(&url, "DROP TABLE carts");
    assert_eq!(store.migrate(false).await.expect("migrations").len(), migrations::postgres().len());
}

/// Everybody queued up behind a migration that waited for somebody who read.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_a_table_gives_way() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let store = migrated(&url).await;
    postgres.execute(&url, FORGET_ENDS);
    let mut reader = PgConnection::connect(&url).await.expect("a connection");
    sqlx::raw_sql("BEGIN; SELECT FROM checkouts").execute(&mut reader).await.expect("it reads");
    let migrator = connect(&url).await;
    let migrating = tokio::spawn(async move { migrator.migrate(false).await });
    wait_until("the migration waits", async || postgres.execute(&url, WAITING) == "1").await;
    assert_eq!(store.checkout(CheckoutId::new()).await.expect("it is looked for"), None);
    assert!(!migrating.is_finished(), "it goes on as soon as it can");
    sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.expect("it has read");
    assert_eq!(migrating.await.expect("it ends").expect("migrations").len(), 3);
    store.check_schema().await.expect("the schema is right");
}

/// Checkouts that a process of the version before ended while this one began were kept for ever.
#[tokio::test(flavor = "multi_thread")]
async fn checkouts_that_an_older_process_ended_are_swept() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let store = migrated(&url).await;
    set_stock(&store, "boots", 10).await;
    for _ in 0..2 {
        place(&store, &checkout(&[("boots", 1, 100)])).await;
    }
    let end_one = "UPDATE checkouts SET state = 'expired', look_ms = NULL
                   WHERE id = (SELECT min(id) FROM checkouts WHERE state = 'open')";
    postgres.execute(&url, FORGET_ENDS);
    postgres.execute(&url, end_one);
    assert_eq!(store.migrate(false).await.expect("migrations").len(), 3);
    postgres.execute(&url, end_one);
    let ended_ms = NOW + HOLD_MS;
    assert_eq!(store.sweep_checkouts(ended_ms, ALL).await.expect("none is old"), 0);
    assert_eq!(store.sweep_checkouts(ended_ms + 1, ALL).await.expect("both are"), 2);
}

/// Old rows were found by block ranges, which forget nothing: after a few days every look read the whole table.
#[tokio::test(flavor = "multi_thread")]
async fn old_rows_are_found_by_an_index_that_forgets_them() {
    let postgres = Postgres::start();
    let url = postgres.database();
    migrated(&url).await;
    for (table, column) in
        [("idempotency_keys", "created_ms"), ("webhook_inbox", "received_ms"), ("carts", "expires_ms")]
    {
        let count = format!(
            "SELECT count(*) FROM pg_indexes WHERE tablename = '{table}' AND indexdef LIKE '%btree ({column})'"
        );
        assert_eq!(postgres.execute(&url, &count), "1", "{table}");
    }
}

/// Every look read all that waited: behind a subscriber that was away, the more the longer it lasted.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_the_outbox_reads_what_is_due() {
    const LEASE_MS: i64 = 5_000;
    let postgres = Postgres::start();
    let url = postgres.database();
    let store = migrated(&url).await;
    let count = |what: &str| postgres.execute(&url, &format!("SELECT count(*) FROM {what}"));
    let index = "pg_indexes WHERE tablename = 'outbox' AND indexdef LIKE '%btree (next_ms, id) WHERE%'";
    assert_eq!(count(index), "1");
    // The first event of each order is put off, and the second one stands behind it.
    let put_off_ms = NOW + 60_000;
    let orders = format!(
        "INSERT INTO outbox (id, kind, subject, version, data, created_ms, tries, next_ms, is_dead)
         SELECT 'evn_' || lpad(to_hex(2 * n + v), 32, '0'), 'order.paid', 'orders/' || n, v, '{{}}', {NOW}, 0,
             CASE v WHEN 1 THEN {put_off_ms} ELSE {NOW} END, false
         FROM generate_series(1, 1000) n, generate_series(1, 2) v"
    );
    postgres.execute(&url, &orders);
    let is_due = format!("outbox WHERE delivered_ms IS NULL AND next_ms <= {NOW}");
    assert_eq!(count(&is_due), "1000");
    assert!(store.due_outbox(32, LEASE_MS, NOW).await.expect("events").is_empty());
    assert_eq!(count(&is_due), "0", "what waits for others is not looked at again before them");
    let taken = store.due_outbox(32, LEASE_MS, put_off_ms).await.expect("events");
    assert!(!taken.is_empty() && taken.iter().all(|event| event.version == 1), "{taken:?}");
    let ids: Vec<_> = taken.iter().map(|event| event.id).collect();
    store.delivered(&ids, NOW).await.expect("they are delivered");
    assert_eq!(count(&is_due), ids.len().to_string(), "what stood behind them is due at once");
}
