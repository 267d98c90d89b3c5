//! What is served: one generation of a market at a time, swapped whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use search::Index;
use snapshots::{Followed, Pointer, Target};

use crate::metrics::Metrics;
use crate::result_cache::ResultCache;
use crate::traffic::TrafficCounters;

/// How long a replaced generation is kept at the least. A reader that was just loading it must find it whole, whatever
/// the interleaving; no load takes this long.
const GRACE: Duration = Duration::from_secs(1);
const RETIRE_POLL: Duration = Duration::from_millis(20);

/// A snapshot as it is served.
pub struct Generation {
    pub index: Arc<Index>,
    pub pointer: Pointer,
    /// Which pointer says that this is served.
    pub followed: Followed,
    pub since: Timestamp,
    pub results: ResultCache,
    pub traffic: TrafficCounters,
    /// How many answers of the process were errors before this was served.
    pub errors_before: u64,
    alive: Arc<AtomicUsize>,
}

impl Generation {
    pub fn new(index: Arc<Index>, target: Target, results: ResultCache, metrics: &Metrics) -> Self {
        let alive = metrics.generations_alive();
        alive.fetch_add(1, Ordering::Relaxed);
        let Target { pointer, followed } = target;
        let (since, traffic, errors_before) = (Timestamp::now(), TrafficCounters::default(), metrics.errors());
        Self { index, pointer, followed, since, results, traffic, errors_before, alive }
    }

    /// What is followed by serving this.
    pub fn target(&self) -> Target {
        Target { pointer: self.pointer.clone(), followed: self.followed }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The generation that a market's requests are answered from.
#[derive(Default)]
pub struct Live {
    current: ArcSwapOption<Generation>,
}

impl Live {
    /// The current generation, to be held for the whole of a request.
    pub fn load(&self) -> Option<Arc<Generation>> {
        self.current.load_full()
    }

    /// Swaps a new generation in, calls `swapped`, and returns once the old one is gone: this thread unmaps it, and
    /// none that serves.
    pub fn replace(&self, next: Generation, swapped: impl FnOnce()) {
        let old = self.current.swap(Some(Arc::new(next)));
        swapped();
        let Some(old) = old else { return };
        std::thread::sleep(GRACE);
        while Arc::strong_count(&old) > 1 {
            std::thread::sleep(RETIRE_POLL);
        }
    }
}
