//! What checkout itself adds: completing without the time that Stripe takes, and acknowledging webhooks, both while orders
//! come in at half of what is sustained.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use test_servers::Postgres;
use uuid::Uuid;

use crate::arguments::Settings;
use crate::load::run;
use crate::report::{Report, Target};
use crate::scene::{NO_LIMIT, Scene};
use crate::shopper::{Shop, Timed};
use crate::signing::signature;

/// Few beside the orders, and enough for their percentiles.
const WEBHOOKS_PER_S: f64 = 50.0;
const PROBES_PER_S: f64 = 10.0;
const MOST_OVERHEAD_MS: f64 = 5.0;
const MOST_ACKNOWLEDGED_P99_MS: f64 = 20.0;
/// About as long as an event about a charge.
const EVENT_CHARS: usize = 2_500;

pub async fn measure(postgres: &Postgres, rate: f64, settings: &Settings, report: &mut Report) {
    report.begin("overhead");
    let scene = Scene::set(postgres, NO_LIMIT).await;
    // The first orders open connections and prepare statements.
    let warm = scene.shop.clone();
    run(rate, Duration::from_secs(2), move |number, intended| buy(warm.clone(), number, intended)).await;
    let (buyers, teller, asker) = (scene.shop.clone(), scene.shop.clone(), scene.shop.clone());
    let buying = run(rate, settings.time, move |number, intended| buy(buyers.clone(), number, intended));
    let telling = run(WEBHOOKS_PER_S, settings.time, move |_, intended| {
        let shop = teller.clone();
        async move {
            let body = event();
            let signature = signature(&body);
            shop.tell_event(body, signature, intended).await
        }
    });
    let asking = run(PROBES_PER_S, settings.time, move |_, _| {
        let shop = asker.clone();
        async move { shop.ask_stripe().await }
    });
    let (bought, told, asked) = tokio::join!(buying, telling, asking);
    report.note(&bought.summary());
    let mut faults = bought.faults.clone();
    faults.extend(told.faults.clone());
    faults.extend(asked.faults.clone());
    report.faults(&faults);
    let complete_ms = bought.percentile_ms(0.5, |timed| timed.complete);
    let stripe_ms = asked.percentile_ms(0.5, |time| *time);
    report.tell("POST complete, p50", complete_ms, "ms");
    report.tell("Stripe (simulated), p50", stripe_ms, "ms");
    report.judge("POST complete without Stripe, p50", complete_ms - stripe_ms, "ms", Target::AtMost(MOST_OVERHEAD_MS));
    report.tell("webhook acknowledged, p50", told.percentile_ms(0.5, |time| *time), "ms");
    let p99_ms = told.percentile_ms(0.99, |time| *time);
    report.judge("webhook acknowledged, p99", p99_ms, "ms", Target::AtMost(MOST_ACKNOWLEDGED_P99_MS));
}

async fn buy(shop: Arc<Shop>, number: u64, intended: Instant) -> Result<Timed, String> {
    shop.buy(number, intended).await
}

/// An event that nothing follows from.
fn event() -> String {
    let id = format!("evt_{}", Uuid::now_v7().simple());
    let object = json!({ "id": "prod_of_the_bench", "object": "product", "description": "a".repeat(EVENT_CHARS) });
    json!({ "id": id, "object": "event", "type": "product.updated", "data": { "object": object } }).to_string()
}
