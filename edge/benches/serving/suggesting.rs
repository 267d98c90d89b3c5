//! What suggestions cost where shoppers have typed as many queries as a snapshot keeps.

use std::collections::BTreeSet;
use std::path::Path;

use search::Index;
use serde_json::json;
use snapshots::{Cache, Snapshot};

use crate::limits::in_turn;
use crate::queries::unfinished;
use crate::servers::Server;
use crate::shops::{install, queries_of, shop_with_queries};
use crate::wanted::{Limit, Wanted};
use crate::workloads::{Workload, mean_body_bytes, named, workloads};
use crate::{Settings, this_edge};

/// As many completions as a segment has at the most.
const QUERIES: usize = 500_000;
const KIND: &str = "suggest, 4 letters";
/// Many times what an index keeps of first suggestions, 8,192, so that each round is asked what none before it was.
const BEGINNINGS: usize = 60_000;

/// CPU of suggestions among all those completions, over that of a fixed body of their size: of few beginnings again and again,
/// so that what the first suggestion finds is kept, and of so many that it is not.
pub fn suggesting(settings: &Settings, indexer: &Path, products: u64) -> [Limit; 2] {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = shop_with_queries(indexer, folder.path(), products, QUERIES);
    let cache = folder.path().join("cache");
    let completions = count_queries(&store, &cache);
    let mut edge = Server::edge(this_edge(), &store, &cache, 0);
    let few = named(KIND, workloads(edge.address));
    let paths = beginnings(&queries_of(folder.path()));
    let many = Workload { mean_body_bytes: mean_body_bytes(edge.address, &paths), paths, ..few.clone() };
    [("CPU of suggestions among 500,000 completions, over a fixed body", few), ("the same of 60,000 beginnings", many)]
        .map(|(name, mut workload)| {
            let mut fixed = Server::fixed_body(workload.mean_body_bytes);
            let next = workload.paths.len() / settings.rounds.max(1);
            let (seen, [edge_us, fixed_us]) = in_turn(settings, || {
                workload.paths.rotate_left(next);
                [edge.drive(&workload, settings.load).cpu_us, fixed.drive(&workload, settings.load).cpu_us]
            });
            Limit {
                name,
                wanted: Wanted::AtMost(3.0),
                seen,
                parts: json!({
                    "suggest_cpu_us": edge_us, "fixed_body_cpu_us": fixed_us, "recorded_completions": completions,
                    "beginnings": workload.paths.len(),
                }),
            }
        })
}

/// Queries but for their last two letters, spread over all of them.
fn beginnings(queries: &str) -> Vec<String> {
    let queries = queries.lines().filter_map(|line| Some(line.split_once('\t')?.0));
    let beginnings: BTreeSet<&str> = queries.map(unfinished).filter(|beginning| !beginning.ends_with(' ')).collect();
    let some = beginnings.iter().step_by((beginnings.len() / BEGINNINGS).max(1)).take(BEGINNINGS);
    some.map(|beginning| format!("/v1/suggest?q={}", beginning.replace(' ', "+"))).collect()
}

/// How many queries became completions: a small shop has too few words for as many as are wanted.
fn count_queries(store: &str, cache: &Path) -> usize {
    let manifest = install(store, cache);
    let cache = Cache::open(cache).expect("a cache");
    let index = Index::open(Snapshot::open(&cache, manifest).expect("a snapshot")).expect("an index");
    index.recorded_queries().count()
}
