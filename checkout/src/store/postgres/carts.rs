//! Carts, where no Redis keeps them.

use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::inbox::count;
use super::records::{from_json, to_json};
use crate::domain::Refusal;
use crate::ids::CartId;
use crate::store::{Cart, CartLine};

#[derive(Serialize, Deserialize)]
struct LineRecord {
    product: String,
    quantity: u32,
}

pub(super) async fn read(connection: &mut PgConnection, id: CartId, now_ms: i64) -> Result<Option<Cart>, Failure> {
    let row = sqlx::query("SELECT version, market, lines, expires_ms FROM carts WHERE id = $1 AND expires_ms > $2")
        .bind(id.to_string())
        .bind(now_ms)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let lines: Vec<LineRecord> = from_json(row.try_get("lines")?)?;
    Ok(Some(Cart {
        id,
        version: count(row.try_get("version")?),
        market: row.try_get("market")?,
        lines: lines.into_iter().map(|line| CartLine { product: line.product, quantity: line.quantity }).collect(),
        expires_ms: row.try_get("expires_ms")?,
    }))
}

pub(super) async fn put(connection: &mut PgConnection, cart: &Cart, is_rerun: bool) -> Result<(), Failure> {
    let lines: Vec<LineRecord> =
        cart.lines.iter().map(|line| LineRecord { product: line.product.clone(), quantity: line.quantity }).collect();
    let statement = match cart.version {
        1 => {
            "INSERT INTO carts (id, version, market, lines, expires_ms) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING"
        }
        _ => {
            "UPDATE carts SET version = $2, market = $3, lines = $4, expires_ms = $5 WHERE id = $1 AND version = $2 - 1"
        }
    };
    let written = sqlx::query(statement)
        .bind(cart.id.to_string())
        .bind(i64::from(cart.version))
        .bind(cart.market.as_str())
        .bind(to_json(&lines)?)
        .bind(cart.expires_ms)
        .execute(&mut *connection)
        .await?;
    if written.rows_affected() > 0 {
        return Ok(());
    }
    // The same cart is there when the acknowledgement of the first attempt was lost.
    match read(connection, cart.id, i64::MIN).await? {
        Some(stored) if is_rerun && stored == *cart => Ok(()),
        Some(stored) => Err(Refusal::VersionConflict { current: stored.version }.into()),
        None => Err(Refusal::NotFound("cart").into()),
    }
}

pub(super) async fn delete(connection: &mut PgConnection, id: CartId) -> Result<bool, Failure> {
    let deleted = sqlx::query("DELETE FROM carts WHERE id = $1").bind(id.to_string()).execute(&mut *connection).await?;
    Ok(deleted.rows_affected() > 0)
}
