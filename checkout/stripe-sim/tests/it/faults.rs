//! The fault script: each fault does what it says, and no more.

use serde_json::json;
use stripe_sim::{Fault, FaultKind};

use crate::api::{Answer, Rig, wait_until};

const PATH: &str = "/v1/payment_intents";
const PAIRS: [(&str, &str); 2] = [("amount", "1000"), ("currency", "eur")];

/// Asks with a key while a fault strikes once, and asks again. What was made in between is counted.
async fn struck(kind: FaultKind) -> (reqwest::Result<Answer>, usize, Answer, usize) {
    let rig = Rig::start().await;
    rig.sim.set_fault(Fault::once("POST /v1/payment_intents", kind)).expect("a fault");
    let first = rig.api.try_post(PATH, &PAIRS, Some("k")).await;
    let made = rig.sim.ledger().payment_intents.len();
    let second = rig.api.post_with_key("k", PATH, &PAIRS).await;
    (first, made, second, rig.sim.ledger().payment_intents.len())
}

#[tokio::test]
async fn connections_are_cut_before_or_after_the_work() {
    for (kind, expected) in [
        (FaultKind::DropBefore, 0),
        (FaultKind::HangBefore, 0),
        (FaultKind::DropAfter, 1),
        (FaultKind::HangAfter, 1),
        (FaultKind::HalfBody, 1),
    ] {
        let (first, made, second, made_at_last) = struck(kind).await;
        first.expect_err("there is no whole answer");
        assert_eq!((made, made_at_last), (expected, 1), "{kind:?}");
        second.ok();
        assert_eq!(second.header("idempotent-replayed") == "true", expected == 1, "{kind:?}");
    }
}

#[tokio::test]
async fn answers_are_wrong_before_or_after_the_work() {
    for (kind, status, expected) in [
        (FaultKind::BadGateway, 502, 0),
        (FaultKind::Unavailable, 503, 0),
        (FaultKind::RateLimited, 429, 0),
        (FaultKind::LockTimeout, 429, 0),
        (FaultKind::Unstored500, 500, 0),
        (FaultKind::Undecodable, 200, 1),
        (FaultKind::Drifted, 200, 1),
        (FaultKind::Delay, 200, 1),
    ] {
        let (first, made, second, made_at_last) = struck(kind).await;
        assert_eq!((first.expect("an answer").status, made, made_at_last), (status, expected, 1), "{kind:?}");
        second.ok();
    }
}

#[tokio::test]
async fn wrong_answers_look_as_they_should() {
    let rig = Rig::start().await;
    let ask = async |kind: FaultKind| {
        rig.sim.set_fault(Fault::once("*", kind)).expect("a fault");
        rig.api.post(PATH, &PAIRS).await
    };
    let page = ask(FaultKind::BadGateway).await;
    assert!(page.header("content-type").starts_with("text/html") && page.text.contains("502"));
    let limited = ask(FaultKind::RateLimited).await;
    assert_eq!(limited.header("stripe-rate-limited-reason"), "endpoint-rate");
    assert_eq!(limited.error(429)["code"], "rate_limit");
    let locked = ask(FaultKind::LockTimeout).await;
    assert_eq!(
        (locked.error(429)["code"].as_str(), locked.header("stripe-should-retry")),
        (Some("lock_timeout"), "true")
    );
    assert!(serde_json::from_str::<serde_json::Value>(&ask(FaultKind::Undecodable).await.text).is_err());
    let drifted = ask(FaultKind::Drifted).await.ok();
    assert!(drifted["drifted_text"].is_string() && drifted.get("description").is_none());
}

#[tokio::test]
async fn a_hang_lasts_as_long_as_it_is_told_to() {
    let mut rig = Rig::start().await;
    let fault = Fault { delay_ms: 3_600_000, ..Fault::once("*", FaultKind::HangBefore) };
    rig.sim.set_fault(fault).expect("a fault");
    let api = rig.api.clone();
    let hanging = tokio::spawn(async move { api.try_post(PATH, &PAIRS, None).await });
    wait_until("it strikes", async || rig.sim.faults()[0].struck == 1).await;
    // Another call passes meanwhile, from its beginning to its end.
    rig.api.post(PATH, &PAIRS).await.ok();
    assert!(!hanging.is_finished(), "it hangs for an hour");
    rig.sim.stop().await;
    hanging.await.expect("it was asked").expect_err("no answer");
}

#[tokio::test]
async fn the_script_is_told_and_cleared() {
    let rig = Rig::start().await;
    let fault = json!({ "on": "GET /v1/payment_intents/*", "fault": "unavailable", "times": 0, "skip": 1 });
    rig.api.tell("/sim/faults", &fault).await.ok();
    let statuses = async || {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(rig.api.get("/v1/payment_intents/pi_1").await.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [404, 503, 503]);
    let told = rig.api.get("/sim/faults").await.ok();
    assert_eq!(
        (&told["faults"][0]["struck"], &told["faults"][0]["fault"]["fault"]),
        (&json!(2), &json!("unavailable"))
    );
    rig.sim.clear_faults();
    assert_eq!(statuses().await, [404, 404, 404]);
    for wrong in [json!({ "on": "x", "fault": "unavailable" }), json!({ "on": "*", "fault": "fire" })] {
        assert_eq!(rig.api.tell("/sim/faults", &wrong).await.status, 400, "{wrong}");
    }
}
