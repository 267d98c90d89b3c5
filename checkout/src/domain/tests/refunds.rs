//! What news does to refunds, and what staff may give back.

use super::*;

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
