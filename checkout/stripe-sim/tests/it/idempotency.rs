//! Idempotency keys.

use serde_json::json;
use stripe_sim::{Fault, FaultKind};

use crate::api::{Rig, wait_until};

const PATH: &str = "/v1/payment_intents";
const PAIRS: [(&str, &str); 3] = [("amount", "1000"), ("currency", "eur"), ("metadata[a]", "1")];

#[tokio::test]
async fn a_key_gives_its_first_answer_again() {
    let rig = Rig::start().await;
    let first = rig.api.post_with_key("k", PATH, &PAIRS).await;
    assert_eq!((first.header("idempotency-key"), first.header("idempotent-replayed")), ("k", ""));
    assert!(first.header("request-id").starts_with("req_") && !first.header("stripe-version").is_empty());
    let mut reordered = PAIRS;
    reordered.reverse();
    let again = rig.api.post_with_key("k", PATH, &reordered).await;
    assert_eq!((again.ok(), again.header("idempotent-replayed")), (first.ok(), "true"));
    assert_ne!(again.header("request-id"), first.header("request-id"));
    assert_eq!(again.header("original-request"), first.header("request-id"));
    let error = rig.api.post_with_key("k", PATH, &PAIRS[..2]).await.error(400);
    assert_eq!(error["type"], "idempotency_error");
    let error = rig.api.post_with_key("k", "/v1/refunds", &PAIRS).await.error(400);
    assert_eq!(error["type"], "idempotency_error", "of another endpoint");
    assert_eq!(rig.sim.ledger().payment_intents.len(), 1);
    rig.sim.advance(24 * 60 * 60);
    let later = rig.api.post_with_key("k", PATH, &PAIRS).await;
    assert_ne!(later.ok()["id"], first.ok()["id"], "a day is over");
    rig.api.post_with_key(&"k".repeat(256), PATH, &PAIRS).await.error(400);
}

#[tokio::test]
async fn failures_are_kept_once_the_work_has_begun() {
    let rig = Rig::start().await;
    let declined = [
        &PAIRS[..],
        &[("payment_method", "pm_card_chargeDeclined"), ("confirm", "true"), ("return_url", "https://a.example")],
    ]
    .concat();
    let first = rig.api.post_with_key("declined", PATH, &declined).await;
    let again = rig.api.post_with_key("declined", PATH, &declined).await;
    assert_eq!((first.error(402), "true"), (again.error(402), again.header("idempotent-replayed")));
    assert_eq!(rig.sim.ledger().payment_intents[0].charges.len(), 1);
    // What was turned away before anything was done can be put right under the same key.
    rig.api.post_with_key("wrong", PATH, &PAIRS[..1]).await.error(400);
    rig.api.post_with_key("wrong", PATH, &PAIRS).await.ok();
}

#[tokio::test]
async fn a_key_is_in_use_while_its_first_request_runs() {
    let rig = Rig::start().await;
    let delay = Fault { delay_ms: 600_000, ..Fault::once("POST /v1/payment_intents", FaultKind::Delay) };
    rig.sim.set_fault(delay).expect("a fault");
    let api = rig.api.clone();
    let first = tokio::spawn(async move { api.try_post(PATH, &PAIRS, Some("k")).await });
    wait_until("the first request runs", async || rig.sim.faults()[0].struck == 1).await;
    let error = rig.api.post_with_key("k", PATH, &PAIRS).await;
    assert_eq!(error.header("stripe-should-retry"), "true");
    assert_eq!(error.error(409)["code"], "idempotency_key_in_use");
    first.abort();
    // The work goes on without its client, and the key stays in use.
    assert_eq!(rig.api.post_with_key("k", PATH, &PAIRS).await.status, 409);
}

#[tokio::test]
async fn work_goes_on_when_its_client_leaves() {
    let rig = Rig::start().await;
    let delay = Fault { delay_ms: 300, ..Fault::once("POST /v1/payment_intents", FaultKind::Delay) };
    rig.sim.set_fault(delay).expect("a fault");
    let api = rig.api.clone();
    let first = tokio::spawn(async move { api.try_post(PATH, &PAIRS, Some("k")).await });
    wait_until("the first request runs", async || rig.sim.faults()[0].struck == 1).await;
    first.abort();
    wait_until("the intent is made", async || rig.sim.ledger().payment_intents.len() == 1).await;
    wait_until("its answer is kept", async || rig.api.post_with_key("k", PATH, &PAIRS).await.status == 200).await;
    assert_eq!(rig.sim.ledger().payment_intents.len(), 1);
}

#[tokio::test]
async fn a_500_is_kept_whether_the_work_was_done_or_not() {
    let rig = Rig::start().await;
    let script = json!([
        { "on": "POST /v1/payment_intents", "fault": "cached_500" },
        { "on": "POST /v1/payment_intents", "fault": "executed_500" },
        { "on": "POST /v1/payment_intents", "fault": "unstored_500", "skip": 4 },
    ]);
    rig.api.tell("/sim/faults", &script).await.ok();
    let ask = async |key: &str| rig.api.post_with_key(key, PATH, &PAIRS).await;
    assert_eq!((ask("a").await.status, rig.sim.ledger().payment_intents.len()), (500, 0), "nothing was done");
    assert_eq!(ask("a").await.header("idempotent-replayed"), "true");
    assert_eq!((ask("b").await.status, rig.sim.ledger().payment_intents.len()), (500, 1), "it was done");
    let again = ask("b").await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (500, "true"));
    assert_eq!(ask("c").await.status, 500);
    assert_eq!(ask("c").await.status, 200, "it was not kept");
    assert_eq!(rig.sim.ledger().payment_intents.len(), 2);
}
