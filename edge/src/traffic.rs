//! What is asked of one generation, and how it is answered: what a canary is judged by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use snapshots::Traffic;

/// Each doubling of time is divided in so many parts, so that a percentile is right to an eighth.
const PARTS: u64 = 8;
/// Up to 2^32 microseconds, more than an hour.
const BUCKETS: usize = (32 * PARTS) as usize;

/// Counts searches of every kind, from the moment that a generation serves.
#[derive(Debug)]
pub struct TrafficCounters {
    requests: AtomicU64,
    searches: AtomicU64,
    empty: AtomicU64,
    /// How many took so long, by [`bucket_of`].
    times: Box<[AtomicU64]>,
}

impl Default for TrafficCounters {
    fn default() -> Self {
        let times = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Self { requests: AtomicU64::default(), searches: AtomicU64::default(), empty: AtomicU64::default(), times }
    }
}

impl TrafficCounters {
    /// Takes note of an answer.
    pub fn answered(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.times[bucket_of(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note of a search that was worked out, rather than answered as before.
    pub fn searched(&self, found: u64) {
        self.searches.fetch_add(1, Ordering::Relaxed);
        self.empty.fetch_add(u64::from(found == 0), Ordering::Relaxed);
    }

    /// What was counted; whoever counts the errors says how many there were.
    pub fn sum(&self, errors: u64) -> Traffic {
        let times: Vec<u64> = self.times.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Traffic {
            requests: self.requests.load(Ordering::Relaxed),
            errors,
            searches: self.searches.load(Ordering::Relaxed),
            empty: self.empty.load(Ordering::Relaxed),
            p99_us: percentile(&times, 99),
        }
    }
}

/// The upper end of the bucket that `percent` of all are in or below.
fn percentile(times: &[u64], percent: u64) -> u64 {
    let all: u64 = times.iter().sum();
    let mut passed = 0;
    let bucket = times.iter().position(|count| {
        passed += count;
        all > 0 && passed * 100 >= all * percent
    });
    bucket.map_or(0, |bucket| least_of(bucket + 1).saturating_sub(1))
}

/// Times below [`PARTS`] have a bucket each; above, each doubling has that many.
fn bucket_of(micros: u64) -> usize {
    if micros < PARTS {
        return micros as usize;
    }
    let shift = micros.ilog2() - PARTS.ilog2();
    let bucket = u64::from(shift + 1) * PARTS + ((micros >> shift) - PARTS);
    (bucket as usize).min(BUCKETS - 1)
}

/// The shortest time of a bucket.
fn least_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    match bucket < PARTS {
        true => bucket,
        false => (PARTS + bucket % PARTS) << (bucket / PARTS - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another() {
        let mut last = 0;
        for micros in 0..100_000 {
            let bucket = bucket_of(micros);
            assert!(bucket == last || bucket == last + 1, "{micros}");
            assert!(least_of(bucket) <= micros && micros < least_of(bucket + 1), "{micros} is not in {bucket}");
            last = bucket;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_right_to_an_eighth() {
        let counters = TrafficCounters::default();
        assert_eq!(counters.sum(0), Traffic::default());
        (1..=1_000).for_each(|micros| counters.answered(Duration::from_micros(micros)));
        (0..10).for_each(|found| counters.searched(found));
        let sum = counters.sum(3);
        assert_eq!((sum.requests, sum.errors, sum.searches, sum.empty), (1_000, 3, 10, 1));
        assert!((990..=1_114).contains(&sum.p99_us), "{}", sum.p99_us);
    }
}
