//! A page to pay a PaymentIntent on that no Checkout session made: what a shop's own page does with Stripe's script.

use super::html::Page;
use super::{choices, field, hidden, with_query};
use crate::api::check_url;
use crate::error::ApiError;
use crate::flows::Confirmation;
use crate::methods::Given;
use crate::money;
use crate::objects::{Intent, IntentStatus};
use crate::params::Fields;
use crate::reply::Reply;
use crate::state::State;

/// The page, with what went wrong.
pub(super) fn show(state: &State, id: &str, mut form: Fields, fault: Option<&ApiError>) -> Reply {
    let (secret, return_url) = (field(&mut form, "client_secret"), field(&mut form, "return_url"));
    page_of(state, id, &secret, &return_url, fault)
}

/// Pays, and sends the shopper on.
pub(super) fn pay(state: &mut State, id: &str, mut form: Fields) -> Reply {
    let (secret, return_url) = (field(&mut form, "client_secret"), field(&mut form, "return_url"));
    let Some(own_url) = known(state, id, &secret).map(|intent| intent.page_url(&state.public_url)) else {
        return nothing();
    };
    if !return_url.is_empty()
        && let Err(error) = check_url(&return_url, "return_url")
    {
        return page_of(state, id, &secret, "", Some(&error));
    }
    let back = if return_url.is_empty() { own_url } else { return_url.clone() };
    let method = Some(Given::named(&field(&mut form, "payment_method")));
    let confirmation = Confirmation { method, return_url: Some(back), ..Confirmation::default() };
    if let Err(error) = state.confirm_intent(id, confirmation) {
        return page_of(state, id, &secret, &return_url, Some(&error));
    }
    match state.data.intents.get(id) {
        Some(intent) if intent.status == IntentStatus::RequiresAction => {
            Reply::see_other(&intent.authentication_url(""))
        }
        Some(intent) => Reply::see_other(&next_url(state, intent)),
        None => nothing(),
    }
}

/// Where the shopper goes once it is known what became of the payment.
pub(super) fn next_url(state: &State, intent: &Intent) -> String {
    let own_url = intent.page_url(&state.public_url);
    let back = intent.return_url.as_ref().unwrap_or(&own_url);
    if *back == own_url {
        return own_url;
    }
    let outcome = match intent.status {
        IntentStatus::Succeeded | IntentStatus::RequiresCapture => "succeeded",
        IntentStatus::Processing => "pending",
        _ => "failed",
    };
    let secret = intent.client_secret.as_str();
    let pairs = [
        ("payment_intent", intent.id.as_str()),
        ("payment_intent_client_secret", secret),
        ("redirect_status", outcome),
    ];
    with_query(back, &pairs)
}

/// The intent, where the page may know it.
pub(super) fn known<'a>(state: &'a State, id: &str, secret: &str) -> Option<&'a Intent> {
    state.data.intents.get(id).filter(|intent| intent.client_secret == secret)
}

pub(super) fn nothing() -> Reply {
    Page::new("No such payment").reply(404)
}

fn page_of(state: &State, id: &str, secret: &str, return_url: &str, fault: Option<&ApiError>) -> Reply {
    let Some(intent) = known(state, id, secret) else { return nothing() };
    if !intent.status.is_open() {
        let mut page = Page::new("This is done");
        page.note(&format!("The payment's status is {}.", intent.status.as_str()));
        page.total(&[], intent.amount, &intent.currency);
        return page.reply(200);
    }
    let mut page = Page::new("Pay");
    page.note("This is a simulator: no money moves, and no real card is asked for.");
    let told = fault.map(ApiError::message).or(intent.last_error.as_ref().map(|error| error.message.as_str()));
    if let Some(told) = told {
        page.alert(told);
    }
    page.total(&[], intent.amount, &intent.currency);
    page.html(&format!(
        "<form method=\"post\" action=\"/sim/pay/{}\">{}{}{}<button>Pay {}</button></form>",
        intent.id,
        hidden("client_secret", secret),
        hidden("return_url", return_url),
        choices(&intent.method_types, &intent.currency),
        money::shown(intent.amount, &intent.currency)
    ));
    page.reply(if told.is_some() { 402 } else { 200 })
}
