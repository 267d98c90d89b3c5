//! Money that goes back late, not at all, or while the shopper's bank asks for it too.

use serde_json::json;

use super::books::assert_books;
use super::harness::shop::{Shopper, new_key, refunding};
use super::harness::{BOOTS, World, until};

/// Waits until the bank's word on an order is in the books.
pub(super) async fn wait_for_dispute(world: &World, order: &str, state: &str) {
    let standing = format!("SELECT dispute FROM orders WHERE id = '{order}'");
    until(&format!("the dispute of {order} is {state}"), async || world.sql(&standing) == state).await;
}

/// An order that was paid with this card.
async fn bought(world: &World, method: &str) -> (Shopper, String) {
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let intent = shopper.intent().await;
    assert!(world.stripe.pay(&intent, method).await, "{intent} can be paid");
    let order = shopper.wait_for("paid").await;
    (shopper, order)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_after_it_succeeded() {
    let world = World::serving().await;
    let (by_hand, order) = bought(&world, "pm_card_visa").await;
    let reply = by_hand.client.ask(&refunding(&order, &new_key(), Some(1_000))).await;
    assert!(reply.is_success(), "{}", reply.text);
    by_hand.wait_for("partially_refunded").await;
    let (refund, ..) = world.stripe.ledger().await.refunds().remove(0);
    assert!(world.stripe.settle_refund(&refund, false).await, "the bank sends it back");
    by_hand.wait_for("paid").await;
    // The money is there again, and may be given back again.
    let reply = by_hand.client.ask(&refunding(&order, &new_key(), None)).await;
    assert!(reply.is_success(), "{}", reply.text);
    by_hand.wait_for("refunded").await;
    // Of this card the bank sends it back by itself.
    let (by_card, order) = bought(&world, "pm_card_refundFail").await;
    let reply = by_card.client.ask(&refunding(&order, &new_key(), None)).await;
    assert!(reply.is_success(), "{}", reply.text);
    let failed = format!("SELECT count(*) FROM refunds WHERE state = 'failed' AND order_id = '{order}'");
    until("the refund failed", async || world.count(&failed) == 1).await;
    by_card.wait_for("paid").await;
    assert_books(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_takes_its_time() {
    let world = World::serving().await;
    world.stripe.settings(&json!({ "settle_after_s": 3_600 })).await;
    let (shopper, order) = bought(&world, "pm_card_pendingRefund").await;
    let reply = shopper.client.ask(&refunding(&order, &new_key(), None)).await;
    assert!(reply.is_success(), "{}", reply.text);
    let pending = format!("SELECT count(*) FROM refunds WHERE state = 'pending' AND order_id = '{order}'");
    until("the refund is pending", async || world.count(&pending) == 1).await;
    assert_eq!(shopper.view().await.order_state, "paid");
    let (refund, ..) = world.stripe.ledger().await.refunds().remove(0);
    assert!(world.stripe.settle_refund(&refund, true).await);
    shopper.wait_for("refunded").await;
    assert_books(&world).await;
}

/// What the bank asks for cannot be given back at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_a_charge_that_is_disputed() {
    let world = World::serving().await;
    let (shopper, order) = bought(&world, "pm_card_visa").await;
    let refund = async |amount_minor: i64| {
        let reply = shopper.client.ask(&refunding(&order, &new_key(), Some(amount_minor))).await;
        assert!(reply.is_success(), "{}", reply.text);
        reply.body["refund"]["failure"].as_str().map(str::to_owned)
    };
    assert_eq!(refund(1_000).await, None);
    shopper.wait_for("partially_refunded").await;
    let dispute = world.stripe.dispute(&order).await;
    wait_for_dispute(&world, &order, "open").await;
    assert_eq!(refund(2_000).await.as_deref(), Some("charge_disputed"));
    world.stripe.close_dispute(&dispute, true).await;
    wait_for_dispute(&world, &order, "won").await;
    assert_eq!(refund(2_000).await, None);
    assert_books(&world).await;
    let given_back: i64 = world.stripe.ledger().await.refunds().iter().map(|(_, _, amount, _)| amount).sum();
    assert_eq!(given_back, 3_000);
}
