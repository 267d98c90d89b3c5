//! A running edge under wrk (h2load where HTTP/2 is spoken), beside a hyper server of the same build that answers a
//! fixed body of the same size over the same version of HTTP, or beside another edge. The two are driven in turn within
//! one run, so that their ratio holds when the machine's speed drifts.
//!
//! `cargo bench --bench serving -- --store URL [--seconds 4] [--rounds 3] [--connections 16] [--only NAME] [--out FOLDER]`
//! `... --base-edge PROGRAM --base-store URL` drives that edge in the fixed body's place.
//! `... --indexer PROGRAM --sizes 10000,100000` and `... --sweep-connections 1,16,256` plot cost and latency instead;
//! with `--data FOLDER` the shops are of real products, and what is asked is what shoppers typed.
//! `... --indexer PROGRAM --limits PRODUCTS [--opened PRODUCTS]` tells what is wanted beside what is reached.
//! `... --peer KIND --peer-url URL [--peer-process ID] [--keep yes]` asks another search server what it asks the edge.

mod arrivals;
mod beside;
mod browsing;
mod building;
mod drivers;
mod in_process;
mod large;
mod limits;
mod peer;
mod plot;
mod queries;
mod real;
mod servers;
mod shops;
mod suggesting;
mod swaps;
mod sweeps;
mod wanted;
mod workloads;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::{Value, json};

// The tests use more of it.
#[allow(dead_code)]
#[path = "../../tests/it/client.rs"]
mod client;

use beside::PeerSettings;
use servers::{DEFAULT_CACHE_MIB, Load, Measured, Server, serve_fixed_body};
use workloads::{By, on_the_wire, workloads};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Settings {
    store: String,
    load: Load,
    rounds: usize,
    /// Only the workloads whose names hold this, or the group of limits that is called so.
    only: String,
    /// Where results are kept.
    out: PathBuf,
    /// Another edge and its store, in the fixed body's place.
    base: Option<(PathBuf, String)>,
    /// What makes shops of other sizes, and which.
    indexer: Option<PathBuf>,
    sizes: Vec<u64>,
    /// Real catalogues and queries, in place of demo shops of those sizes.
    data: Option<PathBuf>,
    connections: Vec<u32>,
    /// Of how many products the shop is that limits are measured on, and the one that is only opened.
    limits: Option<u64>,
    opened: u64,
}

/// The edge of this build.
fn this_edge() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_edge"))
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1).cloned());
    if let Some(bytes) = flag("--fixed-body") {
        return serve_fixed_body(bytes.parse().expect("a number of bytes"));
    }
    let peer = PeerSettings::read(&flag).unwrap_or_else(|fault| end(64, &fault));
    let number = |name: &str, default: u32| flag(name).map_or(default, |text| text.parse().expect("a number"));
    let Some(store) = flag("--store") else {
        eprintln!("give --store URL with a published demo shop: make bench does");
        std::process::exit(64);
    };
    let settings = Settings {
        store,
        load: Load { seconds: number("--seconds", 4), connections: number("--connections", 16) },
        rounds: number("--rounds", 3) as usize,
        only: flag("--only").unwrap_or_default(),
        out: flag("--out").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from),
        base: flag("--base-edge").map(|edge| (edge.into(), flag("--base-store").expect("--base-store URL"))),
        indexer: flag("--indexer").map(PathBuf::from),
        sizes: numbers(flag("--sizes")),
        data: flag("--data").map(PathBuf::from),
        connections: numbers(flag("--sweep-connections")),
        limits: flag("--limits").map(|text| text.parse().expect("a number of products")),
        opened: u64::from(number("--opened", 1_000_000)),
    };
    std::fs::create_dir_all(&settings.out).expect("a folder for the results");
    if let Some(peer) = peer {
        return beside::run(&settings, &peer).unwrap_or_else(|fault| end(1, &fault));
    }
    if settings.sizes.is_empty() && settings.connections.is_empty() && settings.limits.is_none() {
        run(&settings);
    }
    limits::limits(&settings);
    sweeps::sizes(&settings);
    sweeps::connections(&settings);
}

fn end(code: i32, fault: &anyhow::Error) -> ! {
    eprintln!("bench-peer: {fault:#}");
    std::process::exit(code)
}

fn numbers<N: FromStr>(list: Option<String>) -> Vec<N> {
    let list = list.unwrap_or_default();
    let numbers = list.split(',').filter(|text| !text.is_empty()).map(|text| text.parse().ok());
    numbers.collect::<Option<_>>().expect("numbers, separated by commas")
}

/// The edges that workloads are asked of, in the order of [`By`]: only one gives answers again.
fn start_edges(program: &Path, store: &str, folder: &Path) -> [Server; 3] {
    std::fs::create_dir_all(folder).expect("a temporary folder");
    [
        Server::edge(program, store, &folder.join("searching"), 0),
        Server::edge(program, store, &folder.join("caching"), DEFAULT_CACHE_MIB),
        Server::edge_over_tls(program, store, &folder.join("tls"), folder),
    ]
}

fn run(settings: &Settings) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut edges = start_edges(this_edge(), &settings.store, &folder.path().join("edge"));
    let base = settings.base.as_ref();
    let mut bases = base.map(|(program, store)| start_edges(program, store, &folder.path().join("base")));
    let mut workloads = workloads(edges[By::Searching as usize].address);
    let coded = on_the_wire(&workloads, edges[By::Caching as usize].address);
    workloads.extend(coded);
    let mut rows = Vec::new();
    let beside_name = if bases.is_some() { "base" } else { "fixed" };
    println!(
        "{:<28} {:>9} {:>9} {:>7} {:>8} {:>8} {:>7} {:>8} {:>8}",
        "",
        "edge r/s",
        format!("{beside_name} r/s"),
        "ratio",
        "edge us",
        format!("{beside_name} us"),
        "times",
        "p50 ms",
        "p99 ms"
    );
    for workload in workloads.iter().filter(|workload| workload.name.contains(&settings.only)) {
        let mut fixed = Server::fixed_body(workload.mean_body_bytes);
        let mut pairs = Vec::new();
        for _ in 0..settings.rounds {
            let beside = match &mut bases {
                Some(bases) => &mut bases[workload.by as usize],
                None => &mut fixed,
            };
            let beside = beside.drive(workload, settings.load);
            let edge = &mut edges[workload.by as usize];
            pairs.push((edge.drive(workload, settings.load), beside));
        }
        let median = |of: &dyn Fn(&(Measured, Measured)) -> f64| median(pairs.iter().map(of).collect());
        let speed = median(&|(edge, fixed)| edge.requests_per_s / fixed.requests_per_s);
        let cost = median(&|(edge, fixed)| edge.cpu_us / fixed.cpu_us);
        let figures = [
            median(&|(edge, _)| edge.requests_per_s),
            median(&|(_, fixed)| fixed.requests_per_s),
            median(&|(edge, _)| edge.cpu_us),
            median(&|(_, fixed)| fixed.cpu_us),
            median(&|(edge, _)| edge.p50_ms),
            median(&|(edge, _)| edge.p99_ms),
        ];
        let [edge_rps, fixed_rps, edge_us, fixed_us, p50_ms, p99_ms] = figures;
        println!(
            "{:<28} {edge_rps:>9.0} {fixed_rps:>9.0} {speed:>7.2} {edge_us:>8.1} {fixed_us:>8.1} {cost:>7.1} {p50_ms:>8.2} {p99_ms:>8.2}",
            workload.name,
        );
        rows.push(json!({
            "workload": workload.name, "body_bytes": workload.mean_body_bytes, "edge_requests_per_s": edge_rps,
            "beside": beside_name, "beside_requests_per_s": fixed_rps, "speed_ratio": speed, "edge_cpu_us": edge_us, "beside_cpu_us": fixed_us,
            "cpu_ratio": cost, "edge_p50_ms": p50_ms, "edge_p99_ms": p99_ms,
        }));
    }
    let load = settings.load;
    let result = json!({
        "machine": machine(), "rows": rows, "connections": load.connections, "rounds": settings.rounds,
        "seconds": load.seconds,
    });
    let target = settings.out.join(if settings.base.is_some() { "compare.json" } else { "serving.json" });
    std::fs::write(&target, format!("{result:#}")).expect("the result is kept");
    println!(
        "medians of {} rounds; us: CPU microseconds a request, the client not counted; kept in {}",
        settings.rounds,
        target.display()
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What the figures were taken on.
fn machine() -> Value {
    let line = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.map(|rest| rest.trim_start_matches([':', '\t', ' ']).to_owned())
    };
    json!({
        "cpu": line("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": line("/proc/meminfo", "MemTotal"),
        "kernel": line("/proc/version", "Linux version").and_then(|text| text.split(' ').next().map(str::to_owned)),
    })
}
