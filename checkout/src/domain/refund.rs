//! Money that goes back.

use serde::{Deserialize, Serialize};
use snapshots::Money;

use super::payment::{Payment, later};
use crate::ids::{OrderId, PaymentId, RefundId};

const FIRST_CHECK_MS: i64 = 2_000;
const LAST_CHECK_MS: i64 = 60_000;
const PENDING_CHECK_MS: i64 = 60_000;
const LAST_PENDING_CHECK_MS: i64 = 6 * 3_600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// Committed; Stripe may have been asked.
    Requesting,
    /// The answer was missing or could not be read.
    Unknown,
    /// Stripe has it, and the bank has not confirmed.
    Pending,
    Succeeded,
    /// Stripe or the bank refused: the money is still here.
    Failed,
}

impl RefundState {
    /// Whether the money counts as given back. One that may still succeed does.
    pub fn counts(self) -> bool {
        self != Self::Failed
    }

    /// A bank may return the money of a refund that had succeeded, so that Failed comes last; it is final.
    pub(super) fn may_become(self, next: Self) -> bool {
        self.rank() < next.rank()
    }

    fn rank(self) -> u8 {
        match self {
            Self::Requesting => 0,
            Self::Unknown => 1,
            Self::Pending => 2,
            Self::Succeeded => 3,
            Self::Failed => 4,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Also the idempotency key that Stripe gets, and in the refund's metadata.
    pub id: RefundId,
    pub order: OrderId,
    pub payment: PaymentId,
    pub state: RefundState,
    pub amount: Money,
    /// Stripe's id, once it is known.
    pub stripe_refund: Option<String>,
    /// Why, in the words of who asked for it.
    pub reason: Option<String>,
    /// Why it failed: a code of Stripe's.
    pub failure: Option<String>,
    pub created_ms: i64,
    pub next_check_ms: Option<i64>,
    pub checks: u32,
}

impl Refund {
    pub(super) fn new(id: RefundId, payment: &Payment, amount: Money, reason: Option<String>, now_ms: i64) -> Self {
        let mut refund = Self {
            id,
            order: payment.order,
            payment: payment.id,
            state: RefundState::Requesting,
            amount,
            stripe_refund: None,
            reason,
            failure: None,
            created_ms: now_ms,
            next_check_ms: None,
            checks: 0,
        };
        refund.schedule(now_ms);
        refund
    }

    /// Says when recovery looks next, later each time that nothing changed.
    pub fn schedule(&mut self, now_ms: i64) {
        self.next_check_ms = match self.state {
            RefundState::Requesting | RefundState::Unknown => {
                Some(now_ms + later(FIRST_CHECK_MS, LAST_CHECK_MS, self.checks))
            }
            RefundState::Pending => Some(now_ms + later(PENDING_CHECK_MS, LAST_PENDING_CHECK_MS, self.checks)),
            RefundState::Succeeded | RefundState::Failed => None,
        };
    }
}
