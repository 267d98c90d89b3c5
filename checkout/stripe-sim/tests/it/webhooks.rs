//! Events on their way: signatures, retries, order.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use stripe_sim::{DeliveryOrder, Settings, WebhookMode, WebhookPlan, WebhookTarget};

use crate::api::{Rig, wait_until};
use crate::receiver::{Delivered, Receiver};

const SECRET: &str = "whsec_of_tests";
/// The events of an intent that a card pays at once, as they are made.
const PAID: [&str; 4] = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "charge.updated"];

async fn rig(receivers: &[&Receiver]) -> Rig {
    let target = |receiver: &&Receiver| WebhookTarget { url: receiver.url.clone(), secret: SECRET.to_owned() };
    Rig::start_with(Settings { webhooks: receivers.iter().map(target).collect(), ..Settings::default() }).await
}

fn is_signed(delivered: &Delivered) -> bool {
    let (time, signature) = delivered.signature.split_once(",v1=").expect("a time and a signature");
    let time = time.strip_prefix("t=").expect("a time");
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    assert!(now_s.abs_diff(time.parse().expect("seconds")) < 300);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key");
    mac.update(format!("{time}.{}", delivered.body).as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    signature == expected
}

#[tokio::test]
async fn events_are_signed_and_tried_until_they_are_acknowledged() {
    let (steady, failing) = (Receiver::start(0).await, Receiver::start(2).await);
    let rig = rig(&[&steady, &failing]).await;
    rig.api.post_with_key("k", "/v1/payment_intents", &[("amount", "1000"), ("currency", "eur")]).await.ok();
    steady.wait_for(1).await;
    failing.wait_for(1).await;
    assert_eq!(failing.refused(), 2);
    let delivered = &failing.accepted()[0];
    assert!(is_signed(delivered));
    let event = delivered.event();
    assert_eq!((&event["type"], &event["livemode"]), (&json!("payment_intent.created"), &json!(false)));
    assert_eq!(event["request"]["idempotency_key"], "k");
    assert_eq!(steady.accepted()[0].event()["id"], event["id"], "both are told of the same event");
    wait_until("all is acknowledged", async || rig.sim.webhook_counts().delivered == 2).await;
    assert_eq!(rig.sim.webhook_counts().failed_attempts, 2);
    let listed = rig.api.get("/v1/events").await.ok();
    assert_eq!(listed["data"][0]["pending_webhooks"], 0);
}

#[tokio::test]
async fn events_come_twice_or_with_a_wrong_signature() {
    let receiver = Receiver::start(0).await;
    let rig = rig(&[&receiver]).await;
    let plan = json!({ "duplicates": 1, "bad_signature": true });
    rig.api.tell("/sim/webhooks", &plan).await.ok();
    rig.api.intent(&[]).await.ok();
    receiver.wait_for(2).await;
    let delivered = receiver.accepted();
    assert_eq!(delivered[0].event()["id"], delivered[1].event()["id"]);
    assert!(!is_signed(&delivered[0]));
}

#[tokio::test]
async fn held_events_come_in_the_order_that_is_asked_for() {
    let receiver = Receiver::start(0).await;
    let rig = rig(&[&receiver]).await;
    rig.sim.set_webhooks(WebhookPlan { mode: WebhookMode::Hold, ..WebhookPlan::default() });
    rig.api.paid("pm_card_visa").await.ok();
    assert_eq!(rig.sim.webhook_counts().held, 4);
    let told = rig.api.tell("/sim/webhooks/deliver", &json!({ "order": "reversed" })).await.ok();
    assert_eq!(told["counts"]["delivered"], 4);
    let mut reversed = PAID;
    reversed.reverse();
    assert_eq!(receiver.kinds(), reversed);
    rig.api.paid("pm_card_visa").await.ok();
    rig.sim.deliver(DeliveryOrder::AsMade, 0, 2).await;
    assert_eq!(receiver.kinds()[4..], [PAID, PAID].concat());
    let counts = rig.sim.webhook_counts();
    assert_eq!((counts.held, counts.in_flight), (0, 0));
}

#[tokio::test]
async fn events_come_before_the_answer() {
    let receiver = Receiver::start(0).await;
    let rig = rig(&[&receiver]).await;
    rig.sim.set_webhooks(WebhookPlan { mode: WebhookMode::BeforeResponse, ..WebhookPlan::default() });
    rig.api.paid("pm_card_visa").await.ok();
    assert_eq!(receiver.kinds(), PAID, "all of them, before the call was answered");
}

#[tokio::test]
async fn events_can_be_read_though_they_never_come() {
    let receiver = Receiver::start(0).await;
    let rig = rig(&[&receiver]).await;
    rig.sim.set_webhooks(WebhookPlan { mode: WebhookMode::None, ..WebhookPlan::default() });
    rig.api.paid("pm_card_visa").await.ok();
    assert_eq!(rig.api.get("/v1/events").await.ok()["data"].as_array().map(Vec::len), Some(4));
    rig.sim.set_webhooks(WebhookPlan::default());
    rig.api.paid("pm_card_chargeDeclined").await.error(402);
    receiver.wait_for_kind("payment_intent.payment_failed").await;
    let kinds = receiver.kinds();
    assert!(!kinds.iter().any(|kind| kind == "payment_intent.succeeded"), "{kinds:?}");
}

#[tokio::test]
async fn the_clock_causes_events_too() {
    let receiver = Receiver::start(0).await;
    let rig = rig(&[]).await;
    rig.sim.add_webhook(&receiver.url, SECRET).expect("one more endpoint");
    let open = crate::sessions::session(&rig.api, &[]).await.ok();
    rig.sim.advance(24 * 60 * 60 + 1);
    receiver.wait_for_kind("checkout.session.expired").await;
    let delivered = receiver.accepted();
    let expired = delivered.iter().find(|delivered| delivered.kind() == "checkout.session.expired").expect("it came");
    assert!(is_signed(expired), "with the real time, which receivers compare with");
    assert_eq!(expired.event()["data"]["object"]["id"], open["id"]);
    assert!(expired.event()["request"]["id"].is_null());
}
