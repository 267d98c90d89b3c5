//! Takes away the means to pay for what the order does not want any more. Only what Stripe confirms counts: whoever paid in
//! the last moment has paid.

use super::asking::Asker;
use super::news::{of_intent, of_session};
use crate::domain::{IntentStatus, News, Payment};
use crate::stripe::{SessionStatus, SessionView, StripeError};

/// Why a payment is over whose hosted page was closed.
const EXPIRED: &str = "expired";

impl Asker {
    pub(super) async fn close_intent(&self, payment: &Payment, intent: &str) -> Result<Vec<News>, StripeError> {
        let view = match self.stripe.cancel_intent(intent).await {
            // It went further meanwhile, or was cancelled before.
            Err(StripeError::Refused { .. }) => self.stripe.intent(intent).await?,
            other => other?,
        };
        Ok(vec![of_intent(payment.id, &view)])
    }

    pub(super) async fn close_session(&self, payment: &Payment, session: &str) -> Result<Vec<News>, StripeError> {
        let view = match self.stripe.expire_session(session).await {
            // It is complete, or expired before.
            Err(StripeError::Refused { .. }) => self.stripe.session(session).await?,
            other => other?,
        };
        match view.status {
            SessionStatus::Open => Ok(vec![of_session(payment.id, &view)]),
            SessionStatus::Complete | SessionStatus::Expired => self.follow_page(payment, &view, false).await,
        }
    }

    /// Nobody can begin to pay on a page that is expired or complete: its intent says what came of it. After a complete page
    /// the money may be under way, or wait for the shopper to pay a voucher; a method that failed ends it.
    pub(super) async fn follow_page(
        &self,
        payment: &Payment,
        page: &SessionView,
        is_wanted: bool,
    ) -> Result<Vec<News>, StripeError> {
        let mut news = vec![of_session(payment.id, page)];
        let is_expired = page.status == SessionStatus::Expired;
        let Some(id) = page.payment_intent.as_deref().or(payment.intent.as_deref()) else {
            if is_expired {
                news.push(News::PaymentDead { payment: payment.id, failure: EXPIRED.to_owned() });
            }
            return Ok(news);
        };
        let mut intent = self.stripe.intent(id).await?;
        let is_over = is_expired || intent.wants_method();
        if intent.status() == IntentStatus::RequiresAction && (is_over || !is_wanted) {
            intent = match self.stripe.cancel_intent(id).await {
                // Stripe cancels the intents of most sessions by itself, and forbids others to do it.
                Err(StripeError::Refused { .. }) => self.stripe.intent(id).await?,
                other => other?,
            };
        }
        news.push(of_intent(payment.id, &intent));
        if is_over && intent.status() == IntentStatus::RequiresAction {
            let failure = intent.failure().unwrap_or_else(|| EXPIRED.to_owned());
            news.push(News::PaymentDead { payment: payment.id, failure });
        }
        Ok(news)
    }
}
