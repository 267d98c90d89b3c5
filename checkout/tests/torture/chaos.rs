//! What breaks things, one at a time and several at once, and mends them again after a while.

use std::sync::Arc;
use std::time::Duration;

use checkout::fail_points;
use serde_json::json;
use test_servers::Direction;

use crate::dice::Dice;
use crate::harness::servers::Stopped;
use crate::harness::{blocking, locked};
use crate::scene::{PRODUCTS, SLOTS, Scene};

/// Everything that Stripe's API can do to a request.
const FAULTS: &[&str] = &[
    "cached_500",
    "executed_500",
    "unstored_500",
    "drop_before",
    "drop_after",
    "hang_before",
    "hang_after",
    "undecodable",
    "half_body",
    "bad_gateway",
    "unavailable",
    "rate_limited",
    "lock_timeout",
    "drifted",
    "delay",
];
const CALLS: &[&str] = &[
    "POST /v1/payment_intents",
    "POST /v1/payment_intents/*/cancel",
    "GET /v1/payment_intents/*",
    "GET /v1/payment_intents",
    "POST /v1/checkout/sessions",
    "POST /v1/checkout/sessions/*/expire",
    "GET /v1/checkout/sessions/*",
    "POST /v1/refunds",
    "GET /v1/refunds",
    "*",
];
/// Seconds by which the simulator's clock runs ahead at most: its keys must not grow old, which ours do by our own clock.
const MAX_AHEAD_S: u64 = 4 * 3_600;

/// Breaks things until the run is over.
pub async fn break_things(scene: Arc<Scene>, mut dice: Dice) {
    let mut snapshot = 1;
    let mut ahead_s = 0;
    while !scene.is_over() {
        pause(&mut dice, 50, 500).await;
        revive(&scene);
        match dice.below(16) {
            0 | 1 => kill(&scene, &mut dice).await,
            2 | 3 => arm(&scene, &mut dice),
            4 => stop_database(&scene, &mut dice).await,
            5 => break_line(&scene, &mut dice).await,
            6..9 => script_fault(&scene, &mut dice).await,
            9 | 10 => change_webhooks(&scene, &mut dice).await,
            11 => limit_stripe(&scene, &mut dice).await,
            12 => stop_redis(&scene, &mut dice).await,
            13 => swap_snapshot(&scene, &mut dice, &mut snapshot),
            14 => {
                scene.tally.note("chaos: the subscriber refuses");
                scene.world.subscriber.hiccup(dice.between(1, 20) as u32);
            }
            _ if dice.one_in(4) => jump(&scene, &mut dice, &mut ahead_s).await,
            _ => end_holds(&scene, &mut dice),
        }
    }
}

async fn pause(dice: &mut Dice, least_ms: u64, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(dice.between(least_ms, most_ms))).await;
}

/// Starts again what died at its fail point.
fn revive(scene: &Scene) {
    for slot in 0..SLOTS {
        if !scene.world.is_running(slot) {
            scene.tally.note("chaos: died at a fail point");
            start(scene, slot, None);
        }
    }
}

/// A process that does not start again at once, since its database is away, is no fault; one that never does is, which
/// healing finds.
fn start(scene: &Scene, slot: usize, fail_point: Option<&str>) {
    if let Err(told) = scene.world.try_run(slot, fail_point) {
        scene.tally.note("chaos: a process did not start");
        eprintln!("{told}");
    }
}

async fn kill(scene: &Scene, dice: &mut Dice) {
    let slot = dice.below(SLOTS as u64) as usize;
    scene.tally.note("chaos: kill -9");
    scene.world.kill(slot);
    pause(dice, 0, 400).await;
    if dice.one_in(2) {
        // Also of those who are at work: two then do the same.
        scene.world.end_leases();
    }
    start(scene, slot, None);
}

fn arm(scene: &Scene, dice: &mut Dice) {
    let slot = dice.below(SLOTS as u64) as usize;
    let point = format!("{}:{}", dice.pick(fail_points::NAMES), dice.between(1, 4));
    scene.tally.note(format!("chaos: armed {}", point.split(':').next().unwrap_or_default()));
    start(scene, slot, Some(&point));
}

async fn stop_database(scene: &Scene, dice: &mut Dice) {
    scene.tally.note("chaos: the database stops at once");
    blocking(|| locked(&scene.world.postgres).kill());
    pause(dice, 0, 800).await;
    blocking(|| locked(&scene.world.postgres).restart());
}

async fn break_line(scene: &Scene, dice: &mut Dice) {
    let lines = [
        ("the database", &scene.database_line, &b"COMMIT"[..]),
        ("Stripe", &scene.stripe_line, &b"POST /v1/"[..]),
        ("Redis", &scene.redis_line, &b"EVAL"[..]),
    ];
    let (name, line, words) = *dice.pick(&lines);
    match dice.below(5) {
        0 => {
            scene.tally.note(format!("chaos: connections to {name} are cut"));
            line.cut();
        }
        1 => {
            scene.tally.note(format!("chaos: {name} refuses connections"));
            line.refuse(true);
            line.cut();
            pause(dice, 50, 1_000).await;
            line.refuse(false);
        }
        2 => {
            scene.tally.note(format!("chaos: an answer of {name} is lost"));
            line.swallow_answer_to(words);
        }
        3 => {
            scene.tally.note(format!("chaos: an answer of {name} breaks off"));
            line.cut_after(Direction::ToClient, dice.below(2_000));
        }
        _ => {
            scene.tally.note(format!("chaos: {name} is slow"));
            line.delay(Duration::from_millis(dice.between(5, 120)));
            pause(dice, 100, 1_000).await;
            line.delay(Duration::ZERO);
        }
    }
}

async fn script_fault(scene: &Scene, dice: &mut Dice) {
    let (on, fault) = (*dice.pick(CALLS), *dice.pick(FAULTS));
    scene.tally.note(format!("chaos: Stripe answers with {fault}"));
    let (times, delay_ms) = (dice.between(1, 3) as u32, dice.between(0, 2_000));
    scene.world.stripe.slow_fault(on, fault, times, delay_ms).await;
    if dice.one_in(6) {
        scene.world.stripe.clear_faults().await;
    }
}

async fn change_webhooks(scene: &Scene, dice: &mut Dice) {
    let mode = *dice.pick(&["normal", "normal", "before_response", "none", "hold"]);
    scene.tally.note(format!("chaos: webhooks {mode}"));
    let seed = dice.one_in(2).then(|| dice.below(1_000));
    let plan = json!({
        "mode": mode,
        "duplicates": dice.below(3),
        "shuffle_seed": seed,
        "delay_ms": dice.below(2) * dice.below(500),
        "bad_signature": dice.one_in(12),
    });
    scene.world.stripe.webhooks(&plan).await;
    if mode == "hold" {
        pause(dice, 100, 800).await;
        let order = *dice.pick(&["as_made", "reversed", "shuffled"]);
        scene.world.stripe.webhooks(&json!({ "mode": "normal" })).await;
        let (seed, times) = (dice.below(1_000), dice.between(1, 2) as u32);
        // Delivering waits for every acknowledgement; a process that is down would hold up everything else.
        let delivering = scene.world.stripe.deliver_held(order, seed, times);
        if tokio::time::timeout(Duration::from_secs(3), delivering).await.is_err() {
            scene.tally.note("chaos: held webhooks are lost");
        }
    }
}

async fn limit_stripe(scene: &Scene, dice: &mut Dice) {
    let limit = dice.one_in(2).then(|| dice.between(5, 50));
    scene.tally.note(if limit.is_some() { "chaos: Stripe allows less" } else { "chaos: Stripe allows all" });
    let settings =
        json!({ "rate_limit_per_s": limit, "latency_ms": dice.below(2) * dice.below(300), "settle_after_s": 2 });
    scene.world.stripe.settings(&settings).await;
}

async fn stop_redis(scene: &Scene, dice: &mut Dice) {
    scene.tally.note("chaos: Redis hangs");
    let stopped = blocking(|| Stopped::stop(&scene.redis()));
    pause(dice, 100, 1_000).await;
    drop(stopped);
    if dice.one_in(3) {
        scene.tally.note("chaos: Redis dies, with all carts");
        blocking(|| {
            scene.redis().kill();
            scene.redis().restart();
        });
    }
}

/// All prices change with the snapshot; now and then the edge goes away.
fn swap_snapshot(scene: &Scene, dice: &mut Dice, number: &mut u64) {
    *number += 1;
    let change = dice.below(500) as i64;
    let is_away = dice.one_in(5);
    scene.tally.note(if is_away { "chaos: the edge goes away" } else { "chaos: prices change" });
    scene.world.edge.swap(|catalogue| {
        catalogue.snapshot = format!("snapshot-{number}");
        catalogue.prices = PRODUCTS.iter().map(|(product, minor)| ((*product).to_owned(), *minor + change)).collect();
        catalogue.is_away = is_away;
    });
}

async fn jump(scene: &Scene, dice: &mut Dice, ahead_s: &mut u64) {
    if *ahead_s >= MAX_AHEAD_S {
        return;
    }
    let by_s = dice.between(1, 3_000);
    *ahead_s += by_s;
    scene.tally.note("chaos: Stripe's clock jumps");
    scene.world.stripe.advance(by_s).await;
}

/// Prices and stock are kept no longer of some checkouts, whatever goes on with them.
fn end_holds(scene: &Scene, dice: &mut Dice) {
    for _ in 0..dice.between(1, 5) {
        let Some(checkout) = scene.any_checkout(dice) else { return };
        scene.tally.note("chaos: a hold ends");
        scene.world.end_hold(&checkout);
    }
}
