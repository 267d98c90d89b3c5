//! Previews: any snapshot of a market's store, opened when somebody with the key asks for it, beside what is live.
//!
//! The first request for a snapshot starts opening it; those that come meanwhile wait for the same. Opening goes on when
//! they have all left. Snapshots are opened one after another, so that at no time more is downloaded, mapped or kept on
//! disk than the bound says, and the one that was not looked at for longest makes room.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use search::Index;
use snapshots::{Cache, Digest, Manifest, SnapshotId, Store};
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot, watch};
use tracing::{info, warn};

use crate::error::ApiError;
use crate::follow::MarketState;
use crate::kept::KeptObjects;
use crate::live::Generation;
use crate::metrics::Metrics;
use crate::opening::{self, OpenError};
use crate::preview_key::PreviewKey;
use crate::shelf::{PreviewName, Shelf};

/// How long a request waits for a snapshot that is being opened: gateways give up on those that wait longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many requests wait for previews at once.
const MAX_WAITING: usize = 32;
/// How many snapshots are being opened or wait for their turn.
const MAX_OPENINGS: usize = 8;
/// What nobody looked at for so long is closed.
const IDLE: Duration = Duration::from_secs(600);
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// When to ask again for what is not open yet, and for what could not be opened.
const RETRY_OPENING_S: u32 = 2;
const RETRY_FAILED_S: u32 = 30;

/// What a product costs in memory, besides the files, that updates on top have outdated or brought, until segments are
/// merged. Some 10 KB were seen (`loadtests/README.md`); it is an estimate.
const AMENDED_BYTES: u64 = 10 * 1024;

/// The snapshots that are open for previews.
pub struct Previews {
    /// None where previews are off.
    key: Option<PreviewKey>,
    max_bytes: u64,
    cache: Arc<Cache>,
    kept: Arc<KeptObjects>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Held by the one opening that is not waiting for its turn.
    turn: tokio::sync::Mutex<()>,
    waiting: Semaphore,
}

struct State {
    shelf: Shelf<Generation>,
    openings: Vec<(PreviewName, Opening)>,
    /// The objects of the snapshot that is being opened.
    installing: HashSet<Digest>,
}

/// How an opening ended, once it has.
type Opening = watch::Receiver<Option<Outcome>>;
type Outcome = Result<(), PreviewError>;

/// Why a snapshot cannot be previewed.
#[derive(Clone, Debug, Error)]
enum PreviewError {
    #[error("there is no such snapshot in the store")]
    Missing,
    #[error("it is one of catalogue '{found}', and the market serves '{served}'")]
    OtherCatalogue { found: String, served: String },
    #[error("it takes {} MiB, and previews may take {} MiB together", size_bytes.div_ceil(1 << 20), max_bytes >> 20)]
    TooLarge { size_bytes: u64, max_bytes: u64 },
    #[error("the disk is full: what is live comes first")]
    WithoutSpace,
    #[error("{cause}")]
    Failed { cause: String, is_transient: bool },
}

impl From<OpenError> for PreviewError {
    fn from(error: OpenError) -> Self {
        Self::Failed { cause: error.to_string(), is_transient: error.is_transient() }
    }
}

impl PreviewError {
    /// As the client is told. What is wrong with a store is for the log.
    fn to_answer(&self, id: &SnapshotId) -> ApiError {
        let (status, code, detail) = match self {
            Self::Missing => return ApiError::not_found(format!("there is no snapshot {id} in the store")),
            Self::OtherCatalogue { .. } => return ApiError::bad_parameter("snapshot", self.to_string()),
            Self::TooLarge { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "preview_too_large", format!("snapshot {id}: {self}"))
            }
            Self::WithoutSpace => (StatusCode::SERVICE_UNAVAILABLE, "preview_without_space", self.to_string()),
            Self::Failed { is_transient, .. } => {
                let status = if *is_transient { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_GATEWAY };
                (status, "preview_failed", format!("snapshot {id} cannot be opened; the edge's log says why"))
            }
        };
        let mut answer = ApiError::new(status, code, detail);
        answer.retry_after_s = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_FAILED_S);
        if let Self::Failed { cause, .. } = self {
            answer.cause = Some(cause.clone());
        }
        answer
    }
}

impl Previews {
    /// With room for so many bytes of snapshots; without a key, there are no previews.
    pub fn new(
        key: Option<PreviewKey>,
        max_bytes: u64,
        cache: Arc<Cache>,
        kept: Arc<KeptObjects>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (shelf, openings, installing) = (Shelf::new(max_bytes), Vec::new(), HashSet::new());
        let state = State { shelf, openings, installing };
        let (turn, waiting) = (tokio::sync::Mutex::default(), Semaphore::new(MAX_WAITING));
        Self { key, max_bytes, cache, kept, metrics, state: Mutex::new(state), turn, waiting }
    }

    /// # Errors
    /// Where previews are off, or the key is missing or wrong.
    pub fn check_key(&self, given: Option<&PreviewKey>) -> Result<(), ApiError> {
        let (code, detail) = match (&self.key, given) {
            (None, _) => ("previews_off", "previews are off here; --preview-key-file turns them on"),
            (Some(_), None) => ("preview_key_refused", "a preview needs the key, as X-Preview-Key or preview_key="),
            (Some(key), Some(given)) if key == given => return Ok(()),
            (Some(_), Some(_)) => ("preview_key_refused", "this is not the key for previews"),
        };
        Err(ApiError::new(StatusCode::FORBIDDEN, code, detail))
    }

    /// A snapshot of a market's store, opened where it is not open yet; `catalogue` is what the market serves.
    ///
    /// # Errors
    /// When it cannot be previewed, or is not open in time.
    pub async fn generation(
        self: &Arc<Self>,
        market: &MarketState,
        catalogue: &str,
        id: SnapshotId,
    ) -> Result<Arc<Generation>, ApiError> {
        let name = PreviewName { market: market.name.clone(), id };
        if let Some(open) = self.open_one(&name) {
            return Ok(open);
        }
        let overloaded = |_| ApiError::unavailable("overloaded", "too many requests wait for previews");
        let _waiting = self.waiting.try_acquire().map_err(overloaded)?;
        let opening = self.opening(&name, market.store(), catalogue)?;
        let still_opening = || {
            let detail = format!("snapshot {} is still being opened: ask again", name.id);
            let mut answer = ApiError::unavailable("preview_opening", detail);
            answer.retry_after_s = Some(RETRY_OPENING_S);
            answer
        };
        let outcome = tokio::time::timeout(PATIENCE, outcome_of(opening)).await.map_err(|_| still_opening())?;
        outcome.map_err(|error| error.to_answer(&name.id))?;
        // It may have had to make room again already.
        self.open_one(&name).ok_or_else(still_opening)
    }

    /// Closes what nobody looks at, and all where what is live needs the space, for as long as the process lives.
    pub async fn sweep(self: Arc<Self>) {
        while self.key.is_some() {
            tokio::select! {
                () = tokio::time::sleep(SWEEP_INTERVAL) => retire(self.take_idle(IDLE)),
                () = self.kept.space_is_needed() => self.give_up_space(),
            }
        }
    }

    /// Closes all that are open. One that is being opened is let go of once it is.
    fn give_up_space(&self) {
        let gone = self.take_idle(Duration::ZERO);
        if gone.is_empty() {
            return;
        }
        warn!(count = gone.len(), "previews are closed: the disk is full, and what is live comes first");
        self.free(gone);
    }

    /// Lets go of snapshots, and removes from the disk what nothing else needs.
    fn free(&self, gone: Vec<Arc<Generation>>) {
        let (cache, kept) = (self.cache.clone(), self.kept.clone());
        let work = move || {
            gone.into_iter().for_each(Generation::retire);
            cache.retain(&kept.objects());
        };
        if let Err(error) = opening::start(work) {
            warn!("the files of previews stay until the next snapshot: {error}");
        }
    }

    fn open_one(&self, name: &PreviewName) -> Option<Arc<Generation>> {
        self.state().shelf.get(name, Instant::now())
    }

    /// The opening of this snapshot that is under way, or a new one.
    fn opening(self: &Arc<Self>, name: &PreviewName, store: &Store, catalogue: &str) -> Result<Opening, ApiError> {
        let mut state = self.state();
        // An opening that has ended is closed: its snapshot is open, or may be tried again.
        state.openings.retain(|(_, opening)| opening.has_changed().is_ok());
        if let Some((_, opening)) = state.openings.iter().find(|(known, _)| known == name) {
            return Ok(opening.clone());
        }
        if state.openings.len() >= MAX_OPENINGS {
            return Err(ApiError::unavailable("overloaded", "too many snapshots are being opened"));
        }
        if self.kept.lacks_space() {
            return Err(PreviewError::WithoutSpace.to_answer(&name.id));
        }
        let (ended, opening) = watch::channel(None);
        state.openings.push((name.clone(), opening.clone()));
        let (previews, name) = (self.clone(), name.clone());
        let (store, catalogue) = (store.clone(), catalogue.to_owned());
        tokio::spawn(async move {
            let started = Instant::now();
            let outcome = previews.open(&name, store, &catalogue).await;
            let took_ms = started.elapsed().as_millis() as u64;
            match &outcome {
                Ok(()) => info!(market = name.market, snapshot.id = %name.id, took_ms, "a preview is open"),
                Err(error) => warn!(market = name.market, snapshot.id = %name.id, "no preview: {error}"),
            }
            ended.send_replace(Some(outcome));
        });
        Ok(opening)
    }

    async fn open(&self, name: &PreviewName, store: Store, catalogue: &str) -> Outcome {
        let manifest = self.manifest(name, &store, catalogue).await?;
        let _turn = self.turn.lock().await;
        // It may have waited for long.
        if self.kept.lacks_space() {
            return Err(PreviewError::WithoutSpace);
        }
        let size_bytes = memory_bytes(&manifest);
        // Between being looked for in vain and this turn, another opening may have brought it.
        let Some(gone) = self.make_room(name, &manifest) else { return Ok(()) };
        retire(gone);
        let opened = self.open_on_thread(name.market.clone(), store, manifest).await;
        let generation = opened.map(|index| Arc::new(Generation::preview(index, &self.metrics)));
        self.settle(name, size_bytes, generation)
    }

    async fn manifest(&self, name: &PreviewName, store: &Store, catalogue: &str) -> Result<Manifest, PreviewError> {
        let manifest = store.get_manifest(&name.id).await.map_err(|error| match error {
            snapshots::Error::NotFound(_) => PreviewError::Missing,
            other => OpenError::from(other).into(),
        })?;
        if manifest.catalogue != catalogue {
            return Err(PreviewError::OtherCatalogue { found: manifest.catalogue, served: catalogue.to_owned() });
        }
        match memory_bytes(&manifest) {
            size_bytes if size_bytes > self.max_bytes => {
                Err(PreviewError::TooLarge { size_bytes, max_bytes: self.max_bytes })
            }
            _ => Ok(manifest),
        }
    }

    /// Takes out what must go before this snapshot is opened, and has its objects kept; None where it is open already.
    fn make_room(&self, name: &PreviewName, manifest: &Manifest) -> Option<Vec<Arc<Generation>>> {
        let mut state = self.state();
        if state.shelf.get(name, Instant::now()).is_some() {
            return None;
        }
        let gone = state.shelf.make_room(memory_bytes(manifest));
        state.installing = digests(manifest).collect();
        self.note(&state);
        Some(gone)
    }

    /// Removes from the disk what no market and no preview needs, then installs and opens.
    async fn open_on_thread(&self, market: String, store: Store, manifest: Manifest) -> Result<Index, OpenError> {
        let (cache, kept) = (self.cache.clone(), self.kept.clone());
        let runtime = tokio::runtime::Handle::current();
        let (done, wait) = oneshot::channel();
        let work = move || {
            let opened = opening::caught(|| {
                cache.retain(&kept.objects());
                opening::open_index(&runtime, Some(&store), &cache, manifest, &market)
            });
            drop(done.send(opened));
        };
        opening::start(work)?;
        wait.await.unwrap_or_else(|_| Err(OpenError::Panic("the thread ended".into())))
    }

    /// Takes in what was opened. The objects of what failed go with the next snapshot that is opened or announced.
    fn settle(&self, name: &PreviewName, size_bytes: u64, opened: Result<Arc<Generation>, OpenError>) -> Outcome {
        let mut state = self.state();
        state.installing.clear();
        // The follower has found no space meanwhile, and would find none the next time.
        if self.kept.lacks_space() {
            self.note(&state);
            drop(state);
            self.free(opened.ok().into_iter().collect());
            return Err(PreviewError::WithoutSpace);
        }
        let outcome = opened.map(|generation| {
            state.shelf.put(name.clone(), generation, size_bytes, Instant::now());
        });
        self.note(&state);
        outcome.map_err(PreviewError::from)
    }

    fn take_idle(&self, idle: Duration) -> Vec<Arc<Generation>> {
        let mut state = self.state();
        let gone = state.shelf.take_idle(Instant::now(), idle);
        self.note(&state);
        gone
    }

    /// Tells the cache and the metrics what there is now.
    fn note(&self, state: &State) {
        let open = state.shelf.snapshots().flat_map(|generation| digests(&generation.index.snapshot().manifest));
        self.kept.set_previews(open.chain(state.installing.iter().copied()).collect());
        self.metrics.set_previews(state.shelf.count(), state.shelf.size_bytes());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a snapshot takes: its files, and what makes several segments answer as one.
fn memory_bytes(manifest: &Manifest) -> u64 {
    let outdated = manifest.segments.iter().map(|one| u64::from(one.product_count.saturating_sub(one.live_count)));
    let on_top = manifest.segments.iter().skip(1).map(|one| u64::from(one.live_count));
    // A changed product is both.
    let amended = outdated.sum::<u64>().max(on_top.sum());
    manifest.size_bytes().saturating_add(amended * AMENDED_BYTES)
}

fn digests(manifest: &Manifest) -> impl Iterator<Item = Digest> {
    manifest.objects.iter().map(|object| object.blake3)
}

/// Waits until an opening has ended.
async fn outcome_of(mut opening: Opening) -> Outcome {
    let ended = opening.wait_for(|outcome| outcome.is_some()).await.map(|outcome| outcome.clone());
    let cause = "the opening ended without an outcome".to_owned();
    ended.ok().flatten().unwrap_or(Err(PreviewError::Failed { cause, is_transient: true }))
}

/// Lets go of snapshots once their last query has ended, on a thread of its own: none that serves unmaps anything.
fn retire(gone: Vec<Arc<Generation>>) {
    if gone.is_empty() {
        return;
    }
    if let Err(error) = opening::start(move || gone.into_iter().for_each(Generation::retire)) {
        warn!("previews were closed on a thread that serves: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn manifest(segments: &[(u32, u32)]) -> Manifest {
        let (digest, count) = (Digest::of(b"an object"), segments.iter().map(|(_, live)| live).sum::<u32>());
        let segments = segments.iter().map(|(products, live)| {
            serde_json::json!({"segment": digest, "liveness": null, "product_count": products, "live_count": live})
        });
        let json = serde_json::json!({
            "format_version": snapshots::FORMAT_VERSION, "id": "a", "catalogue": "shop", "parent": null,
            "created_at": "2026-01-01T00:00:00Z", "builder_version": "test",
            "objects": [{"role": "segment", "blake3": digest, "size_bytes": 1_000}],
            "segments": segments.collect::<Vec<_>>(), "statistics": {"product_count": count, "words": {}},
            "source_watermark": null,
            "validation": {"rows_read": 0, "rows_rejected": 0, "rejected_by_field": {}, "facet_value_counts": {}},
        });
        serde_json::from_value(json).expect("a manifest")
    }

    #[test]
    fn updates_on_top_take_memory_besides_their_files() {
        let check = |segments: &[(u32, u32)], amended: u64| {
            assert_eq!(memory_bytes(&manifest(segments)), 1_000 + amended * AMENDED_BYTES, "{segments:?}");
        };
        check(&[(500, 500)], 0);
        check(&[(500, 490), (10, 10)], 10);
        check(&[(500, 500), (10, 10)], 10);
        check(&[(500, 480), (10, 5), (5, 5)], 25);
    }

    /// Those that waited for their turn took the space again, each time before the live snapshot was tried once more.
    #[tokio::test]
    async fn none_takes_the_space_that_what_is_live_lacks() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open("memory://", &[]).expect("a store");
        let manifest = sample::publish(&store, folder.path()).await;
        let cache = Arc::new(Cache::open(&folder.path().join("cache")).expect("a cache"));
        let (kept, metrics) = (Arc::new(KeptObjects::default()), Arc::new(Metrics::new(Vec::new())));
        let previews = Arc::new(Previews::new(None, u64::MAX, cache, kept.clone(), metrics));
        let name = PreviewName { market: "us".into(), id: manifest.id.clone() };
        let open = || previews.open(&name, store.clone(), &manifest.catalogue);

        let turn = previews.turn.lock().await;
        let fill_disk = async {
            kept.shrink("us", None);
            drop(turn);
        };
        let (waited, ()) = tokio::join!(open(), fill_disk);
        assert!(matches!(waited, Err(PreviewError::WithoutSpace)), "{waited:?}");
        let refused = previews.opening(&name, &store, &manifest.catalogue).map(drop).expect_err("there is no space");
        assert_eq!((refused.status.as_u16(), refused.retry_after_s), (503, Some(RETRY_FAILED_S)));
        assert!(previews.state().openings.is_empty());

        kept.found_space("us");
        open().await.expect("there is space");
        let opened = previews.take_idle(Duration::ZERO).pop().expect("it is open");
        kept.shrink("us", None);
        let ended = previews.settle(&name, 1, Ok(opened));
        assert!(matches!(ended, Err(PreviewError::WithoutSpace)), "it was opened meanwhile: {ended:?}");
        assert_eq!(previews.state().shelf.count(), 0);
    }
}
