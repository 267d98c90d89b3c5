//! Courses of things that end in one way, whatever order their news comes in.

use proptest::prelude::*;

use super::*;

/// News of one course of things, and how it must end whatever order they come in.
struct Scenario {
    play: Play,
    /// The first so many must come at least once; the others may be missing.
    required: usize,
    news: Vec<News>,
    end: fn(&Play),
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
        News::Dispute(Dispute { id: "dp_1".into(), payment, state: DisputeState::Lost }),
        refunded(payment, None, "re_a", RefundState::Pending, 250),
        News::Dispute(Dispute { id: "dp_1".into(), payment, state: DisputeState::Open }),
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
}
