//! What a store does, written once and held against both: each case gets a database of its own, and afterwards its
//! books must be in order.

mod bench;
mod books;
mod carts;
mod holding;
mod keys;
mod orders;
mod outbox;
mod paying;
mod placing;
mod recovery;
pub mod shop;
mod webhooks;

pub use bench::{Bench, Case, Place, run, run_breaking};

// One test a subject and store: subjects run beside each other, the cases of one in turn.

#[tokio::test(flavor = "multi_thread")]
async fn placing_on_postgres() {
    run(&Place::postgres(), placing::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn placing_on_sqlite() {
    run(&Place::sqlite(), placing::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holding_on_postgres() {
    run(&Place::postgres(), holding::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holding_on_sqlite() {
    run(&Place::sqlite(), holding::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_on_postgres() {
    run(&Place::postgres(), keys::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_on_sqlite() {
    run(&Place::sqlite(), keys::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_on_postgres() {
    run(&Place::postgres(), orders::CASES).await;
    run(&Place::postgres(), paying::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_on_sqlite() {
    run(&Place::sqlite(), orders::CASES).await;
    run(&Place::sqlite(), paying::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_on_postgres() {
    run(&Place::postgres(), webhooks::CASES).await;
    run(&Place::postgres(), outbox::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_on_sqlite() {
    run(&Place::sqlite(), webhooks::CASES).await;
    run(&Place::sqlite(), outbox::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_on_postgres() {
    run(&Place::postgres(), recovery::CASES).await;
    run(&Place::postgres(), carts::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_on_sqlite() {
    run(&Place::sqlite(), recovery::CASES).await;
    run(&Place::sqlite(), carts::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_on_postgres() {
    run_breaking(&Place::postgres(), books::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_on_sqlite() {
    run_breaking(&Place::sqlite(), books::CASES).await;
}
