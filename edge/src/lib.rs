//! The edge: answers storefronts from the newest snapshot.
//!
//! A request goes `server` -> `routes` -> `params` -> the engine -> `answers` -> response; a new snapshot goes
//! `follow` -> `live`, or, when somebody looks at it before that, `preview` -> `shelf`.

#![forbid(unsafe_code)]

mod access_log;
mod admin;
mod ahead;
mod answers;
mod coding;
pub mod config;
mod connection;
mod error;
mod events;
mod follow;
mod hints;
mod http2;
mod idle;
mod kept;
mod live;
mod metrics;
mod opening;
mod params;
mod paths;
mod pictures;
mod preview;
mod preview_key;
mod reply;
mod result_cache;
mod routes;
#[cfg(test)]
mod sample;
mod server;
mod shapes;
mod shelf;
#[doc(hidden)]
pub mod stages;
mod status;
mod storefront;
pub mod tls;
mod traffic;
mod unread;

pub use server::{Edge, Served};
