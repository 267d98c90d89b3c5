//! The payments and refunds of an order as they stand in their tables.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use super::rows::{get, id, money, state};
use crate::domain::{Order, Payment, Refund};
use crate::ids::OrderId;
use crate::store::text;

/// Both oldest first.
pub(super) async fn load(conn: &mut SqliteConnection, order: OrderId) -> Result<(Vec<Payment>, Vec<Refund>), Fault> {
    let payments = sqlx::query("SELECT * FROM payments WHERE order_id = ?1 ORDER BY position")
        .bind(order.to_string())
        .fetch_all(&mut *conn)
        .await?;
    let refunds = sqlx::query("SELECT * FROM refunds WHERE order_id = ?1 ORDER BY position")
        .bind(order.to_string())
        .fetch_all(&mut *conn)
        .await?;
    let payments = payments.iter().map(payment).collect::<Result<Vec<_>, Fault>>()?;
    let refunds = refunds.iter().map(refund).collect::<Result<Vec<_>, Fault>>()?;
    Ok((payments, refunds))
}

/// Writes those that are new or otherwise than before.
pub(super) async fn write(conn: &mut SqliteConnection, before: &Order, order: &Order) -> Result<(), Fault> {
    for (position, payment) in order.payments.iter().enumerate() {
        if before.payments.get(position) != Some(payment) {
            write_payment(conn, position as i64, payment).await?;
        }
    }
    for (position, refund) in order.refunds.iter().enumerate() {
        if before.refunds.get(position) != Some(refund) {
            write_refund(conn, position as i64, refund).await?;
        }
    }
    Ok(())
}

async fn write_payment(conn: &mut SqliteConnection, position: i64, payment: &Payment) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO payments (id, order_id, position, method, state, amount_minor, currency, intent, session,
             client_secret, hosted_url, return_url, captured_minor, refunded_minor, failure, created_ms, next_check_ms,
             checks)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, intent = excluded.intent, session = excluded.session,
             client_secret = excluded.client_secret, hosted_url = excluded.hosted_url,
             captured_minor = excluded.captured_minor, refunded_minor = excluded.refunded_minor,
             failure = excluded.failure, next_check_ms = excluded.next_check_ms, checks = excluded.checks",
    )
    .bind(payment.id.to_string())
    .bind(payment.order.to_string())
    .bind(position)
    .bind(text::to_text(&payment.method))
    .bind(text::to_text(&payment.state))
    .bind(payment.amount.amount_minor())
    .bind(payment.amount.currency().as_str())
    .bind(payment.intent.as_deref())
    .bind(payment.session.as_deref())
    .bind(payment.client_secret.as_deref())
    .bind(payment.hosted_url.as_deref())
    .bind(payment.return_url.as_deref())
    .bind(payment.captured_minor)
    .bind(payment.refunded_minor)
    .bind(payment.failure.as_deref())
    .bind(payment.created_ms)
    .bind(payment.next_check_ms)
    .bind(payment.checks)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

async fn write_refund(conn: &mut SqliteConnection, position: i64, refund: &Refund) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO refunds (id, order_id, payment, position, state, amount_minor, currency, stripe_refund, reason,
             failure, created_ms, next_check_ms, checks)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, stripe_refund = excluded.stripe_refund,
             failure = excluded.failure, next_check_ms = excluded.next_check_ms, checks = excluded.checks",
    )
    .bind(refund.id.to_string())
    .bind(refund.order.to_string())
    .bind(refund.payment.to_string())
    .bind(position)
    .bind(text::to_text(&refund.state))
    .bind(refund.amount.amount_minor())
    .bind(refund.amount.currency().as_str())
    .bind(refund.stripe_refund.as_deref())
    .bind(refund.reason.as_deref())
    .bind(refund.failure.as_deref())
    .bind(refund.created_ms)
    .bind(refund.next_check_ms)
    .bind(refund.checks)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

fn payment(row: &SqliteRow) -> Result<Payment, Fault> {
    Ok(Payment {
        id: id(row, "id")?,
        order: id(row, "order_id")?,
        method: state(row, "method")?,
        state: state(row, "state")?,
        amount: money(row, "amount_minor")?,
        intent: get(row, "intent")?,
        session: get(row, "session")?,
        client_secret: get(row, "client_secret")?,
        hosted_url: get(row, "hosted_url")?,
        return_url: get(row, "return_url")?,
        captured_minor: get(row, "captured_minor")?,
        refunded_minor: get(row, "refunded_minor")?,
        failure: get(row, "failure")?,
        created_ms: get(row, "created_ms")?,
        next_check_ms: get(row, "next_check_ms")?,
        checks: get(row, "checks")?,
    })
}

fn refund(row: &SqliteRow) -> Result<Refund, Fault> {
    Ok(Refund {
        id: id(row, "id")?,
        order: id(row, "order_id")?,
        payment: id(row, "payment")?,
        state: state(row, "state")?,
        amount: money(row, "amount_minor")?,
        stripe_refund: get(row, "stripe_refund")?,
        reason: get(row, "reason")?,
        failure: get(row, "failure")?,
        created_ms: get(row, "created_ms")?,
        next_check_ms: get(row, "next_check_ms")?,
        checks: get(row, "checks")?,
    })
}
