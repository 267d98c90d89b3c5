//! The inbox of webhooks: stored as they came, and applied afterwards.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use super::rows::get;
use crate::store::queues::MAX_LEASE_DOUBLINGS;
use crate::store::{DeadWebhook, InboxEvent, NewInboxEvent};

pub(super) async fn receive(conn: &mut SqliteConnection, event: &NewInboxEvent<'_>) -> Result<bool, Fault> {
    let received = sqlx::query(
        "INSERT INTO webhook_inbox (id, kind, body, received_ms, next_ms) VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(event.id)
    .bind(event.kind)
    .bind(event.body)
    .bind(event.received_ms)
    .execute(&mut *conn)
    .await?;
    Ok(received.rows_affected() == 1)
}

/// The tries that are told count this one.
pub(super) async fn due(
    conn: &mut SqliteConnection,
    limit: u32,
    lease_ms: i64,
    now_ms: i64,
) -> Result<Vec<InboxEvent>, Fault> {
    let rows = sqlx::query(
        "SELECT id, kind, body, tries FROM webhook_inbox WHERE settled_ms IS NULL AND next_ms <= ?1
         ORDER BY received_ms, id LIMIT ?2",
    )
    .bind(now_ms)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let mut events = rows.iter().map(event).collect::<Result<Vec<_>, Fault>>()?;
    for event in &mut events {
        let put_off_ms = lease_ms.saturating_mul(1 << event.tries.min(MAX_LEASE_DOUBLINGS));
        event.tries += 1;
        sqlx::query("UPDATE webhook_inbox SET tries = ?2, next_ms = ?3 WHERE id = ?1")
            .bind(&event.id)
            .bind(event.tries)
            .bind(now_ms.saturating_add(put_off_ms))
            .execute(&mut *conn)
            .await?;
    }
    Ok(events)
}

pub(super) async fn settle(conn: &mut SqliteConnection, id: &str, now_ms: i64) -> Result<(), Fault> {
    sqlx::query("UPDATE webhook_inbox SET settled_ms = ?2, why = NULL WHERE id = ?1 AND settled_ms IS NULL")
        .bind(id)
        .bind(now_ms)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

pub(super) async fn fail(conn: &mut SqliteConnection, id: &str, why: &str) -> Result<(), Fault> {
    sqlx::query("UPDATE webhook_inbox SET why = ?2 WHERE id = ?1 AND settled_ms IS NULL")
        .bind(id)
        .bind(why)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

pub(super) async fn give_up(conn: &mut SqliteConnection, id: &str, why: &str, now_ms: i64) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE webhook_inbox SET settled_ms = ?3, dead_ms = ?3, why = ?2 WHERE id = ?1 AND settled_ms IS NULL",
    )
    .bind(id)
    .bind(why)
    .bind(now_ms)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

pub(super) async fn dead(conn: &mut SqliteConnection, limit: u32) -> Result<Vec<DeadWebhook>, Fault> {
    let rows = sqlx::query(
        "SELECT id, kind, received_ms, tries, coalesce(why, '') AS why FROM webhook_inbox
         WHERE dead_ms IS NOT NULL ORDER BY received_ms, id LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    rows.iter().map(dead_webhook).collect()
}

/// Makes one due again, or all.
pub(super) async fn replay(conn: &mut SqliteConnection, id: Option<&str>, now_ms: i64) -> Result<Vec<String>, Fault> {
    let replayed = sqlx::query_scalar::<_, String>(
        "UPDATE webhook_inbox SET settled_ms = NULL, dead_ms = NULL, why = NULL, tries = 0, next_ms = ?2
         WHERE dead_ms IS NOT NULL AND (?1 IS NULL OR id = ?1) RETURNING id",
    )
    .bind(id)
    .bind(now_ms)
    .fetch_all(&mut *conn)
    .await?;
    Ok(replayed)
}

/// Counts one as dealt with from now on, so that it is swept as others are.
pub(super) async fn discard(conn: &mut SqliteConnection, id: &str, now_ms: i64) -> Result<Option<String>, Fault> {
    let discarded = sqlx::query_scalar::<_, String>(
        "UPDATE webhook_inbox SET settled_ms = ?2, dead_ms = NULL WHERE dead_ms IS NOT NULL AND id = ?1 RETURNING id",
    )
    .bind(id)
    .bind(now_ms)
    .fetch_optional(&mut *conn)
    .await?;
    Ok(discarded)
}

fn dead_webhook(row: &SqliteRow) -> Result<DeadWebhook, Fault> {
    Ok(DeadWebhook {
        id: get(row, "id")?,
        kind: get(row, "kind")?,
        received_ms: get(row, "received_ms")?,
        tries: get(row, "tries")?,
        why: get(row, "why")?,
    })
}

fn event(row: &SqliteRow) -> Result<InboxEvent, Fault> {
    Ok(InboxEvent { id: get(row, "id")?, kind: get(row, "kind")?, body: get(row, "body")?, tries: get(row, "tries")? })
}
