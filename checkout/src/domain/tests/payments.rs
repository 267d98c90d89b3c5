//! What news does to payments.

use super::*;
use crate::domain::payment::MISSING_CHECKS;

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

/// It was asked for again for ever, and its stock was never released; then it was dead after a minute, with all others where
/// the key was of another account.
#[test]
fn a_payment_that_stripe_does_not_know_any_more_is_dead_after_an_hour_of_looks() {
    for status in [IntentStatus::RequiresAction, IntentStatus::Processing] {
        let (mut play, payment) = Play::with_payment();
        play.tell(&intent(payment, status));
        play.tell(&News::CancelRequested);
        let state = play.payment(payment).state;
        // So often it was looked at before.
        play.order.payments[0].checks = 9;
        for _ in 0..3 {
            look_in_vain(&mut play, payment);
        }
        // Stripe knew it after all, so that the looks count anew.
        play.tell(&intent(payment, status));
        assert_eq!(play.payment(payment).failure, None);
        let since_ms = play.now_ms;
        for _ in 0..MISSING_CHECKS {
            look_in_vain(&mut play, payment);
            assert_eq!(play.payment(payment).state, state);
        }
        assert!(play.breaks.is_empty());
        let minutes = (play.now_ms - since_ms) / 60_000;
        assert!((55..=65).contains(&minutes), "{minutes} minutes of {status:?}");
        play.tell(&News::PaymentMissing { payment });
        assert_eq!(play.breaks, [BreakKind::MissingCharge]);
        is_in(&play, OrderState::Cancelled);
    }
}

/// As recovery looks, up to the moment that it looks next.
fn look_in_vain(play: &mut Play, payment: PaymentId) {
    play.tell(&News::PaymentMissing { payment });
    let one = &mut play.order.payments[0];
    one.checks += 1;
    one.schedule(play.order.held_until_ms, play.now_ms);
    play.now_ms = one.next_check_ms.expect("a next look");
}
