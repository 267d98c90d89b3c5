//! What must not cost much more than what stands beside it: five ratios, each of two things that are measured in turn.

use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use edge::stages::Stages;
use search::{Index, RawRequest};
use serde_json::{Value, json};
use snapshots::{Cache, ChannelName, Manifest, Snapshot, Store};
use test_servers::processes;

use crate::arrivals::{Observed, offer};
use crate::client::Connection;
use crate::servers::Server;
use crate::shops::{UpdatedShop, shop, wait_for};
use crate::workloads::{Workload, workloads};
use crate::{Settings, machine, median, this_edge};

/// What is asked for, each time anew.
const KIND: &str = "search, 3 facets";
const SWAP_EVERY: Duration = Duration::from_secs(2);
const SWAPPING_LASTS: Duration = Duration::from_secs(10);
/// How much is offered, of what an edge can do; the last is the overload.
const OFFERED: [f64; 6] = [0.5, 0.75, 1.0, 1.5, 2.0, 4.0];

/// A ratio, and what it is made of.
struct Limit {
    name: &'static str,
    ratio: f64,
    parts: Value,
}

/// Measures all five, tells them, and keeps them.
pub fn limits(settings: &Settings) {
    let (Some(indexer), Some(products)) = (&settings.indexer, settings.limits) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let shop = UpdatedShop::make(indexer, folder.path(), products);
    let mut edge = Server::edge(this_edge(), &shop.merged_store, &path("cache"), 0);
    let workload = workloads(edge.address).into_iter().find(|workload| workload.name == KIND).expect("a workload");
    let one = open(&shop.merged_store, &path("one"));
    let mut limits = vec![served(settings, &mut edge, &one, &workload), overload(settings, &mut edge, &workload)];
    drop(edge);
    limits.push(updated(settings, &open(&shop.store, &path("updated")), &one, &workload));
    let flags = ["--poll-interval-ms", "50"];
    let mut edge = Server::edge_with(this_edge(), &shop.store, &path("swapping"), 0, &flags);
    limits.push(swapping(settings, &mut edge, &shop, &workload));
    drop(edge);
    limits.push(opening(settings, indexer));
    tell(settings, products, &limits);
}

fn open(store: &str, cache: &Path) -> Stages {
    let store = Store::open(store, &[]).expect("a store");
    wait_for(Stages::open(&store, cache)).expect("an open snapshot")
}

/// What a search costs an edge, over what it costs in-process and what a fixed body of its size costs hyper, together.
fn served(settings: &Settings, edge: &mut Server, stages: &Stages, workload: &Workload) -> Limit {
    let mut fixed = Server::fixed_body(workload.mean_body_bytes);
    let rounds = (0..settings.rounds).map(|_| {
        let served = edge.drive(workload, settings.load).cpu_us;
        [served, in_process_us(settings, stages, workload), fixed.drive(workload, settings.load).cpu_us]
    });
    let rounds: Vec<[f64; 3]> = rounds.collect();
    let part = |place: usize| median(rounds.iter().map(|round| round[place]).collect());
    Limit {
        name: "CPU of a search that is served, over in-process and a fixed body",
        ratio: median(rounds.iter().map(|[served, search, fixed]| served / (search + fixed)).collect()),
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
        let Observed { p99_ms, goodput, begun } = observed;
        json!({ "offered": times, "goodput_per_s": goodput, "p99_ms": p99_ms, "begun": begun })
    });
    Limit {
        name: "goodput at 4 times capacity, over its peak",
        ratio: observed[OFFERED.len() - 1].goodput / best,
        parts: json!({ "capacity_per_s": capacity, "steps": steps.collect::<Vec<_>>() }),
    }
}

/// What a search costs in-process over a segment with three updates on top, over one segment with the same products.
fn updated(settings: &Settings, updated: &Stages, one: &Stages, workload: &Workload) -> Limit {
    let (ratio, [updated_us, one_us]) =
        in_turn(settings, || [updated, one].map(|stages| in_process_us(settings, stages, workload)));
    Limit {
        name: "CPU of a search over three updates, over one segment",
        ratio,
        parts: json!({ "updated_cpu_us": updated_us, "one_segment_cpu_us": one_us }),
    }
}

/// How long answers take at half of what the edge can do while snapshots are swapped, over that without.
fn swapping(settings: &Settings, edge: &mut Server, shop: &UpdatedShop, workload: &Workload) -> Limit {
    let half = edge.drive(workload, settings.load).requests_per_s / 2.0;
    let address = edge.address;
    let ask = || offer(address, &workload.paths, half, SWAPPING_LASTS).p99_ms;
    let mut swaps = 0;
    let (ratio, [swapping_ms, calm_ms]) = in_turn(settings, || {
        let calm_ms = ask();
        let (swapping_ms, count) = while_swapping(shop, address, ask);
        swaps += count;
        [swapping_ms, calm_ms]
    });
    Limit {
        name: "p99 while swapping every 2 s, over that without",
        ratio,
        parts: json!({
            "swapping_p99_ms": swapping_ms, "calm_p99_ms": calm_ms, "offered_per_s": half, "swaps": swaps,
        }),
    }
}

/// Swaps snapshots while something is done, each once the one before is served; gives how often, too.
fn while_swapping<T>(shop: &UpdatedShop, address: SocketAddr, work: impl FnOnce() -> T) -> (T, usize) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            let (mut connection, mut swaps) = (Connection::open(address), 0);
            while !is_over.load(Ordering::Relaxed) {
                let due = Instant::now() + SWAP_EVERY;
                let sequence = shop.swap();
                while connection.get("/v1/snapshot").json()["markets"][0]["sequence"] != sequence {
                    std::thread::sleep(Duration::from_millis(20));
                }
                swaps += 1;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            swaps
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (done, swapping.join().expect("every swap is served"))
    })
}

/// How long a large snapshot takes from opening to its first answer where its digests were proved before, over where they
/// are proved meanwhile.
fn opening(settings: &Settings, indexer: &Path) -> Limit {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = shop(indexer, folder.path(), settings.opened);
    let store = Store::open(&store, &[]).expect("a store");
    let cache_folder = folder.path().join("cache");
    let manifest = wait_for(async {
        let read = store.pointer(&ChannelName::live()).await.expect("a pointer").expect("an announcement");
        let manifest = store.get_manifest(&read.pointer.snapshot).await.expect("a manifest");
        let cache = Cache::open(&cache_folder).expect("a cache");
        snapshots::install(&store, &cache, &manifest).await.expect("the objects in the cache");
        manifest
    });
    let (ratio, [proved_ms, proving_ms]) = in_turn(settings, || {
        // It hashes what it holds when that is opened first.
        let cache = Cache::open(&cache_folder).expect("a cache");
        let proving_ms = first_answer_ms(&cache, &manifest);
        [first_answer_ms(&cache, &manifest), proving_ms]
    });
    Limit {
        name: "open to first answer with proved digests, over proving them, too",
        ratio,
        parts: json!({
            "proved_ms": proved_ms, "proving_ms": proving_ms, "products": settings.opened,
            "bytes": manifest.size_bytes(),
        }),
    }
}

fn first_answer_ms(cache: &Cache, manifest: &Manifest) -> f64 {
    let started = Instant::now();
    let snapshot = Snapshot::open(cache, manifest.clone()).expect("a snapshot");
    let index = Index::open(snapshot).expect("an index");
    let raw = RawRequest { q: index.title(0, 0), ..RawRequest::default() };
    let request = index.request(raw).expect("a request");
    black_box(index.search(&request).expect("an answer"));
    started.elapsed().as_secs_f64() * 1e3
}

/// Measures two things in every round; gives the median of their ratios, and of each.
fn in_turn(settings: &Settings, mut measure: impl FnMut() -> [f64; 2]) -> (f64, [f64; 2]) {
    let rounds: Vec<[f64; 2]> = (0..settings.rounds).map(|_| measure()).collect();
    let middle = |of: fn(&[f64; 2]) -> f64| median(rounds.iter().map(of).collect());
    (middle(|[one, other]| one / other), [middle(|round| round[0]), middle(|round| round[1])])
}

/// What a request of a workload costs without a socket: read, searched, and written.
fn in_process_us(settings: &Settings, stages: &Stages, workload: &Workload) -> f64 {
    let queries: Vec<&str> = workload.paths.iter().filter_map(|path| Some(path.split_once('?')?.1)).collect();
    let ends = Instant::now() + Duration::from_secs(settings.load.seconds.into());
    let (before, mut count) = (own_cpu_us(), 0_u32);
    while Instant::now() < ends {
        for query in &queries {
            let request = stages.understand(query).expect("a request");
            let answer = stages.search(&request).expect("an answer");
            black_box(stages.write(&request, &answer));
            count += 1;
        }
    }
    (own_cpu_us() - before) / f64::from(count)
}

fn own_cpu_us() -> f64 {
    processes::own_cpu_us(std::process::id()).expect("this process's times")
}

fn tell(settings: &Settings, products: u64, limits: &[Limit]) {
    for Limit { name, ratio, parts } in limits {
        println!("{name:<66} {ratio:>6.2}  {parts}");
    }
    let rows = limits.iter().map(|limit| json!({ "limit": limit.name, "ratio": limit.ratio, "parts": limit.parts }));
    let result = json!({
        "machine": machine(), "rows": rows.collect::<Vec<_>>(), "products": products, "rounds": settings.rounds,
        "seconds": settings.load.seconds, "connections": settings.load.connections,
    });
    let target = settings.out.join("limits.json");
    std::fs::write(&target, format!("{result:#}")).expect("the result is kept");
    println!("medians of {} rounds; kept in {}", settings.rounds, target.display());
}
