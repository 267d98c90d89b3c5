//! Brings a snapshot to every region's store and announces it, step by step. A crash between any two steps leaves the
//! channel as it was, and running the publish again finishes the job.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use snapshots::{
    ChannelName, Digest, Error, Manifest, Pointer, PointerVersion, ReadPointer, RegionName, SnapshotId, StatusBoard,
    Store, WrittenPointer,
};

use crate::bring::{self, Brought, missing_objects};
use crate::canary::{self, Canary, CanaryPlan, Tried};
use crate::channels;
use crate::checks::{self, Checked, Stored, is_damage};
use crate::ending::Ending;
use crate::lineage;
use crate::opened::Scratch;
use crate::policy::Policy;
use crate::progress::Progress;
use crate::regions::{NO_TIMEOUT, RegionOutcome, Regions, copy_pointer, copy_there};
use crate::verdict::Verdict;

/// What to publish where.
pub struct PublishRequest {
    pub from: Store,
    /// None: the newest one of `from`.
    pub snapshot: Option<SnapshotId>,
    pub to: Regions,
    pub channel: ChannelName,
    /// Why it is announced in spite of what the checks found; the pointer keeps it.
    pub reason: Option<String>,
    pub change: Change,
    /// A few nodes try it first, and tell how that goes.
    pub canary: Option<(CanaryPlan, StatusBoard)>,
    pub dry_run: bool,
}

/// What a publish changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// What is answered.
    Answers,
    /// Which segments answer, and nothing else; `ahead` is one that was brought to these stores before, and is held there.
    /// Home has no region's name.
    Segments { ahead: HashMap<Option<RegionName>, Digest> },
}

impl Change {
    fn ahead(&self, region: Option<&RegionName>) -> Option<Digest> {
        match self {
            Self::Answers => None,
            Self::Segments { ahead } => ahead.get(&region.cloned()).copied(),
        }
    }

    /// The next pointer. Whoever goes back wants other answers: a snapshot that answers the same takes the place of the one
    /// before it, as if that had not been.
    fn pointer(&self, before: Option<&Pointer>, snapshot: SnapshotId) -> Pointer {
        let mut pointer = Pointer::after(before, snapshot);
        if let (Self::Segments { .. }, Some(before)) = (self, before) {
            pointer.previous.clone_from(&before.previous);
        }
        pointer
    }
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
        pointer: request.change.pointer(previous.as_ref(), manifest.id.clone()).of_catalogue(&manifest.catalogue),
        manifest,
        uploaded_objects: 0,
        uploaded_bytes: 0,
        already_live: false,
        previous,
        regions: Vec::new(),
        verdict: None,
    };
    published.pointer.reason.clone_from(&request.reason);
    if let Some(live) = before.as_ref().filter(|live| live.pointer.snapshot == published.manifest.id) {
        (published.pointer, published.already_live) = (live.pointer.clone(), true);
        if !request.dry_run {
            // A run that died right after the announcement has left the regions behind.
            published.regions = request.to.follow(&request.channel, &live.written(), progress).await;
        }
        return Ok(published);
    }
    if request.dry_run {
        let missing = missing_objects(home, &published.manifest).await?;
        published.uploaded_objects = missing.len();
        published.uploaded_bytes = missing.iter().map(|object| object.size_bytes).sum();
        return Ok(published);
    }
    let live = published.previous.as_ref().map(|live| &live.snapshot);
    let ahead = request.change.ahead(None);
    let brought = bring::bring(&request.from, home, &published.manifest, live, ahead, NO_TIMEOUT, progress).await?;
    (published.uploaded_objects, published.uploaded_bytes) = (brought.objects, brought.bytes);
    let in_regions = bring_to_regions(request, &published.manifest, progress).await;
    let tried = try_canary(request, &published.manifest, &in_regions, progress).await;
    let (announced, tried) = match tried {
        Ok(tried) => {
            published.verdict = tried.as_ref().map(|tried| tried.verdict.clone());
            progress.begin("announce", "", None);
            (announce_brought(request, &brought, before.as_ref(), &mut published).await, tried)
        }
        Err(error) => (Err(error), None),
    };
    let pointer = announced.as_ref().ok().and_then(Option::as_ref);
    if pointer.is_some() {
        // A region may take minutes to follow: edges that read the home store need not wait for it.
        request.to.tell(&request.channel, Some(published.pointer.sequence), progress).await;
    }
    published.regions = finish_regions(request, in_regions, pointer, progress).await;
    brought.let_go(progress).await;
    progress.end();
    let ended = match &tried {
        Some(tried) => end_canary(tried, &announced, progress).await,
        None => Ok(()),
    };
    announced?;
    ended?;
    Ok(published)
}

/// Announces what was brought, unless a canary has shown that it is worse; None then.
async fn announce_brought(
    request: &PublishRequest,
    brought: &Brought,
    before: Option<&ReadPointer>,
    published: &mut Published,
) -> Result<Option<WrittenPointer>> {
    if published.was_withdrawn() {
        return Ok(None);
    }
    brought.ensure_held()?;
    published.pointer.announced_at = Timestamp::now();
    let version = before.map(ReadPointer::version);
    announce(&request.to.home, &request.channel, version, &published.pointer).await.map(Some)
}

/// Takes the canary back, if it has not been: by now everyone is to serve the snapshot, or, where it could not be
/// announced, nobody.
async fn end_canary(tried: &Tried, announced: &Result<Option<WrittenPointer>>, progress: &Progress) -> Result<()> {
    let reason = match announced {
        Ok(_) => "promoted".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    canary::withdraw(&tried.stores, Some(&tried.pointer), Some(reason), progress).await.map(drop)
}

/// Lets nodes try it where that is asked for, but for those of regions that could not be brought it.
async fn try_canary(
    request: &PublishRequest,
    manifest: &Manifest,
    in_regions: &[Result<Brought>],
    progress: &mut Progress,
) -> Result<Option<Tried>> {
    let Some((plan, board)) = &request.canary else { return Ok(None) };
    let failed = request.to.others.iter().zip(in_regions).filter(|(_, brought)| brought.is_err());
    let away: Vec<RegionName> = failed.map(|((region, _), _)| region.clone()).collect();
    let mut stores = request.to.clone();
    stores.others.retain(|(region, _)| !away.contains(region));
    let canary = Canary { stores, away, board, manifest, plan: *plan };
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
    let before = channels::read(&request.to.home, channel).await?;
    let live = check(request, &manifest, before.as_ref()).await?;
    // What was published in spite of a policy is live under an id of its own. Brought again as it was built, it would lose the
    // reason, and whoever goes back would come to the same products.
    let manifest = live.filter(|live| lineage::is_same(live, &manifest)).unwrap_or(manifest);
    Ok(Prepared { manifest, before })
}

/// Compares what is to be published with what is there, and has a policy judge it. On the live channel, it must not undo
/// what it was not made of, either.
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
    let mut checked = checks::before_publish(after, before, policy, scratch).await?;
    if let Some(before) = before.filter(|_| request.channel == ChannelName::live()) {
        checked.violations.extend(lineage::undone_by(after, before).await?);
    }
    Ok(checked)
}

/// Every region at once: a slow one delays the announcement until it is given up on, and none of the others.
async fn bring_to_regions(request: &PublishRequest, manifest: &Manifest, progress: &Progress) -> Vec<Result<Brought>> {
    let bring = request.to.others.iter().map(|(region, store)| {
        let brought = bring_to_region(request, region, store, manifest, progress);
        request.to.or_leave_out(region, brought)
    });
    futures::future::join_all(bring).await
}

async fn bring_to_region(
    request: &PublishRequest,
    region: &RegionName,
    store: &Store,
    manifest: &Manifest,
    progress: &Progress,
) -> Result<Brought> {
    request.to.ensure_not_left_out(region)?;
    // What is live at home may never have been read back here.
    let live = request.to.in_time(copy_there(store, &request.channel)).await?.0.map(|copy| copy.snapshot);
    let ahead = request.change.ahead(Some(region));
    bring::bring(&request.from, store, manifest, live.as_ref(), ahead, request.to.timeout, &mut progress.quiet()).await
}

/// Copies the pointer to every region, where there is one to copy, and lets go of what was brought: all at once again, so
/// that a region that went away meanwhile keeps none of the others waiting.
async fn finish_regions(
    request: &PublishRequest,
    in_regions: Vec<Result<Brought>>,
    pointer: Option<&WrittenPointer>,
    progress: &Progress,
) -> Vec<RegionOutcome> {
    let finish = request.to.others.iter().zip(in_regions).map(|((region, store), brought)| async move {
        let result = finish_region(request, brought, region, store, pointer, progress).await?;
        Some(RegionOutcome { region: region.clone(), result })
    });
    futures::future::join_all(finish).await.into_iter().flatten().collect()
}

/// None where there was nothing to do, and nothing went wrong.
async fn finish_region(
    request: &PublishRequest,
    brought: Result<Brought>,
    region: &RegionName,
    store: &Store,
    pointer: Option<&WrittenPointer>,
    progress: &Progress,
) -> Option<Result<()>> {
    let brought = match brought {
        Ok(brought) => brought,
        Err(error) => return Some(Err(error)),
    };
    let copied = match pointer {
        Some(pointer) => {
            let copied = request.to.in_time(copy_held(request, &brought, store, pointer));
            let copied = request.to.or_leave_out(region, copied).await;
            if copied.is_ok() {
                request.to.tell_followed(&request.channel, pointer).await;
            }
            Some(copied)
        }
        None => None,
    };
    brought.let_go(progress).await;
    copied
}

async fn copy_held(request: &PublishRequest, brought: &Brought, store: &Store, pointer: &WrittenPointer) -> Result<()> {
    brought.ensure_held()?;
    copy_pointer(&request.to.home, store, &request.channel, pointer).await.context("copying the pointer")
}

async fn chosen_snapshot(request: &PublishRequest) -> Result<SnapshotId> {
    if let Some(id) = &request.snapshot {
        return Ok(id.clone());
    }
    let newest = request.from.newest_snapshot().await?;
    newest.with_context(|| format!("{} holds no snapshot: run 'indexer build' first", request.from.url()))
}

/// That a snapshot may take the place of what the channel points at, whose manifest is given where it can be read.
async fn check(
    request: &PublishRequest,
    manifest: &Manifest,
    before: Option<&ReadPointer>,
) -> Result<Option<Manifest>> {
    ensure!(manifest.statistics.product_count > 0, "snapshot {} holds no product", manifest.id);
    let Some(before) = before else { return Ok(None) };
    let channel = &request.channel;
    if *channel == ChannelName::live() {
        match request.to.home.pointer(&ChannelName::canary()).await {
            Ok(Some(canary)) if canary::is_under_way(&canary.pointer) => {
                let tried = &canary.pointer.snapshot;
                bail!("a canary of {tried} is under way: wait for its end, or 'indexer withdraw' it");
            }
            Ok(_) => {}
            // One that cannot be read is tried by nobody: it may be left of the time before keys were changed.
            Err(error) if is_damage(&error) => {}
            Err(error) => bail!(error),
        }
    }
    let why = before.pointer.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
    ensure!(
        !before.pointer.held,
        Ending::verdict(format!(
            "channel '{channel}' is held at {}{why}: nothing is published until 'indexer resume'",
            before.pointer.snapshot
        ))
    );
    let live = match request.to.home.get_manifest(&before.pointer.snapshot).await {
        Ok(live) => Some(live),
        // A live manifest that is damaged must not keep its replacement out, nor one whose key is trusted no longer.
        Err(error) if is_damage(&error) => None,
        Err(error) => bail!(error),
    };
    let served = live.as_ref().map_or(before.pointer.catalogue.as_ref(), |live| Some(&live.catalogue));
    if let Some(served) = served.filter(|served| **served != manifest.catalogue) {
        bail!("channel '{channel}' serves the catalogue '{served}', and this snapshot is of '{}'", manifest.catalogue);
    }
    Ok(live)
}

/// Moves the pointer in the home store from where `version` saw it, and gives what was written.
///
/// # Errors
/// When someone else was faster, or the store fails.
pub async fn announce(
    home: &Store,
    channel: &ChannelName,
    version: Option<&PointerVersion>,
    pointer: &Pointer,
) -> Result<WrittenPointer> {
    let written = home.written(channel, pointer).context("announcing")?;
    match home.put_pointer(channel, version, &written).await {
        Err(Error::Conflict { channel, now }) => bail!(
            "another publish was faster: channel '{channel}' moved to {now} since this run began. \
             Nothing is lost: the snapshot is uploaded. Look at 'indexer status', and publish again if it should replace that one"
        ),
        moved => moved.map(|()| written).context("announcing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_goes_back_goes_behind_a_snapshot_that_answers_the_same() {
        let id = |name: &str| name.parse::<SnapshotId>().expect("an id");
        let first = Change::Answers.pointer(None, id("first"));
        let second = Change::Answers.pointer(Some(&first), id("second"));
        let merged = Change::Segments { ahead: HashMap::new() }.pointer(Some(&second), id("merged"));
        assert_eq!((merged.snapshot, merged.sequence, merged.previous), (id("merged"), 3, Some(id("first"))));
        assert_eq!(second.previous, Some(id("first")));
    }
}
