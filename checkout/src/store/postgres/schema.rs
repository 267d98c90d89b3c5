//! Makes the schema, and says whether it is the one that this version runs on.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::sleep;

use super::connections::Lease;
use super::failure::Failure;
use crate::store::StoreError;
use crate::store::migrations::{Applied, Migration, checksum, pending, postgres};

/// Whoever migrates holds this lock of PostgreSQL's; the number is ours alone ("vitrine" in ASCII).
const LOCK: i64 = 0x0076_6974_7269_6e65;
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    is_compatible BOOLEAN NOT NULL,
    applied_ms BIGINT NOT NULL
)";

/// Everybody who comes after a step that waits for a table waits behind it: it gives way before they give up.
const WAIT_FOR_TABLES: &str = "SET LOCAL lock_timeout = '2s'";
/// How often a step asks for its tables. Whoever keeps one that long is told of.
const MAX_TRIES: u32 = 60;
/// For those who had to wait.
const PAUSE: Duration = Duration::from_secs(1);

/// Applies what is missing, each step in a transaction of its own. The connection is not used for anything else, since
/// its limits are lifted.
pub(super) async fn migrate(mut lease: Lease, is_dry_run: bool) -> Result<Vec<&'static Migration>, Failure> {
    if is_dry_run {
        return Ok(pending(postgres(), &applied(&mut lease).await?)?);
    }
    // A step may take long, and so may the other migrator.
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut *lease).await?;
    // Of the session: it is let go when the connection closes.
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut *lease).await?;
    let mut done = Vec::new();
    for migration in pending(postgres(), &applied(&mut lease).await?)? {
        apply_in_turn(&mut lease, migration).await?;
        tracing::info!(sql.migration = migration.name, sql.version = migration.version, "a migration was applied");
        done.push(migration);
    }
    Ok(done)
}

pub(super) async fn check(mut lease: Lease) -> Result<(), Failure> {
    let outcome = applied(&mut lease).await;
    let missing = pending(postgres(), &lease.end(outcome).await?)?;
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Final(StoreError::Broken(format!(
            "{} migrations are pending, from {} ({}) on: run 'checkout migrate'",
            missing.len(),
            first.version,
            first.name
        )))),
    }
}

/// Applies a step, and again where others kept its tables.
async fn apply_in_turn(connection: &mut PgConnection, migration: &Migration) -> Result<(), Failure> {
    let mut tries = 1;
    loop {
        match apply(connection, migration).await {
            Err(Failure::Again(why)) if tries < MAX_TRIES => {
                tracing::info!(sql.migration = migration.name, sql.why = %why, "a migration gives way to others");
            }
            outcome => return outcome,
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
        sleep(PAUSE).await;
        tries += 1;
    }
}

async fn apply(connection: &mut PgConnection, migration: &Migration) -> Result<(), Failure> {
    sqlx::raw_sql(AssertSqlSafe(transaction_of(migration))).execute(&mut *connection).await?;
    Ok(())
}

/// All that a step runs, for whoever applies it by hand too.
pub(super) fn transaction_of(migration: &Migration) -> String {
    let Migration { version, name, sql, is_compatible } = migration;
    let sha256 = checksum(migration);
    format!(
        "BEGIN;\n{WAIT_FOR_TABLES};{TABLE};\n\n{sql}\n\
         INSERT INTO schema_migrations (version, name, sha256, is_compatible, applied_ms)\n\
         VALUES ({version}, '{name}', '{sha256}', {is_compatible}, (extract(epoch FROM now()) * 1000)::bigint);\n\
         COMMIT;\n"
    )
}

/// What was applied; nothing where there is not even the table for it.
async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>, Failure> {
    let is_there: bool =
        sqlx::query_scalar("SELECT to_regclass('schema_migrations') IS NOT NULL").fetch_one(&mut *connection).await?;
    if !is_there {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT version, sha256, is_compatible FROM schema_migrations ORDER BY version")
        .fetch_all(&mut *connection)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Applied, Failure> {
    let version: i64 = row.try_get("version")?;
    Ok(Applied {
        version: u32::try_from(version).map_err(|_| Failure::broken(format!("migration {version} is none")))?,
        sha256: row.try_get("sha256")?,
        is_compatible: row.try_get("is_compatible")?,
    })
}
