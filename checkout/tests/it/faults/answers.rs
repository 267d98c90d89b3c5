//! Answers of Stripe's that are missing, broken off, cannot be read, or are faults that it remembers.

use futures::future::join_all;

use super::books::assert_books;
use super::harness::shop::{Shopper, View, ask_until_final, cancelling_order, new_key, refunding};
use super::harness::{BOOTS, World, until};

/// A fault of the simulator's, and how long it waits with it.
const FAULTS: &[(&str, u64)] = &[
    ("drop_before", 0),
    ("drop_after", 0),
    ("hang_before", 1_500),
    ("hang_after", 1_500),
    ("undecodable", 0),
    ("half_body", 0),
    ("unstored_500", 0),
    ("cached_500", 0),
    ("executed_500", 0),
    ("bad_gateway", 0),
    ("unavailable", 0),
    ("rate_limited", 0),
    ("lock_timeout", 0),
    ("drifted", 0),
    ("delay", 1_500),
];

const MAKE_INTENT: &str = "POST /v1/payment_intents";
const CANCEL_INTENT: &str = "POST /v1/payment_intents/*/cancel";
const MAKE_SESSION: &str = "POST /v1/checkout/sessions";
const MAKE_REFUND: &str = "POST /v1/refunds";

/// An answer that is well, so that the breaker does not open of so many faults in a row.
async fn breathe(world: &World) {
    Shopper::place(&world.client(0), &[(BOOTS, 1)]).await.intent().await;
}

/// Every fault of the script struck; then there is none.
async fn assert_struck(world: &World, fault: &str) {
    assert_eq!(world.stripe.strikes().await, 1, "{fault}");
    world.stripe.clear_faults().await;
}

/// Whatever Stripe answers, the shopper is told what is true or is asked to wait, and pays once in the end.
#[tokio::test(flavor = "multi_thread")]
async fn faulty_answers_to_a_payment() {
    let world = World::serving().await;
    let mut shoppers = Vec::new();
    for (fault, delay_ms) in FAULTS {
        breathe(&world).await;
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        world.stripe.slow_fault(MAKE_INTENT, fault, 1, *delay_ms).await;
        let request = shopper.completing(&new_key());
        let reply = shopper.client.ask(&request).await;
        assert!(matches!(reply.status, 200 | 202), "{fault}: {} {}", reply.status, reply.text);
        // What was said is said again to whoever asks with the same key.
        let again = ask_until_final(&shopper.client, &request).await;
        assert_eq!((again.status, &again.text, again.is_replayed), (reply.status, &reply.text, true), "{fault}");
        assert_struck(&world, fault).await;
        shoppers.push(shopper);
    }
    join_all(shoppers.iter().map(|shopper| shopper.buy(&world))).await;
    assert_books(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_answers_to_a_hosted_page() {
    let world = World::serving().await;
    let mut shoppers = Vec::new();
    for (fault, delay_ms) in FAULTS {
        breathe(&world).await;
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        world.stripe.slow_fault(MAKE_SESSION, fault, 1, *delay_ms).await;
        let reply = shopper.client.ask(&shopper.completing_by(&new_key(), "hosted_page")).await;
        assert!(matches!(reply.status, 200 | 202), "{fault}: {} {}", reply.status, reply.text);
        assert_struck(&world, fault).await;
        shoppers.push((fault, shopper));
    }
    join_all(shoppers.iter().map(|(fault, shopper)| pay_at_a_page(&world, fault, shopper))).await;
    assert_books(&world).await;
}

async fn pay_at_a_page(world: &World, fault: &str, shopper: &Shopper) {
    let mut view = View::default();
    until(&format!("after {fault} there is a page to pay at"), async || {
        view = shopper.view().await;
        if view.payment_state == "failed" {
            let reply = shopper.client.ask(&shopper.completing_by(&new_key(), "hosted_page")).await;
            assert!(reply.is_success(), "{fault}: {} {}", reply.status, reply.text);
        }
        view.session.is_some()
    })
    .await;
    let session = view.session.expect("a session");
    assert!(world.stripe.pay_session(&session, "pm_card_visa").await, "{fault}: {session}");
    shopper.wait_for("paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_answers_to_a_refund() {
    let world = World::serving().await;
    let mut orders = Vec::new();
    for (fault, delay_ms) in FAULTS {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let order = shopper.buy(&world).await;
        world.stripe.slow_fault(MAKE_REFUND, fault, 1, *delay_ms).await;
        let request = refunding(&order, &new_key(), Some(500));
        let reply = shopper.client.ask(&request).await;
        assert!(reply.is_success(), "{fault}: {} {}", reply.status, reply.text);
        let again = ask_until_final(&shopper.client, &request).await;
        assert_eq!((&again.text, again.is_replayed), (&reply.text, true), "{fault}");
        assert_struck(&world, fault).await;
        orders.push((fault, shopper, order));
    }
    assert_books(&world).await;
    let ledger = world.stripe.ledger().await;
    for (fault, shopper, order) in &orders {
        let given_back: i64 = ledger.of_order(order).iter().map(|one| one.refunded).sum();
        let failed = format!("SELECT count(*) FROM refunds WHERE order_id = '{order}' AND state = 'failed'");
        match shopper.view().await.order_state.as_str() {
            "partially_refunded" => assert_eq!(given_back, 500, "{fault}"),
            // It was told as failed, and the money is here: staff may try again.
            "paid" => assert_eq!((given_back, world.count(&failed)), (0, 1), "{fault}"),
            other => panic!("{fault}: {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_answers_to_a_cancellation() {
    let world = World::serving().await;
    let mut orders = Vec::new();
    for (fault, delay_ms) in FAULTS {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let intent = shopper.intent().await;
        let order = shopper.view().await.order.expect("an order");
        world.stripe.slow_fault(CANCEL_INTENT, fault, 1, *delay_ms).await;
        let reply = shopper.client.ask(&cancelling_order(&order, &new_key())).await;
        assert!(reply.is_success(), "{fault}: {} {}", reply.status, reply.text);
        assert_struck(&world, fault).await;
        orders.push((fault, shopper, intent));
    }
    for (fault, shopper, intent) in &orders {
        shopper.wait_for("cancelled").await;
        assert!(!world.stripe.pay(intent, "pm_card_visa").await, "{fault}: what is cancelled cannot be paid");
    }
    assert_books(&world).await;
}

/// Looking something up goes wrong as well.
#[tokio::test(flavor = "multi_thread")]
async fn faulty_answers_to_questions() {
    let world = World::serving().await;
    world.stripe.webhooks(&serde_json::json!({ "mode": "none" })).await;
    let mut shoppers = Vec::new();
    for _ in 0..6 {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let intent = shopper.intent().await;
        assert!(world.stripe.pay(&intent, "pm_card_visa").await);
        shoppers.push(shopper);
    }
    for fault in ["drop_after", "half_body", "undecodable", "bad_gateway", "rate_limited", "unstored_500"] {
        world.stripe.fault("GET /v1/payment_intents/*", fault, 2).await;
    }
    until("everything is asked for, and answered in the end", async || {
        world.make_due();
        world.count("SELECT count(*) FROM orders WHERE state <> 'paid'") == 0
    })
    .await;
    assert_books(&world).await;
    assert_eq!(world.stripe.strikes().await, 12);
}
