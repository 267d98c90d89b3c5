//! What is due to be looked at again, and what is not needed any more.

use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::reading::id_of;
use crate::ids::OrderId;

/// Payments and refunds first, then orders whose hold is over; all together at most as many as are asked for. Those
/// that are put off and have a payment that may still succeed are not told: their payment is due by itself.
const DUE_ORDERS: &str = "
WITH payments_due AS MATERIALIZED (
    SELECT id, order_id FROM payments WHERE next_check_ms <= $1 ORDER BY next_check_ms LIMIT $2 FOR UPDATE SKIP LOCKED
), refunds_due AS MATERIALIZED (
    SELECT id, order_id FROM refunds WHERE next_check_ms <= $1 ORDER BY next_check_ms
    LIMIT greatest($2 - (SELECT count(*) FROM payments_due), 0) FOR UPDATE SKIP LOCKED
), holds_over AS MATERIALIZED (
    SELECT id FROM checkouts WHERE look_ms <= $1 AND state = 'completing' ORDER BY look_ms
    LIMIT greatest($2 - (SELECT count(*) FROM payments_due) - (SELECT count(*) FROM refunds_due), 0)
    FOR UPDATE SKIP LOCKED
), payments_later AS (
    UPDATE payments p SET next_check_ms = $1 + $3 FROM payments_due d WHERE p.id = d.id
), refunds_later AS (
    UPDATE refunds r SET next_check_ms = $1 + $3 FROM refunds_due d WHERE r.id = d.id
), checkouts_later AS (
    UPDATE checkouts c SET look_ms = $1 + $3 FROM holds_over d WHERE c.id = d.id
)
SELECT order_id FROM payments_due
UNION SELECT order_id FROM refunds_due
UNION SELECT o.id FROM holds_over h JOIN orders o ON o.checkout_id = h.id
WHERE o.state = 'pending_payment' AND NOT EXISTS (
    SELECT FROM payments p WHERE p.order_id = o.id AND p.state NOT IN ('succeeded', 'failed'))";

/// A key without an answer is kept until nobody can be at it any more.
const FORGET: &str = "
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys
    WHERE created_ms < $1 AND (answer_status IS NOT NULL OR lease_until_ms < $1) LIMIT $2 FOR UPDATE SKIP LOCKED))";

const SWEEP_CARTS: &str = "
DELETE FROM carts WHERE id IN (SELECT id FROM carts WHERE expires_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

const SWEEP_INBOX: &str = "
DELETE FROM webhook_inbox WHERE id IN (
    SELECT id FROM webhook_inbox WHERE received_ms < $1 AND applied_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// Ids sort by time, so that the oldest stand together; of one subject, the oldest versions go first.
const SWEEP_OUTBOX: &str = "
DELETE FROM outbox WHERE id IN (
    SELECT o.id FROM outbox o WHERE o.delivered_ms < $1 AND NOT EXISTS (
        SELECT FROM outbox e WHERE e.subject = o.subject AND e.version < o.version
            AND (e.delivered_ms IS NULL OR e.delivered_ms >= $1))
    ORDER BY o.id LIMIT $2 FOR UPDATE OF o SKIP LOCKED)";

pub(super) async fn due_orders(
    connection: &mut PgConnection,
    limit: u32,
    lease_ms: i64,
    now_ms: i64,
) -> Result<Vec<OrderId>, Failure> {
    let rows =
        sqlx::query(DUE_ORDERS).bind(now_ms).bind(i64::from(limit)).bind(lease_ms).fetch_all(&mut *connection).await?;
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
    for (statement, bound_ms) in [(SWEEP_CARTS, now_ms), (SWEEP_INBOX, before_ms), (SWEEP_OUTBOX, before_ms)] {
        let left = i64::from(limit) - i64::try_from(swept).unwrap_or(i64::MAX);
        if left > 0 {
            swept += sqlx::query(statement).bind(bound_ms).bind(left).execute(&mut *connection).await?.rows_affected();
        }
    }
    Ok(swept)
}
