//! What goes on between this service and Stripe, and what tells others of it.
//!
//! A request of a client's drives its order itself (`pay`, `cancel`, `refund`); whatever it leaves undone, by a fault or by
//! being killed, recovery finishes. Both take the same steps: look at the order, ask Stripe, and apply what Stripe says in
//! one transaction. Nothing here holds a transaction while it waits for the network, and nothing decides about money but
//! `domain`.

mod asking;
mod closing;
mod counters;
mod crew;
mod events;
mod inbox;
mod lookup;
mod news;
mod outbox;
mod payments;
mod reconcile;
mod recovery;
mod refunds;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

pub use counters::Counters;
pub use inbox::{Receipt, WebhookError};
pub use reconcile::{ReconcileError, Reconciliation};

use self::asking::Asker;
use crate::store::Store;
use crate::stripe;

pub struct Settings {
    /// Several while one is replaced; any of them will do.
    pub webhook_secrets: Vec<SecretString>,
    pub webhook_tolerance_s: i64,
    /// Where events go. Without it they are only logged.
    pub events: Option<EventGrid>,
    /// Deliveries of one event before it is dead.
    pub outbox_max_tries: u32,
    /// When the books are compared with Stripe's every day, in UTC.
    pub reconcile_at: Option<jiff::civil::Time>,
    /// How long a checkout is kept that ended without an order.
    pub keep_abandoned_ms: i64,
    /// How often the queues are looked at when nothing wakes their workers.
    pub poll_ms: u64,
}

/// A topic of Event Grid's, or whatever takes batches of CloudEvents by HTTP.
pub struct EventGrid {
    pub url: String,
    pub key: SecretString,
    /// The `source` of all events: `/vitrine/checkout`.
    pub source: String,
}

pub struct Work {
    store: Arc<dyn Store>,
    stripe: stripe::Client,
    asker: Asker,
    settings: Settings,
    counters: Counters,
    inbox_filled: Notify,
    outbox_filled: Notify,
}

/// The wall clock.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

impl Work {
    pub fn new(store: Arc<dyn Store>, stripe: stripe::Client, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            store,
            asker: Asker { stripe: stripe.clone() },
            stripe,
            settings,
            counters: Counters::default(),
            inbox_filled: Notify::new(),
            outbox_filled: Notify::new(),
        })
    }

    /// Starts all background loops, which end soon after `shutdown` turns true, with the steps that they are at done.
    pub fn run(self: &Arc<Self>, shutdown: watch::Receiver<bool>) -> JoinSet<()> {
        let mut loops = JoinSet::new();
        loops.spawn(Arc::clone(self).run_inbox(shutdown.clone()));
        loops.spawn(Arc::clone(self).run_outbox(shutdown.clone()));
        loops.spawn(Arc::clone(self).run_recovery(shutdown.clone()));
        loops.spawn(Arc::clone(self).run_keeping(shutdown.clone()));
        loops.spawn(Arc::clone(self).run_reconciliation(shutdown));
        loops
    }

    pub fn metrics(&self) -> &Counters {
        &self.counters
    }

    /// The client that asks Stripe, for its own counters and the state of its breaker.
    pub fn stripe(&self) -> &stripe::Client {
        &self.stripe
    }
}
