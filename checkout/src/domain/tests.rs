//! News in any order, twice, or not at all: what must hold after each piece of it, and where it must end.

use proptest::prelude::*;
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

/// News of one course of things, and how it must end whatever order they come in.
struct Scenario {
    play: Play,
    /// The first so many must come at least once; the others may be missing.
    required: usize,
    news: Vec<News>,
    end: fn(&Play),
}

fn is_in(play: &Play, state: OrderState) {
    assert_eq!(play.order.state, state, "{:?}", play.order);
}

fn paid() -> Scenario {
    let (play, payment) = Play::with_payment();
    let news = vec![
        intent(payment, IntentStatus::Succeeded),
        News::PaymentUnanswered { payment },
        News::PaymentDeferred { payment },
        intent(payment, IntentStatus::RequiresAction),
        intent(payment, IntentStatus::Processing),
        News::Session { payment, session: "cs_1".into(), hosted_url: None },
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::Paid);
        assert_eq!((play.order.version, play.order.refunds.len(), play.breaks.len()), (2, 0, 0));
    };
    Scenario { play, required: 1, news, end }
}

fn declined_then_paid() -> Scenario {
    let (play, payment) = Play::with_payment();
    let news = vec![
        intent(payment, IntentStatus::Succeeded),
        declined(payment),
        intent(payment, IntentStatus::RequiresAction),
        // A page that was left open expires after it was paid.
        News::PaymentDead { payment, failure: "expired".into() },
    ];
    Scenario { play, required: 1, news, end: |play| is_in(play, OrderState::Paid) }
}

fn second_attempt_paid() -> Scenario {
    let (mut play, first) = Play::with_payment();
    play.tell(&intent(first, IntentStatus::Canceled));
    let second = play.pay();
    let news = vec![
        intent(second, IntentStatus::Succeeded),
        intent(first, IntentStatus::Canceled),
        intent(first, IntentStatus::Processing),
        declined(first),
        News::PaymentUnanswered { payment: first },
        News::PaymentUnanswered { payment: second },
        intent(second, IntentStatus::RequiresAction),
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::Paid);
        assert_eq!((play.order.version, play.order.refunds.len()), (2, 0));
    };
    Scenario { play, required: 1, news, end }
}

fn both_attempts_paid() -> Scenario {
    let (mut play, first) = Play::with_payment();
    play.tell(&News::PaymentDead { payment: first, failure: "never_made".into() });
    let second = play.pay();
    let news = vec![
        intent(first, IntentStatus::Succeeded),
        intent(second, IntentStatus::Succeeded),
        declined(first),
        intent(second, IntentStatus::Processing),
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::Paid);
        assert_eq!(play.breaks, [BreakKind::ChargedTwice]);
        assert_eq!((play.order.version, play.order.refunds.len()), (2, 1));
    };
    Scenario { play, required: 2, news, end }
}

fn paid_though_cancelled() -> Scenario {
    let (mut play, payment) = Play::with_payment();
    play.tell(&News::CancelRequested);
    let news = vec![
        intent(payment, IntentStatus::Succeeded),
        News::CancelRequested,
        intent(payment, IntentStatus::RequiresAction),
        intent(payment, IntentStatus::Processing),
        News::HoldOver,
    ];
    Scenario { play, required: 1, news, end: |play| is_in(play, OrderState::Paid) }
}

fn cancelled() -> Scenario {
    let (play, payment) = Play::with_payment();
    let news = vec![
        News::CancelRequested,
        intent(payment, IntentStatus::Canceled),
        intent(payment, IntentStatus::RequiresAction),
        News::PaymentUnanswered { payment },
        News::HoldOver,
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::Cancelled);
        assert_eq!(play.order.checkout_state, CheckoutState::Cancelled);
    };
    Scenario { play, required: 2, news, end }
}

fn hold_over() -> Scenario {
    let (mut play, payment) = Play::with_payment();
    play.now_ms = HELD_UNTIL_MS;
    let news = vec![
        News::PaymentDead { payment, failure: "expired".into() },
        intent(payment, IntentStatus::RequiresAction),
        intent(payment, IntentStatus::Processing),
        News::HoldOver,
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::Cancelled);
        assert_eq!(play.order.checkout_state, CheckoutState::Expired);
    };
    Scenario { play, required: 1, news, end }
}

fn charged_after_cancel() -> Scenario {
    let (mut play, payment) = Play::with_payment();
    play.tell(&News::CancelRequested);
    play.tell(&intent(payment, IntentStatus::Canceled));
    let refund = RefundId::like(payment);
    let news = vec![
        intent(payment, IntentStatus::Succeeded),
        News::CancelRequested,
        News::HoldOver,
        declined(payment),
        News::RefundUnanswered { refund },
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::Cancelled);
        assert_eq!(play.breaks, [BreakKind::ChargedAfterCancel]);
        assert_eq!(play.order.refunds.len(), 1);
    };
    Scenario { play, required: 1, news, end }
}

fn refunded_in_parts() -> Scenario {
    let (mut play, payment) = Play::paid();
    let (one, two) = (play.refund(400), play.refund(600));
    let news = vec![
        refunded(payment, Some(one), "", RefundState::Succeeded, 400),
        refunded(payment, Some(two), "", RefundState::Succeeded, 600),
        refunded(payment, Some(one), "", RefundState::Pending, 400),
        News::RefundUnanswered { refund: two },
        intent(payment, IntentStatus::Succeeded),
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::Refunded);
        assert_eq!(play.order.version, 4, "paid, partially refunded, refunded");
    };
    Scenario { play, required: 2, news, end }
}

fn refund_failed() -> Scenario {
    let (mut play, payment) = Play::paid();
    let (one, two) = (play.refund(1_000 - 300), play.refund(300));
    let news = vec![
        refunded(payment, Some(one), "", RefundState::Failed, 700),
        refunded(payment, Some(two), "", RefundState::Succeeded, 300),
        refunded(payment, Some(one), "", RefundState::Succeeded, 700),
        refunded(payment, Some(one), "", RefundState::Pending, 700),
        News::RefundUnanswered { refund: one },
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::PartiallyRefunded);
        assert_eq!(play.order.payments[0].refunded_minor, 300);
    };
    Scenario { play, required: 2, news, end }
}

fn refund_refused() -> Scenario {
    let (mut play, _) = Play::paid();
    let refund = play.refund(500);
    let news =
        vec![News::RefundRefused { refund, failure: "charge_disputed".into() }, News::RefundUnanswered { refund }];
    let end = |play: &Play| {
        is_in(play, OrderState::Paid);
        assert_eq!(play.order.payments[0].refunded_minor, 0);
    };
    Scenario { play, required: 1, news, end }
}

fn foreign_refunds_and_disputes() -> Scenario {
    let (play, payment) = Play::paid();
    let news = vec![
        refunded(payment, None, "re_a", RefundState::Succeeded, 250),
        refunded(payment, None, "re_b", RefundState::Succeeded, 350),
        refunded(payment, None, "re_c", RefundState::Failed, 900),
        News::Dispute { payment, state: DisputeState::Lost },
        refunded(payment, None, "re_a", RefundState::Pending, 250),
        News::Dispute { payment, state: DisputeState::Open },
    ];
    let end = |play: &Play| {
        is_in(play, OrderState::PartiallyRefunded);
        assert_eq!(play.order.payments[0].refunded_minor, 600);
        assert_eq!((play.order.refunds.len(), play.breaks.len()), (3, 0));
        assert_eq!(play.order.dispute, DisputeState::Lost);
    };
    Scenario { play, required: 4, news, end }
}

const SCENARIOS: [fn() -> Scenario; 12] = [
    paid,
    declined_then_paid,
    second_attempt_paid,
    both_attempts_paid,
    paid_though_cancelled,
    cancelled,
    hold_over,
    charged_after_cancel,
    refunded_in_parts,
    refund_failed,
    refund_refused,
    foreign_refunds_and_disputes,
];

/// A scenario, and an order of its news that holds all required ones, others maybe, and any of them several times.
fn courses() -> impl Strategy<Value = (usize, Vec<usize>)> {
    (0..SCENARIOS.len()).prop_flat_map(|scenario| {
        let Scenario { news, required, .. } = SCENARIOS[scenario]();
        let count = news.len();
        let mixed = prop::collection::vec(0..count, 0..2 * count).prop_flat_map(move |mut places| {
            places.extend(0..required);
            Just(places).prop_shuffle()
        });
        (Just(scenario), mixed)
    })
}

/// What can happen to an order at all.
#[derive(Clone, Copy, Debug)]
enum Act {
    Pay,
    Refund { amount_minor: i64 },
    Intent { payment: usize, status: IntentStatus, received_minor: i64 },
    Dead { payment: usize },
    Unanswered { payment: usize },
    Deferred { payment: usize },
    Session { payment: usize },
    RefundNews { refund: usize, state: RefundState },
    RefundRefused { refund: usize },
    Foreign { payment: usize, name: u8, state: RefundState, amount_minor: i64 },
    Dispute { payment: usize, state: DisputeState },
    Cancel,
    Time { ms: i64 },
}

fn acts() -> impl Strategy<Value = Act> {
    let place = 0..3_usize;
    let status = prop::sample::select(vec![
        IntentStatus::RequiresAction,
        IntentStatus::Processing,
        IntentStatus::Succeeded,
        IntentStatus::Canceled,
    ]);
    let state = prop::sample::select(vec![
        RefundState::Unknown,
        RefundState::Pending,
        RefundState::Succeeded,
        RefundState::Failed,
    ]);
    let dispute = prop::sample::select(vec![DisputeState::Open, DisputeState::Won, DisputeState::Lost]);
    prop_oneof![
        3 => Just(Act::Pay),
        3 => (1..700_i64).prop_map(|amount_minor| Act::Refund { amount_minor }),
        9 => (place.clone(), status, prop::sample::select(vec![TOTAL_MINOR, TOTAL_MINOR, 900, 1_100])).prop_map(
            |(payment, status, received_minor)| Act::Intent { payment, status, received_minor }
        ),
        1 => place.clone().prop_map(|payment| Act::Dead { payment }),
        1 => place.clone().prop_map(|payment| Act::Unanswered { payment }),
        1 => place.clone().prop_map(|payment| Act::Deferred { payment }),
        1 => place.clone().prop_map(|payment| Act::Session { payment }),
        4 => (place.clone(), state.clone()).prop_map(|(refund, state)| Act::RefundNews { refund, state }),
        1 => place.clone().prop_map(|refund| Act::RefundRefused { refund }),
        2 => (place.clone(), 0..3_u8, state, 1..700_i64).prop_map(|(payment, name, state, amount_minor)| {
            Act::Foreign { payment, name, state, amount_minor }
        }),
        1 => (place, dispute).prop_map(|(payment, state)| Act::Dispute { payment, state }),
        1 => Just(Act::Cancel),
        1 => (1..HELD_UNTIL_MS).prop_map(|ms| Act::Time { ms }),
    ]
}

impl Play {
    fn act(&mut self, act: Act) {
        let payment = |place: usize| self.order.payments.get(place).map(|one| one.id);
        let refund = |place: usize| self.order.refunds.get(place).cloned();
        let news = match act {
            Act::Pay => {
                let _ = self.order.begin_payment(PaymentId::new(), PaymentMethod::HostedPage, None, self.now_ms);
                None
            }
            Act::Refund { amount_minor } => {
                let _ = self.order.begin_refund(RefundId::new(), Some(money(amount_minor)), None, self.now_ms);
                None
            }
            Act::Intent { payment: place, status, received_minor } => payment(place).map(|id| {
                let mut news = intent(id, status);
                if let (News::Intent { received, .. }, IntentStatus::Succeeded) = (&mut news, status) {
                    *received = money(received_minor);
                }
                news
            }),
            Act::Dead { payment: place } => {
                payment(place).map(|payment| News::PaymentDead { payment, failure: "expired".into() })
            }
            Act::Unanswered { payment: place } => payment(place).map(|payment| News::PaymentUnanswered { payment }),
            Act::Deferred { payment: place } => payment(place).map(|payment| News::PaymentDeferred { payment }),
            Act::Session { payment: place } => payment(place).map(|payment| News::Session {
                payment,
                session: format!("cs_{payment}"),
                hosted_url: Some("https://pay.example".into()),
            }),
            Act::RefundNews { refund: place, state } => refund(place).map(|one| match state {
                RefundState::Unknown => News::RefundUnanswered { refund: one.id },
                state => refunded(one.payment, Some(one.id), "", state, one.amount.amount_minor()),
            }),
            Act::RefundRefused { refund: place } => {
                refund(place).map(|one| News::RefundRefused { refund: one.id, failure: "refused".into() })
            }
            Act::Foreign { payment: place, name, state, amount_minor } => {
                payment(place).map(|id| refunded(id, None, &format!("re_{name}"), state, amount_minor))
            }
            Act::Dispute { payment: place, state } => payment(place).map(|payment| News::Dispute { payment, state }),
            Act::Cancel => Some(News::CancelRequested),
            Act::Time { ms } => {
                self.now_ms += ms;
                Some(News::HoldOver)
            }
        };
        if let Some(news) = news {
            self.tell(&news);
        }
    }
}

proptest! {
    #[test]
    fn the_order_of_news_does_not_decide((scenario, places) in courses()) {
        let Scenario { mut play, news, end, .. } = SCENARIOS[scenario]();
        for place in places {
            play.tell(&news[place]);
        }
        end(&play);
        // All of it once more, as repeated webhooks do.
        let settled = play.order.clone();
        for one in &news {
            play.tell(one);
        }
        end(&play);
        prop_assert_eq!(play.order.version, settled.version);
    }

    #[test]
    fn whatever_happens_the_books_are_right(acts in prop::collection::vec(acts(), 0..60)) {
        let mut play = Play::new();
        for act in acts {
            play.act(act);
        }
    }
}

/// It was marked as one that Stripe was not asked for, although an earlier request may have been done.
#[test]
fn an_unknown_payment_stays_unknown_when_a_later_try_is_held_back() {
    let (mut play, payment) = Play::with_payment();
    play.tell(&News::PaymentUnanswered { payment });
    play.tell(&News::PaymentDeferred { payment });
    assert_eq!(play.payment(payment).state, PaymentState::Unknown);
}

/// A late event about a refused card left its code on a payment that had succeeded.
#[test]
fn a_payment_that_succeeded_has_no_failure() {
    let (mut play, payment) = Play::paid();
    play.tell(&declined(payment));
    play.tell(&News::PaymentDead { payment, failure: "expired".into() });
    assert_eq!(play.payment(payment).failure, None);
}

/// Staff could not refund an order whose first attempt was charged late and sent back: the refund was taken of that one.
#[test]
fn staff_refund_the_charge_that_paid_the_order() {
    let (mut play, first) = Play::with_payment();
    play.tell(&intent(first, IntentStatus::Canceled));
    let second = play.pay();
    play.tell(&intent(second, IntentStatus::Succeeded));
    play.tell(&intent(first, IntentStatus::Succeeded));
    assert_eq!(play.breaks, [BreakKind::ChargedTwice]);
    let refund = play.refund(400);
    assert_eq!(play.order.refunds.iter().find(|one| one.id == refund).map(|one| one.payment), Some(second));
    assert_eq!(play.payment(second).refunded_minor, 400);
}

/// The id of a refund that was made elsewhere was random, so that a transaction which was run again wrote another one.
#[test]
fn the_same_news_makes_the_same_refund() {
    let (play, payment) = Play::paid();
    let news = refunded(payment, None, "re_a", RefundState::Succeeded, 100);
    let (mut one, mut other) = (play.clone(), play);
    one.tell(&news);
    other.tell(&news);
    assert_eq!(one.order, other.order);
}

/// Stripe refused it, or was asked for another amount than was noted.
#[test]
fn a_refund_is_of_an_amount_that_can_be_paid() {
    let dinars = |amount_minor| Money::from_minor(amount_minor, "KWD".parse().expect("a currency"));
    let mut checkout = checkout();
    checkout.lines[0].unit_price = dinars(500);
    (checkout.currency, checkout.total) = (dinars(0).currency(), dinars(1_000));
    let mut order = Order::of(&checkout, OrderId::new(), 0).expect("an order");
    let payment = PaymentId::new();
    order.begin_payment(payment, PaymentMethod::PaymentIntent, None, 0).expect("a payment");
    let mut paid = intent(payment, IntentStatus::Succeeded);
    if let News::Intent { received, .. } = &mut paid {
        *received = dinars(1_000);
    }
    order.apply(&paid, 0).expect("news is never refused");
    let refused = order.begin_refund(RefundId::new(), Some(dinars(15)), None, 0);
    assert_eq!(refused, Err(Refusal::RefundAmount));
    order.begin_refund(RefundId::new(), Some(dinars(10)), None, 0).expect("a refund");
}

/// A copy of an intent was taken for the payment's own: cancelled, it released the stock of one that could still be paid,
/// and what was paid for it was noticed by nobody.
#[test]
fn an_intent_decides_about_its_own_payment_alone() {
    let (mut play, payment) = Play::with_payment();
    play.tell(&intent(payment, IntentStatus::RequiresAction));
    let copy = |status: IntentStatus| {
        let mut news = intent(payment, status);
        if let News::Intent { intent, .. } = &mut news {
            *intent = "pi_copy".to_owned();
        }
        news
    };
    play.tell(&copy(IntentStatus::Canceled));
    play.tell(&copy(IntentStatus::Succeeded));
    assert_eq!(play.payment(payment).state, PaymentState::RequiresAction);
    assert_eq!(play.breaks, [BreakKind::UnknownCharge]);
    play.tell(&intent(payment, IntentStatus::Succeeded));
    is_in(&play, OrderState::Paid);
}

/// A refund that was given up, and that Stripe had made all the same, did not count: staff could give the money back again.
#[test]
fn a_refund_that_was_given_up_counts_once_stripe_tells_of_it() {
    let (mut play, payment) = Play::paid();
    let refund = play.refund(700);
    play.tell(&News::RefundRefused { refund, failure: "never_made".into() });
    assert_eq!(play.payment(payment).refunded_minor, 0);
    play.tell(&refunded(payment, Some(refund), "", RefundState::Succeeded, 700));
    is_in(&play, OrderState::PartiallyRefunded);
    let one = &play.order.refunds[0];
    assert_eq!((one.state, one.failure.as_deref()), (RefundState::Succeeded, None));
    let again = play.order.begin_refund(RefundId::new(), Some(money(700)), None, 0);
    assert_eq!(again, Err(Refusal::RefundTooLarge { left: money(300) }));
}

#[test]
fn a_refund_that_was_given_up_and_given_back_otherwise_is_told_to_a_person() {
    let (mut play, payment) = Play::paid();
    let refund = play.refund(700);
    play.tell(&News::RefundRefused { refund, failure: "never_made".into() });
    play.refund(700);
    play.tell(&refunded(payment, Some(refund), "", RefundState::Succeeded, 700));
    assert_eq!(play.breaks, [BreakKind::RefundedTooMuch]);
}

/// Stripe made one twice, under two ids: the second one was taken for the first.
#[test]
fn a_refund_that_was_made_twice_counts_twice() {
    let (mut play, payment) = Play::paid();
    let refund = play.refund(300);
    play.tell(&refunded(payment, Some(refund), "", RefundState::Succeeded, 300));
    let mut second = refunded(payment, Some(refund), "", RefundState::Succeeded, 300);
    if let News::Refund { stripe_refund, .. } = &mut second {
        *stripe_refund = "re_second".to_owned();
    }
    for _ in 0..2 {
        play.tell(&second);
        assert_eq!((play.order.refunds.len(), play.payment(payment).refunded_minor), (2, 600));
    }
    let mut third = second.clone();
    if let News::Refund { stripe_refund, amount, .. } = &mut third {
        (*stripe_refund, *amount) = ("re_third".to_owned(), money(500));
    }
    play.tell(&third);
    assert_eq!(play.breaks, [BreakKind::RefundedTooMuch]);
}

/// Stripe refused to give back what was charged after the end, and staff could not ask for it again.
#[test]
fn staff_give_back_a_charge_that_did_not_go_back_by_itself() {
    let (mut play, payment) = Play::with_payment();
    play.tell(&News::CancelRequested);
    play.tell(&intent(payment, IntentStatus::Canceled));
    let nothing_to_give = play.order.begin_refund(RefundId::new(), None, None, 0);
    assert_eq!(nothing_to_give, Err(Refusal::OrderIs(OrderState::Cancelled)));
    play.tell(&intent(payment, IntentStatus::Succeeded));
    let under_way = play.order.begin_refund(RefundId::new(), None, None, 0);
    assert_eq!(under_way, Err(Refusal::OrderIs(OrderState::Cancelled)));
    let failure = "balance_insufficient".to_owned();
    play.tell(&News::RefundRefused { refund: RefundId::like(payment), failure });
    let refund = play.refund(TOTAL_MINOR);
    play.tell(&refunded(payment, Some(refund), "", RefundState::Succeeded, TOTAL_MINOR));
    is_in(&play, OrderState::Cancelled);
    assert_eq!(play.payment(payment).refunded_minor, TOTAL_MINOR);
}
