//! Brings a snapshot to one store, without announcing it: what is missing, then the manifest, then all is read back.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use snapshots::{Digest, Error, Lease, Manifest, ObjectRef, SnapshotId, Store};

use crate::progress::Progress;

/// What had to be brought, and what keeps it there until a pointer says so.
#[derive(Debug)]
pub struct Brought {
    pub objects: usize,
    pub bytes: u64,
    lease: HeldLease,
}

/// A lease of this run. One that is killed leaves it to expire.
#[derive(Debug)]
struct HeldLease {
    store: Store,
    name: String,
}

impl Brought {
    /// Lets go of what was brought: by now a pointer holds it, or nobody wants it.
    ///
    /// # Errors
    /// When the store fails; the lease then expires by itself.
    pub async fn release(&self) -> Result<(), Error> {
        self.lease.store.delete_lease(&self.lease.name).await
    }
}

/// Brings what `to` lacks of a snapshot; `live` is the snapshot there whose objects were read back before.
///
/// # Errors
/// When an object is damaged on either side, or a store fails.
pub async fn bring(
    from: &Store,
    to: &Store,
    manifest: &Manifest,
    live: Option<&SnapshotId>,
    progress: &mut Progress,
) -> Result<Brought> {
    let lease = HeldLease { store: to.clone(), name: lease_name(&manifest.id) };
    to.put_lease(&lease.name, &Lease::of(manifest)).await.context("writing the lease")?;
    match bring_leased(from, to, manifest, live, progress).await {
        Ok((objects, bytes)) => Ok(Brought { objects, bytes, lease }),
        Err(error) => {
            // What a failed publish relied on is no longer needed either; what matters is told.
            let _ = to.delete_lease(&lease.name).await;
            Err(error)
        }
    }
}

async fn bring_leased(
    from: &Store,
    to: &Store,
    manifest: &Manifest,
    live: Option<&SnapshotId>,
    progress: &mut Progress,
) -> Result<(usize, u64)> {
    let missing = missing_objects(to, manifest).await?;
    let bytes = missing.iter().map(|object| object.size_bytes).sum();
    progress.begin("upload", "bytes", Some(bytes));
    let mut done = 0;
    for object in &missing {
        let bytes = from.get_object(&object.blake3).await;
        let bytes = bytes.with_context(|| format!("object {} of {}", object.blake3, from.url()))?;
        let (expected, found) = (object.blake3, Digest::of(&bytes));
        ensure!(
            found == expected,
            "{} in {}: build the snapshot again, which mends it",
            Error::DigestMismatch { expected, found },
            from.url(),
        );
        to.put_object(&object.blake3, bytes).await.context("uploading an object")?;
        done += object.size_bytes;
        progress.at(done);
    }
    to.put_manifest(manifest).await.context("uploading the manifest")?;
    progress.begin("verify", "objects", Some(manifest.objects.len() as u64));
    let proved = match live {
        Some(live) => proved_objects(to, live).await,
        None => HashSet::new(),
    };
    read_back(to, manifest, &proved).await?;
    progress.end();
    Ok((missing.len(), bytes))
}

/// A name for this run that no other has, on whatever machine it runs.
fn lease_name(snapshot: &SnapshotId) -> String {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    format!("{snapshot}-{random:016x}")
}

/// What `to` lacks of a snapshot.
///
/// # Errors
/// When an object is there with another size, or the store fails.
pub async fn missing_objects(to: &Store, manifest: &Manifest) -> Result<Vec<ObjectRef>> {
    let mut missing = Vec::new();
    for object in &manifest.objects {
        match to.object_size(&object.blake3).await? {
            None => missing.push(object.clone()),
            Some(size) => ensure!(
                size == object.size_bytes,
                "object {} in {} has {size} bytes in place of {}: the store is damaged; remove that object and publish again",
                object.blake3,
                to.url(),
                object.size_bytes,
            ),
        }
    }
    Ok(missing)
}

/// The objects of the snapshot that the channel points at: they were read back before it was announced. What a run
/// that died has uploaded is not among them.
async fn proved_objects(store: &Store, live: &SnapshotId) -> HashSet<Digest> {
    let live = store.get_manifest(live).await;
    live.map_or_else(|_| HashSet::new(), |live| live.objects.iter().map(|object| object.blake3).collect())
}

/// What is announced must be there and whole: everything is read again, but what the live snapshot has proved, which
/// is asked for its size.
async fn read_back(store: &Store, manifest: &Manifest, proved: &HashSet<Digest>) -> Result<()> {
    let stored = store.get_manifest(&manifest.id).await.context("reading the manifest back")?;
    ensure!(stored == *manifest, "the manifest that was read back differs from the one that was written");
    for object in &manifest.objects {
        let expected = object.blake3;
        if !proved.contains(&expected) {
            let found = store.digest_of_object(&expected).await.context("reading an object back")?;
            ensure!(found == expected, Error::DigestMismatch { expected, found });
        } else if store.object_size(&expected).await? != Some(object.size_bytes) {
            bail!("object {expected} went away while this publish ran");
        }
    }
    Ok(())
}
