//! What shoppers see: a page to pay on, and one where their bank asks who they are. Plain HTML that needs no script.

mod authenticate;
mod html;
mod pay_intent;
mod pay_session;

use crate::form;
use crate::params::Fields;
use crate::reply::Reply;
use crate::shared::Shared;
use crate::state::State;
use crate::v1::Call;

use html::{Page, escaped};

/// A payment method that a page offers, and what it is for.
struct Choice {
    id: &'static str,
    label: &'static str,
    hint: &'static str,
}

const CARDS: &[Choice] = &[
    Choice { id: "pm_card_visa", label: "4242 4242 4242 4242", hint: "succeeds" },
    Choice { id: "pm_card_chargeDeclined", label: "4000 0000 0000 0002", hint: "is declined" },
    Choice {
        id: "pm_card_chargeDeclinedInsufficientFunds",
        label: "4000 0000 0000 9995",
        hint: "is declined for want of money",
    },
    Choice { id: "pm_card_authenticationRequired", label: "4000 0027 6000 3184", hint: "asks for 3-D Secure" },
    Choice { id: "pm_card_createDispute", label: "4000 0000 0000 0259", hint: "succeeds, and is disputed" },
];
const SEPA_DEBITS: &[Choice] = &[
    Choice { id: "pm_sepa_debit", label: "SEPA debit", hint: "succeeds later" },
    Choice { id: "pm_sepaDebitFail", label: "SEPA debit", hint: "fails later" },
];
const US_DEBITS: &[Choice] = &[
    Choice { id: "pm_usBankAccount", label: "US bank account", hint: "succeeds later" },
    Choice { id: "pm_usBankAccountFail", label: "US bank account", hint: "fails later" },
];

/// The page that a browser asks for; None where there is none.
pub(crate) fn answer(shared: &Shared, call: &Call) -> Option<Reply> {
    let segments: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
    let mut state = shared.lock();
    state.do_what_is_due();
    let reply = match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["c", "pay", id]) => pay_session::show(&state, id, None),
        ("POST", ["c", "pay", id]) => pay_session::pay(&mut state, id, fields(&call.body)),
        ("GET", ["sim", "pay", id]) => pay_intent::show(&state, id, fields(call.query.as_bytes()), None),
        ("POST", ["sim", "pay", id]) => pay_intent::pay(&mut state, id, fields(&call.body)),
        ("GET", ["sim", "3ds", id]) => authenticate::show(&state, id, fields(call.query.as_bytes())),
        ("POST", ["sim", "3ds", id]) => authenticate::finish(&mut state, id, fields(&call.body)),
        ("GET", ["sim", "receipts", id]) => receipt(&state, id),
        _ => return None,
    };
    state.take_made(false);
    drop(state);
    shared.deliver.notify_one();
    Some(reply)
}

/// The form of a page. One that cannot be read is an empty one.
fn fields(encoded: &[u8]) -> Fields {
    Fields::new(form::parse(encoded).unwrap_or_default())
}

/// A field of a form; empty where it is absent.
fn field(fields: &mut Fields, name: &str) -> String {
    fields.text(name).ok().flatten().unwrap_or_default()
}

fn receipt(state: &State, id: &str) -> Reply {
    match state.data.charges.get(id) {
        None => Page::new("No such receipt").reply(404),
        Some(charge) => {
            let mut page = Page::new("Receipt");
            page.note("Nothing was paid: this is a simulator.");
            page.total(&[], charge.amount_captured, &charge.currency);
            page.reply(200)
        }
    }
}

/// A form's radio buttons: one for each payment method that may be used.
fn choices(method_types: &[String], currency: &str) -> String {
    let banks: &[Choice] = match currency {
        "eur" if method_types.iter().any(|kind| kind == "sepa_debit") => SEPA_DEBITS,
        "usd" if method_types.iter().any(|kind| kind == "us_bank_account") => US_DEBITS,
        _ => &[],
    };
    let cards: &[Choice] = if method_types.iter().any(|kind| kind == "card") { CARDS } else { &[] };
    let mut buttons = String::from("<fieldset><legend>Payment method</legend>");
    for (place, choice) in cards.iter().chain(banks).enumerate() {
        let checked = if place == 0 { " checked" } else { "" };
        buttons += &format!(
            "<label><input type=\"radio\" name=\"payment_method\" value=\"{}\" required{checked}>\
             <span>{}<small>{}</small></span></label>",
            choice.id, choice.label, choice.hint
        );
    }
    buttons + "</fieldset>"
}

/// Adds parameters to a URL, before its fragment.
fn with_query(url: &str, pairs: &[(&str, &str)]) -> String {
    let (page, fragment) = url.split_once('#').unwrap_or((url, ""));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let joint = if page.contains('?') { '&' } else { '?' };
    match fragment {
        "" => format!("{page}{joint}{query}"),
        _ => format!("{page}{joint}{query}#{fragment}"),
    }
}

/// A hidden field of a form.
fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_before_the_fragment() {
        assert_eq!(with_query("https://a/b", &[("c", "d e")]), "https://a/b?c=d+e");
        assert_eq!(with_query("https://a/b?x=1#end", &[("c", "d")]), "https://a/b?x=1&c=d#end");
    }

    #[test]
    fn banks_are_offered_in_their_currency() {
        let types = ["card".to_owned(), "sepa_debit".to_owned()];
        assert!(choices(&types, "eur").contains("pm_sepa_debit"));
        assert!(!choices(&types, "usd").contains("pm_sepa_debit"));
        assert!(choices(&types, "usd").contains("pm_card_visa"));
    }
}
