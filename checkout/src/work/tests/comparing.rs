//! The books against Stripe's: what came later than anybody looked, or while they were compared.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::glue::work;
use super::*;
use crate::domain::{BreakKind, Dispute, DisputeState, IntentStatus, News, OrderState, RefundState};

/// A paid order, of which a part was given back.
fn refunded() -> Order {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    let payment = order.payments[0].id;
    let paid = News::Intent {
        payment,
        intent: "pi_1".into(),
        status: IntentStatus::Succeeded,
        received: money(1_250),
        client_secret: None,
        failure: None,
    };
    let refund = News::Refund {
        refund: None,
        payment,
        stripe_refund: "re_1".into(),
        state: RefundState::Succeeded,
        amount: money(500),
        failure: None,
    };
    for news in [paid, refund] {
        order.apply(&news, now_ms()).expect("news is never refused");
    }
    order
}

fn refund(status: &str) -> Value {
    json!({"id": "re_1", "status": status, "amount": 500, "currency": "eur", "payment_intent": "pi_1"})
}

fn dispute(status: &str) -> Value {
    json!({"id": "dp_1", "payment_intent": "pi_1", "status": status, "balance_transactions": []})
}

/// What Stripe lists, and what it answers where it is asked for that alone: in turn, and the last for ever.
#[derive(Default)]
struct Kept {
    listed: Vec<Value>,
    alone: Vec<Value>,
}

impl Kept {
    fn new(listed: &[Value], alone: &[Value]) -> Self {
        Self { listed: listed.to_vec(), alone: alone.to_vec() }
    }
}

/// What came of a comparison: how many breaks, and the order.
async fn compare(order: Order, refunds: Kept, disputes: Kept) -> (usize, Order) {
    let paid = intent(&order.payments[0], "succeeded");
    let (all_refunds, all_disputes) = (list(refunds.listed), list(disputes.listed));
    let asked = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let next = |asked: &AtomicUsize, alone: &[Value]| {
        let place = asked.fetch_add(1, Ordering::SeqCst).min(alone.len().saturating_sub(1));
        alone.get(place).map_or_else(|| Act::answer(403, "{}"), ok)
    };
    let fake = Fake::start(move |seen| match line_of(seen).as_str() {
        "GET /v1/payment_intents/pi_1" => ok(&paid),
        "GET /v1/refunds/re_1" => next(&asked[0], &refunds.alone),
        "GET /v1/disputes/dp_1" => next(&asked[1], &disputes.alone),
        "GET /v1/refunds" => ok(&all_refunds),
        "GET /v1/disputes" => ok(&all_disputes),
        _ => ok(&list(Vec::new())),
    })
    .await;
    let (work, store) = work(&order, fake.url(), None);
    let result = work.reconcile(now_ms() - HOUR_MS, now_ms()).await.expect("a comparison");
    (result.breaks.len(), store.only())
}

/// One that a person had dealt with opened again in the night, since the comparison had other words for it.
#[tokio::test]
async fn a_break_is_told_in_the_words_in_which_it_was_recorded() {
    let mut order = order(PaymentMethod::PaymentIntent, 0);
    let payment = order.payments[0].id;
    let mut recorded = Vec::new();
    for id in ["pi_1", "pi_2"] {
        let paid = News::Intent {
            payment,
            intent: id.into(),
            status: IntentStatus::Succeeded,
            received: money(1_300),
            client_secret: None,
            failure: None,
        };
        let effects = order.apply(&paid, now_ms()).expect("news is never refused");
        recorded.extend(effects.breaks.into_iter().map(|one| (one.kind, one.reference, one.detail)));
    }
    let kinds: Vec<_> = recorded.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, [BreakKind::AmountDiffers, BreakKind::UnknownCharge]);
    let mut own = intent(&order.payments[0], "succeeded");
    own["amount_received"] = json!(1_300);
    let mut second = own.clone();
    second["id"] = json!("pi_2");
    // The first is asked for alone where the list does not show it.
    for (listed, expected) in [(vec![own.clone(), second], &recorded[..]), (Vec::new(), &recorded[..1])] {
        let (listed, own) = (list(listed), own.clone());
        let fake = Fake::start(move |seen| match line_of(seen).as_str() {
            "GET /v1/payment_intents" => ok(&listed),
            "GET /v1/payment_intents/pi_1" => ok(&own),
            _ => ok(&list(Vec::new())),
        })
        .await;
        let (work, _store) = work(&order, fake.url(), None);
        let result = work.reconcile(now_ms() - HOUR_MS, now_ms()).await.expect("a comparison");
        let found: Vec<_> = result.breaks.into_iter().map(|one| (one.kind, one.reference, one.detail)).collect();
        assert_eq!(found, expected);
    }
}

/// Stripe listed it as pending, and told of its success before the books were read: that was a break for ever.
#[tokio::test]
async fn a_refund_that_goes_on_while_it_is_compared_is_no_break() {
    let refunds = Kept::new(&[refund("pending")], &[refund("succeeded")]);
    let (breaks, after) = compare(refunded(), refunds, Kept::default()).await;
    assert_eq!((breaks, after.refunds[0].state), (0, RefundState::Succeeded));
}

/// The same between the answer about it and the books.
#[tokio::test]
async fn a_refund_that_goes_on_after_it_was_asked_for_is_no_break() {
    let refunds = Kept::new(&[refund("pending")], &[refund("pending"), refund("succeeded")]);
    let (breaks, after) = compare(refunded(), refunds, Kept::default()).await;
    assert_eq!((breaks, after.refunds[0].state), (0, RefundState::Succeeded));
    let refunds = Kept::new(&[refund("pending")], &[refund("pending")]);
    let (breaks, _) = compare(refunded(), refunds, Kept::default()).await;
    assert_eq!(breaks, 1, "it stays another one");
}

/// It was asked for, and what Stripe said was thrown away.
#[tokio::test]
async fn a_refund_that_failed_late_is_taken_in() {
    let (breaks, after) = compare(refunded(), Kept::new(&[], &[refund("failed")]), Kept::default()).await;
    assert_eq!((breaks, after.refunds[0].state, after.state), (0, RefundState::Failed, OrderState::Paid));
}

/// Compares disputes of an order that has this one, where it has one: where it stands, and how many events were told.
async fn compare_disputes(known: Option<DisputeState>, listed: &str, alone: &[Value]) -> (DisputeState, u32) {
    let mut order = refunded();
    let payment = order.payments[0].id;
    if let Some(state) = known {
        let known = Dispute { id: "dp_1".into(), payment, state };
        order.apply(&News::Dispute(known), now_ms()).expect("news is never refused");
    }
    let before = order.version;
    let refunds = Kept::new(&[refund("succeeded")], &[]);
    let (breaks, after) = compare(order, refunds, Kept::new(&[dispute(listed)], alone)).await;
    assert_eq!((breaks, after.disputes.len()), (0, 1));
    (after.dispute, after.version - before)
}

/// Disputes were never asked for.
#[tokio::test]
async fn a_dispute_that_nobody_told_of_is_taken_in() {
    assert_eq!(compare_disputes(None, "lost", &[dispute("lost")]).await, (DisputeState::Lost, 1));
}

/// A decision was overturned between the list and the books, which the list then set back.
#[tokio::test]
async fn a_dispute_that_is_decided_while_it_is_compared_stays_so() {
    let won = [dispute("won")];
    assert_eq!(compare_disputes(Some(DisputeState::Won), "lost", &won).await, (DisputeState::Won, 0));
    assert_eq!(compare_disputes(None, "needs_response", &won).await, (DisputeState::Won, 1));
    // What is the same in the books is not asked for.
    assert_eq!(compare_disputes(Some(DisputeState::Won), "won", &[]).await, (DisputeState::Won, 0));
}
