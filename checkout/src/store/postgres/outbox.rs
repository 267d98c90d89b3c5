//! Events that wait to be delivered, in order for each subject.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::inbox::count;
use super::reading::id_of;
use super::records::from_json;
use crate::ids::OutboxId;
use crate::store::queues::{BEHIND_DEAD_MS, MAX_ROUNDS};
use crate::store::{DeadLetter, OutboxEvent};

/// Apart from judging, which has to see what was delivered before these were locked.
const LOCK: &str = "
SELECT o.id FROM outbox o
WHERE o.delivered_ms IS NULL AND NOT o.is_dead AND o.next_ms <= $1
ORDER BY o.next_ms, o.id LIMIT $2 FOR UPDATE SKIP LOCKED";

/// The oldest of each subject alone. While it is being delivered, and when it is dead, it holds back those after it, which
/// are put off as long as it is: a look reads what is due, however much waits behind that.
///
/// Nobody waits for the disk, here and when it is delivered: what a crash of the server loses of that is delivered again,
/// which subscribers are ready for.
const JUDGE: &str = "
WITH judged AS (
    SELECT f.id, held.until_ms AS held_until_ms FROM outbox f LEFT JOIN LATERAL (
        SELECT CASE WHEN e.is_dead THEN $1 + $4 ELSE greatest(e.next_ms, $1 + $3) END AS until_ms FROM outbox e
        WHERE e.subject = f.subject AND e.version < f.version AND e.delivered_ms IS NULL
        ORDER BY e.version LIMIT 1
    ) held ON true
    WHERE f.id = ANY ($2::text[])
)
UPDATE outbox o SET next_ms = coalesce(j.held_until_ms, $1 + $3),
    tries = o.tries + CASE WHEN j.held_until_ms IS NULL THEN 1 ELSE 0 END
FROM judged j, set_config('synchronous_commit', 'off', true) WHERE o.id = j.id
RETURNING o.id, o.kind, o.subject, o.version, o.data, o.created_ms, o.tries, j.held_until_ms IS NULL AS is_taken";

/// What stood behind it is due, if it was not before. It is written even where it seems to be due: a look that found this
/// one undelivered may be putting it off, and is waited for.
const DELIVERED: &str = "
WITH done AS (
    UPDATE outbox o SET delivered_ms = $2, is_dead = false, why = NULL
    FROM set_config('synchronous_commit', 'off', true) WHERE o.id = ANY ($1::text[]) AND o.delivered_ms IS NULL
    RETURNING o.subject, o.version
)
UPDATE outbox o SET next_ms = least(o.next_ms, $2) FROM done d
WHERE o.subject = d.subject AND o.version = d.version + 1 AND o.delivered_ms IS NULL
    AND o.id <> ALL ($1::text[])";

const UNDELIVERED: &str = "
UPDATE outbox SET why = $2, next_ms = coalesce($3::bigint, next_ms), is_dead = $3::bigint IS NULL
WHERE id = $1 AND delivered_ms IS NULL";

const DEAD: &str = "
SELECT id, kind, subject, version, data, created_ms, tries, coalesce(why, '') AS why
FROM outbox WHERE delivered_ms IS NULL AND is_dead ORDER BY id LIMIT $1";

const REPLAY: &str = "
UPDATE outbox SET is_dead = false, tries = 0, next_ms = $2
WHERE delivered_ms IS NULL AND is_dead AND (cardinality($1::text[]) = 0 OR id = ANY ($1::text[])) RETURNING id";

/// In a transaction that was begun.
pub(super) async fn due(
    connection: &mut PgConnection,
    limit: u32,
    lease_ms: i64,
    now_ms: i64,
) -> Result<Vec<OutboxEvent>, Failure> {
    for _ in 0..MAX_ROUNDS {
        let found: Vec<String> =
            sqlx::query_scalar(LOCK).bind(now_ms).bind(i64::from(limit)).fetch_all(&mut *connection).await?;
        if found.is_empty() {
            break;
        }
        let rows = sqlx::query(JUDGE)
            .bind(now_ms)
            .bind(found)
            .bind(lease_ms)
            .bind(BEHIND_DEAD_MS)
            .fetch_all(&mut *connection)
            .await?;
        let mut events: Vec<OutboxEvent> = Vec::new();
        for row in &rows {
            let is_taken: bool = row.try_get("is_taken")?;
            if is_taken {
                events.push(read(row)?);
            }
        }
        if !events.is_empty() || rows.len() < limit as usize {
            events.sort_by_key(|event| event.id);
            return Ok(events);
        }
    }
    Ok(Vec::new())
}

pub(super) async fn delivered(connection: &mut PgConnection, ids: &[OutboxId], now_ms: i64) -> Result<(), Failure> {
    sqlx::query(DELIVERED).bind(texts(ids)).bind(now_ms).execute(&mut *connection).await?;
    Ok(())
}

pub(super) async fn undelivered(
    connection: &mut PgConnection,
    id: OutboxId,
    why: &str,
    next_ms: Option<i64>,
) -> Result<(), Failure> {
    sqlx::query(UNDELIVERED).bind(id.to_string()).bind(why).bind(next_ms).execute(&mut *connection).await?;
    Ok(())
}

pub(super) async fn dead(connection: &mut PgConnection, limit: u32) -> Result<Vec<DeadLetter>, Failure> {
    let rows = sqlx::query(DEAD).bind(i64::from(limit)).fetch_all(&mut *connection).await?;
    let mut letters = Vec::with_capacity(rows.len());
    for row in &rows {
        letters.push(DeadLetter { event: read(row)?, why: row.try_get("why")? });
    }
    Ok(letters)
}

pub(super) async fn replay(connection: &mut PgConnection, ids: &[String], now_ms: i64) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(REPLAY).bind(ids).bind(now_ms).fetch_all(&mut *connection).await?)
}

fn read(row: &PgRow) -> Result<OutboxEvent, Failure> {
    Ok(OutboxEvent {
        id: id_of(row.try_get("id")?)?,
        kind: row.try_get("kind")?,
        subject: row.try_get("subject")?,
        version: count(row.try_get("version")?),
        data: from_json(row.try_get("data")?)?,
        created_ms: row.try_get("created_ms")?,
        tries: count(row.try_get("tries")?),
    })
}

fn texts(ids: &[OutboxId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
