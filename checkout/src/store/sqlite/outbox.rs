//! The outbox: events that others are told of, each subject's in order.

use serde_json::Value;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use super::rows::{from_json, get, id};
use crate::ids::OutboxId;
use crate::store::queues::{BEHIND_DEAD_MS, MAX_ROUNDS};
use crate::store::{DeadLetter, OutboxEvent};

pub(super) async fn write(
    conn: &mut SqliteConnection,
    kind: &str,
    subject: &str,
    version: u32,
    data: &Value,
    now_ms: i64,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO outbox (id, kind, subject, version, data, created_ms, next_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )
    .bind(OutboxId::new().to_string())
    .bind(kind)
    .bind(subject)
    .bind(version)
    .bind(data.to_string())
    .bind(now_ms)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// What is due, with the time until which the oldest of its subject holds it back.
const DUE: &str = "
SELECT outbox.*, (
    SELECT CASE WHEN earlier.is_dead = 1 THEN ?1 + ?4 ELSE max(earlier.next_ms, ?1 + ?3) END FROM outbox AS earlier
    WHERE earlier.subject = outbox.subject AND earlier.version < outbox.version AND earlier.delivered_ms IS NULL
    ORDER BY earlier.version LIMIT 1
) AS held_until_ms
FROM outbox WHERE delivered_ms IS NULL AND is_dead = 0 AND next_ms <= ?1
ORDER BY next_ms, sequence LIMIT ?2";

/// The tries that are told count this one.
pub(super) async fn due(
    conn: &mut SqliteConnection,
    limit: u32,
    lease_ms: i64,
    now_ms: i64,
) -> Result<Vec<OutboxEvent>, Fault> {
    for _ in 0..MAX_ROUNDS {
        let rows =
            sqlx::query(DUE).bind(now_ms).bind(limit).bind(lease_ms).bind(BEHIND_DEAD_MS).fetch_all(&mut *conn).await?;
        let mut events: Vec<OutboxEvent> = Vec::new();
        for row in &rows {
            let mut found = event(row)?;
            let held_until_ms: Option<i64> = get(row, "held_until_ms")?;
            found.tries += u32::from(held_until_ms.is_none());
            let next_ms = held_until_ms.unwrap_or(now_ms.saturating_add(lease_ms));
            put_off(conn, &found, next_ms).await?;
            if held_until_ms.is_none() {
                events.push(found);
            }
        }
        if !events.is_empty() || rows.len() < limit as usize {
            events.sort_by_key(|event| event.id);
            return Ok(events);
        }
    }
    Ok(Vec::new())
}

pub(super) async fn delivered(conn: &mut SqliteConnection, ids: &[OutboxId], now_ms: i64) -> Result<(), Fault> {
    for id in ids {
        sqlx::query(
            "UPDATE outbox SET delivered_ms = ?2, is_dead = 0, why = NULL WHERE id = ?1 AND delivered_ms IS NULL",
        )
        .bind(id.to_string())
        .bind(now_ms)
        .execute(&mut *conn)
        .await?;
        // What stood behind it is due, if it was not before.
        sqlx::query(
            "UPDATE outbox SET next_ms = min(next_ms, ?2) WHERE delivered_ms IS NULL
                 AND (subject, version) = (SELECT subject, version + 1 FROM outbox WHERE id = ?1)",
        )
        .bind(id.to_string())
        .bind(now_ms)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

pub(super) async fn undelivered(
    conn: &mut SqliteConnection,
    id: OutboxId,
    why: &str,
    next_ms: Option<i64>,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE outbox SET why = ?2, next_ms = coalesce(?3, next_ms), is_dead = ?3 IS NULL
         WHERE id = ?1 AND delivered_ms IS NULL",
    )
    .bind(id.to_string())
    .bind(why)
    .bind(next_ms)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

pub(super) async fn dead_letters(conn: &mut SqliteConnection, limit: u32) -> Result<Vec<DeadLetter>, Fault> {
    let rows = sqlx::query("SELECT * FROM outbox WHERE is_dead = 1 ORDER BY sequence LIMIT ?1")
        .bind(limit)
        .fetch_all(&mut *conn)
        .await?;
    rows.iter().map(dead_letter).collect()
}

/// Makes one due again, or all.
pub(super) async fn replay(conn: &mut SqliteConnection, id: Option<&str>, now_ms: i64) -> Result<Vec<String>, Fault> {
    let replayed = sqlx::query_scalar::<_, String>(
        "UPDATE outbox SET is_dead = 0, tries = 0, next_ms = ?2, why = NULL
         WHERE is_dead = 1 AND (?1 IS NULL OR id = ?1) RETURNING id",
    )
    .bind(id)
    .bind(now_ms)
    .fetch_all(&mut *conn)
    .await?;
    Ok(replayed)
}

async fn put_off(conn: &mut SqliteConnection, event: &OutboxEvent, next_ms: i64) -> Result<(), Fault> {
    sqlx::query("UPDATE outbox SET tries = ?2, next_ms = ?3 WHERE id = ?1")
        .bind(event.id.to_string())
        .bind(event.tries)
        .bind(next_ms)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

fn dead_letter(row: &SqliteRow) -> Result<DeadLetter, Fault> {
    Ok(DeadLetter { event: event(row)?, why: get::<Option<String>>(row, "why")?.unwrap_or_default() })
}

fn event(row: &SqliteRow) -> Result<OutboxEvent, Fault> {
    Ok(OutboxEvent {
        id: id(row, "id")?,
        kind: get(row, "kind")?,
        subject: get(row, "subject")?,
        version: get(row, "version")?,
        data: from_json(get(row, "data")?)?,
        created_ms: get(row, "created_ms")?,
        tries: get(row, "tries")?,
    })
}
