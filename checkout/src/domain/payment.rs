//! An attempt to be paid. An order has at most one that may still succeed.

use serde::{Deserialize, Serialize};
use snapshots::Money;

use crate::ids::{OrderId, PaymentId};

/// A request that has not been answered by then never will be: Stripe's own limit is far below it.
const FIRST_CHECK_MS: i64 = 2_000;
const LAST_CHECK_MS: i64 = 60_000;
/// A webhook tells sooner; this finds those that never came.
const SHOPPER_CHECK_MS: i64 = 30_000;
const LAST_SHOPPER_CHECK_MS: i64 = 600_000;
/// Late methods take days.
const PROCESSING_CHECK_MS: i64 = 30_000;
const LAST_PROCESSING_CHECK_MS: i64 = 6 * 3_600_000;
/// The failure of a payment that Stripe does not know any more.
pub(super) const MISSING: &str = "missing_at_stripe";
/// Looks in vain after which such a payment is dead: about an hour, in which a person may see that the key is of another
/// account.
pub(super) const MISSING_CHECKS: u32 = 64;

/// How the shopper pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// The shop's own page confirms a payment intent with its client secret.
    PaymentIntent,
    /// The shopper pays on Stripe's page: a Checkout Session.
    HostedPage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Committed, and Stripe was not asked yet.
    Prepared,
    /// Stripe may have been asked.
    Requesting,
    /// The answer was missing or could not be read: whether the intent exists is to be found out.
    Unknown,
    /// The shopper has to pay, or to try another card, or to authenticate.
    RequiresAction,
    /// The shopper has done everything, and the money is under way.
    Processing,
    Succeeded,
    /// Stripe says that it will never succeed.
    Failed,
}

impl PaymentState {
    /// Whether money may still come of it.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Succeeded | Self::Failed)
    }

    /// States never go back: a late event that says less than is known changes nothing. Unknown, Requesting and Prepared
    /// are below all that Stripe says; RequiresAction and Processing may alternate, since a late method can fail and the
    /// shopper try another.
    pub(super) fn may_become(self, next: Self) -> bool {
        match (self, next) {
            // Money that came all the same is money: what was thought dead was not.
            (Self::Failed, next) => next == Self::Succeeded,
            (Self::Succeeded, _) => false,
            // A request that may have been done stays one, though a later try of it was certainly not done.
            (Self::Unknown, Self::Prepared | Self::Requesting) => false,
            (Self::RequiresAction | Self::Processing, next) => !next.is_unanswered(),
            (_, _) => true,
        }
    }

    /// Stripe has not said anything about it yet.
    pub fn is_unanswered(self) -> bool {
        matches!(self, Self::Prepared | Self::Requesting | Self::Unknown)
    }
}

/// Stripe's word for where an intent stands (<https://docs.stripe.com/payments/paymentintents/lifecycle>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentStatus {
    /// requires_payment_method, requires_confirmation, requires_action
    RequiresAction,
    /// processing, and requires_capture, where the money is reserved
    Processing,
    Succeeded,
    Canceled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Also the idempotency key that Stripe gets, and in the intent's metadata.
    pub id: PaymentId,
    pub order: OrderId,
    pub method: PaymentMethod,
    pub state: PaymentState,
    pub amount: Money,
    /// Stripe's ids, once they are known.
    pub intent: Option<String>,
    pub session: Option<String>,
    pub client_secret: Option<String>,
    /// The hosted page to send the shopper to.
    pub hosted_url: Option<String>,
    /// Where the hosted page sends the shopper afterwards.
    pub return_url: Option<String>,
    pub captured_minor: i64,
    /// Refunds that succeeded or may succeed. Never more than was captured.
    pub refunded_minor: i64,
    /// Why it failed, or why the last card was refused: a code of Stripe's.
    pub failure: Option<String>,
    pub created_ms: i64,
    /// When recovery looks at it next; None where nothing is left to do.
    pub next_check_ms: Option<i64>,
    /// How often recovery looked since the state changed.
    pub checks: u32,
}

impl Payment {
    /// Keeps why the last card was refused, which says nothing any more once the money is there.
    pub(super) fn note_failure(&mut self, failure: Option<&str>) {
        if let (Some(failure), true) = (failure, self.state != PaymentState::Succeeded) {
            self.failure = Some(failure.to_owned());
        }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.failure.as_deref() == Some(MISSING)
    }

    /// Stripe knows it after all.
    pub(super) fn forget_missing(&mut self) {
        if self.is_missing() {
            self.failure = None;
        }
    }

    /// Says when recovery looks next, later each time that nothing changed; for one that waits for the shopper, at the
    /// end of the hold at the latest.
    pub fn schedule(&mut self, held_until_ms: i64, now_ms: i64) {
        self.next_check_ms = match self.state {
            PaymentState::Succeeded | PaymentState::Failed => None,
            // Whatever it would wait for otherwise, Stripe tells nothing of it.
            _ if self.is_missing() => Some(now_ms + later(FIRST_CHECK_MS, LAST_CHECK_MS, self.checks)),
            PaymentState::Prepared | PaymentState::Requesting | PaymentState::Unknown => {
                Some(now_ms + later(FIRST_CHECK_MS, LAST_CHECK_MS, self.checks))
            }
            PaymentState::RequiresAction if now_ms < held_until_ms => {
                Some((now_ms + later(SHOPPER_CHECK_MS, LAST_SHOPPER_CHECK_MS, self.checks)).min(held_until_ms))
            }
            // The hold is over, and Stripe did not cancel it yet.
            PaymentState::RequiresAction => Some(now_ms + later(FIRST_CHECK_MS, LAST_CHECK_MS, self.checks)),
            PaymentState::Processing => {
                Some(now_ms + later(PROCESSING_CHECK_MS, LAST_PROCESSING_CHECK_MS, self.checks))
            }
        };
    }
}

/// `first_ms` doubled with each check, up to `last_ms`.
pub(super) fn later(first_ms: i64, last_ms: i64, checks: u32) -> i64 {
    first_ms.saturating_mul(1 << checks.min(30)).min(last_ms)
}
