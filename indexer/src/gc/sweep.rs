//! Removing, one thing after another. The steps G1 to G4 of the argument in [`super`].

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use snapshots::{ListedManifest, ListedObject, Marks, StatusBoard, Store, Sweep};

use super::roots::Roots;
use super::survey::survey;
use super::{Retention, Tally};
use crate::lease;
use crate::progress::Progress;

/// A sweep is taken for dead after this, unless it is renewed.
const LASTS: SignedDuration = SignedDuration::from_mins(20);
/// Nothing is removed with less time left: Azure takes no request that was signed with a key more than 15 minutes ago.
const LEFT_AT_LEAST: SignedDuration = SignedDuration::from_mins(16);
/// An older look at leases and pointers says nothing.
const LOOK_HOLDS: SignedDuration = SignedDuration::from_secs(10);
const MAX_LOOKS: u32 = 3;

struct Sweeper<'a> {
    store: &'a Store,
    run: String,
    notice: Sweep,
    /// A removal was asked for, and what came of it is unknown.
    is_in_doubt: bool,
    removed: Tally,
}

/// Removes what is due and unreachable still: manifests first, so that what is left half-way is objects that no manifest
/// names. Returns how much it was.
pub(super) async fn sweep(
    store: &Store,
    board: Option<&StatusBoard>,
    retention: &Retention,
    due: &Marks,
    progress: &mut Progress,
) -> Result<Tally> {
    let notice = Sweep {
        until: Timestamp::now() + LASTS,
        snapshots: due.snapshots.keys().cloned().collect(),
        objects: due.objects.keys().copied().collect(),
    };
    let run = format!("{:016x}", lease::random());
    let mut sweeper = Sweeper { store, run, notice, is_in_doubt: false, removed: Tally::default() };
    let swept = sweeper.sweep(board, retention, due, progress).await;
    progress.end();
    if sweeper.is_in_doubt {
        return Err(swept.err().unwrap_or_else(|| anyhow::anyhow!("a removal did not end"))).with_context(|| {
            format!("until {} nothing is published that needs what was being removed", sweeper.notice.until)
        });
    }
    let ended = store.delete_sweep(&sweeper.run).await.context("ending the sweep");
    swept?;
    ended?;
    Ok(sweeper.removed)
}

impl Sweeper<'_> {
    async fn sweep(
        &mut self,
        board: Option<&StatusBoard>,
        retention: &Retention,
        due: &Marks,
        progress: &mut Progress,
    ) -> Result<()> {
        self.tell().await?;
        let seen = survey(self.store, board, retention, due, progress).await?;
        // What was written since it was marked was needed in between.
        let is_due =
            |since: Option<&Timestamp>, modified_at: Timestamp| since.is_some_and(|since| *since >= modified_at);
        let manifests = seen.manifests.into_iter();
        let manifests: Vec<ListedManifest> =
            manifests.filter(|one| is_due(due.snapshots.get(&one.id), one.modified_at)).collect();
        let objects = seen.objects.into_iter();
        let objects: Vec<ListedObject> =
            objects.filter(|one| is_due(due.objects.get(&one.digest), one.modified_at)).collect();
        self.notice.snapshots = manifests.iter().map(|manifest| manifest.id.clone()).collect();
        self.notice.objects = objects.iter().map(|object| object.digest).collect();
        self.tell().await?;
        self.remove(seen.roots, manifests, objects, progress).await
    }

    async fn remove(
        &mut self,
        mut roots: Roots<'_>,
        manifests: Vec<ListedManifest>,
        objects: Vec<ListedObject>,
        progress: &mut Progress,
    ) -> Result<()> {
        progress.begin("remove", "names", Some((manifests.len() + objects.len()) as u64));
        for manifest in &manifests {
            self.look(&mut roots).await?;
            if self.notice.snapshots.contains(&manifest.id) {
                self.is_in_doubt = true;
                self.store.delete_manifest(manifest).await.with_context(|| format!("removing {}", manifest.id))?;
                self.is_in_doubt = false;
                self.notice.snapshots.remove(&manifest.id);
                self.removed.add_manifest(manifest);
            }
            progress.at(self.removed.snapshots);
        }
        for object in &objects {
            self.look(&mut roots).await?;
            if self.notice.objects.contains(&object.digest) {
                self.is_in_doubt = true;
                let gone = self.store.delete_object(&object.digest).await;
                gone.with_context(|| format!("removing object {}", object.digest))?;
                self.is_in_doubt = false;
                self.notice.objects.remove(&object.digest);
                self.removed.add_object(object);
            }
            progress.at(self.removed.snapshots + self.removed.objects);
        }
        Ok(())
    }

    /// Looks at leases and pointers, and lets go of what they hold. After this, what is in the notice may go, for a few
    /// seconds.
    async fn look(&mut self, roots: &mut Roots<'_>) -> Result<()> {
        for _ in 0..MAX_LOOKS {
            let began = Timestamp::now();
            let has_changed = roots.refresh().await?;
            if has_changed {
                self.notice.snapshots.retain(|id| !roots.snapshots.contains_key(id));
                self.notice.objects.retain(|digest| !roots.objects.contains(digest));
            }
            let left = self.notice.until.duration_since(Timestamp::now());
            ensure!(left.is_positive(), "this stood still for so long that it was taken for dead: run it again");
            if has_changed || left < LEFT_AT_LEAST {
                self.notice.until = Timestamp::now() + LASTS;
                self.tell().await?;
            }
            if Timestamp::now().duration_since(began) < LOOK_HOLDS {
                return Ok(());
            }
        }
        anyhow::bail!(
            "{} takes more than {} s to say who needs what: nothing more is removed",
            self.store.url(),
            LOOK_HOLDS.as_secs()
        )
    }

    /// Says what may be removed. What was removed before is no longer among it, so that who waits for it goes on.
    async fn tell(&self) -> Result<()> {
        self.store.put_sweep(&self.run, &self.notice).await.context("saying what is being removed")
    }
}
