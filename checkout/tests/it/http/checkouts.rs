//! Checkouts: frozen prices, held stock, and what is refused.

use checkout::config::Database;
use serde_json::{Value, json};

use super::shop::{Answer, Begun, Shop, wait_until};

async fn begin(shop: &Shop, body: Value) -> Answer {
    shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&body).send().await
}

fn lines(lines: &[(&str, u32)]) -> Value {
    let line = |(product, quantity): &(&str, u32)| json!({ "product": product, "quantity": quantity });
    json!(lines.iter().map(line).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_frozen_and_stock_is_held() {
    let shop = Shop::open().await;
    let answer = begin(&shop, json!({ "lines": lines(&[("p2", 1), ("p1", 1), ("p2", 2)]) })).await;
    let body = answer.expect(201);
    let checkout = &body["checkout"];
    assert_eq!((checkout["state"].as_str(), checkout["version"].as_u64()), (Some("open"), Some(1)));
    let told: Vec<_> = checkout["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| (line["product"].as_str(), line["quantity"].as_u64(), line["total"]["amount_minor"].as_i64()))
        .collect();
    assert_eq!(told, [(Some("p1"), Some(1), Some(4_990)), (Some("p2"), Some(3), Some(300))]);
    assert_eq!(checkout["total"], json!({ "amount_minor": 5_290, "currency": "EUR" }));
    assert_eq!((shop.available("p1").await, shop.available("p2").await), (9, 7));
    // A new price is for those who come later.
    let snapshot = checkout["snapshot"].clone();
    shop.edge.publish("p1", 9_999);
    let begun = Begun::of(&body);
    let read = shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
    assert_eq!(read["checkout"], *checkout);
    assert_eq!((&read["order"], &read["payment"]), (&Value::Null, &Value::Null));
    let later = begin(&shop, json!({ "lines": lines(&[("p1", 1)]) })).await.expect(201);
    assert_eq!(later["checkout"]["total"]["amount_minor"], 9_999);
    assert_ne!(later["checkout"]["snapshot"], snapshot);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_that_changed_is_told_with_the_new_one() {
    let shop = Shop::open().await;
    let body = json!({
        "lines": lines(&[("p1", 2)]),
        "expected_total": { "amount_minor": 9_980, "currency": "EUR" },
    });
    begin(&shop, body.clone()).await.expect(201);
    shop.edge.publish("p1", 5_000);
    let problem = begin(&shop, body.clone()).await.problem(409, "total_changed");
    assert_eq!(problem["pointer"], "/expected_total");
    assert_eq!(problem["total"], json!({ "amount_minor": 10_000, "currency": "EUR" }));
    assert_eq!(problem["lines"][0]["unit_price"]["amount_minor"], 5_000);
    assert_eq!(shop.available("p1").await, 8, "what is refused holds nothing");
    let mut other = body;
    other["expected_total"] = json!({ "amount_minor": 10_000, "currency": "USD" });
    begin(&shop, other).await.problem(409, "total_changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_bought_is_told() {
    let shop = Shop::open().await;
    let problem =
        begin(&shop, json!({ "lines": lines(&[("p1", 1), ("p9", 1)]) })).await.problem(422, "product_unknown");
    assert_eq!((problem["pointer"].as_str(), &problem["products"]), (Some("/lines/1/product"), &json!(["p9"])));
    begin(&shop, json!({ "lines": lines(&[("p1,p2", 1)]) })).await.problem(422, "product_unknown");
    let problem = begin(&shop, json!({ "lines": lines(&[("p1", 11)]) })).await.problem(409, "sold_out");
    assert_eq!((problem["product"].as_str(), problem["wanted"].as_u64()), (Some("p1"), Some(11)));
    assert_eq!(problem["available"], 10);
    let problem =
        begin(&shop, json!({ "lines": lines(&[("p1", 1)]), "market": "mars" })).await.problem(422, "market_unknown");
    assert_eq!(problem["pointer"], "/market");
    shop.edge.publish_as("p3", Value::Null, "in_stock");
    let problem = begin(&shop, json!({ "lines": lines(&[("p3", 1)]) })).await.problem(422, "product_unpriced");
    assert_eq!(problem["pointer"], "/lines/0/product");
    let problem = begin(&shop, json!({ "lines": lines(&[("p1", 9_999), ("p1", 1)]) })).await;
    assert_eq!(problem.problem(400, "invalid_field")["pointer"], "/lines/1/quantity");
    assert_eq!(shop.available("p1").await, 10);
}

/// Clients were told to come again, for ever, of what never passes.
#[tokio::test(flavor = "multi_thread")]
async fn prices_that_cannot_be_charged_are_told_with_their_product() {
    let shop = Shop::open().await;
    let ask = async |code: &str| {
        let answer = begin(&shop, json!({ "lines": lines(&[("p1", 1), ("p3", 1)]) })).await;
        let problem = answer.problem(422, code);
        assert_eq!((problem["pointer"].as_str(), problem["product"].as_str()), (Some("/lines/1/product"), Some("p3")));
        assert_eq!(answer.header("retry-after"), "");
    };
    shop.edge.publish_as("p3", json!({ "amount_minor": 100, "currency": "USD" }), "in_stock");
    ask("currencies_mixed").await;
    for price in [json!({ "amount_minor": -1, "currency": "EUR" }), json!({ "amount_minor": 4, "currency": "KWD" })] {
        shop.edge.publish_as("p3", price, "in_stock");
        ask("product_unpriced").await;
    }
    assert_eq!(shop.available("p1").await, 10);
}

/// The edge does not read as much at once, and it was told as an edge that is away.
#[tokio::test(flavor = "multi_thread")]
async fn products_with_long_ids_are_priced_together() {
    let shop = Shop::open_with(|config| {
        if let Database::Embedded { settings, .. } = &mut config.database {
            settings.sells_untracked = true;
        }
    })
    .await;
    let ids: Vec<String> = (0..100).map(|number| format!("{number:03}{}", "/".repeat(250))).collect();
    for id in &ids {
        shop.edge.publish(id, 100);
    }
    let wanted: Vec<(&str, u32)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
    let body = json!({ "lines": lines(&wanted) });
    let begun = begin(&shop, body.clone()).await.expect(201);
    assert_eq!(begun["checkout"]["total"], json!({ "amount_minor": 10_000, "currency": "EUR" }));
    // Prices of two snapshots are never mixed; the next time they are of one.
    shop.edge.set_restless(true);
    begin(&shop, body).await.problem(503, "prices_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_books_say_more_of_stock_than_the_catalogue() {
    let shop = Shop::open().await;
    let price = json!({ "amount_minor": 100, "currency": "EUR" });
    shop.edge.publish_as("p1", price.clone(), "out_of_stock");
    begin(&shop, json!({ "lines": lines(&[("p1", 1)]) })).await.expect(201);
    shop.edge.publish_as("p4", price, "out_of_stock");
    let problem = begin(&shop, json!({ "lines": lines(&[("p4", 2)]) })).await.problem(409, "sold_out");
    assert_eq!((problem["product"].as_str(), problem["available"].as_i64()), (Some("p4"), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_away_is_told_and_may_come_back() {
    let shop = Shop::open().await;
    shop.edge.set_away(true);
    let answer = begin(&shop, json!({ "lines": lines(&[("p1", 1)]) })).await;
    answer.problem(503, "prices_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    shop.edge.set_away(false);
    shop.checkout(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn details_change_by_version() {
    let shop = Shop::open().await;
    let begun = shop.checkout(1).await;
    let put = |body: Value| shop.ask("PUT", &begun.path).token(&begun.token).json(&body).send();
    let address = json!({ "name": "Anna", "city": "Graz" });
    let body =
        put(json!({ "version": 1, "email": "anna@shop.example", "shipping_address": address })).await.expect(200);
    assert_eq!((body["checkout"]["version"].as_u64(), &body["checkout"]["shipping_address"]), (Some(2), &address));
    let problem = put(json!({ "version": 1, "email": "bert@shop.example" })).await.problem(409, "version_conflict");
    assert_eq!(problem["current"], 2);
    let problem = put(json!({ "email": "bert@shop.example" })).await.problem(400, "invalid_field");
    assert_eq!(problem["pointer"], "/version");
    let body = put(json!({ "version": 2, "email": "bert@shop.example" })).await.expect(200);
    assert_eq!(body["checkout"]["shipping_address"], address, "what is not named stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_checkout_gives_its_stock_back() {
    let shop = Shop::open().await;
    let begun = shop.checkout(3).await;
    let cancel = || shop.ask("POST", &format!("{}/cancel", begun.path)).token(&begun.token).new_key();
    let body = cancel().send().await.expect(200);
    assert_eq!((body["checkout"]["state"].as_str(), &body["order"]), (Some("cancelled"), &Value::Null));
    assert_eq!(shop.available("p1").await, 10);
    cancel().send().await.expect(200);
    let problem = shop.complete(&begun).await.problem(409, "checkout_closed");
    assert_eq!(problem["state"], "cancelled");
    let put = shop.ask("PUT", &begun.path).token(&begun.token).json(&json!({ "version": 1, "email": "a@b" }));
    put.send().await.problem(409, "checkout_closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_and_stock_are_kept_until_a_moment_and_no_longer() {
    let shop = Shop::open_with(|config| config.hold_ms = 0).await;
    let begun = shop.checkout(4).await;
    shop.complete(&begun).await.problem(409, "hold_over");
    wait_until("stock is released", async || shop.available("p1").await == 10).await;
    shop.complete(&begun).await.problem(409, "hold_over");
    let read = shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
    assert_eq!(read["checkout"]["state"], "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_nothing_is_not_paid() {
    let shop = Shop::open().await;
    shop.edge.publish("p1", 0);
    let begun = shop.checkout(1).await;
    shop.complete(&begun).await.problem(422, "nothing_to_pay");
}
