//! Takes orders: carts, checkouts with frozen prices and held stock, payments by Stripe, refunds, and the events that tell
//! others.

#![forbid(unsafe_code)]

pub mod domain;
pub mod ids;
pub mod store;
