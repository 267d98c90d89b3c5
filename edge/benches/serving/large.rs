//! What a large shop costs an edge before its first answer, and while it is held.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use search::{Index, RawRequest};
use serde_json::json;
use snapshots::{Cache, Manifest, Snapshot};
use test_servers::processes;

use crate::limits::in_turn;
use crate::servers::Server;
use crate::shops::{install, shop};
use crate::wanted::{Limit, Wanted};
use crate::workloads::workloads;
use crate::{Settings, median, this_edge};

/// What an edge may hold besides what it maps.
const OWN_BYTES: f64 = 50e6;

pub fn large(settings: &Settings, indexer: &Path) -> [Limit; 3] {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = shop(indexer, folder.path(), settings.opened);
    let cache = folder.path().join("cache");
    let manifest = install(&store, &cache);
    [
        opening(settings, &cache, &manifest),
        proving(settings, &cache, &manifest),
        holding(settings, &store, &cache, &manifest),
    ]
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

/// What an edge holds in memory once everything was asked of it, over what its snapshot takes. No answers are kept: those
/// are bounded by a flag.
fn holding(settings: &Settings, store: &str, cache: &Path, manifest: &Manifest) -> Limit {
    let mut edge = Server::edge(this_edge(), store, cache, 0);
    for workload in workloads(edge.address) {
        edge.drive(&workload, settings.load);
    }
    let resident_bytes = processes::resident_bytes(edge.process_id()).expect("the edge's memory") as f64;
    let bytes = manifest.size_bytes() as f64;
    Limit {
        name: "resident memory less 50 MB, over the snapshot's bytes",
        wanted: Wanted::AtMost(1.15),
        seen: (resident_bytes - OWN_BYTES) / bytes,
        parts: json!({ "resident_bytes": resident_bytes, "bytes": bytes, "products": settings.opened }),
    }
}
