//! Following a market's channel: a new pointer is downloaded, opened and warmed on a thread of its own, then swapped
//! in. Whatever fails, the old generation goes on serving, and the fault can be seen.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use search::{Index, RawRequest, SearchRequest};
use snapshots::{Cache, Digest, Manifest, Pointer, Remembered, Snapshot, Store, Watcher};
use thiserror::Error;
use tracing::{error, info, warn};

use crate::config::{Config, Market};
use crate::live::{Generation, Live};
use crate::metrics::Metrics;

/// How many snapshots' objects stay in the cache, so that going back is quick.
const KEPT_SNAPSHOTS: usize = 3;
/// How many titles are searched for before a snapshot is served, so that its first shopper does not wait.
const WARMING_QUERIES: usize = 64;

/// A market with its live generation and how following it goes.
pub struct MarketState {
    pub name: String,
    pub live: Live,
    store: Store,
    /// The last fault, until a poll or an opening succeeds again.
    fault: Mutex<Option<String>>,
    last_contact: Mutex<Option<Instant>>,
    /// The channel was asked once, whatever came of it.
    settled: AtomicBool,
}

/// A snapshot was announced but cannot be served.
#[derive(Debug, Error)]
enum OpenError {
    #[error(transparent)]
    Snapshot(#[from] snapshots::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error("opening it panicked: {0}")]
    Panic(String),
    #[error("it is older than what is served: sequence {announced} after {served}")]
    Older { announced: u64, served: u64 },
}

impl MarketState {
    pub fn new(market: &Market) -> Self {
        Self {
            name: market.name.clone(),
            live: Live::default(),
            store: market.store.clone(),
            fault: Mutex::default(),
            last_contact: Mutex::default(),
            settled: AtomicBool::new(false),
        }
    }

    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Seconds since the store was last heard from.
    pub fn contact_age_s(&self) -> Option<u64> {
        let last = *self.last_contact.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| last.elapsed().as_secs())
    }

    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    fn heard(&self) {
        *self.last_contact.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn set_fault(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }
}

/// Follows one market for as long as the process lives.
pub struct Follower {
    market: Arc<MarketState>,
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
    watcher: Watcher,
    kept: Arc<KeptObjects>,
}

/// The objects that the last snapshots of all markets consist of.
#[derive(Default)]
pub struct KeptObjects(Mutex<VecDeque<(String, Vec<Digest>)>>);

impl KeptObjects {
    /// Takes note of a market's newest snapshot; returns every object that is to stay.
    fn add(&self, market: &str, manifest: &Manifest) -> HashSet<Digest> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((market.to_owned(), manifest.objects.iter().map(|object| object.blake3).collect()));
        let mut seen = 0;
        kept.retain(|(name, _)| {
            seen += usize::from(name == market);
            name != market || seen <= KEPT_SNAPSHOTS
        });
        kept.iter().flat_map(|(_, objects)| objects.iter().copied()).collect()
    }
}

impl Follower {
    pub fn new(
        market: Arc<MarketState>,
        cache: Arc<Cache>,
        kept: Arc<KeptObjects>,
        metrics: Arc<Metrics>,
        config: &Config,
    ) -> Self {
        let watcher = Watcher::new(market.store.clone(), config.channel.clone(), config.poll_interval);
        Self { market, cache, metrics, watcher, kept }
    }

    /// Serves what was served last, without asking the store: a node that restarts while the store is away still has
    /// its copy.
    pub async fn recall(&self) {
        let Some(served) = self.cache.recall(&self.market.name) else { return };
        let id = served.pointer.snapshot.clone();
        self.kept.add(&self.market.name, &served.manifest);
        match self.open(served.manifest, served.pointer).await {
            Ok(()) => info!(market = self.market.name, snapshot.id = %id, "serving the snapshot in the cache"),
            Err(fault) => {
                warn!(market = self.market.name, snapshot.id = %id, "the snapshot in the cache is of no use: {fault}")
            }
        }
    }

    pub async fn follow(mut self) {
        let mut told = None;
        loop {
            let fault = self.step().await.err().map(|fault| fault.to_string());
            // The same fault every few seconds is one event.
            if let Some(fault) = fault.as_ref().filter(|fault| told.as_ref() != Some(*fault)) {
                error!(market = self.market.name, "{fault}");
            } else if fault.is_none() && told.is_some() {
                info!(market = self.market.name, "recovered");
            }
            self.market.set_fault(fault.clone());
            self.market.settled.store(true, Ordering::Release);
            told = fault;
            tokio::time::sleep(self.watcher.pause()).await;
        }
    }

    async fn step(&mut self) -> Result<(), Fault> {
        let labels = self.market.name.as_str();
        let polled = self.watcher.poll().await.inspect_err(|_| self.metrics.poll_failed(labels));
        let moved = polled.map_err(Fault::Store)?;
        self.market.heard();
        let Some(moved) = moved else { return Ok(()) };
        let pointer = moved.pointer.clone();
        let served = self.market.live.load().map(|generation| generation.pointer.clone());
        if served.as_ref() == Some(&pointer) {
            self.watcher.accept(&moved);
            return Ok(());
        }
        let started = Instant::now();
        let opened = self.fetch_and_open(pointer.clone(), served.map(|served| served.sequence)).await;
        match opened {
            Ok(()) => {
                self.watcher.accept(&moved);
                let took_ms = started.elapsed().as_millis() as u64;
                self.metrics.opened(labels, started.elapsed());
                info!(market = labels, snapshot.id = %pointer.snapshot, snapshot.sequence = pointer.sequence, took_ms, "serving a new snapshot");
                Ok(())
            }
            Err(cause) => {
                self.watcher.back_off();
                self.metrics.open_failed(labels);
                Err(Fault::Open { id: pointer.snapshot.to_string(), cause })
            }
        }
    }

    async fn fetch_and_open(&self, pointer: Pointer, served: Option<u64>) -> Result<(), OpenError> {
        // A regional copy of the pointer can be behind what this node has seen.
        if let Some(served) = served.filter(|served| pointer.sequence <= *served) {
            return Err(OpenError::Older { announced: pointer.sequence, served });
        }
        let manifest = self.market.store.get_manifest(&pointer.snapshot).await?;
        snapshots::install(&self.market.store, &self.cache, &manifest).await?;
        let remembered = Remembered { pointer: pointer.clone(), manifest: manifest.clone() };
        self.open(manifest.clone(), pointer).await?;
        let keep = self.kept.add(&self.market.name, &manifest);
        self.cache.retain(&keep);
        // A full disk must not keep a snapshot from being served; the next start then asks the store.
        if let Err(fault) = self.cache.remember(&self.market.name, &remembered) {
            warn!(market = self.market.name, "the cache will not know what was served last: {fault}");
        }
        Ok(())
    }

    /// Opens, warms and swaps in, on a thread of its own at low priority; the answer comes once it is served.
    async fn open(&self, manifest: Manifest, pointer: Pointer) -> Result<(), OpenError> {
        let (cache, market) = (self.cache.clone(), self.market.clone());
        let alive = self.metrics.generations_alive();
        let (served, wait) = tokio::sync::oneshot::channel();
        let work = move || {
            // Threads of one process can have different niceness on Linux; where that fails, nothing is lost.
            let _ = rustix::process::nice(10);
            let open = || {
                let index = Index::open(Snapshot::open(&cache, manifest)?)?;
                warm(&index);
                Ok::<_, OpenError>(Generation::new(index, pointer, alive))
            };
            match std::panic::catch_unwind(AssertUnwindSafe(open)) {
                Ok(Ok(generation)) => market.live.replace(generation, || drop(served.send(Ok(())))),
                Ok(Err(error)) => drop(served.send(Err(error))),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                    drop(served.send(Err(OpenError::Panic(text.unwrap_or_default()))));
                }
            }
        };
        let spawned = std::thread::Builder::new().name("open-snapshot".into()).spawn(work);
        spawned.map_err(|error| OpenError::Panic(error.to_string()))?;
        wait.await.unwrap_or_else(|_| Err(OpenError::Panic("the thread ended".into())))
    }
}

/// Searches for the titles of the first products, word by word: this reads the pages that shoppers read first.
fn warm(index: &Index) {
    let count = index.snapshot().segments[0].segment.product_count().min(WARMING_QUERIES);
    for doc in 0..count as u32 {
        let title = index.record(0, doc).field(2).map(String::from_utf8_lossy).unwrap_or_default();
        let words: Vec<&str> = title.split_whitespace().take(4).collect();
        let raw = RawRequest { q: words.join(" "), facets: vec!["*".into()], ..Default::default() };
        if let Ok(request) = SearchRequest::parse(raw, index.catalogue()) {
            let _ = index.search(&request);
        }
    }
}

/// Why a market does not move on.
#[derive(Debug, Error)]
enum Fault {
    #[error("the channel cannot be read: {0}")]
    Store(snapshots::Error),
    #[error("snapshot {id} cannot be served: {cause}")]
    Open { id: String, cause: OpenError },
}
