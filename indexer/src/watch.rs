//! Following a source: what is new there becomes an update, and the update is published.
//!
//! Where the source stands is part of what is published (the manifest's watermark), so that whoever was killed, at
//! whatever moment, goes on from what is live: each row is in what is live, or is read again.
//!
//! What has been published is merged beside that, which `background.rs` does.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::json;
use snapshots::{ChannelName, Digest, Inbox, Manifest, SnapshotId, Store, WrittenPointer};
use tokio::time::{Instant, sleep_until};

use crate::background::Background;
use crate::build::RowsRequest;
use crate::channels;
use crate::ending::Ending;
use crate::hindrance::{HELD, Hindrance, Told, tell_hindrance};
use crate::opened::Scratch;
use crate::policy::Policy;
use crate::progress::{Output, Progress};
use crate::publish::{self, Change, Prepared, PublishRequest, Published};
use crate::regions::{RegionOutcome, Regions};
use crate::source::SqlQuery;
use crate::stdout::say;
use crate::telling;
use crate::update::{self, Base, InPassing, Taking, UpdateRequest, Updated};
use crate::watched_inputs::inputs;
use crate::workshop::{Workshop, cache_of};

/// So many files become one update at the most.
const MAX_FILES: usize = 1_000;
/// What stops an inbox is the first file of the next look: no more are fetched until it can be read.
const FILES_AFTER_A_FAULT: usize = 1;
/// How long to wait after failures in a row: the interval, doubled up to this.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(300);

/// What is followed.
#[derive(Clone, Debug)]
pub enum WatchedSource {
    /// Files that others leave somewhere.
    Files(Inbox),
    /// A query whose rows have a column with the time of their last change.
    Sql { query: SqlQuery, column: String, overlap_s: u32 },
}

/// What to follow, and where to publish what comes of it.
pub struct WatchRequest {
    pub source: WatchedSource,
    /// How rows are read; the inputs come from the source.
    pub rows: RowsRequest,
    pub out: PathBuf,
    pub to: Regions,
    pub channel: ChannelName,
    pub policy: Policy,
    /// Publishes are so far apart at the least.
    pub every: Duration,
    /// Where to begin when what is live does not say.
    pub from: Option<String>,
    /// Publish what is there, and end.
    pub once: bool,
}

/// What one look at the source has found.
enum Found {
    /// What is live stays as it is.
    Nothing(Box<Manifest>),
    /// The channel is held; nothing is read.
    Held,
    /// An update of this snapshot, which is to be published.
    New(SnapshotId, Box<Updated>),
}

/// What one look at the source led to.
enum Looked {
    Nothing(Box<Manifest>),
    Held,
    Published(Box<(Updated, Published)>),
}

impl Looked {
    /// What is live by now, unless the channel is held.
    fn live(self) -> Option<Manifest> {
        match self {
            Self::Nothing(live) => Some(*live),
            Self::Held => None,
            Self::Published(done) => Some(done.1.manifest),
        }
    }
}

/// Follows a source until `stop`. Reading is given up for that, what was not published is read again; and so is bringing up a
/// region, which the next run goes on with. A publish is not. What was being brought to a region just then, or of a merge to
/// any store, stays leased there, as by a run that was killed: retention keeps it until the lease expires.
///
/// # Errors
/// When nothing is live to begin from, or, for a single look, when anything fails, or it is stopped.
pub async fn watch(
    request: &WatchRequest,
    settings: &[(String, String)],
    stop: impl Future<Output = ()>,
    output: Output,
    progress: &mut Progress,
) -> Result<()> {
    let mut stop = std::pin::pin!(stop);
    if request.once {
        return look_once(request, settings, stop, output, progress).await;
    }
    let mut background = Background::new(request, settings);
    // A look shows how far it has come, and nothing beside it does.
    let quiet = progress.quiet();
    let (mut failures, mut told, mut live) = (0_u32, Told::default(), None);
    let mut files = MAX_FILES;
    // The sequence that all regions were last seen at: a watch before this one may have left them behind.
    let mut all_at = None;
    let mut look_at = Instant::now();
    loop {
        let (began, mut is_made) = (Instant::now(), false);
        if began >= look_at {
            let in_passing = InPassing::OneTooMany { merging: background.parts().to_vec() };
            let found = look(request, settings, files, in_passing, progress);
            let Some(found) = unless_stopped(&mut background, found, stop.as_mut(), &quiet).await else {
                return Ok(());
            };
            is_made = matches!(found, Ok(Found::New(..)));
            // What a policy stops is tried again as it is: it may let parts of it pass that it stops together.
            files = if found.is_ok() { MAX_FILES } else { FILES_AFTER_A_FAULT };
            let looked = match found {
                Ok(found) => background.beside(finish(request, found, progress), &quiet).await,
                Err(error) => Err(error),
            };
            tell_hindrance(hindrance(&looked), &mut told, progress);
            failures = if looked.is_err() { failures.saturating_add(1) } else { 0 };
            look_at = began + request.every.saturating_mul(1 << failures.min(6)).min(MAX_PAUSE.max(request.every));
            looked.iter().for_each(|looked| tell(looked, output));
            // A publish has done it. Otherwise none may for a long time, least of all where the channel is held, or a fault or a
            // policy stops what is new.
            if !matches!(looked, Ok(Looked::Published(_))) {
                let followed = follow(request, &mut all_at, &quiet);
                if unless_stopped(&mut background, followed, stop.as_mut(), &quiet).await.is_none() {
                    return Ok(());
                }
            }
            live = looked.ok().and_then(Looked::live);
        }
        is_made |= background.publish(&mut live, output, progress).await;
        // A policy may stop what is new for long, and what is merged waits that long.
        if is_made && !background.is_merging() {
            tidy(request, background.waiting(), progress).await;
        }
        if let Some(live) = &live {
            background.begin(live, progress).await;
        }
        tokio::select! {
            () = sleep_until(look_at) => {}
            () = background.ended(progress) => {}
            () = &mut stop => {
                background.let_go(progress).await;
                return Ok(());
            }
        }
    }
}

/// Does something beside the merge that runs, unless all is to stop before that: what waits to be published is let go of then.
async fn unless_stopped<T>(
    background: &mut Background<'_>,
    work: impl Future<Output = T>,
    stop: Pin<&mut impl Future<Output = ()>>,
    progress: &Progress,
) -> Option<T> {
    let done = tokio::select! {
        done = background.beside(work, progress) => Some(done),
        () = stop => None,
    };
    if done.is_none() {
        background.let_go(progress).await;
    }
    done
}

async fn look_once(
    request: &WatchRequest,
    settings: &[(String, String)],
    mut stop: Pin<&mut impl Future<Output = ()>>,
    output: Output,
    progress: &mut Progress,
) -> Result<()> {
    let found = tokio::select! {
        found = look(request, settings, MAX_FILES, InPassing::Small, progress) => found,
        () = &mut stop => bail!("it was stopped before anything was published: nothing is lost, run it again"),
    };
    let is_made = matches!(found, Ok(Found::New(..)));
    let looked = match found {
        Ok(found) => finish(request, found, progress).await,
        Err(error) => Err(error),
    };
    if is_made {
        tidy(request, None, progress).await;
    }
    if !matches!(looked, Ok(Looked::Published(_))) {
        let mut all_at = None;
        let followed = tokio::select! {
            followed = follow(request, &mut all_at, progress) => followed,
            () = &mut stop => {
                // Why nothing was published matters more.
                looked?;
                bail!("it was stopped before all regions were brought up: run it again, or 'indexer sync'")
            }
        };
        tell_behind(followed, progress);
    }
    let looked = looked?;
    tell(&looked, output);
    tell_idle(&looked, output);
    Ok(())
}

/// Brings up the regions that an earlier look has left behind, unless all were seen at what is announced by now. That is read
/// once more: a look may take minutes, and whoever has gone back meanwhile would find what they took back in a region.
///
/// # Errors
/// When it cannot be read.
async fn follow(request: &WatchRequest, all_at: &mut Option<u64>, progress: &Progress) -> Result<Vec<RegionOutcome>> {
    if request.to.others.is_empty() {
        return Ok(Vec::new());
    }
    let announced = read_live(request).await?;
    let sequence = announced.pointer().sequence;
    if *all_at == Some(sequence) {
        return Ok(Vec::new());
    }
    let outcomes = request.to.follow_again(&request.channel, &announced, progress).await;
    *all_at = outcomes.iter().all(|outcome| outcome.result.is_ok()).then_some(sequence);
    Ok(outcomes)
}

/// Says which regions are behind.
fn tell_behind(followed: Result<Vec<RegionOutcome>>, progress: &Progress) {
    match followed {
        Ok(outcomes) => {
            for RegionOutcome { region, result } in outcomes {
                if let Err(error) = result {
                    progress.note(&format!("region {region} is behind: {error:#}"));
                }
            }
        }
        Err(error) => progress.note(&format!("the regions may be behind: {error:#}")),
    }
}

fn hindrance(looked: &Result<Looked>) -> Option<Hindrance> {
    match looked {
        Ok(Looked::Held) => Some(Hindrance::Held),
        Ok(_) => None,
        Err(error) => Some(Hindrance::Fault(format!("{error:#}"))),
    }
}

/// Looks at the source, and makes an update of what is new there: so many files at the most. Nothing is half done where this
/// is given up.
async fn look(
    request: &WatchRequest,
    settings: &[(String, String)],
    files: usize,
    in_passing: InPassing,
    progress: &mut Progress,
) -> Result<Found> {
    let live = read_live(request).await?;
    let live = live.pointer();
    if live.held {
        return Ok(Found::Held);
    }
    let home = &request.to.home;
    let manifest = home.get_manifest(&live.snapshot).await?;
    // What comes from now on may be in no list of this look.
    let looked_at = Some(Timestamp::now());
    // Where files are read from: it goes with this look.
    let scratch = tempfile::tempdir().context("making a folder for files")?;
    let from = request.from.as_deref();
    let inputs = inputs(&request.source, from, &manifest, files, scratch.path(), progress).await?;
    if inputs.is_empty() {
        return Ok(Found::Nothing(Box::new(manifest)));
    }
    let update = UpdateRequest {
        out: request.out.clone(),
        base: Base::Of(Box::new((home.clone(), manifest))),
        rules: None,
        rows: RowsRequest { inputs, ..request.rows.clone() },
        taking: Taking::WhatFits,
        looked_at,
        in_passing,
    };
    let updated = update::update(&update, settings, progress).await?;
    if updated.is_same {
        return Ok(Found::Nothing(Box::new(updated.manifest)));
    }
    Ok(Found::New(live.snapshot.clone(), Box::new(updated)))
}

async fn read_live(request: &WatchRequest) -> Result<WrittenPointer> {
    let (home, channel) = (&request.to.home, &request.channel);
    match channels::read(home, channel).await? {
        Some(live) => Ok(live.written()),
        None => bail!(
            "nothing is live on channel '{channel}' of {}: publish a first snapshot with 'indexer build' and 'indexer publish'",
            home.url()
        ),
    }
}

/// Publishes what was found.
async fn finish(request: &WatchRequest, found: Found, progress: &mut Progress) -> Result<Looked> {
    match found {
        Found::Nothing(live) => Ok(Looked::Nothing(live)),
        Found::Held => Ok(Looked::Held),
        Found::New(base, updated) => {
            let published = publish(request, &base, &updated, progress).await?;
            Ok(Looked::Published(Box::new((*updated, published))))
        }
    }
}

/// Publishes what was made of `base`, if that is still live.
async fn publish(
    request: &WatchRequest,
    base: &SnapshotId,
    updated: &Updated,
    progress: &mut Progress,
) -> Result<Published> {
    let publish = publish_request(request, updated.manifest.id.clone(), Change::Answers)?;
    let prepared = prepare(&publish, base).await?;
    let scratch = Scratch::new(Some(&cache_of(&request.out)))?;
    let checked = publish::judge(&publish, &prepared, &request.policy, &scratch).await?;
    // Each try is a snapshot of its own, and soon gone: the newest is the one that is meant. And what is told is the same then.
    ensure!(
        checked.violations.is_empty(),
        Ending::verdict(format!(
            "the policy stops what is new, and these rows are tried again later; publish them all the same with 'indexer publish \
             --store URL --override REASON {}', or take them out of the source:\n{}",
            request.out.display(),
            checked.text()
        ))
    );
    drop(scratch);
    publish::publish(&publish, prepared, progress).await
}

/// How what is in the folder is published.
pub(crate) fn publish_request(request: &WatchRequest, snapshot: SnapshotId, change: Change) -> Result<PublishRequest> {
    Ok(PublishRequest {
        from: Store::directory(&request.out)?,
        snapshot: Some(snapshot),
        to: request.to.clone(),
        channel: request.channel.clone(),
        reason: None,
        change,
        canary: None,
        dry_run: false,
    })
}

/// Prepares the publish of what was made of `base`, if that is still live: what someone else has published meanwhile is not
/// in it, and would be undone by it.
pub(crate) async fn prepare(publish: &PublishRequest, base: &SnapshotId) -> Result<Prepared> {
    let prepared = publish::prepare(publish).await?;
    let now = prepared.before.as_ref().map(|before| &before.pointer.snapshot);
    ensure!(
        now == Some(base),
        "channel '{}' has moved on from {base} meanwhile: this is done again, on top of what is live by then",
        publish.channel
    );
    Ok(prepared)
}

/// What was published is in the store, and the next update takes from there what it lacks; what a policy stops is made anew
/// with each look. `waiting` is in no manifest yet. That something is kept in vain is no failure: what matters is live.
async fn tidy(request: &WatchRequest, waiting: Option<Digest>, progress: &Progress) {
    let tidied = match Workshop::open(&request.out) {
        Ok(workshop) => workshop.tidy(waiting).await,
        Err(error) => Err(error),
    };
    if let Err(error) = tidied {
        progress.note(&format!("{} keeps what is no longer needed: {error:#}", request.out.display()));
    }
}

/// What a single look that published nothing has found.
fn tell_idle(looked: &Looked, output: Output) {
    let (event, text) = match looked {
        Looked::Nothing(_) => ("unchanged", "nothing is new"),
        Looked::Held => ("held", HELD),
        Looked::Published(_) => return,
    };
    match output {
        Output::Json => say(&format!("{}\n", json!({ "event": event }))),
        Output::Text => say(&format!("{text}\n")),
    }
}

fn tell(looked: &Looked, output: Output) {
    match (looked, output) {
        (Looked::Published(done), Output::Json) => {
            let (updated, published) = &**done;
            let told = json!({
                "event": "published", "snapshot": updated.manifest.id, "sequence": published.pointer.sequence,
                "changed": updated.changed, "deleted": updated.deleted, "unchanged_rows": updated.unchanged,
                "rows_expired": updated.expired, "rows_rejected": updated.rejected,
                "uploaded_bytes": published.uploaded_bytes,
                "watermark": updated.manifest.source_watermark, "regions": telling::regions_json(&published.regions),
            });
            say(&format!("{told}\n"));
        }
        (Looked::Published(done), Output::Text) => {
            let (updated, published) = &**done;
            let behind = published.regions.iter().filter(|outcome| outcome.result.is_err());
            say(&format!(
                "{} is live (sequence {}): {} changed, {} deleted, {} set aside\n{}",
                updated.manifest.id,
                published.pointer.sequence,
                updated.changed,
                updated.deleted,
                updated.rejected,
                telling::regions_text(behind)
            ));
        }
        _ => {}
    }
}
