//! Tests of the edge as a process, over real sockets.

mod api;
// The benches', for its own tests.
#[allow(dead_code)]
#[path = "../../benches/serving/arrivals.rs"]
mod arrivals;
mod bench_peer;
mod client;
// The benches', for its own tests.
#[allow(dead_code)]
#[path = "../../benches/serving/drivers.rs"]
mod drivers;
mod faults;
mod following;
mod hints;
mod limits;
// The benches', which use more of it.
#[allow(dead_code)]
#[path = "../../benches/serving/peer/mod.rs"]
mod peer;
mod previews;
mod process;
mod protocols;
// The benches'.
#[path = "../../benches/serving/queries.rs"]
mod queries;
// The benches', for its own tests.
#[path = "../../benches/requests/recorded.rs"]
mod recorded;
mod shop;
mod swaps;
