//! What suggestions cost where shoppers have typed as many queries as a snapshot keeps.

use std::path::Path;

use search::Index;
use serde_json::json;
use snapshots::{Cache, Snapshot};

use crate::limits::in_turn;
use crate::servers::Server;
use crate::shops::{install, shop_with_queries};
use crate::wanted::{Limit, Wanted};
use crate::workloads::{named, workloads};
use crate::{Settings, this_edge};

/// As many completions as a segment has at the most.
const QUERIES: usize = 500_000;
const KIND: &str = "suggest, 4 letters";

/// CPU of suggestions among all those completions, over that of a fixed body of their size.
pub fn suggesting(settings: &Settings, indexer: &Path, products: u64) -> Limit {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = shop_with_queries(indexer, folder.path(), products, QUERIES);
    let cache = folder.path().join("cache");
    let completions = count_queries(&store, &cache);
    let mut edge = Server::edge(this_edge(), &store, &cache, 0);
    let workload = named(KIND, workloads(edge.address));
    let mut fixed = Server::fixed_body(workload.mean_body_bytes);
    let (seen, [edge_us, fixed_us]) = in_turn(settings, || {
        [edge.drive(&workload, settings.load).cpu_us, fixed.drive(&workload, settings.load).cpu_us]
    });
    Limit {
        name: "CPU of suggestions among 500,000 completions, over a fixed body",
        wanted: Wanted::AtMost(3.0),
        seen,
        parts: json!({
            "suggest_cpu_us": edge_us, "fixed_body_cpu_us": fixed_us, "recorded_completions": completions,
            "beginnings": workload.paths.len(),
        }),
    }
}

/// How many queries became completions: a small shop has too few words for as many as are wanted.
fn count_queries(store: &str, cache: &Path) -> usize {
    let manifest = install(store, cache);
    let cache = Cache::open(cache).expect("a cache");
    let index = Index::open(Snapshot::open(&cache, manifest).expect("a snapshot")).expect("an index");
    index.recorded_queries().count()
}
