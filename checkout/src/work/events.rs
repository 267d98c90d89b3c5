//! What an event of Stripe's means for an order.
//!
//! Events come late, twice and in any order. Final states of intents are taken from the event, which Stripe signed; for all
//! others the object is fetched as it is now. Refunds only move forward, so that their events can be taken as they are; so do
//! disputes until they are decided. A decision may be overturned, and is fetched.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use tracing::{debug, error, warn};

use super::asking::Found;
use super::news::{of_dispute, of_intent, of_refund};
use super::payments::load;
use super::{Work, now_ms};
use crate::domain::{BreakKind, IntentStatus, News, Order, Payment, PaymentState, breaks};
use crate::ids::{OrderId, PaymentId};
use crate::store::{ClaimUse, Claimed, FoundBreak, InboxEvent, PaymentRef, StoreError};
use crate::stripe::{ChargeView, DisputeView, IntentView, RefundView, SessionView, StripeError};

#[derive(Debug, Error)]
pub(super) enum EventError {
    /// The body has another form than Stripe documents.
    #[error("the event cannot be read: {0}")]
    Drifted(String),
    #[error(transparent)]
    Stripe(#[from] StripeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EventError {
    /// Whether trying again would most likely end the same way.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Drifted(_) | Self::Stripe(StripeError::Refused { .. }) | Self::Store(StoreError::Refused(_))
        )
    }
}

#[derive(Deserialize)]
struct Body {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

/// Whose something is.
type Owner = (OrderId, PaymentId);

impl Work {
    /// Applies an event and marks it as applied, in one transaction; one that means nothing here is only marked.
    pub(super) async fn apply_event(&self, event: &InboxEvent) -> Result<(), EventError> {
        match event.kind.as_str() {
            "payment_intent.succeeded"
            | "payment_intent.processing"
            | "payment_intent.requires_action"
            | "payment_intent.payment_failed"
            | "payment_intent.canceled" => self.take_intent(event, &object(event)?).await,
            "checkout.session.completed"
            | "checkout.session.async_payment_succeeded"
            | "checkout.session.async_payment_failed"
            | "checkout.session.expired" => self.take_session(event, object(event)?).await,
            "charge.refunded" => self.take_refunded_charge(event, &object(event)?).await,
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
                self.take_refund(event, object(event)?).await
            }
            kind if kind.starts_with("charge.dispute.") => self.take_dispute(event, &object(event)?).await,
            _ => self.settle(event).await,
        }
    }

    /// Whose an intent or a session is: by the name that we gave it, else by its own id.
    pub(super) async fn owner(
        &self,
        name: Option<PaymentId>,
        others: &[PaymentRef<'_>],
    ) -> Result<Option<Owner>, StoreError> {
        let named = name.map(PaymentRef::Id);
        for reference in named.iter().chain(others) {
            if let Some(owner) = self.store.find_payment(reference).await? {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// Whose a refund is.
    pub(super) async fn owner_of_refund(&self, view: &RefundView) -> Result<Option<Owner>, StoreError> {
        let ours = view.metadata().refund().map(PaymentRef::Refund);
        let intent = view.payment_intent.as_deref().map(PaymentRef::Intent);
        let references: Vec<_> = ours.into_iter().chain([PaymentRef::StripeRefund(&view.id)]).chain(intent).collect();
        self.owner(None, &references).await
    }

    /// Applies refunds of one payment. A payment that is not known to have succeeded is asked for first: money that went
    /// back was there before.
    pub(super) async fn apply_refunds(
        &self,
        owner: Owner,
        views: &[RefundView],
        event: Option<&str>,
    ) -> Result<Claimed<Order>, EventError> {
        let order = load(&*self.store, owner.0).await?;
        let payment = order.payments.iter().find(|one| one.id == owner.1);
        let mut news = Vec::new();
        if payment.is_some_and(|one| one.state != PaymentState::Succeeded) {
            let known = payment.and_then(|one| one.intent.as_deref());
            let told = views.iter().find_map(|view| view.payment_intent.as_deref());
            if let Some(intent) = known.or(told) {
                news.push(of_intent(owner.1, &self.stripe.intent(intent).await?));
            }
        }
        news.extend(views.iter().map(|view| of_refund(owner.1, view)));
        Ok(self.apply(&*self.store, owner.0, &news, &ClaimUse::None, event).await?)
    }

    /// Whose an intent is of which only the id is told. What tells us that id may come later, or be lost: then Stripe is
    /// asked for the name on it.
    pub(super) async fn owner_of_intent(&self, intent: &str) -> Result<Option<Owner>, EventError> {
        if let Some(owner) = self.owner(None, &[PaymentRef::Intent(intent)]).await? {
            return Ok(Some(owner));
        }
        match self.stripe.intent(intent).await {
            Ok(view) => Ok(self.owner(view.metadata().payment(), &[]).await?),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn take_intent(&self, event: &InboxEvent, view: &IntentView) -> Result<(), EventError> {
        let owner = self.owner(view.metadata().payment(), &[PaymentRef::Intent(&view.id)]).await?;
        let Some(owner) = owner else {
            return self.take_unknown(event, view).await;
        };
        let is_final = matches!(view.status(), IntentStatus::Succeeded | IntentStatus::Canceled);
        let view = if is_final { view.clone() } else { self.stripe.intent(&view.id).await? };
        self.take_found(event, owner, Found::Intent(view)).await
    }

    async fn take_session(&self, event: &InboxEvent, view: SessionView) -> Result<(), EventError> {
        match self.owner(view.metadata().payment(), &[PaymentRef::Session(&view.id)]).await? {
            Some(owner) => self.take_found(event, owner, Found::Session(view)).await,
            None => self.settle(event).await,
        }
    }

    async fn take_found(&self, event: &InboxEvent, owner: Owner, found: Found) -> Result<(), EventError> {
        let order = load(&*self.store, owner.0).await?;
        let news = match order.payments.iter().find(|one| one.id == owner.1) {
            // Another page with its name decides nothing: the shopper was sent to the payment's own.
            Some(payment) if is_other_page(payment, &found) => Vec::new(),
            // Where a payment that is over can still be paid, this closes it.
            Some(payment) => self.asker.follow(&order, payment, found, now_ms()).await?,
            None => Vec::new(),
        };
        self.apply(&*self.store, owner.0, &news, &ClaimUse::None, Some(&event.id)).await?;
        Ok(())
    }

    /// An intent that no payment stands for. With our order's name on it, it is money that the books lack.
    async fn take_unknown(&self, event: &InboxEvent, view: &IntentView) -> Result<(), EventError> {
        if let (IntentStatus::Succeeded, Some(order)) = (view.status(), view.metadata().order()) {
            error!(order.id = %order, intent.id = view.id, "a charge has no payment in the books");
            self.store.record_break(&unknown_charge(view, order), now_ms()).await?;
        }
        self.settle(event).await
    }

    async fn take_refunded_charge(&self, event: &InboxEvent, charge: &ChargeView) -> Result<(), EventError> {
        let Some(intent) = charge.payment_intent.as_deref() else {
            return self.settle(event).await;
        };
        let Some(owner) = self.owner_of_intent(intent).await? else {
            return self.settle(event).await;
        };
        // The event tells sums; which refunds they are of is asked.
        let refunds = self.stripe.refunds_of_intent(intent).await?;
        self.apply_refunds(owner, &refunds.data, Some(&event.id)).await?;
        Ok(())
    }

    async fn take_refund(&self, event: &InboxEvent, view: RefundView) -> Result<(), EventError> {
        let owner = match (self.owner_of_refund(&view).await?, view.payment_intent.as_deref()) {
            (None, Some(intent)) => self.owner_of_intent(intent).await?,
            (owner, _) => owner,
        };
        match owner {
            Some(owner) => {
                self.apply_refunds(owner, &[view], Some(&event.id)).await?;
                Ok(())
            }
            None => self.settle(event).await,
        }
    }

    async fn take_dispute(&self, event: &InboxEvent, view: &DisputeView) -> Result<(), EventError> {
        let Some(intent) = view.payment_intent.as_deref() else {
            return self.settle(event).await;
        };
        let Some((order, payment)) = self.owner_of_intent(intent).await? else {
            return self.settle(event).await;
        };
        let mut told = of_dispute(payment, view);
        // Of two decisions the first may be told last, or with the other at once, when neither is in the books yet.
        if told.state.is_decided() || load(&*self.store, order).await?.is_overturned_by(&told) {
            match self.stripe.dispute(&view.id).await {
                Ok(now) => told = of_dispute(payment, &now),
                // Then the event is all that can be known; asked for again and again, it would never be taken.
                Err(fault @ StripeError::Forbidden(_)) => {
                    warn!(order.id = %order, dispute.id = view.id, error = %fault, "a dispute is taken as it was told");
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        self.apply(&*self.store, order, &[News::Dispute(told)], &ClaimUse::None, Some(&event.id)).await?;
        Ok(())
    }

    async fn settle(&self, event: &InboxEvent) -> Result<(), EventError> {
        debug!(event.id = event.id, event.kind = event.kind, "a webhook means nothing here");
        Ok(self.store.settle_event(&event.id, now_ms()).await?)
    }
}

fn is_other_page(payment: &Payment, found: &Found) -> bool {
    matches!((found, &payment.session), (Found::Session(view), Some(own)) if view.id != *own)
}

pub(super) fn unknown_charge(view: &IntentView, order: OrderId) -> FoundBreak {
    let detail = breaks::unknown_charge(view.received(), order);
    FoundBreak { kind: BreakKind::UnknownCharge, reference: view.id.clone(), detail }
}

/// The object that an event is about. The error says nothing of what stands there.
fn object<T: DeserializeOwned>(event: &InboxEvent) -> Result<T, EventError> {
    let drifted = |error: serde_json::Error| {
        EventError::Drifted(format!("{:?} at line {} column {}", error.classify(), error.line(), error.column()))
    };
    let body: Body = serde_json::from_slice(&event.body).map_err(drifted)?;
    serde_json::from_value(body.data.object).map_err(drifted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &str) -> InboxEvent {
        InboxEvent { id: "evt_1".into(), kind: "refund.updated".into(), body: body.into(), tries: 0 }
    }

    #[test]
    fn a_body_that_drifted_is_told_without_what_stands_in_it() {
        let body = r#"{"data":{"object":{"id":"re_1","amount":"jane@example.org","currency":"eur"}}}"#;
        for body in [body, r#"{"data":{}}"#, "jane@example.org", ""] {
            let fault = object::<RefundView>(&event(body)).expect_err("no refund");
            assert!(fault.is_final() && !fault.to_string().contains("jane"), "{fault}");
        }
    }

    #[test]
    fn only_what_would_fail_again_is_final() {
        assert!(!EventError::Stripe(StripeError::RateLimited).is_final());
        assert!(!EventError::Stripe(StripeError::Unknown("reset".into())).is_final());
        assert!(!EventError::Store(StoreError::Unavailable("away".into())).is_final());
    }
}
