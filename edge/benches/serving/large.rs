//! What memory a large shop takes to build, and what it costs an edge before its first answer and while it is held.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use search::{Index, RawRequest};
use serde_json::json;
use snapshots::{Cache, Manifest, Snapshot};
use test_servers::processes;

use crate::limits::in_turn;
use crate::servers::{Load, Server};
use crate::shops::{Peak, UpdatedShop, install, shop_and_peak};
use crate::wanted::{Limit, Wanted};
use crate::workloads::workloads;
use crate::{Settings, median, this_edge};

/// What an edge may hold besides what it maps.
const OWN_BYTES: f64 = 50e6;

pub fn large(settings: &Settings, indexer: &Path) -> [Limit; 5] {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, peak) = shop_and_peak(indexer, folder.path(), settings.opened);
    let cache = folder.path().join("cache");
    let manifest = install(&store, &cache);
    let opening = opening(settings, &cache, &manifest);
    let proving = proving(settings, &cache, &manifest);
    let one = holding("peak of resident memory less 50 MB, over the snapshot's bytes", settings, &store, &cache);
    let updated = UpdatedShop::update_thrice(indexer, folder.path(), store);
    let updated = holding("the same with three updates on top", settings, &updated.store, &cache);
    [built(settings, peak), opening, proving, one, updated]
}

/// What a build holds on its own. What it maps besides is in the page cache, and the kernel takes it when it needs that.
fn built(settings: &Settings, peak: Peak) -> Limit {
    Limit {
        name: "peak of a build's own memory, in GB",
        wanted: Wanted::AtMost(2.0),
        seen: peak.own_bytes as f64 / 1e9,
        parts: json!({ "with_what_it_maps_bytes": peak.resident_bytes, "products": settings.opened }),
    }
}

/// How long a snapshot takes from opening to its first answer where its digests were proved and its text was checked before,
/// beside where that is done meanwhile.
fn opening(settings: &Settings, cache: &Path, manifest: &Manifest) -> Limit {
    let (ratio, [proved_ms, proving_ms]) = in_turn(settings, || {
        // It hashes what it holds when that is opened first.
        let cache = Cache::open(cache).expect("a cache");
        let proving_ms = first_answer_ms(&cache, manifest);
        [first_answer_ms(&cache, manifest), proving_ms]
    });
    Limit {
        name: "open to first answer, digests proved before, in ms",
        wanted: Wanted::AtMost(50.0),
        seen: proved_ms,
        parts: json!({
            "proving_ms": proving_ms, "proved_over_proving": ratio, "products": settings.opened,
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

/// How fast objects are mapped and their digests proved, which are in the page cache.
fn proving(settings: &Settings, cache: &Path, manifest: &Manifest) -> Limit {
    let bytes = manifest.size_bytes() as f64;
    let rates = (0..settings.rounds).map(|_| {
        let cache = Cache::open(cache).expect("a cache");
        let started = Instant::now();
        let is_whole = |object| cache.installed(object).expect("an object").is_some();
        assert!(manifest.objects.iter().all(is_whole), "an object is damaged");
        bytes / 1e9 / started.elapsed().as_secs_f64()
    });
    Limit {
        name: "digests proved, in GB a second",
        wanted: Wanted::AtLeast(1.0),
        seen: median(rates.collect()),
        parts: json!({ "bytes": bytes }),
    }
}

/// The most that an edge has held in memory once everything was asked of it, over what its snapshot takes. No answers are
/// kept: those are bounded by a flag.
fn holding(name: &'static str, settings: &Settings, store: &str, cache: &Path) -> Limit {
    let bytes = install(store, cache).size_bytes() as f64;
    let mut edge = Server::edge(this_edge(), store, cache, 0);
    // Each kind briefly: it is its first requests that take memory.
    let load = Load { seconds: settings.load.seconds.div_ceil(2), ..settings.load };
    for workload in workloads(edge.address) {
        edge.drive(&workload, load);
    }
    let of_edge = |of: fn(u32) -> Option<u64>| of(edge.process_id()).expect("the edge's memory");
    let peak_bytes = of_edge(processes::peak_bytes) as f64;
    Limit {
        name,
        wanted: Wanted::AtMost(1.15),
        seen: (peak_bytes - OWN_BYTES) / bytes,
        parts: json!({
            "peak_bytes": peak_bytes, "resident_bytes": of_edge(processes::resident_bytes),
            "own_bytes": of_edge(processes::own_bytes), "bytes": bytes, "products": settings.opened,
        }),
    }
}
