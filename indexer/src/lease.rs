//! A lease: what a run relies on in a store, from before its first look at what is there until a pointer says so.
//!
//! Why nothing can be taken from under a run that holds one is told in [`crate::gc`].

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use snapshots::{Error, Lease, Manifest, SnapshotId, Store, Sweep};

use crate::progress::Progress;

/// A run moves no pointer on the word of an older lease: retention takes leases for expired some time after that.
pub const MAX_HELD_HOURS: u64 = 12;
/// How long a sweep that is under way may take to let go of what is needed: it does so before its next removal.
const SWEEP_PATIENCE: Duration = Duration::from_secs(120);
const SWEEP_POLL: Duration = Duration::from_millis(250);

/// A lease of this run. One that is killed leaves it to expire.
#[derive(Debug)]
pub struct HeldLease {
    store: Store,
    name: String,
    taken_at: Timestamp,
}

impl HeldLease {
    /// Writes a lease of all that a snapshot is made of, and waits until nothing of it is being removed. What is there
    /// after this stays; what is not there is to be brought.
    ///
    /// # Errors
    /// When a sweep does not let go in time, or the store fails.
    pub async fn take(store: &Store, manifest: &Manifest, progress: &Progress) -> Result<Self> {
        let lease = Lease::of(manifest);
        let held = Self { store: store.clone(), name: name_of_run(&manifest.id), taken_at: lease.taken_at };
        store.put_lease(&held.name, &lease).await.context("writing the lease")?;
        match wait_for_sweeps(store, manifest, progress).await {
            Ok(()) => Ok(held),
            Err(error) => {
                // What matters is told.
                let _ = held.release().await;
                Err(error)
            }
        }
    }

    /// To be asked right before a pointer moves.
    ///
    /// # Errors
    /// When the lease is so old that it may have been taken for expired.
    pub fn ensure_fresh(&self) -> Result<()> {
        let age = Timestamp::now().duration_since(self.taken_at);
        ensure!(
            age < SignedDuration::from_hours(MAX_HELD_HOURS as i64),
            "this took more than {MAX_HELD_HOURS} hours, and what it relies on may have been removed meanwhile: run it again"
        );
        Ok(())
    }

    /// Lets go: by now a pointer holds what was relied on, or nobody wants it.
    ///
    /// # Errors
    /// When the store fails; the lease then expires by itself.
    pub async fn release(&self) -> Result<(), Error> {
        self.store.delete_lease(&self.name).await
    }

    /// Lets go, and says where that failed: what matters is done, or told elsewhere.
    pub async fn let_go(&self, progress: &Progress) {
        if let Err(error) = self.release().await {
            progress.note(&format!("a lease could not be removed, and will expire: {error}"));
        }
    }
}

/// A name for this run that no other has, on whatever machine it runs.
pub(crate) fn name_of_run(snapshot: &SnapshotId) -> String {
    format!("{snapshot}-{:016x}", random())
}

pub(crate) fn random() -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id())
}

async fn wait_for_sweeps(store: &Store, manifest: &Manifest, progress: &Progress) -> Result<()> {
    let started = Instant::now();
    let mut is_told = false;
    while let Some(sweep) = condemning(store, manifest).await.context("looking for sweeps")? {
        if started.elapsed() > SWEEP_PATIENCE {
            bail!(
                "'indexer gc' is removing what this snapshot needs from {}, and does not let go of it. It is taken for dead at \
                 {}: run this again then",
                store.url(),
                sweep.until
            );
        }
        if !is_told {
            progress.note("'indexer gc' is removing some of what this snapshot needs: waiting until it lets go of it");
            is_told = true;
        }
        tokio::time::sleep(SWEEP_POLL).await;
    }
    Ok(())
}

/// A sweep that may remove something of a snapshot, if there is one.
async fn condemning(store: &Store, manifest: &Manifest) -> Result<Option<Sweep>, Error> {
    for run in store.list_sweeps().await? {
        match store.get_sweep(&run).await {
            Ok(sweep) if sweep.until > Timestamp::now() && sweep.condemns(manifest) => return Ok(Some(sweep)),
            // It has ended since it was listed.
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
