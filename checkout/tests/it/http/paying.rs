//! From a search to an order that is paid and given back, beside a Stripe for tests.

use checkout::config::Database;
use checkout::store::StoreSettings;
use checkout::tokens::NewToken;
use serde_json::{Value, json};
use stripe_sim::{Settings, Sim};
use tokio::net::TcpListener;

use super::shop::{Answer, Begun, Shop, WEBHOOK_SECRET, wait_until};

/// A shop whose shoppers pay.
pub struct Paying {
    pub shop: Shop,
    pub sim: Sim,
    client: reqwest::Client,
}

impl Paying {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let sim = Sim::start(Settings::default(), listener);
        let url = sim.url();
        let shop = Shop::open_with(|config| config.stripe.api_url = url).await;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let paying = Self { shop, sim, client };
        let target = format!("http://{}/checkout/webhooks/stripe", paying.shop.public);
        paying.tell("/sim/webhooks/endpoints", &json!({ "url": target, "secret": WEBHOOK_SECRET })).await;
        paying
    }

    /// Tells the simulator something.
    async fn tell(&self, path: &str, body: &Value) {
        let ask = self.client.post(format!("{}{path}", self.sim.url())).body(body.to_string());
        let answer = ask.header("content-type", "application/json").send().await.expect("an answer");
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status}: {}", answer.text().await.unwrap_or_default());
    }

    /// Cancels an intent behind the service's back.
    async fn cancel_at_stripe(&self, intent: &str) {
        let ask = self.client.post(format!("{}/v1/payment_intents/{intent}/cancel", self.sim.url()));
        let answer = ask.bearer_auth("sk_test_tests").send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }

    /// Pays as the shopper's browser does, with what the service answered.
    pub async fn pay(&self, payment: &Value, method: &str) {
        let intent = intent_of(payment);
        self.tell(&format!("/sim/payment_intents/{intent}/pay"), &json!({ "payment_method": method })).await;
    }

    /// Begins and completes a checkout of so many of p1.
    pub async fn completed(&self, quantity: u32) -> (Begun, Value) {
        let begun = self.shop.checkout(quantity).await;
        let body = self.shop.complete(&begun).await.expect(200);
        assert_eq!(body["payment"]["state"], "requires_action", "{body}");
        (begun, body)
    }

    pub async fn order(&self, body: &Value) -> Value {
        let ask = self.shop.ask("GET", &order_path(body)).token(&self.shop.staff);
        ask.send().await.expect(200)["order"].clone()
    }

    pub async fn wait_for_state(&self, body: &Value, state: &str) {
        wait_until(state, async || self.order(body).await["state"] == state).await;
    }

    pub async fn refund(&self, body: &Value, key: &str, refund: &Value) -> Answer {
        let ask = self.shop.ask("POST", &format!("{}/refunds", order_path(body))).token(&self.shop.staff);
        ask.key(key).json(refund).send().await
    }

    pub async fn nothing_is_wrong(&self) {
        let settings = StoreSettings::default();
        let store = checkout::store::SqliteStore::open(&self.shop.database_file(), settings).await.expect("the store");
        let violations = checkout::store::Store::violations(&store).await.expect("an answer");
        assert!(violations.is_empty(), "{violations:?}");
    }
}

fn order_path(body: &Value) -> String {
    format!("/checkout/v1/orders/{}", body["order"]["id"].as_str().expect("an order"))
}

/// The intent's id is the client secret's beginning.
fn intent_of(payment: &Value) -> String {
    let secret = payment["client_secret"].as_str().expect("a client secret");
    secret.split_once("_secret").expect("an intent's id").0.to_owned()
}

fn amount(amount_minor: i64) -> Value {
    json!({ "amount_minor": amount_minor, "currency": "EUR" })
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_cart_to_a_paid_order_and_back() {
    let paying = Paying::open().await;
    let shop = &paying.shop;
    let cart = json!({ "lines": [{ "product": "p1", "quantity": 2 }] });
    let cart = shop.ask("POST", "/checkout/v1/carts").new_key().json(&cart).send().await.expect(201);
    let checkout = json!({ "cart": cart["cart"]["id"], "expected_total": amount(9_980), "email": "anna@shop.example" });
    let begun = shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&checkout).send().await.expect(201);
    let begun = Begun::of(&begun);
    let body = shop.complete(&begun).await.expect(200);
    assert_eq!(
        (body["payment"]["state"].as_str(), &body["payment"]["amount"]),
        (Some("requires_action"), &amount(9_980))
    );
    assert_eq!(body["payment"]["publishable_key"], "pk_test_tests");
    paying.pay(&body["payment"], "pm_card_visa").await;
    paying.wait_for_state(&body, "paid").await;
    let order = paying.order(&body).await;
    assert_eq!((&order["captured"], order["checkout_state"].as_str()), (&amount(9_980), Some("completed")));
    assert_eq!(order["payments"][0]["client_secret"], Value::Null, "a secret of no use is told to nobody");
    assert_eq!(shop.available("p1").await, 8);
    shop.complete(&begun).await.problem(409, "order_closed");

    let part = json!({ "amount": amount(4_990), "reason": "one came back" });
    let first = paying.refund(&body, "refund-1", &part).await;
    assert_eq!(first.expect(201)["refund"]["amount"], amount(4_990));
    let again = paying.refund(&body, "refund-1", &part).await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    paying.wait_for_state(&body, "partially_refunded").await;
    let problem = paying.refund(&body, "refund-2", &json!({ "amount": amount(4_991) })).await;
    let problem = problem.problem(422, "refund_too_large");
    assert_eq!((problem["pointer"].as_str(), &problem["left"]), (Some("/amount"), &amount(4_990)));
    let other = json!({ "amount": { "amount_minor": 1, "currency": "USD" } });
    paying.refund(&body, "refund-3", &other).await.problem(400, "invalid_field");
    paying.refund(&body, "refund-4", &json!({})).await.expect(201);
    paying.wait_for_state(&body, "refunded").await;
    let ledger = paying.sim.ledger();
    assert_eq!((ledger.payment_intents.len(), ledger.refunds.len()), (1, 2));
    paying.nothing_is_wrong().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_changes_while_it_is_held_changes_nothing() {
    let paying = Paying::open().await;
    let begun = paying.shop.checkout(1).await;
    paying.shop.edge.publish("p1", 1);
    let body = paying.shop.complete(&begun).await.expect(200);
    assert_eq!(body["payment"]["amount"], amount(4_990));
    let ledger = paying.sim.ledger();
    assert_eq!(ledger.payment_intents.iter().map(|intent| intent.amount).collect::<Vec<_>>(), [4_990]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_declined_may_be_followed_by_another() {
    let paying = Paying::open().await;
    let (begun, body) = paying.completed(1).await;
    paying.sim.pay_intent(&intent_of(&body["payment"]), "pm_card_chargeDeclined", None);
    wait_until("the decline is told", async || {
        let read = paying.shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
        read["payment"]["failure"].is_string()
    })
    .await;
    let again = paying.shop.complete(&begun).await.expect(200);
    assert_eq!(again["payment"]["id"], body["payment"]["id"], "it is still the same attempt");
    paying.pay(&again["payment"], "pm_card_visa").await;
    paying.wait_for_state(&body, "paid").await;
    paying.nothing_is_wrong().await;
}

/// Its answer was not kept: sent again by itself after the payment had failed, the request began another payment.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_told_of_a_live_payment_begins_none_by_asking_again() {
    let paying = Paying::open().await;
    let (begun, body) = paying.completed(1).await;
    let complete = |key: &str| {
        let ask = paying.shop.ask("POST", &format!("{}/complete", begun.path)).token(&begun.token);
        ask.key(key).send()
    };
    let first = complete("pay-2").await;
    assert_eq!(first.expect(200)["payment"], body["payment"]);
    paying.cancel_at_stripe(&intent_of(&body["payment"])).await;
    wait_until("the payment has failed", async || {
        let read = paying.shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
        read["payment"]["state"] == "failed"
    })
    .await;
    let again = complete("pay-2").await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    assert_eq!(paying.order(&body).await["payments"].as_array().map(Vec::len), Some(1));
    // A request of its own does.
    assert_ne!(complete("pay-3").await.expect(200)["payment"]["id"], body["payment"]["id"]);
    assert_eq!(paying.sim.ledger().payment_intents.len(), 2);
    paying.nothing_is_wrong().await;
}

/// Whoever fails to authenticate takes another card, or tries again, in the same attempt to pay.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_authentication_may_be_followed_by_another_card() {
    let paying = Paying::open().await;
    for (method, next) in [("payment_intent", "pm_card_visa"), ("hosted_page", "pm_card_authenticationRequired")] {
        let begun = paying.shop.checkout(1).await;
        let ask = paying.shop.ask("POST", &format!("{}/complete", begun.path)).token(&begun.token).new_key();
        let body = ask.json(&json!({ "method": method })).send().await.expect(200);
        let pay = |card: &str, succeeds: bool| match method {
            "hosted_page" => paying.sim.pay_session(&paying.sim.ledger().sessions[0].id, card, Some(succeeds)),
            _ => paying.sim.pay_intent(&intent_of(&body["payment"]), card, Some(succeeds)),
        };
        pay("pm_card_authenticationRequired", false);
        wait_until("the failure is told", async || {
            let read = paying.shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
            assert_eq!(read["payment"]["state"], "requires_action", "{method}: another card may be taken");
            read["payment"]["failure"].is_string()
        })
        .await;
        assert_eq!(paying.order(&body).await["state"], "pending_payment");
        pay(next, true);
        paying.wait_for_state(&body, "paid").await;
        let order = paying.order(&body).await;
        assert_eq!(order["payments"].as_array().map(Vec::len), Some(1), "{method}: {order}");
        assert_eq!(order["captured"], amount(4_990));
    }
    assert_eq!(paying.sim.ledger().payment_intents.len(), 2, "one for each order");
    paying.nothing_is_wrong().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_payment_releases_its_stock() {
    let paying = Paying::open().await;
    let (begun, body) = paying.completed(3).await;
    assert_eq!(paying.shop.available("p1").await, 7);
    let cancel = paying.shop.ask("POST", &format!("{}/cancel", begun.path)).token(&begun.token).new_key();
    let cancelled = cancel.send().await.expect(200);
    assert_eq!(cancelled["checkout"]["state"], "cancelled");
    assert_eq!(cancelled["order"]["state"], "cancelled");
    assert_eq!(paying.shop.available("p1").await, 10);
    assert_eq!(paying.order(&body).await["payments"][0]["state"], "failed");
    // Whoever asked again was told that there is no order.
    let cancel = paying.shop.ask("POST", &format!("{}/cancel", begun.path)).token(&begun.token).new_key();
    let again = cancel.send().await.expect(200);
    assert_eq!((&again["order"]["id"], &again["checkout"]), (&cancelled["order"]["id"], &cancelled["checkout"]));
    paying.nothing_is_wrong().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_cancels_what_is_not_paid_and_nothing_else() {
    let paying = Paying::open().await;
    let (_, body) = paying.completed(1).await;
    let cancel = |body: &Value| {
        let ask = paying.shop.ask("POST", &format!("{}/cancel", order_path(body)));
        ask.token(&paying.shop.staff).new_key().send()
    };
    assert_eq!(cancel(&body).await.expect(200)["order"]["state"], "cancelled");
    let (_, body) = paying.completed(1).await;
    paying.pay(&body["payment"], "pm_card_visa").await;
    paying.wait_for_state(&body, "paid").await;
    assert_eq!(cancel(&body).await.problem(409, "order_closed")["state"], "paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_stripes_that_is_lost_is_found_again() {
    let paying = Paying::open().await;
    let begun = paying.shop.checkout(1).await;
    let fault = json!({ "on": "POST /v1/payment_intents", "fault": "drop_after", "times": 1 });
    paying.tell("/sim/faults", &fault).await;
    let body = paying.shop.complete(&begun).await.expect(202);
    assert_eq!(body["payment"]["state"], "processing");
    let read = async || paying.shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
    wait_until("the payment is found", async || read().await["payment"]["state"] == "requires_action").await;
    paying.pay(&read().await["payment"], "pm_card_visa").await;
    paying.wait_for_state(&body, "paid").await;
    assert_eq!(paying.sim.ledger().payment_intents.len(), 1, "nothing was made twice");
    paying.nothing_is_wrong().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosted_page_takes_the_shopper_there_and_back() {
    let paying = Paying::open().await;
    let begun = paying.shop.checkout(1).await;
    let complete = |return_url: &str| {
        let wanted = json!({ "method": "hosted_page", "return_url": return_url });
        let ask = paying.shop.ask("POST", &format!("{}/complete", begun.path)).token(&begun.token).new_key();
        ask.json(&wanted).send()
    };
    let problem = complete("https://evil.example/thanks").await.problem(400, "invalid_field");
    assert_eq!(problem["pointer"], "/return_url");
    let body = complete("https://shop.example/thanks").await.expect(200);
    assert!(body["payment"]["hosted_url"].as_str().is_some_and(|url| url.starts_with(&paying.sim.url())), "{body}");
    let session = paying.sim.ledger().sessions[0].id.clone();
    paying.sim.pay_session(&session, "pm_card_visa", None);
    paying.wait_for_state(&body, "paid").await;
}

/// The origin was looked at before the key: who asked again after a change of settings was refused what had been begun.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_completed_is_answered_as_it_was_whichever_origins_are_named_by_then() {
    let paying = Paying::open().await;
    let begun = paying.shop.checkout(1).await;
    let path = format!("{}/complete", begun.path);
    let wanted = json!({ "method": "hosted_page", "return_url": "https://shop.example/thanks" });
    let complete = |shop: &Shop, key: &str| shop.ask("POST", &path).token(&begun.token).key(key).json(&wanted).send();
    let first = complete(&paying.shop, "pay-1").await;
    let body = first.expect(200);
    let (folder, url) = (paying.shop.folder.path().join("data"), paying.sim.url());
    let moved = Shop::open_with(|config| {
        config.database = Database::Embedded { folder, settings: StoreSettings::default() };
        config.stripe.api_url = url;
        config.return_origins = vec!["https://new.example".to_owned()];
    })
    .await;
    let again = complete(&moved, "pay-1").await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    assert_eq!(complete(&moved, "pay-2").await.problem(400, "invalid_field")["pointer"], "/return_url");
    // What was begun and never answered goes on.
    paying.shop.take_answer_back(&path).await;
    let resumed = complete(&moved, "pay-1").await.expect(200);
    assert_eq!(resumed["payment"]["id"], body["payment"]["id"]);
    assert_eq!(paying.sim.ledger().sessions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_applied_are_counted() {
    let paying = Paying::open().await;
    let (_, body) = paying.completed(1).await;
    paying.pay(&body["payment"], "pm_card_visa").await;
    wait_until("events are applied", async || {
        paying.shop.admin("/metrics").await.text.lines().any(|line| {
            let count = line.strip_prefix("vitrine_checkout_work_total{what=\"webhooks_applied\"} ");
            count.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count > 0)
        })
    })
    .await;
    paying.wait_for_state(&body, "paid").await;
}

/// Tokens of owners and client secrets stood in the answers that are kept for two days.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_answers_opens_and_pays_nothing() {
    let paying = Paying::open().await;
    let begun = paying.shop.checkout(1).await;
    let complete =
        || paying.shop.ask("POST", &format!("{}/complete", begun.path)).token(&begun.token).key("pay-once").send();
    let first = complete().await;
    let body = first.expect(200);
    let kept = paying.shop.kept_answers().await;
    assert_eq!(kept.len(), 2);
    for answer in &kept {
        for secret in [begun.token.as_str(), body["payment"]["client_secret"].as_str().expect("a secret"), "pay-once"] {
            assert!(!answer.contains(secret), "{secret} in {answer}");
        }
    }
    let again = complete().await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
}

/// Keys of staff belonged to the token: asked for again with a new one, a refund was given twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_the_same_after_the_token_of_staff_was_changed() {
    let paying = Paying::open().await;
    let shop = &paying.shop;
    let (_, body) = paying.completed(2).await;
    paying.pay(&body["payment"], "pm_card_visa").await;
    paying.wait_for_state(&body, "paid").await;
    let part = json!({ "amount": amount(4_990), "reason": "one came back" });
    let first = paying.refund(&body, "refund-1", &part).await;
    first.expect(201);
    let (new, other) = (NewToken::staff().expect("a token"), NewToken::staff().expect("a token"));
    let lines = format!("anna {}\nbert {}\n", new.hash().to_hex(), other.hash().to_hex());
    std::fs::write(shop.folder.path().join("staff"), lines).expect("the staff's file");
    let refund = |token: &str| {
        let ask = shop.ask("POST", &format!("{}/refunds", order_path(&body))).token(token).key("refund-1");
        ask.json(&part).send()
    };
    let stock = |token: &str| shop.ask("GET", "/checkout/v1/stock/p1").token(token).send();
    wait_until("the file is read again", async || stock(new.text()).await.status == 200).await;
    let again = refund(new.text()).await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    assert_eq!(paying.sim.ledger().refunds.len(), 1);
    // Somebody else's key is another one.
    refund(other.text()).await.expect(201);
    assert_eq!(paying.sim.ledger().refunds.len(), 2);
    paying.nothing_is_wrong().await;
}
