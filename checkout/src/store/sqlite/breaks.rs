//! Breaks: what should not have happened, for a person to look at.

use sqlx::SqliteConnection;

use super::audit;
use super::fault::Fault;
use super::rows::{get, state};
use crate::domain::BreakKind;
use crate::store::{OpenBreak, Resolution, text};

/// Notes a break. One that was dealt with opens again where it says something else; one that is open stays as it was found
/// first.
pub(super) async fn record(
    conn: &mut SqliteConnection,
    kind: BreakKind,
    reference: &str,
    detail: &str,
    now_ms: i64,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO reconciliation_breaks (kind, reference, detail, found_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, reference) DO UPDATE SET detail = excluded.detail, found_ms = excluded.found_ms,
             resolved_ms = NULL, resolved_by = NULL, resolved_why = NULL
         WHERE reconciliation_breaks.resolved_ms IS NOT NULL AND reconciliation_breaks.detail <> excluded.detail",
    )
    .bind(text::to_text(&kind))
    .bind(reference)
    .bind(detail)
    .bind(now_ms)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Those that nobody dealt with, newest first.
pub(super) async fn open(conn: &mut SqliteConnection, limit: u32) -> Result<Vec<OpenBreak>, Fault> {
    let rows = sqlx::query(
        "SELECT kind, reference, detail, found_ms FROM reconciliation_breaks WHERE resolved_ms IS NULL
         ORDER BY found_ms DESC, kind, reference LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let mut breaks = Vec::with_capacity(rows.len());
    for row in &rows {
        breaks.push(OpenBreak {
            kind: state(row, "kind")?,
            reference: get(row, "reference")?,
            detail: get(row, "detail")?,
            found_ms: get(row, "found_ms")?,
        });
    }
    Ok(breaks)
}

/// False where there is no such open break.
pub(super) async fn resolve(
    conn: &mut SqliteConnection,
    resolution: &Resolution<'_>,
    now_ms: i64,
) -> Result<bool, Fault> {
    let resolved = sqlx::query(
        "UPDATE reconciliation_breaks SET resolved_ms = ?3, resolved_by = ?4, resolved_why = ?5
         WHERE kind = ?1 AND reference = ?2 AND resolved_ms IS NULL",
    )
    .bind(text::to_text(&resolution.kind))
    .bind(resolution.reference)
    .bind(now_ms)
    .bind(resolution.actor)
    .bind(resolution.reason)
    .execute(&mut *conn)
    .await?;
    if resolved.rows_affected() == 0 {
        return Ok(false);
    }
    audit::write(conn, &resolution.audit(), now_ms).await?;
    Ok(true)
}
