//! Who did what. A note has the id of its transaction, made before the first attempt at it, so that a rerun finds it.

use sqlx::PgConnection;
use uuid::Uuid;

use super::failure::Failure;
use crate::store::Audit;

/// An id for a transaction, the same for all attempts at it.
pub(super) fn transaction_id() -> String {
    Uuid::now_v7().simple().to_string()
}

pub(super) async fn note(
    connection: &mut PgConnection,
    transaction: &str,
    audit: &Audit,
    now_ms: i64,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO audit (id, actor, action, subject, detail, created_ms) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING",
    )
    .bind(transaction)
    .bind(audit.actor.as_str())
    .bind(audit.action.as_str())
    .bind(audit.subject.as_str())
    .bind(audit.detail.to_string())
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// What an attempt before this one noted, where it was committed all the same.
pub(super) async fn detail(connection: &mut PgConnection, transaction: &str) -> Result<Option<String>, Failure> {
    let detail = sqlx::query_scalar("SELECT detail FROM audit WHERE id = $1")
        .bind(transaction)
        .fetch_optional(&mut *connection)
        .await?;
    Ok(detail)
}

/// Whether an attempt before this one was committed all the same.
pub(super) async fn is_noted(connection: &mut PgConnection, transaction: &str) -> Result<bool, Failure> {
    let is_noted = sqlx::query_scalar("SELECT EXISTS (SELECT FROM audit WHERE id = $1)")
        .bind(transaction)
        .fetch_one(&mut *connection)
        .await?;
    Ok(is_noted)
}
