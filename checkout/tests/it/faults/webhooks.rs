//! Webhooks that come before the answer, twice, in any order, days late, forged, or never.

use futures::future::join_all;
use serde_json::{Value, json};

use super::books::assert_books;
use super::harness::client::Request;
use super::harness::door::{PATH, SECRET, Webhook, now_s};
use super::harness::shop::{Shopper, new_key};
use super::harness::{BOOTS, LAMP, World, until};

const DAYS_3_S: i64 = 72 * 3_600;

/// Mixes a list; the same seed mixes it the same way.
fn mixed<T: Clone>(list: &[T], seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut mixed = list.to_vec();
    for place in (1..mixed.len()).rev() {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        mixed.swap(place, (state % (place as u64 + 1)) as usize);
    }
    mixed
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_come_before_the_answer() {
    let world = World::serving().await;
    world.stripe.webhooks(&json!({ "mode": "before_response" })).await;
    for method in ["payment_intent", "hosted_page"] {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let reply = shopper.client.ask(&shopper.completing_by(&new_key(), method)).await;
        assert!(reply.is_success(), "{}", reply.text);
        let view = shopper.view().await;
        let paid = match (view.intent, view.session) {
            (Some(intent), _) => world.stripe.pay(&intent, "pm_card_visa").await,
            (None, session) => world.stripe.pay_session(&session.expect("a session"), "pm_card_visa").await,
        };
        assert!(paid);
        shopper.wait_for("paid").await;
    }
    // The answer to a refund comes after its webhook, too.
    let shopper = Shopper::place(&world.client(0), &[(LAMP, 2)]).await;
    let order = shopper.buy(&world).await;
    let reply = shopper.client.ask(&super::harness::shop::refunding(&order, &new_key(), None)).await;
    assert!(reply.is_success(), "{}", reply.text);
    shopper.wait_for("refunded").await;
    assert_books(&world).await;
}

/// The same events in a dozen orders, each twice, and three days late: the end is the same.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_come_twice_in_any_order_and_late() {
    const ORDERS: u64 = 12;
    let world = World::serving().await;
    let mut shoppers = Vec::new();
    for _ in 0..ORDERS {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let intent = shopper.intent().await;
        shoppers.push((shopper, intent));
    }
    world.door.close();
    for (_, intent) in &shoppers {
        world.stripe.pay(intent, "pm_card_chargeDeclined").await;
        world.stripe.pay_and_authenticate(intent, true).await;
        until("Stripe told of its success", async || {
            world.door.kept(intent).iter().any(|one| one.kind() == "payment_intent.succeeded")
        })
        .await;
    }
    let first: Vec<Vec<Webhook>> = shoppers.iter().map(|(_, intent)| world.door.kept(intent)).collect();
    join_all(first.iter().zip(&shoppers).zip(1..).map(|((told, (shopper, _)), seed)| {
        let twice = [told.as_slice(), told.as_slice()].concat();
        deliver(shopper, mixed(&twice, seed))
    }))
    .await;
    for (shopper, intent) in &shoppers {
        shopper.wait_for("paid").await;
        world.stripe.refund_in_dashboard(intent, 1_000).await;
        until("Stripe told of the refund", async || {
            world.door.kept(intent).iter().any(|one| one.kind() == "charge.refunded")
        })
        .await;
    }
    // All of it once more: what said less than is known by now says nothing.
    let all: Vec<Vec<Webhook>> = shoppers.iter().map(|(_, intent)| world.door.kept(intent)).collect();
    join_all(all.iter().zip(&shoppers).zip(100..).map(|((told, (shopper, _)), seed)| {
        let twice = [told.as_slice(), told.as_slice()].concat();
        deliver(shopper, mixed(&twice, seed))
    }))
    .await;
    for (shopper, _) in &shoppers {
        let order = shopper.wait_for("partially_refunded").await;
        until("subscribers were told", async || world.subscriber.kinds_of(&order).len() >= 3).await;
        let kinds = world.subscriber.kinds_of(&order);
        let ends: Vec<&str> = kinds.iter().filter_map(|kind| kind.rsplit('.').next()).collect();
        assert_eq!(ends, ["created", "paid", "partially_refunded"]);
    }
    world.door.open();
    assert_books(&world).await;
}

async fn deliver(shopper: &Shopper, webhooks: Vec<Webhook>) {
    for webhook in webhooks {
        let status = webhook.late(DAYS_3_S).deliver(&shopper.client).await;
        assert_eq!(status, 200, "{}", webhook.kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_stale_and_replayed_webhooks() {
    let world = World::serving().await;
    let client = world.client(0);
    let shopper = Shopper::place(&client, &[(BOOTS, 1)]).await;
    let intent = shopper.intent().await;
    super::books::settle(&world).await;
    world.door.close();
    assert!(world.stripe.pay(&intent, "pm_card_visa").await);
    until("the webhook is there", async || {
        world.door.kept(&intent).iter().any(|one| one.kind() == "payment_intent.succeeded")
    })
    .await;
    let webhook = world.door.kept(&intent).into_iter().find(|one| one.kind() == "payment_intent.succeeded");
    let webhook = webhook.expect("the webhook");
    let body = webhook.body.clone();
    let mut tampered = body.clone();
    let place = tampered.len() - 2;
    tampered.insert(place, b' ');
    let digits = |webhook: &Webhook| webhook.signature.rsplit('=').next().expect("a signature").to_owned();
    let good = Webhook::signed(body.clone(), SECRET, now_s());
    let forged = [
        ("another secret", Webhook::signed(body.clone(), "whsec_of_somebody_else", now_s())),
        ("no secret", Webhook::signed(body.clone(), "", now_s())),
        ("another body", Webhook { signature: good.signature.clone(), body: tampered }),
        ("an old moment", Webhook::signed(body.clone(), SECRET, now_s() - 900)),
        ("a moment to come", Webhook::signed(body.clone(), SECRET, now_s() + 900)),
        (
            "another moment",
            Webhook { signature: format!("t={},v1={}", now_s() + 1, digits(&good)), body: body.clone() },
        ),
        ("another scheme", Webhook { signature: format!("t={},v0={}", now_s(), digits(&good)), body: body.clone() }),
        ("half a signature", Webhook { signature: good.signature[..40].to_owned(), body: body.clone() }),
        ("no signature", Webhook { signature: String::new(), body: body.clone() }),
        ("a long one", Webhook { signature: format!("t={},{}", now_s(), "v1=00,".repeat(1_000)), body: body.clone() }),
    ];
    for (what, webhook) in &forged {
        let status = webhook.deliver(&client).await;
        assert!((400..500).contains(&status), "{what}: {status}");
    }
    let reply = client.ask(&Request::post(PATH).bytes(body.clone())).await;
    assert_eq!(reply.status, 400, "without a header: {}", reply.text);
    let stored = format!("SELECT count(*) FROM webhook_inbox WHERE id = '{}'", webhook.id());
    assert_eq!(world.count(&stored), 0, "nothing that was forged is kept");
    assert_eq!(shopper.view().await.order_state, "pending_payment");
    // The real one, and again as a thief of it would send it: word by word.
    for _ in 0..3 {
        assert_eq!(webhook.deliver(&client).await, 200);
    }
    let order = shopper.wait_for("paid").await;
    assert_eq!(world.count(&stored), 1);
    until("subscribers were told", async || world.subscriber.kinds_of(&order).len() >= 2).await;
    world.door.open();
    assert_books(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_the_simulator_that_is_wrong_changes_nothing() {
    let world = World::serving().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let intent = shopper.intent().await;
    super::books::settle(&world).await;
    let before = world.count("SELECT count(*) FROM webhook_inbox");
    world.stripe.webhooks(&json!({ "mode": "normal", "bad_signature": true })).await;
    assert!(world.stripe.pay(&intent, "pm_card_visa").await);
    until("it was delivered", async || !world.door.kept("payment_intent.succeeded").is_empty()).await;
    assert_eq!(world.count("SELECT count(*) FROM webhook_inbox"), before);
    // Stripe delivers again what was refused, with a signature that is right by then; else recovery asks.
    world.stripe.webhooks(&json!({ "mode": "normal", "bad_signature": false })).await;
    world.make_due();
    shopper.wait_for("paid").await;
    assert_books(&world).await;
}

/// Recovery asks Stripe before it gives anything up.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_never_come() {
    let world = World::serving().await;
    world.stripe.webhooks(&json!({ "mode": "none" })).await;
    let place = async || Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let (paid, paid_late, unpaid, refunded) = (place().await, place().await, place().await, place().await);
    let paid_intent = paid.intent().await;
    let late_intent = paid_late.intent().await;
    let unpaid_intent = unpaid.intent().await;
    let refunded_intent = refunded.intent().await;
    let hosted = place().await;
    let reply = hosted.client.ask(&hosted.completing_by(&new_key(), "hosted_page")).await;
    assert!(reply.is_success(), "{}", reply.text);
    let session = hosted.view().await.session.expect("a session");
    for intent in [&paid_intent, &late_intent, &refunded_intent] {
        assert!(world.stripe.pay(intent, "pm_card_visa").await);
    }
    assert!(world.stripe.pay_session(&session, "pm_card_visa").await);
    // The hold is over of one that is paid, and of one that is not.
    world.end_hold(&paid_late.checkout);
    world.end_hold(&unpaid.checkout);
    paid_late.wait_for("paid").await;
    unpaid.wait_for("cancelled").await;
    world.make_due();
    paid.wait_for("paid").await;
    hosted.wait_for("paid").await;
    assert_eq!(unpaid.view().await.checkout_state, "expired");
    assert!(!world.stripe.pay(&unpaid_intent, "pm_card_visa").await, "it was cancelled at Stripe");
    refunded.wait_for("paid").await;
    assert_books(&world).await;
}

/// A body that drifted, or is of a kind that nobody knows, is acknowledged and holds up nothing.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_say_what_nobody_understands() {
    let world = World::serving().await;
    let client = world.client(0);
    let shopper = Shopper::place(&client, &[(BOOTS, 1)]).await;
    let event = |id: &str, kind: &str, object: Value| {
        let event = json!({
            "id": id, "object": "event", "type": kind, "created": now_s(), "livemode": false, "pending_webhooks": 1,
            "data": { "object": object },
        });
        Webhook::signed(event.to_string().into_bytes(), SECRET, now_s())
    };
    let strange = [
        event("evt_1", "customer.tax_id.created", json!({ "id": "txi_1", "object": "tax_id" })),
        event(
            "evt_2",
            "payment_intent.succeeded",
            json!({ "id": "pi_of_nobody", "object": "payment_intent",
            "status": "succeeded", "amount": 100, "amount_received": 100, "currency": "eur", "metadata": {} }),
        ),
        event("evt_3", "checkout.session.completed", json!({ "id": "cs_of_nobody", "object": "checkout.session" })),
        event("evt_4", "a.kind.to.come", json!(null)),
    ];
    for webhook in &strange {
        assert_eq!(webhook.deliver(&client).await, 200, "{}", webhook.kind());
    }
    for body in [&b"{\"id\": "[..], b"\xff\xfe", b"[]", b"null", b"{}", b"{\"id\": 7}"] {
        let webhook = Webhook::signed(body.to_vec(), SECRET, now_s());
        assert_eq!(webhook.deliver(&client).await, 400, "{}", String::from_utf8_lossy(body));
    }
    shopper.buy(&world).await;
    assert_books(&world).await;
}
