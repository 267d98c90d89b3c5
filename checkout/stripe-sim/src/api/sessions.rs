//! `/v1/checkout/sessions`, in the mode `payment`.

use serde_json::Value;

use crate::error::ApiError;
use crate::flows::{NewSession, automatic_types};
use crate::lists::{Page, list_json};
use crate::money;
use crate::objects::{CaptureMethod, LineItem, Session, SessionStatus};
use crate::params::{Fields, Metadata};
use crate::state::State;

const MAX_LINES: usize = 100;
const MAX_QUANTITY: i64 = 999_999;
/// How long a session stays open.
const DEFAULT_LIFE_S: i64 = 24 * 60 * 60;
const MIN_LIFE_S: i64 = 30 * 60;
const MAX_LIFE_S: i64 = 24 * 60 * 60;
const MAX_URL_CHARS: usize = 5_000;
/// Known to Stripe, and without effect on the money.
const IGNORED: &[&str] = &[
    "after_expiration",
    "allowed_payment_method_types",
    "billing_address_collection",
    "branding_settings",
    "consent_collection",
    "custom_text",
    "customer_creation",
    "customer_update",
    "excluded_payment_method_types",
    "integration_identifier",
    "name_collection",
    "origin_context",
    "payment_method_collection",
    "payment_method_configuration",
    "payment_method_data",
    "payment_method_options",
    "permissions",
    "phone_number_collection",
    "saved_payment_method_options",
    "shipping_address_collection",
    "submit_type",
    "wallet_options",
];

pub(super) fn create(state: &mut State, mut fields: Fields) -> Result<Value, ApiError> {
    let new = read_new(state, &mut fields)?;
    ignore_what_is_off(&mut fields, &["adaptive_pricing", "automatic_tax", "invoice_creation", "tax_id_collection"])?;
    if fields.has("allow_promotion_codes") && fields.boolean("allow_promotion_codes")? == Some(true) {
        return Err(ApiError::invalid(None, "allow_promotion_codes", "The simulator has no promotion codes."));
    }
    fields.ignore(IGNORED);
    fields.refuse(&["custom_fields", "discounts", "managed_payments", "optional_items", "shipping_options"])?;
    fields.finish()?;
    let id = state.create_session(new);
    Ok(state.session_json(&id))
}

pub(super) fn retrieve(state: &State, id: &str, fields: Fields) -> Result<Value, ApiError> {
    fields.finish()?;
    Ok(state.session(id)?.to_json(&state.public_url))
}

pub(super) fn lines(state: &State, id: &str, mut fields: Fields) -> Result<Value, ApiError> {
    // A session has few lines: they fit on one page, so that cursors are not needed.
    fields.ignore(&["limit", "starting_after", "ending_before"]);
    fields.finish()?;
    Ok(list_json(state.session(id)?.lines_json(), false, &format!("/v1/checkout/sessions/{id}/line_items")))
}

pub(super) fn expire(state: &mut State, id: &str, fields: Fields) -> Result<Value, ApiError> {
    fields.finish()?;
    state.expire_session(id)?;
    Ok(state.session_json(id))
}

pub(super) fn list(state: &State, mut fields: Fields) -> Result<Value, ApiError> {
    let page = Page::read(&mut fields)?;
    let (intent, customer) = (fields.text("payment_intent")?, fields.text("customer")?);
    let status = fields.one_of("status", &SessionStatus::NAMES)?;
    fields.finish()?;
    let keep = |session: &Session| {
        (intent.is_none() || session.intent == intent)
            && (customer.is_none() || session.customer == customer)
            && status.is_none_or(|status| session.status.as_str() == status)
    };
    page.of(&state.data.sessions, "/v1/checkout/sessions", keep, |session| session.to_json(&state.public_url))
}

/// Browsers are sent there, so that nothing but pages will do.
pub(crate) fn check_url(url: &str, param: &str) -> Result<(), ApiError> {
    let is_page = ["https://", "http://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    // Outside of ASCII, it could not stand in a header.
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    match is_page && is_plain && url.len() <= MAX_URL_CHARS {
        true => Ok(()),
        false => Err(ApiError::invalid(Some("url_invalid"), param, format!("{param} is no URL of a page."))),
    }
}

fn read_new(state: &mut State, fields: &mut Fields) -> Result<NewSession, ApiError> {
    if fields.required("mode")? != "payment" {
        return Err(ApiError::invalid(None, "mode", "The simulator has only the mode payment."));
    }
    fields.one_of("ui_mode", &["hosted", "hosted_page"])?;
    let success_url = fields.required("success_url")?;
    check_url(&success_url, "success_url")?;
    let cancel_url = fields.text("cancel_url")?;
    cancel_url.as_ref().map_or(Ok(()), |url| check_url(url, "cancel_url"))?;
    let named_currency = fields.text("currency")?.map(|text| money::currency(&text, "currency")).transpose()?;
    let (currency, lines) = read_lines(state, fields, named_currency)?;
    let total = lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.amount()));
    money::check_amount(total.unwrap_or(i64::MAX), &currency, "line_items")?;
    let mut method_types = fields.texts("payment_method_types")?;
    if method_types.is_empty() {
        method_types = automatic_types(&currency);
    }
    let expires_at_s = read_expiry(state, fields)?;
    let mut new = NewSession {
        currency,
        lines,
        expires_at_s,
        success_url,
        cancel_url,
        client_reference_id: fields.text("client_reference_id")?,
        customer: fields.text("customer")?,
        customer_email: fields.text("customer_email")?,
        locale: fields.text("locale")?,
        metadata: fields.new_metadata()?,
        method_types,
        intent_metadata: Metadata::new(),
        intent_description: None,
        intent_capture_method: CaptureMethod::AutomaticAsync,
        intent_receipt_email: None,
        intent_shipping: None,
    };
    if let Some(mut data) = fields.group("payment_intent_data")? {
        new.intent_metadata = data.new_metadata()?;
        new.intent_description = data.text("description")?;
        new.intent_capture_method = CaptureMethod::named(data.one_of("capture_method", &CaptureMethod::NAMES)?);
        new.intent_receipt_email = data.text("receipt_email")?;
        new.intent_shipping = data.json("shipping");
        data.ignore(&["setup_future_usage", "statement_descriptor", "statement_descriptor_suffix", "transfer_group"]);
        data.finish()?;
    }
    Ok(new)
}

fn read_expiry(state: &State, fields: &mut Fields) -> Result<i64, ApiError> {
    let now_s = state.now_s();
    let expires_at_s = fields.integer("expires_at")?.unwrap_or(now_s + DEFAULT_LIFE_S);
    // A client that adds exactly the least or the most to its own clock must not fail for a second.
    match (now_s + MIN_LIFE_S - 1..=now_s + MAX_LIFE_S + 1).contains(&expires_at_s) {
        true => Ok(expires_at_s),
        false => Err(ApiError::invalid(None, "expires_at", "expires_at must be 30 minutes to 24 hours from now.")),
    }
}

/// The lines, and the currency that all of them have.
fn read_lines(
    state: &mut State,
    fields: &mut Fields,
    named_currency: Option<String>,
) -> Result<(String, Vec<LineItem>), ApiError> {
    let groups = fields.groups("line_items")?;
    if groups.is_empty() || groups.len() > MAX_LINES {
        let message = format!("A session has 1 to {MAX_LINES} line_items.");
        let code = if groups.is_empty() { Some("parameter_missing") } else { None };
        return Err(ApiError::invalid(code, "line_items", message));
    }
    let mut currency = named_currency;
    let mut lines = Vec::new();
    for group in groups {
        let param = group.name("price_data");
        let (own_currency, line) = read_line(state, group)?;
        if *currency.get_or_insert_with(|| own_currency.clone()) != own_currency {
            let message = "All line_items of a session must have the same currency.";
            return Err(ApiError::invalid(None, format!("{param}[currency]"), message));
        }
        lines.push(line);
    }
    currency.map(|currency| (currency, lines)).ok_or_else(|| ApiError::parameter_missing("currency"))
}

fn read_line(state: &mut State, mut line: Fields) -> Result<(String, LineItem), ApiError> {
    if let Some(price) = line.text("price")? {
        return Err(ApiError::missing("price", &line.name("price"), &price));
    }
    let quantity = line.integer("quantity")?.ok_or_else(|| ApiError::parameter_missing(line.name("quantity")))?;
    if !(1..=MAX_QUANTITY).contains(&quantity) {
        let message = format!("quantity must be from 1 to {MAX_QUANTITY}.");
        return Err(ApiError::invalid(Some("parameter_invalid_integer"), line.name("quantity"), message));
    }
    let mut price = line.group("price_data")?.ok_or_else(|| ApiError::parameter_missing(line.name("price_data")))?;
    let currency = money::currency(&price.required("currency")?, &price.name("currency"))?;
    let unit_amount = read_unit_amount(&mut price)?;
    let mut product =
        price.group("product_data")?.ok_or_else(|| ApiError::parameter_missing(price.name("product_data")))?;
    let (name, description) = (product.required("name")?, product.text("description")?);
    product.ignore(&["images", "metadata", "tax_code", "unit_label"]);
    product.finish()?;
    price.ignore(&["tax_behavior"]);
    price.finish()?;
    line.ignore(&["adjustable_quantity", "metadata"]);
    line.finish()?;
    let ids = &mut state.ids;
    let (id, price, product) = (ids.make("li_"), ids.make("price_"), ids.make("prod_"));
    Ok((currency, LineItem { id, price, product, name, description, unit_amount, quantity }))
}

/// What one costs. Fractions of the smallest unit are not simulated.
fn read_unit_amount(price: &mut Fields) -> Result<i64, ApiError> {
    let param = price.name("unit_amount");
    let unit_amount = match price.integer("unit_amount")? {
        Some(amount) => amount,
        None => price.integer("unit_amount_decimal")?.ok_or_else(|| ApiError::parameter_missing(param.clone()))?,
    };
    match (0..=i64::from(u32::MAX)).contains(&unit_amount) {
        true => Ok(unit_amount),
        false => Err(ApiError::invalid(Some("parameter_invalid_integer"), param, "unit_amount is out of bounds.")),
    }
}

/// Takes groups that say `enabled=false`, which is what the simulator does.
fn ignore_what_is_off(fields: &mut Fields, names: &[&str]) -> Result<(), ApiError> {
    for name in names {
        let Some(mut group) = fields.group(name)? else { continue };
        if group.boolean("enabled")? == Some(true) {
            let param = group.name("enabled");
            return Err(ApiError::invalid(None, &param, format!("The simulator does not support {param}.")));
        }
    }
    Ok(())
}
