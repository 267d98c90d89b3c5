//! Tests of the simulator over real sockets, as its users drive it.

mod api;
mod control;
mod faults;
mod idempotency;
mod lists;
mod outages;
mod pages;
mod payments;
mod receiver;
mod refunds;
mod sessions;
mod stripe_client;
mod webhooks;
