//! The pages, as a browser without scripts uses them.

use crate::api::{Rig, id};
use crate::sessions::session;

#[tokio::test]
async fn a_shopper_pays_on_the_page_of_a_session() {
    let rig = Rig::start().await;
    let open = session(&rig.api, &[("customer_email", "a@shop.example")]).await.ok();
    let url = open["url"].as_str().expect("a page");
    let path = url.strip_prefix(&rig.api.url).expect("a page of the simulator");
    let page = rig.api.get(path).await;
    assert_eq!(page.status, 200);
    for shown in ["Boots &lt;size 42&gt;", "25.00 EUR", "10.00 EUR", "a@shop.example", "pm_sepa_debit"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let pay = async |method: &str| {
        rig.api.browse(path, &[("email", "b@shop.example"), ("name", "B"), ("payment_method", method)]).await
    };
    let declined = pay("pm_card_chargeDeclined").await;
    assert_eq!(declined.status, 402);
    assert!(declined.text.contains("role=\"alert\""), "{}", declined.text);
    let paid = pay("pm_card_visa").await;
    let done = format!("https://shop.example/done?session={}", id(&open));
    assert_eq!((paid.status, paid.header("location")), (303, done.as_str()));
    let session = rig.api.get(&format!("/v1/checkout/sessions/{}", id(&open))).await.ok();
    assert_eq!(session["payment_status"], "paid");
    assert_eq!(session["customer_details"]["email"], "b@shop.example");
    let again = pay("pm_card_visa").await;
    assert_eq!((again.status, rig.sim.ledger().payment_intents.len()), (200, 1), "nothing is paid twice");
}

#[tokio::test]
async fn a_bank_asks_who_the_shopper_is() {
    let rig = Rig::start().await;
    for (outcome, goes_on_at, status) in
        [("complete", "https://shop.example/done", "paid"), ("fail", "/c/pay/", "unpaid")]
    {
        let open = session(&rig.api, &[]).await.ok();
        let form = [("email", "b@shop.example"), ("payment_method", "pm_card_authenticationRequired")];
        let asked = rig.api.browse(&format!("/c/pay/{}", id(&open)), &form).await;
        let path = asked.header("location").to_owned();
        assert!(asked.status == 303 && path.starts_with("/sim/3ds/pi_"), "{asked:?}");
        let page = rig.api.get(&path).await;
        assert!(page.text.contains("value=\"complete\"") && page.text.contains("25.00 EUR"), "{}", page.text);
        let (path, query) = path.split_once('?').expect("a query");
        let secret = query.strip_prefix("client_secret=").expect("a secret");
        let wrong = rig.api.browse(path, &[("client_secret", "wrong"), ("outcome", "complete")]).await;
        assert_eq!(wrong.status, 404);
        let finished = rig.api.browse(path, &[("client_secret", secret), ("outcome", outcome)]).await;
        assert!(finished.header("location").starts_with(goes_on_at), "{finished:?}");
        let session = rig.api.get(&format!("/v1/checkout/sessions/{}", id(&open))).await.ok();
        assert_eq!(session["payment_status"], status);
    }
}

#[tokio::test]
async fn a_shopper_pays_an_intent() {
    let rig = Rig::start().await;
    let intent = rig.api.post("/v1/payment_intents", &[("amount", "1999"), ("currency", "usd")]).await.ok();
    let secret = intent["client_secret"].as_str().expect("a secret");
    let path = format!("/sim/pay/{}", id(&intent));
    let page = rig.api.get(&format!("{path}?client_secret={secret}&return_url=https://shop.example/back?x=1")).await;
    for shown in ["19.99 USD", "pm_usBankAccount", "https://shop.example/back?x=1"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert_eq!(rig.api.get(&format!("{path}?client_secret=wrong")).await.status, 404);
    let form = [
        ("client_secret", secret),
        ("return_url", "https://shop.example/back?x=1"),
        ("payment_method", "pm_card_visa"),
    ];
    let paid = rig.api.browse(&path, &form).await;
    let back = paid.header("location");
    assert!(back.starts_with("https://shop.example/back?x=1&payment_intent=pi_"), "{back}");
    assert!(back.ends_with("redirect_status=succeeded"), "{back}");
    let evil = rig.api.post("/v1/payment_intents", &[("amount", "1999"), ("currency", "usd")]).await.ok();
    let form = [
        ("client_secret", evil["client_secret"].as_str().expect("a secret")),
        ("return_url", "javascript:alert(1)"),
        ("payment_method", "pm_card_visa"),
    ];
    assert_eq!(rig.api.browse(&format!("/sim/pay/{}", id(&evil)), &form).await.status, 402);
}

#[tokio::test]
async fn there_is_help() {
    let rig = Rig::start().await;
    let help = rig.api.get("/sim").await;
    assert!(help.status == 200 && help.text.contains("/sim/faults"));
    assert_eq!(rig.api.get("/healthz").await.status, 200);
    assert_eq!(rig.api.get("/elsewhere").await.status, 404);
    assert_eq!(rig.api.get("/c/pay/cs_test_of_nobody").await.status, 404);
}
