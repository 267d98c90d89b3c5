//! Which events are still to be delivered where, and when they are tried.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::ids::shuffle;

/// The pause before the first retry; it doubles with each.
const FIRST_PAUSE_MS: u64 = 200;
const MAX_PAUSE_MS: u64 = 10_000;
/// How often a delivery is tried.
const MAX_ATTEMPTS: u32 = 12;
/// How many deliveries wait, or are held, at most; more are dropped, and counted.
const MAX_WAITING: usize = 100_000;
/// How often an event may be delivered again on purpose.
pub(crate) const MAX_DUPLICATES: u32 = 100;

/// When events are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookMode {
    /// Soon after they happened.
    #[default]
    Normal,
    /// Before the API call that caused them is answered.
    BeforeResponse,
    /// Never; they can be listed all the same.
    None,
    /// When they are told to.
    Hold,
}

/// How events are delivered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookPlan {
    pub mode: WebhookMode,
    /// How often each event is delivered once more.
    pub duplicates: u32,
    /// Mixes the events of one request.
    pub shuffle_seed: Option<u64>,
    /// The pause before the first attempt.
    pub delay_ms: u64,
    /// Signs with a secret that nobody has.
    pub bad_signature: bool,
}

/// In which order held events are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOrder {
    #[default]
    AsMade,
    Reversed,
    Shuffled,
}

/// What became of deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookCounts {
    pub queued: usize,
    pub in_flight: usize,
    pub held: usize,
    pub delivered: u64,
    pub failed_attempts: u64,
    /// Given up, or never taken for want of room.
    pub dropped: u64,
}

/// One event on its way to one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) event: String,
    pub(crate) endpoint: usize,
    pub(crate) attempts: u32,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Next {
    Send(Delivery),
    WaitUntil(Instant),
    Idle,
}

#[derive(Default)]
pub(crate) struct WebhookQueue {
    pub(crate) plan: WebhookPlan,
    waiting: BTreeMap<(Instant, u64), Delivery>,
    held: Vec<Delivery>,
    queued: u64,
    in_flight: usize,
    delivered: u64,
    failed_attempts: u64,
    dropped: u64,
}

impl WebhookQueue {
    /// Takes the events of one request or one tick of the clock. Those are returned that must be delivered before the
    /// request is answered; the caller has to report on each.
    pub(crate) fn take_events(&mut self, mut events: Vec<String>, endpoints: usize, is_call: bool) -> Vec<Delivery> {
        if let Some(seed) = self.plan.shuffle_seed {
            shuffle(&mut events, seed);
        }
        let copies = 1 + self.plan.duplicates.min(MAX_DUPLICATES);
        let mut deliveries = Vec::new();
        for event in events {
            for endpoint in 0..endpoints {
                let delivery = Delivery { event: event.clone(), endpoint, attempts: 0 };
                deliveries.extend((0..copies).map(|_| delivery.clone()));
            }
        }
        match self.plan.mode {
            WebhookMode::None => Vec::new(),
            WebhookMode::Hold => {
                let room = MAX_WAITING.saturating_sub(self.held.len());
                self.dropped += deliveries.len().saturating_sub(room) as u64;
                self.held.extend(deliveries.into_iter().take(room));
                Vec::new()
            }
            WebhookMode::BeforeResponse if is_call => {
                self.in_flight += deliveries.len();
                deliveries
            }
            WebhookMode::Normal | WebhookMode::BeforeResponse => {
                let due = Instant::now() + Duration::from_millis(self.plan.delay_ms);
                deliveries.into_iter().for_each(|delivery| self.queue(delivery, due));
                Vec::new()
            }
        }
    }

    /// What is held, in an order and so many times. The caller has to report on each.
    pub(crate) fn release(&mut self, order: DeliveryOrder, seed: u64, times: u32) -> Vec<Delivery> {
        let mut released = std::mem::take(&mut self.held);
        match order {
            DeliveryOrder::AsMade => {}
            DeliveryOrder::Reversed => released.reverse(),
            DeliveryOrder::Shuffled => shuffle(&mut released, seed),
        }
        let times = times.clamp(1, MAX_DUPLICATES) as usize;
        let deliveries: Vec<Delivery> = std::iter::repeat_n(released, times).flatten().collect();
        self.in_flight += deliveries.len();
        deliveries
    }

    /// The delivery that is due. The caller has to report on it.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        let Some(first) = self.waiting.first_entry() else { return Next::Idle };
        let due = first.key().0;
        if due > now {
            return Next::WaitUntil(due);
        }
        self.in_flight += 1;
        Next::Send(first.remove())
    }

    /// What became of a delivery; one that failed is tried again later.
    pub(crate) fn report(&mut self, mut delivery: Delivery, is_acknowledged: bool, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if is_acknowledged {
            self.delivered += 1;
            return;
        }
        self.failed_attempts += 1;
        delivery.attempts += 1;
        if delivery.attempts >= MAX_ATTEMPTS {
            self.dropped += 1;
            return;
        }
        let pause_ms = (FIRST_PAUSE_MS << (delivery.attempts - 1)).min(MAX_PAUSE_MS);
        self.queue(delivery, now + Duration::from_millis(pause_ms));
    }

    /// What cannot be tried at all: its event is too old to be kept.
    pub(crate) fn give_up(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.dropped += 1;
    }

    pub(crate) fn counts(&self) -> WebhookCounts {
        WebhookCounts {
            queued: self.waiting.len(),
            in_flight: self.in_flight,
            held: self.held.len(),
            delivered: self.delivered,
            failed_attempts: self.failed_attempts,
            dropped: self.dropped,
        }
    }

    fn queue(&mut self, delivery: Delivery, due: Instant) {
        if self.waiting.len() >= MAX_WAITING {
            self.dropped += 1;
            return;
        }
        self.queued += 1;
        self.waiting.insert((due, self.queued), delivery);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(plan: WebhookPlan) -> WebhookQueue {
        WebhookQueue { plan, ..WebhookQueue::default() }
    }

    fn events(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn names(deliveries: &[Delivery]) -> Vec<&str> {
        deliveries.iter().map(|delivery| delivery.event.as_str()).collect()
    }

    #[test]
    fn failures_are_tried_again_after_longer_and_longer_pauses() {
        let mut queue = WebhookQueue::default();
        assert!(queue.take_events(events(&["a"]), 1, true).is_empty());
        let mut now = Instant::now();
        let mut pauses_ms = Vec::new();
        loop {
            match queue.next(now) {
                Next::Send(delivery) => queue.report(delivery, false, now),
                Next::WaitUntil(due) => {
                    pauses_ms.push((due - now).as_millis() as u64);
                    now = due;
                }
                Next::Idle => break,
            }
        }
        assert_eq!(pauses_ms[..7], [200, 400, 800, 1_600, 3_200, 6_400, 10_000]);
        let counts = queue.counts();
        assert_eq!((counts.failed_attempts, counts.dropped, counts.queued), (u64::from(MAX_ATTEMPTS), 1, 0));
    }

    #[test]
    fn held_events_are_released_in_the_order_that_is_asked_for() {
        let mut queue = planned(WebhookPlan { mode: WebhookMode::Hold, ..WebhookPlan::default() });
        queue.take_events(events(&["a", "b", "c"]), 1, true);
        assert_eq!(queue.counts().held, 3);
        let released = queue.release(DeliveryOrder::Reversed, 0, 2);
        assert_eq!(names(&released), ["c", "b", "a", "c", "b", "a"]);
        assert_eq!((queue.counts().held, queue.counts().in_flight), (0, 6));
    }

    #[test]
    fn only_calls_wait_for_their_deliveries() {
        let plan = WebhookPlan { mode: WebhookMode::BeforeResponse, duplicates: 1, ..WebhookPlan::default() };
        let mut queue = planned(plan);
        assert_eq!(names(&queue.take_events(events(&["a"]), 1, true)), ["a", "a"]);
        assert!(queue.take_events(events(&["b"]), 1, false).is_empty());
        assert_eq!(queue.counts().queued, 2);
        queue.plan.mode = WebhookMode::None;
        queue.take_events(events(&["c"]), 1, true);
        assert_eq!(queue.counts().queued, 2);
    }
}
