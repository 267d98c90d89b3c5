//! Asks Stripe for what a payment needs, and follows what it finds.

use tracing::{error, warn};

use super::lookup::{SAME_KEY_MS, is_silent};
use super::news::{is_wanted, of_failure, of_intent, of_session};
use crate::domain::{IntentStatus, News, Order, Payment, PaymentMethod};
use crate::stripe::{Client, IntentView, SessionStatus, SessionView, StripeError};

/// Why a payment is over that Stripe never made.
pub(super) const NEVER_MADE: &str = "never_made";

/// What stands for a payment at Stripe.
pub(super) enum Found {
    Intent(IntentView),
    Session(SessionView),
}

/// Takes single steps at Stripe for payments and refunds. It knows no store: what it hears, others write down.
pub(super) struct Asker {
    pub(super) stripe: Client,
}

impl Asker {
    /// One step with a payment that may still succeed: what Stripe says about it now. An error means that nothing new is
    /// known.
    pub(super) async fn look(&self, order: &Order, payment: &Payment, now_ms: i64) -> Result<Vec<News>, StripeError> {
        let is_known = payment.intent.is_some() || payment.session.is_some();
        if !is_known {
            return self.look_unanswered(order, payment, now_ms).await;
        }
        let heard = match self.retrieve(payment).await {
            Ok(found) => self.follow(order, payment, found, now_ms).await,
            Err(error) => Err(error),
        };
        match heard {
            Err(error) if error.is_missing() => self.look_missing(order, payment, now_ms).await,
            heard => heard,
        }
    }

    /// Stripe does not know what it told of before: it may be found by our name on it.
    async fn look_missing(&self, order: &Order, payment: &Payment, now_ms: i64) -> Result<Vec<News>, StripeError> {
        error!(order.id = %order.id, payment.id = %payment.id, "Stripe does not know a payment that it told of");
        match self.look_up_near(payment).await? {
            Some(found) => self.follow(order, payment, found, now_ms).await,
            None => Ok(vec![News::PaymentMissing { payment: payment.id }]),
        }
    }

    /// Makes what the payment needs: the same however often it is called while Stripe keeps the key.
    pub(super) async fn make(&self, order: &Order, payment: &Payment) -> Result<Found, StripeError> {
        match payment.method {
            PaymentMethod::PaymentIntent => self.stripe.create_intent(order, payment).await.map(Found::Intent),
            PaymentMethod::HostedPage => self.stripe.create_session(order, payment).await.map(Found::Session),
        }
    }

    /// What is found means this; where the order does not want the payment any more, it is closed.
    pub(super) async fn follow(
        &self,
        order: &Order,
        payment: &Payment,
        found: Found,
        now_ms: i64,
    ) -> Result<Vec<News>, StripeError> {
        let is_wanted = is_wanted(order, payment, now_ms);
        match found {
            Found::Intent(view) if is_wanted || view.status() != IntentStatus::RequiresAction => {
                Ok(vec![of_intent(payment.id, &view)])
            }
            // Stripe cancels the intent of a hosted page only with its session.
            Found::Intent(view) if payment.method == PaymentMethod::HostedPage => {
                match self.stripe.session_of_intent(&view.id).await? {
                    Some(session) => self.close_session(payment, &session.id).await,
                    None => self.close_intent(payment, &view.id).await,
                }
            }
            Found::Intent(view) => self.close_intent(payment, &view.id).await,
            Found::Session(view) => match view.status {
                SessionStatus::Open if is_wanted => Ok(vec![of_session(payment.id, &view)]),
                SessionStatus::Open => self.close_session(payment, &view.id).await,
                SessionStatus::Complete | SessionStatus::Expired => self.follow_page(payment, &view, is_wanted).await,
            },
        }
    }

    /// Stripe was asked, or may have been, and has not said anything yet.
    async fn look_unanswered(&self, order: &Order, payment: &Payment, now_ms: i64) -> Result<Vec<News>, StripeError> {
        if now_ms - payment.created_ms < SAME_KEY_MS {
            match self.make(order, payment).await {
                Ok(found) => return self.follow(order, payment, found, now_ms).await,
                // The key brings nothing new: what was made is to be found otherwise.
                Err(StripeError::Failed5xx { replayed: true, .. }) => {}
                Err(error @ StripeError::KeyMisused { .. }) => {
                    error!(order.id = %order.id, payment.id = %payment.id, error = %error, "two requests had one key");
                }
                Err(error) => {
                    warn_of(order, payment, &error);
                    return Ok(vec![of_failure(payment.id, &error)]);
                }
            }
        }
        match self.look_up(payment).await? {
            Some(found) => self.follow(order, payment, found, now_ms).await,
            None if is_silent(payment, now_ms) => {
                Ok(vec![News::PaymentDead { payment: payment.id, failure: NEVER_MADE.to_owned() }])
            }
            None => Ok(vec![News::PaymentUnanswered { payment: payment.id }]),
        }
    }

    async fn retrieve(&self, payment: &Payment) -> Result<Found, StripeError> {
        match (&payment.session, &payment.intent) {
            (Some(session), _) if payment.method == PaymentMethod::HostedPage => {
                self.stripe.session(session).await.map(Found::Session)
            }
            // A webhook told of the intent before the session's own answer came.
            (None, Some(intent)) if payment.method == PaymentMethod::HostedPage => {
                match self.stripe.session_of_intent(intent).await? {
                    Some(session) => Ok(Found::Session(session)),
                    None => self.stripe.intent(intent).await.map(Found::Intent),
                }
            }
            (_, Some(intent)) => self.stripe.intent(intent).await.map(Found::Intent),
            (Some(session), None) => self.stripe.session(session).await.map(Found::Session),
            (None, None) => Err(StripeError::NotSent("the payment has no id of Stripe's".to_owned())),
        }
    }
}

pub(super) fn warn_of(order: &Order, payment: &Payment, error: &StripeError) {
    warn!(order.id = %order.id, payment.id = %payment.id, error = %error, "Stripe did not answer for a payment");
}
