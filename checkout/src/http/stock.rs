//! Stock over HTTP: staff sets what can be sold, and says why.

use axum::http::StatusCode;
use serde_json::Value;

use super::answers;
use super::call::{Answered, Call};
use super::carts::MAX_PRODUCT_CHARS;
use super::fields::{Fields, is_within};
use super::idempotency::{self, Outcome};
use super::problem::Problem;
use super::reply::{Reply, answer};
use crate::ids::OrderId;
use crate::store::{ClaimUse, StockChange, StockLevel};

/// More of one product than any shop has.
pub(crate) const MAX_STOCK: i64 = 1_000_000_000;
pub(crate) const MAX_REASON_CHARS: usize = 200;

pub(super) async fn get(call: Call) -> Answered {
    call.caller()?.staff()?;
    let product = product(&call)?;
    let level = call.store.stock(&product).await?.ok_or_else(|| Problem::not_found("stock"))?;
    Ok(Reply::ok(&answers::stock(&level)))
}

/// An adjustment counts each time that it is asked for, so that it has a key. What is set has one where it is given: sent again
/// without, it would bring back what was sold in between.
pub(super) async fn put(call: Call) -> Answered {
    let caller = call.caller()?;
    let staff = caller.staff()?;
    let product = product(&call)?;
    let body = call.json()?;
    let change = change(product, &body)?;
    let audit = change.audit(staff);
    let claim = match matches!(change, StockChange::Adjust { .. }) || idempotency::is_given(&call) {
        // No work has this id: it tells one request from another.
        true => Some(idempotency::claim(&call, &caller, &body, OrderId::new().to_string())?),
        false => None,
    };
    let render = |levels: &Vec<StockLevel>| answer(StatusCode::OK, &levels.first().map_or(Value::Null, answers::stock));
    let used: ClaimUse<'_, Vec<StockLevel>> = match &claim {
        Some(claim) => ClaimUse::Whole(claim, &render),
        None => ClaimUse::None,
    };
    let claimed = call.store.change_stock(&[change], &used, &audit, call.now_ms).await?;
    match idempotency::outcome(claimed)? {
        Outcome::Done(levels, answer) => Ok(Reply::of(answer.unwrap_or_else(|| render(&levels)))),
        Outcome::Known(reply) => Ok(reply),
        Outcome::Resumed(_) => Err(Problem::internal("stock is changed at once or not at all")),
    }
}

/// `{"set": 5, "reason": "counted"}` or `{"adjust": -1, "reason": "broken"}`
fn change(product: String, body: &Value) -> Result<StockChange, Problem> {
    let mut fields = Fields::of(body)?;
    let set = fields.integer("set", 0, MAX_STOCK)?;
    let adjust = fields.integer("adjust", -MAX_STOCK, MAX_STOCK)?;
    let reason = fields.text("reason", MAX_REASON_CHARS)?;
    let reason = fields.required("reason", reason)?;
    fields.finish()?;
    match (set, adjust) {
        (Some(available), None) => Ok(StockChange::Set { product, available, reason }),
        (None, Some(by)) => Ok(StockChange::Adjust { product, by, reason }),
        (None, None) => Err(Problem::field("/set", "is missing: give set or adjust")),
        (Some(_), Some(_)) => Err(Problem::field("/adjust", "stands beside set; give one of them")),
    }
}

fn product(call: &Call) -> Result<String, Problem> {
    let product = call.param("product").unwrap_or_default();
    match is_product(product) {
        true => Ok(product.to_owned()),
        false => Err(Problem::not_found("product")),
    }
}

/// Whether a text can be the id of a product.
pub(crate) fn is_product(text: &str) -> bool {
    is_within(text, MAX_PRODUCT_CHARS) && !text.chars().any(char::is_control)
}

/// Whether a text can be the reason of a change.
pub(crate) fn is_reason(text: &str) -> bool {
    is_within(text, MAX_REASON_CHARS) && !text.chars().any(char::is_control)
}
