//! What is to be reached, and what is: ratios of things that are measured in turn.

use std::path::Path;
use std::time::Duration;

use edge::stages::Stages;
use serde_json::json;
use snapshots::Store;

use crate::arrivals::{Observed, offer};
use crate::building::building;
use crate::in_process::{in_process_us, mistyping, updated};
use crate::large::large;
use crate::servers::Server;
use crate::shops::{UpdatedShop, shop, wait_for};
use crate::suggesting::suggesting;
use crate::swaps::swapping;
use crate::wanted::{Limit, Wanted, tell};
use crate::workloads::{Workload, workloads};
use crate::{Settings, median, this_edge};

/// What is asked for, each time anew.
pub const KIND: &str = "search, 3 facets";
/// How much is offered, of what an edge can do; the last is the overload.
const OFFERED: [f64; 6] = [0.5, 0.75, 1.0, 1.5, 2.0, 4.0];

/// What is measured together, and can be measured alone.
const GROUPS: [&str; 7] = ["building", "serving", "updates", "typos", "suggestions", "swaps", "large"];

/// Measures all, tells them, and keeps them.
pub fn limits(settings: &Settings) {
    let (Some(indexer), Some(products)) = (&settings.indexer, settings.limits) else { return };
    let is_asked = |group: &str| settings.only.is_empty() || settings.only == group;
    assert!(GROUPS.into_iter().any(is_asked), "--only {}: what is there is {GROUPS:?}", settings.only);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let store = shop(indexer, folder.path(), products);
    let mut shop = UpdatedShop::update_thrice(indexer, folder.path(), store);
    let merged_store = shop.publish_merged();
    let mut limits: Vec<Limit> = Vec::new();
    if is_asked("building") {
        // Nothing else runs meanwhile: its CPU is that of whatever children end.
        limits.extend(building(settings, indexer, folder.path()));
    }
    let mut edge = Server::edge(this_edge(), &merged_store, &path("cache"), 0);
    let workloads = workloads(edge.address);
    let workload = workloads.iter().find(|workload| workload.name == KIND).expect("a workload");
    let one = open(&merged_store, &path("one"));
    if is_asked("serving") {
        limits.extend([served(settings, &mut edge, &one, workload), overload(settings, &mut edge, workload)]);
    }
    drop(edge);
    if is_asked("updates") {
        limits.push(updated(settings, &open(&shop.store, &path("updated")), &one, &workloads));
    }
    if is_asked("typos") {
        limits.push(mistyping(settings, &one));
    }
    if is_asked("suggestions") {
        limits.extend(suggesting(settings, indexer, products));
    }
    if is_asked("swaps") {
        limits.extend(swapping(settings, folder.path(), &mut shop, workload));
    }
    if is_asked("large") {
        limits.extend(large(settings, indexer));
    }
    tell(settings, products, &limits);
}

fn open(store: &str, cache: &Path) -> Stages {
    let store = Store::open(store, &[]).expect("a store");
    wait_for(Stages::open(&store, cache)).expect("an open snapshot")
}

/// What a search costs an edge, over what it costs in-process and what a fixed body of its size costs hyper, together.
fn served(settings: &Settings, edge: &mut Server, stages: &Stages, workload: &Workload) -> Limit {
    let mut fixed = Server::fixed_body(workload.mean_body_bytes);
    let lasts = Duration::from_secs(settings.load.seconds.into());
    let rounds = (0..settings.rounds).map(|_| {
        let served = edge.drive(workload, settings.load).cpu_us;
        [served, in_process_us(stages, &workload.paths, lasts), fixed.drive(workload, settings.load).cpu_us]
    });
    let rounds: Vec<[f64; 3]> = rounds.collect();
    let part = |place: usize| median(rounds.iter().map(|round| round[place]).collect());
    Limit {
        name: "CPU of a search that is served, over in-process and a fixed body",
        wanted: Wanted::AtMost(1.1),
        seen: median(rounds.iter().map(|[served, search, fixed]| served / (search + fixed)).collect()),
        parts: json!({ "served_cpu_us": part(0), "in_process_cpu_us": part(1), "fixed_body_cpu_us": part(2) }),
    }
}

/// What is well answered when four times as much is asked as can be, over the best that is at any load.
fn overload(settings: &Settings, edge: &mut Server, workload: &Workload) -> Limit {
    let capacity = edge.drive(workload, settings.load).requests_per_s;
    let lasts = Duration::from_secs(settings.load.seconds.into());
    let observed = OFFERED.map(|times| offer(edge.address, &workload.paths, capacity * times, lasts));
    let best = observed.iter().map(|observed| observed.goodput).fold(0.0, f64::max);
    let steps = OFFERED.iter().zip(&observed).map(|(times, observed)| {
        let Observed { p99_ms, goodput, begun, failed } = observed;
        json!({ "offered": times, "goodput_per_s": goodput, "p99_ms": p99_ms, "begun": begun, "failed": failed })
    });
    Limit {
        name: "goodput at 4 times capacity, over its peak",
        wanted: Wanted::AtLeast(0.8),
        seen: observed[OFFERED.len() - 1].goodput / best,
        parts: json!({ "capacity_per_s": capacity, "steps": steps.collect::<Vec<_>>() }),
    }
}

/// Measures two things in every round; gives the median of their ratios, and of each.
pub fn in_turn(settings: &Settings, mut measure: impl FnMut() -> [f64; 2]) -> (f64, [f64; 2]) {
    let rounds: Vec<[f64; 2]> = (0..settings.rounds).map(|_| measure()).collect();
    let middle = |of: fn(&[f64; 2]) -> f64| median(rounds.iter().map(of).collect());
    (middle(|[one, other]| one / other), [middle(|round| round[0]), middle(|round| round[1])])
}
