//! Brings a snapshot to one store, without announcing it: what is missing, then the manifest, then all is read back.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use snapshots::{Digest, Error, Manifest, ObjectRef, SnapshotId, Store};

use crate::lease::HeldLease;
use crate::progress::Progress;
use crate::regions::in_time;

/// What went away while it was brought is brought again, so many times in all.
const MAX_TRIES: u32 = 3;

/// What had to be brought, and what keeps it there until a pointer says so.
#[derive(Debug)]
pub struct Brought {
    pub objects: usize,
    pub bytes: u64,
    lease: HeldLease,
}

impl Brought {
    /// To be asked right before a pointer moves.
    ///
    /// # Errors
    /// When it was brought so long ago that it may no longer be held.
    pub fn ensure_held(&self) -> Result<()> {
        self.lease.ensure_fresh()
    }

    /// Lets go of what was brought: by now a pointer holds it, or nobody wants it. Says where that failed.
    pub async fn let_go(&self, progress: &Progress) {
        self.lease.let_go(progress).await;
    }
}

/// Brings what `to` lacks of a snapshot. Read back before were the objects of `live`, the snapshot there, and `ahead`,
/// which was brought by [`bring_ahead`] and is held. What takes longer than `timeout` is given up on, and its lease let go of:
/// nothing else would do so before it expires.
///
/// # Errors
/// When an object is damaged on either side, or a store fails or is slow.
pub async fn bring(
    from: &Store,
    to: &Store,
    manifest: &Manifest,
    live: Option<&SnapshotId>,
    ahead: Option<Digest>,
    timeout: Duration,
    progress: &mut Progress,
) -> Result<Brought> {
    let lease = in_time(timeout, HeldLease::take(to, manifest, progress)).await?;
    let brought = in_time(timeout, bring_leased(from, to, manifest, live, ahead, progress)).await;
    keep(lease, brought, timeout).await
}

/// Brings the objects of a snapshot before there is one, reads them back and holds them: the publish of a snapshot that
/// has them need do none of that.
///
/// # Errors
/// As [`bring`].
pub async fn bring_ahead(
    from: &Store,
    to: &Store,
    manifest: &Manifest,
    timeout: Duration,
    progress: &mut Progress,
) -> Result<Brought> {
    let lease = in_time(timeout, HeldLease::take(to, manifest, progress)).await?;
    let brought = in_time(timeout, bring_objects(from, to, manifest, progress)).await;
    keep(lease, brought, timeout).await
}

async fn keep(lease: HeldLease, brought: Result<(usize, u64)>, timeout: Duration) -> Result<Brought> {
    match brought {
        Ok((objects, bytes)) => Ok(Brought { objects, bytes, lease }),
        Err(error) => {
            // What a failed publish relied on is no longer needed either; what matters is told.
            let _ = in_time(timeout, lease.release()).await;
            Err(error)
        }
    }
}

async fn bring_leased(
    from: &Store,
    to: &Store,
    manifest: &Manifest,
    live: Option<&SnapshotId>,
    ahead: Option<Digest>,
    progress: &mut Progress,
) -> Result<(usize, u64)> {
    let (mut objects, mut bytes) = (0, 0);
    for _ in 0..MAX_TRIES {
        let missing = missing_objects(to, manifest).await?;
        upload(from, to, &missing, progress).await?;
        objects += missing.len();
        bytes += missing.iter().map(|object| object.size_bytes).sum::<u64>();
        to.copy_signatures(from, &manifest.id).await.context("copying the manifest's signatures")?;
        to.put_manifest(manifest).await.context("uploading the manifest")?;
        progress.begin("verify", "objects", Some(manifest.objects.len() as u64));
        let mut proved = match live {
            Some(live) => proved_objects(to, live).await,
            None => HashSet::new(),
        };
        proved.extend(ahead);
        let is_whole = read_back(to, manifest, &proved).await?;
        progress.end();
        if is_whole {
            return Ok((objects, bytes));
        }
        progress.note("something of the snapshot went away while it was brought: bringing it again");
    }
    bail!(
        "what is brought to {} goes away again, {MAX_TRIES} times in a row: something removes it that does not heed leases",
        to.url()
    )
}

async fn bring_objects(from: &Store, to: &Store, manifest: &Manifest, progress: &mut Progress) -> Result<(usize, u64)> {
    let missing = missing_objects(to, manifest).await?;
    upload(from, to, &missing, progress).await?;
    let is_whole = read_objects_back(to, manifest, &HashSet::new()).await?;
    ensure!(is_whole, "what was brought to {} has gone away again", to.url());
    Ok((missing.len(), missing.iter().map(|object| object.size_bytes).sum()))
}

async fn upload(from: &Store, to: &Store, missing: &[ObjectRef], progress: &mut Progress) -> Result<()> {
    progress.begin("upload", "bytes", Some(missing.iter().map(|object| object.size_bytes).sum()));
    let mut done = 0;
    for object in missing {
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
    Ok(())
}

/// That a snapshot can be pointed at: its manifest is there, and so is every object.
///
/// # Errors
/// When it is not whole, or the store fails.
pub async fn ensure_whole(store: &Store, manifest: &Manifest) -> Result<()> {
    let id = &manifest.id;
    store.get_manifest(id).await.with_context(|| format!("snapshot {id} in {}", store.url()))?;
    let missing = missing_objects(store, manifest).await?;
    ensure!(
        missing.is_empty(),
        "snapshot {id} is no longer whole in {}: {} of its objects are gone",
        store.url(),
        missing.len()
    );
    Ok(())
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
/// is asked for its size. False where something is not there.
async fn read_back(store: &Store, manifest: &Manifest, proved: &HashSet<Digest>) -> Result<bool> {
    match store.get_manifest(&manifest.id).await {
        Ok(stored) => {
            ensure!(stored == *manifest, "the manifest that was read back differs from the one that was written");
        }
        Err(Error::NotFound(_)) => return Ok(false),
        Err(error) => return Err(error).context("reading the manifest back"),
    }
    read_objects_back(store, manifest, proved).await
}

async fn read_objects_back(store: &Store, manifest: &Manifest, proved: &HashSet<Digest>) -> Result<bool> {
    for object in &manifest.objects {
        if proved.contains(&object.blake3) {
            // One of another size is damaged, and `missing_objects` says so.
            if store.object_size(&object.blake3).await? != Some(object.size_bytes) {
                return Ok(false);
            }
            continue;
        }
        let expected = object.blake3;
        match store.digest_of_object(&expected).await {
            Ok(found) => ensure!(found == expected, Error::DigestMismatch { expected, found }),
            Err(Error::NotFound(_)) => return Ok(false),
            Err(error) => return Err(error).context("reading an object back"),
        }
    }
    Ok(true)
}
