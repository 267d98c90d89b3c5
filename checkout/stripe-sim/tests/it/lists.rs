//! Lists, and the limit of calls.

use serde_json::json;
use stripe_sim::Settings;

use crate::api::{Rig, id};

#[tokio::test]
async fn pages_hold_every_object_once() {
    let rig = Rig::start().await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(id(&rig.api.intent(&[("metadata[n]", &number.to_string()), ("customer", "cus_1")]).await.ok()));
    }
    rig.api.intent(&[("customer", "cus_2")]).await.ok();
    made.reverse();
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/payment_intents?limit=2&customer=cus_1&created[gte]=1{cursor}");
        let page = rig.api.get(&path).await.ok();
        assert_eq!((&page["object"], &page["url"]), (&json!("list"), &json!("/v1/payment_intents")));
        listed.extend(page["data"].as_array().expect("data").iter().map(id));
        if page["has_more"] == false {
            break;
        }
        cursor = format!("&starting_after={}", listed.last().expect("a page has objects"));
    }
    assert_eq!(listed, made);
    let back = rig.api.get(&format!("/v1/payment_intents?customer=cus_1&ending_before={}", made[2])).await.ok();
    assert_eq!(back["data"].as_array().expect("data").iter().map(id).collect::<Vec<_>>(), made[..2]);
    rig.api.get("/v1/payment_intents?limit=101").await.error(400);
    rig.api.get("/v1/payment_intents?starting_after=pi_of_nobody").await.error(404);
    assert_eq!(rig.api.get("/v1/payment_intents?created[lt]=5").await.ok()["data"], json!([]));
}

#[tokio::test]
async fn events_are_listed_by_type_and_time() {
    let rig = Rig::start().await;
    rig.api.paid("pm_card_visa").await.ok();
    let kinds = async |query: &str| {
        let list = rig.api.get(&format!("/v1/events?{query}")).await.ok();
        let data = list["data"].as_array().expect("data").clone();
        data.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect::<Vec<_>>()
    };
    let all = ["charge.updated", "payment_intent.succeeded", "charge.succeeded", "payment_intent.created"];
    assert_eq!(kinds("limit=100").await, all);
    assert_eq!(kinds("type=charge.*").await, ["charge.updated", "charge.succeeded"]);
    assert_eq!(kinds("types[]=payment_intent.created").await, ["payment_intent.created"]);
    let event = rig.api.get("/v1/events?type=payment_intent.created").await.ok()["data"][0].take();
    assert_eq!(event["data"]["object"]["status"], "requires_payment_method", "as it was at that moment");
    assert!(event["request"]["id"].as_str().is_some_and(|id| id.starts_with("req_")));
    assert_eq!(rig.api.get(&format!("/v1/events/{}", id(&event))).await.ok(), event);
    rig.sim.advance(31 * 24 * 60 * 60);
    assert!(kinds("limit=100").await.is_empty(), "they are kept for 30 days");
}

#[tokio::test]
async fn an_endpoint_takes_so_many_calls_a_second() {
    let settings = Settings { rate_limit_per_s: Some(1), ..Settings::default() };
    let rig = Rig::start_with(settings).await;
    let mut limited = 0;
    // Slow as a machine may be, a hundred calls do not all take a second each.
    for _ in 0..100 {
        let answer = rig.api.get("/v1/payment_intents").await;
        if answer.status == 429 {
            assert_eq!(answer.error(429)["code"], "rate_limit");
            limited += 1;
        }
    }
    assert!(limited > 0);
    assert_eq!(rig.sim.ledger().rate_limited, limited);
    assert_eq!(rig.sim.ledger().requests["GET /v1/payment_intents"], 100);
    rig.api.tell("/sim/settings", &json!({ "rate_limit_per_s": null })).await.ok();
    for _ in 0..10 {
        rig.api.get("/v1/payment_intents").await.ok();
    }
}
