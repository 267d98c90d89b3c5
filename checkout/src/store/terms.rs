//! On what terms somebody has the database: who goes first where not all can go, and how long it is waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::StoreError;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Somebody who begins something, and loses nothing when told to come again.
    New,
    /// Somebody who goes on with what was begun, or looks at it.
    Begun,
    /// Stripe, which tells something that is stored for later.
    Webhook,
    /// Our own work, off queues.
    Work,
}

#[derive(Debug)]
pub struct Terms {
    lane: Lane,
    /// What is left of the time that all transactions have together. None where each has its own.
    left: Option<Mutex<Duration>>,
}

impl Terms {
    /// For a request, whose client waits for all of its transactions: they have so much time together.
    pub fn together(lane: Lane, time: Duration) -> Self {
        Self { lane, left: Some(Mutex::new(time)) }
    }

    /// For work that no client waits for: a transaction has the store's own time, and so has the next one.
    pub fn each(lane: Lane) -> Self {
        Self { lane, left: None }
    }

    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// How long the next transaction may take.
    pub(crate) fn time_left(&self) -> Duration {
        self.left.as_ref().map_or(Duration::MAX, |left| *lock(left))
    }

    /// Waits for something as long as there is time.
    ///
    /// # Errors
    /// `Unavailable` when that is over; what was waited for may have been done.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let Some(left) = &self.left else { return work.await };
        let no_time = || StoreError::Unavailable("there is no time left for this request".to_owned());
        let (started, time) = (Instant::now(), *lock(left));
        // A transaction that began would take a connection, and be cut off with it.
        if time.is_zero() {
            return Err(no_time());
        }
        let outcome = timeout(time, work).await;
        let mut left = lock(left);
        *left = left.saturating_sub(started.elapsed());
        outcome.unwrap_or_else(|_| Err(no_time()))
    }
}

fn lock(left: &Mutex<Duration>) -> MutexGuard<'_, Duration> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_that_one_transaction_took_is_missing_for_the_next() {
        let terms = Terms::together(Lane::Begun, Duration::from_millis(20));
        let long = terms.within::<()>(std::future::pending()).await;
        assert!(matches!(&long, Err(error) if error.is_transient()), "{long:?}");
        assert!(terms.time_left().is_zero());
        let next = terms.within(async { Ok(()) }).await;
        assert!(matches!(&next, Err(error) if error.is_transient()), "{next:?}");
    }

    #[tokio::test]
    async fn what_ends_in_time_leaves_the_rest() {
        let terms = Terms::together(Lane::Begun, Duration::from_secs(3_600));
        terms.within(async { Ok(()) }).await.expect("it ends");
        assert!(terms.time_left() > Duration::from_secs(1_800));
        Terms::each(Lane::Work).within(async { Ok(()) }).await.expect("it ends");
        assert_eq!(Terms::each(Lane::Work).time_left(), Duration::MAX);
    }
}
