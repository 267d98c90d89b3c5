//! Finds what was made for a payment when its key does not tell: by the time that it was made in, and our name on it.

use super::asking::{Asker, Found};
use crate::domain::{Payment, PaymentMethod, PaymentState, Refund, RefundState};
use crate::ids::PaymentId;
use crate::stripe::{StripeError, Window};

const MINUTE_MS: i64 = 60_000;
/// Stripe forgets a key after 24 hours at the earliest; a request that is repeated later could do its work twice.
pub(super) const SAME_KEY_MS: i64 = 23 * 60 * MINUTE_MS;
/// Clocks differ, and requests take time.
const MARGIN_MS: i64 = 5 * MINUTE_MS;
/// A request that was sent so long ago is not under way any more.
const QUIET_MS: i64 = MINUTE_MS;
/// Checks double their distance from two seconds: after four without news, thirty seconds have passed since the outcome became
/// unknown, and the fifth comes after a minute.
const QUIET_CHECKS: u32 = 4;
/// Pages of a hundred objects that one step reads of a window.
const MAX_PAGES: usize = 200;

impl Asker {
    /// What was made for a payment. None means that Stripe lists nothing of it.
    ///
    /// # Errors
    /// Also when there is more to read than a step may: then it is not known.
    pub(super) async fn look_up(&self, payment: &Payment) -> Result<Option<Found>, StripeError> {
        match self.look_up_near(payment).await? {
            None => self.look_up_in(payment, rest(payment.created_ms)).await,
            found => Ok(found),
        }
    }

    /// The same among what was made at once, as most is: a look that is repeated must not read all that was made in a day.
    ///
    /// # Errors
    /// As above.
    pub(super) async fn look_up_near(&self, payment: &Payment) -> Result<Option<Found>, StripeError> {
        self.look_up_in(payment, near(payment.created_ms)).await
    }

    async fn look_up_in(&self, payment: &Payment, window: Window) -> Result<Option<Found>, StripeError> {
        match payment.method {
            PaymentMethod::PaymentIntent => self.look_up_intent(payment.id, window).await,
            PaymentMethod::HostedPage => self.look_up_session(payment.id, window).await,
        }
    }

    async fn look_up_intent(&self, payment: PaymentId, window: Window) -> Result<Option<Found>, StripeError> {
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let page = self.stripe.intents(window, after.as_deref()).await?;
            after = page.data.last().map(|last| last.id.clone());
            if let Some(view) = page.data.into_iter().find(|view| view.metadata().payment() == Some(payment)) {
                return Ok(Some(Found::Intent(view)));
            }
            if !page.has_more || after.is_none() {
                return Ok(None);
            }
        }
        Err(too_many())
    }

    async fn look_up_session(&self, payment: PaymentId, window: Window) -> Result<Option<Found>, StripeError> {
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let page = self.stripe.sessions(window, after.as_deref()).await?;
            after = page.data.last().map(|last| last.id.clone());
            if let Some(view) = page.data.into_iter().find(|view| view.metadata().payment() == Some(payment)) {
                return Ok(Some(Found::Session(view)));
            }
            if !page.has_more || after.is_none() {
                return Ok(None);
            }
        }
        Err(too_many())
    }
}

/// Whether it has been quiet for so long that what Stripe does not list will not come any more.
pub(super) fn is_silent(payment: &Payment, now_ms: i64) -> bool {
    let is_old = now_ms - payment.created_ms >= SAME_KEY_MS + QUIET_MS;
    is_old || (payment.state == PaymentState::Unknown && payment.checks >= QUIET_CHECKS)
}

/// Whether the same holds for a refund, which has the same checks.
pub(super) fn is_refund_silent(refund: &Refund, now_ms: i64) -> bool {
    let is_old = now_ms - refund.created_ms >= SAME_KEY_MS + QUIET_MS;
    is_old || (refund.state == RefundState::Unknown && refund.checks >= QUIET_CHECKS)
}

/// The minutes around, which are read first.
fn near(created_ms: i64) -> Window {
    Window { from_ms: created_ms - MARGIN_MS, to_ms: created_ms + MARGIN_MS }
}

/// As long as the request may be repeated after that.
fn rest(created_ms: i64) -> Window {
    Window { from_ms: created_ms + MARGIN_MS, to_ms: created_ms + SAME_KEY_MS + MARGIN_MS }
}

fn too_many() -> StripeError {
    StripeError::Unknown(format!("more than {MAX_PAGES} pages would have to be read"))
}
