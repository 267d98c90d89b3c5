//! Torture: shoppers and staff go about their business while everything around them breaks, comes back, lies and repeats
//! itself. Then all is healed, and the books must agree: one charge a paid order, no unit lost or sold twice, no more given
//! back than came in, every transition told, and every promise kept.
//!
//! `make torture SECONDS=60 SEED=1`. Actors choose by the seed; how their choices meet is up to the machine, so that a seed
//! makes a fault likely again and not certain.

#![forbid(unsafe_code)]

mod arguments;
#[path = "../it/faults/books.rs"]
#[allow(dead_code, reason = "the tests of faults share it, and each uses a part")]
mod books;
mod chaos;
mod dice;
#[path = "../it/faults/harness/mod.rs"]
#[allow(dead_code, reason = "the tests of faults share it, and each uses a part")]
mod harness;
mod healing;
mod promises;
mod scene;
mod shoppers;
mod staff;
mod tally;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use arguments::Arguments;
use dice::Dice;
use scene::Scene;

/// The command line is at fault (EX_USAGE of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// How long actors may take to leave when the run is over.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(120);
/// Orders whose rows are shown where a rule is broken.
const MAX_HISTORIES: usize = 5;
const THREADS: usize = 4;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("torture: {fault}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    println!("torture: {} seconds, seed {}, {} clients", arguments.time.as_secs(), arguments.seed, arguments.clients);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let broken = runtime.expect("a runtime").block_on(run(&arguments));
    if broken.is_empty() {
        println!("torture: the books agree");
        return ExitCode::SUCCESS;
    }
    println!("torture: BROKEN, with seed {}:", arguments.seed);
    broken.iter().for_each(|rule| println!("  {rule}"));
    ExitCode::FAILURE
}

/// What is broken at the end.
async fn run(arguments: &Arguments) -> Vec<String> {
    let scene = Arc::new(Scene::set(arguments.time).await);
    let dice = Dice::new(arguments.seed);
    let mut actors = JoinSet::new();
    for client in 0..arguments.clients {
        match client % 4 {
            3 => actors.spawn(staff::work(scene.clone(), dice.of(client))),
            _ => actors.spawn(shoppers::shop(scene.clone(), dice.of(client))),
        };
    }
    actors.spawn(chaos::break_things(scene.clone(), dice.of(u64::MAX - 1)));
    let mut broken = leave(&mut actors, arguments.time + LEAVE_TIMEOUT).await;
    println!("torture: healing");
    broken.extend(healing::heal(&scene).await);
    broken.extend(books::broken_rules(&scene.world).await);
    broken.extend(scene.world.subscriber.faults());
    let (is_right, said) = scene.world.command(&["verify"]);
    if !is_right {
        broken.push(format!("checkout verify says: {said}"));
    }
    println!("torture: {} promises are looked at", scene.promises.count());
    broken.extend(scene.promises.broken(&scene.world).await);
    if scene.tally.count("checkout placed") == 0 {
        broken.push("nobody could shop at all".to_owned());
    }
    scene.tally.print();
    print_outcome(&scene);
    tell_histories(&scene, &broken);
    broken
}

/// Waits until all actors are done; one that panicked is a fault.
async fn leave(actors: &mut JoinSet<()>, patience: Duration) -> Vec<String> {
    let started = Instant::now();
    let mut broken = Vec::new();
    while let Ok(Some(left)) =
        tokio::time::timeout(patience.saturating_sub(started.elapsed()), actors.join_next()).await
    {
        if let Err(fault) = left {
            broken.push(format!("an actor panicked: {fault}"));
        }
    }
    if !actors.is_empty() {
        broken.push(format!("{} actors do not come to an end", actors.len()));
        actors.abort_all();
    }
    broken
}

fn print_outcome(scene: &Scene) {
    for (what, sql) in [
        ("orders", "SELECT state, count(*) FROM orders GROUP BY state ORDER BY state"),
        ("checkouts", "SELECT state, count(*) FROM checkouts GROUP BY state ORDER BY state"),
        ("payments", "SELECT method || ' ' || state, count(*) FROM payments GROUP BY 1 ORDER BY 1"),
        ("refunds", "SELECT state, count(*) FROM refunds GROUP BY state ORDER BY state"),
        ("breaks", "SELECT kind, count(*) FROM reconciliation_breaks GROUP BY kind ORDER BY kind"),
        ("events", "SELECT kind, count(*) FROM outbox GROUP BY kind ORDER BY kind"),
    ] {
        for row in scene.world.sql(sql).lines() {
            let (name, count) = row.split_once('|').unwrap_or((row, ""));
            println!("{count:>8}  {what}: {name}");
        }
    }
}

/// All rows of the orders that broken rules name.
fn tell_histories(scene: &Scene, broken: &[String]) {
    let mut orders = BTreeSet::new();
    for rule in broken {
        for (place, _) in rule.match_indices("ord_") {
            let id: String = rule[place..].chars().take("ord_".len() + 32).collect();
            let is_whole = id.len() == 36 && id[4..].bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_whole {
                orders.insert(id);
            }
        }
    }
    for order in orders.iter().take(MAX_HISTORIES) {
        println!("history of {order}:\n{}", books::history(&scene.world, order));
    }
}
