//! How cost and latency grow with the catalogue, and with the connections: tables, JSON, and plots.

use serde_json::json;

use crate::plot::{Line, plot};
use crate::servers::{Load, Measured, Server};
use crate::shops::shop;
use crate::workloads::{Workload, workloads};
use crate::{Settings, machine, this_edge};

/// What is asked for in sweeps.
const KINDS: [&str; 6] =
    ["product by id", "search", "search, 3 facets", "as you type, 3 facets", "search, one typo", "suggest, 4 letters"];

/// A kind of request, at each step of a sweep.
type Swept = Vec<(&'static str, Vec<(f64, Measured)>)>;

/// Makes and serves shops of every size.
pub fn sizes(settings: &Settings) {
    let (Some(indexer), false) = (&settings.indexer, settings.sizes.is_empty()) else { return };
    let mut swept = none();
    for size in &settings.sizes {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = shop(indexer, folder.path(), *size);
        let mut edge = Server::edge(this_edge(), &store, &folder.path().join("cache"), 0);
        let workloads = workloads(edge.address);
        drive(&mut edge, &workloads, settings.load, *size as f64, &mut swept);
    }
    keep(settings, "sizes", "products", &swept);
}

/// Serves the one shop over more and more connections.
pub fn connections(settings: &Settings) {
    if settings.connections.is_empty() {
        return;
    }
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut edge = Server::edge(this_edge(), &settings.store, cache.path(), 0);
    let workloads = workloads(edge.address);
    let mut swept = none();
    for connections in &settings.connections {
        let load = Load { connections: *connections, ..settings.load };
        drive(&mut edge, &workloads, load, f64::from(*connections), &mut swept);
    }
    keep(settings, "connections", "connections", &swept);
}

fn none() -> Swept {
    KINDS.iter().map(|kind| (*kind, Vec::new())).collect()
}

fn drive(edge: &mut Server, workloads: &[Workload], load: Load, at: f64, swept: &mut Swept) {
    for (kind, points) in swept {
        let workload = workloads.iter().find(|workload| workload.name == *kind).expect("a workload");
        let measured = edge.drive(workload, load);
        println!(
            "{at:>9} {kind:<22} {:>9.0} r/s {:>8.1} us {:>8.2} ms p50 {:>8.2} ms p99",
            measured.requests_per_s, measured.cpu_us, measured.p50_ms, measured.p99_ms
        );
        points.push((at, measured));
    }
}

/// Writes a sweep as JSON and as two plots.
fn keep(settings: &Settings, name: &str, unit: &str, swept: &Swept) {
    let rows = swept.iter().flat_map(|(kind, points)| {
        points.iter().map(move |(at, measured)| {
            json!({
                "workload": kind, unit: at, "requests_per_s": measured.requests_per_s, "cpu_us": measured.cpu_us,
                "p50_ms": measured.p50_ms, "p99_ms": measured.p99_ms,
            })
        })
    });
    let result = json!({
        "machine": machine(), "rows": rows.collect::<Vec<_>>(), "seconds": settings.load.seconds,
        "connections": settings.load.connections,
    });
    let write = |file: String, text: String| {
        let target = settings.out.join(file);
        std::fs::write(&target, text).expect("the result is kept");
        println!("kept in {}", target.display());
    };
    write(format!("{name}.json"), format!("{result:#}"));
    let lines = |of: fn(&Measured) -> f64| -> Vec<Line> {
        let line = |(kind, points): &(&str, Vec<(f64, Measured)>)| Line {
            name: (*kind).to_owned(),
            points: points.iter().map(|(at, measured)| (*at, of(measured))).collect(),
        };
        swept.iter().map(line).collect()
    };
    let cost = plot("CPU a request", unit, "microseconds", &lines(|measured| measured.cpu_us));
    write(format!("{name}-cost.svg"), cost);
    let latency = plot("Latency, 99th percentile", unit, "milliseconds", &lines(|measured| measured.p99_ms));
    write(format!("{name}-latency.svg"), latency);
}
