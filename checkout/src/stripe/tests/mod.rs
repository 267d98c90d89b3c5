//! What the client makes of whatever can happen to a request.

pub(crate) mod fake;

use std::fs;
use std::sync::atomic::Ordering;

use secrecy::SecretString;
use stripe_client_core::{IdempotencyKey, RequestStrategy, StripeRequest};
use stripe_core::refund::ListRefund;

use self::fake::{Act, Fake, Seen};
use super::{BreakerState, Client, IntentView, KeySource, Settings, StripeError};

const INTENT: &str = r#"{"id":"pi_1","status":"requires_payment_method","amount_received":0,"currency":"eur"}"#;

fn client_of(base_url: String, secret_key: KeySource) -> Client {
    Client::new(Settings { base_url, secret_key, timeout_ms: 2_000, requests_per_s: 1_000 }).expect("a client")
}

fn client(fake: &Fake) -> Client {
    client_of(fake.url(), KeySource::Fixed(SecretString::from("sk_test_1")))
}

async fn ask(act: Act) -> Result<IntentView, StripeError> {
    let fake = Fake::start(move |_| act.clone()).await;
    client(&fake).intent("pi_1").await
}

fn error(code: &str, kind: &str) -> String {
    format!(r#"{{"error":{{"type":"{kind}","code":"{code}","decline_code":"lost","message":"m","param":"amount"}}}}"#)
}

#[tokio::test]
async fn a_request_carries_key_version_and_path() {
    let fake = Fake::start(|_| Act::answer(200, INTENT)).await;
    assert_eq!(client(&fake).cancel_intent("pi_1").await.expect("an intent").id, "pi_1");
    let Seen { head, body, .. } = fake.seen().pop().expect("a request");
    assert!(head.starts_with("POST /v1/payment_intents/pi_1/cancel HTTP/1.1"), "{head}");
    assert!(head.contains("\r\nauthorization: Bearer sk_test_1\r\n"), "{head}");
    assert!(head.contains("\r\nstripe-version: 2026-09-30.endive\r\n"), "{head}");
    assert!(!head.contains("idempotency-key"), "{head}");
    assert_eq!(body, "");
}

#[tokio::test]
async fn it_serves_the_builders_and_types_of_async_stripe() {
    let list = r#"{"object":"list","data":[],"has_more":false,"url":"/v1/refunds"}"#;
    let fake = Fake::start(move |_| Act::answer(200, list)).await;
    let key = IdempotencyKey::new("key-1").expect("a key");
    let request = ListRefund::new().limit(5).customize().request_strategy(RequestStrategy::Idempotent(key));
    assert!(request.send(&client(&fake)).await.expect("a list").data.is_empty());
    let head = fake.seen().pop().expect("a request").head;
    assert!(head.starts_with("GET /v1/refunds?limit=5 HTTP/1.1"), "{head}");
    assert!(head.contains("\r\nidempotency-key: key-1\r\n"), "{head}");
}

#[tokio::test]
async fn too_many_requests_did_nothing() {
    let outcome = ask(Act::answer(429, &error("rate_limit", "invalid_request_error"))).await;
    assert!(matches!(outcome, Err(StripeError::RateLimited)), "{outcome:?}");
    let outcome = ask(Act::Cut { status: 429, body: "{".into(), missing_bytes: 10 }).await;
    assert!(matches!(outcome, Err(StripeError::RateLimited)), "{outcome:?}");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_codes() {
    let outcome = ask(Act::answer(402, &error("card_declined", "card_error"))).await;
    let Err(StripeError::Refused { status, code, decline_code, param, .. }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((status, code.as_str(), decline_code.as_deref()), (402, "card_declined", Some("lost")));
    assert_eq!(param.as_deref(), Some("amount"));
    let outcome = ask(Act::answer(404, &error("resource_missing", "invalid_request_error"))).await;
    assert!(outcome.expect_err("a refusal").is_missing());
}

#[tokio::test]
async fn keys_in_use_and_keys_used_twice_are_no_refusals() {
    let outcome = ask(Act::answer(409, &error("idempotency_key_in_use", "idempotency_error"))).await;
    assert!(matches!(outcome, Err(StripeError::Busy { .. })), "{outcome:?}");
    let outcome = ask(Act::answer(409, &error("lock_timeout", "invalid_request_error"))).await;
    assert!(matches!(outcome, Err(StripeError::Busy { .. })), "{outcome:?}");
    let outcome = ask(Act::answer(400, r#"{"error":{"type":"idempotency_error","message":"m"}}"#)).await;
    assert!(matches!(outcome, Err(StripeError::KeyMisused { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_key_that_is_not_taken_did_nothing() {
    let outcome = ask(Act::answer(401, r#"{"error":{"type":"invalid_request_error","message":"m"}}"#)).await;
    assert!(outcome.expect_err("an error").is_undone());
}

/// One permission that the key lacked stopped all requests for a while, those of payments too.
#[tokio::test]
async fn what_our_key_may_not_do_did_nothing_and_leaves_the_breaker_closed() {
    let fake = Fake::start(|_| Act::answer(403, "{}")).await;
    let client = client(&fake);
    for _ in 0..20 {
        let fault = client.intent("pi_1").await.expect_err("it is forbidden");
        assert!(fault.is_undone());
        assert!(matches!(&fault, StripeError::Forbidden(path) if path == "/payment_intents/pi_1"), "{fault:?}");
    }
    assert_eq!((client.breaker_state(), fake.seen().len()), (BreakerState::Closed, 20));
}

#[tokio::test]
async fn failures_say_whether_they_are_replayed() {
    let outcome = ask(Act::answer(500, &error("x", "api_error"))).await;
    assert!(matches!(outcome, Err(StripeError::Failed5xx { status: 500, replayed: false })), "{outcome:?}");
    let replayed = Act::Answer { status: 500, headers: "Idempotent-Replayed: true\r\n".into(), body: "{}".into() };
    let outcome = ask(replayed).await;
    assert!(matches!(outcome, Err(StripeError::Failed5xx { status: 500, replayed: true })), "{outcome:?}");
    let outcome = ask(Act::answer(502, "<html><h1>Bad Gateway</h1></html>")).await;
    assert!(matches!(outcome, Err(StripeError::Failed5xx { status: 502, replayed: false })), "{outcome:?}");
}

#[tokio::test]
async fn what_cannot_be_read_may_have_been_done() {
    for act in [
        Act::HangUp,
        Act::Reset,
        Act::answer(200, "<html>hello</html>"),
        Act::answer(200, r#"{"id":"pi_1","status":"a_new_one","amount_received":0,"currency":"eur"}"#),
        Act::answer(400, "<html>a proxy</html>"),
        Act::answer(302, ""),
        Act::Cut { status: 200, body: INTENT.into(), missing_bytes: 10 },
    ] {
        let told = format!("{act:?}");
        let outcome = ask(act).await;
        assert!(matches!(outcome, Err(StripeError::Unknown(_))), "{told}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_read() {
    let padded = format!(r#"{{"padding":"{}",{}"#, "x".repeat((1 << 20) + 1), &INTENT[1..]);
    let outcome = ask(Act::answer(200, &padded)).await;
    let Err(StripeError::Unknown(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("bytes"), "{why}");
}

#[tokio::test]
async fn no_answer_in_time_may_have_been_done() {
    let fake = Fake::start(|_| Act::Hang).await;
    let settings = Settings {
        base_url: fake.url(),
        secret_key: KeySource::Fixed(SecretString::from("sk_test_1")),
        timeout_ms: 1_000,
        requests_per_s: 1_000,
    };
    let outcome = Client::new(settings).expect("a client").intent("pi_1").await;
    assert!(matches!(outcome, Err(StripeError::Unknown(_))), "{outcome:?}");
    assert_eq!(fake.seen().len(), 1, "it was asked, and once");
}

#[tokio::test]
async fn without_a_server_nothing_was_sent_and_the_breaker_opens() {
    let url = Fake::url_of_nobody().await;
    let client = client_of(url, KeySource::Fixed(SecretString::from("sk_test_1")));
    for _ in 0..20 {
        let outcome = client.intent("pi_1").await;
        assert!(outcome.expect_err("no server").is_undone());
    }
    assert_eq!(client.breaker_state(), BreakerState::Open);
    let counters = client.counters();
    assert_eq!(counters.failures.load(Ordering::Relaxed), 20);
    assert!(counters.requests.load(Ordering::Relaxed) < 20, "the breaker holds requests back");
}

#[tokio::test]
async fn an_id_of_another_form_is_not_sent() {
    let fake = Fake::start(|_| Act::answer(200, INTENT)).await;
    for id in ["pi_1/cancel?x=", "../charges", "pi 1", "pi_1#"] {
        assert!(client(&fake).intent(id).await.expect_err(id).is_undone());
    }
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn connections_are_kept() {
    let fake = Fake::start(|_| Act::answer(200, INTENT)).await;
    let client = client(&fake);
    for _ in 0..20 {
        client.intent("pi_1").await.expect("an intent");
    }
    assert_eq!((fake.seen().len(), fake.connections()), (20, 1));
}

#[tokio::test]
async fn a_key_s_file_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    fs::write(&path, "sk_test_old").expect("a file");
    let fake = Fake::start(|_| Act::answer(200, INTENT)).await;
    let client = client_of(fake.url(), KeySource::File(path.clone()));
    client.intent("pi_1").await.expect("an intent");
    fs::write(&path, "sk_test_newer").expect("a file");
    client.intent("pi_1").await.expect("an intent");
    let heads: Vec<_> = fake.seen().into_iter().map(|seen| seen.head).collect();
    assert!(heads[0].contains("Bearer sk_test_old\r\n"), "{}", heads[0]);
    assert!(heads[1].contains("Bearer sk_test_newer\r\n"), "{}", heads[1]);
}

/// Only the key at the start was looked at, so that a file's next one went out for all to read.
#[tokio::test]
async fn a_live_key_that_comes_later_is_not_sent_in_clear_text_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    fs::write(&path, "sk_test_1").expect("a file");
    let fake = Fake::start(|_| Act::answer(200, INTENT)).await;
    let client = client_of(fake.url(), KeySource::File(path.clone()));
    client.intent("pi_1").await.expect("an intent");
    for key in ["sk_live_twenty", "rk_live_twenty_one", "sk_org_live_twenty_two"] {
        fs::write(&path, key).expect("a file");
        let outcome = client.intent("pi_1").await;
        assert!(matches!(&outcome, Err(StripeError::NotSent(why)) if why.contains("https")), "{key}: {outcome:?}");
    }
    assert_eq!(fake.seen().len(), 1);
}
