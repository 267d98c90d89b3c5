//! Migrations.

use checkout::store::{PostgresStore, StoreError};
use futures::future::join_all;
use test_servers::Postgres;

use super::{connect, migrated};

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
        assert_eq!(planned.iter().map(|step| step.name).collect::<Vec<_>>(), ["orders", "sweeping"]);
    }
    fault(&store).await;
    assert_eq!(store.migrate(false).await.expect("migrations").len(), 2);
    assert!(store.migrate(false).await.expect("nothing is left").is_empty());
    assert!(store.migrate(true).await.expect("nothing is left").is_empty());
    store.check_schema().await.expect("the schema is right");
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
    assert_eq!(applied, 2);
    assert_eq!(postgres.execute(&url, "SELECT count(*) FROM schema_migrations"), "2");
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
    add(3, true);
    store.check_schema().await.expect("it runs on a database that was expanded");
    add(4, false);
    let why = fault(&store).await;
    assert!(why.contains("migration 4"), "{why}");
    let refused = store.migrate(false).await.expect_err("it does not migrate either").to_string();
    assert!(refused.contains("migration 4"), "{refused}");
    postgres
        .execute(&url, "DELETE FROM schema_migrations WHERE version > 2; UPDATE schema_migrations SET sha256 = 'x'");
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
    assert_eq!(store.migrate(false).await.expect("migrations").len(), 2);
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
