//! Where a shopper's bank asks who they are (3-D Secure).

use super::html::Page;
use super::pay_intent::{known, next_url, nothing};
use super::{field, hidden, pay_session};
use crate::money;
use crate::objects::{Intent, IntentStatus};
use crate::params::Fields;
use crate::reply::Reply;
use crate::state::State;

pub(super) fn show(state: &State, id: &str, mut form: Fields) -> Reply {
    let secret = field(&mut form, "client_secret");
    let Some(intent) = known(state, id, &secret) else { return nothing() };
    if intent.status != IntentStatus::RequiresAction {
        return Reply::see_other(&after(state, intent));
    }
    let mut page = Page::new("Is it you?");
    let amount = money::shown(intent.amount, &intent.currency);
    page.note(&format!("Your bank asks you to confirm a payment of {amount}. This is a simulator: no money moves."));
    page.html(&format!(
        "<form method=\"post\" action=\"/sim/3ds/{}\">{}\
         <button name=\"outcome\" value=\"complete\">Complete</button>\
         <button class=\"other\" name=\"outcome\" value=\"fail\">Fail</button></form>",
        intent.id,
        hidden("client_secret", &secret)
    ));
    page.reply(200)
}

/// The shopper chose a button.
pub(super) fn finish(state: &mut State, id: &str, mut form: Fields) -> Reply {
    let (secret, outcome) = (field(&mut form, "client_secret"), field(&mut form, "outcome"));
    if known(state, id, &secret).is_none() {
        return nothing();
    }
    // One who goes back and chooses again changes nothing, and is sent to where the first choice led.
    let _ = state.finish_authentication(id, outcome == "complete");
    match state.data.intents.get(id) {
        Some(intent) => Reply::see_other(&after(state, intent)),
        None => nothing(),
    }
}

fn after(state: &State, intent: &Intent) -> String {
    let session = intent.session.as_ref().and_then(|session| state.data.sessions.get(session));
    session.map_or_else(|| next_url(state, intent), |session| pay_session::next_url(state, session))
}
