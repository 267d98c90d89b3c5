//! Takes orders: carts, checkouts with frozen prices and held stock, payments by Stripe, refunds, and the events that tell
//! others.
//!
//! A request goes `service` -> `http` -> `domain`, by a transaction of the `store` -> `work`, which asks Stripe -> response.
//! `work` also goes on by itself with whatever is not finished.

#![forbid(unsafe_code)]

mod admin;
mod carts;
pub mod commands;
pub mod config;
mod connection;
mod database;
pub mod domain;
mod edge_watch;
pub mod fail_points;
mod http;
pub mod ids;
pub mod log;
mod metrics;
mod pricing;
mod service;
mod staff;
pub mod store;
pub mod stripe;
pub mod tokens;
pub mod work;

pub use service::{Addresses, Service, build};
