//! A Stripe for tests and demos: payments that behave as Stripe's do, and go wrong when they are told to.
//!
//! It is made after Stripe's public API reference alone. It shares no code with checkout, so that what both misread
//! is not hidden by being misread alike.

#![forbid(unsafe_code)]
// The JSON of an object is written as one macro, which takes a step of recursion for each of its members.
#![recursion_limit = "512"]

mod api;
mod auth;
pub mod config;
mod control;
mod endpoint;
mod error;
mod expand;
mod faults;
mod flows;
mod form;
mod ids;
mod keys;
mod ledger;
mod lists;
mod methods;
mod money;
mod objects;
mod pages;
mod params;
mod rates;
mod reply;
mod server;
mod settings;
mod shared;
mod sim;
mod state;
mod state_file;
mod table;
mod v1;
mod webhook_queue;
mod webhooks;

pub use faults::{Fault, FaultKind, FaultStatus};
pub use ledger::{Ledger, LedgerCharge, LedgerIntent, LedgerRefund, LedgerSession};
pub use settings::{API_VERSION, DEFAULT_SETTLE_AFTER_S, Settings, WebhookTarget};
pub use sim::{Refused, Sim};
pub use state_file::StateError;
pub use webhook_queue::{DeliveryOrder, WebhookCounts, WebhookMode, WebhookPlan};
