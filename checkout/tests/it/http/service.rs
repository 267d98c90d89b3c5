//! What holds for every request, and how the service begins and ends.

use std::time::Duration;

use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::shop::{Shop, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_named_origins_may_call() {
    let shop = Shop::open().await;
    let preflight = |origin: &str| {
        shop.ask("OPTIONS", "/checkout/v1/checkouts")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "idempotency-key")
            .send()
    };
    let allowed = preflight("https://shop.example").await;
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://shop.example");
    assert!(allowed.header("access-control-allow-headers").contains("Idempotency-Key"));
    assert!(allowed.header("access-control-allow-methods").contains("POST"));
    let refused = preflight("https://evil.example").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (204, ""));
    let read = shop.ask("GET", "/checkout/v1/carts/x").header("origin", "https://shop.example").send().await;
    read.problem(404, "not_found");
    assert_eq!(read.header("access-control-allow-origin"), "https://shop.example", "problems can be read, too");
    assert!(read.header("access-control-expose-headers").contains("Idempotent-Replayed"));
    assert_eq!(read.header("vary"), "Origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_and_its_examples_are_served() {
    let shop = Shop::open().await;
    let answer = shop.ask("GET", "/checkout/openapi.json").send().await;
    let document = answer.expect(200);
    assert_eq!((document["openapi"].as_str(), answer.header("content-type")), (Some("3.1.0"), "application/json"));
    let post = &document["paths"]["/checkout/v1/checkouts"]["post"];
    let mut example = post["requestBody"]["content"]["application/json"]["example"].clone();
    let begun = shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&example).send().await.expect(201);
    assert_eq!(begun["checkout"]["total"], example["expected_total"]);
    example["expected_total"]["amount_minor"] = json!(1);
    let again = shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&example).send().await;
    again.problem(409, "total_changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_and_metrics_are_told() {
    let shop = Shop::open().await;
    shop.checkout(1).await;
    assert_eq!(shop.ask("GET", "/checkout/healthz").send().await.expect(200)["status"], "ok");
    assert_eq!((shop.admin("/livez").await.status, shop.admin("/readyz").await.text), (200, "ready\n".to_owned()));
    assert_eq!(shop.admin("/nothing").await.status, 404);
    let metrics = shop.admin("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    let line = "vitrine_checkout_requests_total{route=\"checkouts\",status=\"201\"} 1";
    assert!(metrics.text.contains(line), "{}", metrics.text);
    assert!(metrics.text.contains("vitrine_checkout_request_duration_seconds_bucket"));
    wait_until("what waits is told", async || {
        shop.admin("/metrics").await.text.contains("vitrine_checkout_waiting{what=\"checkouts_held\"} 1")
    })
    .await;
    shop.ask("GET", "/metrics").send().await.problem(404, "not_found");
}

/// Without prices nobody can begin a checkout here, and the balancer went on to send shoppers.
#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_does_not_answer_is_told_to_the_balancer() {
    let shop = Shop::open().await;
    let begun = shop.checkout(1).await;
    let health = || shop.ask("GET", "/checkout/healthz").send();
    shop.edge.set_away(true);
    wait_until("the balancer is told", async || health().await.status == 503).await;
    assert_eq!(health().await.expect(503)["status"], "no_prices");
    let ready = shop.admin("/readyz").await;
    assert_eq!((ready.status, ready.text.as_str()), (503, "not ready: the edge does not answer\n"));
    // What needs no edge goes on.
    shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
    shop.complete(&begun).await.expect(202);
    shop.edge.set_away(false);
    wait_until("the balancer is told", async || health().await.status == 200).await;
    assert_eq!(shop.admin("/readyz").await.text, "ready\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_limit_are_turned_away_at_once() {
    let shop = Shop::open_with(|config| config.max_in_flight = 1).await;
    let ask = || shop.ask("POST", "/checkout/v1/checkouts").new_key();
    let body = json!({ "lines": [{ "product": "p1", "quantity": 1 }] });
    let mut refused = 0;
    wait_until("some are turned away", async || {
        let answers = futures::future::join_all((0..32).map(|_| ask().json(&body).send())).await;
        for answer in &answers {
            match answer.status {
                503 => {
                    answer.problem(503, "overloaded");
                    assert_eq!(answer.header("retry-after"), "1");
                    refused += 1;
                }
                status => assert!(matches!(status, 201 | 409), "{}", answer.text),
            }
        }
        refused > 0
    })
    .await;
    assert_eq!(shop.ask("GET", "/checkout/healthz").send().await.status, 200);
}

/// Half of all requests may be such that something new begins with. What was begun had to share the bound with them.
#[tokio::test(flavor = "multi_thread")]
async fn what_begins_something_is_turned_away_before_what_goes_on() {
    let shop = Shop::open_with(|config| config.max_in_flight = 4).await;
    let begun = shop.checkout(1).await;
    let body = json!({ "lines": [{ "product": "p1", "quantity": 1 }] });
    let place = || shop.ask("POST", "/checkout/v1/checkouts").new_key().json(&body).send();
    // Whoever writes waits.
    let options = SqliteConnectOptions::new().filename(shop.database_file());
    let mut other = options.connect().await.expect("the same file");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    let one = wait_until("it is placed", async || place().await.status == 201);
    let two = wait_until("it is placed", async || place().await.status == 201);
    let meanwhile = async {
        wait_until("one too many is turned away", async || place().await.text.contains("\"overloaded\"")).await;
        shop.ask("GET", &begun.path).token(&begun.token).send().await.expect(200);
        sqlx::query("ROLLBACK").execute(&mut other).await.expect("the lock is gone");
    };
    tokio::join!(one, two, meanwhile);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_a_bound() {
    let shop = Shop::open().await;
    let mut stream = TcpStream::connect(shop.public).await.expect("a connection");
    let head = format!("GET /checkout/healthz HTTP/1.1\r\nhost: t\r\nx-long: {}\r\n\r\n", "y".repeat(100_000));
    stream.write_all(head.as_bytes()).await.expect("a request");
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 431");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_writes_goes_on_where_its_client_has_left() {
    let shop = Shop::open().await;
    let mut stream = TcpStream::connect(shop.public).await.expect("a connection");
    let body = json!({ "lines": [{ "product": "p1", "quantity": 4 }] }).to_string();
    let head = format!(
        "POST /checkout/v1/checkouts HTTP/1.1\r\nhost: t\r\nidempotency-key: a-key-of-a-guest\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("a request");
    wait_until("it is being worked on", async || shop.edge.calls() > 0).await;
    drop(stream);
    wait_until("stock is held", async || shop.available("p1").await == 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_announced_and_open_requests_are_finished() {
    let mut shop = Shop::open_with(|config| config.drain = Duration::from_secs(3)).await;
    let mut open = TcpStream::connect(shop.public).await.expect("a connection");
    let half = b"POST /checkout/v1/carts HTTP/1.1\r\nhost: t\r\nidempotency-key: a-key-of-a-guest\r\n\
        content-length: 2\r\n\r\n{";
    open.write_all(half).await.expect("half a request");
    shop.begin_to_stop();
    wait_until("the balancer is told", async || shop.ask("GET", "/checkout/healthz").send().await.status == 503).await;
    assert_eq!(shop.admin("/readyz").await.status, 503);
    shop.checkout(1).await;
    open.write_all(b"}").await.expect("the rest");
    let mut answer = vec![0; 12];
    open.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 201");
    drop(open);
    wait_until("it has ended", async || shop.has_ended()).await;
    assert!(TcpStream::connect(shop.public).await.is_err());
}
