//! Killed at each fail point and started again: what was begun is gone on with.

use std::time::Duration;

use checkout::fail_points;
use futures::future::join_all;

use super::books::{assert_books, settle};
use super::harness::client::{Reply, Request};
use super::harness::door::PATH;
use super::harness::shop::{Shopper, View, ask_until_final, buy_through_faults, cancelling_order, new_key, refunding};
use super::harness::{BOOTS, LAMP, World, until};

/// Asks a process that dies of it, starts it again, and asks with the same key.
async fn ask_and_die(world: &World, point: &str, request: &Request) -> Reply {
    world.run(0, Some(point));
    let client = world.client(0);
    let answer = client.send(request).await;
    assert!(answer.is_err(), "{point}: it answered {answer:?}");
    world.wait_for_abort(0);
    world.run(0, None);
    world.end_leases();
    let reply = ask_until_final(&client, request).await;
    assert!(reply.is_success(), "{point}: {} {}", reply.status, reply.text);
    let again = ask_until_final(&client, request).await;
    assert!(again.is_replayed, "{point}: a second answer to one key");
    assert_eq!((again.status, &again.text), (reply.status, &reply.text), "{point}");
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_payment_is_made() {
    let world = World::serving().await;
    for point in [fail_points::ORDER_COMMITTED, fail_points::STRIPE_ANSWERED, fail_points::PAYMENT_COMMITTED] {
        for method in ["payment_intent", "hosted_page"] {
            let shopper = Shopper::place(&world.client(0), &[(BOOTS, 2), (LAMP, 1)]).await;
            ask_and_die(&world, point, &shopper.completing_by(&new_key(), method)).await;
            let mut view = View::default();
            until("the shopper can pay", async || {
                view = shopper.view().await;
                view.payment_state == "requires_action"
            })
            .await;
            let paid = match (&view.intent, &view.session) {
                (Some(intent), _) => world.stripe.pay(intent, "pm_card_visa").await,
                (None, Some(session)) => world.stripe.pay_session(session, "pm_card_visa").await,
                (None, None) => panic!("{point} {method}: nothing to pay with: {view:?}"),
            };
            assert!(paid, "{point} {method}: {view:?}");
            let order = shopper.wait_for("paid").await;
            let intents = world.stripe.ledger().await.of_order(&order);
            assert_eq!(intents.len(), 1, "{point} {method}: {intents:#?}");
        }
    }
    assert_books(&world).await;
}

/// The lease is waited for, as a client does that lost its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_request_died_is_told_to_wait_and_then_gone_on_with() {
    let world = World::serving().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let request = shopper.completing(&new_key());
    world.run(0, Some(fail_points::ORDER_COMMITTED));
    assert!(shopper.client.send(&request).await.is_err());
    world.wait_for_abort(0);
    world.run(0, None);
    let reply = shopper.client.ask(&request).await;
    if reply.code() == "idempotency_key_in_flight" {
        assert_eq!(reply.status, 409);
        assert!(reply.retry_after_s.is_some_and(|seconds| (1..=60).contains(&seconds)), "{:?}", reply.retry_after_s);
    }
    let reply = ask_until_final(&shopper.client, &request).await;
    assert!(reply.is_success(), "{}", reply.text);
    shopper.buy(&world).await;
    assert_books(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_refund_is_made() {
    let world = World::serving().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 2)]).await;
    let order = shopper.buy(&world).await;
    for point in [fail_points::REFUND_COMMITTED, fail_points::REFUND_ANSWERED] {
        ask_and_die(&world, point, &refunding(&order, &new_key(), Some(1_000))).await;
    }
    shopper.wait_for("partially_refunded").await;
    assert_books(&world).await;
    let refunds = world.stripe.ledger().await.refunds();
    let amounts: Vec<i64> = refunds.iter().map(|(_, _, amount, _)| *amount).collect();
    assert_eq!(amounts, [1_000, 1_000], "{refunds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_an_order_is_cancelled() {
    let world = World::serving().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 3)]).await;
    let intent = shopper.intent().await;
    ask_and_die(&world, fail_points::CANCEL_ANSWERED, &shopper.cancelling(&new_key())).await;
    let order = shopper.wait_for("cancelled").await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 3)]).await;
    shopper.intent().await;
    let second = shopper.view().await.order.expect("an order");
    ask_and_die(&world, fail_points::CANCEL_ANSWERED, &cancelling_order(&second, &new_key())).await;
    shopper.wait_for("cancelled").await;
    assert_books(&world).await;
    let ledger = world.stripe.ledger().await;
    for order in [order, second] {
        let intents = ledger.of_order(&order);
        assert!(intents.iter().all(|one| one.status == "canceled"), "{intents:?}");
    }
    assert!(!world.stripe.pay(&intent, "pm_card_visa").await, "what is cancelled cannot be paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_webhook_is_taken() {
    let world = World::serving().await;
    let points = [fail_points::WEBHOOK_STORED, fail_points::WEBHOOK_ACKNOWLEDGED, fail_points::WEBHOOK_APPLIED];
    for point in points {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let intent = shopper.intent().await;
        // Webhooks of before must not kill it.
        settle(&world).await;
        world.run(0, Some(point));
        assert!(world.stripe.pay(&intent, "pm_card_visa").await, "{point}");
        world.wait_for_abort(0);
        world.run(0, None);
        shopper.wait_for("paid").await;
    }
    assert_books(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_stored_by_the_dead_is_known() {
    let world = World::serving().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let intent = shopper.intent().await;
    settle(&world).await;
    world.door.close();
    assert!(world.stripe.pay(&intent, "pm_card_visa").await);
    until("the webhook is there", async || {
        world.door.kept(&intent).iter().any(|one| one.kind() == "payment_intent.succeeded")
    })
    .await;
    let webhook = world.door.kept(&intent).into_iter().find(|one| one.kind() == "payment_intent.succeeded");
    let webhook = webhook.expect("the webhook");
    world.run(0, Some(fail_points::WEBHOOK_STORED));
    assert!(world.client(0).send(&webhook.request()).await.is_err(), "{PATH} is not acknowledged");
    world.wait_for_abort(0);
    world.run(0, None);
    // Nobody delivers it again: what is in the inbox is applied.
    shopper.wait_for("paid").await;
    assert_eq!(webhook.deliver(&world.client(0)).await, 200);
    let stored = format!("SELECT count(*) FROM webhook_inbox WHERE id = '{}'", webhook.id());
    assert_eq!(world.count(&stored), 1);
    world.door.open();
    assert_books(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_a_delivery_is_marked() {
    let world = World::serving().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    // What stock has to tell goes first.
    settle(&world).await;
    world.run(0, Some(fail_points::OUTBOX_DELIVERED));
    let request = shopper.completing(&new_key());
    let _ = shopper.client.send(&request).await;
    world.wait_for_abort(0);
    let before = world.subscriber.taken();
    assert!(!before.is_empty(), "it died after a delivery");
    world.run(0, None);
    world.end_leases();
    assert!(ask_until_final(&shopper.client, &request).await.is_success());
    let order = shopper.buy(&world).await;
    assert_books(&world).await;
    // At least once: the same event came again, with the id that it had.
    let last = before.last().expect("an event");
    let times = world.subscriber.taken().iter().filter(|event| *event == last).count();
    assert_eq!(times, 2, "{last:?}");
    assert_eq!(world.subscriber.kinds_of(&order).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_recovery() {
    let world = World::serving().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let request = shopper.completing(&new_key());
    world.run(0, Some(fail_points::ORDER_COMMITTED));
    assert!(shopper.client.send(&request).await.is_err());
    world.wait_for_abort(0);
    // Nothing is due while it starts.
    world.sql("UPDATE payments SET next_check_ms = next_check_ms + 3600000");
    world.run(0, Some(fail_points::RECOVERY_CLAIMED));
    world.make_due();
    // It dies without being asked for anything.
    world.wait_for_abort(0);
    world.run(0, None);
    shopper.buy(&world).await;
    world.end_leases();
    let reply = ask_until_final(&shopper.client, &request).await;
    assert!(reply.is_success(), "{}", reply.text);
    assert_books(&world).await;
}

/// Nothing says that a process is killed at a point that somebody thought of.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment() {
    const SHOPPERS: usize = 24;
    let world = World::serving().await;
    let client = world.client(0);
    let kill = async {
        for pause_ms in [300, 900, 150, 1_500, 600] {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            world.kill(0);
            world.end_leases();
            world.make_due();
            world.run(0, None);
        }
    };
    let shopping = join_all((0..SHOPPERS).map(|_| buy_through_faults(&world, &client)));
    let (shoppers, ()) = tokio::join!(shopping, kill);
    for shopper in &shoppers {
        shopper.wait_for("paid").await;
    }
    assert_books(&world).await;
    assert_eq!(client.ask(&Request::get("/checkout/healthz")).await.status, 200);
    let sold =
        world.count(&format!("SELECT -sum(change) FROM stock_moves WHERE kind = 'sale' AND product = '{BOOTS}'"));
    assert_eq!(sold, i64::try_from(SHOPPERS).expect("a small number"));
}
