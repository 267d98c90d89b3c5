//! Turns what Stripe says into news, and applies news.

use super::{Work, now_ms};
use crate::domain::{Dispute, Effects, News, Order, OrderState, Payment, Refusal, StockEffect};
use crate::ids::{OrderId, PaymentId};
use crate::store::{ClaimUse, Claimed, Store, StoreError};
use crate::stripe::{DisputeView, IntentView, RefundView, SessionView, StripeError};

impl Work {
    /// Applies news in one transaction, with the answer to a client or an event of the inbox where it is for one. Without
    /// news, the clock still has its say.
    pub(super) async fn apply(
        &self,
        store: &dyn Store,
        order: OrderId,
        news: &[News],
        finish: &ClaimUse<'_, Order>,
        event: Option<&str>,
    ) -> Result<Claimed<Order>, StoreError> {
        let now = now_ms();
        let change = |order: &mut Order| take_in(order, news, now);
        let done = store.change_order(order, &change, finish, None, event, now).await?;
        self.outbox_filled.notify_one();
        Ok(done)
    }
}

/// Takes in several pieces of news, as one change.
pub(super) fn take_in(order: &mut Order, news: &[News], now_ms: i64) -> Result<Effects, Refusal> {
    let mut all = Effects::default();
    for one in news.iter().chain([&News::HoldOver]) {
        let effects = order.apply(one, now_ms)?;
        if effects.stock != StockEffect::Keep {
            all.stock = effects.stock;
        }
        all.events.extend(effects.events);
        all.breaks.extend(effects.breaks);
    }
    Ok(all)
}

/// Whether the order still wants this payment to come to something.
pub(super) fn is_wanted(order: &Order, payment: &Payment, now_ms: i64) -> bool {
    let may_be_paid = order.state == OrderState::PendingPayment && !order.cancel_requested;
    may_be_paid && payment.state.is_live() && now_ms < order.held_until_ms
}

pub(super) fn of_intent(payment: PaymentId, view: &IntentView) -> News {
    News::Intent {
        payment,
        intent: view.id.clone(),
        status: view.status(),
        received: view.received(),
        client_secret: view.client_secret.clone(),
        failure: view.failure(),
    }
}

pub(super) fn of_session(payment: PaymentId, view: &SessionView) -> News {
    News::Session { payment, session: view.id.clone(), hosted_url: view.url.clone() }
}

pub(super) fn of_refund(payment: PaymentId, view: &RefundView) -> News {
    News::Refund {
        refund: view.metadata().refund(),
        payment,
        stripe_refund: view.id.clone(),
        state: view.status.0,
        amount: view.amount(),
        failure: view.failure_reason.clone(),
    }
}

pub(super) fn of_dispute(payment: PaymentId, view: &DisputeView) -> Dispute {
    Dispute { id: view.id.clone(), payment, state: view.state() }
}

/// What it means for a payment that Stripe was asked to make it and did not answer well.
pub(super) fn of_failure(payment: PaymentId, error: &StripeError) -> News {
    match error {
        StripeError::Settings(_) | StripeError::NotSent(_) | StripeError::Forbidden(_) | StripeError::RateLimited => {
            News::PaymentDeferred { payment }
        }
        StripeError::Refused { code, .. } => News::PaymentDead { payment, failure: code.clone() },
        StripeError::Busy { .. }
        | StripeError::KeyMisused { .. }
        | StripeError::Failed5xx { .. }
        | StripeError::Unknown(_) => News::PaymentUnanswered { payment },
    }
}
