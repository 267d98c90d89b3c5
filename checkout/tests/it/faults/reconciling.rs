//! What nobody told of is found by comparing the books with Stripe's.

use serde_json::json;

use super::books::{assert_books, settle};
use super::harness::shop::{Shopper, new_key, refunding};
use super::harness::{BOOTS, World};
use super::refunds::wait_for_dispute;

/// The webhooks of a payment, of a dispute that was lost, of a refund in the dashboard and of one that failed are lost, with
/// nobody there to ask.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_are_lost_while_nothing_runs() {
    let world = World::serving().await;
    let client = world.client(0);
    let waiting = Shopper::place(&client, &[(BOOTS, 1)]).await;
    let intent = waiting.intent().await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let shopper = Shopper::place(&client, &[(BOOTS, 1)]).await;
        let order = shopper.buy(&world).await;
        orders.push((shopper, order));
    }
    let [(_, disputed), (by_dashboard, refunded), (by_bank, failed)] = orders.as_slice() else {
        panic!("three orders")
    };
    let reply = client.ask(&refunding(failed, &new_key(), Some(1_000))).await;
    assert!(reply.is_success(), "{}", reply.text);
    by_bank.wait_for("partially_refunded").await;
    settle(&world).await;
    world.stripe.webhooks(&json!({ "mode": "none" })).await;
    world.kill(0);
    assert!(world.stripe.pay(&intent, "pm_card_visa").await);
    let dispute = world.stripe.dispute(disputed).await;
    world.stripe.close_dispute(&dispute, false).await;
    let ledger = world.stripe.ledger().await;
    let (refund, ..) = ledger.refunds().remove(0);
    assert!(world.stripe.settle_refund(&refund, false).await);
    world.stripe.refund_in_dashboard(&ledger.of_order(refunded)[0].intent, 500).await;
    for _ in 0..2 {
        let (is_right, said) = world.command(&["reconcile", "--actor", "anna"]);
        assert!(is_right && said.contains("and 1 disputes"), "{said}");
    }
    assert_eq!(world.count("SELECT count(*) FROM audit WHERE action = 'reconcile' AND actor = 'cli:anna'"), 2);
    wait_for_dispute(&world, disputed, "lost").await;
    world.run(0, None);
    waiting.wait_for("paid").await;
    by_dashboard.wait_for("partially_refunded").await;
    by_bank.wait_for("paid").await;
    assert_books(&world).await;
}
