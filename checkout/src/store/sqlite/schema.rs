//! The database's tables: which it has, and bringing it to those that this version needs.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, SqliteConnection};

use super::SqliteStore;
use super::fault::Fault;
use crate::store::StoreError;
use crate::store::migrations::{Applied, Migration, checksum, pending, sqlite};

const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version       INTEGER NOT NULL PRIMARY KEY,
        name          TEXT    NOT NULL,
        sha256        TEXT    NOT NULL,
        is_compatible INTEGER NOT NULL CHECK (is_compatible IN (0, 1)),
        applied_ms    INTEGER NOT NULL
    ) STRICT";

impl SqliteStore {
    /// Brings the tables to what this version needs, each step in a transaction of its own, and returns the steps. A
    /// second migrator waits, and then finds nothing to do. With `dry_run`, only says what would be done.
    ///
    /// # Errors
    /// When the file cannot be written, or was migrated by a newer version that this one does not run on.
    pub async fn migrate(&self, dry_run: bool) -> Result<Vec<&'static Migration>, StoreError> {
        if dry_run {
            return self.missing().await;
        }
        let mut done = Vec::new();
        loop {
            let mut transaction = self.pools.write().await?;
            let outcome = apply_next(&mut transaction).await;
            match transaction.end(outcome).await? {
                Some(migration) => done.push(migration),
                None => return Ok(done),
            }
        }
    }

    /// The steps that a file lacks, which is only read; all of them where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or was migrated by a newer version that this one does not run on.
    pub async fn pending_of(path: &Path) -> Result<Vec<&'static Migration>, StoreError> {
        if !path.exists() {
            return pending(sqlite(), &[]);
        }
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = options.connect().await.map_err(Fault::from)?;
        pending(sqlite(), &applied(&mut connection).await?)
    }

    /// The SQL of a migration as it is run, as one transaction.
    pub fn transaction_of(migration: &Migration) -> String {
        format!("BEGIN IMMEDIATE;\n{}COMMIT;\n", statements_of(migration))
    }

    /// # Errors
    /// When the tables are not those that this version needs, with what is to be done.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        match self.missing().await?.as_slice() {
            [] => Ok(()),
            missing => Err(StoreError::Broken(format!(
                "it lacks {} of {} migrations: run 'checkout migrate'",
                missing.len(),
                sqlite().len()
            ))),
        }
    }

    async fn missing(&self) -> Result<Vec<&'static Migration>, StoreError> {
        let mut transaction = self.pools.read().await?;
        let outcome = applied(&mut transaction).await;
        pending(sqlite(), &transaction.end(outcome).await?)
    }
}

async fn apply_next(conn: &mut SqliteConnection) -> Result<Option<&'static Migration>, Fault> {
    let applied = applied(conn).await?;
    let Some(next) = pending(sqlite(), &applied)?.first().copied() else {
        return Ok(None);
    };
    // Several statements, which only an unprepared query may have.
    Executor::execute(&mut *conn, sqlx::raw_sql(AssertSqlSafe(statements_of(next)))).await?;
    Ok(Some(next))
}

/// All that a step runs inside of its transaction.
fn statements_of(migration: &Migration) -> String {
    let Migration { version, name, sql, is_compatible } = migration;
    let (sha256, is_compatible) = (checksum(migration), i32::from(*is_compatible));
    format!(
        "{TABLE};\n\n{sql}\n\
         INSERT INTO schema_migrations (version, name, sha256, is_compatible, applied_ms)\n\
         VALUES ({version}, '{name}', '{sha256}', {is_compatible}, unixepoch() * 1000);\n"
    )
}

async fn applied(conn: &mut SqliteConnection) -> Result<Vec<Applied>, Fault> {
    let tables = sqlx::query_scalar::<_, i64>(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'",
    )
    .fetch_one(&mut *conn)
    .await?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as::<_, (u32, String, bool)>(
        "SELECT version, sha256, is_compatible FROM schema_migrations ORDER BY version",
    )
    .fetch_all(&mut *conn)
    .await?;
    let applied = |(version, sha256, is_compatible)| Applied { version, sha256, is_compatible };
    Ok(rows.into_iter().map(applied).collect())
}
