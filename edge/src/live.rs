//! What is served: one generation of a market at a time, swapped whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hyper::header::HeaderValue;
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
    /// The snapshot's id as answers carry it.
    pub id_value: HeaderValue,
    pub since: Timestamp,
    pub results: ResultCache,
    pub traffic: TrafficCounters,
    /// How many answers of the process were errors before this was served.
    pub errors_before: u64,
    /// Shown to those who have the key, and to nobody else.
    pub is_preview: bool,
    alive: Arc<AtomicUsize>,
}

impl Generation {
    pub fn new(index: Arc<Index>, target: Target, results: ResultCache, metrics: &Metrics) -> Self {
        let alive = metrics.generations_alive();
        alive.fetch_add(1, Ordering::Relaxed);
        let Target { pointer, followed } = target;
        // An id is plain ASCII.
        let id_value = HeaderValue::from_str(pointer.snapshot.as_str()).unwrap_or(HeaderValue::from_static(""));
        let (since, traffic, errors_before) = (Timestamp::now(), TrafficCounters::default(), metrics.errors());
        Self { index, pointer, followed, id_value, since, results, traffic, errors_before, is_preview: false, alive }
    }

    /// What is followed by serving this.
    pub fn target(&self) -> Target {
        Target { pointer: self.pointer.clone(), followed: self.followed }
    }

    /// A snapshot that is looked at before, or long after, it is live. Its sequence is 0, which no announcement has, and
    /// its age that of the snapshot. It keeps no answers: its memory is what its objects take.
    pub fn preview(index: Index, metrics: &Metrics) -> Self {
        let manifest = &index.snapshot().manifest;
        let pointer = Pointer { announced_at: manifest.created_at, ..Pointer::new(manifest.id.clone(), 0) };
        let target = Target { pointer, followed: Followed::Channel };
        let mut generation = Self::new(Arc::new(index), target, ResultCache::new(0), metrics);
        generation.is_preview = true;
        generation
    }

    /// Waits until nobody else holds a generation, and unmaps it: for a thread that may wait.
    pub fn retire(old: Arc<Self>) {
        while Arc::strong_count(&old) > 1 {
            std::thread::sleep(RETIRE_POLL);
        }
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
        Generation::retire(old);
    }
}
