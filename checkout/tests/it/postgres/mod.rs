//! What PostgreSQL alone can do, and what can be done to it.

mod faults;
mod load;
mod outbox;
mod replica;
mod schema;

use checkout::store::{PostgresStore, StoreSettings};
use secrecy::SecretString;

/// How many wait for a lock.
const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A store on these URLs, with its schema.
async fn migrated(urls: &str) -> PostgresStore {
    let store = connect(urls).await;
    store.migrate(false).await.expect("migrations");
    store
}

async fn connect(urls: &str) -> PostgresStore {
    PostgresStore::connect(&SecretString::from(urls), None, StoreSettings::default()).await.expect("a store")
}
