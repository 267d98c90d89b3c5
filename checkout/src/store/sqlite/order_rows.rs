//! An order as it stands in its tables.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use super::rows::{currency, from_json, get, hash, id, json, money, state};
use super::{checkouts, payments};
use crate::domain::{Line, Order, Payment, Refund};
use crate::ids::OrderId;
use crate::store::text;

pub(super) async fn load(conn: &mut SqliteConnection, id: OrderId) -> Result<Option<Order>, Fault> {
    let row = sqlx::query(
        "SELECT orders.*, checkouts.state AS checkout_state, checkouts.held_until_ms
         FROM orders JOIN checkouts ON checkouts.id = orders.checkout WHERE orders.id = ?1",
    )
    .bind(id.to_string())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let lines = sqlx::query("SELECT * FROM order_lines WHERE order_id = ?1 ORDER BY position")
        .bind(id.to_string())
        .fetch_all(&mut *conn)
        .await?;
    let lines = lines.iter().map(checkouts::line).collect::<Result<Vec<_>, Fault>>()?;
    let payments_and_refunds = payments::load(conn, id).await?;
    Ok(Some(order(&row, lines, payments_and_refunds)?))
}

pub(super) async fn insert(conn: &mut SqliteConnection, order: &Order) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO orders (id, checkout, state, dispute, version, market, currency, total_minor, snapshot, email,
             shipping_address, token_hash, cancel_requested, created_ms, updated_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )
    .bind(order.id.to_string())
    .bind(order.checkout.to_string())
    .bind(text::to_text(&order.state))
    .bind(text::to_text(&order.dispute))
    .bind(order.version)
    .bind(&order.market)
    .bind(order.currency.as_str())
    .bind(order.total.amount_minor())
    .bind(&order.snapshot)
    .bind(order.email.as_deref())
    .bind(order.shipping_address.as_ref().map(ToString::to_string))
    .bind(&order.token_hash[..])
    .bind(order.cancel_requested)
    .bind(order.created_ms)
    .bind(order.updated_ms)
    .execute(&mut *conn)
    .await?;
    for (position, line) in (0_i64..).zip(&order.lines) {
        insert_line(conn, order, position, line).await?;
    }
    Ok(())
}

/// Writes what may change of an order itself.
pub(super) async fn update(conn: &mut SqliteConnection, order: &Order) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE orders SET state = ?2, dispute = ?3, version = ?4, cancel_requested = ?5, email = ?6,
             shipping_address = ?7, updated_ms = ?8, disputes = ?9
         WHERE id = ?1",
    )
    .bind(order.id.to_string())
    .bind(text::to_text(&order.state))
    .bind(text::to_text(&order.dispute))
    .bind(order.version)
    .bind(order.cancel_requested)
    .bind(order.email.as_deref())
    .bind(order.shipping_address.as_ref().map(ToString::to_string))
    .bind(order.updated_ms)
    .bind(order.disputes_as_json())
    .execute(&mut *conn)
    .await?;
    Ok(())
}

fn order(row: &SqliteRow, lines: Vec<Line>, (payments, refunds): (Vec<Payment>, Vec<Refund>)) -> Result<Order, Fault> {
    Ok(Order {
        id: id(row, "id")?,
        checkout: id(row, "checkout")?,
        checkout_state: state(row, "checkout_state")?,
        held_until_ms: get(row, "held_until_ms")?,
        state: state(row, "state")?,
        dispute: state(row, "dispute")?,
        disputes: get::<Option<&str>>(row, "disputes")?.map(from_json).transpose()?.unwrap_or_default(),
        version: get(row, "version")?,
        market: get(row, "market")?,
        currency: currency(row)?,
        lines,
        total: money(row, "total_minor")?,
        snapshot: get(row, "snapshot")?,
        email: get(row, "email")?,
        shipping_address: json(row, "shipping_address")?,
        token_hash: hash(row, "token_hash")?,
        cancel_requested: get(row, "cancel_requested")?,
        payments,
        refunds,
        created_ms: get(row, "created_ms")?,
        updated_ms: get(row, "updated_ms")?,
    })
}

async fn insert_line(conn: &mut SqliteConnection, order: &Order, position: i64, line: &Line) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO order_lines (order_id, position, product, title, quantity, unit_price_minor, currency, snapshot)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(order.id.to_string())
    .bind(position)
    .bind(&line.product)
    .bind(&line.title)
    .bind(line.quantity)
    .bind(line.unit_price.amount_minor())
    .bind(line.unit_price.currency().as_str())
    .bind(&order.snapshot)
    .execute(&mut *conn)
    .await?;
    Ok(())
}
