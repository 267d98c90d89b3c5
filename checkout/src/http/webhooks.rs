//! Events of Stripe's: verified, stored, acknowledged, and only then applied.

use serde_json::json;

use super::call::{Answered, Call};
use super::problem::{Code, Problem};
use super::reply::Reply;
use crate::work::WebhookError;

const SIGNATURE_HEADER: &str = "stripe-signature";

pub(super) async fn stripe(call: Call) -> Answered {
    let signature = call.headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    call.app.work.receive(&*call.store, signature, &call.body, call.now_ms).await?;
    Ok(Reply::ok(&json!({ "received": true })))
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            // Stripe sends it again.
            WebhookError::Store(error) => error.into(),
            WebhookError::NotAnEvent => Self::new(Code::NotAnEvent, "the body is no event").because(error),
            // Whoever forges one need not know what gave it away.
            WebhookError::MissingSignature | WebhookError::BadSignature | WebhookError::Stale => {
                Self::new(Code::SignatureInvalid, "the signature is missing, wrong or too old").because(error)
            }
        }
    }
}
