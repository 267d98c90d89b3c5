//! Carts, where no Redis keeps them.

use serde_json::json;
use sqlx::SqliteConnection;

use super::fault::Fault;
use super::rows::{from_json, get, id};
use crate::domain::Refusal;
use crate::ids::CartId;
use crate::store::{Cart, CartLine};

pub(super) async fn load(conn: &mut SqliteConnection, cart: CartId, now_ms: i64) -> Result<Option<Cart>, Fault> {
    let row = sqlx::query("SELECT * FROM carts WHERE id = ?1 AND expires_ms > ?2")
        .bind(cart.to_string())
        .bind(now_ms)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let lines: Vec<(String, u32)> = from_json(get(&row, "lines")?)?;
    Ok(Some(Cart {
        id: id(&row, "id")?,
        version: get(&row, "version")?,
        market: get(&row, "market")?,
        lines: lines.into_iter().map(|(product, quantity)| CartLine { product, quantity }).collect(),
        expires_ms: get(&row, "expires_ms")?,
    }))
}

pub(super) async fn put(conn: &mut SqliteConnection, cart: &Cart) -> Result<(), Fault> {
    let current = sqlx::query_scalar::<_, u32>("SELECT version FROM carts WHERE id = ?1")
        .bind(cart.id.to_string())
        .fetch_optional(&mut *conn)
        .await?;
    match current {
        None if cart.version == 1 => {}
        None => return Err(Refusal::NotFound("cart").into()),
        Some(current) if current.checked_add(1) == Some(cart.version) => {}
        Some(current) => return Err(Refusal::VersionConflict { current }.into()),
    }
    let lines: Vec<_> = cart.lines.iter().map(|line| json!([line.product, line.quantity])).collect();
    sqlx::query(
        "INSERT INTO carts (id, version, market, lines, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, market = excluded.market, lines = excluded.lines,
             expires_ms = excluded.expires_ms",
    )
    .bind(cart.id.to_string())
    .bind(cart.version)
    .bind(&cart.market)
    .bind(json!(lines).to_string())
    .bind(cart.expires_ms)
    .execute(&mut *conn)
    .await?;
    Ok(())
}

pub(super) async fn delete(conn: &mut SqliteConnection, cart: CartId) -> Result<bool, Fault> {
    let deleted = sqlx::query("DELETE FROM carts WHERE id = ?1").bind(cart.to_string()).execute(&mut *conn).await?;
    Ok(deleted.rows_affected() > 0)
}
