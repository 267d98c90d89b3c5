//! Redis is gone, or hangs: carts say so at once, and everything else goes on.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use test_servers::Redis;

use super::books::assert_books;
use super::harness::client::{Client, Reply, Request};
use super::harness::servers::Stopped;
use super::harness::shop::{Shopper, lines, new_key, placing};
use super::harness::{BOOTS, World, blocking, servers, until};

/// An answer that took longer did wait for something: a hundred times what a cart may wait for Redis.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn make_cart(client: &Client) -> Reply {
    let body = json!({ "lines": lines(&[(BOOTS, 1)])["lines"] });
    client.ask(&Request::post("/checkout/v1/carts").key(new_key()).json(&body)).await
}

/// Carts are refused at once, and shoppers with lines of their own buy as ever.
async fn assert_others_go_on(world: &World, client: &Client) {
    for _ in 0..5 {
        let asked = Instant::now();
        let reply = make_cart(client).await;
        assert_eq!((reply.status, reply.code()), (503, "carts_unavailable"), "{}", reply.text);
        assert!(reply.retry_after_s.is_some());
        assert!(asked.elapsed() < AT_ONCE, "it took {:?}", asked.elapsed());
    }
    let placed = join_all((0..10).map(|_| Shopper::place(client, &[(BOOTS, 1)]))).await;
    join_all(placed.iter().map(|shopper| shopper.buy(world))).await;
    assert_eq!(client.ask(&Request::get("/checkout/healthz")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_goes_away_and_comes_back() {
    let mut redis = blocking(Redis::start);
    let mut world = World::new(servers::shared_postgres(), None).await;
    world.set("REDIS_URL", redis.url());
    world.run(0, None);
    world.stock_up().await;
    let client = world.client(0);
    let cart = make_cart(&client).await;
    assert!(cart.is_success(), "{}", cart.text);
    let id = cart.body["cart"]["id"].as_str().expect("an id").to_owned();
    let check_out = || placing(&json!({ "cart": id, "email": "shopper@example.com" }));

    let stopped = blocking(|| Stopped::stop(&redis));
    assert_others_go_on(&world, &client).await;
    let reply = client.ask(&check_out()).await;
    assert_eq!(reply.code(), "carts_unavailable", "{}", reply.text);
    drop(stopped);
    // It remembers what it held while it hung.
    let mut placed = None;
    until("the cart is there again", async || {
        placed = Shopper::of(&client, &client.ask(&check_out()).await);
        placed.is_some()
    })
    .await;
    placed.expect("a checkout").buy(&world).await;

    blocking(|| redis.kill());
    assert_others_go_on(&world, &client).await;
    blocking(|| redis.restart());
    // It comes back empty: the cart is unknown, and a new one can be made.
    until("carts can be made again", async || make_cart(&client).await.is_success()).await;
    let reply = client.ask(&check_out()).await;
    assert_eq!(reply.code(), "cart_unknown", "{}", reply.text);
    assert_books(&world).await;
}

/// A service starts without its Redis.
#[tokio::test(flavor = "multi_thread")]
async fn redis_is_not_there_at_the_start() {
    let mut redis = blocking(Redis::start);
    blocking(|| redis.kill());
    let mut world = World::new(servers::shared_postgres(), None).await;
    world.set("REDIS_URL", redis.url());
    world.run(0, None);
    world.stock_up().await;
    let client = world.client(0);
    assert_others_go_on(&world, &client).await;
    blocking(|| redis.restart());
    until("carts can be made", async || make_cart(&client).await.is_success()).await;
    assert_books(&world).await;
}
