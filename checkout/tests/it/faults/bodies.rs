//! Bodies that are malformed, too large, no text at all, or break off.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::books::assert_books;
use super::harness::client::{Client, Request};
use super::harness::door::{PATH, SECRET, Webhook, now_s};
use super::harness::shop::{Shopper, lines, new_key};
use super::harness::{BOOTS, STAFF, World, blocking};

async fn assert_refused(client: &Client, what: &str, request: Request, statuses: &[u16]) {
    let reply = client.ask(&request).await;
    assert!(statuses.contains(&reply.status), "{what}: {} {}", reply.status, reply.text);
    assert!(!reply.code().is_empty(), "{what} is told as a problem: {}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_nobody_should_send() {
    let world = World::serving().await;
    let client = world.client(0);
    let shopper = Shopper::place(&client, &[(BOOTS, 1)]).await;
    let order = shopper.buy(&world).await;
    let checkout = &shopper.checkout;
    let paths = [
        ("POST", "/checkout/v1/carts".to_owned(), None),
        ("POST", "/checkout/v1/checkouts".to_owned(), None),
        ("PUT", format!("/checkout/v1/checkouts/{checkout}"), Some(shopper.token.as_str())),
        ("POST", format!("/checkout/v1/checkouts/{checkout}/complete"), Some(shopper.token.as_str())),
        ("POST", format!("/checkout/v1/orders/{order}/refunds"), Some(STAFF)),
        ("PUT", format!("/checkout/v1/stock/{BOOTS}"), Some(STAFF)),
    ];
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let bodies: &[(&str, Vec<u8>, &[u16])] = &[
        ("half an object", b"{\"lines\": [".to_vec(), &[400]),
        ("not UTF-8", b"{\"email\": \"\xff\xfe\"}".to_vec(), &[400]),
        ("a list", b"[]".to_vec(), &[400]),
        ("a number", b"7".to_vec(), &[400]),
        ("a deep one", deep.into_bytes(), &[400]),
        ("an unknown field", b"{\"no_such_field\": 1}".to_vec(), &[400]),
        ("two objects", b"{}{}".to_vec(), &[400]),
        ("a large one", vec![b' '; 200 * 1024], &[413]),
        ("a surrogate alone", b"{\"email\": \"\\ud800\"}".to_vec(), &[400]),
    ];
    for (method, path, token) in &paths {
        for (what, body, statuses) in bodies {
            let request = if *method == "PUT" { Request::put(path.clone()) } else { Request::post(path.clone()) };
            let request = request.key(new_key()).bytes(body.clone());
            let request = token.map_or(request.clone(), |token| request.clone().token(token));
            assert_refused(&client, &format!("{method} {path} {what}"), request, statuses).await;
        }
    }
    let wrong = [
        json!({ "lines": [] }),
        json!({ "lines": [{ "product": BOOTS, "quantity": 0 }] }),
        json!({ "lines": [{ "product": BOOTS, "quantity": -1 }] }),
        json!({ "lines": [{ "product": BOOTS, "quantity": 1.5 }] }),
        json!({ "lines": [{ "product": BOOTS, "quantity": 1e30 }] }),
        json!({ "lines": [{ "product": BOOTS, "quantity": "1" }] }),
        json!({ "lines": [{ "product": "x".repeat(5_000), "quantity": 1 }] }),
        json!({ "lines": [{ "product": "\u{0}", "quantity": 1 }] }),
        json!({ "lines": [{ "product": "of nobody", "quantity": 1 }] }),
        json!({ "lines": vec![json!({ "product": BOOTS, "quantity": 1 }); 500] }),
        json!({ "lines": [{ "product": BOOTS, "quantity": 9_999_999_999_999_999_999_u64 }] }),
    ];
    for body in &wrong {
        let request = Request::post("/checkout/v1/checkouts").key(new_key()).json(body);
        assert_refused(&client, &body.to_string(), request, &[400, 422]).await;
    }
    for amount in [json!(0), json!(-1), json!(1.5), json!(i64::MAX), json!("7"), json!(null)] {
        let body = json!({ "amount": { "amount_minor": amount, "currency": "EUR" } });
        let request = Request::post(format!("/checkout/v1/orders/{order}/refunds")).token(STAFF);
        assert_refused(&client, &body.to_string(), request.key(new_key()).json(&body), &[400, 409, 422]).await;
    }
    assert_eq!(world.stripe.ledger().await.refunds().len(), 0);
    let large = Webhook::signed(vec![b'x'; 512 * 1024], SECRET, now_s());
    assert_refused(&client, "a large webhook", large.request(), &[413]).await;
    assert_books(&world).await;
}

/// What a key, a token or a path may hold that nobody means well with.
#[tokio::test(flavor = "multi_thread")]
async fn headers_and_paths_that_nobody_should_send() {
    let world = World::serving().await;
    let client = world.client(0);
    let good = lines(&[(BOOTS, 1)]);
    for key in ["", &"k".repeat(256), "two words", "caf\u{e9}"] {
        let request = Request::post("/checkout/v1/checkouts").key(key).json(&good);
        assert_refused(&client, key, request, &[400]).await;
    }
    assert_refused(&client, "no key", Request::post("/checkout/v1/checkouts").json(&good), &[400]).await;
    for path in ["chk_", "ord_1", "..%2f..%2fetc%2fpasswd", "%00", "%ff%fe", &"a".repeat(4_000)] {
        let reply = client.ask(&Request::get(format!("/checkout/v1/checkouts/{path}")).token(STAFF)).await;
        assert!((400..500).contains(&reply.status), "{path}: {} {}", reply.status, reply.text);
    }
    for token in ["", "ot_", &format!("ot_{}", "0".repeat(64)), &format!("st_{}", "0".repeat(64)), "st_' OR 1=1"] {
        let reply = client.ask(&Request::get("/checkout/v1/orders").token(token)).await;
        assert!(matches!(reply.status, 401 | 403), "{token}: {} {}", reply.status, reply.text);
    }
    let shopper = Shopper::place(&client, &[(BOOTS, 1)]).await;
    let thief = format!("ot_{}", "1".repeat(64));
    let reply = client.ask(&Request::get(format!("/checkout/v1/checkouts/{}", shopper.checkout)).token(&thief)).await;
    assert_eq!(reply.status, 404, "{}", reply.text);
    assert_books(&world).await;
}

/// A client that breaks off in the middle of its body takes nothing with it.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_break_off() {
    let world = World::serving().await;
    let address = world.address(0);
    blocking(|| {
        for (path, sent) in
            [("/checkout/v1/checkouts", &b"{\"lines\""[..]), (PATH, &b"{"[..]), ("/checkout/v1/carts", &b""[..])]
        {
            for _ in 0..10 {
                let mut stream = TcpStream::connect(address).expect("a connection");
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\nidempotency-key: {}\r\n\
                     stripe-signature: t=1,v1=00\r\ncontent-length: 5000\r\n\r\n",
                    new_key()
                );
                stream.write_all(head.as_bytes()).expect("a head");
                stream.write_all(sent).expect("the beginning of a body");
            }
        }
        for line in
            ["GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n", "POST /checkout/v1/carts\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n"]
        {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
            stream.write_all(line.as_bytes()).expect("a line");
            stream.shutdown(std::net::Shutdown::Write).expect("the end of it");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP/1.1 2"), "{line:?}: {}", String::from_utf8_lossy(&answer));
        }
    });
    Shopper::place(&world.client(0), &[(BOOTS, 1)]).await.buy(&world).await;
    assert_books(&world).await;
}
