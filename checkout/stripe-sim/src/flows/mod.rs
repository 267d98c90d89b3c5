//! What happens to payments: each file changes one kind of object, and tells events of it.

mod attempts;
mod disputes;
mod intents;
mod refunds;
mod sessions;

pub(crate) use intents::{Confirmation, NewIntent, automatic_types};
pub(crate) use refunds::NewRefund;
pub(crate) use sessions::{NewSession, Payer};
