//! A database that stops, fails over, lags behind, or dies in the middle of a commit.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use test_servers::{Postgres, TcpProxy};

use super::books::assert_books;
use super::harness::client::{Client, Request};
use super::harness::servers::{address_of, own_postgres};
use super::harness::shop::{
    Shopper, ask_until_final, buy_through_faults, cancelling_order, lines, new_key, placing, refunding, setting_stock,
};
use super::harness::{BOOTS, STAFF, World, blocking, locked, until};

/// The database's name in a URL.
fn name_of(url: &str) -> &str {
    url.rsplit('/').next().expect("a name")
}

/// A shop that serves, with a line to its primary that can be cut.
async fn behind_a_line() -> (World, TcpProxy) {
    let mut world = World::new(blocking(own_postgres), None).await;
    let line = TcpProxy::start(address_of(&world.database_url));
    let url = world.database_url.replace(address_of(&world.database_url), &line.address().to_string());
    world.set("PRIMARY_SQL_URL", url);
    world.run(0, None);
    world.stock_up().await;
    (world, line)
}

/// The database heard COMMIT, or a statement that commits by itself, and its answer never comes: what was done is done
/// once. What stands in quotes is a record that the statement writes.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_commit_is_lost() {
    const TIMES: usize = 6;
    let (world, line) = behind_a_line().await;
    let client = world.client(0);
    let lose = |what: &[u8]| line.swallow_answer_to(what);
    for _ in 0..TIMES {
        lose(b"\"held_until_ms\"");
        let reply = ask_until_final(&client, &placing(&lines(&[(BOOTS, 1)]))).await;
        let shopper = Shopper::of(&client, &reply).unwrap_or_else(|| panic!("no checkout: {}", reply.text));
        lose(b"\"requesting\"");
        let reply = ask_until_final(&client, &shopper.completing(&new_key())).await;
        assert!(reply.is_success(), "{}", reply.text);
        let intent = shopper.intent().await;
        lose(b"\"order.paid\"");
        assert!(world.stripe.pay(&intent, "pm_card_visa").await);
        let order = shopper.wait_for("paid").await;
        lose(b"COMMIT");
        let reply = ask_until_final(&client, &refunding(&order, &new_key(), Some(1_000))).await;
        assert!(reply.is_success(), "{}", reply.text);
        lose(b"COMMIT");
        let reply = ask_until_final(&client, &setting_stock(BOOTS, 500)).await;
        assert!(reply.is_success(), "{}", reply.text);
        let other = Shopper::place(&client, &[(BOOTS, 1)]).await;
        other.intent().await;
        let order = other.view().await.order.expect("an order");
        lose(b"COMMIT");
        let reply = ask_until_final(&client, &cancelling_order(&order, &new_key())).await;
        assert!(reply.is_success(), "{}", reply.text);
        other.wait_for("cancelled").await;
    }
    assert!(line.cuts() >= TIMES as u64, "answers were lost: {}", line.cuts());
    assert_books(&world).await;
    assert_eq!(world.stripe.ledger().await.refunds().len(), TIMES);
    let orders = world.count("SELECT count(*) FROM orders");
    assert_eq!(orders, 2 * TIMES as i64);
}

/// Ends at once and comes back, three times, while many buy.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_stops_at_once() {
    const SHOPPERS: usize = 24;
    let world = World::new(blocking(own_postgres), None).await;
    world.run(0, None);
    world.stock_up().await;
    let client = world.client(0);
    let stop = async {
        for pause_ms in [300, 700, 1_100] {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            blocking(|| locked(&world.postgres).kill());
            assert_database_is_missed(&client).await;
            blocking(|| locked(&world.postgres).restart());
        }
    };
    let shopping = join_all((0..SHOPPERS).map(|_| buy_through_faults(&world, &client)));
    let (shoppers, ()) = tokio::join!(shopping, stop);
    for shopper in &shoppers {
        shopper.wait_for("paid").await;
    }
    assert_books(&world).await;
}

/// Whoever needs the database is told to come again, and the process lives.
async fn assert_database_is_missed(client: &Client) {
    let request = placing(&lines(&[(BOOTS, 1)]));
    let reply = client.ask(&request).await;
    assert_eq!((reply.status, reply.code()), (503, "store_unavailable"), "{}", reply.text);
    assert!(reply.retry_after_s.is_some());
    assert_eq!(client.ask(&Request::get("/checkout/healthz")).await.status, 200);
}

/// The primary takes questions and answers none. Whoever places asks it twice, for the checkout and then for the key, and is
/// told to come again before the 5 s are over that clients wait; the key is as good as before.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_hangs() {
    const FAR_TOO_LONG: Duration = Duration::from_secs(30);
    let (world, line) = behind_a_line().await;
    let client = world.client(0);
    let request = placing(&lines(&[(BOOTS, 1)]));
    line.delay(Duration::from_secs(600));
    let asked = Instant::now();
    let reply = client.ask(&request).await;
    assert_eq!((reply.status, reply.code()), (503, "store_unavailable"), "{}", reply.text);
    assert!(reply.retry_after_s.is_some());
    assert!(asked.elapsed() < FAR_TOO_LONG, "it took {:?}", asked.elapsed());
    line.delay(Duration::ZERO);
    let reply = ask_until_final(&client, &request).await;
    let shopper = Shopper::of(&client, &reply).unwrap_or_else(|| panic!("no checkout: {}", reply.text));
    assert_eq!(world.count("SELECT count(*) FROM checkouts"), 1);
    shopper.buy(&world).await;
    assert_books(&world).await;
}

/// The primary dies, its standby takes over, and nothing that was acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
async fn the_standby_takes_over() {
    const SHOPPERS: usize = 24;
    let (primary, standby) = blocking(Postgres::start_with_standby);
    let mut world = World::new(Arc::new(Mutex::new(primary)), None).await;
    let standby_url = standby.url_of(name_of(&world.database_url));
    world.set("PRIMARY_SQL_URL", format!("{},{standby_url}", world.database_url));
    world.run(0, None);
    world.run(1, None);
    world.stock_up().await;
    let clients = [world.client(0), world.client(1)];
    let before = Shopper::place(&clients[0], &[(BOOTS, 1)]).await;
    before.buy(&world).await;
    let fail_over = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        blocking(|| {
            locked(&world.postgres).kill();
            standby.promote();
        });
    };
    let shopping = join_all((0..SHOPPERS).map(|number| buy_through_faults(&world, &clients[number % 2])));
    let (shoppers, ()) = tokio::join!(shopping, fail_over);
    for shopper in &shoppers {
        shopper.wait_for("paid").await;
    }
    assert_eq!(before.view().await.order_state, "paid");
    world.postgres = Arc::new(Mutex::new(standby));
    world.database_url = standby_url;
    assert_books(&world).await;
}

/// The replica is an hour behind: money is read from the primary, and so are lists, once the lag is seen.
#[tokio::test(flavor = "multi_thread")]
async fn the_replica_lags() {
    let mut world = World::new(blocking(own_postgres), None).await;
    let mut replica = blocking(|| locked(&world.postgres).standby(&["recovery_min_apply_delay=1h"]));
    let replica_url = replica.url_of(name_of(&world.database_url));
    world.set("READ_SQL_URL", replica_url.clone());
    world.run(0, None);
    world.stock_up().await;
    let client = world.client(0);
    let shopper = Shopper::place(&client, &[(BOOTS, 1)]).await;
    let order = shopper.buy(&world).await;
    assert_eq!(blocking(|| replica.execute(&replica_url, "SELECT count(*) FROM orders")), "0", "the replica lags");
    // What its owner sees is never old.
    assert_eq!(shopper.view().await.order_state, "paid");
    let list = Request::get("/checkout/v1/orders").token(STAFF);
    let lists_it = async || client.ask(&list).await.text.contains(&order);
    until("the list has the order", lists_it).await;
    blocking(|| replica.kill());
    for _ in 0..5 {
        let reply = client.ask(&list).await;
        assert_eq!(reply.status, 200, "without a replica: {}", reply.text);
        assert!(reply.text.contains(&order), "{}", reply.text);
    }
    assert_books(&world).await;
}

/// A replica that keeps up is read from, and is not asked for money.
#[tokio::test(flavor = "multi_thread")]
async fn the_replica_goes_away_under_load() {
    let mut world = World::new(blocking(own_postgres), None).await;
    let mut replica = blocking(|| locked(&world.postgres).standby(&[]));
    world.set("READ_SQL_URL", replica.url_of(name_of(&world.database_url)));
    world.run(0, None);
    world.stock_up().await;
    let client = world.client(0);
    let list = Request::get("/checkout/v1/orders").token(STAFF);
    let staff = async {
        for turn in 0..40 {
            if turn == 20 {
                blocking(|| replica.kill());
            }
            let reply = client.ask(&list).await;
            assert_eq!(reply.status, 200, "{turn}: {}", reply.text);
        }
    };
    let shopping = join_all((0..12).map(|_| buy_through_faults(&world, &client)));
    let (shoppers, ()) = tokio::join!(shopping, staff);
    for shopper in &shoppers {
        shopper.wait_for("paid").await;
    }
    assert_books(&world).await;
}
