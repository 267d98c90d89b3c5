//! Flags and environment. Nothing else in checkout reads either; every fault is reported at once.

mod commands;
mod database;
mod reading;
mod service;

pub use commands::{Action, Breaks, Cli, DeadLetters, Resolved, StockTask, Task};
pub use database::Database;
pub use service::{Config, EventGrid, Stripe};
