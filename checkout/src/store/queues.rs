//! What waits to be dealt with.

use serde_json::json;

use super::Audit;
use crate::ids::OutboxId;

/// How often the lease of an event of the inbox doubles, with each time that it is handed out: events that fail again and
/// again leave time for those that came after them.
pub(crate) const MAX_LEASE_DOUBLINGS: u32 = 3;

/// How long an event of the outbox is put off that stands behind a dead one: it is due as soon as that is delivered, so
/// that this is for those alone whom nobody told.
pub(crate) const BEHIND_DEAD_MS: i64 = 3_600_000;
/// How often a look at the outbox goes on where all that it found stands behind other events.
pub(crate) const MAX_ROUNDS: u32 = 100;

/// A webhook whose signature was right.
#[derive(Clone, Copy, Debug)]
pub struct NewInboxEvent<'a> {
    /// Stripe's, which makes it one event however often it comes.
    pub id: &'a str,
    pub kind: &'a str,
    pub body: &'a [u8],
    pub received_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEvent {
    pub id: String,
    pub kind: String,
    pub body: Vec<u8>,
    pub tries: u32,
}

/// A webhook that was given up. Its body stays in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadWebhook {
    pub id: String,
    pub kind: String,
    pub received_ms: i64,
    pub tries: u32,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEvent {
    pub id: OutboxId,
    /// `order.paid`
    pub kind: String,
    /// `orders/ord_...`, `products/...`: what order is kept for.
    pub subject: String,
    pub version: u32,
    pub data: serde_json::Value,
    pub created_ms: i64,
    pub tries: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    pub event: OutboxEvent,
    pub why: String,
}

/// How much waits, for metrics and for `checkout status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub payments_unanswered: u64,
    pub payments_waiting: u64,
    pub refunds_open: u64,
    pub inbox: u64,
    pub oldest_inbox_ms: u64,
    pub dead_webhooks: u64,
    pub outbox: u64,
    pub oldest_outbox_ms: u64,
    pub dead_letters: u64,
    pub open_breaks: u64,
    pub checkouts_held: u64,
}

/// What the audit is told of webhooks that are put away.
pub(crate) fn discard_audit(actor: &str, reason: &str, ids: &[String]) -> Audit {
    Audit {
        actor: actor.to_owned(),
        action: "dead_letters.discard".to_owned(),
        subject: "dead_letters".to_owned(),
        detail: json!({ "ids": ids, "reason": reason }),
    }
}

/// What the audit is told of a replay.
pub(crate) fn replay_audit(actor: &str, ids: &[String]) -> Audit {
    Audit {
        actor: actor.to_owned(),
        action: "dead_letters.replay".to_owned(),
        subject: "dead_letters".to_owned(),
        detail: json!({ "ids": ids }),
    }
}
