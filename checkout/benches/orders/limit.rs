//! Many shoppers complete at the same moment, and Stripe takes 25 requests a second: nothing fails, it takes longer.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::future::join_all;
use serde_json::json;
use test_servers::Postgres;

use crate::report::{Report, Target};
use crate::scene::{NO_LIMIT, Scene};

/// What Stripe allows an endpoint where nothing else is agreed.
const STRIPE_PER_S: u32 = 25;
const SHOPPERS: u64 = 60;

pub async fn measure(postgres: &Postgres, report: &mut Report) {
    report.begin("limit");
    at_once(postgres, "limit unknown", NO_LIMIT, report).await;
    at_once(postgres, "limit known", STRIPE_PER_S, report).await;
}

async fn at_once(postgres: &Postgres, name: &str, requests_per_s: u32, report: &mut Report) {
    let scene = Scene::set(postgres, requests_per_s).await;
    scene.shop.tune_stripe(&json!({ "rate_limit_per_s": STRIPE_PER_S })).await;
    let started = Instant::now();
    let bought = join_all((0..SHOPPERS).map(|number| scene.shop.buy(number, started))).await;
    let took_s = started.elapsed().as_secs_f64();
    let (mut deferred, mut faults) = (0, BTreeMap::<String, u64>::new());
    for outcome in bought {
        match outcome {
            Ok(timed) => deferred += u32::from(timed.was_deferred),
            Err(fault) => *faults.entry(fault).or_insert(0) += 1,
        }
    }
    let failed: u64 = faults.values().sum();
    report.judge(&format!("{name}: {SHOPPERS} orders, failed"), failed as f64, "", Target::AtMost(0.0));
    report.faults(&faults);
    report.tell(&format!("{name}: all paid after"), took_s, "s");
    report.tell(&format!("{name}: shoppers who had to ask again"), f64::from(deferred), "");
    report.tell(&format!("{name}: answers with 429"), scene.shop.rate_limited().await as f64, "");
}
