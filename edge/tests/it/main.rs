//! Tests of the edge as a process, over real sockets.

mod api;
mod client;
mod faults;
mod following;
mod hints;
mod limits;
mod previews;
mod process;
mod protocols;
// Of the benches, with its tests.
#[path = "../../benches/serving/queries.rs"]
mod queries;
mod shop;
mod swaps;
