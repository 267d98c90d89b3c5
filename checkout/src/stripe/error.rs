//! What became of a request.

use std::fmt::Display;

use stripe_client_core::StripeClientErr;
use thiserror::Error;

/// Why a request brought no answer that can be used. The variants differ by what Stripe may have done meanwhile, which
/// decides what may be done next.
#[derive(Debug, Error)]
pub enum StripeError {
    /// The settings make no client.
    #[error("the settings of Stripe's client: {0}")]
    Settings(String),
    /// Certainly nothing was done: no connection, no allowance of our own, or a key that Stripe does not take.
    #[error("Stripe was not asked: {0}")]
    NotSent(String),
    /// 403: our key may not do that, and nothing was done. Only a person can mend it.
    #[error("Stripe does not let our key ask for {0}")]
    Forbidden(String),
    /// 429: nothing was done.
    #[error("Stripe allows no more requests at the moment")]
    RateLimited,
    /// 409: another request with the same key, or for the same object, is under way. The same may be asked again.
    #[error("Stripe is at the same thing already: {code}")]
    Busy { code: String },
    /// The key stands for a request with other parameters: a bug, and what the first request did is to be looked up.
    #[error("an idempotency key was used for two requests: {message}")]
    KeyMisused { message: String },
    /// Stripe's last word on this request.
    #[error("Stripe refused with {status}, {code}: {message}")]
    Refused { status: u16, code: String, decline_code: Option<String>, message: String, param: Option<String> },
    /// It may have been done. One that is replayed is kept under its key: asking again brings the same answer.
    #[error("Stripe failed with {status}")]
    Failed5xx { status: u16, replayed: bool },
    /// No answer, or one that cannot be read: it may have been done.
    #[error("what Stripe did is not known: {0}")]
    Unknown(String),
}

impl StripeError {
    /// Whether Stripe has certainly done nothing, and may be asked again.
    pub fn is_undone(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::NotSent(_) | Self::Forbidden(_) | Self::RateLimited)
    }

    /// Whether the object that was asked for does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

impl StripeClientErr for StripeError {
    fn deserialize_err(message: impl Display) -> Self {
        Self::Unknown(message.to_string())
    }
}
