//! Drives an order for a client who waits for its answer.

use std::time::Duration;

use tracing::warn;

use super::asking::warn_of;
use super::{Work, now_ms};
use crate::domain::{News, Order, Payment, Refusal};
use crate::fail_points;
use crate::ids::{OrderId, PaymentId, RefundId};
use crate::store::{ClaimUse, Claimed, Lane, Store, StoreError, Terms};

/// How long the database may take at the least to write what Stripe said, whatever it took of the request before. Stripe has
/// done it by then: thrown away, it is known only once recovery has asked again.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

impl Work {
    /// Asks Stripe for what a payment needs, or how it stands where it is known, and applies what Stripe says. The order, its
    /// hold and the payment were committed before: whatever happens here, recovery finds them. `store` is as the client
    /// has it who waits.
    ///
    /// # Errors
    /// The store's. What Stripe does is never an error: it becomes news, and recovery goes on from there.
    pub async fn pay(
        &self,
        store: &dyn Store,
        order: OrderId,
        payment: PaymentId,
        finish: &ClaimUse<'_, Order>,
    ) -> Result<Claimed<Order>, StoreError> {
        let found = load(store, order).await?;
        let Some(wanted) = found.payments.iter().find(|one| one.id == payment) else {
            return Err(Refusal::NotFound("payment").into());
        };
        let news = if wanted.state.is_live() { self.hear(&found, wanted).await } else { Vec::new() };
        fail_points::reach(fail_points::STRIPE_ANSWERED);
        let done = self.write(store, order, &news, finish).await?;
        fail_points::reach(fail_points::PAYMENT_COMMITTED);
        Ok(done)
    }

    /// Cancels at Stripe what may still be paid, and applies what Stripe says: the stock is free once Stripe confirms. That
    /// somebody wants it cancelled was committed before.
    ///
    /// # Errors
    /// The store's.
    pub async fn cancel(
        &self,
        store: &dyn Store,
        order: OrderId,
        finish: &ClaimUse<'_, Order>,
    ) -> Result<Claimed<Order>, StoreError> {
        let found = load(store, order).await?;
        let mut news = Vec::new();
        for payment in found.payments.iter().filter(|one| one.state.is_live()) {
            news.extend(self.hear(&found, payment).await);
        }
        fail_points::reach(fail_points::CANCEL_ANSWERED);
        self.write(store, order, &news, finish).await
    }

    /// Asks Stripe for a refund that was committed before, and applies what Stripe says.
    ///
    /// # Errors
    /// The store's.
    pub async fn refund(
        &self,
        store: &dyn Store,
        order: OrderId,
        refund: RefundId,
        finish: &ClaimUse<'_, Order>,
    ) -> Result<Claimed<Order>, StoreError> {
        let found = load(store, order).await?;
        let Some(wanted) = found.refunds.iter().find(|one| one.id == refund) else {
            return Err(Refusal::NotFound("refund").into());
        };
        let news = match self.asker.look_at_refund(&found, wanted, now_ms()).await {
            Ok(news) => news,
            Err(error) => {
                warn!(order.id = %order, refund.id = %refund, error = %error, "Stripe did not answer for a refund");
                Vec::new()
            }
        };
        fail_points::reach(fail_points::REFUND_ANSWERED);
        self.write(store, order, &news, finish).await
    }

    /// Applies what Stripe said, in the time that is left, or in its own where that is more.
    async fn write(
        &self,
        store: &dyn Store,
        order: OrderId,
        news: &[News],
        finish: &ClaimUse<'_, Order>,
    ) -> Result<Claimed<Order>, StoreError> {
        let time = store.time_left().max(WRITE_PATIENCE);
        let store = store.with_terms(Terms::together(Lane::Begun, time));
        self.apply(&*store, order, news, finish, None).await
    }

    /// What Stripe says about a payment; nothing where it does not answer.
    async fn hear(&self, order: &Order, payment: &Payment) -> Vec<News> {
        self.asker.look(order, payment, now_ms()).await.unwrap_or_else(|error| {
            warn_of(order, payment, &error);
            Vec::new()
        })
    }
}

/// The order, from the primary.
pub(super) async fn load(store: &dyn Store, order: OrderId) -> Result<Order, StoreError> {
    store.order(order).await?.ok_or_else(|| Refusal::NotFound("order").into())
}
