//! What is asked of one generation, and how it is answered: what a canary is judged by.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use snapshots::{Times, Traffic};

use crate::error::ApiError;

/// Each doubling of time is divided in so many parts, so that a percentile is right to an eighth.
const PARTS: u64 = 8;
/// Up to 2^32 microseconds, more than an hour.
const BUCKETS: usize = (32 * PARTS) as usize;

/// Counts searches of every kind, and whatever fails, from the moment that a generation serves.
#[derive(Debug)]
pub struct TrafficCounters {
    requests: AtomicU64,
    errors: AtomicU64,
    searches: AtomicU64,
    empty: AtomicU64,
    /// How many took so long, by [`bucket_of`].
    times: Box<[AtomicU64]>,
}

impl Default for TrafficCounters {
    fn default() -> Self {
        let times = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        let [requests, errors, searches, empty] = [const { AtomicU64::new(0) }; 4];
        Self { requests, errors, searches, empty, times }
    }
}

impl TrafficCounters {
    /// Takes note of an answer.
    pub fn answered(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.times[bucket_of(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// Works an answer out, and takes note where that fails or panics. What is wrong with a request is no error.
    pub fn attempt<T>(&self, work: impl FnOnce() -> Result<T, ApiError>) -> Result<T, ApiError> {
        let done = catch_unwind(AssertUnwindSafe(work));
        let has_failed = match &done {
            Ok(result) => result.as_ref().is_err_and(|error| error.status.is_server_error()),
            Err(_) => true,
        };
        self.errors.fetch_add(u64::from(has_failed), Ordering::Relaxed);
        match done {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Takes note of a search, whether it was worked out or answered as before.
    pub fn searched(&self, found: u64) {
        self.searches.fetch_add(1, Ordering::Relaxed);
        self.empty.fetch_add(u64::from(found == 0), Ordering::Relaxed);
    }

    /// What was counted.
    pub fn sum(&self) -> Traffic {
        Traffic {
            requests: self.requests.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            searches: self.searches.load(Ordering::Relaxed),
            empty: self.empty.load(Ordering::Relaxed),
            p99_us: self.times_us().p99_us(),
        }
    }

    /// How many requests took how long, by the longest time of each bucket.
    pub fn times_us(&self) -> Times {
        let counts = self.times.iter().enumerate();
        counts.map(|(bucket, count)| (least_of(bucket + 1) - 1, count.load(Ordering::Relaxed))).collect()
    }
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
        assert_eq!(counters.sum(), Traffic::default());
        (1..=1_000).for_each(|micros| counters.answered(Duration::from_micros(micros)));
        (0..10).for_each(|found| counters.searched(found));
        let sum = counters.sum();
        assert_eq!((sum.requests, sum.errors, sum.searches, sum.empty), (1_000, 0, 10, 1));
        assert!((990..=1_114).contains(&sum.p99_us), "{}", sum.p99_us);
    }

    #[test]
    fn errors_are_those_of_its_own_answers() {
        let counters = TrafficCounters::default();
        let errors = |result: Result<(), ApiError>| {
            let _ = counters.attempt(|| result);
            counters.sum().errors
        };
        assert_eq!(errors(Ok(())), 0);
        assert_eq!(errors(Err(ApiError::bad_parameter("q", "is too long"))), 0);
        assert_eq!(errors(Err(ApiError::not_found("there is no product 'p1'"))), 0);
        assert_eq!(errors(Err(ApiError::internal("damage"))), 1);
        let panics = || counters.attempt(|| -> Result<(), ApiError> { panic!("out of bounds") });
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err(), "whoever asked deals with it");
        assert_eq!(counters.sum().errors, 2);
    }
}
