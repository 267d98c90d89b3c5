//! How many requests a second an endpoint takes.

use std::collections::HashMap;
use std::time::Instant;

/// One bucket of tokens an endpoint: full it holds what a second allows, and it fills evenly.
#[derive(Default)]
pub(crate) struct Rates {
    /// One for each endpoint that there is, and no more.
    buckets: HashMap<&'static str, Bucket>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rates {
    /// Whether one more request may go through now.
    pub(crate) fn allow(&mut self, endpoint: &'static str, limit_per_s: u32, now: Instant) -> bool {
        let limit = f64::from(limit_per_s);
        let bucket = self.buckets.entry(endpoint).or_insert(Bucket { tokens: limit, filled: now });
        let waited_s = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + waited_s * limit).min(limit);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_allows_so_many_an_endpoint() {
        let mut rates = Rates::default();
        let start = Instant::now();
        let allowed = (0..100).filter(|_| rates.allow("a", 25, start)).count();
        assert_eq!(allowed, 25);
        assert!(rates.allow("b", 25, start), "endpoints do not share");
        let later = start + Duration::from_millis(200);
        assert_eq!((0..100).filter(|_| rates.allow("a", 25, later)).count(), 5);
    }
}
