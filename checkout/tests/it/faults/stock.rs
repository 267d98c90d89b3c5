//! Stock that many want, and carts and checkouts that change while they are completed.

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::books::{assert_books, settle};
use super::harness::client::{Client, Reply, Request};
use super::harness::shop::{Shopper, ask_until_final, lines, new_key, placing, set_stock, stock_of};
use super::harness::{BOOTS, LAMP, World, until};

/// Asks for a checkout until it is given or refused for good: too many at once may be told to come again.
async fn want(client: &Client, wanted: &[(&str, u32)]) -> Reply {
    ask_until_final(client, &placing(&lines(wanted))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_want_the_last_one() {
    const CLIENTS: usize = 200;
    let world = World::serving().await;
    let client = world.client(0);
    set_stock(&client, BOOTS, 1).await;
    let replies = join_all((0..CLIENTS).map(|_| want(&client, &[(BOOTS, 1)]))).await;
    let got: Vec<&Reply> = replies.iter().filter(|reply| reply.is_success()).collect();
    assert_eq!(got.len(), 1, "one unit was sold to so many");
    for reply in replies.iter().filter(|reply| !reply.is_success()) {
        assert_eq!((reply.status, reply.code()), (409, "sold_out"), "{}", reply.text);
    }
    assert_eq!(stock_of(&client, BOOTS).await, (0, 1));
    // Whoever has it may still let it go; then another gets it, and pays.
    let shopper = Shopper::of(&client, got[0]).expect("a checkout");
    let reply = client.ask(&shopper.cancelling(&new_key())).await;
    assert!(reply.is_success(), "{}", reply.text);
    let replies = join_all((0..20).map(|_| want(&client, &[(BOOTS, 1)]))).await;
    let got: Vec<&Reply> = replies.iter().filter(|reply| reply.is_success()).collect();
    assert_eq!(got.len(), 1);
    Shopper::of(&client, got[0]).expect("a checkout").buy(&world).await;
    assert_eq!(stock_of(&client, BOOTS).await, (0, 0));
    assert_books(&world).await;
}

/// Somebody keeps a product locked, and so many want it that nothing new is begun. What was begun is finished meanwhile; it was
/// kept waiting, and given up, by those who came later.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_finished_while_others_are_turned_away() {
    let world = World::serving().await;
    let client = world.client(0);
    let shopper = Shopper::place(&client, &[(LAMP, 1)]).await;
    let mut locker = PgConnection::connect(&world.database_url).await.expect("a connection");
    let lock = "BEGIN; SELECT FROM stock_units WHERE product = 'boots' FOR UPDATE";
    sqlx::raw_sql(lock).execute(&mut locker).await.expect("the lock");
    let newcomer = placing(&lines(&[(LAMP, 1)]));
    let finish = async {
        until("newcomers are turned away", async || {
            let reply = client.ask(&newcomer).await;
            reply.code() == "overloaded" && reply.status == 503 && reply.retry_after_s.is_some()
        })
        .await;
        shopper.buy(&world).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut locker).await.expect("the lock is gone");
    };
    let many = join_all((0..20).map(|_| want(&client, &[(BOOTS, 1)])));
    let (replies, ()) = tokio::join!(many, finish);
    for reply in replies {
        assert!(reply.is_success(), "{} {}", reply.status, reply.text);
    }
    assert_books(&world).await;
}

/// Baskets of two products in both orders: neither a deadlock nor a unit too many.
#[tokio::test(flavor = "multi_thread")]
async fn baskets_that_share_products() {
    let world = World::serving().await;
    let client = world.client(0);
    set_stock(&client, BOOTS, 30).await;
    set_stock(&client, LAMP, 20).await;
    let replies = join_all((0..60).map(|number| {
        let client = &client;
        async move {
            match number % 2 {
                0 => want(client, &[(BOOTS, 1), (LAMP, 1)]).await,
                _ => want(client, &[(LAMP, 1), (BOOTS, 1)]).await,
            }
        }
    }))
    .await;
    let got: Vec<Shopper> = replies.iter().filter_map(|reply| Shopper::of(&client, reply)).collect();
    assert_eq!(got.len(), 20);
    assert_eq!((stock_of(&client, BOOTS).await, stock_of(&client, LAMP).await), ((10, 20), (0, 20)));
    // Half of them pay, the others let their holds end.
    let (paying, leaving) = got.split_at(10);
    join_all(paying.iter().map(|shopper| shopper.buy(&world))).await;
    leaving.iter().for_each(|shopper| world.end_hold(&shopper.checkout));
    until("what was held is there again", async || stock_of(&client, LAMP).await == (10, 0)).await;
    assert_eq!(stock_of(&client, BOOTS).await, (20, 0));
    assert_books(&world).await;
    let told = world.sql(&format!("SELECT count(*) FROM outbox WHERE subject = 'products/{LAMP}'"));
    assert_ne!(told, "0", "others are told that a product sold out and is back");
}

/// A checkout is changed while it is completed: the order has the one or the other, and who was told so knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_is_changed_while_it_is_completed() {
    let world = World::serving().await;
    let client = world.client(0);
    for number in 0..12 {
        let shopper = Shopper::place(&client, &[(BOOTS, 1)]).await;
        let version = &shopper.placed["checkout"]["version"];
        let email = format!("new-{number}@example.com");
        let change = Request::put(format!("/checkout/v1/checkouts/{}", shopper.checkout));
        let change = change.token(&shopper.token).json(&json!({ "version": version, "email": email }));
        let (changed, completed) = tokio::join!(client.ask(&change), shopper.complete());
        assert!(completed.is_success(), "{}", completed.text);
        let stored = world.sql(&format!("SELECT email FROM orders WHERE checkout_id = '{}'", shopper.checkout));
        match changed.status {
            200 => assert_eq!(stored, email, "the change was accepted before the order was made"),
            409 => assert_eq!(stored, "shopper@example.com", "{}", changed.text),
            _ => panic!("{} {}", changed.status, changed.text),
        }
        shopper.buy(&world).await;
    }
    assert_books(&world).await;
}

/// A cart is changed while it is checked out: the checkout has all of one version.
#[tokio::test(flavor = "multi_thread")]
async fn a_cart_is_changed_while_it_is_checked_out() {
    let world = World::serving().await;
    let client = world.client(0);
    for _ in 0..12 {
        let (first, second) = ([(BOOTS, 1), (LAMP, 1)], [(BOOTS, 2), (LAMP, 2)]);
        let body = json!({ "lines": lines(&first)["lines"] });
        let made = client.ask(&Request::post("/checkout/v1/carts").key(new_key()).json(&body)).await;
        assert!(made.is_success(), "{}", made.text);
        let (id, version) = (made.body["cart"]["id"].as_str().expect("an id"), &made.body["cart"]["version"]);
        let body = json!({ "version": version, "lines": lines(&second)["lines"] });
        let put = Request::put(format!("/checkout/v1/carts/{id}")).json(&body);
        let check_out = placing(&json!({ "cart": id, "email": "shopper@example.com" }));
        let (changed, again, placed) = tokio::join!(client.ask(&put), client.ask(&put), client.ask(&check_out));
        // The same version is replaced once.
        let mut statuses = [changed.status, again.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", changed.text, again.text);
        assert!(placed.is_success(), "{}", placed.text);
        let quantities: Vec<&Value> =
            placed.body["checkout"]["lines"].as_array().expect("lines").iter().map(|line| &line["quantity"]).collect();
        assert!(quantities == [&json!(1), &json!(1)] || quantities == [&json!(2), &json!(2)], "{quantities:?}");
        let shopper = Shopper::of(&client, &placed).expect("a checkout");
        shopper.buy(&world).await;
    }
    assert_books(&world).await;
}

/// Staff counts the shelves while the shop is open.
#[tokio::test(flavor = "multi_thread")]
async fn stock_is_adjusted_while_it_is_sold() {
    let world = World::serving().await;
    let client = world.client(0);
    set_stock(&client, BOOTS, 40).await;
    let adjust = |by: i64| {
        let body = json!({ "adjust": by, "reason": "counted" });
        Request::put(format!("/checkout/v1/stock/{BOOTS}")).token(super::harness::STAFF).key(new_key()).json(&body)
    };
    let shop = join_all((0..60).map(|_| want(&client, &[(BOOTS, 1)])));
    let staff = async {
        for by in [5, -3, 10, -7, 1, -1] {
            let reply = client.ask(&adjust(by)).await;
            assert!(matches!(reply.status, 200 | 409 | 422), "{} {}", reply.status, reply.text);
        }
    };
    let (replies, ()) = tokio::join!(shop, staff);
    let got: Vec<Shopper> = replies.iter().filter_map(|reply| Shopper::of(&client, reply)).collect();
    join_all(got.iter().take(10).map(|shopper| shopper.buy(&world))).await;
    let reply = client.ask(&adjust(-10_000)).await;
    assert_eq!(reply.code(), "stock_out_of_bounds", "{}", reply.text);
    settle(&world).await;
    let (available, held) = stock_of(&client, BOOTS).await;
    assert!(available >= 0);
    assert_eq!(held, got.len() as i64 - 10);
    assert_books(&world).await;
}
