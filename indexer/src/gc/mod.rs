//! Retention: removes from one store what no pin, pointer, canary, lease, node, recent or young snapshot reaches.
//!
//! What is found unreachable is marked, and goes in a later run, a grace after that, if it is unreachable still: an edge
//! may be opening what was announced until a moment ago. The marks are the first listing, the later run makes the second;
//! nobody has to sleep in between, though `--wait` does.
//!
//! # Why a pointer never points at what is gone
//!
//! Whoever moves a pointer to a snapshot (publish, rollback, pin, sync):
//!
//! - P1 writes a lease of all that the snapshot is made of;
//! - P2 looks at the sweeps ([`snapshots::Sweep`]), and waits while one of them condemns any of that;
//! - P3 looks at what is there, brings what is not, and reads it back;
//! - P4 moves the pointer, unless the lease is older than 12 hours, and removes the lease.
//!
//! Whoever removes:
//!
//! - G1 writes a sweep with all that it may remove;
//! - G2 finds out what is reachable: leases first, then pointers, then manifests. What is reachable it takes off the sweep;
//! - G3 one after another: looks for new leases, then at pointers; takes off the sweep what these hold; removes one thing,
//!   and waits for the answer;
//! - G4 removes the sweep.
//!
//! Blob storage and a directory show a write to every read that begins after its answer. That is all that is needed:
//!
//! - P1 before G2 lists leases: the lease is seen, and nothing of it goes. Where it is removed by then, P4 came before that,
//!   and the pointer is seen, which is why leases are listed before pointers are read.
//! - P1 after G2 listed leases: then G1 came before P1 and so before P2, which sees the sweep, or comes after G4. In the
//!   latter case every removal was answered before P2, and P3 finds what is missing and brings it. In the former, P2 waits
//!   until what it needs is off the sweep: by then G3 has seen the lease and spares it from now on, and no removal is on its
//!   way, since each was answered before the next look. P3 comes after that, too.
//!
//! So P3 sees the truth, and what it has seen stays until P4 and beyond. A look before each removal is more than this needs,
//! as long as everyone looks at sweeps; it makes P2 short, and it guards those who do not.
//!
//! A removal whose answer is lost, or whose process dies, may be on its way still: the sweep then stays, and holds up
//! whoever needs what it condemns until it ends, 15 minutes after the last request at the least. By then Azure refuses a
//! request that was signed with an account's key. What remains: a request with another kind of token that is held up for
//! longer than that, a machine that stands still for so long between its last look and the request, and clocks that differ
//! by as much. Then a pointer may point at what is gone; edges go on with what they serve and say so, and publishing the
//! same snapshot again brings it back, since objects are named by their content.
//!
//! Two runs at once are as safe as one: each has a sweep of its own. The later one's marks win, so that something may wait
//! longer than it must. A region's store is tidied by a run of its own, by its own pointers, pins and leases.

mod roots;
mod survey;
mod sweep;
mod told;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use snapshots::{Error, MAX_MARKED, Marks, SnapshotId, StatusBoard, Store};

use crate::progress::Progress;
pub use roots::Why;
pub use told::{collected_json, collected_text};

use survey::{Survey, survey};

/// What is kept, and for how long.
#[derive(Clone, Debug)]
pub struct Retention {
    /// So many of the newest snapshots, whatever points at them.
    pub keep: usize,
    /// What was written no longer ago than this.
    pub keep_for: SignedDuration,
    /// What was reachable no longer ago than this.
    pub grace: SignedDuration,
    /// An older lease is of a publish that has died.
    pub lease_for: SignedDuration,
    /// Manifests that cannot be read, and whose objects need not be kept.
    pub ignored: Vec<SnapshotId>,
}

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Writes and removes nothing.
    DryRun,
    /// Removes what was marked a grace ago, and marks the rest.
    Apply,
    /// The same, and once more after a grace.
    ApplyAndWait,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub snapshots: u64,
    pub objects: u64,
    pub bytes: u64,
}

impl Tally {
    fn less(self, other: Self) -> Self {
        Self {
            snapshots: self.snapshots.saturating_sub(other.snapshots),
            objects: self.objects.saturating_sub(other.objects),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// What a run did, or would do.
#[derive(Debug)]
pub struct Collected {
    pub store: String,
    pub mode: Mode,
    pub kept: Tally,
    /// The snapshots that stay, and why.
    pub reasons: Vec<(Why, usize)>,
    pub leases: usize,
    pub expired_leases: Vec<String>,
    /// What has been unreachable for the grace. In a dry run it would go now.
    pub due: Tally,
    /// What has not been unreachable for long enough.
    pub later: Tally,
    pub removed: Tally,
    /// When the first of what is marked may go.
    pub next_at: Option<Timestamp>,
}

/// Finds what is unreachable, marks it, and removes what was marked a grace ago.
///
/// # Errors
/// When something that is kept cannot be read, so that what it needs is unknown: nothing is removed then. When the store
/// fails.
pub async fn run(
    store: &Store,
    board: Option<&StatusBoard>,
    retention: &Retention,
    mode: Mode,
    progress: &mut Progress,
) -> Result<Collected> {
    let before = store.get_marks().await.context("reading what the last run marked")?;
    let seen = survey(store, board, retention, &before, progress).await?;
    progress.end();
    let mut marks = marks_of(&seen, &before, retention, Timestamp::now());
    let mut collected = Collected {
        store: store.url().to_owned(),
        mode,
        kept: seen.kept,
        reasons: seen.reasons(),
        leases: seen.roots.lease_count(),
        expired_leases: seen.roots.expired.clone(),
        due: Tally::default(),
        later: seen.unreachable,
        removed: Tally::default(),
        next_at: None,
    };
    if mode != Mode::DryRun {
        // Before anything else can fail: the more there are, the longer is each look before a removal.
        remove_expired(store, &collected.expired_leases).await?;
        store.put_marks(&marks).await.context("marking what is unreachable")?;
    }
    if mode == Mode::ApplyAndWait && due(&marks, retention).len() < marks.len() {
        wait(retention.grace, progress).await;
    }
    let due = due(&marks, retention);
    collected.due = seen.tally_of(&due);
    if mode != Mode::DryRun {
        if !due.is_empty() {
            collected.removed = sweep::sweep(store, board, retention, &due, progress).await?;
            // What was spared is reachable, and is marked anew once it no longer is.
            marks.snapshots.retain(|id, _| !due.snapshots.contains_key(id));
            marks.objects.retain(|digest, _| !due.objects.contains_key(digest));
            store.put_marks(&marks).await.context("keeping the marks of what is left")?;
        }
        tidy(store).await?;
    }
    collected.later = collected.later.less(collected.due);
    let since = marks.snapshots.values().chain(marks.objects.values()).min();
    collected.next_at = since.filter(|_| mode != Mode::DryRun).map(|since| *since + retention.grace);
    Ok(collected)
}

/// What is to be marked: what is unreachable now, and was not written only lately. What was marked before comes first.
fn marks_of(seen: &Survey<'_>, before: &Marks, retention: &Retention, now: Timestamp) -> Marks {
    let mut marks = Marks::default();
    // Written since it was marked: somebody needed it in between.
    let since = |marked: Option<&Timestamp>, modified_at: Timestamp| marked.copied().filter(|at| *at >= modified_at);
    let is_settled = |modified_at: Timestamp| now.duration_since(modified_at) >= retention.grace;
    for was_marked in [true, false] {
        for manifest in &seen.manifests {
            let known = since(before.snapshots.get(&manifest.id), manifest.modified_at);
            if known.is_some() == was_marked && is_settled(manifest.modified_at) && marks.len() < MAX_MARKED {
                marks.snapshots.insert(manifest.id.clone(), known.unwrap_or(now));
            }
        }
        for object in &seen.objects {
            let known = since(before.objects.get(&object.digest), object.modified_at);
            if known.is_some() == was_marked && is_settled(object.modified_at) && marks.len() < MAX_MARKED {
                marks.objects.insert(object.digest, known.unwrap_or(now));
            }
        }
    }
    marks
}

/// The marks that are a grace old.
fn due(marks: &Marks, retention: &Retention) -> Marks {
    let now = Timestamp::now();
    let is_due = |since: &Timestamp| now.duration_since(*since) >= retention.grace;
    let snapshots = marks.snapshots.iter().filter(|(_, since)| is_due(since));
    let objects = marks.objects.iter().filter(|(_, since)| is_due(since));
    Marks {
        snapshots: snapshots.map(|(id, since)| (id.clone(), *since)).collect(),
        objects: objects.map(|(digest, since)| (*digest, *since)).collect(),
    }
}

async fn wait(grace: SignedDuration, progress: &mut Progress) {
    let (grace, started) = (grace.unsigned_abs(), Instant::now());
    progress.begin("wait", "s", Some(grace.as_secs()));
    while let Some(left) = grace.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        progress.at(started.elapsed().as_secs());
    }
    progress.end();
}

async fn remove_expired(store: &Store, leases: &[String]) -> Result<()> {
    for name in leases {
        store.delete_lease(name).await.context("removing an expired lease")?;
    }
    Ok(())
}

/// Removes sweeps that are over, which runs that died have left.
async fn tidy(store: &Store) -> Result<()> {
    for run in store.list_sweeps().await.context("listing the sweeps")? {
        match store.get_sweep(&run).await {
            Ok(sweep) if sweep.until > Timestamp::now() => {}
            Ok(_) => store.delete_sweep(&run).await.context("removing a sweep that is over")?,
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error).with_context(|| format!("sweep {run}")),
        }
    }
    Ok(())
}
