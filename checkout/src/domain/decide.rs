//! What news does to an order. News comes late, twice and in any order, so that each rule holds from every state.

use serde::{Deserialize, Serialize};
use snapshots::Money;

use super::breaks;
use super::checkout::CheckoutState;
use super::dispute::Dispute;
use super::order::{Order, OrderEvent, OrderState, Refusal};
use super::payment::{IntentStatus, MISSING, MISSING_CHECKS, Payment, PaymentState};
use super::refund::{Refund, RefundState};
use crate::ids::{PaymentId, RefundId};

/// What Stripe, the shopper or the clock has to say about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The intent of a payment, as Stripe told it.
    Intent {
        payment: PaymentId,
        intent: String,
        status: IntentStatus,
        /// What was received of the shopper.
        received: Money,
        client_secret: Option<String>,
        /// Why the last card was refused.
        failure: Option<String>,
    },
    /// The hosted page of a payment, as Stripe told it. Whether it is paid is told by its intent.
    Session {
        payment: PaymentId,
        session: String,
        hosted_url: Option<String>,
    },
    /// Stripe was asked, and what it did is not known.
    PaymentUnanswered {
        payment: PaymentId,
    },
    /// Stripe was not asked, since it is overloaded or down; it will be.
    PaymentDeferred {
        payment: PaymentId,
    },
    /// Stripe says that nothing will come of it: it refused to make it, never made it, or closed it.
    PaymentDead {
        payment: PaymentId,
        failure: String,
    },
    /// Stripe told of its intent or its page before, and knows neither of them now.
    PaymentMissing {
        payment: PaymentId,
    },
    /// A refund as Stripe told it, ours or one that was made in Stripe's dashboard.
    Refund {
        /// Ours, where Stripe's metadata name it.
        refund: Option<RefundId>,
        payment: PaymentId,
        stripe_refund: String,
        state: RefundState,
        amount: Money,
        failure: Option<String>,
    },
    /// Stripe was asked for a refund, and what it did is not known.
    RefundUnanswered {
        refund: RefundId,
    },
    /// Stripe refused to make a refund.
    RefundRefused {
        refund: RefundId,
        failure: String,
    },
    Dispute(Dispute),
    /// Somebody wants it cancelled.
    CancelRequested,
    /// The moment may be over until which stock is held.
    HoldOver,
}

/// What becomes of the stock that is held for an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StockEffect {
    #[default]
    Keep,
    /// It is sold: it leaves the stock.
    Sell,
    /// It can be sold to others.
    Release,
}

/// Something that should not have happened, for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedBreak {
    pub kind: BreakKind,
    /// The payment's id, or Stripe's of what came besides. The same kind and reference is one break.
    pub reference: String,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// A payment succeeded after its order was cancelled; it is refunded.
    ChargedAfterCancel,
    /// A second payment of an order succeeded; it is refunded.
    ChargedTwice,
    /// Another amount was received than was asked for.
    AmountDiffers,
    /// More was refunded at Stripe than was captured by our books.
    RefundedTooMuch,
    /// Money that no payment of ours stands for.
    UnknownCharge,
    /// A payment of ours that Stripe does not know, or not any more.
    MissingCharge,
    /// Found by comparing with Stripe: a refund that our books lack, or have otherwise.
    RefundDiffers,
}

/// What is to be written beside the order itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub stock: StockEffect,
    /// One for each transition, in their order. The last has the order's version.
    pub events: Vec<OrderEvent>,
    pub breaks: Vec<RecordedBreak>,
}

impl Order {
    /// Takes in news.
    ///
    /// # Errors
    /// When it is a wish that cannot be granted; news of Stripe's is never refused.
    pub fn apply(&mut self, news: &News, now_ms: i64) -> Result<Effects, Refusal> {
        let mut effects = Effects::default();
        match news {
            News::CancelRequested => self.request_cancel()?,
            News::HoldOver => {}
            News::PaymentMissing { payment } => self.take_missing(*payment, now_ms, &mut effects),
            News::Dispute(told) => self.take_dispute(told, &mut effects),
            News::Refund { .. } | News::RefundUnanswered { .. } | News::RefundRefused { .. } => {
                self.take_refund(news, now_ms, &mut effects);
            }
            _ => self.take_payment(news, now_ms, &mut effects),
        }
        self.settle(now_ms, &mut effects);
        self.updated_ms = now_ms;
        Ok(effects)
    }

    fn request_cancel(&mut self) -> Result<(), Refusal> {
        match self.state {
            OrderState::PendingPayment | OrderState::Cancelled => {
                self.cancel_requested = true;
                Ok(())
            }
            state => Err(Refusal::OrderIs(state)),
        }
    }

    fn take_payment(&mut self, news: &News, now_ms: i64, effects: &mut Effects) {
        let (id, next) = match news {
            News::Intent { payment, status, .. } => (
                *payment,
                match status {
                    IntentStatus::RequiresAction => PaymentState::RequiresAction,
                    IntentStatus::Processing => PaymentState::Processing,
                    IntentStatus::Succeeded => PaymentState::Succeeded,
                    IntentStatus::Canceled => PaymentState::Failed,
                },
            ),
            News::Session { payment, .. } => (*payment, PaymentState::RequiresAction),
            News::PaymentUnanswered { payment } => (*payment, PaymentState::Unknown),
            News::PaymentDeferred { payment } => (*payment, PaymentState::Prepared),
            News::PaymentDead { payment, .. } => (*payment, PaymentState::Failed),
            _ => return,
        };
        let held_until_ms = self.held_until_ms;
        let Some(payment) = self.payments.iter_mut().find(|payment| payment.id == id) else {
            return;
        };
        if is_of_other_intent(payment, news, effects) {
            return;
        }
        match news {
            News::Intent { intent, client_secret, failure, .. } => {
                payment.intent.get_or_insert_with(|| intent.clone());
                payment.client_secret = client_secret.clone().or(payment.client_secret.take());
                payment.forget_missing();
                payment.note_failure(failure.as_deref());
            }
            News::Session { session, hosted_url, .. } => {
                payment.session.get_or_insert_with(|| session.clone());
                payment.hosted_url = hosted_url.clone().or(payment.hosted_url.take());
                payment.forget_missing();
            }
            News::PaymentDead { failure, .. } => payment.note_failure(Some(failure)),
            _ => {}
        }
        // A session that is told again says nothing of an intent that went further.
        let is_older = matches!(news, News::Session { .. }) && !payment.state.is_unanswered();
        if is_older || payment.state == next || !payment.state.may_become(next) {
            return;
        }
        payment.state = next;
        payment.checks = 0;
        payment.schedule(held_until_ms, now_ms);
        if let (News::Intent { received, .. }, PaymentState::Succeeded) = (news, next) {
            self.take_money(id, *received, now_ms, effects);
        }
    }

    /// What Stripe does not know for a moment may be a fault of its own, or of our settings: it is dead after several looks,
    /// which count from the first one in vain.
    fn take_missing(&mut self, id: PaymentId, now_ms: i64, effects: &mut Effects) {
        let held_until_ms = self.held_until_ms;
        let Some(payment) = self.payments.iter_mut().find(|payment| payment.id == id && payment.state.is_live()) else {
            return;
        };
        if !payment.is_missing() {
            payment.note_failure(Some(MISSING));
            payment.checks = 0;
        } else if payment.checks >= MISSING_CHECKS {
            payment.state = PaymentState::Failed;
            payment.checks = 0;
            payment.schedule(held_until_ms, now_ms);
            let detail = format!("Stripe told of it and does not know it any more; {} was asked for", payment.amount);
            effects.breaks.push(RecordedBreak { kind: BreakKind::MissingCharge, reference: id.to_string(), detail });
        }
    }

    /// A payment succeeded: the order is paid, or the money goes back.
    fn take_money(&mut self, id: PaymentId, received: Money, now_ms: i64, effects: &mut Effects) {
        let is_wanted = self.state == OrderState::PendingPayment;
        let is_cancelled = self.state == OrderState::Cancelled;
        let Some(payment) = self.payments.iter_mut().find(|payment| payment.id == id) else {
            return;
        };
        payment.failure = None;
        payment.captured_minor = received.amount_minor().clamp(0, payment.amount.amount_minor());
        if received != payment.amount {
            let detail = breaks::amount_differs(payment.amount, received);
            effects.breaks.push(RecordedBreak { kind: BreakKind::AmountDiffers, reference: id.to_string(), detail });
        }
        if is_wanted {
            self.checkout_state = CheckoutState::Completed;
            effects.stock = StockEffect::Sell;
            self.turn_into(OrderState::Paid, OrderEvent::Paid, effects);
            return;
        }
        let kind = if is_cancelled { BreakKind::ChargedAfterCancel } else { BreakKind::ChargedTwice };
        let detail = format!("{received} was received, and goes back");
        effects.breaks.push(RecordedBreak { kind, reference: id.to_string(), detail });
        let amount = Money::from_minor(payment.captured_minor, self.currency);
        if amount.amount_minor() > 0 {
            payment.refunded_minor = payment.captured_minor;
            // The id follows from the payment's, so that the same news makes the same refund.
            let refund = Refund::new(RefundId::like(id), payment, amount, Some("duplicate".to_owned()), now_ms);
            self.refunds.push(refund);
        }
    }

    fn take_refund(&mut self, news: &News, now_ms: i64, effects: &mut Effects) {
        let next = match news {
            News::Refund { state, .. } => *state,
            News::RefundUnanswered { .. } => RefundState::Unknown,
            News::RefundRefused { .. } => RefundState::Failed,
            _ => return,
        };
        let known = self.place_of_refund(news);
        let Some(place) = known.or_else(|| self.add_foreign_refund(news, now_ms, effects)) else {
            return;
        };
        let refund = &mut self.refunds[place];
        // Stripe refuses to make twice what it made already.
        if matches!(news, News::RefundRefused { .. }) && refund.stripe_refund.is_some() {
            return;
        }
        let was_given_up = refund.state == RefundState::Failed && refund.stripe_refund.is_none();
        match news {
            News::Refund { stripe_refund, failure, .. } => {
                refund.stripe_refund.get_or_insert_with(|| stripe_refund.clone());
                refund.failure = failure.clone().or(refund.failure.take());
            }
            News::RefundRefused { failure, .. } => refund.failure = Some(failure.clone()),
            _ => {}
        }
        // That it was never made was concluded; one that Stripe tells of was made all the same.
        let is_made_after_all = was_given_up && matches!(news, News::Refund { .. }) && next.counts();
        let goes_on = match is_made_after_all {
            true => self.count_again(place, effects),
            false => self.refunds[place].state.may_become(next),
        };
        if !goes_on {
            return;
        }
        let refund = &mut self.refunds[place];
        refund.state = next;
        refund.checks = 0;
        refund.schedule(now_ms);
        let (payment, amount) = (refund.payment, refund.amount.amount_minor());
        if next == RefundState::Failed {
            if let Some(payment) = self.payments.iter_mut().find(|one| one.id == payment) {
                payment.refunded_minor -= amount;
            }
            self.tell(OrderEvent::RefundFailed, effects);
        }
        self.follow_refunds(effects);
    }

    /// Which refund news is about: the one with Stripe's id, or the one that it names, unless that has another id of
    /// Stripe's. Then it was made twice, and this is one of its own.
    fn place_of_refund(&self, news: &News) -> Option<usize> {
        match news {
            News::Refund { refund, stripe_refund, .. } => {
                let has_id = |one: &Refund| one.stripe_refund.as_deref() == Some(stripe_refund.as_str());
                let is_named = |one: &Refund| Some(one.id) == *refund && one.stripe_refund.is_none();
                self.refunds.iter().position(has_id).or_else(|| self.refunds.iter().position(is_named))
            }
            News::RefundUnanswered { refund } | News::RefundRefused { refund, .. } => {
                self.refunds.iter().position(|one| one.id == *refund)
            }
            _ => None,
        }
    }

    /// Counts a refund that had been given up as money that goes back; false where less is left, which a person has to see.
    fn count_again(&mut self, place: usize, effects: &mut Effects) -> bool {
        let refund = &mut self.refunds[place];
        let Some(payment) = self.payments.iter_mut().find(|one| one.id == refund.payment) else {
            return false;
        };
        let left = payment.captured_minor - payment.refunded_minor;
        if refund.amount.amount_minor() > left {
            // What is left changes, and would make it another break each time.
            let detail =
                format!("{} was made after all, for {}, and less of {} was left", refund.id, refund.amount, payment.id);
            let reference = refund.stripe_refund.clone().unwrap_or_else(|| refund.id.to_string());
            effects.breaks.push(RecordedBreak { kind: BreakKind::RefundedTooMuch, reference, detail });
            return false;
        }
        payment.refunded_minor += refund.amount.amount_minor();
        refund.failure = None;
        true
    }

    /// A refund that was made at Stripe and not here.
    fn add_foreign_refund(&mut self, news: &News, now_ms: i64, effects: &mut Effects) -> Option<usize> {
        let News::Refund { payment, stripe_refund, state, amount, .. } = news else {
            return None;
        };
        let payment = self.payments.iter_mut().find(|one| one.id == *payment)?;
        let left = payment.captured_minor - payment.refunded_minor;
        let counts = state.counts();
        if amount.currency() != self.currency || amount.amount_minor() <= 0 || (counts && amount.amount_minor() > left)
        {
            let detail = format!("it gives {amount} back, which {} does not have left", payment.id);
            let reference = stripe_refund.clone();
            effects.breaks.push(RecordedBreak { kind: BreakKind::RefundedTooMuch, reference, detail });
            return None;
        }
        // Counted whatever its state is; the change to Failed takes it back.
        payment.refunded_minor += amount.amount_minor();
        let mut refund = Refund::new(RefundId::named(stripe_refund, now_ms), payment, *amount, None, now_ms);
        refund.stripe_refund = Some(stripe_refund.clone());
        self.refunds.push(refund);
        Some(self.refunds.len() - 1)
    }

    /// Brings the order's state in line with the money that went back for certain.
    fn follow_refunds(&mut self, effects: &mut Effects) {
        // A charge that was never wanted is not the order's, and neither is its refund.
        let own = self.payments.iter().find(|one| one.state == PaymentState::Succeeded && !self.is_unwanted(one.id));
        let Some((payment, captured)) = own.map(|one| (one.id, one.captured_minor)) else {
            return;
        };
        let succeeded = |one: &&Refund| one.payment == payment && one.state == RefundState::Succeeded;
        let refunded: i64 = self.refunds.iter().filter(succeeded).map(|one| one.amount.amount_minor()).sum();
        let (state, event) = match refunded {
            0 => (OrderState::Paid, None),
            part if part < captured => (OrderState::PartiallyRefunded, Some(OrderEvent::PartiallyRefunded)),
            _ => (OrderState::Refunded, Some(OrderEvent::Refunded)),
        };
        if !self.state.is_paid() || self.state == state {
            return;
        }
        let grew = matches!(
            (self.state, state),
            (OrderState::Paid, _) | (OrderState::PartiallyRefunded, OrderState::Refunded)
        );
        match (grew, event) {
            (true, Some(event)) => self.turn_into(state, event, effects),
            // A refund failed after all, which has been told.
            _ => self.state = state,
        }
    }

    /// Whether a charge was sent back because the order did not want it.
    pub(super) fn is_unwanted(&self, payment: PaymentId) -> bool {
        self.refunds.iter().any(|refund| refund.id == RefundId::like(payment))
    }

    /// Ends what nothing can come of any more.
    fn settle(&mut self, now_ms: i64, effects: &mut Effects) {
        let is_over = now_ms >= self.held_until_ms;
        let ends = self.cancel_requested || is_over;
        if self.state != OrderState::PendingPayment || self.live_payment().is_some() || !ends {
            return;
        }
        self.checkout_state = match self.cancel_requested {
            true => CheckoutState::Cancelled,
            false => CheckoutState::Expired,
        };
        effects.stock = StockEffect::Release;
        self.turn_into(OrderState::Cancelled, OrderEvent::Cancelled, effects);
    }

    fn turn_into(&mut self, state: OrderState, event: OrderEvent, effects: &mut Effects) {
        self.state = state;
        self.tell(event, effects);
    }

    pub(super) fn tell(&mut self, event: OrderEvent, effects: &mut Effects) {
        self.version += 1;
        effects.events.push(event);
    }
}

/// Whether news is about an intent that has the name of a payment, and is not its own: somebody made a copy, or a key was
/// used for longer than Stripe keeps it. What becomes of it decides nothing; money that it brings is for a person to see.
fn is_of_other_intent(payment: &Payment, news: &News, effects: &mut Effects) -> bool {
    let (News::Intent { intent, status, received, .. }, Some(own)) = (news, &payment.intent) else {
        return false;
    };
    if intent == own {
        return false;
    }
    if *status == IntentStatus::Succeeded {
        let detail = breaks::unknown_charge(*received, payment.order);
        effects.breaks.push(RecordedBreak { kind: BreakKind::UnknownCharge, reference: intent.clone(), detail });
    }
    true
}
