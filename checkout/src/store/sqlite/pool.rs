//! Connections: one that writes, and a few that read what was committed.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::fault::{Fault, is_locked};
use crate::store::{Lane, StoreError, StoreSettings, Terms};

/// Readers do not wait for each other; more would only hold memory.
const MAX_READERS: u32 = 4;
/// Whoever waits longer for a connection is told that there is too much to do.
const ACQUIRE_TIMEOUT_MS: u64 = 30_000;
/// Each waits for the statement's time-out while another process has the lock.
const BEGIN_TRIES: u32 = 3;
/// A new file changes into write-ahead logging once, which SQLite does not wait for.
const OPEN_TRIES: u32 = 50;
const OPEN_PAUSE_MS: u64 = 20;

/// Connections, as somebody has them: all share the same ones.
pub(super) struct Pools {
    writer: SqlitePool,
    readers: SqlitePool,
    terms: Terms,
}

impl Pools {
    /// Opens the file, or makes it.
    pub(super) async fn open(path: &Path, settings: StoreSettings) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_millis(settings.statement_timeout_ms))
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let writer = pool(1).connect_lazy_with(options.clone().create_if_missing(true));
        let readers =
            pool(settings.max_connections.clamp(1, MAX_READERS)).connect_lazy_with(options.pragma("query_only", "ON"));
        let mut tries = 1;
        while let Err(error) = writer.acquire().await {
            if !is_locked(&error) || tries == OPEN_TRIES {
                return Err(Fault::from(error).into());
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(OPEN_PAUSE_MS)).await;
        }
        Ok(Self { writer, readers, terms: Terms::each(Lane::Begun) })
    }

    /// The same for somebody else.
    pub(super) fn with_terms(&self, terms: Terms) -> Self {
        Self { writer: self.writer.clone(), readers: self.readers.clone(), terms }
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Begins a transaction that writes. Nobody else writes until it has ended. Who has begun works on a file of this
    /// machine, and is not cut off any more.
    pub(super) async fn write(&self) -> Result<Transaction, StoreError> {
        self.terms.within(self.begin_to_write()).await
    }

    /// Begins a transaction that reads, and sees what was committed at one moment.
    pub(super) async fn read(&self) -> Result<Transaction, StoreError> {
        self.terms.within(self.begin_to_read()).await
    }

    async fn begin_to_write(&self) -> Result<Transaction, StoreError> {
        let mut tries = 1;
        loop {
            // A lock that is only taken with the first write could not be waited for: others might have written before.
            match Transaction::begin(&self.writer, "BEGIN IMMEDIATE").await {
                Err(error) if is_locked(&error) && tries < BEGIN_TRIES => tries += 1,
                outcome => return outcome.map_err(|error| Fault::from(error).into()),
            }
        }
    }

    async fn begin_to_read(&self) -> Result<Transaction, StoreError> {
        Transaction::begin(&self.readers, "BEGIN").await.map_err(|error| Fault::from(error).into())
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

fn pool(max_connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_millis(ACQUIRE_TIMEOUT_MS))
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        // It is a file of this machine: nothing cuts the connection.
        .test_before_acquire(false)
}

/// A transaction. One that does not end as it should (its future was dropped, the disk was full) takes its connection
/// with it: what SQLite rolled back by itself is not known, and closing the connection rolls back everything.
pub(super) struct Transaction {
    connection: PoolConnection<Sqlite>,
    is_ended: bool,
}

impl Transaction {
    async fn begin(pool: &SqlitePool, statement: &'static str) -> Result<Self, sqlx::Error> {
        let mut transaction = Self { connection: pool.acquire().await?, is_ended: false };
        sqlx::query(statement).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Commits what was done, or rolls it back where it failed.
    pub(super) async fn end<T>(mut self, outcome: Result<T, Fault>) -> Result<T, StoreError> {
        match outcome {
            Ok(value) => {
                sqlx::query("COMMIT").execute(&mut *self).await.map_err(Fault::from)?;
                self.is_ended = true;
                Ok(value)
            }
            Err(Fault::Store(refused @ StoreError::Refused(_))) => {
                self.is_ended = sqlx::query("ROLLBACK").execute(&mut *self).await.is_ok();
                Err(refused)
            }
            Err(fault) => Err(fault.into()),
        }
    }
}

impl Deref for Transaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_ended {
            self.connection.close_on_drop();
        }
    }
}
