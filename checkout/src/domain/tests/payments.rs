//! What news does to payments.

use super::*;

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
