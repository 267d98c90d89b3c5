//! The hosted page of a Checkout session.

use super::html::{Page, escaped};
use super::{choices, field};
use crate::error::ApiError;
use crate::flows::Payer;
use crate::methods::Given;
use crate::money;
use crate::objects::{IntentStatus, Session, SessionStatus};
use crate::params::Fields;
use crate::reply::Reply;
use crate::state::State;

/// The page, with what went wrong.
pub(super) fn show(state: &State, id: &str, fault: Option<&ApiError>) -> Reply {
    let Ok(session) = state.session(id) else { return Page::new("No such payment").reply(404) };
    match session.status {
        SessionStatus::Open => show_open(state, session, fault),
        SessionStatus::Complete => {
            let mut page = Page::new("This is done");
            page.note("Nothing is left to pay.");
            page.link(&session.success_url(), "Back to the shop");
            page.reply(200)
        }
        SessionStatus::Expired => {
            let mut page = Page::new("Too late");
            page.note("This payment has expired. Begin again in the shop.");
            session.cancel_url.iter().for_each(|url| page.link(url, "Back to the shop"));
            page.reply(410)
        }
    }
}

/// Pays, and sends the shopper on.
pub(super) fn pay(state: &mut State, id: &str, mut form: Fields) -> Reply {
    let (email, name) = (field(&mut form, "email"), field(&mut form, "name"));
    let given = Given::named(&field(&mut form, "payment_method"));
    let payer = Payer {
        email: Some(email).filter(|email| !email.is_empty()),
        name: Some(name).filter(|name| !name.is_empty()),
    };
    if let Err(error) = state.pay_session(id, payer, given) {
        return show(state, id, Some(&error));
    }
    match state.session(id) {
        Ok(session) => Reply::see_other(&next_url(state, session)),
        Err(_) => Page::new("No such payment").reply(404),
    }
}

/// Where the shopper goes from here.
pub(super) fn next_url(state: &State, session: &Session) -> String {
    let intent = session.intent.as_ref().and_then(|intent| state.data.intents.get(intent));
    match (session.status, intent) {
        (SessionStatus::Complete, _) => session.success_url(),
        (_, Some(intent)) if intent.status == IntentStatus::RequiresAction => intent.authentication_url(""),
        _ => session.url(""),
    }
}

fn show_open(state: &State, session: &Session, fault: Option<&ApiError>) -> Reply {
    let mut page = Page::new("Pay");
    page.note("This is a simulator: no money moves, and no real card is asked for.");
    let intent = session.intent.as_ref().and_then(|intent| state.data.intents.get(intent));
    let last_error = intent.and_then(|intent| intent.last_error.as_ref());
    let told = fault.map(ApiError::message).or(last_error.map(|error| error.message.as_str()));
    if let Some(told) = told {
        page.alert(told);
    }
    page.total(&session.lines, session.amount_total, &session.currency);
    let email = session.payer_email.as_ref().or(session.customer_email.as_ref()).map_or("", String::as_str);
    let name = session.payer_name.as_deref().unwrap_or_default();
    page.html(&format!(
        "<form method=\"post\">\
         <label for=\"email\">E-mail</label>\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"email\" required value=\"{}\">\
         <label for=\"name\">Name</label>\
         <input id=\"name\" name=\"name\" type=\"text\" autocomplete=\"name\" value=\"{}\">\
         {}<button>Pay {}</button></form>",
        escaped(email),
        escaped(name),
        choices(&session.method_types, &session.currency),
        money::shown(session.amount_total, &session.currency)
    ));
    session.cancel_url.iter().for_each(|url| page.link(url, "Back to the shop without paying"));
    page.reply(if told.is_some() { 402 } else { 200 })
}
