//! Whole orders: placed, completed, paid, and told to be paid. How many are sustained, how long each step takes at half of
//! that, what each costs, and how all that compares with pgbench.

use std::time::Duration;

use test_servers::Postgres;

use crate::arguments::Settings;
use crate::cost::Cost;
use crate::load::{Load, highest, run};
use crate::pgbench::{Bench, CLIENTS, Script};
use crate::report::{Report, Target};
use crate::scene::{NO_LIMIT, Scene};
use crate::shopper::Timed;
use crate::texts::{Samples, of_order};

const FIRST_RATE: f64 = 50.0;
const WARM_UP_RATE: f64 = 20.0;
const LEAST_RATIO: f64 = 0.5;
const MOST_P99_MS: f64 = 100.0;
/// "Well below" what PostgreSQL uses itself.
const MOST_CPU_RATIO: f64 = 0.75;

/// Returns how many orders a second are sustained.
pub async fn measure(postgres: &Postgres, settings: &Settings, report: &mut Report) -> f64 {
    report.begin("orders");
    let scene = Scene::set(postgres, NO_LIMIT).await;
    drive(&scene, WARM_UP_RATE, settings).await;
    let most = match settings.rate {
        Some(rate) => {
            let load = drive(&scene, rate, settings).await;
            report.note(&load.summary());
            report.faults(&load.faults);
            rate
        }
        None => {
            highest(FIRST_RATE, async |rate| {
                let load = drive(&scene, rate, settings).await;
                report.note(&load.summary());
                load.is_sustained()
            })
            .await
        }
    };
    report.tell("sustained", most, "orders/s");
    let per_s = beside(postgres, &scene, settings, report).await;
    report.judge("sustained, of pgbench's", most / per_s, "", Target::AtLeast(LEAST_RATIO));
    at_half(&scene, most, settings, report).await;
    if let Err(fault) = scene.books() {
        report.note(&format!("the books are WRONG: {fault}"));
    }
    most
}

/// The same statements by pgbench: orders a second.
async fn beside(postgres: &Postgres, scene: &Scene, settings: &Settings, report: &mut Report) -> f64 {
    let (placed, completed, events) = scene.shop.samples().await;
    let texts = of_order(&Samples { placed, completed, events }, checkout::work::now_ms());
    let mut bench = Bench::new(postgres);
    let mut best: f64 = 0.0;
    for clients in CLIENTS {
        let per_s = bench.run(Script::Order, &texts, clients, settings.time);
        report.tell(&format!("pgbench, {clients} clients"), per_s, "orders/s");
        best = best.max(per_s);
    }
    best
}

/// How long a step of an order took.
type Step = fn(&Timed) -> Duration;

async fn at_half(scene: &Scene, most: f64, settings: &Settings, report: &mut Report) {
    let half = (most / 2.0).max(1.0);
    let before = scene.cost();
    let load = drive(scene, half, settings).await;
    let cost = scene.cost().since(before);
    report.note(&load.summary());
    report.tell("half of that", half, "orders/s");
    report.faults(&load.faults);
    let steps: [(&str, Step); 5] = [
        ("POST checkouts", |timed| timed.place),
        ("POST complete", |timed| timed.complete),
        ("payment at Stripe", |timed| timed.pay),
        ("from payment to order.paid", |timed| timed.paid),
        ("whole order", |timed| timed.whole),
    ];
    for (name, time) in steps {
        report.tell(&format!("{name}, p50"), load.percentile_ms(0.5, time), "ms");
        let p99 = load.percentile_ms(0.99, time);
        match name.starts_with("POST") {
            true => report.judge(&format!("{name}, p99"), p99, "ms", Target::AtMost(MOST_P99_MS)),
            false => report.tell(&format!("{name}, p99"), p99, "ms"),
        }
    }
    tell_cost(cost, load.done.len(), report);
}

fn tell_cost(cost: Cost, orders: usize, report: &mut Report) {
    let each_ms = |seconds: f64| seconds * 1_000.0 / orders.max(1) as f64;
    for (name, seconds) in [
        ("checkout", cost.checkout_s),
        ("PostgreSQL", cost.postgres_s),
        ("Stripe (simulated)", cost.stripe_s),
        ("edge (simulated)", cost.edge_s),
        ("generator and subscriber", cost.generator_s),
    ] {
        report.tell(&format!("CPU an order, {name}"), each_ms(seconds), "ms");
    }
    let ratio = cost.checkout_s / cost.postgres_s;
    report.judge("CPU of checkout, of PostgreSQL's", ratio, "", Target::AtMost(MOST_CPU_RATIO));
}

/// One step. It ends when nothing is left to do, so that the next one begins with nothing.
async fn drive(scene: &Scene, rate: f64, settings: &Settings) -> Load<Timed> {
    let shop = scene.shop.clone();
    let buying = move |number, intended| {
        let shop = shop.clone();
        async move { shop.buy(number, intended).await }
    };
    let mut load = run(rate, settings.time, buying).await;
    if !scene.calm().await {
        load.faults.insert("work was left over".to_owned(), 1);
    }
    load
}
