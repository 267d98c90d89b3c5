//! `/v1/payment_intents`.

use serde_json::Value;

use crate::error::ApiError;
use crate::flows::{Confirmation, NewIntent};
use crate::lists::Page;
use crate::methods::Given;
use crate::money;
use crate::objects::CaptureMethod;
use crate::params::Fields;
use crate::state::State;

/// The types that may be named; of others, none is simulated, but a shop may allow them.
const MAX_METHOD_TYPES: usize = 50;
const CANCELLATION_REASONS: [&str; 4] = ["abandoned", "duplicate", "fraudulent", "requested_by_customer"];
/// Known to Stripe, and without effect here.
const IGNORED: &[&str] = &[
    "amount_details",
    "customer_account",
    "excluded_payment_method_types",
    "hooks",
    "mandate",
    "mandate_data",
    "payment_details",
    "payment_method_configuration",
    "payment_method_options",
    "radar_options",
    "use_stripe_sdk",
];
/// Known to Stripe; ignoring them would change where the money goes.
const REFUSED: &[&str] = &["application_fee_amount", "confirmation_token", "on_behalf_of", "transfer_data"];

pub(super) fn create(state: &mut State, mut fields: Fields) -> Result<Value, ApiError> {
    let is_confirmed = fields.boolean("confirm")?.unwrap_or(false);
    let confirmation = read_confirmation(&mut fields)?;
    let new = read_new(&mut fields)?;
    finish(&mut fields)?;
    if !is_confirmed && (confirmation.return_url.is_some() || confirmation.is_off_session) {
        let message = "return_url and off_session need confirm=true.";
        return Err(ApiError::invalid(None, "confirm", message));
    }
    let id = state.create_intent(new);
    if is_confirmed {
        state.confirm_intent(&id, confirmation)?;
    } else if let Some(given) = confirmation.method {
        state.attach_method(&id, given)?;
    }
    Ok(state.intent_json(&id))
}

pub(super) fn retrieve(state: &State, id: &str, mut fields: Fields) -> Result<Value, ApiError> {
    let secret = fields.text("client_secret")?;
    finish(&mut fields)?;
    let intent = state.intent(id)?;
    match secret.is_none_or(|secret| secret == intent.client_secret) {
        true => Ok(intent.to_json(&state.public_url)),
        false => Err(ApiError::missing("payment_intent", "intent", id)),
    }
}

pub(super) fn update(state: &mut State, id: &str, mut fields: Fields) -> Result<Value, ApiError> {
    let (amount, currency) = (fields.integer("amount")?, read_currency(&mut fields)?);
    let metadata = fields.metadata()?;
    let given = Given::read(&mut fields)?;
    let texts = ["description", "receipt_email", "customer", "setup_future_usage", "transfer_group"];
    let mut changes: Vec<(&str, Option<String>)> = Vec::new();
    for name in texts.into_iter().filter(|name| fields.has(name)).collect::<Vec<_>>() {
        changes.push((name, fields.text(name)?));
    }
    let shipping = fields.json("shipping");
    fields.ignore(&["capture_method", "statement_descriptor", "statement_descriptor_suffix"]);
    finish(&mut fields)?;
    let intent = state.intent(id)?;
    let (is_open, is_priced) = (intent.status.is_open(), amount.is_some() || currency.is_some());
    let price = (amount.unwrap_or(intent.amount), currency.unwrap_or_else(|| intent.currency.clone()));
    if is_priced {
        money::check_amount(price.0, &price.1, "amount")?;
    }
    if !is_open && (is_priced || given.is_some()) {
        let message =
            format!("A PaymentIntent with the status {} keeps its amount and method.", intent.status.as_str());
        let error = ApiError::refused(Some("payment_intent_unexpected_state"), message);
        return Err(error.with_payment_intent(state.intent_json(id)));
    }
    if let Some(given) = given {
        state.attach_method(id, given)?;
    }
    let intent = state.intent_mut(id)?;
    (intent.amount, intent.currency) = price;
    if let Some(change) = metadata {
        change.apply(&mut intent.metadata);
    }
    for (name, text) in changes {
        match name {
            "description" => intent.description = text,
            "receipt_email" => intent.receipt_email = text,
            "customer" => intent.customer = text,
            "setup_future_usage" => intent.setup_future_usage = text,
            _ => intent.transfer_group = text,
        }
    }
    if shipping.is_some() {
        intent.shipping = shipping;
    }
    state.is_changed = true;
    Ok(state.intent_json(id))
}

pub(super) fn confirm(state: &mut State, id: &str, mut fields: Fields) -> Result<Value, ApiError> {
    let secret = fields.text("client_secret")?;
    let confirmation = read_confirmation(&mut fields)?;
    let receipt_email = fields.text("receipt_email")?;
    let shipping = fields.json("shipping");
    fields.ignore(&["amount_to_confirm", "capture_method", "payment_method_types", "setup_future_usage"]);
    finish(&mut fields)?;
    let intent = state.intent_mut(id)?;
    if secret.is_some_and(|secret| secret != intent.client_secret) {
        return Err(ApiError::missing("payment_intent", "intent", id));
    }
    if intent.status.is_open() {
        intent.receipt_email = receipt_email.or(intent.receipt_email.take());
        intent.shipping = shipping.or(intent.shipping.take());
    }
    state.confirm_intent(id, confirmation)?;
    Ok(state.intent_json(id))
}

pub(super) fn capture(state: &mut State, id: &str, mut fields: Fields) -> Result<Value, ApiError> {
    let amount = fields.integer("amount_to_capture")?;
    let metadata = fields.metadata()?;
    fields.ignore(&["final_capture", "statement_descriptor", "statement_descriptor_suffix"]);
    finish(&mut fields)?;
    state.capture_intent(id, amount)?;
    if let Some(change) = metadata {
        change.apply(&mut state.intent_mut(id)?.metadata);
    }
    Ok(state.intent_json(id))
}

pub(super) fn cancel(state: &mut State, id: &str, mut fields: Fields) -> Result<Value, ApiError> {
    let reason = fields.one_of("cancellation_reason", &CANCELLATION_REASONS)?;
    finish(&mut fields)?;
    state.cancel_intent(id, reason)?;
    Ok(state.intent_json(id))
}

pub(super) fn list(state: &State, mut fields: Fields) -> Result<Value, ApiError> {
    let page = Page::read(&mut fields)?;
    let customer = fields.text("customer")?;
    finish(&mut fields)?;
    let table = &state.data.intents;
    let keep = |customer: &Option<String>, other: &Option<String>| customer.is_none() || customer == other;
    page.of(
        table,
        "/v1/payment_intents",
        |intent| keep(&customer, &intent.customer),
        |intent| intent.to_json(&state.public_url),
    )
}

fn finish(fields: &mut Fields) -> Result<(), ApiError> {
    fields.refuse(REFUSED)?;
    fields.ignore(IGNORED);
    fields.finish()
}

fn read_confirmation(fields: &mut Fields) -> Result<Confirmation, ApiError> {
    let method = Given::read(fields)?;
    let return_url = fields.text("return_url")?;
    if let Some(url) = &return_url {
        super::check_url(url, "return_url")?;
    }
    // Besides true and false, it may say what for: `one_off` or `recurring`.
    let is_off_session = fields.text("off_session")?.is_some_and(|text| text != "false");
    let error_on_action = fields.boolean("error_on_requires_action")?.unwrap_or(false);
    Ok(Confirmation { method, return_url, is_off_session, error_on_action })
}

fn read_new(fields: &mut Fields) -> Result<NewIntent, ApiError> {
    let amount = fields.integer("amount")?.ok_or_else(|| ApiError::parameter_missing("amount"))?;
    let currency = read_currency(fields)?.ok_or_else(|| ApiError::parameter_missing("currency"))?;
    money::check_amount(amount, &currency, "amount")?;
    let (automatic, method_types) = read_types(fields)?;
    let confirmation_method = fields.one_of("confirmation_method", &["automatic", "manual"])?;
    Ok(NewIntent {
        amount,
        currency,
        capture_method: CaptureMethod::named(fields.one_of("capture_method", &CaptureMethod::NAMES)?),
        is_confirmed_manually: confirmation_method == Some("manual"),
        automatic,
        method_types,
        customer: fields.text("customer")?,
        description: fields.text("description")?,
        metadata: fields.new_metadata()?,
        receipt_email: fields.text("receipt_email")?,
        setup_future_usage: fields.one_of("setup_future_usage", &["off_session", "on_session"])?.map(str::to_owned),
        shipping: fields.json("shipping"),
        statement_descriptor: fields.text("statement_descriptor")?,
        statement_descriptor_suffix: fields.text("statement_descriptor_suffix")?,
        transfer_group: fields.text("transfer_group")?,
        session: None,
    })
}

/// How payment methods are chosen: automatically, which is what the API does unless told otherwise, or by their types.
fn read_types(fields: &mut Fields) -> Result<(Option<String>, Vec<String>), ApiError> {
    let types = fields.texts("payment_method_types")?;
    if types.len() > MAX_METHOD_TYPES {
        let message = format!("At most {MAX_METHOD_TYPES} types can be named.");
        return Err(ApiError::invalid(None, "payment_method_types", message));
    }
    let Some(mut automatic) = fields.group("automatic_payment_methods")? else {
        return Ok((types.is_empty().then(|| "always".to_owned()), types));
    };
    let is_enabled =
        automatic.boolean("enabled")?.ok_or_else(|| ApiError::parameter_missing(automatic.name("enabled")))?;
    let allow_redirects = automatic.one_of("allow_redirects", &["always", "never"])?.unwrap_or("always");
    automatic.finish()?;
    match (is_enabled, types.is_empty()) {
        (true, true) => Ok((Some(allow_redirects.to_owned()), types)),
        (true, false) => {
            let message = "automatic_payment_methods and payment_method_types cannot be given together.";
            Err(ApiError::invalid(Some("parameters_exclusive"), "payment_method_types", message))
        }
        (false, true) => Ok((None, vec!["card".to_owned()])),
        (false, false) => Ok((None, types)),
    }
}

fn read_currency(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    fields.text("currency")?.map(|text| money::currency(&text, "currency")).transpose()
}
