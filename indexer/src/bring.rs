//! Brings a snapshot to one store, without announcing it: what is missing, then the manifest, then all is read back.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use snapshots::{Digest, Error, Manifest, ObjectRef, SnapshotId, Store};
use tempfile::NamedTempFile;

use crate::checks::is_damage;
use crate::lease::HeldLease;
use crate::progress::Progress;
use crate::regions::in_time;

/// What went away while it was brought is brought again, so many times in all.
const MAX_TRIES: u32 = 3;
/// How fast a store is to be at the least. What is given up on is begun again from its start, so that a large segment would
/// never come to a region that needs longer for it than the time that is enough for anything small.
const MIN_BYTES_PER_S: u64 = 1 << 20;

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
/// which was brought by [`bring_ahead`] and is held. What takes longer than `timeout`, and a second more for each MiB that is
/// brought or read back, is given up on, and its lease let go of: nothing else would do so before it expires.
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
    let brought = match in_time(timeout, proved_objects(to, live, ahead)).await {
        Ok(proved) => {
            let limit = limit(timeout, manifest, &proved);
            in_time(limit, bring_leased(from, to, manifest, &proved, progress)).await
        }
        Err(error) => Err(error),
    };
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
    let limit = limit(timeout, manifest, &HashSet::new());
    let brought = in_time(limit, bring_objects(from, to, manifest, progress)).await;
    keep(lease, brought, timeout).await
}

/// How long it may take to bring a snapshot, but for what was read back before.
fn limit(timeout: Duration, manifest: &Manifest, proved: &HashSet<Digest>) -> Duration {
    let unproved = manifest.objects.iter().filter(|object| !proved.contains(&object.blake3));
    let bytes: u64 = unproved.map(|object| object.size_bytes).sum();
    timeout.saturating_add(Duration::from_secs(bytes / MIN_BYTES_PER_S))
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
    proved: &HashSet<Digest>,
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
        let is_whole = read_back(to, manifest, proved).await?;
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
        let scratch = NamedTempFile::new().context("making a file for an object")?;
        let bytes = from.map_object(object, scratch.path()).await;
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

/// The objects of the snapshot that the channel points at, which were read back before it was announced, and the one that
/// was brought ahead. What a run that died has uploaded is not among them.
async fn proved_objects(
    store: &Store,
    live: Option<&SnapshotId>,
    ahead: Option<Digest>,
) -> Result<HashSet<Digest>, Error> {
    let mut proved = HashSet::from_iter(ahead);
    let Some(live) = live else { return Ok(proved) };
    match store.get_manifest(live).await {
        Ok(live) => proved.extend(live.objects.iter().map(|object| object.blake3)),
        Err(error) if is_damage(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(proved)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regions::NO_TIMEOUT;
    use snapshots::{Role, Statistics, ValidationReport};

    /// A region that needed eleven minutes for a large segment was given up on after ten, again and again.
    #[test]
    fn what_is_large_may_take_longer() {
        let [small, large] = [(b"small", 1 << 10), (b"large", 3 << 30)].map(|(name, size_bytes)| ObjectRef {
            role: Role::Segment,
            blake3: Digest::of(name),
            size_bytes,
        });
        let manifest = Manifest {
            format_version: snapshots::FORMAT_VERSION,
            id: "a".parse().expect("an id"),
            catalogue: "shop".to_owned(),
            parent: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            builder_version: String::new(),
            objects: vec![small, large.clone()],
            segments: Vec::new(),
            statistics: Statistics::default(),
            validation: ValidationReport::default(),
            source_watermark: None,
        };
        let ten_minutes = Duration::from_secs(600);
        let (nothing, all_but_small) = (HashSet::new(), HashSet::from([large.blake3]));
        assert_eq!(limit(ten_minutes, &manifest, &nothing), Duration::from_secs(600 + 3 * 1_024));
        assert_eq!(limit(ten_minutes, &manifest, &all_but_small), ten_minutes);
        assert_eq!(limit(NO_TIMEOUT, &manifest, &nothing), NO_TIMEOUT);
    }
}
