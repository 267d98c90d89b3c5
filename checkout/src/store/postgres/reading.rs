//! What is read for people, metrics and the comparison with Stripe.

use serde::Deserialize;
use snapshots::{Currency, Money, MoneyError};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::records::from_json;
use crate::domain::{PaymentState, RefundState};
use crate::ids::{Id, IdError, Kind, OrderId, PaymentId};
use crate::store::text::{from_text, to_text};
use crate::store::{Backlog, OrderFilter, OrderRow, PaymentRef, PaymentRow};

/// Every id is below '~', and the index by id is what the next page is found by, whatever plan is kept.
const ORDERS: &str = "
SELECT id, state, market, currency, total_minor, created_ms FROM orders
WHERE ($1::text IS NULL OR state = $1) AND ($2::bigint IS NULL OR created_ms >= $2)
    AND ($3::bigint IS NULL OR created_ms < $3) AND id < coalesce($4::text, '~')
ORDER BY id DESC LIMIT $5";

/// The time comes first: by ids alone, the first page would read all payments that were ever made before.
const PAYMENTS: &str = "
WITH made AS MATERIALIZED (SELECT id FROM payments WHERE created_ms >= $1 AND created_ms < $2),
page AS MATERIALIZED (SELECT id FROM made WHERE id > coalesce($3::text, '') ORDER BY id LIMIT $4)
SELECT json_build_object('id', p.id, 'order', p.order_id, 'state', p.state, 'intent', p.intent, 'currency', p.currency,
    'amount_minor', p.amount_minor, 'captured_minor', p.captured_minor, 'refunds', coalesce((
        SELECT json_agg(json_build_array(r.stripe_refund, r.state, r.amount_minor) ORDER BY r.created_ms, r.id)
        FROM refunds r WHERE r.payment_id = p.id AND r.order_id = p.order_id), '[]'))::text
FROM page JOIN payments p ON p.id = page.id ORDER BY p.id";

const BACKLOG: &str = "
SELECT
    (SELECT count(*) FROM payments WHERE next_check_ms IS NOT NULL AND state IN ('prepared', 'requesting', 'unknown'))
        AS payments_unanswered,
    (SELECT count(*) FROM payments WHERE next_check_ms IS NOT NULL AND state IN ('requires_action', 'processing'))
        AS payments_waiting,
    (SELECT count(*) FROM refunds WHERE next_check_ms IS NOT NULL) AS refunds_open,
    (SELECT count(*) FROM webhook_inbox WHERE applied_ms IS NULL) AS inbox,
    (SELECT coalesce($1 - min(received_ms), 0) FROM webhook_inbox WHERE applied_ms IS NULL) AS oldest_inbox_ms,
    (SELECT count(*) FROM webhook_inbox WHERE dead_ms IS NOT NULL) AS dead_webhooks,
    (SELECT count(*) FROM outbox WHERE delivered_ms IS NULL AND NOT is_dead) AS outbox,
    (SELECT coalesce($1 - min(created_ms), 0) FROM outbox WHERE delivered_ms IS NULL AND NOT is_dead)
        AS oldest_outbox_ms,
    (SELECT count(*) FROM outbox WHERE delivered_ms IS NULL AND is_dead) AS dead_letters,
    (SELECT count(*) FROM reconciliation_breaks WHERE resolved_ms IS NULL) AS open_breaks,
    (SELECT count(*) FROM checkouts WHERE look_ms IS NOT NULL AND state = 'open') AS checkouts_held";

#[derive(Deserialize)]
struct Compared {
    id: PaymentId,
    order: OrderId,
    state: PaymentState,
    intent: Option<String>,
    currency: Currency,
    amount_minor: i64,
    captured_minor: i64,
    refunds: Vec<(Option<String>, RefundState, i64)>,
}

pub(super) async fn find_payment(
    connection: &mut PgConnection,
    reference: &PaymentRef<'_>,
) -> Result<Option<(OrderId, PaymentId)>, Failure> {
    let (statement, value) = match reference {
        PaymentRef::Id(id) => ("SELECT order_id, id FROM payments WHERE id = $1", id.to_string()),
        PaymentRef::Intent(id) => ("SELECT order_id, id FROM payments WHERE intent = $1", (*id).to_owned()),
        PaymentRef::Session(id) => ("SELECT order_id, id FROM payments WHERE session = $1", (*id).to_owned()),
        PaymentRef::Refund(id) => ("SELECT order_id, payment_id FROM refunds WHERE id = $1", id.to_string()),
        PaymentRef::StripeRefund(id) => {
            ("SELECT order_id, payment_id FROM refunds WHERE stripe_refund = $1", (*id).to_owned())
        }
    };
    let Some(row) = sqlx::query(statement).bind(value).fetch_optional(&mut *connection).await? else {
        return Ok(None);
    };
    Ok(Some((id_of(row.try_get(0)?)?, id_of(row.try_get(1)?)?)))
}

pub(super) async fn orders(connection: &mut PgConnection, filter: &OrderFilter) -> Result<Vec<OrderRow>, Failure> {
    let rows = sqlx::query(ORDERS)
        .bind(filter.state.as_ref().map(to_text))
        .bind(filter.from_ms)
        .bind(filter.to_ms)
        .bind(filter.before.map(|id| id.to_string()))
        .bind(i64::from(filter.limit))
        .fetch_all(&mut *connection)
        .await?;
    rows.iter().map(order_row).collect()
}

pub(super) async fn payments_between(
    connection: &mut PgConnection,
    from_ms: i64,
    to_ms: i64,
    after: Option<PaymentId>,
    limit: u32,
) -> Result<Vec<PaymentRow>, Failure> {
    let rows = sqlx::query(PAYMENTS)
        .bind(from_ms)
        .bind(to_ms)
        .bind(after.map(|id| id.to_string()))
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
    let mut payments = Vec::with_capacity(rows.len());
    for row in &rows {
        let one: Compared = from_json(row.try_get(0)?)?;
        payments.push(PaymentRow {
            id: one.id,
            order: one.order,
            state: one.state,
            intent: one.intent,
            amount: Money::from_minor(one.amount_minor, one.currency),
            captured_minor: one.captured_minor,
            refunds: one.refunds,
        });
    }
    Ok(payments)
}

pub(super) async fn backlog(connection: &mut PgConnection, now_ms: i64) -> Result<Backlog, Failure> {
    let row = sqlx::query(BACKLOG).bind(now_ms).fetch_one(&mut *connection).await?;
    let number = |column: &str| -> Result<u64, Failure> {
        let number: i64 = row.try_get(column)?;
        // Clocks differ a little, so that something may be of the future.
        Ok(number.max(0).unsigned_abs())
    };
    Ok(Backlog {
        payments_unanswered: number("payments_unanswered")?,
        payments_waiting: number("payments_waiting")?,
        refunds_open: number("refunds_open")?,
        inbox: number("inbox")?,
        oldest_inbox_ms: number("oldest_inbox_ms")?,
        dead_webhooks: number("dead_webhooks")?,
        outbox: number("outbox")?,
        oldest_outbox_ms: number("oldest_outbox_ms")?,
        dead_letters: number("dead_letters")?,
        open_breaks: number("open_breaks")?,
        checkouts_held: number("checkouts_held")?,
    })
}

pub(super) async fn ping(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::raw_sql("SELECT 1").execute(&mut *connection).await?;
    Ok(())
}

/// An id of ours, as it stands in the database.
pub(super) fn id_of<K: Kind>(text: &str) -> Result<Id<K>, Failure> {
    text.parse().map_err(|error: IdError| Failure::broken(format!("the database: {error}")))
}

fn order_row(row: &PgRow) -> Result<OrderRow, Failure> {
    let currency: &str = row.try_get("currency")?;
    let currency: Currency =
        currency.parse().map_err(|error: MoneyError| Failure::broken(format!("an order: {error}")))?;
    Ok(OrderRow {
        id: id_of(row.try_get("id")?)?,
        state: from_text(row.try_get("state")?)?,
        market: row.try_get("market")?,
        total: Money::from_minor(row.try_get("total_minor")?, currency),
        created_ms: row.try_get("created_ms")?,
    })
}
