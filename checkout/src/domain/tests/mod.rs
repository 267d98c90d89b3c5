//! News in any order, twice, or not at all: what must hold after each piece of it, and where it must end.

mod acts;
mod courses;
mod disputes;
mod payments;
mod refunds;

use snapshots::{Currency, Money};

use super::*;
use crate::ids::{CheckoutId, OrderId, PaymentId, RefundId};

const TOTAL_MINOR: i64 = 1_000;
const HELD_UNTIL_MS: i64 = 1_000_000;

fn currency() -> Currency {
    "EUR".parse().expect("a currency")
}

fn money(amount_minor: i64) -> Money {
    Money::from_minor(amount_minor, currency())
}

fn checkout() -> Checkout {
    let line = Line { product: "p".into(), title: "P".into(), quantity: 2, unit_price: money(TOTAL_MINOR / 2) };
    Checkout {
        id: CheckoutId::new(),
        state: CheckoutState::Open,
        version: 1,
        market: "default".into(),
        currency: currency(),
        lines: vec![line],
        total: money(TOTAL_MINOR),
        snapshot: "s".into(),
        held_until_ms: HELD_UNTIL_MS,
        cart: None,
        email: None,
        shipping_address: None,
        token_hash: [0; 32],
        created_ms: 0,
    }
}

/// An order that is told news one by one, and whose rules are checked after each.
#[derive(Clone, Debug)]
struct Play {
    order: Order,
    now_ms: i64,
    events: u32,
    stock: Vec<StockEffect>,
    breaks: Vec<BreakKind>,
}

impl Play {
    fn new() -> Self {
        let order = Order::of(&checkout(), OrderId::new(), 0).expect("an order");
        Self { order, now_ms: 0, events: 1, stock: Vec::new(), breaks: Vec::new() }
    }

    fn with_payment() -> (Self, PaymentId) {
        let mut play = Self::new();
        let payment = play.pay();
        (play, payment)
    }

    fn paid() -> (Self, PaymentId) {
        let (mut play, payment) = Self::with_payment();
        play.tell(&intent(payment, IntentStatus::Succeeded));
        (play, payment)
    }

    fn pay(&mut self) -> PaymentId {
        let id = PaymentId::new();
        self.order.begin_payment(id, PaymentMethod::PaymentIntent, None, self.now_ms).expect("a payment");
        id
    }

    fn refund(&mut self, amount_minor: i64) -> RefundId {
        let id = RefundId::new();
        self.order.begin_refund(id, Some(money(amount_minor)), None, self.now_ms).expect("a refund");
        id
    }

    fn payment(&self, id: PaymentId) -> &Payment {
        self.order.payments.iter().find(|one| one.id == id).expect("a payment")
    }

    fn tell(&mut self, news: &News) {
        let before = self.order.clone();
        match self.order.apply(news, self.now_ms) {
            Ok(effects) => {
                self.events += u32::try_from(effects.events.len()).expect("a few");
                self.stock.extend(Some(effects.stock).filter(|stock| *stock != StockEffect::Keep));
                self.breaks.extend(effects.breaks.iter().map(|found| found.kind));
            }
            Err(_) => {
                assert_eq!(*news, News::CancelRequested, "only wishes are refused");
                assert_eq!(self.order, before, "what is refused changes nothing");
            }
        }
        self.check(&before);
    }

    /// What holds at any time.
    fn check(&self, before: &Order) {
        let order = &self.order;
        assert_eq!(order.version, self.events, "a version is the number of events");
        assert!(may_follow(before.state, order.state), "{:?} became {:?}", before.state, order.state);
        let stock = match order.state {
            OrderState::PendingPayment => vec![],
            OrderState::Cancelled => vec![StockEffect::Release],
            _ => vec![StockEffect::Sell],
        };
        assert_eq!(self.stock, stock, "stock moves once, when the order ends");
        for payment in &order.payments {
            assert!(payment.refunded_minor <= payment.captured_minor, "{payment:?}");
            assert!(payment.captured_minor <= payment.amount.amount_minor(), "{payment:?}");
            let counted = order.refunds.iter().filter(|one| one.payment == payment.id && one.state.counts());
            let sum: i64 = counted.map(|one| one.amount.amount_minor()).sum();
            assert_eq!(payment.refunded_minor, sum, "refunds are counted once: {order:?}");
            assert_eq!(payment.next_check_ms.is_some(), payment.state.is_live(), "{payment:?}");
            if payment.state == PaymentState::Succeeded {
                assert_eq!(payment.failure, None, "{payment:?}");
            }
        }
        for (old, new) in before.payments.iter().zip(&order.payments) {
            assert!(payment_may_follow(old.state, new.state), "{:?} became {:?}", old.state, new.state);
        }
        for (old, new) in before.refunds.iter().zip(&order.refunds) {
            // One that was given up, and that Stripe tells of, was made after all.
            let was_given_up = old.state == RefundState::Failed && old.stripe_refund.is_none();
            let may_follow = was_given_up || refund_rank(old.state) <= refund_rank(new.state);
            assert!(may_follow, "{:?} became {:?}", old.state, new.state);
        }
        let kept = order.payments.iter().filter(|one| {
            let is_sent_back = order.refunds.iter().any(|refund| refund.id == RefundId::like(one.id));
            one.state == PaymentState::Succeeded && !is_sent_back
        });
        assert_eq!(kept.count(), usize::from(order.state.is_paid()), "one charge is kept where it is paid, else none");
    }
}

fn may_follow(old: OrderState, new: OrderState) -> bool {
    match old {
        OrderState::PendingPayment => new == old || new == OrderState::Paid || new == OrderState::Cancelled,
        OrderState::Cancelled => new == OrderState::Cancelled,
        // A refund may fail after it succeeded.
        _ => new.is_paid(),
    }
}

fn payment_may_follow(old: PaymentState, new: PaymentState) -> bool {
    match old {
        PaymentState::Succeeded => new == old,
        PaymentState::Failed => new == old || new == PaymentState::Succeeded,
        PaymentState::RequiresAction | PaymentState::Processing => !new.is_unanswered(),
        PaymentState::Unknown => !matches!(new, PaymentState::Prepared | PaymentState::Requesting),
        PaymentState::Prepared | PaymentState::Requesting => true,
    }
}

fn refund_rank(state: RefundState) -> u8 {
    match state {
        RefundState::Requesting => 0,
        RefundState::Unknown => 1,
        RefundState::Pending => 2,
        RefundState::Succeeded => 3,
        RefundState::Failed => 4,
    }
}

fn intent(payment: PaymentId, status: IntentStatus) -> News {
    let received = if status == IntentStatus::Succeeded { TOTAL_MINOR } else { 0 };
    News::Intent {
        payment,
        intent: format!("pi_{payment}"),
        status,
        received: money(received),
        client_secret: Some("secret".into()),
        failure: None,
    }
}

fn declined(payment: PaymentId) -> News {
    News::Intent {
        payment,
        intent: format!("pi_{payment}"),
        status: IntentStatus::RequiresAction,
        received: money(0),
        client_secret: None,
        failure: Some("card_declined".into()),
    }
}

fn refunded(payment: PaymentId, refund: Option<RefundId>, name: &str, state: RefundState, amount_minor: i64) -> News {
    let stripe_refund = refund.map_or_else(|| name.to_owned(), |refund| format!("re_{refund}"));
    News::Refund { refund, payment, stripe_refund, state, amount: money(amount_minor), failure: None }
}

fn is_in(play: &Play, state: OrderState) {
    assert_eq!(play.order.state, state, "{:?}", play.order);
}
