//! Refunds over HTTP: staff gives money back, all of it or a part.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::answers;
use super::call::{Answered, Call};
use super::complete::finished;
use super::fields::Fields;
use super::idempotency::{self, Outcome};
use super::problem::Problem;
use super::reply::answer;
use crate::domain::{Effects, MAX_TOTAL_MINOR, Order, RefundState, Refusal};
use crate::fail_points;
use crate::ids::{OrderId, RefundId};
use crate::store::{Answer, Claim, ClaimUse, PaymentRef};

const MAX_REASON_CHARS: usize = 200;

pub(super) async fn create(call: Call) -> Answered {
    let caller = call.caller()?;
    caller.staff()?;
    let body = call.json()?;
    let refund = RefundId::new();
    let claim = idempotency::claim(&call, &caller, &body, refund.to_string())?;
    let mut fields = Fields::of(&body)?;
    let amount = fields.money("amount", MAX_TOTAL_MINOR)?;
    let reason = fields.text("reason", MAX_REASON_CHARS)?;
    fields.finish()?;
    let order: OrderId = call.id("order")?;
    let detail = json!({ "refund": refund, "amount": amount.map(answers::money), "reason": reason });
    let audit = caller.audit("order.refund", order.to_string(), detail)?;
    let (store, now_ms) = (&call.store, call.now_ms);
    let begin = |order: &mut Order| -> Result<Effects, Refusal> {
        order.begin_refund(refund, amount, reason.clone(), now_ms)?;
        Ok(Effects::default())
    };
    let begun = ClaimUse::Begin(&claim);
    let claimed = store.change_order(order, &begin, &begun, Some(&audit), None, now_ms).await?;
    match idempotency::outcome(claimed)? {
        Outcome::Done(..) => {
            fail_points::reach(fail_points::REFUND_COMMITTED);
            give_back(&call, order, refund, &claim).await
        }
        Outcome::Known(reply) => Ok(reply),
        Outcome::Resumed(subject) => {
            let refund: RefundId = subject.parse().map_err(Problem::internal)?;
            let found = store.find_payment(&PaymentRef::Refund(refund)).await?;
            let (order, _) = found.ok_or_else(|| Problem::internal("a key without its refund"))?;
            give_back(&call, order, refund, &claim).await
        }
    }
}

/// Asks Stripe for the refund, and answers what came of it.
async fn give_back(call: &Call, order: OrderId, refund: RefundId, claim: &Claim) -> Answered {
    let render = |order: &Order| given_back(order, refund);
    let finish: ClaimUse<'_, Order> = ClaimUse::Finish(claim, &render);
    finished(call.app.work.refund(&*call.store, order, refund, &finish).await, render)
}

/// 201 where Stripe has it, 202 where the client is to look at the order later.
fn given_back(order: &Order, id: RefundId) -> Answer {
    let refund = order.refunds.iter().find(|refund| refund.id == id);
    let is_open = refund.is_some_and(|refund| matches!(refund.state, RefundState::Requesting | RefundState::Unknown));
    let status = if is_open { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    let body = json!({
        "refund": refund.map_or(Value::Null, answers::refund),
        "order": answers::order(order),
    });
    answer(status, &body)
}
