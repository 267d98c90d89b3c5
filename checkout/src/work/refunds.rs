//! Asks Stripe to give money back: once, whatever happens to the request.

use tracing::warn;

use super::asking::{Asker, NEVER_MADE};
use super::lookup::{SAME_KEY_MS, is_refund_silent};
use super::news::of_refund;
use crate::domain::{News, Order, Refund, RefundState};
use crate::stripe::{RefundView, StripeError};

impl Asker {
    /// One step with a refund: what Stripe says about it now. An error means that nothing new is known.
    pub(super) async fn look_at_refund(
        &self,
        order: &Order,
        refund: &Refund,
        now_ms: i64,
    ) -> Result<Vec<News>, StripeError> {
        let known = refund.stripe_refund.as_deref();
        match (refund.state, known) {
            (RefundState::Succeeded | RefundState::Failed, _) => Ok(Vec::new()),
            (_, Some(id)) => Ok(vec![of_refund(refund.payment, &self.stripe.refund(id).await?)]),
            (_, None) => self.make_refund(order, refund, now_ms).await,
        }
    }

    async fn make_refund(&self, order: &Order, refund: &Refund, now_ms: i64) -> Result<Vec<News>, StripeError> {
        let payment = order.payments.iter().find(|one| one.id == refund.payment);
        let Some(intent) = payment.and_then(|one| one.intent.as_deref()) else {
            // Money that was captured has an intent, so this is a bug; the refund stays open for a person to see.
            return Err(StripeError::NotSent("the refund's payment has no intent".to_owned()));
        };
        let may_ask = now_ms - refund.created_ms < SAME_KEY_MS;
        // The first request needs no look before it: its key tells what an earlier one did.
        let is_first = may_ask && refund.state == RefundState::Requesting && refund.checks == 0;
        if !is_first && let Some(view) = self.find_refund(refund, intent).await? {
            return Ok(vec![of_refund(refund.payment, &view)]);
        }
        let unanswered = News::RefundUnanswered { refund: refund.id };
        let never_made = News::RefundRefused { refund: refund.id, failure: NEVER_MADE.to_owned() };
        let silence = if is_refund_silent(refund, now_ms) { never_made } else { unanswered.clone() };
        if !may_ask {
            return Ok(vec![silence]);
        }
        let news = match self.stripe.create_refund(refund, intent).await {
            Ok(view) => of_refund(refund.payment, &view),
            Err(error) if error.is_undone() => return Err(error),
            Err(StripeError::Refused { code, .. }) => {
                warn!(order.id = %order.id, refund.id = %refund.id, stripe.code = code, "Stripe refused a refund");
                News::RefundRefused { refund: refund.id, failure: code }
            }
            // The key brings nothing new, and nothing was found above.
            Err(StripeError::Failed5xx { replayed: true, .. } | StripeError::KeyMisused { .. }) => silence,
            Err(error) => {
                warn!(order.id = %order.id, refund.id = %refund.id, error = %error, "a refund was not answered");
                unanswered
            }
        };
        Ok(vec![news])
    }

    async fn find_refund(&self, refund: &Refund, intent: &str) -> Result<Option<RefundView>, StripeError> {
        let page = self.stripe.refunds_of_intent(intent).await?;
        Ok(page.data.into_iter().find(|view| view.metadata().refund() == Some(refund.id)))
    }
}
