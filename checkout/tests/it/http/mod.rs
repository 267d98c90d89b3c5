//! The API over real sockets, on the embedded database, beside an edge that says what tests want it to.

mod bodies;
mod carts;
mod checkouts;
mod commands;
mod currencies;
mod documented;
mod edge;
mod keys;
mod paying;
mod service;
pub mod shop;
mod stock;
mod tokens;
