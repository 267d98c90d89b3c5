//! Webhooks that wait to be applied.

use sqlx::{PgConnection, Row};

use super::failure::Failure;
use crate::store::queues::MAX_LEASE_DOUBLINGS;
use crate::store::{DeadWebhook, InboxEvent, NewInboxEvent};

const RECEIVE: &str = "
INSERT INTO webhook_inbox (id, kind, body, received_ms, tries, next_ms) VALUES ($1, $2, $3, $4, 0, $4)
ON CONFLICT DO NOTHING";

/// Nobody waits for the disk: a lease that a crash of the server loses is over sooner, and an event that is applied twice
/// changes nothing.
const DUE: &str = "
WITH due AS MATERIALIZED (
    SELECT id FROM webhook_inbox WHERE applied_ms IS NULL AND next_ms <= $1
    ORDER BY received_ms LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE webhook_inbox i SET next_ms = $1 + $3 * (1::bigint << least(i.tries, $4)::int), tries = i.tries + 1
FROM due, set_config('synchronous_commit', 'off', true) WHERE i.id = due.id
RETURNING i.id, i.kind, i.body, i.tries, i.received_ms";

/// With what the event changed, in one transaction.
const SETTLE: &str = "UPDATE webhook_inbox SET applied_ms = $2, why = NULL WHERE id = $1 AND applied_ms IS NULL";

/// An event that changed nothing, for which nobody waits for the disk either.
const SETTLE_ALONE: &str = "
UPDATE webhook_inbox SET applied_ms = $2, why = NULL
FROM set_config('synchronous_commit', 'off', true) WHERE id = $1 AND applied_ms IS NULL";

const DEAD: &str = "
SELECT id, kind, received_ms, tries, coalesce(why, '') AS why FROM webhook_inbox
WHERE dead_ms IS NOT NULL ORDER BY received_ms, id LIMIT $1";

const REPLAY: &str = "
UPDATE webhook_inbox SET applied_ms = NULL, dead_ms = NULL, why = NULL, tries = 0, next_ms = $2
WHERE dead_ms IS NOT NULL AND (cardinality($1::text[]) = 0 OR id = ANY ($1::text[])) RETURNING id";

/// Dealt with from now on, so that it is swept as others are.
const DISCARD: &str = "
UPDATE webhook_inbox SET applied_ms = $2, dead_ms = NULL
WHERE dead_ms IS NOT NULL AND id = ANY ($1::text[]) RETURNING id";

pub(super) async fn receive(connection: &mut PgConnection, event: &NewInboxEvent<'_>) -> Result<bool, Failure> {
    let received = sqlx::query(RECEIVE)
        .bind(event.id)
        .bind(event.kind)
        .bind(event.body)
        .bind(event.received_ms)
        .execute(&mut *connection)
        .await?;
    Ok(received.rows_affected() > 0)
}

pub(super) async fn due(
    connection: &mut PgConnection,
    limit: u32,
    lease_ms: i64,
    now_ms: i64,
) -> Result<Vec<InboxEvent>, Failure> {
    let rows = sqlx::query(DUE)
        .bind(now_ms)
        .bind(i64::from(limit))
        .bind(lease_ms)
        .bind(i64::from(MAX_LEASE_DOUBLINGS))
        .fetch_all(&mut *connection)
        .await?;
    let mut events: Vec<(i64, InboxEvent)> = Vec::with_capacity(rows.len());
    for row in &rows {
        let event = InboxEvent {
            id: row.try_get("id")?,
            kind: row.try_get("kind")?,
            body: row.try_get("body")?,
            tries: count(row.try_get("tries")?),
        };
        events.push((row.try_get("received_ms")?, event));
    }
    // An update returns its rows in any order.
    events.sort_by(|(one, left), (other, right)| (one, &left.id).cmp(&(other, &right.id)));
    Ok(events.into_iter().map(|(_, event)| event).collect())
}

pub(super) async fn settle(connection: &mut PgConnection, id: &str, now_ms: i64) -> Result<(), Failure> {
    sqlx::query(SETTLE).bind(id).bind(now_ms).execute(&mut *connection).await?;
    Ok(())
}

/// Never inside of a transaction that does something else: that one would not wait for the disk.
pub(super) async fn settle_alone(connection: &mut PgConnection, id: &str, now_ms: i64) -> Result<(), Failure> {
    sqlx::query(SETTLE_ALONE).bind(id).bind(now_ms).execute(&mut *connection).await?;
    Ok(())
}

pub(super) async fn fail(connection: &mut PgConnection, id: &str, why: &str) -> Result<(), Failure> {
    sqlx::query("UPDATE webhook_inbox SET why = $2 WHERE id = $1 AND applied_ms IS NULL")
        .bind(id)
        .bind(why)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

pub(super) async fn give_up(connection: &mut PgConnection, id: &str, why: &str, now_ms: i64) -> Result<(), Failure> {
    sqlx::query(
        "UPDATE webhook_inbox SET applied_ms = $3, dead_ms = $3, why = $2 WHERE id = $1 AND applied_ms IS NULL",
    )
    .bind(id)
    .bind(why)
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

pub(super) async fn dead(connection: &mut PgConnection, limit: u32) -> Result<Vec<DeadWebhook>, Failure> {
    let rows = sqlx::query(DEAD).bind(i64::from(limit)).fetch_all(&mut *connection).await?;
    let mut webhooks = Vec::with_capacity(rows.len());
    for row in &rows {
        webhooks.push(DeadWebhook {
            id: row.try_get("id")?,
            kind: row.try_get("kind")?,
            received_ms: row.try_get("received_ms")?,
            tries: count(row.try_get("tries")?),
            why: row.try_get("why")?,
        });
    }
    Ok(webhooks)
}

pub(super) async fn replay(connection: &mut PgConnection, ids: &[String], now_ms: i64) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(REPLAY).bind(ids).bind(now_ms).fetch_all(&mut *connection).await?)
}

pub(super) async fn discard(
    connection: &mut PgConnection,
    ids: &[String],
    now_ms: i64,
) -> Result<Vec<String>, Failure> {
    Ok(sqlx::query_scalar(DISCARD).bind(ids).bind(now_ms).fetch_all(&mut *connection).await?)
}

/// Counts are small; one that is not is as good as the largest.
pub(super) fn count(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}
