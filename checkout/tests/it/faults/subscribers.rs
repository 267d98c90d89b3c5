//! A subscriber that refuses, for a while or for good: each order's events stay in order, and those of others go on.

use futures::future::join_all;

use super::books::assert_books;
use super::harness::shop::{Shopper, new_key, refunding};
use super::harness::{BOOTS, World, until};

/// The last parts of an order's events, as they were taken.
fn taken(world: &World, order: &str) -> Vec<String> {
    let kinds = world.subscriber.kinds_of(order).into_iter();
    kinds.map(|kind| kind.rsplit('.').next().unwrap_or_default().to_owned()).collect()
}

/// Makes everything due that waits in the outbox.
fn hurry(world: &World) {
    world.sql("UPDATE outbox SET next_ms = 0 WHERE delivered_ms IS NULL AND NOT is_dead");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_orders_events_are_refused_for_ever() {
    let world = World::serving().await;
    let client = world.client(0);
    let refused = Shopper::place(&client, &[(BOOTS, 1)]).await;
    refused.intent().await;
    let order = refused.view().await.order.expect("an order");
    super::books::settle(&world).await;
    world.subscriber.refuse(&order, 500);
    refused.buy(&world).await;
    let others = join_all((0..5).map(|_| Shopper::place(&client, &[(BOOTS, 1)]))).await;
    let others = join_all(others.iter().map(|shopper| shopper.buy(&world))).await;
    let reply = client.ask(&refunding(&order, &new_key(), Some(100))).await;
    assert!(reply.is_success(), "{}", reply.text);
    refused.wait_for("partially_refunded").await;
    for other in &others {
        until("others are told of", async || taken(&world, other) == ["created", "paid"]).await;
    }
    // It is tried again, each time later, and what comes after it waits behind it.
    let tries = format!("SELECT max(tries) FROM outbox WHERE subject = 'orders/{order}'");
    until("it is tried again", async || {
        hurry(&world);
        world.count(&tries) >= 3
    })
    .await;
    let last = format!("SELECT tries FROM outbox WHERE subject = 'orders/{order}' AND version = 3");
    assert_eq!(world.count(&last), 0, "the third event waits for the second");
    assert_eq!(taken(&world, &order), ["created"]);
    // In the end it is a dead letter, which staff sees and sends again.
    until("it is given up", async || {
        hurry(&world);
        world.count("SELECT count(*) FROM outbox WHERE is_dead") == 1
    })
    .await;
    let (is_listed, said) = world.command(&["dead-letters", "list", "--json"]);
    assert!(is_listed && said.contains(&order), "{said}");
    assert_eq!(world.count(&last), 0, "a dead letter holds back what comes after");
    world.subscriber.heal();
    let (is_replayed, said) = world.command(&["dead-letters", "replay"]);
    assert!(is_replayed, "{said}");
    until("all of it is told", async || taken(&world, &order) == ["created", "paid", "partially_refunded"]).await;
    assert_books(&world).await;
}

/// What the subscriber says it will never take is given up at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_a_dead_letter() {
    let world = World::serving().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    super::books::settle(&world).await;
    world.subscriber.refuse("orders/", 400);
    let order = shopper.buy(&world).await;
    until("it is given up", async || world.count("SELECT count(*) FROM outbox WHERE is_dead") == 1).await;
    assert!(taken(&world, &order).is_empty());
    world.subscriber.heal();
    let (is_replayed, said) = world.command(&["dead-letters", "replay"]);
    assert!(is_replayed, "{said}");
    until("all of it is told", async || taken(&world, &order) == ["created", "paid"]).await;
    assert_books(&world).await;
}

/// The subscriber is down while many buy.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hiccups() {
    let world = World::serving().await;
    let client = world.client(0);
    // Fewer than the tries after which an event is dead.
    world.subscriber.hiccup(15);
    let shoppers = join_all((0..20).map(|_| Shopper::place(&client, &[(BOOTS, 1)]))).await;
    let orders = join_all(shoppers.iter().map(|shopper| shopper.buy(&world))).await;
    until("all is told", async || {
        hurry(&world);
        orders.iter().all(|order| taken(&world, order) == ["created", "paid"])
    })
    .await;
    assert!(world.subscriber.refusals() > 0);
    assert_books(&world).await;
}
