//! Orders over HTTP: one for its owner, all for the staff.

use serde_json::{Value, json};

use super::answers;
use super::call::{Answered, Call};
use super::complete::cancel_at_stripe;
use super::fields::Fields;
use super::idempotency::{self, Outcome};
use super::problem::Problem;
use super::reply::Reply;
use crate::domain::{News, Order, OrderState};
use crate::ids::OrderId;
use crate::store::{ClaimUse, OrderFilter};

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

pub(super) async fn get(call: Call) -> Answered {
    let order = call.order(&call.caller()?).await?;
    let key = call.app.publishable_key.as_deref();
    let payment = answers::current_payment_json(&order, key);
    Ok(Reply::ok(&json!({ "order": answers::order(&order), "payment": payment })))
}

/// Newest first; `cursor` goes on where a page ended.
pub(super) async fn list(call: Call) -> Answered {
    call.caller()?.staff()?;
    let filter = filter(&call.query)?;
    let limit = filter.limit as usize;
    // One more tells whether there is another page.
    let mut rows = call.store.orders(&OrderFilter { limit: filter.limit + 1, ..filter }).await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|row| row.id);
    let rows: Vec<Value> = rows.iter().map(answers::order_row).collect();
    Ok(Reply::ok(&json!({ "orders": rows, "next_cursor": next })))
}

/// Cancels an order that is not paid yet.
pub(super) async fn cancel(call: Call) -> Answered {
    let caller = call.caller()?;
    caller.staff()?;
    let body = call.json()?;
    Fields::of(&body)?.finish()?;
    let order: OrderId = call.id("order")?;
    // No work has this id: it tells one request from another.
    let claim = idempotency::claim(&call, &caller, &body, OrderId::new().to_string())?;
    let audit = caller.audit("order.cancel", order.to_string(), json!({}))?;
    let now_ms = call.now_ms;
    let request = |order: &mut Order| order.apply(&News::CancelRequested, now_ms);
    let begin = ClaimUse::Begin(&claim);
    let claimed = call.store.change_order(order, &request, &begin, Some(&audit), None, now_ms).await?;
    match idempotency::outcome(claimed)? {
        Outcome::Known(reply) => Ok(reply),
        Outcome::Done(..) | Outcome::Resumed(_) => cancel_at_stripe(&call, order, &claim).await,
    }
}

fn filter(query: &str) -> Result<OrderFilter, Problem> {
    let mut filter = OrderFilter { limit: DEFAULT_LIMIT, ..OrderFilter::default() };
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if seen.contains(&name) {
            return Err(Problem::parameter(&name, "stands twice"));
        }
        match name.as_ref() {
            "state" => filter.state = Some(state(&value)?),
            "from" => filter.from_ms = Some(moment("from", &value)?),
            "to" => filter.to_ms = Some(moment("to", &value)?),
            "cursor" => {
                let cursor = value.parse().map_err(|_| Problem::parameter("cursor", "is no cursor of a list"))?;
                filter.before = Some(cursor);
            }
            "limit" => {
                let limit = value.parse::<u32>().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                let reason = format!("is not a number from 1 to {MAX_LIMIT}");
                filter.limit = limit.ok_or_else(|| Problem::parameter("limit", reason))?;
            }
            other => {
                let shown: String = other.chars().take(64).collect();
                let reason = "is no parameter; there are state, from, to, cursor, limit";
                return Err(Problem::parameter(&shown, reason));
            }
        }
        seen.push(name);
    }
    Ok(filter)
}

fn state(text: &str) -> Result<OrderState, Problem> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|_| {
        let states = "pending_payment, paid, partially_refunded, refunded, cancelled";
        Problem::parameter("state", format!("is none of {states}"))
    })
}

fn moment(name: &str, text: &str) -> Result<i64, Problem> {
    let moment: jiff::Timestamp =
        text.parse().map_err(|_| Problem::parameter(name, "is no moment such as 2026-01-31T00:00:00Z"))?;
    Ok(moment.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_faults_are_named() {
        let id = OrderId::new();
        let query = format!("state=paid&from=1970-01-01T00:00:01Z&limit=5&cursor={id}");
        let read = filter(&query).expect("a filter");
        assert_eq!((read.state, read.from_ms, read.to_ms), (Some(OrderState::Paid), Some(1_000), None));
        assert_eq!((read.limit, read.before), (5, Some(id)));
        assert_eq!(filter("").expect("a filter").limit, DEFAULT_LIMIT);
        for (query, name) in [
            ("state=lost", "state"),
            ("from=yesterday", "from"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("cursor=7", "cursor"),
            ("page=1", "page"),
            ("limit=1&limit=2", "limit"),
        ] {
            let problem: Value =
                serde_json::from_slice(&filter(query).expect_err(query).to_json()).expect("a document");
            assert_eq!((problem["status"].as_u64(), problem["parameter"].as_str()), (Some(400), Some(name)), "{query}");
        }
    }
}
