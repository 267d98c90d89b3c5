//! What the working parts have done since the start. Stripe's client counts for itself.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counters {
    /// Webhooks that were right, and new.
    pub webhooks_received: AtomicU64,
    /// Webhooks that were there already.
    pub webhooks_repeated: AtomicU64,
    /// Webhooks with no signature, or a wrong or old one.
    pub webhooks_rejected: AtomicU64,
    pub webhooks_applied: AtomicU64,
    /// Applications that failed, each of which is tried again.
    pub webhooks_failed: AtomicU64,
    pub outbox_delivered: AtomicU64,
    /// Deliveries that failed.
    pub outbox_failed: AtomicU64,
    /// Events that are not delivered any more.
    pub outbox_dead: AtomicU64,
    /// Payments and refunds that recovery brought further.
    pub recovered: AtomicU64,
    /// Payments and refunds that recovery looked at in vain.
    pub recovery_postponed: AtomicU64,
    /// Checkouts that came to nothing, and were deleted.
    pub checkouts_swept: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
