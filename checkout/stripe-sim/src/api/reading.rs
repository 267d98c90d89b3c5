//! What can only be read: charges, disputes, events and balance transactions.

use serde_json::Value;

use crate::error::ApiError;
use crate::lists::Page;
use crate::objects::{Charge, Dispute, Event, Transaction};
use crate::params::Fields;
use crate::state::State;
use crate::table::Row;

/// How long events can be read.
const EVENTS_KEPT_S: i64 = 30 * 24 * 60 * 60;
const MAX_TYPES: usize = 20;

pub(super) fn charge(state: &State, id: &str, fields: Fields) -> Result<Value, ApiError> {
    fields.finish()?;
    Ok(state.charge(id)?.to_json(&state.public_url))
}

pub(super) fn charges(state: &State, mut fields: Fields) -> Result<Value, ApiError> {
    let page = Page::read(&mut fields)?;
    let (intent, customer) = (fields.text("payment_intent")?, fields.text("customer")?);
    let transfer_group = fields.text("transfer_group")?;
    fields.finish()?;
    let keep = |charge: &Charge| {
        intent.as_ref().is_none_or(|intent| *intent == charge.intent)
            && (customer.is_none() || charge.customer == customer)
            && (transfer_group.is_none() || charge.transfer_group == transfer_group)
    };
    page.of(&state.data.charges, "/v1/charges", keep, |charge| charge.to_json(&state.public_url))
}

pub(super) fn dispute(state: &State, id: &str, fields: Fields) -> Result<Value, ApiError> {
    fields.finish()?;
    match state.data.disputes.get(id) {
        Some(dispute) => Ok(state.dispute_json(dispute.id())),
        None => Err(ApiError::missing(Dispute::NAME, "dispute", id)),
    }
}

pub(super) fn disputes(state: &State, mut fields: Fields) -> Result<Value, ApiError> {
    let page = Page::read(&mut fields)?;
    let (charge, intent) = (fields.text("charge")?, fields.text("payment_intent")?);
    fields.finish()?;
    let keep = |dispute: &Dispute| {
        charge.as_ref().is_none_or(|charge| *charge == dispute.charge)
            && intent.as_ref().is_none_or(|intent| *intent == dispute.intent)
    };
    page.of(&state.data.disputes, "/v1/disputes", keep, |dispute| state.dispute_json(dispute.id()))
}

pub(super) fn event(state: &State, id: &str, fields: Fields) -> Result<Value, ApiError> {
    fields.finish()?;
    let oldest_s = state.now_s() - EVENTS_KEPT_S;
    let event = state.data.events.get(id).filter(|event| event.created_s >= oldest_s);
    event.map(Event::to_json).ok_or_else(|| ApiError::missing(Event::NAME, "id", id))
}

pub(super) fn events(state: &State, mut fields: Fields) -> Result<Value, ApiError> {
    let page = Page::read(&mut fields)?;
    let (kind, kinds) = (fields.text("type")?, fields.texts("types")?);
    let is_delivered = fields.boolean("delivery_success")?;
    fields.finish()?;
    if kinds.len() > MAX_TYPES || (kind.is_some() && !kinds.is_empty()) {
        let message = format!("Give type, or at most {MAX_TYPES} types.");
        return Err(ApiError::invalid(Some("parameters_exclusive"), "types", message));
    }
    let oldest_s = state.now_s() - EVENTS_KEPT_S;
    let keep = |event: &Event| {
        event.created_s >= oldest_s
            && kind.as_ref().is_none_or(|kind| is_of_kind(event, kind))
            && (kinds.is_empty() || kinds.contains(&event.kind))
            && is_delivered.is_none_or(|is_delivered| is_delivered == (event.pending_webhooks == 0))
    };
    page.of(&state.data.events, "/v1/events", keep, Event::to_json)
}

pub(super) fn transaction(state: &State, id: &str, fields: Fields) -> Result<Value, ApiError> {
    fields.finish()?;
    let transaction = state.data.transactions.get(id);
    let shown = transaction.map(|transaction| transaction.to_json(state.now_s()));
    shown.ok_or_else(|| ApiError::missing(Transaction::NAME, "id", id))
}

pub(super) fn transactions(state: &State, mut fields: Fields) -> Result<Value, ApiError> {
    let page = Page::read(&mut fields)?;
    let (kind, source) = (fields.text("type")?, fields.text("source")?);
    let currency = fields.text("currency")?;
    // There are no payouts, so that none has transactions.
    let has_payout = fields.text("payout")?.is_some();
    fields.finish()?;
    let keep = |transaction: &Transaction| {
        !has_payout
            && kind.as_ref().is_none_or(|kind| kind == transaction.kind.as_str())
            && source.as_ref().is_none_or(|source| *source == transaction.source)
            && currency.as_ref().is_none_or(|currency| *currency == transaction.currency)
    };
    let now_s = state.now_s();
    page.of(&state.data.transactions, "/v1/balance_transactions", keep, |transaction| transaction.to_json(now_s))
}

/// `charge.*` means all that begin so.
fn is_of_kind(event: &Event, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(prefix) => event.kind.starts_with(prefix),
        None => event.kind == wanted,
    }
}
