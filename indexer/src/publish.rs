//! Brings a snapshot to a store and announces it, step by step. A crash between any two steps leaves the channel as it
//! was, and running the publish again finishes the job.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use snapshots::{
    ChannelName, Digest, Error, Manifest, ObjectRef, Pointer, PointerState, ReadPointer, SnapshotId, Store,
};

use crate::progress::Progress;

/// What to publish where.
pub struct PublishRequest {
    pub from: Store,
    /// None: the newest one of `from`.
    pub snapshot: Option<SnapshotId>,
    pub to: Store,
    pub channel: ChannelName,
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
}

/// Publishes: check, lease, put what is missing, put the manifest, read back, announce.
///
/// # Errors
/// When the channel is held or moved by someone else meanwhile, the snapshot is damaged, or a store fails.
pub async fn publish(request: &PublishRequest, progress: &mut Progress) -> Result<Published> {
    let id = chosen_snapshot(request).await?;
    let manifest = request.from.get_manifest(&id).await.with_context(|| format!("snapshot {id}"))?;
    let before = read_channel(&request.to, &request.channel).await?;
    check(request, &manifest, before.as_ref()).await?;
    let previous = before.as_ref().map(|before| before.pointer.clone());
    let sequence = previous.as_ref().map_or(1, |pointer| pointer.sequence + 1);
    let pointer = Pointer { snapshot: id.clone(), sequence, announced_at: Timestamp::now(), held: false };
    if let Some(live) = previous.clone().filter(|live| live.snapshot == id) {
        return Ok(Published {
            manifest,
            pointer: live,
            uploaded_objects: 0,
            uploaded_bytes: 0,
            already_live: true,
            previous,
        });
    }
    let missing = missing_objects(&request.to, &manifest).await?;
    let uploaded_bytes = missing.iter().map(|object| object.size_bytes).sum();
    let uploaded_objects = missing.len();
    if !request.dry_run {
        let lease = publish_id(&id);
        request.to.put_lease(&lease, lease_json(&manifest)).await.context("writing the lease")?;
        let announced = upload_and_announce(request, &manifest, &missing, before.as_ref(), &pointer, progress).await;
        // What a failed publish relied on is no longer needed either. A run that was killed leaves its lease to expire,
        // and so does one that cannot remove it: what matters is done, or told below.
        if let Err(error) = request.to.delete_lease(&lease).await {
            progress.note(&format!("the lease {lease} could not be removed, and will expire: {error}"));
        }
        announced?;
    }
    Ok(Published { manifest, pointer, uploaded_objects, uploaded_bytes, already_live: false, previous })
}

/// A name for this run that no other has, on whatever machine it runs.
fn publish_id(snapshot: &SnapshotId) -> String {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    format!("{snapshot}-{random:016x}")
}

async fn chosen_snapshot(request: &PublishRequest) -> Result<SnapshotId> {
    if let Some(id) = &request.snapshot {
        return Ok(id.clone());
    }
    let newest = request.from.list_snapshots().await?.pop();
    newest.with_context(|| format!("{} holds no snapshot: run 'indexer build' first", request.from.url()))
}

async fn read_channel(store: &Store, channel: &ChannelName) -> Result<Option<ReadPointer>> {
    match store.read_pointer(channel, None).await.with_context(|| format!("channel '{channel}'"))? {
        PointerState::Moved(read) => Ok(Some(read)),
        PointerState::Missing | PointerState::Unchanged => Ok(None),
    }
}

async fn check(request: &PublishRequest, manifest: &Manifest, before: Option<&ReadPointer>) -> Result<()> {
    ensure!(manifest.statistics.product_count > 0, "snapshot {} holds no product", manifest.id);
    let Some(before) = before else { return Ok(()) };
    let channel = &request.channel;
    ensure!(
        !before.pointer.held,
        "channel '{channel}' is held at {}: nothing is published until it is resumed",
        before.pointer.snapshot
    );
    match request.to.get_manifest(&before.pointer.snapshot).await {
        Ok(live) => ensure!(
            live.catalogue == manifest.catalogue,
            "channel '{channel}' serves the catalogue '{}', and this snapshot is of '{}'",
            live.catalogue,
            manifest.catalogue,
        ),
        // A live manifest that is damaged must not keep its replacement out.
        Err(Error::Corrupt { .. } | Error::NotFound(_)) => {}
        Err(error) => bail!(error),
    }
    Ok(())
}

async fn missing_objects(store: &Store, manifest: &Manifest) -> Result<Vec<ObjectRef>> {
    let mut missing = Vec::new();
    for object in &manifest.objects {
        match store.object_size(&object.blake3).await? {
            None => missing.push(object.clone()),
            Some(size) => ensure!(
                size == object.size_bytes,
                "object {} in {} has {size} bytes in place of {}: the store is damaged; remove that object and publish again",
                object.blake3,
                store.url(),
                object.size_bytes,
            ),
        }
    }
    Ok(missing)
}

async fn upload_and_announce(
    request: &PublishRequest,
    manifest: &Manifest,
    missing: &[ObjectRef],
    before: Option<&ReadPointer>,
    pointer: &Pointer,
    progress: &mut Progress,
) -> Result<()> {
    progress.begin("upload", "bytes", Some(missing.iter().map(|object| object.size_bytes).sum()));
    let mut done = 0;
    for object in missing {
        let bytes = request.from.get_object(&object.blake3).await;
        let bytes = bytes.with_context(|| format!("object {} of {}", object.blake3, request.from.url()))?;
        let (expected, found) = (object.blake3, Digest::of(&bytes));
        ensure!(
            found == expected,
            "{} in {}: build the snapshot again, which mends it",
            Error::DigestMismatch { expected, found },
            request.from.url(),
        );
        request.to.put_object(&object.blake3, bytes).await.context("uploading an object")?;
        done += object.size_bytes;
        progress.at(done);
    }
    request.to.put_manifest(manifest).await.context("uploading the manifest")?;
    progress.begin("verify", "objects", Some(manifest.objects.len() as u64));
    let proved = match before {
        Some(before) => proved_objects(&request.to, &before.pointer.snapshot).await,
        None => HashSet::new(),
    };
    read_back(&request.to, manifest, &proved).await?;
    progress.begin("announce", "", None);
    let moved = request.to.move_pointer(&request.channel, before, pointer).await;
    progress.end();
    match moved {
        Err(Error::Conflict { channel, now }) => bail!(
            "another publish was faster: channel '{channel}' moved to {now} since this run began. \
             Nothing is lost: the snapshot is uploaded. Look at 'indexer status', and publish again if it should replace that one"
        ),
        moved => moved.context("announcing"),
    }
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

fn lease_json(manifest: &Manifest) -> Vec<u8> {
    let objects: Vec<String> = manifest.objects.iter().map(|object| object.blake3.to_string()).collect();
    let lease = serde_json::json!({
        "snapshot": manifest.id, "objects": objects, "taken_at": Timestamp::now(), "publisher": env!("CARGO_PKG_VERSION"),
    });
    lease.to_string().into_bytes()
}
