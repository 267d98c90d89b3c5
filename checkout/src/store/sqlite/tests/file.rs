//! The file: made, opened again, shared, locked and damaged.

use std::sync::Arc;

use super::{Bench, NOW, checkout, done};
use crate::ids::CartId;
use crate::store::migrations::sqlite;
use crate::store::{Cart, ClaimUse, SqliteStore, Store, StoreError, StoreSettings};

fn cart() -> Cart {
    Cart { id: CartId::new(), version: 1, market: "de".to_owned(), lines: Vec::new(), expires_ms: NOW + 1_000 }
}

#[tokio::test]
async fn a_file_that_is_opened_again_has_everything() {
    let bench = Bench::start().await;
    let (order, _) = bench.paid().await;
    let held = bench.place(&[("lamp", 3)]).await;
    let Bench { folder, store } = bench;
    let path = folder.path().join("checkout.db");
    drop(store);
    let store = SqliteStore::open(&path, StoreSettings::default()).await.expect("the same file");
    store.check_schema().await.expect("its tables");
    assert_eq!(store.order(order.id).await.expect("an order"), Some(order));
    assert_eq!(store.checkout(held.id).await.expect("a checkout"), Some(held));
    let bench = Bench { folder, store: Arc::new(store) };
    assert_eq!(bench.stock("lamp").await, (5, 3));
    bench.expect_sound_books().await;
}

#[tokio::test]
async fn tables_are_made_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("checkout.db");
    let open = || SqliteStore::open(&path, StoreSettings::default());
    let (one, other) = tokio::join!(open(), open());
    let (one, other) = (one.expect("a file"), other.expect("the same file"));
    let missing = one.check_schema().await.expect_err("no table is there").to_string();
    assert!(missing.contains("checkout migrate"), "{missing}");
    let unmade = one.order_of_checkout(checkout(&[]).id).await.expect_err("no table is there").to_string();
    assert!(unmade.contains("checkout migrate"), "{unmade}");
    let all = sqlite().len();
    assert_eq!(one.migrate(true).await.expect("a plan").len(), all);
    assert_eq!(one.migrate(true).await.expect("nothing was done").len(), all);
    let (first, second) = tokio::join!(one.migrate(false), other.migrate(false));
    let (first, second) = (first.expect("it waits"), second.expect("it waits"));
    assert_eq!(first.len() + second.len(), all, "one of them did each");
    assert!(one.migrate(false).await.expect("nothing is left").is_empty());
    other.check_schema().await.expect("the tables are there");
    other.ping().await.expect("it answers");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone_unless_it_says_otherwise() {
    let bench = Bench::start().await;
    let mut other = bench.other_process().await;
    sqlx::query("INSERT INTO schema_migrations VALUES (800, 'added', '', 1, 0)")
        .execute(&mut other)
        .await
        .expect("a migration of the future");
    bench.store.check_schema().await.expect("it is compatible");
    sqlx::query("INSERT INTO schema_migrations VALUES (900, 'changed', '', 0, 0)")
        .execute(&mut other)
        .await
        .expect("a migration of the future");
    let refused = bench.store.check_schema().await.expect_err("it is not").to_string();
    assert!(refused.contains("900"), "{refused}");
    assert!(bench.store.migrate(false).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_another_process_is_waited_for() {
    let bench = Bench::start().await;
    let mut other = bench.other_process().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    let (store, cart) = (bench.store.clone(), cart());
    let id = cart.id;
    let writing = tokio::spawn(async move { store.put_cart(&cart).await });
    // Readers do not wait.
    assert_eq!(bench.store.cart(id, NOW).await.expect("an answer"), None);
    sqlx::query("DELETE FROM audit").execute(&mut other).await.expect("a write");
    assert!(!writing.is_finished(), "nobody writes while another does");
    sqlx::query("COMMIT").execute(&mut other).await.expect("the end");
    writing.await.expect("no panic").expect("it was written");
    assert!(bench.store.cart(id, NOW).await.expect("an answer").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_never_let_go_makes_the_store_unavailable() {
    let bench = Bench::start_with(StoreSettings { statement_timeout_ms: 20, ..StoreSettings::default() }).await;
    let mut other = bench.other_process().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    let outcome = bench.store.put_cart(&cart()).await;
    assert!(matches!(&outcome, Err(error) if error.is_transient()), "{outcome:?}");
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("the end");
    bench.store.put_cart(&cart()).await.expect("the lock is gone");
}

#[tokio::test]
async fn a_transaction_that_nobody_ends_changes_nothing() {
    let bench = Bench::start().await;
    bench.set_stock("lamp", 5).await;
    let mut transaction = bench.store.pools.write().await.expect("a transaction");
    sqlx::query("DELETE FROM stock").execute(&mut *transaction).await.expect("a write");
    // As a handler whose client went away.
    drop(transaction);
    assert_eq!(bench.stock("lamp").await, (5, 0));
    done(bench.store.place_checkout(&checkout(&[("lamp", 1)]), &ClaimUse::None).await);
    assert_eq!(bench.stock("lamp").await, (4, 1));
}

#[tokio::test]
async fn a_file_that_is_none_is_told_in_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let damaged = folder.path().join("damaged.db");
    std::fs::write(&damaged, vec![b'x'; 8_192]).expect("a file");
    let absent = folder.path().join("no-such-folder").join("checkout.db");
    for (path, words) in [(damaged, "damaged or no database"), (absent, "look for its folder")] {
        let fault = SqliteStore::open(&path, StoreSettings::default()).await.expect_err("it cannot be opened");
        assert!(matches!(fault, StoreError::Broken(_)), "{fault:?}");
        assert!(fault.to_string().contains(words), "{fault}");
    }
}
