//! A running edge under wrk, beside a hyper server of the same build that answers a fixed body of the same size. The
//! two are driven in turn within one run, so that their ratio holds when the machine's speed drifts.
//!
//! `cargo bench --bench serving -- --store URL [--seconds 4] [--rounds 3] [--connections 16] [--only NAME]`

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

// The tests use more of it.
#[allow(dead_code)]
#[path = "../tests/it/client.rs"]
mod client;

use client::Connection;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Settings {
    store: String,
    seconds: u32,
    rounds: usize,
    connections: u32,
    /// Only the workloads whose names hold this.
    only: String,
}

/// A kind of request, with the paths that are asked for in turn.
struct Workload {
    name: &'static str,
    paths: Vec<String>,
    mean_body_bytes: usize,
    /// The edge may answer with what it has answered before.
    is_cached: bool,
}

#[derive(Clone, Copy)]
struct Measured {
    requests_per_s: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let flag = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1).cloned());
    if let Some(bytes) = flag("--fixed-body") {
        return serve_fixed_body(bytes.parse().expect("a number of bytes"));
    }
    let number = |name: &str, default: u32| flag(name).map_or(default, |text| text.parse().expect("a number"));
    let Some(store) = flag("--store") else {
        eprintln!("give --store URL with a published demo shop: make bench does");
        std::process::exit(64);
    };
    run(&Settings {
        store,
        seconds: number("--seconds", 4),
        rounds: number("--rounds", 3) as usize,
        connections: number("--connections", 16),
        only: flag("--only").unwrap_or_default(),
    });
}

fn run(settings: &Settings) {
    let cache = tempfile::tempdir().expect("a temporary folder");
    // What is searched is searched anew each time, but for one workload.
    let mut edge = Server::edge(&settings.store, cache.path(), 0);
    let cached_cache = tempfile::tempdir().expect("a temporary folder");
    let mut caching = Server::edge(&settings.store, cached_cache.path(), 64);
    let workloads = workloads(edge.address);
    let mut rows = Vec::new();
    println!(
        "{:<22} {:>9} {:>9} {:>7} {:>8} {:>8} {:>7} {:>8} {:>8}",
        "", "edge r/s", "fixed r/s", "ratio", "edge us", "fixed us", "times", "p50 ms", "p99 ms"
    );
    for workload in workloads.iter().filter(|workload| workload.name.contains(&settings.only)) {
        let mut fixed = Server::fixed_body(workload.mean_body_bytes);
        let mut pairs = Vec::new();
        for _ in 0..settings.rounds {
            let beside = fixed.drive(workload, settings);
            let edge = if workload.is_cached { &mut caching } else { &mut edge };
            pairs.push((edge.drive(workload, settings), beside));
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
            "{:<22} {edge_rps:>9.0} {fixed_rps:>9.0} {speed:>7.2} {edge_us:>8.1} {fixed_us:>8.1} {cost:>7.1} {p50_ms:>8.2} {p99_ms:>8.2}",
            workload.name,
        );
        rows.push(json!({
            "workload": workload.name, "body_bytes": workload.mean_body_bytes, "edge_requests_per_s": edge_rps,
            "fixed_requests_per_s": fixed_rps, "speed_ratio": speed, "edge_cpu_us": edge_us, "fixed_cpu_us": fixed_us,
            "cpu_ratio": cost, "edge_p50_ms": p50_ms, "edge_p99_ms": p99_ms,
        }));
    }
    let result = json!({ "machine": machine(), "rows": rows, "connections": settings.connections, "rounds": settings.rounds, "seconds": settings.seconds });
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serving.json");
    std::fs::write(&target, result.to_string()).expect("the result is kept");
    println!(
        "medians of {} rounds; us: CPU microseconds a request, wrk not counted; kept in {}",
        settings.rounds,
        target.display()
    );
}

/// Words and ids of the shop that is served, so that every request finds something.
fn workloads(address: SocketAddr) -> Vec<Workload> {
    let mut connection = Connection::open(address);
    let mut products: Vec<(String, Vec<String>)> = Vec::new();
    for page in 1..=20 {
        let answer = connection.get(&format!("/v1/search?per_page=100&page={page}&sort=newest&fields=id,title")).json();
        for hit in answer["hits"].as_array().expect("hits") {
            let title = hit["title"].as_str().expect("a title");
            let plain = |word: &&str| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
            products.push((
                hit["id"].as_str().expect("an id").to_owned(),
                title.split_whitespace().filter(plain).map(str::to_owned).collect(),
            ));
        }
    }
    let queries = |cut: usize| -> Vec<String> {
        let two = products.iter().enumerate().map(|(number, (_, words))| {
            let start = number % words.len().saturating_sub(1).max(1);
            let query = words[start..words.len().min(start + 2)].join("+");
            query[..query.len() - cut].to_owned()
        });
        two.collect()
    };
    let search =
        |cut: usize, rest: &str| queries(cut).iter().map(|query| format!("/v1/search?q={query}{rest}")).collect();
    let facets = "&facets=category,brand,price";
    let suggest = |length: usize| -> Vec<String> {
        let beginnings = queries(0).into_iter().map(|query| query[..query.floor_char_boundary(length)].to_owned());
        let some: BTreeSet<String> = beginnings.filter(|query| !query.ends_with('+')).collect();
        some.iter().map(|query| format!("/v1/suggest?q={query}")).collect()
    };
    let typo = |query: &String| {
        let mut letters = query.clone().into_bytes();
        let middle = letters.iter().position(|byte| *byte == b'+').unwrap_or(letters.len()) / 2;
        letters.swap(middle - 1, middle);
        format!("/v1/search?q={}", String::from_utf8_lossy(&letters))
    };
    let similar = products.iter().map(|(id, _)| format!("/v1/products/{id}/similar")).collect();
    let kinds: [(&'static str, Vec<String>); 12] = [
        ("product by id", products.iter().map(|(id, _)| format!("/v1/products/{id}")).collect()),
        ("search", search(0, "")),
        ("search, cached", search(0, "").into_iter().take(200).collect()),
        ("search, one typo", queries(0).iter().map(typo).collect()),
        ("search, variants folded", search(0, "&distinct=true")),
        ("search, 3 facets", search(0, facets)),
        ("as you type, 3 facets", search(2, facets)),
        ("filter, 3 facets", search(0, &format!("{facets}&filters=price%3C150"))),
        ("browse, 3 facets", vec![format!("/v1/search?{}", &facets[1..])]),
        ("suggest, 4 letters", suggest(4)),
        ("suggest, cached", suggest(4)),
        ("similar products", similar),
    ];
    let sized = kinds.map(|(name, paths)| {
        let sizes = paths.iter().take(200).map(|path| connection.get(path).body.len());
        let (count, sum) = sizes.fold((0, 0), |(count, sum), size| (count + 1, sum + size));
        Workload { name, mean_body_bytes: sum / count.max(1), paths, is_cached: name.ends_with("cached") }
    });
    sized.into()
}

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn edge(store: &str, cache: &Path, result_cache_mib: u32) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge"));
        command.args([
            "--market",
            &format!("demo={store}"),
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        command.arg("--cache-dir").arg(cache).arg("--result-cache-mib").arg(result_cache_mib.to_string());
        let server = Self::start(command, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["public"].as_str().map(str::to_owned)
        });
        while Connection::open(server.address).get("/healthz").status != 200 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        server
    }

    fn fixed_body(bytes: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--fixed-body", &bytes.to_string()]);
        Self::start(command, |line| Some(line.to_owned()))
    }

    fn start(mut command: Command, address: impl Fn(&str) -> Option<String>) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let address = lines.find_map(|line| address(&line)).and_then(|text| text.parse().ok()).expect("an address");
        // Its request lines are read and dropped, as a collector would.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    /// User and system time so far, in microseconds.
    fn cpu_us(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("the process's times");
        let after_name = stat.rsplit(')').next().expect("fields");
        let field = |place: usize| {
            after_name.split_whitespace().nth(place).and_then(|text| text.parse::<f64>().ok()).expect("a time")
        };
        // Fields 14 and 15 in hundredths of a second, as proc(5) counts them.
        (field(11) + field(12)) * 10_000.0
    }

    fn drive(&mut self, workload: &Workload, settings: &Settings) -> Measured {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = folder.path().join("paths.lua");
        let mut lua = String::from("local paths = {\n");
        workload.paths.iter().for_each(|path| writeln!(lua, "  {path:?},").expect("a string takes all"));
        lua += "}\nlocal n = 0\nrequest = function() n = n % #paths + 1; return wrk.format('GET', paths[n]) end\n";
        std::fs::write(&script, lua).expect("a script");
        let before = self.cpu_us();
        let output = Command::new("wrk")
            .args([
                "-t1",
                "--latency",
                &format!("-c{}", settings.connections),
                &format!("-d{}s", settings.seconds),
                "-s",
            ])
            .arg(&script)
            .arg(format!("http://{}", self.address))
            .output()
            .expect("wrk runs");
        let cpu_us = self.cpu_us() - before;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
        let after = |mark: &str| {
            text.split_once(mark).map(|(_, rest)| rest.split_whitespace().next().unwrap_or("")).expect(mark)
        };
        let requests: f64 = text
            .split_once(" requests in")
            .and_then(|(head, _)| head.split_whitespace().last()?.parse().ok())
            .expect("a count");
        Measured {
            requests_per_s: after("Requests/sec:").parse().expect("a rate"),
            cpu_us: cpu_us / requests,
            p50_ms: milliseconds(after("\n     50%")),
            p99_ms: milliseconds(after("\n     99%")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// "1.23ms" and its kind, as wrk writes them.
fn milliseconds(text: &str) -> f64 {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let factor = match &text[split..] {
        "us" => 1e-3,
        "s" => 1e3,
        _ => 1.0,
    };
    text[..split].parse::<f64>().map_or(f64::NAN, |value| value * factor)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([':', '\t', ' ']));
    json!({ "cpu": model, "cores": std::thread::available_parallelism().map_or(0, usize::from) })
}

#[tokio::main]
async fn serve_fixed_body(bytes: usize) {
    let body = Bytes::from(vec![b'x'; bytes]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let body = body.clone();
        tokio::spawn(async move {
            let answer = |_: Request<hyper::body::Incoming>| {
                let body = body.clone();
                async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(body))) }
            };
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}
