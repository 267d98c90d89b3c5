//! `/v1/refunds`.

use serde_json::Value;

use crate::error::ApiError;
use crate::flows::NewRefund;
use crate::lists::Page;
use crate::objects::Refund;
use crate::params::Fields;
use crate::state::State;
use crate::table::Row;

const REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];

pub(super) fn create(state: &mut State, mut fields: Fields) -> Result<Value, ApiError> {
    let (charge, intent) = (fields.text("charge")?, fields.text("payment_intent")?);
    let amount = fields.integer("amount")?;
    if amount.is_some_and(|amount| amount < 1) {
        let message = "amount must be at least 1.";
        return Err(ApiError::invalid(Some("parameter_invalid_integer"), "amount", message));
    }
    let reason = fields.one_of("reason", &REASONS)?.map(str::to_owned);
    let metadata = fields.new_metadata()?;
    fields.ignore(&["instructions_email", "refund_application_fee", "reverse_transfer"]);
    fields.finish()?;
    let charge = match (charge, intent) {
        (Some(charge), None) => charge,
        (None, Some(intent)) => charge_of(state, &intent)?,
        (Some(charge), Some(intent)) if charge_of(state, &intent)? == charge => charge,
        (Some(_), Some(_)) => {
            let message = "The charge is not the PaymentIntent's.";
            return Err(ApiError::invalid(None, "charge", message));
        }
        (None, None) => return Err(ApiError::parameter_missing("payment_intent")),
    };
    let id = state.create_refund(NewRefund { charge, amount, reason, metadata })?;
    Ok(state.refund_json(&id))
}

pub(super) fn retrieve(state: &State, id: &str, fields: Fields) -> Result<Value, ApiError> {
    fields.finish()?;
    state.data.refunds.get(id).map(Refund::to_json).ok_or_else(|| ApiError::missing(Refund::NAME, "refund", id))
}

pub(super) fn update(state: &mut State, id: &str, mut fields: Fields) -> Result<Value, ApiError> {
    let metadata = fields.metadata()?;
    fields.finish()?;
    let refund = state.data.refunds.get_mut(id).ok_or_else(|| ApiError::missing(Refund::NAME, "refund", id))?;
    if let Some(change) = metadata {
        change.apply(&mut refund.metadata);
    }
    let shown = refund.to_json();
    state.emit("refund.updated", &shown);
    Ok(shown)
}

pub(super) fn list(state: &State, mut fields: Fields) -> Result<Value, ApiError> {
    let page = Page::read(&mut fields)?;
    let (charge, intent) = (fields.text("charge")?, fields.text("payment_intent")?);
    fields.finish()?;
    let keep = |refund: &Refund| {
        charge.as_ref().is_none_or(|charge| *charge == refund.charge)
            && intent.as_ref().is_none_or(|intent| *intent == refund.intent)
    };
    page.of(&state.data.refunds, "/v1/refunds", keep, Refund::to_json)
}

/// The charge of an intent that took money.
fn charge_of(state: &State, intent: &str) -> Result<String, ApiError> {
    let row =
        state.data.intents.get(intent).ok_or_else(|| ApiError::missing("payment_intent", "payment_intent", intent))?;
    row.latest_charge().map(str::to_owned).ok_or_else(|| {
        let message = format!("The PaymentIntent {intent} has no charge to refund.");
        ApiError::refused(None, message).with_param("payment_intent")
    })
}
