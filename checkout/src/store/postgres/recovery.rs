//! What is due to be looked at again, and what is not needed any more.

use sqlx::{PgConnection, Postgres, Row};

use super::failure::Failure;
use super::reading::id_of;
use crate::ids::{OrderId, OutboxId};

/// An order that waits for its payment after its hold ends with that payment, in the same transaction. That it is looked
/// at by its hold too is for safety, and often would hold up those that nobody else ends.
const HOLD_WAITS_MS: i64 = 3_600_000;

/// Those that have been due for longest, whatever they are due for: many payments that Stripe does not answer for must not
/// keep refunds and holds waiting. Orders whose hold is over while their payment may still succeed are not told: their
/// payment is due by itself.
const DUE_ORDERS: &str = "
WITH payments_due AS MATERIALIZED (
    SELECT id, order_id, next_check_ms AS due_ms FROM payments WHERE next_check_ms <= $1
    ORDER BY next_check_ms LIMIT $2 FOR UPDATE SKIP LOCKED
), refunds_due AS MATERIALIZED (
    SELECT id, order_id, next_check_ms AS due_ms FROM refunds WHERE next_check_ms <= $1
    ORDER BY next_check_ms LIMIT $2 FOR UPDATE SKIP LOCKED
), holds_over AS MATERIALIZED (
    SELECT id, look_ms AS due_ms FROM checkouts WHERE look_ms <= $1 AND state = 'completing'
    ORDER BY look_ms LIMIT $2 FOR UPDATE SKIP LOCKED
), ended AS MATERIALIZED (
    SELECT h.id, o.id AS order_id, h.due_ms FROM holds_over h JOIN orders o ON o.checkout_id = h.id
    WHERE o.state = 'pending_payment' AND NOT EXISTS (
        SELECT FROM payments p WHERE p.order_id = o.id AND p.state NOT IN ('succeeded', 'failed'))
), due AS MATERIALIZED (
    SELECT id, order_id, due_ms FROM payments_due
    UNION ALL SELECT id, order_id, due_ms FROM refunds_due
    UNION ALL SELECT id, order_id, due_ms FROM ended
    ORDER BY due_ms LIMIT $2
), payments_later AS (
    UPDATE payments p SET next_check_ms = $1 + $3::bigint FROM due d WHERE p.id = d.id
), refunds_later AS (
    UPDATE refunds r SET next_check_ms = $1 + $3::bigint FROM due d WHERE r.id = d.id
), checkouts_later AS (
    UPDATE checkouts c SET look_ms = $1 + CASE WHEN e.id IS NULL THEN $4::bigint ELSE $3::bigint END
    FROM holds_over h LEFT JOIN ended e ON e.id = h.id LEFT JOIN due d ON d.id = h.id
    WHERE c.id = h.id AND (e.id IS NULL OR d.id IS NOT NULL)
)
SELECT DISTINCT order_id FROM due";

/// A key without an answer is kept until nobody can be at it any more.
const FORGET: &str = "
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys
    WHERE created_ms < $1 AND (answer_status IS NOT NULL OR lease_until_ms < $1) LIMIT $2 FOR UPDATE SKIP LOCKED))";

const SWEEP_CARTS: &str = "
DELETE FROM carts WHERE id IN (SELECT id FROM carts WHERE expires_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

const SWEEP_INBOX: &str = "
DELETE FROM webhook_inbox WHERE id IN (
    SELECT id FROM webhook_inbox WHERE received_ms < $1 AND applied_ms < $1 AND dead_ms IS NULL
    LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// Ids sort by time, so that the oldest stand together, and those that were made too late are not read; of one subject, the
/// oldest versions go first.
const SWEEP_OUTBOX: &str = "
DELETE FROM outbox WHERE id IN (
    SELECT o.id FROM outbox o WHERE o.id < $3 AND o.delivered_ms < $1 AND NOT EXISTS (
        SELECT FROM outbox e WHERE e.subject = o.subject AND e.version < o.version
            AND (e.delivered_ms IS NULL OR e.delivered_ms >= $1))
    ORDER BY o.id LIMIT $2 FOR UPDATE OF o SKIP LOCKED)";

/// Who has one in hand, be it to refuse to go on with it, keeps it for now.
const SWEEP_CHECKOUTS: &str = "
WITH old AS MATERIALIZED (
    SELECT c.id FROM checkouts c
    WHERE c.ended_ms < $1 AND NOT EXISTS (SELECT FROM orders o WHERE o.checkout_id = c.id)
    ORDER BY c.ended_ms LIMIT $2 FOR UPDATE OF c SKIP LOCKED
), lines AS (
    DELETE FROM checkout_lines l USING old WHERE l.checkout_id = old.id
)
DELETE FROM checkouts c USING old WHERE c.id = old.id";

pub(super) async fn due_orders(
    connection: &mut PgConnection,
    limit: u32,
    lease_ms: i64,
    now_ms: i64,
) -> Result<Vec<OrderId>, Failure> {
    let rows = sqlx::query(DUE_ORDERS)
        .bind(now_ms)
        .bind(i64::from(limit))
        .bind(lease_ms)
        .bind(HOLD_WAITS_MS)
        .fetch_all(&mut *connection)
        .await?;
    let mut orders = Vec::with_capacity(rows.len());
    for row in &rows {
        orders.push(id_of(row.try_get(0)?)?);
    }
    Ok(orders)
}

pub(super) async fn forget_answers(connection: &mut PgConnection, before_ms: i64, limit: u32) -> Result<u64, Failure> {
    let forgotten = sqlx::query(FORGET).bind(before_ms).bind(i64::from(limit)).execute(&mut *connection).await?;
    Ok(forgotten.rows_affected())
}

pub(super) async fn sweep(
    connection: &mut PgConnection,
    before_ms: i64,
    limit: u32,
    now_ms: i64,
) -> Result<u64, Failure> {
    let mut swept: u64 = 0;
    for (statement, bound_ms, below) in [
        (SWEEP_CARTS, now_ms, None),
        (SWEEP_INBOX, before_ms, None),
        (SWEEP_OUTBOX, before_ms, Some(OutboxId::least(before_ms).to_string())),
    ] {
        let left = i64::from(limit) - i64::try_from(swept).unwrap_or(i64::MAX);
        if left > 0 {
            let mut query = sqlx::query::<Postgres>(statement).bind(bound_ms).bind(left);
            if let Some(below) = below {
                query = query.bind(below);
            }
            swept += query.execute(&mut *connection).await?.rows_affected();
        }
    }
    Ok(swept)
}

pub(super) async fn sweep_checkouts(connection: &mut PgConnection, before_ms: i64, limit: u32) -> Result<u64, Failure> {
    let swept = sqlx::query(SWEEP_CHECKOUTS).bind(before_ms).bind(i64::from(limit)).execute(&mut *connection).await?;
    Ok(swept.rows_affected())
}
