//! An order with its payments and refunds: the unit that is locked, changed and written as one.

use serde::{Deserialize, Serialize};
use snapshots::{Currency, Money};
use thiserror::Error;

use super::checkout::{Checkout, CheckoutState, Line};
use super::dispute::{Dispute, DisputeState};
use super::payment::{Payment, PaymentMethod, PaymentState};
use super::refund::{Refund, RefundState};
use super::totals::chargeable;
use crate::ids::{CheckoutId, OrderId, PaymentId, RefundId};

/// Attempts to pay one order: whoever needs more is guessing cards.
pub const MAX_PAYMENTS: usize = 20;
pub const MAX_REFUNDS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    PendingPayment,
    Paid,
    PartiallyRefunded,
    Refunded,
    Cancelled,
}

/// A transition that others are told of. Each has a version of its own, by which they can be put into order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderEvent {
    #[serde(rename = "order.created")]
    Created,
    #[serde(rename = "order.paid")]
    Paid,
    #[serde(rename = "order.partially_refunded")]
    PartiallyRefunded,
    #[serde(rename = "order.refunded")]
    Refunded,
    #[serde(rename = "order.refund_failed")]
    RefundFailed,
    #[serde(rename = "order.cancelled")]
    Cancelled,
    #[serde(rename = "order.disputed")]
    Disputed,
    #[serde(rename = "order.dispute_closed")]
    DisputeClosed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub checkout: CheckoutId,
    pub checkout_state: CheckoutState,
    pub held_until_ms: i64,
    pub state: OrderState,
    /// Where its disputes stand together.
    pub dispute: DisputeState,
    /// In the order in which they were told.
    pub disputes: Vec<Dispute>,
    /// The number of transitions so far, which is also the version of the last event.
    pub version: u32,
    pub market: String,
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub total: Money,
    pub snapshot: String,
    pub email: Option<String>,
    pub shipping_address: Option<serde_json::Value>,
    pub token_hash: [u8; 32],
    /// Somebody wants it cancelled, which Stripe has to confirm.
    pub cancel_requested: bool,
    /// Oldest first.
    pub payments: Vec<Payment>,
    /// Oldest first.
    pub refunds: Vec<Refund>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

/// Why something cannot be done, which is not an error of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("the checkout is {0:?}")]
    CheckoutClosed(CheckoutState),
    #[error("prices and stock were kept until a moment that is over: make a new checkout")]
    HoldOver,
    #[error("it was changed meanwhile: its version is {current}")]
    VersionConflict { current: u32 },
    #[error("{product} is sold out: {available} of {wanted} are left")]
    SoldOut { product: String, wanted: u32, available: i64 },
    #[error("a payment is under way")]
    PaymentInProgress,
    #[error("there is nothing to pay")]
    NothingToPay,
    #[error("somebody asked for it to be cancelled")]
    CancelRequested,
    #[error("the order is {0:?}")]
    OrderIs(OrderState),
    #[error("at most {left} can be refunded")]
    RefundTooLarge { left: Money },
    #[error("an amount to refund is above zero, in the order's currency, and one that can be paid in it")]
    RefundAmount,
    #[error("there are too many {0}")]
    TooMany(&'static str),
    #[error("stock cannot be {0}")]
    StockOutOfBounds(i64),
}

impl Order {
    /// The order of a checkout that is to be paid.
    ///
    /// # Errors
    /// When the checkout cannot be paid any more, or costs nothing.
    pub fn of(checkout: &Checkout, id: OrderId, now_ms: i64) -> Result<Self, Refusal> {
        match checkout.state {
            CheckoutState::Open if now_ms >= checkout.held_until_ms => return Err(Refusal::HoldOver),
            CheckoutState::Open => {}
            CheckoutState::Expired => return Err(Refusal::HoldOver),
            state => return Err(Refusal::CheckoutClosed(state)),
        }
        if checkout.total.amount_minor() == 0 {
            return Err(Refusal::NothingToPay);
        }
        Ok(Self {
            id,
            checkout: checkout.id,
            checkout_state: CheckoutState::Completing,
            held_until_ms: checkout.held_until_ms,
            state: OrderState::PendingPayment,
            dispute: DisputeState::None,
            disputes: Vec::new(),
            version: 1,
            market: checkout.market.clone(),
            currency: checkout.currency,
            lines: checkout.lines.clone(),
            total: checkout.total,
            snapshot: checkout.snapshot.clone(),
            email: checkout.email.clone(),
            shipping_address: checkout.shipping_address.clone(),
            token_hash: checkout.token_hash,
            cancel_requested: false,
            payments: Vec::new(),
            refunds: Vec::new(),
            created_ms: now_ms,
            updated_ms: now_ms,
        })
    }

    /// Adds an attempt to be paid, which Stripe is to be asked for once it is committed.
    ///
    /// # Errors
    /// When another may still succeed, or the order is not to be paid any more.
    pub fn begin_payment(
        &mut self,
        id: PaymentId,
        method: PaymentMethod,
        return_url: Option<String>,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        if self.state != OrderState::PendingPayment {
            return Err(Refusal::OrderIs(self.state));
        }
        if self.cancel_requested {
            return Err(Refusal::CancelRequested);
        }
        if self.live_payment().is_some() {
            return Err(Refusal::PaymentInProgress);
        }
        if now_ms >= self.held_until_ms {
            return Err(Refusal::HoldOver);
        }
        if self.payments.len() >= MAX_PAYMENTS {
            return Err(Refusal::TooMany("payments"));
        }
        let mut payment = Payment {
            id,
            order: self.id,
            method,
            state: PaymentState::Requesting,
            amount: self.total,
            intent: None,
            session: None,
            client_secret: None,
            hosted_url: None,
            return_url,
            captured_minor: 0,
            refunded_minor: 0,
            failure: None,
            created_ms: now_ms,
            next_check_ms: None,
            checks: 0,
        };
        payment.schedule(self.held_until_ms, now_ms);
        self.payments.push(payment);
        self.updated_ms = now_ms;
        Ok(())
    }

    /// Adds a refund, which Stripe is to be asked for once it is committed.
    ///
    /// # Errors
    /// When nothing was captured, or less than the amount is left.
    pub fn begin_refund(
        &mut self,
        id: RefundId,
        amount: Option<Money>,
        reason: Option<String>,
        now_ms: i64,
    ) -> Result<(), Refusal> {
        // A charge that was not wanted goes back by itself; what staff give back is of the one that paid the order. Where
        // Stripe refused to give it back, nobody but staff can.
        let has_succeeded = |one: &Payment| one.state == PaymentState::Succeeded;
        let is_own = |one: &Payment| has_succeeded(one) && !self.is_unwanted(one.id);
        let is_left_over = |one: &Payment| has_succeeded(one) && one.captured_minor > one.refunded_minor;
        let place = match self.state.is_paid() {
            true => self.payments.iter().position(is_own),
            false => self.payments.iter().position(is_left_over),
        };
        let Some(place) = place else {
            return Err(Refusal::OrderIs(self.state));
        };
        if self.refunds.len() >= MAX_REFUNDS {
            return Err(Refusal::TooMany("refunds"));
        }
        let payment = &mut self.payments[place];
        let left = Money::from_minor(payment.captured_minor - payment.refunded_minor, self.currency);
        // Stripe takes no finer amounts.
        let is_payable = amount.is_none_or(|amount| chargeable(amount).is_ok_and(|nearest| nearest == amount));
        let amount = amount.unwrap_or(left);
        if amount.currency() != self.currency || amount.amount_minor() <= 0 || !is_payable {
            return Err(if left.amount_minor() == 0 {
                Refusal::RefundTooLarge { left }
            } else {
                Refusal::RefundAmount
            });
        }
        if amount.amount_minor() > left.amount_minor() {
            return Err(Refusal::RefundTooLarge { left });
        }
        payment.refunded_minor += amount.amount_minor();
        let refund = Refund::new(id, payment, amount, reason, now_ms);
        self.refunds.push(refund);
        self.updated_ms = now_ms;
        Ok(())
    }

    /// The attempt that may still succeed.
    pub fn live_payment(&self) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.state.is_live())
    }

    /// Money that was captured, and what of it went back for certain.
    pub fn captured_and_refunded(&self) -> (i64, i64) {
        let captured = self.payments.iter().map(|payment| payment.captured_minor).sum();
        let succeeded = self.refunds.iter().filter(|refund| refund.state == RefundState::Succeeded);
        (captured, succeeded.map(|refund| refund.amount.amount_minor()).sum())
    }

    /// Its disputes as stores keep them; None where there are none.
    pub(crate) fn disputes_as_json(&self) -> Option<String> {
        (!self.disputes.is_empty()).then(|| serde_json::json!(self.disputes).to_string())
    }

    /// What others are told with an event. Neither a name nor an address: subscribers ask for those who may see them.
    pub fn event_data(&self, version: u32) -> serde_json::Value {
        let (captured, refunded) = self.captured_and_refunded();
        serde_json::json!({
            "order": self.id,
            "version": version,
            "state": self.state,
            "dispute": self.dispute,
            "market": self.market,
            "snapshot": self.snapshot,
            "currency": self.currency.as_str(),
            "total_minor": self.total.amount_minor(),
            "captured_minor": captured,
            "refunded_minor": refunded,
            "lines": self.lines.iter().map(|line| serde_json::json!({
                "product": line.product,
                "quantity": line.quantity,
                "unit_price_minor": line.unit_price.amount_minor(),
            })).collect::<Vec<_>>(),
        })
    }
}

impl OrderState {
    /// Whether money was captured for it.
    pub fn is_paid(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded | Self::Refunded)
    }
}
