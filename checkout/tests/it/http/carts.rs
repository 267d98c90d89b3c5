//! Carts, in the database and in Redis.

use checkout::config::Config;
use serde_json::{Value, json};
use test_servers::Redis;

use super::shop::{Shop, wait_until};

fn cart_of(product: &str) -> Value {
    json!({ "lines": [{ "product": product, "quantity": 2 }], "market": "eu" })
}

async fn make(shop: &Shop) -> (String, Value) {
    let made = shop.ask("POST", "/checkout/v1/carts").new_key().json(&cart_of("p1")).send().await.expect(201);
    (format!("/checkout/v1/carts/{}", made["cart"]["id"].as_str().expect("an id")), made)
}

/// What holds wherever carts are kept.
async fn carts_are_replaced_whole(shop: &Shop) {
    let (path, made) = make(shop).await;
    assert_eq!((made["cart"]["version"].as_u64(), made["cart"]["market"].as_str()), (Some(1), Some("eu")));
    assert_eq!(shop.ask("GET", &path).send().await.expect(200), made);
    let mut body = cart_of("p2");
    shop.ask("PUT", &path).json(&body).send().await.problem(400, "invalid_field");
    body["version"] = json!(1);
    let put = shop.ask("PUT", &path).json(&body).send().await.expect(200);
    assert_eq!((put["cart"]["version"].as_u64(), put["cart"]["lines"][0]["product"].as_str()), (Some(2), Some("p2")));
    let problem = shop.ask("PUT", &path).json(&body).send().await.problem(409, "version_conflict");
    assert_eq!((problem["pointer"].as_str(), problem["current"].as_u64()), (Some("/version"), Some(2)));
    assert_eq!(shop.ask("GET", &path).send().await.expect(200), put, "a conflict changes nothing");
    shop.ask("DELETE", &path).send().await.expect(204);
    shop.ask("DELETE", &path).send().await.problem(404, "not_found");
    shop.ask("GET", &path).send().await.problem(404, "not_found");
    body["version"] = json!(2);
    shop.ask("PUT", &path).json(&body).send().await.problem(404, "not_found");
}

/// The same request with the same key makes one cart.
async fn carts_are_made_once(shop: &Shop) {
    let ask = |key: &str, product: &str| shop.ask("POST", "/checkout/v1/carts").key(key).json(&cart_of(product)).send();
    let key = format!("a-cart-at-port-{}", shop.public.port());
    let first = ask(&key, "p1").await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let again = ask(&key, "p1").await;
    assert_eq!((again.expect(201), again.header("idempotent-replayed")), (first.expect(201), "true"));
    ask(&key, "p2").await.problem(409, "idempotency_key_reused");
    // Once the cart was changed, any other body was answered with it.
    let path = format!("/checkout/v1/carts/{}", first.expect(201)["cart"]["id"].as_str().expect("an id"));
    let put = json!({ "version": 1, "lines": [] });
    let changed = shop.ask("PUT", &path).json(&put).send().await.expect(200);
    ask(&key, "p2").await.problem(409, "idempotency_key_reused");
    let again = ask(&key, "p1").await;
    assert_eq!((again.expect(201), again.header("idempotent-replayed")), (changed, "true"), "as it is now");
    // Once it was deleted, any other body made it anew.
    shop.ask("DELETE", &path).send().await.expect(204);
    ask(&key, "p2").await.problem(409, "idempotency_key_reused");
    let anew = ask(&key, "p1").await;
    assert_eq!((anew.expect(201)["cart"]["version"].as_u64(), anew.header("idempotent-replayed")), (Some(1), ""));
    shop.ask("POST", "/checkout/v1/carts").json(&cart_of("p1")).send().await.problem(400, "idempotency_key_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_in_the_database() {
    let shop = Shop::open().await;
    carts_are_replaced_whole(&shop).await;
    carts_are_made_once(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_in_redis() {
    let redis = tokio::task::spawn_blocking(Redis::start).await.expect("a Redis");
    let url = redis.url();
    let shop = Shop::open_with(|config: &mut Config| config.redis_url = Some(url.into())).await;
    carts_are_replaced_whole(&shop).await;
    carts_are_made_once(&shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_away_takes_carts_and_nothing_else() {
    let mut redis = tokio::task::spawn_blocking(Redis::start).await.expect("a Redis");
    let url = redis.url();
    let shop = Shop::open_with(|config: &mut Config| config.redis_url = Some(url.into())).await;
    let (path, made) = make(&shop).await;
    let body = json!({ "cart": made["cart"]["id"] });
    redis.kill();
    let answer = shop.ask("GET", &path).send().await;
    answer.problem(503, "carts_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&body).send().await.problem(503, "carts_unavailable");
    shop.checkout(1).await;
    assert_eq!(shop.admin("/readyz").await.status, 200, "carts are no reason to leave the balancer");
    redis.restart();
    wait_until("carts are back", async || {
        shop.ask("POST", "/checkout/v1/carts").new_key().json(&cart_of("p1")).send().await.status == 201
    })
    .await;
    shop.ask("GET", &path).send().await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_takes_what_is_in_the_cart() {
    let shop = Shop::open().await;
    let (_, made) = make(&shop).await;
    let id = &made["cart"]["id"];
    let begun =
        shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&json!({ "cart": id })).send().await.expect(201);
    let checkout = &begun["checkout"];
    assert_eq!((&checkout["cart"], checkout["market"].as_str()), (id, Some("eu")));
    assert_eq!(checkout["total"], json!({ "amount_minor": 9_980, "currency": "EUR" }));
    let ask = |body: Value| shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&body).send();
    let problem = ask(json!({ "cart": "crt_00000000000000000000000000000000" })).await.problem(422, "cart_unknown");
    assert_eq!(problem["pointer"], "/cart");
    let empty = shop.ask("POST", "/checkout/v1/carts").new_key().json(&json!({})).send().await.expect(201);
    ask(json!({ "cart": empty["cart"]["id"] })).await.problem(422, "cart_empty");
}
