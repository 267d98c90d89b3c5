//! A fresh database for each case, of either kind.

use std::path::PathBuf;
use std::sync::Arc;

use checkout::store::{PostgresStore, SqliteStore, Store, StoreSettings};
use futures::future::BoxFuture;
use secrecy::SecretString;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;
use test_servers::Postgres;

/// A name, and what is to hold.
pub type Case = (&'static str, fn(Bench) -> BoxFuture<'static, ()>);

/// Where databases are made.
pub enum Place {
    Postgres(Postgres),
    Sqlite,
}

/// A store on a database of its own.
pub struct Bench {
    pub store: Arc<dyn Store>,
    database: Arc<Database>,
}

enum Database {
    Postgres { url: String },
    Sqlite { path: PathBuf, _folder: TempDir },
}

/// Runs all cases, and fails with the names of those that fail, or leave books that are not in order.
pub async fn run(place: &Place, cases: &[Case]) {
    run_all(place, cases, true).await;
}

/// The same for cases that break the books.
pub async fn run_breaking(place: &Place, cases: &[Case]) {
    run_all(place, cases, false).await;
}

async fn run_all(place: &Place, cases: &[Case], leaves_order: bool) {
    let mut failed: Vec<String> = Vec::new();
    for (name, case) in cases {
        let bench = place.bench().await;
        let (store, database) = (bench.store.clone(), bench.database.clone());
        if tokio::spawn(case(bench)).await.is_err() {
            failed.push((*name).to_owned());
        } else if leaves_order {
            let violations = store.violations().await.expect("the books are read");
            if !violations.is_empty() {
                failed.push(format!("{name} (its books: {violations:?})"));
            }
        }
        // Kept until here: the folder of an embedded database goes with it.
        drop(database);
    }
    assert!(failed.is_empty(), "these cases fail: {}", failed.join(", "));
}

impl Place {
    pub fn postgres() -> Self {
        Self::Postgres(Postgres::start())
    }

    pub fn sqlite() -> Self {
        Self::Sqlite
    }

    async fn bench(&self) -> Bench {
        let database = match self {
            Self::Postgres(server) => Database::Postgres { url: server.database() },
            Self::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder");
                Database::Sqlite { path: folder.path().join("orders.db"), _folder: folder }
            }
        };
        let store = database.open(StoreSettings::default()).await;
        Bench { store, database: Arc::new(database) }
    }
}

impl Bench {
    /// Another process' store on the same database, with settings of its own.
    pub async fn another(&self, settings: StoreSettings) -> Arc<dyn Store> {
        self.database.open(settings).await
    }

    /// Does something to the database that no store would.
    pub async fn break_by(&self, sql: &str) {
        let done = match self.database.as_ref() {
            Database::Postgres { url } => {
                let mut connection = PgConnection::connect(url).await.expect("a connection");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.map(|done| done.rows_affected())
            }
            Database::Sqlite { path, .. } => {
                let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
                let mut connection = options.connect().await.expect("a connection");
                let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
                connection.close().await.expect("it closes");
                done.map(|done| done.rows_affected())
            }
        };
        assert!(done.expect("the statement runs") > 0, "{sql} breaks nothing");
    }

    /// The number that a statement gives.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let count = match self.database.as_ref() {
            Database::Postgres { url } => {
                let mut connection = PgConnection::connect(url).await.expect("a connection");
                sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await
            }
            Database::Sqlite { path, .. } => {
                let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("a connection");
                sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await
            }
        };
        count.expect("a number")
    }

    /// Keys and answers as whoever has nothing but the database reads them.
    pub async fn kept_answers(&self) -> Vec<(String, Vec<u8>)> {
        match self.database.as_ref() {
            Database::Postgres { url } => {
                let mut connection = PgConnection::connect(url).await.expect("a connection");
                let rows = sqlx::query_as::<_, (String, Vec<u8>)>(
                    "SELECT key, answer_body FROM idempotency_keys WHERE answer_body IS NOT NULL",
                );
                rows.fetch_all(&mut connection).await.expect("the keys")
            }
            Database::Sqlite { path, .. } => {
                let mut connection = SqliteConnectOptions::new().filename(path).connect().await.expect("a connection");
                let rows = sqlx::query_as::<_, (String, Vec<u8>)>(
                    "SELECT key, body FROM idempotency_keys WHERE body IS NOT NULL",
                );
                rows.fetch_all(&mut connection).await.expect("the keys")
            }
        }
    }

    /// The same where the two databases have different tables.
    pub async fn break_stock_by(&self, postgres: &str, sqlite: &str) {
        match self.database.as_ref() {
            Database::Postgres { .. } => self.break_by(postgres).await,
            Database::Sqlite { .. } => self.break_by(sqlite).await,
        }
    }
}

impl Database {
    async fn open(&self, settings: StoreSettings) -> Arc<dyn Store> {
        match self {
            Self::Postgres { url } => {
                let url = SecretString::from(url.as_str());
                let store = PostgresStore::connect(&url, None, settings).await.expect("a store");
                store.migrate(false).await.expect("migrations");
                Arc::new(store)
            }
            Self::Sqlite { path, .. } => {
                let store = SqliteStore::open(path, settings).await.expect("a store");
                store.migrate(false).await.expect("migrations");
                Arc::new(store)
            }
        }
    }
}
