//! Two who do the same, or the opposite, at the same moment.

use futures::future::join_all;
use serde_json::json;

use super::books::{assert_books, settle};
use super::harness::client::Reply;
use super::harness::shop::{Shopper, ask_until_final, cancelling_order, lines, new_key, placing, refunding, stock_of};
use super::harness::{BOOTS, BOOTS_MINOR, STOCK, World, until};

/// A world with two processes, as two regions have them, that share one database.
async fn two_regions() -> World {
    let world = World::serving().await;
    world.run(1, None);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_submitted_twice() {
    let world = two_regions().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let order = shopper.buy(&world).await;
    let clients = [world.client(0), world.client(1)];
    // With one key: one refund, and one answer for all.
    let request = refunding(&order, &new_key(), Some(1_000));
    let replies = join_all((0..8).map(|number| ask_until_final(&clients[number % 2], &request))).await;
    assert!(replies.iter().all(Reply::is_success), "{replies:?}");
    assert!(replies.iter().all(|reply| reply.text == replies[0].text), "{replies:?}");
    assert_eq!(replies.iter().filter(|reply| !reply.is_replayed).count(), 1, "{replies:?}");
    // With a key each, of all that is left: one is accepted, and the others are told that nothing is left.
    let requests: Vec<_> = (0..8).map(|_| refunding(&order, &new_key(), Some(BOOTS_MINOR - 1_000))).collect();
    let asked = requests.iter().enumerate();
    let replies = join_all(asked.map(|(number, request)| ask_until_final(&clients[number % 2], request))).await;
    assert_eq!(replies.iter().filter(|reply| reply.is_success()).count(), 1, "{replies:?}");
    for reply in replies.iter().filter(|reply| !reply.is_success()) {
        assert!(matches!(reply.code(), "refund_too_large" | "order_closed"), "{} {}", reply.status, reply.text);
    }
    shopper.wait_for("refunded").await;
    assert_books(&world).await;
    let refunds = world.stripe.ledger().await.refunds();
    assert_eq!(refunds.iter().map(|(_, _, amount, _)| amount).sum::<i64>(), BOOTS_MINOR);
}

/// Many small refunds at once never give back more than came in.
#[tokio::test(flavor = "multi_thread")]
async fn refunds_race_for_what_is_left() {
    let world = two_regions().await;
    let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
    let order = shopper.buy(&world).await;
    let clients = [world.client(0), world.client(1)];
    let requests: Vec<_> = (0..12).map(|_| refunding(&order, &new_key(), Some(1_500))).collect();
    let asked = requests.iter().enumerate();
    let replies = join_all(asked.map(|(number, request)| ask_until_final(&clients[number % 2], request))).await;
    // Five times 15.00 fit into 79.50.
    assert_eq!(replies.iter().filter(|reply| reply.is_success()).count(), 5, "{replies:?}");
    assert_books(&world).await;
}

/// Two processes are asked with one key: one of them does it.
#[tokio::test(flavor = "multi_thread")]
async fn two_regions_are_asked_with_one_key() {
    let world = two_regions().await;
    let clients = [world.client(0), world.client(1)];
    for _ in 0..10 {
        let request = placing(&lines(&[(BOOTS, 1)]));
        let (first, second) =
            tokio::join!(ask_until_final(&clients[0], &request), ask_until_final(&clients[1], &request));
        assert!(first.is_success(), "{}", first.text);
        assert_eq!((first.status, &first.text), (second.status, &second.text));
        assert!(first.is_replayed != second.is_replayed, "one of them did it");
        let shopper = Shopper::of(&clients[0], &first).expect("a checkout");
        let request = shopper.completing(&new_key());
        let (first, second) =
            tokio::join!(ask_until_final(&clients[0], &request), ask_until_final(&clients[1], &request));
        assert!(first.is_success(), "{}", first.text);
        assert_eq!((first.status, &first.text), (second.status, &second.text));
        // The same key for something else is told apart.
        let mut other = request.clone();
        other.body = json!({ "method": "hosted_page" }).to_string().into_bytes();
        let reply = clients[1].ask(&other).await;
        assert_eq!((reply.status, reply.code()), (409, "idempotency_key_reused"), "{}", reply.text);
        let order = shopper.buy(&world).await;
        assert_eq!(world.stripe.ledger().await.of_order(&order).len(), 1);
    }
    assert_books(&world).await;
    let (_, held) = stock_of(&clients[0], BOOTS).await;
    assert_eq!(held, 0, "a checkout was made twice");
}

/// Complete is pressed twice, with a key each: there is one payment.
#[tokio::test(flavor = "multi_thread")]
async fn complete_is_pressed_twice() {
    let world = two_regions().await;
    for _ in 0..10 {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let elsewhere = shopper.at(1);
        let (first, second) = (shopper.completing(&new_key()), elsewhere.completing(&new_key()));
        let (first, second) =
            tokio::join!(ask_until_final(&shopper.client, &first), ask_until_final(&elsewhere.client, &second));
        for reply in [&first, &second] {
            assert!(reply.is_success() || reply.code() == "payment_in_progress", "{} {}", reply.status, reply.text);
        }
        assert!(first.is_success() || second.is_success());
        let order = shopper.buy(&world).await;
        let intents = world.stripe.ledger().await.of_order(&order);
        assert_eq!(intents.len(), 1, "{intents:?}");
    }
    assert_books(&world).await;
}

/// Somebody pays while somebody cancels: either it is paid, or nothing was charged, or what was charged goes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_races_with_success() {
    let world = two_regions().await;
    let (mut paid, mut cancelled) = (0, 0);
    for number in 0..24_u64 {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let intent = shopper.intent().await;
        let order = shopper.view().await.order.expect("an order");
        let pause = |turn: u64| std::time::Duration::from_millis((number / 2) * 2 * u64::from(number % 2 == turn));
        let request = match number % 4 {
            0 | 1 => shopper.cancelling(&new_key()),
            _ => cancelling_order(&order, &new_key()),
        };
        let client = world.client(1);
        let pay = async {
            tokio::time::sleep(pause(0)).await;
            world.stripe.pay(&intent, "pm_card_visa").await
        };
        let cancel = async {
            tokio::time::sleep(pause(1)).await;
            ask_until_final(&client, &request).await
        };
        let (took_money, answer) = tokio::join!(pay, cancel);
        assert!(answer.is_success() || answer.status == 409, "{} {}", answer.status, answer.text);
        let mut state = String::new();
        until("it is decided", async || {
            state = shopper.view().await.order_state;
            matches!(state.as_str(), "paid" | "cancelled")
        })
        .await;
        match state.as_str() {
            "paid" => {
                assert!(took_money);
                paid += 1;
            }
            _ => cancelled += 1,
        }
    }
    println!("{paid} were paid, and {cancelled} were cancelled");
    assert_books(&world).await;
}

/// The hold ends at the moment at which the shopper pays.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_hold_races_with_payment() {
    let world = two_regions().await;
    for number in 0..16_u64 {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let intent = shopper.intent().await;
        let pay = async {
            tokio::time::sleep(std::time::Duration::from_millis(number * 40)).await;
            world.stripe.pay(&intent, "pm_card_visa").await
        };
        let end = async { world.end_hold(&shopper.checkout) };
        let (took_money, ()) = tokio::join!(pay, end);
        let mut view = shopper.view().await;
        until("it is decided", async || {
            view = shopper.view().await;
            matches!(view.order_state.as_str(), "paid" | "cancelled")
        })
        .await;
        assert_eq!(view.order_state == "paid", took_money, "{view:?}");
    }
    assert_books(&world).await;
    let (available, held) = stock_of(&world.client(0), BOOTS).await;
    let sold = world.count("SELECT COALESCE(-sum(change), 0) FROM stock_moves WHERE kind = 'sale'");
    assert_eq!((available + sold, held), (STOCK, 0));
}

/// A checkout is completed while its hold ends, and while it is cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn completing_races_with_the_end() {
    let world = two_regions().await;
    let mut shoppers = Vec::new();
    for number in 0..16 {
        let shopper = Shopper::place(&world.client(0), &[(BOOTS, 1)]).await;
        let cancel = shopper.cancelling(&new_key());
        let client = world.client(1);
        let end = async {
            match number % 2 {
                0 => world.end_hold(&shopper.checkout),
                _ => drop(ask_until_final(&client, &cancel).await),
            }
        };
        let (reply, ()) = tokio::join!(shopper.complete(), end);
        assert!(reply.is_success() || reply.status == 409, "{} {}", reply.status, reply.text);
        shoppers.push(shopper);
    }
    for shopper in &shoppers {
        until("it has ended", async || {
            let view = shopper.view().await;
            matches!(view.checkout_state.as_str(), "expired" | "cancelled")
                || (view.order_state == "pending_payment" && {
                    // It was completed first, and the hold that ended is not looked at yet.
                    world.end_hold(&shopper.checkout);
                    false
                })
        })
        .await;
    }
    settle(&world).await;
    assert_eq!(stock_of(&world.client(0), BOOTS).await, (STOCK, 0));
    assert_books(&world).await;
}
