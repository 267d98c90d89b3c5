//! How cost and latency grow with the catalogue, and with the connections: tables, JSON, and plots.

use serde_json::json;

use crate::plot::{Line, plot};
use crate::real::{real_shop, real_workloads};
use crate::servers::{Load, Measured, Server};
use crate::shops::shop;
use crate::wanted::Wanted;
use crate::workloads::{Workload, workloads};
use crate::{Settings, machine, this_edge};

const PRODUCTS: &str = "products";
const CONNECTIONS: &str = "connections";

/// What is asked for in sweeps.
const KINDS: [&str; 6] =
    ["product by id", "search", "search, 3 facets", "as you type, 3 facets", "search, one typo", "suggest, 4 letters"];

/// A kind of request, at each step of a sweep.
type Swept = Vec<(&'static str, Vec<Point>)>;

/// What was measured at a step, and what a fixed body of the same size cost just after.
struct Point {
    at: f64,
    edge: Measured,
    fixed_cpu_us: f64,
    wanted: Option<Wanted>,
}

impl Point {
    /// CPU of the edge over that of the fixed body.
    fn times(&self) -> f64 {
        self.edge.cpu_us / self.fixed_cpu_us
    }
}

/// How many times the fixed body's CPU a request may cost, where anything is wanted.
fn wanted(unit: &str, kind: &str, at: f64) -> Option<Wanted> {
    match (unit, kind, at as u64) {
        (PRODUCTS, "search, 3 facets", 100_000) => Some(Wanted::AtMost(20.0)),
        (PRODUCTS, "search, 3 facets", 1_000_000) => Some(Wanted::AtMost(50.0)),
        _ => None,
    }
}

/// Makes and serves shops of every size, of real products where there are any.
pub fn sizes(settings: &Settings) {
    let (Some(indexer), false) = (&settings.indexer, settings.sizes.is_empty()) else { return };
    let mut swept = none();
    for size in &settings.sizes {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = match &settings.data {
            Some(data) => real_shop(indexer, data, folder.path(), *size),
            None => shop(indexer, folder.path(), *size),
        };
        let mut edge = Server::edge(this_edge(), &store, &folder.path().join("cache"), 0);
        let workloads = match &settings.data {
            Some(data) => real_workloads(data, edge.address),
            None => workloads(edge.address),
        };
        drive(&mut edge, &workloads, settings.load, (*size as f64, PRODUCTS), &mut swept);
    }
    let name = if settings.data.is_some() { "real-sizes" } else { "sizes" };
    keep(settings, name, PRODUCTS, &swept);
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
        drive(&mut edge, &workloads, load, (f64::from(*connections), CONNECTIONS), &mut swept);
    }
    keep(settings, "connections", CONNECTIONS, &swept);
}

fn none() -> Swept {
    KINDS.iter().map(|kind| (*kind, Vec::new())).collect()
}

fn drive(edge: &mut Server, workloads: &[Workload], load: Load, (at, unit): (f64, &str), swept: &mut Swept) {
    for (kind, points) in swept {
        let workload = workloads.iter().find(|workload| workload.name == *kind).expect("a workload");
        let measured = edge.drive(workload, load);
        let fixed_cpu_us = Server::fixed_body(workload.mean_body_bytes).drive(workload, load).cpu_us;
        let point = Point { at, edge: measured, fixed_cpu_us, wanted: wanted(unit, kind, at) };
        println!(
            "{at:>9} {kind:<22} {:>9.0} r/s {:>8.1} us {:>6.1} times the fixed body's {:>12} {:>8.2} ms p50 {:>8.2} ms p99",
            measured.requests_per_s,
            measured.cpu_us,
            point.times(),
            point.wanted.map(Wanted::told).unwrap_or_default(),
            measured.p50_ms,
            measured.p99_ms
        );
        points.push(point);
    }
}

/// Writes a sweep as JSON and as two plots.
fn keep(settings: &Settings, name: &str, unit: &str, swept: &Swept) {
    let rows = swept.iter().flat_map(|(kind, points)| {
        points.iter().map(move |point| {
            let Point { at, edge, fixed_cpu_us, wanted } = point;
            json!({
                "workload": kind, unit: at, "requests_per_s": edge.requests_per_s, "cpu_us": edge.cpu_us,
                "fixed_cpu_us": fixed_cpu_us, "cpu_ratio": point.times(), "cpu_ratio_wanted": wanted.map(Wanted::json),
                "p50_ms": edge.p50_ms, "p99_ms": edge.p99_ms,
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
        let line = |(kind, points): &(&str, Vec<Point>)| Line {
            name: (*kind).to_owned(),
            points: points.iter().map(|point| (point.at, of(&point.edge))).collect(),
        };
        swept.iter().map(line).collect()
    };
    let cost = plot("CPU a request", unit, "microseconds", &lines(|measured| measured.cpu_us));
    write(format!("{name}-cost.svg"), cost);
    let latency = plot("Latency, 99th percentile", unit, "milliseconds", &lines(|measured| measured.p99_ms));
    write(format!("{name}-latency.svg"), latency);
}
