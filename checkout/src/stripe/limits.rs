//! How often Stripe is asked, and whether at all. Both parts are told the time, so that tests need no waiting.

use std::time::{Duration, Instant};

/// Spreads requests: so many a second, after a burst of so many. Requests that would wait too long are turned away.
///
/// It keeps one moment, at which all that was let through is paid off (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct TokenBucket {
    interval: Duration,
    burst: u32,
    paid_off: Option<Instant>,
}

impl TokenBucket {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, burst: burst.max(1), paid_off: None }
    }

    /// Takes a token: how long to wait for it, or None where that is longer than `longest`, and nothing is taken.
    pub(super) fn take(&mut self, longest: Duration, now: Instant) -> Option<Duration> {
        let wait = self.wait(self.burst, now);
        if wait > longest {
            return None;
        }
        self.spend(now);
        Some(wait)
    }

    /// Takes a token only while at least half of the burst is left to others; else says how long to wait before asking
    /// again. Nothing is reserved, so that those who cannot wait go first.
    pub(super) fn take_spare(&mut self, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(self.burst.div_ceil(2), now);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        self.spend(now);
        Ok(())
    }

    fn wait(&self, burst: u32, now: Instant) -> Duration {
        let owed = self.paid_off.map_or(Duration::ZERO, |moment| moment.saturating_duration_since(now));
        owed.saturating_sub(self.interval * (burst - 1))
    }

    fn spend(&mut self, now: Instant) {
        let from = self.paid_off.map_or(now, |moment| moment.max(now));
        self.paid_off = Some(from + self.interval);
    }
}

/// Whether requests go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    /// One request is out to see whether it works again.
    HalfOpen,
    Open,
}

/// Stops asking after so many failures in a row, and lets one request through after a while to see whether it works again.
#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
    rest: Duration,
    failures: u32,
    /// While it is open: when the next probe may go.
    closed_until: Option<Instant>,
    is_probing: bool,
}

impl Breaker {
    pub(super) fn new(threshold: u32, rest: Duration) -> Self {
        Self { threshold, rest, failures: 0, closed_until: None, is_probing: false }
    }

    /// Whether a request may go. A probe that never reports (its task was dropped) holds others back for one rest only.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.closed_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                self.closed_until = Some(now + self.rest);
                self.is_probing = true;
                true
            }
        }
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::new(self.threshold, self.rest);
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.is_probing = false;
        if self.failures >= self.threshold {
            self.closed_until = Some(now + self.rest);
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        match (self.closed_until, self.is_probing) {
            (None, _) => BreakerState::Closed,
            (Some(_), true) => BreakerState::HalfOpen,
            (Some(_), false) => BreakerState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_goes_at_once_and_the_rest_evenly() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, 5);
        let waits: Vec<_> = (0..8).map(|_| bucket.take(SECOND, start).expect("a token").as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 100, 200, 300]);
        // After a second of rest the burst is there again, and no more than the burst.
        let later = start + SECOND;
        let waits: Vec<_> = (0..6).map(|_| bucket.take(SECOND, later).expect("a token").as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 100]);
    }

    #[test]
    fn who_would_wait_too_long_is_turned_away_and_costs_nothing() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, 1);
        assert_eq!(bucket.take(Duration::ZERO, start), Some(Duration::ZERO));
        for _ in 0..100 {
            assert_eq!(bucket.take(Duration::from_millis(50), start), None);
        }
        assert_eq!(bucket.take(Duration::from_millis(100), start), Some(Duration::from_millis(100)));
    }

    #[test]
    fn patient_requests_leave_half_of_the_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, 4);
        assert_eq!(bucket.take_spare(start), Ok(()));
        assert_eq!(bucket.take_spare(start), Ok(()));
        assert_eq!(bucket.take_spare(start), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(Duration::ZERO, start), Some(Duration::ZERO));
        assert_eq!(bucket.take(Duration::ZERO, start), Some(Duration::ZERO));
        assert_eq!(bucket.take(Duration::ZERO, start), None);
        assert_eq!(bucket.take_spare(start + SECOND), Ok(()));
    }

    #[test]
    fn the_breaker_opens_after_failures_in_a_row_and_closes_after_a_probe() {
        let start = Instant::now();
        let mut breaker = Breaker::new(3, 5 * SECOND);
        breaker.failed(start);
        breaker.failed(start);
        breaker.succeeded();
        breaker.failed(start);
        breaker.failed(start);
        assert!(breaker.admits(start), "a success between makes no row");
        breaker.failed(start);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(!breaker.admits(start + 4 * SECOND));
        assert!(breaker.admits(start + 5 * SECOND), "the probe");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(!breaker.admits(start + 6 * SECOND), "one probe only");
        breaker.failed(start + 6 * SECOND);
        assert!(!breaker.admits(start + 10 * SECOND));
        assert!(breaker.admits(start + 11 * SECOND));
        breaker.succeeded();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.admits(start + 11 * SECOND) && breaker.admits(start + 11 * SECOND));
    }

    #[test]
    fn a_probe_that_never_reports_does_not_hold_for_ever() {
        let start = Instant::now();
        let mut breaker = Breaker::new(1, SECOND);
        breaker.failed(start);
        assert!(breaker.admits(start + SECOND));
        assert!(!breaker.admits(start + SECOND));
        assert!(breaker.admits(start + 2 * SECOND));
    }
}
