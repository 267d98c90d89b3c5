//! What is no request is told where it is at fault.

use serde_json::json;

use super::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn faults_have_a_code_and_a_place() {
    let shop = Shop::open().await;
    let check = async |body: &str, code: &str, pointer: Option<&str>| {
        let ask = shop.ask("POST", "/checkout/v1/checkouts").new_key().bytes(body.as_bytes().to_vec());
        let problem = ask.send().await.problem(400, code);
        assert_eq!(problem["pointer"].as_str(), pointer, "{body}: {problem}");
    };
    check("{", "malformed_body", None).await;
    check("[]", "invalid_field", Some("")).await;
    check("{}", "invalid_field", Some("/lines")).await;
    check(r#"{"lines": []}"#, "invalid_field", Some("/lines")).await;
    check(r#"{"lines": [{"product": "p1"}]}"#, "invalid_field", Some("/lines/0/quantity")).await;
    check(r#"{"lines": [{"product": "p1", "quantity": 0}]}"#, "invalid_field", Some("/lines/0/quantity")).await;
    check(r#"{"lines": [{"product": "p1", "quantity": 1e1}]}"#, "invalid_field", Some("/lines/0/quantity")).await;
    check(r#"{"lines": [{"product": 1, "quantity": 1}]}"#, "invalid_field", Some("/lines/0/product")).await;
    check(r#"{"lines": [{"product": "p1", "quantity": 1, "price": 1}]}"#, "invalid_field", Some("/lines/0/price"))
        .await;
    check(r#"{"line": []}"#, "invalid_field", Some("/line")).await;
    let one = r#"{"product": "p1", "quantity": 1}"#;
    check(&format!(r#"{{"lines": [{one}], "cart": "crt_1"}}"#), "invalid_field", Some("/lines")).await;
    check(&format!(r#"{{"lines": [{one}], "email": "anna"}}"#), "invalid_field", Some("/email")).await;
    let total = r#"{"amount_minor": 1.5, "currency": "EUR"}"#;
    let body = format!(r#"{{"lines": [{one}], "expected_total": {total}}}"#);
    check(&body, "invalid_field", Some("/expected_total/amount_minor")).await;
    let address = format!(r#"{{"street": "{}"}}"#, "x".repeat(9_000));
    let body = format!(r#"{{"lines": [{one}], "shipping_address": {address}}}"#);
    check(&body, "invalid_field", Some("/shipping_address")).await;
    let many = vec![one; 101].join(",");
    check(&format!(r#"{{"lines": [{many}]}}"#), "invalid_field", Some("/lines")).await;
    assert_eq!(shop.edge.calls(), 0, "nobody asks for prices before the request is understood");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_text_or_too_large_are_refused() {
    let shop = Shop::open().await;
    let post = || shop.ask("POST", "/checkout/v1/checkouts").new_key();
    let problem = post().bytes(b"{\"email\": \"\xff\"}".to_vec()).send().await.problem(400, "malformed_body");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("UTF-8")), "{problem}");
    let problem = post().bytes(b"{\n\n oops".to_vec()).send().await.problem(400, "malformed_body");
    assert_eq!((problem["line"].as_u64(), problem["column"].is_u64()), (Some(3), true), "{problem}");
    let large = post().bytes(vec![b' '; 65_537]).send().await;
    assert_eq!(large.header("connection"), "close", "nobody reads the rest of it");
    large.problem(413, "body_too_large");
    let deep = [b"[".repeat(30_000), b"]".repeat(30_000)].concat();
    post().bytes(deep).send().await.problem(400, "malformed_body");
    let event = shop.ask("POST", "/checkout/webhooks/stripe").bytes(vec![b' '; 256 * 1024 + 1]);
    event.send().await.problem(413, "body_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_do_not_exist_are_problems_too() {
    let shop = Shop::open().await;
    shop.ask("GET", "/checkout/v2/carts").send().await.problem(404, "not_found");
    shop.ask("GET", "/").send().await.problem(404, "not_found");
    shop.ask("GET", "/checkout/v1/carts/%ff").send().await.problem(404, "not_found");
    let answer = shop.ask("PUT", "/checkout/v1/checkouts").send().await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_old_events_are_refused() {
    let shop = Shop::open().await;
    let event = || shop.ask("POST", "/checkout/webhooks/stripe").json(&json!({ "id": "evt_1", "type": "x" }));
    event().send().await.problem(400, "signature_invalid");
    let forged = format!("t=1,v1={}", "0".repeat(64));
    event().header("stripe-signature", &forged).send().await.problem(400, "signature_invalid");
}
