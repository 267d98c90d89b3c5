//! What an order is and how it changes. No I/O, no clock, no randomness: both stores and all tests share every decision.

pub mod breaks;
mod checkout;
mod decide;
mod dispute;
mod order;
mod payment;
mod refund;
#[cfg(test)]
mod tests;
mod totals;

pub use checkout::{Checkout, CheckoutState, Line, MAX_LINES, MAX_QUANTITY, Price};
pub use decide::{BreakKind, Effects, News, RecordedBreak, StockEffect};
pub use dispute::{Dispute, DisputeState};
pub use order::{MAX_PAYMENTS, MAX_REFUNDS, Order, OrderEvent, OrderState, Refusal};
pub use payment::{IntentStatus, Payment, PaymentMethod, PaymentState};
pub use refund::{Refund, RefundState};
pub use totals::{MAX_TOTAL_MINOR, TotalError, chargeable, from_stripe_amount, stripe_amount, total};
