//! Stripe allows so much and no more, or is away: shoppers are told to wait, and all is paid in the end.

use futures::future::join_all;
use serde_json::json;

use super::books::assert_books;
use super::harness::shop::{Shopper, new_key};
use super::harness::{BOOTS, LAMP, World, servers, until};

/// Twenty-five a second are allowed, and a hundred shoppers come at once.
#[tokio::test(flavor = "multi_thread")]
async fn more_shoppers_than_stripe_allows() {
    const SHOPPERS: usize = 100;
    for own_limit in ["25", "1000"] {
        let mut world = World::new(servers::shared_postgres(), Some(25)).await;
        // With a limit of its own that is too high, it is Stripe that says no.
        world.flags.extend(["--stripe-requests-per-s".to_owned(), own_limit.to_owned()]);
        world.run(0, None);
        world.stock_up().await;
        let client = world.client(0);
        let shoppers = join_all((0..SHOPPERS).map(|_| Shopper::place(&client, &[(BOOTS, 1)]))).await;
        let replies = join_all(shoppers.iter().map(Shopper::complete)).await;
        for reply in &replies {
            assert!(matches!(reply.status, 200 | 202), "{} {}", reply.status, reply.text);
        }
        let waiting = replies.iter().filter(|reply| reply.status == 202).count();
        println!("of {SHOPPERS} shoppers, {waiting} were told to wait, at {own_limit} requests a second");
        join_all(shoppers.iter().map(|shopper| shopper.buy(&world))).await;
        assert_books(&world).await;
        let limited = world.stripe.ledger().await.rate_limited();
        if own_limit == "1000" {
            assert!(limited > 0, "Stripe said no to some");
        }
        let intents = world.stripe.ledger().await.intents();
        let charged = intents.iter().filter(|one| one.status == "succeeded").count();
        assert_eq!(charged, SHOPPERS);
    }
}

/// Stripe refuses connections, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn stripe_is_away() {
    let world = World::serving().await;
    let before = Shopper::place(&world.client(0), &[(LAMP, 1)]).await;
    let intent = before.intent().await;
    world.stripe.take_away().await;
    let client = world.client(0);
    let shoppers = join_all((0..20).map(|_| Shopper::place(&client, &[(BOOTS, 1)]))).await;
    let replies = join_all(shoppers.iter().map(Shopper::complete)).await;
    for reply in &replies {
        assert_eq!(reply.status, 202, "{}", reply.text);
        assert_eq!(reply.body["payment"]["state"], "processing", "{}", reply.text);
    }
    // Whoever cancels meanwhile is heeded, as soon as Stripe can be told.
    let reply = client.ask(&shoppers[0].cancelling(&new_key())).await;
    assert!(reply.is_success(), "{} {}", reply.status, reply.text);
    world.stripe.bring_back().await;
    let (cancelled, others) = shoppers.split_first().expect("shoppers");
    join_all(others.iter().map(|shopper| shopper.buy(&world))).await;
    cancelled.wait_for("cancelled").await;
    assert!(world.stripe.pay(&intent, "pm_card_visa").await);
    before.wait_for("paid").await;
    assert_books(&world).await;
}

/// After so many failures in a row nobody is asked any more for a while, so that shoppers do not wait in vain.
#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_opens_and_closes() {
    const SHOPPERS: usize = 60;
    let world = World::serving().await;
    world.stripe.fault("POST /v1/payment_intents", "drop_before", 0).await;
    let client = world.client(0);
    let shoppers = join_all((0..SHOPPERS).map(|_| Shopper::place(&client, &[(BOOTS, 1)]))).await;
    for shopper in &shoppers {
        let reply = shopper.complete().await;
        assert_eq!(reply.status, 202, "{}", reply.text);
    }
    let asked = world.stripe.strikes().await;
    assert!(asked < SHOPPERS as u64, "the breaker never opened: {asked} requests for {SHOPPERS} shoppers");
    world.stripe.clear_faults().await;
    join_all(shoppers.iter().map(|shopper| shopper.buy(&world))).await;
    assert_books(&world).await;
}

/// Slow answers take nothing but time.
#[tokio::test(flavor = "multi_thread")]
async fn stripe_is_slow() {
    let world = World::serving().await;
    world.stripe.settings(&json!({ "latency_ms": 800 })).await;
    let client = world.client(0);
    let shoppers = join_all((0..10).map(|_| Shopper::place(&client, &[(BOOTS, 1)]))).await;
    join_all(shoppers.iter().map(|shopper| shopper.buy(&world))).await;
    assert_books(&world).await;
}

/// A bank debit settles days later: it is paid then, or it fails and the shopper may try again while the hold lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_bank_takes_its_time() {
    let world = World::serving().await;
    world.stripe.settings(&json!({ "settle_after_s": 3_600 })).await;
    let place = async || Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let (paid, failed, over) = (place().await, place().await, place().await);
    let mut intents = Vec::new();
    for shopper in [&paid, &failed, &over] {
        let intent = shopper.intent().await;
        assert!(world.stripe.pay(&intent, "pm_sepa_debit").await);
        until("the money is under way", async || shopper.view().await.payment_state == "processing").await;
        intents.push(intent);
    }
    // The hold ends while the money is under way: the stock stays theirs until the bank has spoken.
    for shopper in [&paid, &over] {
        world.end_hold(&shopper.checkout);
    }
    assert!(world.stripe.settle(&intents[0], true).await);
    assert!(world.stripe.settle(&intents[1], false).await);
    paid.wait_for("paid").await;
    until("another card can be tried", async || failed.view().await.payment_state == "requires_action").await;
    assert!(world.stripe.pay(&intents[1], "pm_card_visa").await);
    failed.wait_for("paid").await;
    assert_eq!(over.view().await.order_state, "pending_payment");
    assert!(world.stripe.settle(&intents[2], false).await);
    over.wait_for("cancelled").await;
    assert_books(&world).await;
}
