//! What is served: one generation of a market at a time, swapped whole.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
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
    pub results: Arc<ResultCache>,
    pub traffic: TrafficCounters,
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
        let (results, since, traffic) = (Arc::new(results), Timestamp::now(), TrafficCounters::default());
        Self { index, pointer, followed, id_value, since, results, traffic, is_preview: false, alive }
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

/// A generation that a request is answered from, to be held for the whole of it. Holders of what is live are counted when
/// it is swapped out: before that, every request would write to a counter that all threads write to.
pub struct Serving<T = Generation>(Guard<Option<Arc<T>>>);

impl<T> Deref for Serving<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect("nothing else is made one")
    }
}

impl<T> From<Arc<T>> for Serving<T> {
    fn from(counted: Arc<T>) -> Self {
        Self(Guard::from(Some(counted)))
    }
}

/// The generation that a market's requests are answered from.
pub struct Live<T = Generation> {
    current: ArcSwapOption<T>,
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self { current: ArcSwapOption::empty() }
    }
}

impl<T> Live<T> {
    /// The current generation, for a request.
    pub fn read(&self) -> Option<Serving<T>> {
        let current = self.current.load();
        current.is_some().then(|| Serving(current))
    }

    /// The current generation, for whoever may keep it for long.
    pub fn load(&self) -> Option<Arc<T>> {
        self.current.load_full()
    }
}

impl Live {
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Barrier;

    use super::*;

    const READERS: usize = 4;
    const SWAPS: u64 = 20_000;
    /// More than arc-swap has quick places for in a thread.
    const HELD: usize = 12;

    #[test]
    fn readers_see_whole_values_while_these_are_swapped() {
        let live = Live::<[u64; 2]>::default();
        assert!(live.read().is_none());
        let pair = |number: u64| Some(Arc::new([number, number]));
        live.current.store(pair(0));
        let begin = Barrier::new(READERS + 1);
        let read = || {
            let (mut held, mut newest) = (VecDeque::new(), 0);
            begin.wait();
            while newest < SWAPS {
                let now = live.read().expect("a value");
                assert!(now[0] == now[1] && now[0] >= newest, "{:?} after {newest}", *now);
                newest = now[0];
                held.push_back(now);
                if held.len() > HELD {
                    let old: Serving<[u64; 2]> = held.pop_front().expect("the oldest");
                    assert!(old[0] == old[1] && old[0] <= newest, "{:?} before {newest}", *old);
                }
            }
        };
        let swapped_out: Vec<Arc<[u64; 2]>> = std::thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(read);
            }
            begin.wait();
            (1..=SWAPS).filter_map(|number| live.current.swap(pair(number))).collect()
        });
        assert_eq!(swapped_out.len() as u64, SWAPS);
        assert!(swapped_out.iter().all(|old| Arc::strong_count(old) == 1), "somebody is still counted");
    }

    #[test]
    fn who_reads_is_counted_once_the_value_is_swapped_out() {
        let live = Live::<u64>::default();
        live.current.store(Some(Arc::new(1)));
        let read = live.read().expect("a value");
        let old = live.current.swap(None).expect("the value");
        assert_eq!((Arc::strong_count(&old), *read), (2, 1));
        drop(read);
        assert_eq!(Arc::strong_count(&old), 1);
    }
}
