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
mod shop;
mod swaps;
