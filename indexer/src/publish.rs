//! Brings a snapshot to every region's store and announces it, step by step. A crash between any two steps leaves the
//! channel as it was, and running the publish again finishes the job.

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use snapshots::{ChannelName, Error, Manifest, Pointer, ReadPointer, SnapshotId, StatusBoard, Store};

use crate::bring::{self, Brought, missing_objects};
use crate::canary::{self, Canary, CanaryPlan, Verdict};
use crate::checks::{self, Checked, Stored, is_damage};
use crate::opened::Scratch;
use crate::policy::Policy;
use crate::progress::Progress;
use crate::regions::{RegionOutcome, Regions, copy_pointer};

/// What to publish where.
pub struct PublishRequest {
    pub from: Store,
    /// None: the newest one of `from`.
    pub snapshot: Option<SnapshotId>,
    pub to: Regions,
    pub channel: ChannelName,
    /// Why it is announced in spite of what the checks found; the pointer keeps it.
    pub reason: Option<String>,
    /// A few nodes try it first, and tell how that goes.
    pub canary: Option<(CanaryPlan, StatusBoard)>,
    pub dry_run: bool,
}

/// What a publish did, or would do.
#[derive(Debug)]
pub struct Published {
    pub manifest: Manifest,
    pub pointer: Pointer,
    pub uploaded_objects: usize,
    pub uploaded_bytes: u64,
    /// The channel pointed at this snapshot already.
    pub already_live: bool,
    pub previous: Option<Pointer>,
    pub regions: Vec<RegionOutcome>,
    /// How a canary fared; where it has faults, nothing was announced.
    pub verdict: Option<Verdict>,
}

/// A snapshot that may be published, and what the channel points at before.
pub struct Prepared {
    pub manifest: Manifest,
    pub before: Option<ReadPointer>,
}

impl Prepared {
    /// Whether the channel points at it already.
    pub fn is_live(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.pointer.snapshot == self.manifest.id)
    }
}

/// Publishes: bring to the home store, bring to the regions, announce at home, copy to the regions.
///
/// # Errors
/// When the channel is held or moved by someone else meanwhile, the snapshot is damaged, or the home store fails. A
/// region that fails is in what is returned.
pub async fn publish(request: &PublishRequest, prepared: Prepared, progress: &mut Progress) -> Result<Published> {
    let Prepared { manifest, before } = prepared;
    let previous = before.as_ref().map(|before| before.pointer.clone());
    let home = &request.to.home;
    let mut published = Published {
        pointer: Pointer::after(previous.as_ref(), manifest.id.clone()),
        manifest,
        uploaded_objects: 0,
        uploaded_bytes: 0,
        already_live: false,
        previous,
        regions: Vec::new(),
        verdict: None,
    };
    published.pointer.reason.clone_from(&request.reason);
    if let Some(live) = published.previous.clone().filter(|live| live.snapshot == published.manifest.id) {
        (published.pointer, published.already_live) = (live, true);
        return Ok(published);
    }
    if request.dry_run {
        let missing = missing_objects(home, &published.manifest).await?;
        published.uploaded_objects = missing.len();
        published.uploaded_bytes = missing.iter().map(|object| object.size_bytes).sum();
        return Ok(published);
    }
    let live = published.previous.as_ref().map(|live| &live.snapshot);
    let brought = bring::bring(&request.from, home, &published.manifest, live, progress).await?;
    (published.uploaded_objects, published.uploaded_bytes) = (brought.objects, brought.bytes);
    let in_regions = bring_to_regions(request, &published.manifest, live, progress).await;
    let announced = match try_canary(request, &published.manifest, progress).await {
        Ok(verdict) => {
            published.verdict = verdict;
            progress.begin("announce", "", None);
            match (published.was_withdrawn(), brought.ensure_held()) {
                (true, _) => Ok(()),
                (false, Err(error)) => Err(error),
                (false, Ok(())) => {
                    published.pointer.announced_at = Timestamp::now();
                    announce(home, &request.channel, before.as_ref(), &published.pointer).await
                }
            }
        }
        Err(error) => Err(error),
    };
    let is_announced = announced.is_ok() && !published.was_withdrawn();
    for ((region, store), brought) in request.to.others.iter().zip(in_regions) {
        let result = match (brought, is_announced) {
            (Ok(brought), true) => {
                let copied = match brought.ensure_held() {
                    Ok(()) => copy_pointer(store, &request.channel, &published.pointer).await,
                    Err(error) => Err(error),
                };
                release(&brought, progress).await;
                copied.context("copying the pointer")
            }
            (Ok(brought), false) => {
                release(&brought, progress).await;
                continue;
            }
            (Err(error), _) => Err(error),
        };
        published.regions.push(RegionOutcome { region: region.clone(), result });
    }
    release(&brought, progress).await;
    if is_announced {
        request.to.tell(&request.channel, Some(published.pointer.sequence), progress).await;
    }
    progress.end();
    announced?;
    if is_announced && request.canary.is_some() {
        // By now everyone is to serve it.
        canary::withdraw(&request.to, Some("promoted".to_owned()), progress).await?;
    }
    Ok(published)
}

async fn try_canary(request: &PublishRequest, manifest: &Manifest, progress: &mut Progress) -> Result<Option<Verdict>> {
    let Some((plan, board)) = &request.canary else { return Ok(None) };
    let canary = Canary { stores: &request.to, board, manifest, plan: *plan };
    canary.run(progress).await.map(Some)
}

impl Published {
    /// Whether a canary was worse than what is live.
    pub fn was_withdrawn(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| !verdict.faults.is_empty())
    }
}

/// Finds what is to be published, and that it may be.
///
/// # Errors
/// When there is no such snapshot, or the channel is held or serves another catalogue.
pub async fn prepare(request: &PublishRequest) -> Result<Prepared> {
    let id = chosen_snapshot(request).await?;
    let manifest = request.from.get_manifest(&id).await.with_context(|| format!("snapshot {id}"))?;
    let channel = &request.channel;
    let before = request.to.home.pointer(channel).await.with_context(|| format!("channel '{channel}'"))?;
    check(request, &manifest, before.as_ref()).await?;
    Ok(Prepared { manifest, before })
}

/// Compares what is to be published with what is there, and has a policy judge it.
///
/// # Errors
/// As [`checks::before_publish`].
pub async fn judge(
    request: &PublishRequest,
    prepared: &Prepared,
    policy: &Policy,
    scratch: &Scratch,
) -> Result<Checked> {
    let home = &request.to.home;
    let live = match &prepared.before {
        None => None,
        Some(before) => match home.get_manifest(&before.pointer.snapshot).await {
            Ok(live) => Some(live),
            Err(error) if is_damage(&error) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let before = live.as_ref().map(|manifest| Stored { store: home, manifest });
    let after = Stored { store: &request.from, manifest: &prepared.manifest };
    checks::before_publish(after, before, policy, scratch).await
}

/// Every region at once: a slow one delays the announcement, but none of the others.
async fn bring_to_regions(
    request: &PublishRequest,
    manifest: &Manifest,
    live: Option<&SnapshotId>,
    progress: &Progress,
) -> Vec<Result<Brought>> {
    let bring = request
        .to
        .others
        .iter()
        .map(async |(_, store)| bring::bring(&request.from, store, manifest, live, &mut progress.quiet()).await);
    futures::future::join_all(bring).await
}

/// What matters is done, or told elsewhere.
async fn release(brought: &Brought, progress: &Progress) {
    if let Err(error) = brought.release().await {
        progress.note(&format!("a lease could not be removed, and will expire: {error}"));
    }
}

async fn chosen_snapshot(request: &PublishRequest) -> Result<SnapshotId> {
    if let Some(id) = &request.snapshot {
        return Ok(id.clone());
    }
    let newest = request.from.list_snapshots().await?.pop();
    newest.with_context(|| format!("{} holds no snapshot: run 'indexer build' first", request.from.url()))
}

async fn check(request: &PublishRequest, manifest: &Manifest, before: Option<&ReadPointer>) -> Result<()> {
    ensure!(manifest.statistics.product_count > 0, "snapshot {} holds no product", manifest.id);
    let Some(before) = before else { return Ok(()) };
    let channel = &request.channel;
    if *channel == ChannelName::live()
        && let Some(canary) = request.to.home.pointer(&ChannelName::canary()).await?
        && canary::is_under_way(&canary.pointer)
    {
        bail!("a canary of {} is under way: wait for its end, or 'indexer withdraw' it", canary.pointer.snapshot);
    }
    let why = before.pointer.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
    ensure!(
        !before.pointer.held,
        "channel '{channel}' is held at {}{why}: nothing is published until 'indexer resume'",
        before.pointer.snapshot
    );
    match request.to.home.get_manifest(&before.pointer.snapshot).await {
        Ok(live) => ensure!(
            live.catalogue == manifest.catalogue,
            "channel '{channel}' serves the catalogue '{}', and this snapshot is of '{}'",
            live.catalogue,
            manifest.catalogue,
        ),
        // A live manifest that is damaged must not keep its replacement out, nor one whose key is trusted no longer.
        Err(error) if is_damage(&error) => {}
        Err(error) => bail!(error),
    }
    Ok(())
}

/// Moves the pointer in the home store.
///
/// # Errors
/// When someone else was faster, or the store fails.
pub async fn announce(
    home: &Store,
    channel: &ChannelName,
    before: Option<&ReadPointer>,
    pointer: &Pointer,
) -> Result<()> {
    match home.move_pointer(channel, before, pointer).await {
        Err(Error::Conflict { channel, now }) => bail!(
            "another publish was faster: channel '{channel}' moved to {now} since this run began. \
             Nothing is lost: the snapshot is uploaded. Look at 'indexer status', and publish again if it should replace that one"
        ),
        moved => moved.context("announcing"),
    }
}
