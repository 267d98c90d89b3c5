//! The process is killed while orders are under way, and started again: how long until nothing is left to do.

use std::time::{Duration, Instant};

use test_servers::Postgres;

use crate::arguments::Settings;
use crate::load::run;
use crate::report::{Report, Target};
use crate::scene::{NO_LIMIT, Scene};

const MOST_S: f64 = 5.0;
/// From the kill to the last arrival, so that shoppers come to a process that is down, too.
const LAST_ARRIVALS: Duration = Duration::from_millis(200);

pub async fn measure(postgres: &Postgres, rate: f64, settings: &Settings, report: &mut Report) {
    report.begin("recovery");
    let mut scene = Scene::set(postgres, NO_LIMIT).await;
    let shop = scene.shop.clone();
    let buying = move |number, intended| {
        let shop = shop.clone();
        async move { shop.buy(number, intended).await }
    };
    let load = tokio::spawn(run(rate, settings.time, buying));
    tokio::time::sleep(settings.time.saturating_sub(LAST_ARRIVALS)).await;
    let killed = Instant::now();
    scene.kill_checkout();
    scene.start_checkout();
    report.tell("listening again after", killed.elapsed().as_secs_f64(), "s");
    // Arrivals are over by then, so that what is left only becomes less.
    tokio::time::sleep(LAST_ARRIVALS.saturating_sub(killed.elapsed())).await;
    let is_calm = scene.calm().await;
    report.judge("nothing left to do after", killed.elapsed().as_secs_f64(), "s", Target::AtMost(MOST_S));
    if !is_calm {
        report.note("work is still left over");
    }
    let (charged, paid) = (scene.shop.charged().await, scene.paid().await);
    report.tell("payments charged", charged as f64, "");
    let missing = charged.abs_diff(paid) as f64;
    report.judge("charged without a paid order, or the reverse", missing, "", Target::AtMost(0.0));
    if let Err(fault) = scene.books() {
        report.note(&format!("the books are WRONG: {fault}"));
    }
    let load = load.await.expect("the load ends");
    report.note("shoppers who met the kill, and gave up at their first error:");
    report.faults(&load.faults);
}
