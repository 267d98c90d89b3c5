//! The books against Stripe's: what came later than anybody looked, or while they were compared.

use super::glue::work;
use super::*;
use crate::domain::{DisputeState, IntentStatus, News, OrderState, RefundState};

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

/// Compares with a Stripe that lists these refunds and disputes, and has the refund as it is now.
async fn compare(listed: Vec<Value>, now: Value, disputes: Vec<Value>) -> (usize, Order) {
    let order = refunded();
    let (paid, listed, disputes) = (intent(&order.payments[0], "succeeded"), list(listed), list(disputes));
    let fake = Fake::start(move |seen| match line_of(seen).as_str() {
        "GET /v1/payment_intents/pi_1" => ok(&paid),
        "GET /v1/refunds/re_1" => ok(&now),
        "GET /v1/refunds" => ok(&listed),
        "GET /v1/disputes" => ok(&disputes),
        _ => ok(&list(Vec::new())),
    })
    .await;
    let (work, store) = work(&order, fake.url(), None);
    let result = work.reconcile(now_ms() - HOUR_MS, now_ms()).await.expect("a comparison");
    (result.breaks.len(), store.only())
}

/// Stripe listed it as pending, and told of its success before the books were read: that was a break for ever.
#[tokio::test]
async fn a_refund_that_goes_on_while_it_is_compared_is_no_break() {
    let (breaks, after) = compare(vec![refund("pending")], refund("succeeded"), Vec::new()).await;
    assert_eq!((breaks, after.refunds[0].state), (0, RefundState::Succeeded));
}

/// It was asked for, and what Stripe said was thrown away.
#[tokio::test]
async fn a_refund_that_failed_late_is_taken_in() {
    let (breaks, after) = compare(Vec::new(), refund("failed"), Vec::new()).await;
    assert_eq!((breaks, after.refunds[0].state, after.state), (0, RefundState::Failed, OrderState::Paid));
}

/// Disputes were never asked for.
#[tokio::test]
async fn a_dispute_that_nobody_told_of_is_taken_in() {
    let dispute = json!({"id": "dp_1", "payment_intent": "pi_1", "status": "lost", "balance_transactions": []});
    let (breaks, after) = compare(vec![refund("succeeded")], refund("succeeded"), vec![dispute]).await;
    assert_eq!((breaks, after.dispute, after.disputes.len()), (0, DisputeState::Lost, 1));
}
