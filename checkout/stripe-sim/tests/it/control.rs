//! `/sim`: what it takes, and what it tells.

use serde_json::json;
use stripe_sim::Ledger;

use crate::api::Rig;

#[tokio::test]
async fn the_ledger_is_the_same_over_http() {
    let rig = Rig::start().await;
    rig.api.paid("pm_card_visa").await.ok();
    rig.api.paid("pm_card_chargeDeclined").await.error(402);
    let told = rig.api.get("/sim/ledger").await.ok();
    let ledger: Ledger = serde_json::from_value(told).expect("a ledger");
    assert_eq!(ledger, rig.sim.ledger());
    assert_eq!(ledger.payment_intents.len(), 2);
    assert_eq!(ledger.requests["POST /v1/payment_intents"], 2);
}

#[tokio::test]
async fn settings_change_while_it_runs() {
    let rig = Rig::start().await;
    let told = rig.api.tell("/sim/settings", &json!({ "latency_ms": 1, "settle_after_s": 9 })).await.ok();
    assert_eq!(told, json!({ "rate_limit_per_s": null, "latency_ms": 1, "settle_after_s": 9 }));
    for wrong in [json!({ "latency": 1 }), json!({ "latency_ms": -1 }), json!({ "latency_ms": null }), json!([])] {
        assert_eq!(rig.api.tell("/sim/settings", &wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(rig.api.tell("/sim/nothing", &json!({})).await.status, 400);
    assert_eq!(rig.api.tell("/sim/time", &json!({ "advance_s": "5" })).await.status, 400);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let rig = Rig::start().await;
    let long = "x".repeat(65 * 1024);
    rig.api.post("/v1/payment_intents", &[("description", &long)]).await.error(413);
}
