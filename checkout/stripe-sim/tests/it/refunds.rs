//! Refunds: whole, in parts, too much, and those that take their time or fail.

use serde_json::json;
use stripe_sim::Settings;

use crate::api::{Rig, id};

#[tokio::test]
async fn a_charge_gives_back_what_it_took_and_no_more() {
    let rig = Rig::start().await;
    let intent = id(&rig.api.paid("pm_card_visa").await.ok());
    let refund = async |pairs: &[(&str, &str)]| {
        rig.api.post("/v1/refunds", &[&[("payment_intent", intent.as_str())], pairs].concat()).await
    };
    let part = refund(&[("amount", "300"), ("reason", "requested_by_customer"), ("metadata[r]", "1")]).await.ok();
    assert_eq!((&part["status"], &part["amount"]), (&json!("succeeded"), &json!(300)));
    let error = refund(&[("amount", "701")]).await.error(400);
    assert_eq!(error["param"], "amount");
    assert_eq!(refund(&[]).await.ok()["amount"], 700, "the rest");
    assert_eq!(refund(&[]).await.error(400)["code"], "charge_already_refunded");
    let ledger = rig.sim.ledger();
    assert_eq!(ledger.refunds.iter().map(|refund| refund.amount).sum::<i64>(), 1_000);
    let charge = rig.sim.object(&ledger.payment_intents[0].charges[0].id);
    assert_eq!(charge["refunded"], true);
    let listed = rig.api.get(&format!("/v1/refunds?payment_intent={intent}")).await.ok();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    let path = format!("/v1/charges/{}?expand[]=refunds", ledger.payment_intents[0].charges[0].id);
    assert_eq!(rig.api.get(&path).await.ok()["refunds"]["data"][1]["id"], part["id"]);
    assert_eq!(rig.api.post("/v1/refunds", &[]).await.error(400)["code"], "parameter_missing");
    let open = id(&rig.api.intent(&[]).await.ok());
    rig.api.post("/v1/refunds", &[("payment_intent", &open)]).await.error(400);
}

#[tokio::test]
async fn refunds_may_be_pending_and_may_fail() {
    let rig = Rig::start_with(Settings { settle_after_s: 1_000, ..Settings::default() }).await;
    let refund = async |method: &str| {
        let intent = id(&rig.api.paid(method).await.ok());
        rig.api.post("/v1/refunds", &[("payment_intent", &intent), ("amount", "400")]).await.ok()
    };
    let (slow, failing) = (refund("pm_card_pendingRefund").await, refund("pm_card_refundFail").await);
    assert_eq!((&slow["status"], &failing["status"]), (&json!("pending"), &json!("succeeded")));
    rig.sim.advance(1_001);
    let status = async |refund: &serde_json::Value| rig.api.get(&format!("/v1/refunds/{}", id(refund))).await.ok();
    assert_eq!(status(&slow).await["status"], "succeeded");
    let failed = status(&failing).await;
    assert_eq!((&failed["status"], failed["failure_reason"].is_string()), (&json!("failed"), true));
    let refunded: Vec<i64> =
        rig.sim.ledger().payment_intents.iter().map(|intent| intent.charges[0].amount_refunded).collect();
    assert_eq!(refunded, [400, 0], "what failed can be refunded again");
    let by_hand = refund("pm_card_pendingRefund").await;
    let path = format!("/sim/refunds/{}/settle", id(&by_hand));
    assert_eq!(rig.api.tell(&path, &json!({ "succeed": false })).await.ok()["status"], "failed");
    let again = rig.api.tell(&path, &json!({ "succeed": true })).await.ok();
    assert!(again["error"]["message"].is_string(), "{again}");
}
