//! Prices that change while somebody checks out: the old ones while they are held, an error after, never a mix.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use super::books::assert_books;
use super::harness::client::Client;
use super::harness::edge::CURRENCY;
use super::harness::shop::{Shopper, lines, new_key};
use super::harness::{BOOTS, BOOTS_MINOR, LAMP, LAMP_MINOR, World};

/// The unit prices of a checkout's lines by product.
fn prices(checkout: &Value) -> Vec<(String, i64)> {
    let lines = checkout["lines"].as_array().expect("lines");
    let text = |line: &Value| line["product"].as_str().expect("a product").to_owned();
    lines.iter().map(|line| (text(line), line["unit_price"]["amount_minor"].as_i64().expect("a price"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_swapped_in_the_middle() {
    let world = World::serving().await;
    let client = world.client(0);
    let held = Shopper::place(&client, &[(BOOTS, 2), (LAMP, 1)]).await;
    let late = Shopper::place(&client, &[(BOOTS, 1)]).await;
    let total_minor = 2 * BOOTS_MINOR + LAMP_MINOR;
    assert_eq!(held.total_minor, total_minor);
    world.edge.swap(|catalogue| {
        catalogue.snapshot = "snapshot-2".to_owned();
        catalogue.prices = [(BOOTS.to_owned(), 9_900), (LAMP.to_owned(), 2_500)].into();
    });
    // The total that the shopper saw is another one by now.
    let mut body = lines(&[(BOOTS, 1)]);
    body["expected_total"] = json!({ "amount_minor": BOOTS_MINOR, "currency": CURRENCY });
    let reply = Shopper::try_place(&client, &body).await.err().expect("a refusal");
    assert_eq!((reply.status, reply.code()), (409, "total_changed"), "{}", reply.text);
    assert!(reply.text.contains("9900"), "it tells the new total: {}", reply.text);
    body["expected_total"]["amount_minor"] = json!(9_900);
    let new = Shopper::try_place(&client, &body).await.unwrap_or_else(|reply| panic!("{}", reply.text));
    assert_eq!(new.placed["checkout"]["snapshot"], "snapshot-2");
    // While it is held, the old price stands, and so it is charged.
    let order = held.buy(&world).await;
    let charged = world.stripe.ledger().await.of_order(&order);
    assert_eq!(charged.iter().map(|one| one.received).collect::<Vec<_>>(), [total_minor]);
    let stored = world.sql(&format!("SELECT DISTINCT snapshot FROM order_lines WHERE order_id = '{order}'"));
    assert_eq!(stored, "snapshot-1");
    new.buy(&world).await;
    // After, it does not.
    world.end_hold(&late.checkout);
    let reply = late.complete().await;
    assert_eq!((reply.status, reply.code()), (409, "hold_over"), "{}", reply.text);
    assert_books(&world).await;
}

/// Snapshots change all the time while many check out: each checkout has the prices of one of them.
#[tokio::test(flavor = "multi_thread")]
async fn no_checkout_mixes_two_snapshots() {
    let world = World::serving().await;
    let client = world.client(0);
    let swap = async {
        for number in 2..40 {
            world.edge.swap(|catalogue| {
                catalogue.snapshot = format!("snapshot-{number}");
                catalogue.prices = [(BOOTS.to_owned(), number * 100), (LAMP.to_owned(), number * 100 + 1)].into();
            });
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let shop = join_all((0..60).map(|number| place_after(&client, number * 12)));
    let (shoppers, ()) = tokio::join!(shop, swap);
    for shopper in &shoppers {
        let checkout = &shopper.placed["checkout"];
        let snapshot = checkout["snapshot"].as_str().expect("a snapshot");
        let number: i64 = snapshot.strip_prefix("snapshot-").and_then(|text| text.parse().ok()).expect("a number");
        let expected = match number {
            1 => [(BOOTS.to_owned(), BOOTS_MINOR), (LAMP.to_owned(), LAMP_MINOR)],
            number => [(BOOTS.to_owned(), number * 100), (LAMP.to_owned(), number * 100 + 1)],
        };
        assert_eq!(prices(checkout), expected, "{snapshot}");
    }
    join_all(shoppers.iter().map(|shopper| shopper.buy(&world))).await;
    assert_books(&world).await;
}

async fn place_after(client: &Client, pause_ms: u64) -> Shopper {
    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    Shopper::place(client, &[(BOOTS, 1), (LAMP, 1)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_edge_is_away() {
    let world = World::serving().await;
    let client = world.client(0);
    let before = Shopper::place(&client, &[(BOOTS, 1)]).await;
    world.edge.swap(|catalogue| catalogue.is_away = true);
    let reply = Shopper::try_place(&client, &lines(&[(BOOTS, 1)])).await.err().expect("a refusal");
    assert_eq!((reply.status, reply.code()), (503, "prices_unavailable"), "{}", reply.text);
    assert!(reply.retry_after_s.is_some());
    // Whoever has prices already needs no edge.
    before.buy(&world).await;
    world.edge.swap(|catalogue| catalogue.is_away = false);
    let after = Shopper::place(&client, &[(BOOTS, 1)]).await;
    let reply = client.ask(&after.cancelling(&new_key())).await;
    assert!(reply.is_success(), "{}", reply.text);
    assert_books(&world).await;
}
