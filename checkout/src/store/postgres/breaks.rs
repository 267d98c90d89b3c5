//! Breaks: what should not have happened, for a person to look at. Those of an order are written with it.

use sqlx::{PgConnection, Row};

use super::audit;
use super::failure::Failure;
use crate::store::text::{from_text, to_text};
use crate::store::{FoundBreak, OpenBreak, Resolution};

/// One that was dealt with opens again where it says something else; one that is open stays as it was found first.
const RECORD: &str = "
INSERT INTO reconciliation_breaks (kind, reference, detail, created_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, reference) DO UPDATE SET detail = excluded.detail, created_ms = excluded.created_ms,
    resolved_ms = NULL, resolved_by = NULL, resolved_why = NULL
WHERE reconciliation_breaks.resolved_ms IS NOT NULL AND reconciliation_breaks.detail <> excluded.detail";

const OPEN: &str = "
SELECT kind, reference, detail, created_ms FROM reconciliation_breaks WHERE resolved_ms IS NULL
ORDER BY created_ms DESC, kind, reference LIMIT $1";

const RESOLVE: &str = "
UPDATE reconciliation_breaks SET resolved_ms = $3, resolved_by = $4, resolved_why = $5
WHERE kind = $1 AND reference = $2 AND resolved_ms IS NULL";

pub(super) async fn record(connection: &mut PgConnection, found: &FoundBreak, now_ms: i64) -> Result<(), Failure> {
    sqlx::query(RECORD)
        .bind(to_text(&found.kind))
        .bind(found.reference.as_str())
        .bind(found.detail.as_str())
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

pub(super) async fn open(connection: &mut PgConnection, limit: u32) -> Result<Vec<OpenBreak>, Failure> {
    let rows = sqlx::query(OPEN).bind(i64::from(limit)).fetch_all(&mut *connection).await?;
    let mut breaks = Vec::with_capacity(rows.len());
    for row in &rows {
        breaks.push(OpenBreak {
            kind: from_text(row.try_get("kind")?)?,
            reference: row.try_get("reference")?,
            detail: row.try_get("detail")?,
            found_ms: row.try_get("created_ms")?,
        });
    }
    Ok(breaks)
}

/// In a transaction that was begun. False where there is no such open break.
pub(super) async fn resolve(
    connection: &mut PgConnection,
    transaction: &str,
    resolution: &Resolution<'_>,
    now_ms: i64,
    is_rerun: bool,
) -> Result<bool, Failure> {
    if is_rerun && audit::is_noted(connection, transaction).await? {
        return Ok(true);
    }
    let resolved = sqlx::query(RESOLVE)
        .bind(to_text(&resolution.kind))
        .bind(resolution.reference)
        .bind(now_ms)
        .bind(resolution.actor)
        .bind(resolution.reason)
        .execute(&mut *connection)
        .await?;
    if resolved.rows_affected() == 0 {
        return Ok(false);
    }
    audit::note(connection, transaction, &resolution.audit(), now_ms).await?;
    Ok(true)
}
