//! Lists and look-ups.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use super::rows::{get, id, money, parsed, state};
use crate::ids::{OrderId, PaymentId};
use crate::store::{OrderFilter, OrderRow, PaymentRef, PaymentRow, text};

pub(super) async fn find_payment(
    conn: &mut SqliteConnection,
    reference: &PaymentRef<'_>,
) -> Result<Option<(OrderId, PaymentId)>, Fault> {
    let (statement, known_as) = match reference {
        PaymentRef::Id(id) => ("SELECT order_id, id FROM payments WHERE id = ?1", id.to_string()),
        PaymentRef::Intent(intent) => ("SELECT order_id, id FROM payments WHERE intent = ?1", (*intent).to_owned()),
        PaymentRef::Session(session) => ("SELECT order_id, id FROM payments WHERE session = ?1", (*session).to_owned()),
        PaymentRef::Refund(id) => ("SELECT order_id, payment FROM refunds WHERE id = ?1", id.to_string()),
        PaymentRef::StripeRefund(id) => {
            ("SELECT order_id, payment FROM refunds WHERE stripe_refund = ?1", (*id).to_owned())
        }
    };
    let found = sqlx::query_as::<_, (String, String)>(statement).bind(known_as).fetch_optional(&mut *conn).await?;
    let Some((order, payment)) = found else {
        return Ok(None);
    };
    Ok(Some((parsed(&order)?, parsed(&payment)?)))
}

pub(super) async fn orders(conn: &mut SqliteConnection, filter: &OrderFilter) -> Result<Vec<OrderRow>, Fault> {
    // Every id is below '~', and the index by id is what the newest are found by.
    let rows = sqlx::query(
        "SELECT id, state, market, currency, total_minor, created_ms FROM orders
         WHERE id < coalesce(?1, '~') AND (?2 IS NULL OR state = ?2)
             AND (?3 IS NULL OR created_ms >= ?3) AND (?4 IS NULL OR created_ms < ?4)
         ORDER BY id DESC LIMIT ?5",
    )
    .bind(filter.before.map(|id| id.to_string()))
    .bind(filter.state.map(|state| text::to_text(&state)))
    .bind(filter.from_ms)
    .bind(filter.to_ms)
    .bind(filter.limit)
    .fetch_all(&mut *conn)
    .await?;
    rows.iter().map(order_row).collect()
}

pub(super) async fn payments_between(
    conn: &mut SqliteConnection,
    from_ms: i64,
    to_ms: i64,
    after: Option<PaymentId>,
    limit: u32,
) -> Result<Vec<PaymentRow>, Fault> {
    let rows = sqlx::query(
        "SELECT * FROM payments WHERE created_ms >= ?1 AND created_ms < ?2 AND id > coalesce(?3, '')
         ORDER BY id LIMIT ?4",
    )
    .bind(from_ms)
    .bind(to_ms)
    .bind(after.map(|id| id.to_string()))
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let mut payments = Vec::with_capacity(rows.len());
    for row in &rows {
        let payment: PaymentId = id(row, "id")?;
        let refunds = sqlx::query_as::<_, (Option<String>, String, i64)>(
            "SELECT stripe_refund, state, amount_minor FROM refunds WHERE payment = ?1 ORDER BY position",
        )
        .bind(payment.to_string())
        .fetch_all(&mut *conn)
        .await?;
        let mut of_payment = Vec::with_capacity(refunds.len());
        for (stripe_refund, state, amount_minor) in refunds {
            of_payment.push((stripe_refund, text::from_text(&state)?, amount_minor));
        }
        payments.push(PaymentRow {
            id: payment,
            order: id(row, "order_id")?,
            state: state(row, "state")?,
            intent: get(row, "intent")?,
            amount: money(row, "amount_minor")?,
            captured_minor: get(row, "captured_minor")?,
            refunds: of_payment,
        });
    }
    Ok(payments)
}

/// Answers where the file can be read.
pub(super) async fn ping(conn: &mut SqliteConnection) -> Result<(), Fault> {
    sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *conn).await?;
    Ok(())
}

fn order_row(row: &SqliteRow) -> Result<OrderRow, Fault> {
    Ok(OrderRow {
        id: id(row, "id")?,
        state: state(row, "state")?,
        market: get(row, "market")?,
        total: money(row, "total_minor")?,
        created_ms: get(row, "created_ms")?,
    })
}
