//! The folder that snapshots are built in: laid out like a store, with room for what is unfinished.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use anyhow::{Result, anyhow};
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use snapshots::{Digest, ListedObject, Manifest, Store};
use tempfile::TempDir;

use crate::opened::Scratch;

/// What a manifest names as its builder.
pub(crate) const BUILDER: &str = concat!("indexer ", env!("CARGO_PKG_VERSION"));

const SCRATCH_PREFIX: &str = ".build-";
/// So many updates stay in a folder that is tidied, whoever made them.
const KEPT_UPDATES: usize = 10;

/// A folder that one build at a time writes to.
pub(crate) struct Workshop {
    pub(crate) store: Store,
    folder: std::path::PathBuf,
    scratch: TempDir,
    _lock: File,
}

impl Workshop {
    /// Opens a folder, and makes it where it is missing. What a killed build left behind goes.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let store = Store::directory(folder)?;
        let lock = File::create(folder.join(".build.lock"))?;
        lock.try_lock().map_err(|_| anyhow!("another build is writing to {}", folder.display()))?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        // Beside the result, so that a large build does not fill a small /tmp.
        let scratch = tempfile::Builder::new().prefix(SCRATCH_PREFIX).tempdir_in(folder)?;
        Ok(Self { store, folder: folder.to_owned(), scratch, _lock: lock })
    }

    /// A time for a new snapshot: what is asked for, or just after the newest one where that is not later, as when the clock
    /// was put back. Ids sort by it, and whoever names none means the newest.
    pub(crate) async fn created_at(&self, time: Timestamp) -> Result<Timestamp> {
        let Some(newest) = self.store.newest_snapshot().await? else { return Ok(time) };
        let Ok(newest) = self.store.get_manifest(&newest).await else { return Ok(time) };
        Ok(time.max(newest.created_at + SignedDuration::from_millis(1)))
    }

    /// A folder for what is unfinished.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Where objects of snapshots that are updated or compared with are kept from run to run.
    pub(crate) fn cache(&self) -> Result<Scratch> {
        Scratch::new(Some(&cache_of(&self.folder)))
    }

    /// Puts a snapshot's objects into the folder, from the cache that they were brought to: what was updated must be
    /// publishable to a store that has none of it.
    pub(crate) async fn adopt(&self, cache: &Scratch, manifest: &Manifest) -> Result<()> {
        for object in &manifest.objects {
            if self.store.object_size(&object.blake3).await? != Some(object.size_bytes) {
                self.store.put_object_file(&object.blake3, &cache.object_path(object)?).await?;
            }
        }
        Ok(())
    }

    /// Removes all updates but the newest, and what no snapshot of the folder is made of, but for an object that one is to be
    /// made of: whoever follows a source would fill the disk. What was built anew stays.
    pub(crate) async fn tidy(&self, waiting: Option<Digest>) -> Result<()> {
        let (mut updates, mut needed) = (0, waiting.into_iter().collect::<HashSet<Digest>>());
        let listed = self.store.list_manifests().await?;
        for listed in listed.iter().rev().filter(|listed| listed.has_manifest) {
            let manifest = self.store.get_manifest(&listed.id).await?;
            updates += usize::from(manifest.parent.is_some());
            match manifest.parent.is_some() && updates > KEPT_UPDATES {
                true => self.store.delete_manifest(listed).await?,
                false => needed.extend(manifest.objects.iter().map(|object| object.blake3)),
            }
        }
        let objects: Vec<ListedObject> = self.store.list_objects().try_collect().await?;
        for object in objects.iter().filter(|object| !needed.contains(&object.digest)) {
            self.store.delete_object(&object.digest).await?;
        }
        Ok(())
    }
}

/// The cache of a folder that snapshots are built in.
pub fn cache_of(folder: &Path) -> std::path::PathBuf {
    folder.join(".cache")
}
