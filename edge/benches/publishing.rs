//! `make bench-publish`: what an update transfers, how soon it is served, and what that costs those who ask meanwhile.
//!
//! Two edges follow one store under load: one is told through Redis, the other polls as it does by default. Before each
//! rollback as many different queries are asked as are answered ahead from the next snapshot.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use test_servers::Redis;

#[allow(dead_code)]
#[path = "../tests/it/client.rs"]
mod client;

use client::Connection;

const QUERIES: [&str; 6] = [
    "/v1/search?q=lamp",
    "/v1/search?q=leather+boots&facets=*",
    "/v1/search?q=red+sho",
    "/v1/suggest?q=la",
    "/v1/search?facets=*&per_page=5",
    "/v1/search?q=lether",
];

/// As many as `edge/src/ahead.rs` answers ahead.
const ASKED_BEFORE_A_ROLLBACK: usize = 1_000;

struct Settings {
    indexer: PathBuf,
    /// A catalogue's settings and its JSON Lines, plain or by zstd. None for the demo shop.
    real: Option<(PathBuf, PathBuf)>,
    products: u64,
    rounds: usize,
    folder: PathBuf,
}

fn main() {
    let settings = settings();
    let folder = &settings.folder;
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder.join("status")).expect("a folder");
    let bench = Bench { store: format!("file://{}/store", folder.display()), redis: Redis::start(), settings };
    bench.build();
    let told = Edge::start(&bench, "told", &["--redis-url", &bench.redis.url(), "--poll-interval-ms", "3600000"]);
    let polling = Edge::start(&bench, "polling", &[]);
    let load = Load::start(&[told.address, polling.address]);
    let mut rounds = Vec::new();
    for round in 0..bench.settings.rounds {
        rounds.push(bench.round(round, &told, &polling));
        eprint!("\rround {} of {}", round + 1, bench.settings.rounds);
    }
    eprintln!();
    let queries = bench.varied_queries();
    let [live, previous] = bench.live_and_previous();
    let back = [&previous, &live].into_iter().cycle().take(10);
    let rollbacks: Vec<f64> = back.map(|to| bench.roll_back(&told, &queries, to)).collect();
    eprintln!("before each rollback {} different queries were asked", queries.len());
    let (answered, failed) = load.stop();
    report(&bench, &rounds, &rollbacks, answered, failed);
}

fn settings() -> Settings {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).cloned()
    };
    let path = |name: &str| value(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    Settings {
        real: path("--catalogue").zip(path("--rows")),
        indexer: value("--indexer").expect("--indexer PROGRAM").into(),
        products: value("--products").map_or(200_000, |text| text.parse().expect("a number")),
        rounds: value("--rounds").map_or(50, |text| text.parse().expect("a number")),
        folder: value("--out").expect("--out FOLDER").into(),
    }
}

struct Bench {
    settings: Settings,
    store: String,
    redis: Redis,
}

/// What one update took.
struct Round {
    uploaded_share: f64,
    update_s: f64,
    publish_s: f64,
    told_s: f64,
    polled_s: f64,
}

impl Bench {
    fn indexer(&self, args: &[&str]) -> Value {
        let mut command = Command::new(&self.settings.indexer);
        command.current_dir(&self.settings.folder).arg("--json").args(args);
        let output = command.stderr(Stdio::inherit()).output().expect("the indexer runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {text}");
        serde_json::from_str(text.lines().last().unwrap_or("null")).expect("JSON lines")
    }

    fn build(&self) {
        let products = self.settings.products.to_string();
        match &self.settings.real {
            None => drop(self.indexer(&["demo-catalogue", "--products", &products, "--out", "shop"])),
            Some((catalogue, rows)) => self.take_real_rows(catalogue, rows),
        }
        self.indexer(&["build", "--catalogue", "shop/catalogue.toml", "--out", "built", "shop/products.jsonl"]);
        self.indexer(&["publish", "--store", &self.store, "built"]);
    }

    /// Puts real products where those of the demo shop would be.
    fn take_real_rows(&self, catalogue: &std::path::Path, rows: &std::path::Path) {
        let shop = self.settings.folder.join("shop");
        std::fs::create_dir_all(&shop).expect("a folder");
        std::fs::copy(catalogue, shop.join("catalogue.toml")).expect("the catalogue's settings");
        let packed = std::fs::read(rows).expect("the products");
        let is_packed = packed.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        let plain = if is_packed { zstd::decode_all(packed.as_slice()).expect("zstd") } else { packed };
        std::fs::write(shop.join("products.jsonl"), plain).expect("the products");
    }

    /// Changes the price and the title of one product in a thousand.
    fn round(&self, round: usize, told: &Edge, polling: &Edge) -> Round {
        let text = std::fs::read_to_string(self.settings.folder.join("shop/products.jsonl")).expect("the products");
        let changed = text.lines().skip(round * 7 % 1_000).step_by(1_000).map(|line| {
            let mut row: Value = serde_json::from_str(line).expect("a row");
            row["title"] = format!("{} of round {round}", row["title"].as_str().unwrap_or_default()).into();
            format!("{row}\n")
        });
        std::fs::write(self.settings.folder.join("changes.jsonl"), changed.collect::<String>()).expect("rows");
        let (updated, update_s) = timed(|| self.indexer(&["update", "--out", "built", "changes.jsonl"]));
        assert_eq!(updated["event"], "updated", "{updated}");
        let redis = self.redis.url();
        let publish = ["publish", "--store", &self.store, "--redis-url", &redis, "built"];
        let waiting = Waiting::start(&[told, polling], updated["snapshot"].as_str().expect("an id"));
        let (published, publish_s) = timed(|| self.indexer(&publish));
        let announced = seconds_of(published["announced_at"].as_str().expect("a time"));
        let served = waiting.join();
        let share = |name: &str| published[name].as_f64().expect("a number");
        Round {
            uploaded_share: share("uploaded_bytes") / share("size_bytes"),
            update_s,
            publish_s,
            told_s: served[0] - announced,
            polled_s: served[1] - announced,
        }
    }

    /// What is live, and what was before that.
    fn live_and_previous(&self) -> [String; 2] {
        let status = self.indexer(&["status", "--store", &self.store]);
        ["snapshot", "previous"].map(|name| status["channels"][0][name].as_str().expect("an id").to_owned())
    }

    /// Searches for titles that differ.
    fn varied_queries(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.settings.folder.join("shop/products.jsonl")).expect("the products");
        let titles: BTreeSet<String> = text.lines().take(4 * ASKED_BEFORE_A_ROLLBACK).map(title_of).collect();
        let path = |title: String| format!("/v1/search?q={title}&facets=*");
        titles.into_iter().take(ASKED_BEFORE_A_ROLLBACK).map(path).collect()
    }

    /// Goes back to a snapshot after many queries were asked, and gives how long it took until an edge that hears of it at
    /// once served that.
    fn roll_back(&self, told: &Edge, queries: &[String], to: &str) -> f64 {
        let mut connection = Connection::open(told.address);
        queries.iter().for_each(|path| assert_eq!(connection.get(path).status, 200, "{path}"));
        let waiting = Waiting::start(&[told], to);
        let redis = self.redis.url();
        let back = ["rollback", "--store", &self.store, "--redis-url", &redis, "--to", to];
        let moved = self.indexer(&back);
        let served = waiting.join();
        self.indexer(&["resume", "--store", &self.store]);
        served[0] - seconds_of(moved["announced_at"].as_str().expect("a time"))
    }
}

struct Edge {
    process: Child,
    address: std::net::SocketAddr,
}

impl Edge {
    fn start(bench: &Bench, name: &str, flags: &[&str]) -> Self {
        let folder = &bench.settings.folder;
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge"));
        command.args(["--market", &format!("demo={}", bench.store), "--listen", "127.0.0.1:0"]);
        command.args(["--admin-listen", "127.0.0.1:0", "--no-access-log", "--node", name]).args(flags);
        command.arg("--cache-dir").arg(folder.join(name)).arg("--status-store");
        command.arg(format!("file://{}/status", folder.display()));
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the edge starts");
        let output = process.stdout.take().expect("its output");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output)).map_while(Result::ok);
        let address = lines.by_ref().find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            line["public"].as_str()?.parse().ok()
        });
        let address = address.expect("the edge says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        while Connection::open(address).get("/healthz").status != 200 {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, address }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks edges every few milliseconds what they serve, until it is what is wanted.
struct Waiting(Vec<std::thread::JoinHandle<f64>>);

impl Waiting {
    fn start(edges: &[&Edge], id: &str) -> Self {
        let wait = |edge: &&Edge| {
            let (address, id) = (edge.address, id.to_owned());
            std::thread::spawn(move || {
                let mut connection = Connection::open(address);
                while connection.get("/v1/snapshot").json()["markets"][0]["id"] != id.as_str() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                now_s()
            })
        };
        Self(edges.iter().map(wait).collect())
    }

    fn join(self) -> Vec<f64> {
        self.0.into_iter().map(|thread| thread.join().expect("it is served")).collect()
    }
}

/// One client for each edge, who asks one question after another.
struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<[AtomicU64; 2]>,
    clients: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(addresses: &[std::net::SocketAddr]) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new([AtomicU64::new(0), AtomicU64::new(0)]));
        let clients = addresses.iter().map(|address| {
            let (address, stop, counts) = (*address, stop.clone(), counts.clone());
            std::thread::spawn(move || {
                let mut connection = Connection::open(address);
                for number in 0_usize.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let is_fine = connection.get(QUERIES[number % QUERIES.len()]).status == 200;
                    counts[usize::from(!is_fine)].fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        });
        let clients = clients.collect();
        Self { stop, clients, counts }
    }

    /// How many were answered, and how many were not.
    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let broken = self.clients.into_iter().filter_map(|client| client.join().err()).count() as u64;
        (self.counts[0].load(Ordering::Relaxed), self.counts[1].load(Ordering::Relaxed) + broken)
    }
}

/// The first words of a row's title, as a query.
fn title_of(row: &str) -> String {
    let row: Value = serde_json::from_str(row).expect("a row");
    let words: Vec<&str> = row["title"].as_str().unwrap_or_default().split_whitespace().take(8).collect();
    form_urlencoded::byte_serialize(words.join(" ").as_bytes()).collect()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed().as_secs_f64())
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64()
}

fn seconds_of(time: &str) -> f64 {
    let time: jiff::Timestamp = time.parse().expect("a time");
    time.as_nanosecond() as f64 / 1e9
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn report(bench: &Bench, rounds: &[Round], rollbacks: &[f64], answered: u64, failed: u64) {
    let rows = std::fs::read_to_string(bench.settings.folder.join("shop/products.jsonl")).expect("the products");
    println!("{} products, {} updates of 0.1% each, two edges under load", rows.lines().count(), rounds.len());
    let line = |name: &str, unit: &str, scale: f64, value: fn(&Round) -> f64| {
        let values: Vec<f64> = rounds.iter().map(|round| value(round) * scale).collect();
        let [low, middle, high] = [0, 50, 99].map(|percent| percentile(&values, percent));
        println!("{name:<34} {low:>8.3} {middle:>8.3} {high:>8.3} {unit}");
    };
    println!("{:<34} {:>8} {:>8} {:>8}", "", "least", "p50", "p99");
    line("transferred, of the whole", "%", 100.0, |round| round.uploaded_share);
    line("indexer update", "s", 1.0, |round| round.update_s);
    line("indexer publish, checks and all", "s", 1.0, |round| round.publish_s);
    line("announced to served, with the hint", "s", 1.0, |round| round.told_s);
    line("announced to served, by polling", "s", 1.0, |round| round.polled_s);
    let [low, middle, high] = [0, 50, 99].map(|percent| percentile(rollbacks, percent));
    println!("{:<34} {low:>8.3} {middle:>8.3} {high:>8.3} s", "rolled back to served, with the hint");
    println!("requests meanwhile: {answered} answered, {failed} failed");
}
