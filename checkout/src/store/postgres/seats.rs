//! Who may have how many of the connections at once. Where more is asked than can be done, those who begin something wait,
//! and are turned away: that costs nothing yet, while what was begun and is not finished was done in vain.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::store::Lane;

/// One in so many is kept for webhooks, and one at the least.
const KEPT_ONE_IN: usize = 8;
/// How long there may be no free seat: longer than bursts last that the connections can deal with.
const CROWDED_AFTER: Duration = Duration::from_millis(500);

pub(super) struct Seats {
    all: Row,
    /// All but those that are kept for webhooks.
    common: Row,
    /// Of the common ones, those for who begins something: the rest is for what was begun.
    new: Row,
    /// Of the common ones, those for queues: a long one fills them, and that is no reason to turn anybody away.
    work: Row,
}

/// Seats that are taken in turn.
struct Row {
    free: Arc<Semaphore>,
    /// Since when nobody found a free one.
    full_since: Mutex<Option<Instant>>,
}

/// A seat in each row that its owner needs one in. Dropped, it is free again.
pub(super) struct Seat {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Seats {
    pub(super) fn new(connections: u32) -> Self {
        let all = connections.max(1) as usize;
        let common = (all - (all / KEPT_ONE_IN).max(1)).max(1);
        let (new, work) = ((common * 3 / 4).max(1), (common / 2).max(1));
        Self { all: Row::of(all), common: Row::of(common), new: Row::of(new), work: Row::of(work) }
    }

    pub(super) async fn take(&self, lane: Lane) -> Result<Seat, AcquireError> {
        let own = match lane {
            Lane::New => Some(&self.new),
            Lane::Work => Some(&self.work),
            Lane::Begun | Lane::Webhook => None,
        };
        let common = (lane != Lane::Webhook).then_some(&self.common);
        let mut permits = Vec::new();
        for row in own.into_iter().chain(common).chain([&self.all]) {
            permits.push(row.take().await?);
        }
        Ok(Seat { _permits: permits })
    }

    /// Whether it is long ago that somebody found a free seat.
    pub(super) fn is_crowded(&self, now: Instant) -> bool {
        [&self.new, &self.common, &self.all].into_iter().any(|row| row.is_crowded(now))
    }
}

impl Row {
    fn of(seats: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(seats)), full_since: Mutex::default() }
    }

    async fn take(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        // There is none for us as long as others wait.
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            *self.since() = None;
            return Ok(permit);
        }
        self.since().get_or_insert_with(Instant::now);
        self.free.clone().acquire_owned().await
    }

    fn is_crowded(&self, now: Instant) -> bool {
        let is_full = self.free.available_permits() == 0;
        is_full && self.since().is_some_and(|since| now.saturating_duration_since(since) > CROWDED_AFTER)
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.full_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Takes what is free in a lane.
    fn fill(seats: &Seats, lane: Lane) -> Vec<Seat> {
        let mut taken = Vec::new();
        while let Some(seat) = seats.take(lane).now_or_never() {
            taken.push(seat.expect("seats are never taken away"));
        }
        taken
    }

    #[test]
    fn each_lane_leaves_room_for_others() {
        for (connections, webhooks, begun, new, work) in
            [(16, 16, 14, 10, 7), (8, 8, 7, 5, 3), (2, 2, 1, 1, 1), (1, 1, 1, 1, 1), (0, 1, 1, 1, 1)]
        {
            let of = |lane| fill(&Seats::new(connections), lane).len();
            let seats = [Lane::Webhook, Lane::Begun, Lane::New, Lane::Work].map(of);
            assert_eq!(seats, [webhooks, begun, new, work], "{connections}");
        }
    }

    #[test]
    fn what_was_begun_goes_on_and_webhooks_are_taken_however_many_begin() {
        let seats = Seats::new(8);
        let _new = fill(&seats, Lane::New);
        let begun = fill(&seats, Lane::Begun);
        assert_eq!(begun.len(), 2);
        assert!(fill(&seats, Lane::Work).is_empty());
        assert_eq!(fill(&seats, Lane::Webhook).len(), 1);
        drop(begun);
        assert_eq!(fill(&seats, Lane::Work).len(), 2);
    }

    #[test]
    fn it_is_crowded_where_nobody_found_a_free_seat_for_long() {
        let seats = Seats::new(8);
        let later = || Instant::now() + CROWDED_AFTER * 2;
        // Queues are not looked at: a long one may take all of its seats for minutes.
        let work = fill(&seats, Lane::Work);
        assert!(!seats.is_crowded(later()));
        drop(work);
        let new = fill(&seats, Lane::New);
        assert!(!seats.is_crowded(Instant::now()), "a burst is no crowd");
        assert!(seats.is_crowded(later()));
        let count = new.len();
        drop(new);
        assert!(!seats.is_crowded(later()), "seats are free");
        let _again: Vec<_> = (0..count).map(|_| seats.take(Lane::New).now_or_never()).collect();
        assert!(!seats.is_crowded(later()), "all are taken, and nobody had to wait");
    }
}
