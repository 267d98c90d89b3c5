//! Stock over HTTP: staff sets what can be sold, and says why.

use serde_json::json;

use super::answers;
use super::call::{Answered, Call};
use super::carts::MAX_PRODUCT_BYTES;
use super::fields::Fields;
use super::problem::Problem;
use super::reply::Reply;
use crate::store::StockChange;

/// More of one product than any shop has.
pub(crate) const MAX_STOCK: i64 = 1_000_000_000;
pub(crate) const MAX_REASON_BYTES: usize = 200;

pub(super) async fn get(call: Call) -> Answered {
    call.caller()?.staff()?;
    let product = product(&call)?;
    let level = call.store.stock(&product).await?.ok_or_else(|| Problem::not_found("stock"))?;
    Ok(Reply::ok(&answers::stock(&level)))
}

/// `{"set": 5, "reason": "counted"}` or `{"adjust": -1, "reason": "broken"}`
pub(super) async fn put(call: Call) -> Answered {
    let caller = call.caller()?;
    caller.staff()?;
    let product = product(&call)?;
    let body = call.json()?;
    let mut fields = Fields::of(&body)?;
    let set = fields.integer("set", 0, MAX_STOCK)?;
    let adjust = fields.integer("adjust", -MAX_STOCK, MAX_STOCK)?;
    let reason = fields.text("reason", MAX_REASON_BYTES)?;
    let reason = fields.required("reason", reason)?;
    fields.finish()?;
    let (action, detail) = match (set, adjust) {
        (Some(to), None) => ("stock.set", json!({ "set": to, "reason": reason })),
        (None, Some(by)) => ("stock.adjust", json!({ "adjust": by, "reason": reason })),
        (None, None) => return Err(Problem::field("/set", "is missing: give set or adjust")),
        (Some(_), Some(_)) => return Err(Problem::field("/adjust", "stands beside set; give one of them")),
    };
    let audit = caller.audit(action, product.clone(), detail)?;
    let change = match set {
        Some(available) => StockChange::Set { product, available, reason },
        None => StockChange::Adjust { product, by: adjust.unwrap_or_default(), reason },
    };
    let levels = call.store.change_stock(&[change], &audit, call.now_ms).await?;
    let level = levels.first().ok_or_else(|| Problem::internal("a change of stock without its level"))?;
    Ok(Reply::ok(&answers::stock(level)))
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
    !text.is_empty() && text.len() <= MAX_PRODUCT_BYTES && !text.chars().any(char::is_control)
}

/// Whether a text can be the reason of a change.
pub(crate) fn is_reason(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_REASON_BYTES && !text.chars().any(char::is_control)
}
