//! What retention needs of a store: all that it holds, with ages; removal; and the notes of one run for the next.

use std::collections::BTreeMap;

use futures::{Stream, TryStreamExt};
use jiff::Timestamp;
use object_store::{GetOptions, ObjectMeta, PutMode};
use serde::{Deserialize, Serialize};

use super::Store;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::SnapshotId;

/// A store with more files of manifests and signatures than this is not listed for removal.
const MAX_MANIFEST_FILES: usize = 200_000;
/// So many names are noted from one run to the next; what is left out is noted by a later one.
pub const MAX_MARKED: usize = 20_000;
/// [`MAX_MARKED`] names with their times, and room to spare.
const MAX_MARKS_BYTES: u64 = 8 * 1024 * 1024;

/// An object, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub digest: Digest,
    pub size_bytes: u64,
    pub modified_at: Timestamp,
}

/// A manifest with its signatures, as listings show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedManifest {
    pub id: SnapshotId,
    pub size_bytes: u64,
    /// When the latest of its files was written.
    pub modified_at: Timestamp,
    /// False where only signatures are left, or are there already.
    pub has_manifest: bool,
    /// The names of the signatures' files.
    signatures: Vec<String>,
}

/// What was found unreachable, and since when it has been.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    pub snapshots: BTreeMap<SnapshotId, Timestamp>,
    pub objects: BTreeMap<Digest, Timestamp>,
}

impl Marks {
    pub fn len(&self) -> usize {
        self.snapshots.len() + self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store {
    /// Every object, one after another, in no order that could be relied on. A store may hold any number of them. Files
    /// with other names are passed over.
    pub fn list_objects(&self) -> impl Stream<Item = Result<ListedObject, Error>> {
        let metas = self.objects.list(Some(&self.path(&["objects"])));
        metas.map_err(Error::from).try_filter_map(|meta| std::future::ready(listed_object(&meta)))
    }

    /// Every manifest, oldest first, with its signatures; signatures without a manifest too.
    ///
    /// # Errors
    /// When the store fails, or holds more than are ever listed.
    pub async fn list_manifests(&self) -> Result<Vec<ListedManifest>, Error> {
        let mut found: BTreeMap<SnapshotId, ListedManifest> = BTreeMap::new();
        let mut files = 0;
        for folder in ["signatures", "snapshots"] {
            let mut metas = self.objects.list(Some(&self.path(&[folder])));
            while let Some(meta) = metas.try_next().await? {
                files += 1;
                if files > MAX_MANIFEST_FILES {
                    let reason = format!("more than {MAX_MANIFEST_FILES} manifests and signatures");
                    return Err(Error::corrupt(self.url(), reason));
                }
                add_file(&mut found, folder, &meta)?;
            }
        }
        Ok(found.into_values().collect())
    }

    /// Removes an object; one that is gone already is no error. Whoever calls this has made sure that nothing needs it.
    ///
    /// # Errors
    /// When the store fails; whether the object is gone is then unknown.
    pub async fn delete_object(&self, digest: &Digest) -> Result<(), Error> {
        self.delete(&self.object_path(digest)).await
    }

    /// Removes a manifest, then its signatures: a manifest whose signatures went first could be trusted by nobody.
    ///
    /// # Errors
    /// As [`Store::delete_object`].
    pub async fn delete_manifest(&self, manifest: &ListedManifest) -> Result<(), Error> {
        if manifest.has_manifest {
            self.delete(&self.manifest_path(&manifest.id)).await?;
        }
        for name in &manifest.signatures {
            self.delete(&self.path(&["signatures", name])).await?;
        }
        Ok(())
    }

    /// What the last run found. What cannot be read is taken for nothing: it is then found anew, and waits anew.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get_marks(&self) -> Result<Marks, Error> {
        match self.get_small(&self.marks_path(), GetOptions::new(), MAX_MARKS_BYTES).await {
            Ok((bytes, _)) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(Error::NotFound(_) | Error::Corrupt { .. }) => Ok(Marks::default()),
            Err(error) => Err(error),
        }
    }

    /// Keeps what this run found, over what the last one did. Nothing is kept of no marks.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_marks(&self, marks: &Marks) -> Result<(), Error> {
        let path = self.marks_path();
        if marks.is_empty() {
            return self.delete(&path).await;
        }
        let json = serde_json::to_vec(marks).map_err(|error| Error::corrupt(path.to_string(), error))?;
        self.objects.put_opts(&path, json.into(), PutMode::Overwrite.into()).await?;
        Ok(())
    }

    fn marks_path(&self) -> object_store::path::Path {
        self.path(&["gc", "marked.json"])
    }
}

fn listed_object(meta: &ObjectMeta) -> Result<Option<ListedObject>, Error> {
    let Some(digest) = meta.location.filename().and_then(|name| name.parse().ok()) else { return Ok(None) };
    Ok(Some(ListedObject { digest, size_bytes: meta.size, modified_at: modified_at(meta)? }))
}

/// Takes note of one file of a manifest: itself, or a signature, whose name begins with the snapshot's id and a dot.
fn add_file(found: &mut BTreeMap<SnapshotId, ListedManifest>, folder: &str, meta: &ObjectMeta) -> Result<(), Error> {
    let name = meta.location.filename().unwrap_or_default();
    let is_manifest = folder == "snapshots";
    let id = match is_manifest {
        true => name.strip_suffix(".json"),
        false => name.split_once('.').map(|(id, _)| id),
    };
    let Some(id) = id.and_then(|id| id.parse::<SnapshotId>().ok()) else { return Ok(()) };
    let modified_at = modified_at(meta)?;
    let listed = found.entry(id.clone()).or_insert_with(|| ListedManifest {
        id,
        size_bytes: 0,
        modified_at,
        has_manifest: false,
        signatures: Vec::new(),
    });
    listed.modified_at = listed.modified_at.max(modified_at);
    listed.size_bytes += meta.size;
    match is_manifest {
        true => listed.has_manifest = true,
        false => listed.signatures.push(name.to_owned()),
    }
    Ok(())
}

pub(super) fn modified_at(meta: &ObjectMeta) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(meta.last_modified.timestamp_millis())
        .map_err(|error| Error::corrupt(meta.location.to_string(), error))
}
