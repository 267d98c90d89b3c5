//! What swaps cost those who ask meanwhile: each brings a segment that the edge has never seen, which it downloads, proves
//! and opens, and then answers ahead what was asked before.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use snapshots::SnapshotId;

use crate::arrivals::offer;
use crate::client::Connection;
use crate::limits::in_turn;
use crate::servers::{DEFAULT_CACHE_MIB, Server};
use crate::shops::UpdatedShop;
use crate::wanted::{Limit, Wanted};
use crate::workloads::Workload;
use crate::{Settings, this_edge};

const SWAP_EVERY: Duration = Duration::from_secs(2);
const SWAPPING_LASTS: Duration = Duration::from_secs(10);

/// How long answers take at half of what the edge can do while snapshots are swapped, over that without, and how many
/// requests fail. It searches anew each time: where it gives answers again, nearly all of a round are such, and half of what
/// it can search is little. One round with the usual cache tells whether requests fail while others are answered ahead.
pub fn swapping(settings: &Settings, folder: &Path, shop: &mut UpdatedShop, workload: &Workload) -> [Limit; 2] {
    let start = |name: &str, store: &str, cache_mib: u32| {
        Server::edge_with(this_edge(), store, &folder.join(name), cache_mib, &["--poll-interval-ms", "50"])
    };
    let mut searching = start("searching", &shop.store, 0);
    let half = searching.drive(workload, settings.load).requests_per_s / 2.0;
    let ask = |address: SocketAddr| offer(address, &workload.paths, half, SWAPPING_LASTS);
    let (mut swaps, mut failed, mut calm_failed) = (0, 0, 0);
    let (mut begun, mut calm_begun) = (1.0_f64, 1.0_f64);
    let address = searching.address;
    let (ratio, [swapping_ms, calm_ms]) = in_turn(settings, || {
        let staged = shop.stage();
        let calm = ask(address);
        let (swapping, count) = while_swapping(shop, address, staged, || ask(address));
        swaps += count;
        failed += swapping.failed;
        calm_failed += calm.failed;
        begun = begun.min(swapping.begun);
        calm_begun = calm_begun.min(calm.begun);
        [swapping.p99_ms, calm.p99_ms]
    });
    drop(searching);
    let caching = start("caching", &shop.store, DEFAULT_CACHE_MIB);
    let staged = shop.stage();
    let (cached, cached_swaps) = while_swapping(shop, caching.address, staged, || ask(caching.address));
    let times = Limit {
        name: "p99 while swapping every 2 s, over that without",
        wanted: Wanted::AtMost(1.5),
        seen: ratio,
        parts: json!({
            "swapping_p99_ms": swapping_ms, "calm_p99_ms": calm_ms, "offered_per_s": half, "swaps": swaps,
            "least_begun": begun, "calm_least_begun": calm_begun, "with_cache_swapping_p99_ms": cached.p99_ms,
        }),
    };
    let failures = Limit {
        name: "requests that failed while swapping",
        wanted: Wanted::AtMost(0.0),
        seen: (failed + cached.failed) as f64,
        parts: json!({
            "calm_failed": calm_failed, "least_begun": begun, "with_cache_failed": cached.failed,
            "with_cache_swaps": cached_swaps, "with_cache_begun": cached.begun,
        }),
    };
    [times, failures]
}

/// Announces snapshots while something is done, each once the one before is served; gives how many, too.
fn while_swapping<T>(
    shop: &UpdatedShop,
    address: SocketAddr,
    staged: Vec<SnapshotId>,
    work: impl FnOnce() -> T,
) -> (T, usize) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let (mut connection, mut swaps) = (Connection::open(address), 0);
            for snapshot in staged {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let due = Instant::now() + SWAP_EVERY;
                let sequence = shop.announce(snapshot);
                while connection.get("/v1/snapshot").json()["markets"][0]["sequence"] != sequence {
                    std::thread::sleep(Duration::from_millis(20));
                }
                swaps += 1;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            swaps
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (done, swapping.join().expect("every swap is served"))
    })
}
