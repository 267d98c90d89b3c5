//! Webhooks: verified, stored, acknowledged, and only then applied.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{debug, error, warn};

use super::counters::count;
use super::crew::{Crew, is_stopped};
use super::{Work, now_ms};
use crate::fail_points;
use crate::store::{InboxEvent, NewInboxEvent, Store, StoreError};
use crate::stripe::{SignatureError, verify};

/// Events that are applied side by side.
const MAX_EVENTS_AT_ONCE: usize = 8;
/// How long an event is left to the worker that took it first. Short, so that those of a process that was killed go on
/// soon; an event that is applied twice changes nothing the second time.
const LEASE_MS: i64 = 4_000;
/// An event that cannot be read, or whose object Stripe does not know, is given up after so many tries.
const MAX_TRIES_IN_VAIN: u32 = 6;
/// Stripe's ids and kinds of events are shorter.
const MAX_NAME_BYTES: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    New,
    /// It was there already, and maybe applied.
    Known,
}

#[derive(Debug, Error)]
pub enum WebhookError {
    #[error("there is no Stripe-Signature header")]
    MissingSignature,
    #[error("the signature is not right")]
    BadSignature,
    #[error("the signature is of another time")]
    Stale,
    #[error("the body is no event of Stripe's")]
    NotAnEvent,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All that is read of an event before it is stored: what comes after may drift.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Work {
    /// Verifies a webhook and stores it; the worker that applies it is woken.
    ///
    /// # Errors
    /// When the signature is not Stripe's, the body is no event, or the store fails: then Stripe sends it again.
    pub async fn receive(
        &self,
        store: &dyn Store,
        signature: Option<&str>,
        body: &[u8],
        now_ms: i64,
    ) -> Result<Receipt, WebhookError> {
        let envelope = self.check(signature, body, now_ms).inspect_err(|_| count(&self.counters.webhooks_rejected))?;
        let event = NewInboxEvent { id: &envelope.id, kind: &envelope.kind, body, received_ms: now_ms };
        let is_new = store.receive(&event).await?;
        fail_points::reach(fail_points::WEBHOOK_STORED);
        debug!(event.id = envelope.id, event.kind = envelope.kind, event.is_new = is_new, "a webhook came");
        if is_new {
            count(&self.counters.webhooks_received);
            self.inbox_filled.notify_one();
            return Ok(Receipt::New);
        }
        count(&self.counters.webhooks_repeated);
        Ok(Receipt::Known)
    }

    fn check(&self, signature: Option<&str>, body: &[u8], now_ms: i64) -> Result<Envelope, WebhookError> {
        let signature = signature.ok_or(WebhookError::MissingSignature)?;
        let (secrets, tolerance_s) = (&self.settings.webhook_secrets, self.settings.webhook_tolerance_s);
        verify(signature, body, secrets, tolerance_s, now_ms.div_euclid(1_000)).map_err(|error| match error {
            SignatureError::Malformed | SignatureError::Wrong => WebhookError::BadSignature,
            SignatureError::Stale => WebhookError::Stale,
        })?;
        let envelope: Envelope = serde_json::from_slice(body).map_err(|_| WebhookError::NotAnEvent)?;
        let is_name = |text: &str| !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains('\0');
        match is_name(&envelope.id) && is_name(&envelope.kind) {
            true => Ok(envelope),
            false => Err(WebhookError::NotAnEvent),
        }
    }

    /// Applies events as they come, and those that failed before.
    pub(super) async fn run_inbox(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let poll = Duration::from_millis(self.settings.poll_ms);
        let mut crew = Crew::new(MAX_EVENTS_AT_ONCE);
        while !is_stopped(&shutdown) {
            let free = crew.free_seats();
            let taken = match self.store.due_events(free as u32, LEASE_MS, now_ms()).await {
                Ok(events) => events,
                Err(error) => {
                    warn!(error = %error, "the inbox cannot be read");
                    Vec::new()
                }
            };
            for event in taken {
                let work = Arc::clone(&self);
                crew.start(event.id.clone(), async move { work.deal_with(&event).await });
            }
            crew.pause(poll, &self.inbox_filled, &mut shutdown).await;
        }
        crew.finish().await;
    }

    /// Applies one event, or notes why it cannot be applied: its lease decides when it is tried again.
    pub(super) async fn deal_with(&self, event: &InboxEvent) {
        fail_points::reach(fail_points::WEBHOOK_ACKNOWLEDGED);
        let fault = match self.apply_event(event).await {
            Ok(()) => {
                fail_points::reach(fail_points::WEBHOOK_APPLIED);
                count(&self.counters.webhooks_applied);
                return;
            }
            Err(fault) => fault,
        };
        count(&self.counters.webhooks_failed);
        warn!(event.id = event.id, event.kind = event.kind, event.tries = event.tries, error = %fault,
            "a webhook could not be applied");
        let why = fault.to_string();
        let noted = match fault.is_final() && event.tries >= MAX_TRIES_IN_VAIN {
            // Its body and the reason stay, for whoever replays it; recovery and the daily comparison ask Stripe too.
            true => {
                error!(event.id = event.id, event.kind = event.kind, "a webhook was given up");
                self.store.give_up_event(&event.id, &why, now_ms()).await
            }
            false => self.store.fail_event(&event.id, &why).await,
        };
        if let Err(error) = noted {
            warn!(event.id = event.id, error = %error, "the inbox cannot be written");
        }
    }
}
