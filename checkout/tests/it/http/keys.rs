//! Requests that are sent again.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use super::shop::{Answer, Shop};

/// Keys of who shows no token.
const KEY_1: &str = "a-key-of-a-guest-1";
const KEY_2: &str = "a-key-of-a-guest-2";

fn body(quantity: u32) -> Value {
    json!({ "lines": [{ "product": "p1", "quantity": quantity }] })
}

async fn begin(shop: &Shop, key: &str, body: &Value) -> Answer {
    shop.ask("POST", "/checkout/v1/checkouts").key(key).json(body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_answered_as_it_was() {
    let shop = Shop::open().await;
    let first = begin(&shop, KEY_1, &body(1)).await;
    let token = first.expect(201)["token"].clone();
    assert_eq!(first.header("idempotent-replayed"), "");
    // Whatever has changed since then.
    shop.edge.publish("p1", 1);
    shop.set_stock("p1", 0).await;
    let spaced = format!("  {}  ", body(1));
    let ask = shop.ask("POST", "/checkout/v1/checkouts").key(KEY_1).bytes(spaced.into_bytes());
    let again = ask.send().await;
    assert_eq!(again.expect(201)["token"], token);
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    // Even where it could not be done any more.
    shop.edge.set_away(true);
    let again = begin(&shop, KEY_1, &body(1)).await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    begin(&shop, KEY_2, &body(1)).await.problem(503, "prices_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_one_request() {
    let shop = Shop::open().await;
    begin(&shop, KEY_1, &body(1)).await.expect(201);
    begin(&shop, KEY_1, &body(2)).await.problem(409, "idempotency_key_reused");
    // Refused for its own reasons, it is told all the same what the key is.
    begin(&shop, KEY_1, &body(5_000)).await.problem(409, "idempotency_key_reused");
    assert_eq!(shop.available("p1").await, 9);
    // A refusal is no answer that is kept: the same key may try again.
    begin(&shop, KEY_2, &body(5_000)).await.problem(409, "sold_out");
    shop.set_stock("p1", 6_000).await;
    begin(&shop, KEY_2, &body(5_000)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_have_a_form() {
    let shop = Shop::open().await;
    let ask = || shop.ask("POST", "/checkout/v1/checkouts").json(&body(1));
    ask().send().await.problem(400, "idempotency_key_missing");
    for key in ["", "with space", &"x".repeat(256)] {
        ask().header("idempotency-key", key).send().await.problem(400, "idempotency_key_invalid");
    }
    ask().key(KEY_1).key(KEY_2).send().await.problem(400, "idempotency_key_invalid");
    ask().key(&"x".repeat(255)).send().await.expect(201);
    // Who shows no token shares the keys of all such: whoever hit upon a short one was told another shopper's token.
    for path in ["/checkout/v1/checkouts", "/checkout/v1/carts"] {
        let ask = |key: &str| shop.ask("POST", path).json(&body(1)).key(key);
        let problem = ask(&"y".repeat(15)).send().await.problem(400, "idempotency_key_invalid");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("16 to 255")), "{problem}");
        ask(&"y".repeat(16)).send().await.expect(201);
        ask("1").token(&shop.staff).send().await.expect(201);
    }
    let begun = shop.checkout(1).await;
    for step in ["complete", "cancel"] {
        let ask = shop.ask("POST", &format!("{}/{step}", begun.path)).token(&begun.token);
        ask.send().await.problem(400, "idempotency_key_missing");
    }
    for step in ["refunds", "cancel"] {
        let path = format!("/checkout/v1/orders/ord_00000000000000000000000000000000/{step}");
        shop.ask("POST", &path).token(&shop.staff).send().await.problem(400, "idempotency_key_missing");
    }
}

/// The path as it was written was part of the key, so that an encoded letter made it another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_holds_for_a_path_however_it_is_written() {
    let shop = Shop::open().await;
    let begun = shop.checkout(1).await;
    let cancel = |path: String| shop.ask("POST", &format!("{path}/cancel")).token(&begun.token).key("cancel-1").send();
    let first = cancel(begun.path.clone()).await;
    first.expect(200);
    let again = cancel(begun.path.replace("/chk_", "/%63hk_")).await;
    assert_eq!((again.status, &again.text), (200, &first.text));
    assert_eq!(again.header("idempotent-replayed"), "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_at_the_same_time_is_one_checkout() {
    let shop = Shop::open().await;
    let one = body(1);
    let answers = join_all((0..16).map(|_| begin(&shop, KEY_1, &one))).await;
    let mut checkouts = BTreeSet::new();
    for answer in &answers {
        match answer.status {
            201 => {
                checkouts.insert(answer.expect(201)["checkout"]["id"].to_string());
            }
            _ => {
                answer.problem(409, "idempotency_key_in_flight");
                assert!(!answer.header("retry-after").is_empty());
            }
        }
    }
    assert_eq!((checkouts.len(), shop.available("p1").await), (1, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_without_stripe_is_answered_with_what_to_wait_for() {
    let shop = Shop::open().await;
    let begun = shop.checkout(1).await;
    let complete =
        |key: &str| shop.ask("POST", &format!("{}/complete", begun.path)).token(&begun.token).key(key).send();
    let first = complete("pay-1").await;
    let body = first.expect(202);
    assert_eq!(body["order"]["state"], "pending_payment");
    assert_eq!(
        (body["payment"]["state"].as_str(), &body["payment"]["client_secret"]),
        (Some("processing"), &Value::Null)
    );
    let again = complete("pay-1").await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (first.text.as_str(), "true"));
    // Another key is told of the payment that is live, and stands for that answer from then on.
    let other = complete("pay-2").await;
    assert_eq!(other.expect(202)["payment"]["id"], body["payment"]["id"]);
    let again = complete("pay-2").await;
    assert_eq!((again.text.as_str(), again.header("idempotent-replayed")), (other.text.as_str(), "true"));
    let by_page = |key: &str| {
        let ask = shop.ask("POST", &format!("{}/complete", begun.path)).token(&begun.token).key(key);
        ask.json(&json!({ "method": "hosted_page" })).send()
    };
    by_page("pay-2").await.problem(409, "idempotency_key_reused");
    // There is no page while the payment that lives is none.
    by_page("pay-3").await.problem(409, "payment_in_progress");
    let read = shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
    assert_eq!((&read["order"], read["checkout"]["state"].as_str()), (&body["order"]["id"], Some("completing")));
    assert_eq!(read["payment"]["id"], body["payment"]["id"]);
    let path = format!("/checkout/v1/orders/{}", body["order"]["id"].as_str().expect("an id"));
    let order = shop.ask("GET", &path).token(&begun.token).send().await.expect(200);
    assert_eq!(order["payment"], read["payment"], "both tell the same");
}
