//! Breaks: what should not have happened, for a person to look at.

use sqlx::SqliteConnection;

use super::fault::Fault;
use super::rows::{get, state};
use crate::domain::BreakKind;
use crate::store::{FoundBreak, text};

/// Notes a break where it is not noted yet.
pub(super) async fn record(
    conn: &mut SqliteConnection,
    kind: BreakKind,
    reference: &str,
    detail: &str,
    now_ms: i64,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO reconciliation_breaks (kind, reference, detail, found_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, reference) DO NOTHING",
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
pub(super) async fn list(conn: &mut SqliteConnection, limit: u32) -> Result<Vec<FoundBreak>, Fault> {
    let rows = sqlx::query(
        "SELECT kind, reference, detail FROM reconciliation_breaks WHERE resolved_ms IS NULL ORDER BY id DESC LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let mut breaks = Vec::with_capacity(rows.len());
    for row in &rows {
        breaks.push(FoundBreak {
            kind: state(row, "kind")?,
            reference: get(row, "reference")?,
            detail: get(row, "detail")?,
        });
    }
    Ok(breaks)
}
