//! The endpoints: each reads its parameters, all of them before anything is done, and shows what came of it.

mod payment_intents;
mod reading;
mod refunds;
mod sessions;

pub(crate) use sessions::check_url;

use serde_json::Value;

use crate::auth::Caller;
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::params::Fields;
use crate::state::State;

/// Does what a request asks for.
pub(crate) fn execute(
    state: &mut State,
    endpoint: &Endpoint,
    caller: Caller,
    mut fields: Fields,
) -> Result<Value, ApiError> {
    let expand = fields.texts("expand")?;
    if caller == Caller::Publishable {
        check_browser(state, endpoint, &mut fields)?;
    }
    let mut object = answer(state, endpoint, fields)?;
    state.expand(&mut object, &expand)?;
    Ok(object)
}

fn answer(state: &mut State, endpoint: &Endpoint, fields: Fields) -> Result<Value, ApiError> {
    match endpoint {
        Endpoint::CreateIntent => payment_intents::create(state, fields),
        Endpoint::ListIntents => payment_intents::list(state, fields),
        Endpoint::RetrieveIntent(id) => payment_intents::retrieve(state, id, fields),
        Endpoint::UpdateIntent(id) => payment_intents::update(state, id, fields),
        Endpoint::ConfirmIntent(id) => payment_intents::confirm(state, id, fields),
        Endpoint::CaptureIntent(id) => payment_intents::capture(state, id, fields),
        Endpoint::CancelIntent(id) => payment_intents::cancel(state, id, fields),
        Endpoint::CreateRefund => refunds::create(state, fields),
        Endpoint::ListRefunds => refunds::list(state, fields),
        Endpoint::RetrieveRefund(id) => refunds::retrieve(state, id, fields),
        Endpoint::UpdateRefund(id) => refunds::update(state, id, fields),
        Endpoint::CreateSession => sessions::create(state, fields),
        Endpoint::ListSessions => sessions::list(state, fields),
        Endpoint::RetrieveSession(id) => sessions::retrieve(state, id, fields),
        Endpoint::ListSessionLines(id) => sessions::lines(state, id, fields),
        Endpoint::ExpireSession(id) => sessions::expire(state, id, fields),
        Endpoint::ListCharges => reading::charges(state, fields),
        Endpoint::RetrieveCharge(id) => reading::charge(state, id, fields),
        Endpoint::ListDisputes => reading::disputes(state, fields),
        Endpoint::RetrieveDispute(id) => reading::dispute(state, id, fields),
        Endpoint::ListEvents => reading::events(state, fields),
        Endpoint::RetrieveEvent(id) => reading::event(state, id, fields),
        Endpoint::ListTransactions => reading::transactions(state, fields),
        Endpoint::RetrieveTransaction(id) => reading::transaction(state, id, fields),
    }
}

/// A browser may read and confirm an intent whose client secret it shows.
fn check_browser(state: &State, endpoint: &Endpoint, fields: &mut Fields) -> Result<(), ApiError> {
    let (Endpoint::RetrieveIntent(id) | Endpoint::ConfirmIntent(id)) = endpoint else {
        return Err(ApiError::secret_key_required());
    };
    let secret = fields.required("client_secret")?;
    match state.data.intents.get(id).is_some_and(|intent| intent.client_secret == secret) {
        true => Ok(()),
        false => Err(ApiError::missing("payment_intent", "intent", id)),
    }
}
