//! What is due without anybody asking, and what is kept no longer.

use sqlx::SqliteConnection;

use super::fault::Fault;
use super::rows::parsed;
use super::{checkouts, stock};
use crate::domain::CheckoutState;
use crate::ids::{CheckoutId, OrderId};
use crate::store::Backlog;

pub(super) async fn expire_checkouts(conn: &mut SqliteConnection, limit: u32, now_ms: i64) -> Result<u64, Fault> {
    let over = sqlx::query_scalar::<_, String>(
        "SELECT id FROM checkouts
         WHERE state = 'open' AND held_until_ms <= ?1
             AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.checkout = checkouts.id)
         ORDER BY held_until_ms LIMIT ?2",
    )
    .bind(now_ms)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    for id in &over {
        let id: CheckoutId = parsed(id)?;
        checkouts::end(conn, id, CheckoutState::Expired, now_ms).await?;
        stock::release(conn, id, now_ms).await?;
    }
    Ok(over.len() as u64)
}

pub(super) async fn due_orders(
    conn: &mut SqliteConnection,
    limit: u32,
    lease_ms: i64,
    now_ms: i64,
) -> Result<Vec<OrderId>, Fault> {
    let due = sqlx::query_scalar::<_, String>(
        "SELECT order_id FROM (
             SELECT order_id, next_check_ms AS due_ms FROM payments WHERE next_check_ms <= ?1
             UNION ALL
             SELECT order_id, next_check_ms FROM refunds WHERE next_check_ms <= ?1
             UNION ALL
             SELECT orders.id, checkouts.held_until_ms
             FROM orders JOIN checkouts ON checkouts.id = orders.checkout
             WHERE orders.state = 'pending_payment' AND orders.checked_until_ms <= ?1 AND checkouts.held_until_ms <= ?1
                 AND NOT EXISTS (
                     SELECT 1 FROM payments
                     WHERE payments.order_id = orders.id AND payments.state NOT IN ('succeeded', 'failed'))
         )
         GROUP BY order_id ORDER BY min(due_ms), order_id LIMIT ?2",
    )
    .bind(now_ms)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let next_ms = now_ms.saturating_add(lease_ms);
    for id in &due {
        for statement in [
            "UPDATE payments SET next_check_ms = ?2 WHERE order_id = ?1 AND next_check_ms <= ?3",
            "UPDATE refunds SET next_check_ms = ?2 WHERE order_id = ?1 AND next_check_ms <= ?3",
            "UPDATE orders SET checked_until_ms = ?2 WHERE id = ?1 AND checked_until_ms <= ?3",
        ] {
            sqlx::query(statement).bind(id).bind(next_ms).bind(now_ms).execute(&mut *conn).await?;
        }
    }
    due.iter().map(|id| parsed(id)).collect()
}

/// Each kind of what is kept no longer, at most `limit` in all.
pub(super) async fn sweep(conn: &mut SqliteConnection, before_ms: i64, limit: u32, now_ms: i64) -> Result<u64, Fault> {
    let mut swept = 0;
    for (statement, until_ms) in [
        (
            "DELETE FROM carts WHERE rowid IN (
                 SELECT rowid FROM carts WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
            now_ms,
        ),
        (
            "DELETE FROM webhook_inbox WHERE rowid IN (
                 SELECT rowid FROM webhook_inbox WHERE settled_ms < ?1 AND dead_ms IS NULL
                 ORDER BY settled_ms LIMIT ?2)",
            before_ms,
        ),
        // Of each subject the oldest go first, so that what is left has no gaps.
        (
            "DELETE FROM outbox WHERE sequence IN (
                 SELECT sequence FROM outbox
                 WHERE delivered_ms < ?1 AND NOT EXISTS (
                     SELECT 1 FROM outbox AS earlier
                     WHERE earlier.subject = outbox.subject AND earlier.version < outbox.version
                         AND (earlier.delivered_ms IS NULL OR earlier.delivered_ms >= ?1))
                 ORDER BY sequence LIMIT ?2)",
            before_ms,
        ),
    ] {
        let left = u64::from(limit).saturating_sub(swept);
        let deleted = sqlx::query(statement).bind(until_ms).bind(left as i64).execute(&mut *conn).await?;
        swept += deleted.rows_affected();
    }
    Ok(swept)
}

pub(super) async fn sweep_checkouts(conn: &mut SqliteConnection, before_ms: i64, limit: u32) -> Result<u64, Fault> {
    let old = sqlx::query_scalar::<_, String>(
        "SELECT id FROM checkouts
         WHERE ended_ms < ?1 AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.checkout = checkouts.id)
         ORDER BY ended_ms LIMIT ?2",
    )
    .bind(before_ms)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    for id in &old {
        for statement in ["DELETE FROM checkout_lines WHERE checkout = ?1", "DELETE FROM checkouts WHERE id = ?1"] {
            sqlx::query(statement).bind(id).execute(&mut *conn).await?;
        }
    }
    Ok(old.len() as u64)
}

pub(super) async fn backlog(conn: &mut SqliteConnection, now_ms: i64) -> Result<Backlog, Fault> {
    let mut numbers = [0; 11];
    let statements = [
        "SELECT count(*) FROM payments WHERE state IN ('prepared', 'requesting', 'unknown')",
        "SELECT count(*) FROM payments WHERE state IN ('requires_action', 'processing')",
        "SELECT count(*) FROM refunds WHERE state NOT IN ('succeeded', 'failed')",
        "SELECT count(*) FROM webhook_inbox WHERE settled_ms IS NULL",
        "SELECT coalesce(max(?1 - min(received_ms), 0), 0) FROM webhook_inbox WHERE settled_ms IS NULL",
        "SELECT count(*) FROM webhook_inbox WHERE dead_ms IS NOT NULL",
        "SELECT count(*) FROM outbox WHERE delivered_ms IS NULL AND is_dead = 0",
        "SELECT coalesce(max(?1 - min(created_ms), 0), 0) FROM outbox WHERE delivered_ms IS NULL AND is_dead = 0",
        "SELECT count(*) FROM outbox WHERE is_dead = 1",
        "SELECT count(*) FROM reconciliation_breaks WHERE resolved_ms IS NULL",
        "SELECT count(*) FROM checkouts WHERE state = 'open'",
    ];
    for (number, statement) in numbers.iter_mut().zip(statements) {
        *number = sqlx::query_scalar::<_, u64>(statement).bind(now_ms).fetch_one(&mut *conn).await?;
    }
    let [
        payments_unanswered,
        payments_waiting,
        refunds_open,
        inbox,
        oldest_inbox_ms,
        dead_webhooks,
        outbox,
        oldest_outbox_ms,
        dead_letters,
        open_breaks,
        checkouts_held,
    ] = numbers;
    Ok(Backlog {
        payments_unanswered,
        payments_waiting,
        refunds_open,
        inbox,
        oldest_inbox_ms,
        dead_webhooks,
        outbox,
        oldest_outbox_ms,
        dead_letters,
        open_breaks,
        checkouts_held,
    })
}
