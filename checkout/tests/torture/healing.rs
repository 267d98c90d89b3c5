//! Brings everything back, and waits until what was begun is over.

use std::time::{Duration, Instant};

use serde_json::json;
use test_servers::TcpProxy;

use crate::books;
use crate::harness::{blocking, locked};
use crate::scene::{SLOTS, Scene};

/// How long everything may take to come right.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(500);

/// Says what does not come right.
pub async fn heal(scene: &Scene) -> Option<String> {
    let world = &scene.world;
    for line in [&scene.database_line, &scene.stripe_line, &scene.redis_line] {
        mend(line);
    }
    blocking(|| {
        locked(&world.postgres).restart();
        scene.redis().restart();
    });
    world.stripe.clear_faults().await;
    world.stripe.webhooks(&json!({ "mode": "normal" })).await;
    world.stripe.settings(&json!({ "rate_limit_per_s": null, "latency_ms": 0, "settle_after_s": 1 })).await;
    world.subscriber.heal();
    world.edge.swap(|catalogue| catalogue.is_away = false);
    (0..SLOTS).for_each(|slot| world.run(slot, None));
    // What nobody pays any more is to end too.
    world.sql("UPDATE checkouts SET held_until_ms = 1, look_ms = 1 WHERE look_ms IS NOT NULL");
    let started = Instant::now();
    loop {
        hurry(scene).await;
        let waiting = books::waiting(world);
        if waiting.is_empty() {
            println!("torture: all was dealt with {} s after it was healed", started.elapsed().as_secs());
            return None;
        }
        if started.elapsed() > PATIENCE {
            return Some(format!("everything is dealt with in the end; there wait: {waiting}\n{}", world.log(0)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lets everything pass again.
fn mend(line: &TcpProxy) {
    line.refuse(false);
    line.delay(Duration::ZERO);
}

/// Brings forward what would be tried again in a minute, an hour or a day.
async fn hurry(scene: &Scene) {
    let world = &scene.world;
    world.make_due();
    world.end_leases();
    world.sql("UPDATE outbox SET next_ms = 0 WHERE delivered_ms IS NULL AND next_ms > 0");
    world.sql("UPDATE webhook_inbox SET next_ms = 0 WHERE applied_ms IS NULL AND next_ms > 0");
    if world.count("SELECT count(*) FROM outbox WHERE is_dead") > 0 {
        scene.tally.note("dead letters were replayed");
        world.command(&["dead-letters", "replay"]);
    }
    world.stripe.advance(5).await;
}
