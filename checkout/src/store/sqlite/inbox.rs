//! The inbox of webhooks: stored as they came, and applied afterwards.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use super::rows::get;
use crate::store::queues::MAX_LEASE_DOUBLINGS;
use crate::store::{InboxEvent, NewInboxEvent};

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

fn event(row: &SqliteRow) -> Result<InboxEvent, Fault> {
    Ok(InboxEvent { id: get(row, "id")?, kind: get(row, "kind")?, body: get(row, "body")?, tries: get(row, "tries")? })
}
