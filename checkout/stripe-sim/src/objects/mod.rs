//! What Stripe calls objects: how the simulator keeps them, and how they are shown.
//!
//! Every member that the API reference does not call optional is shown, and most that it does: typed clients refuse
//! an object that lacks one.

mod charge;
mod dispute;
mod event;
mod intent;
mod payment_method;
mod refund;
mod session;
mod transaction;

pub(crate) use charge::{Charge, ChargeStatus};
pub(crate) use dispute::{Dispute, DisputeStatus};
pub(crate) use event::Event;
pub(crate) use intent::{CaptureMethod, Intent, IntentStatus, PaymentError};
pub(crate) use payment_method::PaymentMethod;
pub(crate) use refund::{Refund, RefundStatus};
pub(crate) use session::{LineItem, PaymentStatus, Session, SessionStatus};
pub(crate) use transaction::{Transaction, TransactionKind};
