//! Stripe's API as this service needs it: a client that says what became of each request, and the signatures of webhooks.
//!
//! Requests are built by async-stripe, so that their parameters are checked by the compiler. Answers are read by small
//! views of our own (`views`): async-stripe's types reject an object when any of some hundred fields drifts, and an answer
//! that cannot be read leaves a payment unknown.

mod client;
mod error;
mod key;
mod limits;
mod requests;
mod signature;
#[cfg(test)]
pub(crate) mod tests;
mod views;

pub use client::{Client, Counters, Settings};
pub use error::StripeError;
pub use key::KeySource;
pub(crate) use key::is_for_tests;
pub use limits::BreakerState;
pub(crate) use requests::Window;
pub use signature::{MAX_SIGNATURE_BYTES, SignatureError, verify};
pub(crate) use views::{ChargeView, DisputeView, IntentView, RefundView, SessionStatus, SessionView};
