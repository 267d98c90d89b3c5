//! Carts over HTTP: the whole cart every time.

use axum::http::StatusCode;
use serde_json::Value;

use super::call::{Answered, Call};
use super::fields::Fields;
use super::problem::{Code, Problem};
use super::reply::{Reply, answer};
use super::{answers, idempotency};
use crate::carts::CartError;
use crate::domain::{MAX_LINES, MAX_QUANTITY, Refusal};
use crate::ids::CartId;
use crate::store::{Cart, CartLine, StoreError};
use crate::tokens::{hex, sha256};

pub(super) const MAX_PRODUCT_CHARS: usize = 256;
pub(super) const MAX_MARKET_CHARS: usize = 64;
/// How long a key is kept at the least, as others are.
const KEY_LIFE_MS: i64 = 24 * 3_600 * 1_000;

/// A cart's id follows from its key, so that the same request again finds the same cart wherever carts are kept. It is
/// answered as the cart is by then.
pub(super) async fn create(call: Call) -> Answered {
    let body = call.json()?;
    let key = idempotency::key(&call)?;
    let mut fields = Fields::of(&body)?;
    let (market, lines) = contents(&mut fields)?;
    fields.finish()?;
    let scope = format!("{}\n{}\n{key}", call.caller()?.key_scope(), idempotency::endpoint(&call));
    take_key(&call, &scope, &body).await?;
    let expires_ms = call.now_ms + call.app.cart_ttl_ms;
    let cart = Cart { id: named_id(&scope)?, version: 1, market, lines, expires_ms };
    if make(&call, &cart).await? {
        return Ok(Reply::json(StatusCode::CREATED, &answers::cart(&cart)));
    }
    let made = call.app.carts.get(&*call.store, cart.id, call.now_ms).await?;
    let made = made.ok_or_else(|| Problem::not_found("cart"))?;
    Ok(Reply::replayed(answer(StatusCode::CREATED, &answers::cart(&made))))
}

/// Keeps what a key was first used for. Carts change and end, and their records with them, so that it has a record of its own:
/// a cart that nobody knows the id of, which lives as long as keys do.
///
/// # Errors
/// When it was another body.
async fn take_key(call: &Call, scope: &str, body: &Value) -> Result<(), Problem> {
    let id = named_id(&format!("{scope}\nkey"))?;
    let expires_ms = call.now_ms + call.app.cart_ttl_ms.max(KEY_LIFE_MS);
    let wanted = Cart { id, version: 1, market: hex(&idempotency::fingerprint(body)), lines: Vec::new(), expires_ms };
    if make(call, &wanted).await? {
        return Ok(());
    }
    let first = call.app.carts.get(&*call.store, id, call.now_ms).await?;
    match first.is_some_and(|first| first.market != wanted.market) {
        true => Err(Problem::new(Code::IdempotencyKeyReused, "this key was used for another cart: take a new one")),
        false => Ok(()),
    }
}

/// Writes a new cart; false where there is one with its id.
async fn make(call: &Call, cart: &Cart) -> Result<bool, Problem> {
    match call.app.carts.put(&*call.store, cart, call.now_ms).await {
        Ok(()) => Ok(true),
        Err(CartError::Store(StoreError::Refused(Refusal::VersionConflict { .. }))) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The id that follows from a name.
fn named_id(name: &str) -> Result<CartId, Problem> {
    format!("crt_{}", hex(&sha256(name.as_bytes())[..16])).parse().map_err(Problem::internal)
}

pub(super) async fn get(call: Call) -> Answered {
    let id: CartId = call.id("cart")?;
    let cart = call.app.carts.get(&*call.store, id, call.now_ms).await?.ok_or_else(|| Problem::not_found("cart"))?;
    Ok(Reply::ok(&answers::cart(&cart)))
}

pub(super) async fn put(call: Call) -> Answered {
    let id: CartId = call.id("cart")?;
    let body = call.json()?;
    let mut fields = Fields::of(&body)?;
    let version = fields.integer("version", 1, i64::from(u32::MAX) - 1)?;
    let version = fields.required("version", version)?;
    let (market, lines) = contents(&mut fields)?;
    fields.finish()?;
    // Within the bounds above.
    let version = version as u32 + 1;
    let cart = Cart { id, version, market, lines, expires_ms: call.now_ms + call.app.cart_ttl_ms };
    call.app.carts.put(&*call.store, &cart, call.now_ms).await?;
    Ok(Reply::ok(&answers::cart(&cart)))
}

pub(super) async fn delete(call: Call) -> Answered {
    let id: CartId = call.id("cart")?;
    match call.app.carts.delete(&*call.store, id).await? {
        true => Ok(Reply::json(StatusCode::NO_CONTENT, &Value::Null)),
        false => Err(Problem::not_found("cart")),
    }
}

/// The market and the lines of a cart.
fn contents(fields: &mut Fields<'_>) -> Result<(String, Vec<CartLine>), Problem> {
    let market = fields.text("market", MAX_MARKET_CHARS)?.unwrap_or_default();
    let lines = lines(fields)?.unwrap_or_default();
    Ok((market, lines))
}

/// `"lines": [{"product": "p1", "quantity": 2}]`, as they are given.
pub(super) fn lines(fields: &mut Fields<'_>) -> Result<Option<Vec<CartLine>>, Problem> {
    let Some(list) = fields.list("lines", MAX_LINES)? else { return Ok(None) };
    let mut lines = Vec::with_capacity(list.len());
    for mut line in list {
        let product = line.text("product", MAX_PRODUCT_CHARS)?;
        let product = line.required("product", product)?;
        let quantity = line.integer("quantity", 1, i64::from(MAX_QUANTITY))?;
        let quantity = line.required("quantity", quantity)?;
        line.finish()?;
        // Within the bounds above.
        lines.push(CartLine { product, quantity: quantity as u32 });
    }
    Ok(Some(lines))
}

impl From<CartError> for Problem {
    fn from(error: CartError) -> Self {
        match error {
            CartError::Store(error) => error.into(),
            CartError::Away(cause) => Self::later(Code::CartsUnavailable, "carts are away").because(cause),
            CartError::Damaged(_) => Self::internal(error),
        }
    }
}
