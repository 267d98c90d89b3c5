//! This edge beside a peer that the user runs: the same products, and the same questions asked of both in turn. A table
//! and JSON.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edge::stages::Stages;
use serde_json::{Value, json};
use snapshots::Store;
use test_servers::processes;

use crate::peer::drive::{Drive, Driven, drive, find_nothing};
use crate::peer::shop::{Set, Shop};
use crate::peer::{Kind, Peer, Target, edge_target};
use crate::servers::Server;
use crate::{Settings, machine, median, this_edge};

/// Which peer, and how it is reached.
pub struct PeerSettings {
    kind: Kind,
    url: String,
    key: String,
    /// Its process, where its port does not lead there.
    process: Option<u32>,
    /// Whether its index stays for whoever looks at it afterwards.
    is_kept: bool,
}

impl PeerSettings {
    /// What the command line says, and the key out of its variable. None where no peer is named.
    ///
    /// # Errors
    /// When what is named is none, or something is missing.
    pub fn read(flag: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let Some(kind) = flag("--peer") else { return Ok(None) };
        let kind: Kind = kind.parse()?;
        let key = kind.key_variable().and_then(|name| std::env::var(name).ok()).unwrap_or_default();
        let process = flag("--peer-process").map(|text| text.parse::<u32>()).transpose();
        Ok(Some(Self {
            kind,
            url: flag("--peer-url").context("give --peer-url URL")?,
            key,
            process: process.context("PEER_PID is no number of a process")?,
            is_kept: flag("--keep").is_some(),
        }))
    }
}

/// One of both, and the process whose CPU is counted.
struct Side {
    target: Box<dyn Target>,
    process: Option<u32>,
}

/// What loading the peer took.
struct Loaded {
    elapsed_s: f64,
    cpu_s: Option<f64>,
}

/// # Errors
/// When the peer cannot be reached, loaded or asked. What was loaded is removed all the same.
pub fn run(settings: &Settings, beside: &PeerSettings) -> Result<()> {
    let peer = beside.kind.open(&beside.url, &beside.key)?;
    let process = process_of(peer.as_ref(), beside)?;
    let shop = read_shop(&settings.store)?;
    let compared = compare(settings, beside, peer.as_ref(), process, &shop);
    let removed = if beside.is_kept { Ok(()) } else { peer.remove() };
    compared.and(removed)
}

/// The process whose CPU is counted. None, and a word about it, where nobody can be sure which it is.
fn process_of(peer: &dyn Peer, beside: &PeerSettings) -> Result<Option<u32>> {
    if let Some(process) = beside.process {
        ensure!(processes::cpu_us(process).is_some(), "PEER_PID={process}: there is no such process");
        return Ok(Some(process));
    }
    let kind = beside.kind.name();
    let found = peer.local_port().and_then(processes::listening_on);
    let name = found.and_then(processes::name);
    if name.as_ref().is_some_and(|name| name.contains(kind)) {
        return Ok(found);
    }
    let seen = name.map_or_else(|| "nobody".to_owned(), |name| format!("'{name}'"));
    println!("its CPU is not counted: {seen} is seen to listen there, and no {kind}; give its process as PEER_PID");
    Ok(None)
}

fn read_shop(store: &str) -> Result<Shop> {
    let cache = tempfile::tempdir()?;
    let store = Store::open(store, &[])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stages = runtime.block_on(Stages::open(&store, cache.path()))?;
    Shop::read(&stages)
}

fn compare(
    settings: &Settings,
    beside: &PeerSettings,
    peer: &dyn Peer,
    process: Option<u32>,
    shop: &Shop,
) -> Result<()> {
    let (kind, products, load) = (beside.kind.name(), shop.documents.len(), settings.load);
    println!("{kind} {}: loading {products} products", peer.version());
    let loaded = load_peer(peer, process, shop)?;
    let with_cpu = loaded.cpu_s.map(|cpu_s| format!(", with {cpu_s:.1} s of CPU")).unwrap_or_default();
    println!("loaded in {:.1} s{with_cpu}", loaded.elapsed_s);
    let cache = tempfile::tempdir()?;
    let server = Server::edge(this_edge(), &settings.store, cache.path(), 0);
    let edge = Side { target: edge_target(server.address, shop), process: Some(server.process_id()) };
    let peer_side = Side { target: peer.target(shop), process };
    heading();
    let mut rows = Vec::new();
    for set in Set::ALL.into_iter().filter(|set| set.name().contains(&settings.only)) {
        rows.extend(row(settings, shop, set, &edge, &peer_side)?);
    }
    let result = json!({
        "machine": machine(), "peer": kind, "peer_version": peer.version(), "products": products,
        "load_s": loaded.elapsed_s, "load_cpu_s": loaded.cpu_s, "rows": rows, "connections": load.connections,
        "rounds": settings.rounds, "seconds": load.seconds,
    });
    let target = settings.out.join(format!("peer-{kind}.json"));
    std::fs::write(&target, format!("{result:#}")).with_context(|| target.display().to_string())?;
    println!(
        "medians of {} rounds with {} connections; CPU milliseconds a query, of the server alone; kept in {}",
        settings.rounds,
        load.connections,
        target.display()
    );
    Ok(())
}

/// Loads the peer in place of what another run has left.
fn load_peer(peer: &dyn Peer, process: Option<u32>, shop: &Shop) -> Result<Loaded> {
    peer.remove()?;
    let before_us = process.and_then(processes::cpu_us);
    let started = Instant::now();
    peer.load(shop)?;
    let elapsed_s = started.elapsed().as_secs_f64();
    let after_us = process.and_then(processes::cpu_us);
    let cpu_s = after_us.zip(before_us).map(|(after_us, before_us)| (after_us - before_us) / 1e6);
    Ok(Loaded { elapsed_s, cpu_s })
}

fn heading() {
    println!(
        "{:<18} {:>8} {:>8} {:>6} {:>9} {:>9} {:>6} {:>13} {:>13} {:>9} {:>9}",
        "",
        "edge ms",
        "peer ms",
        "times",
        "edge r/s",
        "peer r/s",
        "times",
        "edge p50/p99",
        "peer p50/p99",
        "edge none",
        "peer none"
    );
}

/// Drives both with one set of questions. None where the catalogue has nothing to make the set of.
fn row(settings: &Settings, shop: &Shop, set: Set, edge: &Side, peer: &Side) -> Result<Option<Value>> {
    let questions = shop.questions(set);
    if questions.is_empty() {
        println!("{:<18} left out: the catalogue has nothing to count or to filter by", set.name());
        return Ok(None);
    }
    let none_percent = |side: &Side| -> Result<f64> {
        Ok(find_nothing(side.target.as_ref(), &questions)? as f64 * 100.0 / questions.len() as f64)
    };
    let (edge_none, peer_none) = (none_percent(edge)?, none_percent(peer)?);
    let time = Duration::from_secs(settings.load.seconds.into());
    let hard = Drive { connections: settings.load.connections as usize, time };
    let mut pairs = Vec::new();
    for _ in 0..settings.rounds {
        let peer = drive(peer.target.as_ref(), peer.process, &questions, hard)?;
        pairs.push((drive(edge.target.as_ref(), edge.process, &questions, hard)?, peer));
    }
    let speed = median(pairs.iter().map(|(edge, peer)| edge.requests_per_s / peer.requests_per_s).collect());
    let cost =
        pairs.iter().map(|(edge, peer)| Some(peer.cpu_ms? / edge.cpu_ms?)).collect::<Option<Vec<_>>>().map(median);
    let (edge, peer) = (middle(pairs.iter().map(|pair| pair.0)), middle(pairs.iter().map(|pair| pair.1)));
    println!(
        "{:<18} {:>8} {:>8} {:>6} {:>9.0} {:>9.0} {speed:>6.1} {:>13} {:>13} {edge_none:>8.1}% {peer_none:>8.1}%",
        set.name(),
        told(edge.cpu_ms, 3),
        told(peer.cpu_ms, 3),
        told(cost, 1),
        edge.requests_per_s,
        peer.requests_per_s,
        format!("{:.2}/{:.1}", edge.p50_ms, edge.p99_ms),
        format!("{:.2}/{:.1}", peer.p50_ms, peer.p99_ms),
    );
    Ok(Some(json!({
        "set": set.name(), "questions": questions.len(), "cpu_ratio": cost, "speed_ratio": speed,
        "edge": figures(&edge, edge_none), "peer": figures(&peer, peer_none),
    })))
}

/// The median of each figure.
fn middle(rounds: impl Iterator<Item = Driven> + Clone) -> Driven {
    let of = |figure: fn(Driven) -> f64| median(rounds.clone().map(figure).collect());
    Driven {
        requests_per_s: of(|driven| driven.requests_per_s),
        cpu_ms: rounds.clone().map(|driven| driven.cpu_ms).collect::<Option<Vec<_>>>().map(median),
        p50_ms: of(|driven| driven.p50_ms),
        p99_ms: of(|driven| driven.p99_ms),
    }
}

fn told(figure: Option<f64>, decimals: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"))
}

fn figures(driven: &Driven, none_percent: f64) -> Value {
    json!({
        "cpu_ms": driven.cpu_ms, "requests_per_s": driven.requests_per_s, "p50_ms": driven.p50_ms,
        "p99_ms": driven.p99_ms, "find_nothing_percent": none_percent,
    })
}
