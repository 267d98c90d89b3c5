//! Following a market's channel: a new pointer is downloaded, opened and warmed on a thread of its own, then swapped
//! in. Whatever fails, the old generation goes on serving, and the fault can be seen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use snapshots::{Cache, Manifest, Remembered, SnapshotId, Store, Target, Watcher};
use thiserror::Error;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::ahead::{self, Patience};
use crate::config::{Config, Market};
use crate::kept::KeptObjects;
use crate::live::{Generation, Live};
use crate::metrics::Metrics;
use crate::opening::{self, OpenError};
use crate::result_cache::ResultCache;
use crate::shapes;

/// A failed announcement is tried again after the poll interval, doubled this many times at the most.
const MAX_RETRY_DOUBLINGS: u32 = 6;
/// A flood of hints costs one poll in this time.
const HINT_INTERVAL: Duration = Duration::from_millis(100);
/// How long a channel may take to say that a snapshot is still wanted.
const LAST_LOOK_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Something else is served, or a fault has come or gone.
    pub changed: Notify,
    /// Holds one hint until the follower is ready for it.
    hinted: Notify,
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
            changed: Notify::new(),
            hinted: Notify::new(),
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
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

    fn sequence(&self) -> Option<(SnapshotId, u64)> {
        self.live.load().map(|generation| (generation.pointer.snapshot.clone(), generation.pointer.sequence))
    }

    /// Makes the follower ask the store now. Hints that come before it does are one; one that comes while it asks makes
    /// it ask again.
    pub fn hint(&self) {
        self.hinted.notify_one();
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
    failed: Option<Failed>,
    results_bytes: usize,
    poll_interval: Duration,
}

/// An announcement that could not be followed. Trying again costs a download, so it is tried ever more rarely; another
/// announcement is tried at once.
struct Failed {
    target: Target,
    fault: String,
    times: u32,
    retry_at: Instant,
}

impl Follower {
    pub fn new(
        market: Arc<MarketState>,
        cache: Arc<Cache>,
        kept: Arc<KeptObjects>,
        metrics: Arc<Metrics>,
        config: &Config,
    ) -> Self {
        let watcher =
            Watcher::new(market.store.clone(), config.channel.clone(), config.place.clone(), config.poll_interval);
        Self {
            market,
            cache,
            metrics,
            watcher,
            kept,
            failed: None,
            poll_interval: config.poll_interval,
            results_bytes: config.result_cache_bytes,
        }
    }

    /// What this market served last, whose objects are kept from now on.
    pub fn recall(&mut self) -> Option<Remembered> {
        let served = self.cache.recall(&self.market.name)?;
        // The market was of another catalogue then, whose sequences say nothing either.
        if !self.market.store.expects(&served.manifest.catalogue) {
            return None;
        }
        self.kept.add(&self.market.name, &served.manifest, None);
        self.watcher.remember(&served.target);
        // What was taken on the word of someone who is trusted no longer is asked of the store again.
        let trusted = self.market.store.trusted_keys();
        let is_trusted = trusted.is_empty()
            || (!served.trusted.is_empty() && served.trusted.iter().all(|key| trusted.contains(key)));
        is_trusted.then_some(served)
    }

    /// Serves what was served last, without asking the store: a node that restarts while the store is away still has
    /// its copy.
    pub async fn serve_recalled(&self, recalled: Option<Remembered>) {
        let Some(served) = recalled else { return };
        let id = served.target.pointer.snapshot.clone();
        let swapped = match self.open(served.manifest, served.target, None, Patience::FULL).await {
            Ok(generation) => self.swap_in(generation).await,
            Err(fault) => Err(fault),
        };
        match swapped {
            Ok(()) => info!(market = self.market.name, snapshot.id = %id, "serving the snapshot in the cache"),
            Err(fault) => {
                warn!(market = self.market.name, snapshot.id = %id, "the snapshot in the cache is of no use: {fault}")
            }
        }
    }

    pub async fn follow(mut self) {
        let mut told = None;
        loop {
            let sequence = self.market.sequence();
            let polled = Instant::now();
            let fault = self.step().await.err().map(|fault| fault.to_string());
            // The same fault every few seconds is one event.
            if let Some(fault) = fault.as_ref().filter(|fault| told.as_ref() != Some(*fault)) {
                error!(market = self.market.name, "{fault}");
            } else if fault.is_none() && told.is_some() {
                info!(market = self.market.name, "recovered");
            }
            self.market.set_fault(fault.clone());
            self.market.settled.store(true, Ordering::Release);
            if fault != told || self.market.sequence() != sequence {
                self.market.changed.notify_one();
            }
            told = fault;
            self.pause(polled).await;
        }
    }

    /// Waits until the next poll is due, or a hint comes.
    async fn pause(&mut self, polled: Instant) {
        let due = self.watcher.pause();
        if tokio::time::timeout(due, self.market.hinted.notified()).await.is_ok() {
            tokio::time::sleep(HINT_INTERVAL.saturating_sub(polled.elapsed())).await;
        }
    }

    async fn step(&mut self) -> Result<(), Fault> {
        let market = self.market.clone();
        let labels = market.name.as_str();
        let polled = self.watcher.poll().await.inspect_err(|_| self.metrics.poll_failed(labels));
        if !matches!(polled, Ok(Some(_))) {
            // What is not known needs no space.
            self.kept.found_space(labels);
        }
        let target = polled.map_err(Fault::Store)?;
        self.market.heard();
        // Before the first announcement this is as it should be; but so it looks when a store was emptied.
        let target = target.ok_or(Fault::Missing)?;
        let id = target.pointer.snapshot.clone();
        if let Some(failed) =
            self.failed.as_ref().filter(|failed| failed.target == target && Instant::now() < failed.retry_at)
        {
            return Err(Fault::Open { id: id.to_string(), cause: failed.fault.clone() });
        }
        let served = self.market.live.load();
        if served.as_ref().is_some_and(|generation| generation.target() == target) {
            self.note_success();
            return Ok(());
        }
        let started = Instant::now();
        let opened = match served {
            // Held, resumed, promoted from a canary: the same snapshot under another name.
            Some(generation) if generation.pointer.snapshot == id => {
                self.point_anew(&generation, target.clone()).await.map(|()| true)
            }
            served => {
                let served = served.map(|generation| generation.pointer.snapshot.clone());
                self.fetch_and_open(target.clone(), served.as_ref()).await
            }
        };
        match opened {
            // What it leads to now is looked for at once.
            Ok(false) => {
                self.note_success();
                info!(market = labels, snapshot.id = %id, "taken back before it was served");
                self.market.hint();
                Ok(())
            }
            Ok(true) => {
                self.note_success();
                let took_ms = started.elapsed().as_millis() as u64;
                self.metrics.opened(labels, started.elapsed());
                info!(market = labels, snapshot.id = %id, snapshot.sequence = target.pointer.sequence, followed = ?target.followed, took_ms, "serving a new snapshot");
                Ok(())
            }
            Err(cause) => {
                self.metrics.open_failed(labels);
                if !cause.is_disk_full() {
                    self.kept.found_space(labels);
                }
                let fault = cause.to_string();
                self.note_failure(target, fault.clone());
                Err(Fault::Open { id: id.to_string(), cause: fault })
            }
        }
    }

    fn note_success(&mut self) {
        self.failed = None;
        self.kept.found_space(&self.market.name);
    }

    fn note_failure(&mut self, target: Target, fault: String) {
        let times = self.failed.take().filter(|failed| failed.target == target).map_or(0, |failed| failed.times + 1);
        let pause = self.poll_interval.saturating_mul(1 << times.min(MAX_RETRY_DOUBLINGS));
        self.failed = Some(Failed { target, fault, times, retry_at: Instant::now() + pause });
    }

    /// Serves what is served, as what another pointer says.
    async fn point_anew(&self, served: &Generation, target: Target) -> Result<(), OpenError> {
        let manifest = served.index.snapshot().manifest.clone();
        let results = ResultCache::new(self.results_bytes);
        let generation = Generation::new(served.index.clone(), target.clone(), results, &self.metrics);
        let (cache, market) = (self.cache.clone(), self.market.clone());
        let (told, wait) = tokio::sync::oneshot::channel();
        let work = move || {
            let remembered = Remembered { target, manifest, trusted: market.store.trusted_keys() };
            // Its answers tell another sequence, so that those of before cannot be kept.
            let again = opening::caught(|| {
                let asked = market.live.load().map(|before| ahead::asked_of(&before)).unwrap_or_default();
                ahead::answer_again(&generation, asked, Patience::FULL);
                Ok(())
            });
            if let Err(fault) = again {
                warn!(market = market.name, "not all was answered ahead: {fault}");
            }
            market.live.replace(generation, || {
                // Before the next announcement is looked for: what it leads to is to be remembered after this.
                if let Err(fault) = cache.remember(&market.name, &remembered) {
                    warn!(market = market.name, "the cache will not know what was served last: {fault}");
                }
                // Where nobody waits any more, the process ends.
                let _ = told.send(());
            });
        };
        opening::start(work)?;
        wait.await.map_err(|_| OpenError::Panic("the thread ended".into()))
    }

    /// False where the snapshot was taken back before it could be served.
    async fn fetch_and_open(&mut self, target: Target, served: Option<&SnapshotId>) -> Result<bool, OpenError> {
        let manifest = self.market.store.get_manifest(&target.pointer.snapshot).await?;
        self.kept.add(&self.market.name, &manifest, served);
        let trusted = self.market.store.trusted_keys();
        let remembered = Remembered { target: target.clone(), manifest: manifest.clone(), trusted };
        let served_of = self.market.live.load().map(|generation| generation.index.snapshot().manifest.created_at);
        let patience = Patience::with(target.pointer.held, manifest.created_at, served_of);
        if patience == Patience::SHORT {
            info!(market = self.market.name, snapshot.id = %manifest.id, "going back to it: little is answered ahead");
        }
        let opened = match self.open(manifest, target.clone(), Some(self.market.store.clone()), patience).await {
            Ok(generation) if self.is_still_wanted(&target).await => self.swap_in(generation).await.map(|()| true),
            // Unmapping takes time, too.
            Ok(generation) => opening::start(move || drop(generation)).map(|()| false),
            Err(error) => Err(error),
        };
        if opened.as_ref().is_err_and(|error| error.is_disk_full()) {
            self.kept.shrink(&self.market.name, served);
        }
        let (cache, kept, name) = (self.cache.clone(), self.kept.clone(), self.market.name.clone());
        let remembered = matches!(opened, Ok(true)).then_some(remembered);
        let tidied = tokio::task::spawn_blocking(move || {
            cache.retain(&kept.objects());
            // A full disk must not keep a snapshot from being served; the next start then asks the store.
            if let Some(Err(fault)) = remembered.map(|remembered| cache.remember(&name, &remembered)) {
                warn!(market = name, "the cache will not know what was served last: {fault}");
            }
        });
        let _ = tidied.await;
        opened
    }

    /// Whether the channel still leads there. A download takes its time, and a snapshot that was rolled back meanwhile must
    /// not be served, not even until the next poll.
    async fn is_still_wanted(&mut self, target: &Target) -> bool {
        match tokio::time::timeout(LAST_LOOK_TIMEOUT, self.watcher.poll()).await {
            Ok(Ok(Some(now))) => now == *target,
            // A store that is away by now has said before what it wants.
            _ => true,
        }
    }

    /// Installs what is missing (where there is a store to ask), opens and warms: all on a thread of its own at low
    /// priority, so that nothing that serves ever waits for a disk or a digest.
    async fn open(
        &self,
        manifest: Manifest,
        target: Target,
        store: Option<Store>,
        patience: Patience,
    ) -> Result<Generation, OpenError> {
        let (cache, market) = (self.cache.clone(), self.market.clone());
        let (metrics, results_bytes) = (self.metrics.clone(), self.results_bytes);
        let runtime = tokio::runtime::Handle::current();
        let (opened, wait) = tokio::sync::oneshot::channel();
        let work = move || {
            let open = || {
                let asked = market.live.load().map(|before| ahead::asked_of(&before));
                // Where nothing is served yet, or something bad, whoever is served meanwhile is not what counts.
                if asked.is_some() && patience != Patience::SHORT {
                    opening::give_way();
                }
                let index = opening::open_index(&runtime, store.as_ref(), &cache, manifest, &market.name)?;
                ahead::warm(&index, patience);
                let results = ResultCache::new(results_bytes);
                let generation = Generation::new(Arc::new(index), target, results, &metrics);
                match asked {
                    Some(asked) => ahead::answer_again(&generation, asked, patience),
                    None => ahead::answer_recorded(&generation, &shapes::recall(&cache, &market.name), patience),
                }
                Ok::<_, OpenError>(generation)
            };
            // Where nobody waits any more, the process ends.
            drop(opened.send(opening::caught(open)));
        };
        opening::start(work)?;
        wait.await.unwrap_or_else(|_| Err(OpenError::Panic("the thread ended".into())))
    }

    /// Serves a generation from now on. The thread stays until the one before can be let go.
    async fn swap_in(&self, generation: Generation) -> Result<(), OpenError> {
        let (cache, market) = (self.cache.clone(), self.market.clone());
        let (served, wait) = tokio::sync::oneshot::channel();
        let work = move || {
            let shapes = market.live.load().map(|before| shapes::of_generation(&before.results)).unwrap_or_default();
            market.live.replace(generation, || {
                let _ = served.send(());
                opening::give_way();
            });
            // Nobody waits for this any more.
            shapes::keep(&cache, &market.name, &shapes);
        };
        opening::start(work)?;
        wait.await.map_err(|_| OpenError::Panic("the thread ended".into()))
    }
}

/// Why a market does not move on.
#[derive(Debug, Error)]
enum Fault {
    #[error("the channel cannot be read: {0}")]
    Store(snapshots::Error),
    #[error("nothing has been announced to the channel, or the store was emptied")]
    Missing,
    #[error("snapshot {id} cannot be served: {cause}")]
    Open { id: String, cause: String },
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use snapshots::{ChannelName, Place, Pointer};

    use super::*;
    use crate::sample;

    /// Where something faulty was announced after what the disk had no space for, no market's snapshots could be previewed
    /// until that was mended.
    #[tokio::test]
    async fn space_is_lacked_while_the_disk_is_what_keeps_a_market_from_following() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open("memory://", &[]).expect("a store");
        let manifest = sample::publish(&store, folder.path()).await;
        let cache = Arc::new(Cache::open(&folder.path().join("cache")).expect("a cache"));
        // /dev/full takes nothing, as a full disk does.
        let partial = format!("cache/objects/{}.partial", manifest.segments[0].segment);
        symlink("/dev/full", folder.path().join(partial)).expect("a full disk");
        let (live, poll_interval) = (ChannelName::live(), Duration::from_secs(3_600));
        let kept = Arc::new(KeptObjects::default());
        let mut follower = Follower {
            market: Arc::new(MarketState::new(&Market { name: "us".into(), store: store.clone() })),
            cache,
            metrics: Arc::new(Metrics::new(Vec::new())),
            watcher: Watcher::new(store.clone(), live.clone(), Place::default(), poll_interval),
            kept: kept.clone(),
            failed: None,
            results_bytes: 0,
            poll_interval,
        };
        let announce = async |id: &str, sequence: u64| {
            let before = store.pointer(&live).await.expect("what was announced before");
            let pointer = Pointer::new(id.parse().expect("an id"), sequence);
            store.move_pointer(&live, before.as_ref(), &pointer).await.expect("an announcement");
        };

        announce(manifest.id.as_str(), 2).await;
        for what in ["it is tried", "it is to be tried later"] {
            let fault = follower.step().await.expect_err("the disk is full");
            assert!(kept.lacks_space(), "{what}: {fault}");
        }
        announce("missing", 3).await;
        let fault = follower.step().await.expect_err("there is no such snapshot");
        assert!(matches!(fault, Fault::Open { .. }) && !kept.lacks_space(), "{fault}");
        kept.shrink("us", None);
        announce(manifest.id.as_str(), 1).await;
        let fault = follower.step().await.expect_err("the sequence is behind");
        assert!(matches!(fault, Fault::Store(_)) && !kept.lacks_space(), "{fault}");
    }
}
