//! The audit: who did what.

use sqlx::SqliteConnection;

use super::fault::Fault;
use crate::store::Audit;

pub(super) async fn write(conn: &mut SqliteConnection, audit: &Audit, now_ms: i64) -> Result<(), Fault> {
    sqlx::query("INSERT INTO audit (actor, action, subject, detail, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)")
        .bind(&audit.actor)
        .bind(&audit.action)
        .bind(&audit.subject)
        .bind(audit.detail.to_string())
        .bind(now_ms)
        .execute(&mut *conn)
        .await?;
    Ok(())
}
