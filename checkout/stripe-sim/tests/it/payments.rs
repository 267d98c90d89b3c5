//! PaymentIntents: states, declines, authentication, late methods, capture, parameters.

use serde_json::json;
use stripe_sim::Settings;

use crate::api::{Rig, id};

/// Banks settle when the clock is moved, and not before.
fn slow_banks() -> Settings {
    Settings { settle_after_s: 1_000, ..Settings::default() }
}

#[tokio::test]
async fn a_card_pays() {
    let rig = Rig::start().await;
    let created = rig.api.intent(&[("metadata[order_id]", "o-1"), ("description", "boots")]).await.ok();
    assert_eq!(created["status"], "requires_payment_method");
    assert_eq!(created["metadata"], json!({ "order_id": "o-1" }));
    assert!(created["latest_charge"].is_null());
    let path = format!("/v1/payment_intents/{}", id(&created));
    let confirmed = rig.api.post(&format!("{path}/confirm"), &[("payment_method", "pm_card_visa")]).await.ok();
    assert_eq!((&confirmed["status"], &confirmed["amount_received"]), (&json!("succeeded"), &json!(1_000)));
    let expand = "expand[]=latest_charge.balance_transaction&expand[]=payment_method";
    let read = rig.api.get(&format!("{path}?{expand}")).await.ok();
    assert_eq!(read["latest_charge"]["paid"], true);
    assert_eq!(read["latest_charge"]["metadata"]["order_id"], "o-1");
    assert_eq!(read["payment_method"]["card"]["last4"], "4242");
    let transaction = &read["latest_charge"]["balance_transaction"];
    assert_eq!((&transaction["fee"], &transaction["net"]), (&json!(40), &json!(960)), "1.5% and 25");
    let error = rig.api.post(&format!("{path}/confirm"), &[("payment_method", "pm_card_visa")]).await.error(400);
    assert_eq!(error["code"], "payment_intent_unexpected_state");
    assert_eq!(error["payment_intent"]["status"], "succeeded");
    for deed in ["cancel", "capture"] {
        let error = rig.api.post(&format!("{path}/{deed}"), &[]).await.error(400);
        assert_eq!(error["code"], "payment_intent_unexpected_state", "{deed}");
    }
    let ledger = rig.sim.ledger();
    assert_eq!(ledger.payment_intents.len(), 1);
    assert_eq!(ledger.payment_intents[0].charges.iter().filter(|charge| charge.paid).count(), 1);
    assert_eq!(ledger.requests["POST /v1/payment_intents/*/confirm"], 2);
}

#[tokio::test]
async fn declines_are_card_errors_and_leave_the_intent_open() {
    let rig = Rig::start().await;
    let check = async |method: &str, code: &str, decline_code: Option<&str>| {
        let error = rig.api.paid(method).await.error(402);
        assert_eq!(error["type"], "card_error", "{method}");
        assert_eq!(error["code"], code, "{method}");
        assert_eq!(error["decline_code"].as_str(), decline_code, "{method}");
        let intent = &error["payment_intent"];
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(intent["last_payment_error"]["code"], code);
        assert_eq!(intent["latest_charge"], error["charge"]);
        id(intent)
    };
    check("pm_card_chargeDeclined", "card_declined", Some("generic_decline")).await;
    check("pm_card_chargeDeclinedExpiredCard", "expired_card", None).await;
    let intent = check("pm_card_chargeDeclinedInsufficientFunds", "card_declined", Some("insufficient_funds")).await;
    let path = format!("/v1/payment_intents/{intent}/confirm");
    let card = [("payment_method_data[type]", "card"), ("payment_method_data[card][number]", "4242424242424242")];
    let paid = rig.api.post(&path, &card).await.ok();
    assert_eq!(paid["status"], "succeeded");
    assert!(paid["last_payment_error"].is_null());
    let charges = rig.api.get(&format!("/v1/charges?payment_intent={intent}")).await.ok();
    let statuses: Vec<&str> =
        charges["data"].as_array().expect("charges").iter().filter_map(|charge| charge["status"].as_str()).collect();
    assert_eq!(statuses, ["succeeded", "failed"], "the newest first");
}

#[tokio::test]
async fn authentication_succeeds_or_fails() {
    let rig = Rig::start().await;
    let ask = async || {
        let more = [
            ("payment_method", "pm_card_authenticationRequired"),
            ("confirm", "true"),
            ("return_url", "https://shop.example/back"),
        ];
        rig.api.intent(&more).await.ok()
    };
    let asked = ask().await;
    assert_eq!(asked["status"], "requires_action");
    assert_eq!(asked["next_action"]["type"], "redirect_to_url");
    assert_eq!(asked["next_action"]["redirect_to_url"]["return_url"], "https://shop.example/back");
    assert!(rig.sim.ledger().payment_intents[0].charges.is_empty(), "nothing is charged yet");
    let finish = async |intent: &str, authenticate: bool| {
        let path = format!("/sim/payment_intents/{intent}/pay");
        rig.api.tell(&path, &json!({ "authenticate": authenticate })).await.ok()["payment_intent"].take()
    };
    let paid = finish(&id(&asked), true).await;
    assert_eq!(paid["status"], "succeeded");
    let charge = rig.sim.object(paid["latest_charge"].as_str().expect("a charge"));
    assert_eq!(charge["payment_method_details"]["card"]["three_d_secure"]["result"], "authenticated");
    let failed = finish(&id(&ask().await), false).await;
    assert_eq!(failed["status"], "requires_payment_method");
    assert_eq!(failed["last_payment_error"]["code"], "payment_intent_authentication_failure");
    let more = [("payment_method", "pm_card_authenticationRequired"), ("confirm", "true"), ("off_session", "true")];
    let error = rig.api.intent(&more).await.error(402);
    assert_eq!(error["code"], "authentication_required", "nobody is there to authenticate");
}

#[tokio::test]
async fn banks_settle_later() {
    let rig = Rig::start_with(slow_banks()).await;
    let pay = async |method: &str| {
        let pairs = [
            ("amount", "1000"),
            ("currency", "eur"),
            ("payment_method_types[]", "sepa_debit"),
            ("payment_method", method),
            ("confirm", "true"),
        ];
        rig.api.post("/v1/payment_intents", &pairs).await.ok()
    };
    let (good, bad) = (pay("pm_sepa_debit").await, pay("pm_sepaDebitFail").await);
    assert_eq!((&good["status"], &bad["status"]), (&json!("processing"), &json!("processing")));
    let read = async |intent: &serde_json::Value| {
        let path = format!("/v1/payment_intents/{}?expand[]=latest_charge", id(intent));
        rig.api.get(&path).await.ok()
    };
    assert_eq!(read(&good).await["latest_charge"]["status"], "pending");
    let error = rig.api.post(&format!("/v1/payment_intents/{}/cancel", id(&good)), &[]).await.error(400);
    assert_eq!(error["code"], "payment_intent_unexpected_state");
    rig.api.tell("/sim/time", &json!({ "advance_s": 1_001 })).await.ok();
    assert_eq!(read(&good).await["status"], "succeeded");
    let failed = read(&bad).await;
    assert_eq!(failed["status"], "requires_payment_method");
    assert_eq!(failed["latest_charge"]["status"], "failed");
    assert!(failed["last_payment_error"]["payment_method"]["sepa_debit"].is_object());
    let by_hand = pay("pm_sepa_debit").await;
    rig.sim.settle_intent(&id(&by_hand), false).expect("it is being processed");
    assert_eq!(read(&by_hand).await["status"], "requires_payment_method");
    rig.sim.settle_intent(&id(&by_hand), true).expect_err("it is not being processed any more");
}

#[tokio::test]
async fn money_is_authorised_first_and_captured_later() {
    let rig = Rig::start().await;
    let authorise = async || {
        let more = [("payment_method", "pm_card_visa"), ("confirm", "true"), ("capture_method", "manual")];
        rig.api.intent(&more).await.ok()
    };
    let held = authorise().await;
    assert_eq!((&held["status"], &held["amount_capturable"]), (&json!("requires_capture"), &json!(1_000)));
    let path = format!("/v1/payment_intents/{}", id(&held));
    rig.api.post(&format!("{path}/capture"), &[("amount_to_capture", "1001")]).await.error(400);
    let captured = rig.api.post(&format!("{path}/capture"), &[("amount_to_capture", "600")]).await.ok();
    assert_eq!((&captured["status"], &captured["amount_received"]), (&json!("succeeded"), &json!(600)));
    let charge = &rig.sim.ledger().payment_intents[0].charges[0];
    assert_eq!((charge.amount_captured, charge.amount_refunded), (600, 400), "the rest was let go");
    let other = format!("/v1/payment_intents/{}", id(&authorise().await));
    let canceled = rig.api.post(&format!("{other}/cancel"), &[("cancellation_reason", "abandoned")]).await.ok();
    assert_eq!((&canceled["status"], &canceled["cancellation_reason"]), (&json!("canceled"), &json!("abandoned")));
    assert_eq!(rig.sim.ledger().payment_intents[1].amount_received, 0);
}

#[tokio::test]
async fn parameters_are_checked_before_anything_is_done() {
    let rig = Rig::start().await;
    let check = async |pairs: &[(&str, &str)], code: Option<&str>, param: &str| {
        let error = rig.api.post("/v1/payment_intents", pairs).await.error(400);
        assert_eq!(error["type"], "invalid_request_error", "{pairs:?}");
        assert_eq!((error["code"].as_str(), error["param"].as_str()), (code, Some(param)), "{pairs:?}");
    };
    check(&[("currency", "eur")], Some("parameter_missing"), "amount").await;
    check(&[("amount", "1000")], Some("parameter_missing"), "currency").await;
    check(&[("amount", "49"), ("currency", "usd")], Some("amount_too_small"), "amount").await;
    check(&[("amount", "1.5"), ("currency", "usd")], Some("parameter_invalid_integer"), "amount").await;
    check(&[("amount", "1000"), ("currency", "xyz")], None, "currency").await;
    check(&[("amount", "1000"), ("currency", "eur"), ("amonut", "1")], Some("parameter_unknown"), "amonut").await;
    let nested = [("amount", "1000"), ("currency", "eur"), ("automatic_payment_methods[enabeld]", "true")];
    check(&nested, Some("parameter_missing"), "automatic_payment_methods[enabled]").await;
    assert!(rig.sim.ledger().payment_intents.is_empty());
    let automatic = [("amount", "1000"), ("currency", "eur"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let error = rig.api.post("/v1/payment_intents", &automatic).await.error(400);
    assert_eq!(error["param"], "return_url", "payment methods that redirect need one");
    rig.api.get("/v1/payment_intents/pi_of_nobody").await.error(404);
    rig.api.get("/v1/nothing").await.error(404);
}

#[tokio::test]
async fn an_open_intent_can_be_changed() {
    let rig = Rig::start().await;
    let created = rig.api.intent(&[("metadata[a]", "1"), ("metadata[b]", "2")]).await.ok();
    let path = format!("/v1/payment_intents/{}", id(&created));
    let changes = [("amount", "1500"), ("metadata[a]", ""), ("metadata[c]", "3"), ("payment_method", "pm_card_visa")];
    let changed = rig.api.post(&path, &changes).await.ok();
    assert_eq!((&changed["amount"], &changed["status"]), (&json!(1_500), &json!("requires_confirmation")));
    assert_eq!(changed["metadata"], json!({ "b": "2", "c": "3" }));
    assert_eq!(rig.api.post(&format!("{path}/confirm"), &[]).await.ok()["amount_received"], 1_500);
    let error = rig.api.post(&path, &[("amount", "2000")]).await.error(400);
    assert_eq!(error["code"], "payment_intent_unexpected_state");
    assert_eq!(rig.api.post(&path, &[("metadata[d]", "4")]).await.ok()["metadata"]["d"], "4");
}

#[tokio::test]
async fn browsers_read_and_confirm_what_they_have_the_secret_of() {
    let rig = Rig::start().await;
    let created = rig.api.intent(&[]).await.ok();
    let path = format!("/v1/payment_intents/{}", id(&created));
    let secret = created["client_secret"].as_str().expect("a secret");
    let read = rig.api.get_as("pk_test_a", &format!("{path}?client_secret={secret}")).await.ok();
    assert_eq!(read["id"], created["id"]);
    rig.api.get_as("pk_test_a", &format!("{path}?client_secret=wrong")).await.error(404);
    rig.api.get_as("pk_test_a", &path).await.error(400);
    let error = rig.api.get_as("pk_test_a", "/v1/payment_intents").await.error(403);
    assert_eq!(error["code"], "secret_key_required");
    rig.api.get_as("sk_live_a", &path).await.error(401);
}

#[tokio::test]
async fn disputes_take_the_money_and_may_bring_it_back() {
    let rig = Rig::start().await;
    let paid = rig.api.paid("pm_card_createDispute").await.ok();
    let disputes = rig.api.get(&format!("/v1/disputes?payment_intent={}", id(&paid))).await.ok();
    let dispute = &disputes["data"][0];
    assert_eq!((&dispute["status"], &dispute["amount"]), (&json!("needs_response"), &json!(1_000)));
    assert!(rig.sim.ledger().payment_intents[0].charges[0].disputed);
    let refund = rig.api.post("/v1/refunds", &[("payment_intent", &id(&paid))]).await.error(400);
    assert_eq!(refund["code"], "charge_disputed");
    let path = format!("/sim/disputes/{}/close", id(dispute));
    assert_eq!(rig.api.tell(&path, &json!({ "won": true })).await.ok()["status"], "won");
    let transactions = rig.api.get("/v1/balance_transactions?type=adjustment").await.ok();
    let nets: Vec<i64> =
        transactions["data"].as_array().expect("data").iter().filter_map(|row| row["net"].as_i64()).collect();
    assert_eq!(nets, [2_500, -2_500], "the newest first");
    let other = rig.api.paid("pm_card_visa").await.ok();
    let charge = other["latest_charge"].as_str().expect("a charge");
    let id = rig.sim.dispute(charge, "product_not_received").expect("a dispute");
    rig.sim.close_dispute(&id, false).expect("it is open");
    assert_eq!(rig.api.get(&format!("/v1/disputes/{id}")).await.ok()["status"], "lost");
}
