//! Checkout sessions, from the shop's side.

use serde_json::json;
use stripe_sim::Settings;

use crate::api::{Answer, Api, Rig, id};

/// A session over two lines, 25 euros together.
pub async fn session(api: &Api, more: &[(&str, &str)]) -> Answer {
    let base = [
        ("mode", "payment"),
        ("success_url", "https://shop.example/done?session={CHECKOUT_SESSION_ID}"),
        ("cancel_url", "https://shop.example/cart"),
        ("client_reference_id", "o-1"),
        ("metadata[order_id]", "o-1"),
        ("payment_intent_data[metadata][order_id]", "o-1"),
        ("line_items[0][price_data][currency]", "eur"),
        ("line_items[0][price_data][unit_amount]", "1000"),
        ("line_items[0][price_data][product_data][name]", "Boots <size 42>"),
        ("line_items[0][quantity]", "2"),
        ("line_items[1][price_data][currency]", "eur"),
        ("line_items[1][price_data][unit_amount]", "500"),
        ("line_items[1][price_data][product_data][name]", "Shipping"),
        ("line_items[1][quantity]", "1"),
    ];
    api.post("/v1/checkout/sessions", &[&base, more].concat()).await
}

#[tokio::test]
async fn a_session_is_paid() {
    let rig = Rig::start().await;
    let open = session(&rig.api, &[("customer_email", "a@shop.example"), ("expand[]", "line_items")]).await.ok();
    assert_eq!((&open["status"], &open["payment_status"]), (&json!("open"), &json!("unpaid")));
    assert_eq!((&open["amount_total"], &open["currency"]), (&json!(2_500), &json!("eur")));
    assert!(open["payment_intent"].is_null(), "there is none before somebody pays");
    assert_eq!(open["line_items"]["data"][0]["amount_total"], 2_000);
    let path = format!("/v1/checkout/sessions/{}", id(&open));
    let declined = json!({ "payment_method": "pm_card_chargeDeclined" });
    let told = rig.api.tell(&format!("/sim/checkout/sessions/{}/pay", id(&open)), &declined).await.ok();
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!("open"), &json!("card_declined")));
    rig.sim.pay_session(&id(&open), "pm_card_authenticationRequired", Some(true));
    let done = rig.api.get(&format!("{path}?expand[]=payment_intent.latest_charge")).await.ok();
    assert_eq!((&done["status"], &done["payment_status"]), (&json!("complete"), &json!("paid")));
    assert!(done["url"].is_null());
    let intent = &done["payment_intent"];
    assert_eq!(intent["metadata"]["order_id"], "o-1");
    assert_eq!(intent["latest_charge"]["amount_captured"], 2_500);
    let listed = rig.api.get(&format!("/v1/checkout/sessions?payment_intent={}", id(intent))).await.ok();
    assert_eq!(listed["data"][0]["id"], open["id"]);
    let ledger = rig.sim.ledger();
    assert_eq!(ledger.sessions[0].client_reference_id.as_deref(), Some("o-1"));
    assert_eq!(ledger.payment_intents[0].charges.iter().filter(|charge| charge.paid).count(), 1);
    rig.api.post(&format!("{path}/expire"), &[]).await.error(400);
    let lines = rig.api.get(&format!("{path}/line_items")).await.ok();
    assert_eq!(lines["data"][1]["description"], "Shipping");
}

#[tokio::test]
async fn a_bank_settles_after_the_session_is_complete() {
    let rig = Rig::start_with(Settings { settle_after_s: 1_000, ..Settings::default() }).await;
    let mut ids = Vec::new();
    for method in ["pm_sepa_debit", "pm_sepaDebitFail"] {
        let open = session(&rig.api, &[]).await.ok();
        rig.sim.pay_session(&id(&open), method, None);
        ids.push(id(&open));
    }
    let statuses = async || {
        let mut statuses = Vec::new();
        for id in &ids {
            let session = rig.api.get(&format!("/v1/checkout/sessions/{id}")).await.ok();
            statuses.push((session["status"].clone(), session["payment_status"].clone()));
        }
        statuses
    };
    assert_eq!(statuses().await, vec![(json!("complete"), json!("unpaid")); 2]);
    rig.sim.advance(1_001);
    let settled = [(json!("complete"), json!("paid")), (json!("complete"), json!("unpaid"))];
    assert_eq!(statuses().await, settled);
    // It has no method any more, and nobody can give it another: its page is complete.
    let intent = rig.sim.ledger().payment_intents[1].clone();
    assert_eq!(intent.status, "requires_payment_method");
    let error = rig.api.post(&format!("/v1/payment_intents/{}/cancel", intent.id), &[]).await.error(400);
    assert_eq!(error["code"], "payment_intent_unexpected_state", "it is a session's");
    for kind in ["succeeded", "failed"] {
        let path = format!("/v1/events?type=checkout.session.async_payment_{kind}");
        assert_eq!(rig.api.get(&path).await.ok()["data"].as_array().map(Vec::len), Some(1), "{kind}");
    }
}

#[tokio::test]
async fn a_session_expires_by_call_and_by_clock() {
    let rig = Rig::start().await;
    let (by_call, by_clock) = (session(&rig.api, &[]).await.ok(), session(&rig.api, &[]).await.ok());
    // An attempt that was declined leaves an intent, which must not be payable afterwards.
    rig.sim.pay_session(&id(&by_call), "pm_card_chargeDeclined", None);
    let intent = rig.sim.ledger().payment_intents[0].id.clone();
    let error = rig.api.post(&format!("/v1/payment_intents/{intent}/cancel"), &[]).await.error(400);
    assert_eq!(error["code"], "payment_intent_unexpected_state", "the session is open");
    let expired = rig.api.post(&format!("/v1/checkout/sessions/{}/expire", id(&by_call)), &[]).await.ok();
    assert_eq!(expired["status"], "expired");
    assert_eq!(rig.sim.ledger().payment_intents[0].status, "canceled");
    rig.sim.advance(24 * 60 * 60 + 1);
    let ledger = rig.sim.ledger();
    assert!(ledger.sessions.iter().all(|session| session.status == "expired"), "{ledger:?}");
    rig.sim.pay_session(&id(&by_clock), "pm_card_visa", None);
    assert_eq!(rig.sim.ledger().sessions[1].payment_intent, None, "too late");
}

#[tokio::test]
async fn what_is_not_simulated_is_refused() {
    let rig = Rig::start().await;
    let check = async |more: &[(&str, &str)], param: &str| {
        let error = session(&rig.api, more).await.error(400);
        assert_eq!(error["param"], param, "{error}");
    };
    check(&[("shipping_options[0][shipping_rate]", "shr_1")], "shipping_options").await;
    check(&[("automatic_tax[enabled]", "true")], "automatic_tax[enabled]").await;
    check(&[("expires_at", "5")], "expires_at").await;
    check(&[("cancel_url", "javascript:alert(1)")], "cancel_url").await;
    check(&[("nonsense", "1")], "nonsense").await;
    check(&[("line_items[1][price_data][currency]", "usd")], "line_items[1][price_data][currency]").await;
    check(&[("line_items[0][quantity]", "0")], "line_items[0][quantity]").await;
    session(&rig.api, &[("automatic_tax[enabled]", "false"), ("locale", "de")]).await.ok();
}
