//! Where snapshots are kept: Azure Blob, a directory or memory behind one type, by URL.
//!
//! Objects and manifests are written create-only. What moves is in `pointers`.

mod directory;
mod files;
mod leases;
mod pointers;
mod retention;
mod signatures;
mod sweeps;

use std::collections::BTreeSet;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, WriteMultipart};
use url::Url;

pub(crate) use directory::replace_file;
pub use files::LateFiles;
pub(crate) use files::Seen;
pub use leases::Lease;
pub use pointers::{PointerName, PointerState, PointerVersion, ReadPointer, WrittenPointer};
pub use retention::{ListedManifest, ListedObject, MAX_MARKED, Marks};
pub use sweeps::Sweep;

use crate::azure;
use crate::channel::RegionName;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Manifest, ObjectRef, SnapshotId, limits::MANIFEST_BYTES};
use crate::mapping::Mapping;
use crate::signing::{KeyId, SigningKey, Trust};
use crate::status::MAX_STATUS_BYTES;

/// Objects above this go up in parts.
const SINGLE_PUT_BYTES: usize = 32 * 1024 * 1024;
const PART_BYTES: usize = 8 * 1024 * 1024;
const PARTS_AT_ONCE: usize = 4;
/// A store that lists more snapshots than this is not listed further.
const MAX_LISTED: usize = 10_000;

/// A store of snapshots. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    url: String,
    /// The root folder, where the store is a directory.
    directory: Option<PathBuf>,
    /// Where only some are trusted: whoever signed what is read.
    trust: Option<Trust>,
    /// What is written is signed with this.
    key: Option<SigningKey>,
    /// Where it is known whose catalogue this is: what is read must be of it.
    catalogue: Option<String>,
}

impl Store {
    /// Opens `file:///folder`, `memory://` (a new one each time) or `az://container/prefix`.
    ///
    /// `settings` are names and values as Azure's own tools know them (`AZURE_STORAGE_ACCOUNT_NAME`, ...), each with
    /// `_FILE` behind it for a file that holds the value; others are passed over.
    ///
    /// # Errors
    /// When the URL is of no known kind, its folder is missing, or the settings do not make a client.
    pub fn open(url: &str, settings: &[(String, String)]) -> Result<Self, Error> {
        let fault = |reason: String| Error::Url { url: url.to_owned(), reason };
        let parsed =
            Url::parse(url).map_err(|error| fault(format!("{error}; give file:///..., memory:// or az://...")))?;
        match parsed.scheme() {
            "file" => {
                let folder = parsed.to_file_path().map_err(|()| fault("the path must be absolute".into()))?;
                Self::folder(&folder)
            }
            "memory" => Ok(Self::with(Arc::new(InMemory::new()), Path::default(), url, None)),
            "az" => {
                let container = parsed.host_str().ok_or_else(|| fault("a container is missing".into()))?;
                let client = azure::client(container, settings).map_err(fault)?;
                let prefix = Path::parse(parsed.path().trim_matches('/')).map_err(|error| fault(error.to_string()))?;
                Ok(Self::with(Arc::new(client), prefix, url, None))
            }
            other => Err(fault(format!("'{other}' is none of file, memory and az"))),
        }
    }

    /// Opens as [`Store::open`] does, and makes a folder that is missing.
    ///
    /// # Errors
    /// As [`Store::open`], and when the folder cannot be made.
    pub fn create(url: &str, settings: &[(String, String)]) -> Result<Self, Error> {
        match Url::parse(url).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok()) {
            Some(folder) => Self::directory(&folder),
            None => Self::open(url, settings),
        }
    }

    /// Opens a directory that is there as a store.
    ///
    /// # Errors
    /// When it is missing.
    pub fn folder(folder: &FilePath) -> Result<Self, Error> {
        match folder.is_dir() {
            true => Self::directory(folder),
            false => Err(Error::NoFolder(folder.to_owned())),
        }
    }

    /// Opens a directory as a store, and makes it where it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn directory(folder: &FilePath) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        let folder = folder.canonicalize().map_err(|error| Error::io(folder, error))?;
        // What a pointer names must outlive a power cut as the pointer does.
        let client = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true);
        let url = format!("file://{}", folder.display());
        Ok(Self::with(Arc::new(client), Path::default(), &url, Some(folder)))
    }

    fn with(objects: Arc<dyn ObjectStore>, prefix: Path, url: &str, directory: Option<PathBuf>) -> Self {
        Self { objects, prefix, url: url.to_owned(), directory, trust: None, key: None, catalogue: None }
    }

    /// The same store, of which only manifests and pointers are read that someone trusted has signed.
    #[must_use]
    pub fn trusting(self, trust: Option<Trust>) -> Self {
        Self { trust, ..self }
    }

    /// The same store, to which manifests and pointers are written signed.
    #[must_use]
    pub fn signing(self, key: Option<SigningKey>) -> Self {
        Self { key, ..self }
    }

    /// The same store, of which only manifests and pointers of one catalogue are read: whoever is trusted may have signed
    /// others as well.
    #[must_use]
    pub fn of_catalogue(self, catalogue: Option<String>) -> Self {
        Self { catalogue, ..self }
    }

    /// Whether a snapshot of this catalogue may stand here.
    pub fn expects(&self, catalogue: &str) -> bool {
        self.catalogue.as_ref().is_none_or(|expected| expected == catalogue)
    }

    /// The keys that are trusted; none where all are.
    pub fn trusted_keys(&self) -> Vec<KeyId> {
        self.trust.iter().flat_map(|trust| trust.keys().cloned()).collect()
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Writes an object under its digest. Returns false where it was there already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_object(&self, digest: &Digest, bytes: Bytes) -> Result<bool, Error> {
        let path = self.object_path(digest);
        if bytes.len() <= SINGLE_PUT_BYTES {
            return self.put_new(&path, bytes).await;
        }
        // Parts cannot be put create-only; the name is the digest of the bytes, so a race writes the same twice.
        if self.object_size(digest).await?.is_some() {
            return Ok(false);
        }
        let upload = self.objects.put_multipart(&path).await?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        for start in (0..bytes.len()).step_by(PART_BYTES) {
            parts.wait_for_capacity(PARTS_AT_ONCE).await?;
            parts.put(bytes.slice(start..bytes.len().min(start + PART_BYTES)));
        }
        match parts.finish().await {
            Ok(_) => Ok(true),
            // Another upload of the same object, or an answer that was lost, can spoil the last step of one that has
            // succeeded. Whoever publishes reads the object back.
            Err(error) => match self.object_size(digest).await {
                Ok(Some(size)) if size == bytes.len() as u64 => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    /// Writes an object over one that is there with other bytes: the repair of a damaged store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn replace_object(&self, digest: &Digest, bytes: Bytes) -> Result<(), Error> {
        self.objects.put_opts(&self.object_path(digest), bytes.into(), PutMode::Overwrite.into()).await?;
        Ok(())
    }

    /// Writes a file as an object, without reading it into memory first.
    ///
    /// # Errors
    /// When the file cannot be read or the store fails.
    pub async fn put_object_file(&self, digest: &Digest, file: &FilePath) -> Result<bool, Error> {
        let bytes = Bytes::from_owner(Mapping::open(file, false)?);
        self.put_object(digest, bytes).await
    }

    /// The size of an object, or None where it is missing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn object_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.objects.head(&self.object_path(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// # Errors
    /// When the object is missing or shorter, or the store fails.
    pub async fn get_object_range(&self, digest: &Digest, range: std::ops::Range<u64>) -> Result<Bytes, Error> {
        Ok(self.objects.get_range(&self.object_path(digest), range).await?)
    }

    /// All of an object that is small; from a directory it is mapped rather than read into memory.
    ///
    /// # Errors
    /// When the object is missing or the store fails.
    pub async fn get_object(&self, digest: &Digest) -> Result<Bytes, Error> {
        match &self.directory {
            Some(folder) => {
                let path = folder.join("objects").join(digest.to_string());
                match path.exists() {
                    true => Ok(Bytes::from_owner(Mapping::open(&path, false)?)),
                    false => Err(Error::NotFound(path.display().to_string())),
                }
            }
            None => Ok(self.objects.get(&self.object_path(digest)).await?.bytes().await?),
        }
    }

    /// All of an object, however large: what is large is mapped rather than read into memory, from a directory where it lies,
    /// from elsewhere in the file `scratch`, which it is brought to.
    ///
    /// # Errors
    /// When the object is missing, the store fails, or the disk is full.
    pub async fn map_object(&self, object: &ObjectRef, scratch: &FilePath) -> Result<Bytes, Error> {
        if self.directory.is_some() || object.size_bytes <= SINGLE_PUT_BYTES as u64 {
            return self.get_object(&object.blake3).await;
        }
        self.fetch(&self.object_path(&object.blake3), scratch).await?;
        Ok(Bytes::from_owner(Mapping::open(scratch, false)?))
    }

    /// Reads all of an object and returns the digest of what came.
    ///
    /// # Errors
    /// When the object is missing or the store fails.
    pub async fn digest_of_object(&self, digest: &Digest) -> Result<Digest, Error> {
        let size = self.object_size(digest).await?;
        let size = size.ok_or_else(|| Error::NotFound(format!("object {digest}")))?;
        let ranges = futures::stream::iter(ranges(size));
        let mut chunks = ranges.map(|range| self.get_object_range(digest, range)).buffered(PARTS_AT_ONCE);
        let mut hasher = blake3::Hasher::new();
        while let Some(chunk) = chunks.try_next().await? {
            hasher.update(&chunk);
        }
        Ok(Digest::from(hasher.finalize()))
    }

    /// Writes a manifest, and beside it a signature where this store has a key. Returns false where the same manifest
    /// was there already.
    ///
    /// # Errors
    /// When another manifest has this id, or the store fails.
    pub async fn put_manifest(&self, manifest: &Manifest) -> Result<bool, Error> {
        let path = self.manifest_path(&manifest.id);
        let json = manifest.to_json();
        // First, so that a manifest that can be read can be verified.
        self.sign_manifest(&manifest.id, &json).await?;
        if self.put_new(&path, json.into()).await? {
            return Ok(true);
        }
        match self.get_manifest(&manifest.id).await? == *manifest {
            true => Ok(false),
            false => Err(Error::Exists(path.to_string())),
        }
    }

    /// # Errors
    /// When it is missing, damaged, not trusted, of a newer format or of another catalogue, or the store fails.
    pub async fn get_manifest(&self, id: &SnapshotId) -> Result<Manifest, Error> {
        let path = self.manifest_path(id);
        let (bytes, _) = self.get_small(&path, GetOptions::new(), MANIFEST_BYTES).await?;
        let manifest = Manifest::from_json(&bytes)?;
        if manifest.id != *id {
            return Err(Error::corrupt(path.to_string(), format!("it is the manifest of {}", manifest.id)));
        }
        if !manifest.is_sealed_in(&bytes) {
            return Err(Error::corrupt("manifest", "its content is not what its id was made from"));
        }
        self.verify_manifest(id, &bytes).await?;
        self.check_catalogue(&format!("snapshot {id}"), Some(&manifest.catalogue))?;
        Ok(manifest)
    }

    /// The ids of all manifests, oldest first.
    ///
    /// # Errors
    /// When the store fails, or holds more than are ever listed.
    pub async fn list_snapshots(&self) -> Result<Vec<SnapshotId>, Error> {
        let names = self.list_names("snapshots", MAX_LISTED).await?;
        let mut ids: Vec<SnapshotId> =
            names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The id of the newest manifest, however many there are; None where there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn newest_snapshot(&self) -> Result<Option<SnapshotId>, Error> {
        Ok(self.newest_snapshots(1).await?.pop())
    }

    /// The ids of the newest manifests, newest first: `most` of them, however many there are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn newest_snapshots(&self, most: usize) -> Result<Vec<SnapshotId>, Error> {
        let mut metas = self.objects.list(Some(&self.path(&["snapshots"])));
        let mut newest = BTreeSet::new();
        while let Some(meta) = metas.try_next().await? {
            let name = meta.location.filename().unwrap_or_default();
            newest.extend(name.strip_suffix(".json").and_then(|id| id.parse::<SnapshotId>().ok()));
            if newest.len() > most {
                newest.pop_first();
            }
        }
        Ok(newest.into_iter().rev().collect())
    }

    fn check_catalogue(&self, what: &str, found: Option<&str>) -> Result<(), Error> {
        match &self.catalogue {
            Some(expected) if found != Some(expected.as_str()) => {
                let found = found.map_or("no catalogue".to_owned(), |found| format!("the catalogue '{found}'"));
                let reason = format!("it is of {found}, and '{expected}' is expected here");
                Err(Error::Untrusted { what: what.to_owned(), reason })
            }
            _ => Ok(()),
        }
    }

    async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn put_new(&self, path: &Path, bytes: Bytes) -> Result<bool, Error> {
        match self.objects.put_opts(path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn get_small(
        &self,
        path: &Path,
        options: GetOptions,
        limit_bytes: u64,
    ) -> Result<(Bytes, Option<String>), Error> {
        let found = self.objects.get_opts(path, options).await?;
        if found.meta.size > limit_bytes {
            return Err(Error::corrupt(path.to_string(), format!("it is larger than {limit_bytes} bytes")));
        }
        let etag = found.meta.e_tag.clone();
        Ok((found.bytes().await?, etag))
    }

    pub(crate) async fn put_status(&self, region: &RegionName, node: &str, json: Bytes) -> Result<(), Error> {
        let path = self.status_path(region, node);
        self.objects.put_opts(&path, json.into(), PutMode::Overwrite.into()).await?;
        Ok(())
    }

    pub(crate) async fn delete_status(&self, region: &RegionName, node: &str) -> Result<(), Error> {
        self.delete(&self.status_path(region, node)).await
    }

    /// A status, and when it was written by the store's clock.
    pub(crate) async fn get_status(&self, path: Path) -> Result<(Bytes, Timestamp), Error> {
        let written_at = self.objects.head(&path).await?.last_modified.timestamp_millis();
        let written_at = Timestamp::from_millisecond(written_at).map_err(|error| Error::corrupt("time", error))?;
        Ok((self.get_small(&path, GetOptions::new(), MAX_STATUS_BYTES).await?.0, written_at))
    }

    /// The statuses that were written so shortly before the newest one. Those of nodes that died stay for good, and may
    /// be many more.
    pub(crate) async fn list_statuses(&self, within: Duration) -> Result<Vec<Path>, Error> {
        let path = self.path(&["status"]);
        let (mut newest_ms, mut found) = (i64::MIN, Vec::new());
        let mut metas = self.objects.list(Some(&path));
        while let Some(meta) = metas.try_next().await? {
            let written_ms = meta.last_modified.timestamp_millis();
            newest_ms = newest_ms.max(written_ms);
            found.push((meta.location, written_ms));
            if found.len() > MAX_LISTED {
                keep_lately(&mut found, newest_ms, within);
            }
            if found.len() > MAX_LISTED {
                return Err(Error::corrupt(path.to_string(), format!("more than {MAX_LISTED} nodes")));
            }
        }
        keep_lately(&mut found, newest_ms, within);
        Ok(found.into_iter().map(|(path, _)| path).collect())
    }

    /// Brings all of something to a file, of which little is in memory at a time.
    async fn fetch(&self, path: &Path, to: &FilePath) -> Result<(), Error> {
        let meta = self.objects.head(path).await?;
        let ranges = futures::stream::iter(ranges(meta.size));
        let mut chunks = ranges.map(|range| self.get_part(path, &meta, range)).buffered(PARTS_AT_ONCE);
        let mut file = std::fs::File::create(to).map_err(|error| Error::io(to, error))?;
        while let Some(chunk) = chunks.try_next().await? {
            std::io::Write::write_all(&mut file, &chunk).map_err(|error| Error::io(to, error))?;
        }
        Ok(())
    }

    /// A part of what is still as `meta` shows it: of what was written anew meanwhile, the parts would not fit together.
    async fn get_part(&self, path: &Path, meta: &ObjectMeta, range: std::ops::Range<u64>) -> Result<Bytes, Error> {
        let options = GetOptions::new().with_range(Some(range)).with_if_match(meta.e_tag.as_deref());
        Ok(self.objects.get_opts(path, options).await?.bytes().await?)
    }

    async fn list_names(&self, folder: &str, most: usize) -> Result<Vec<String>, Error> {
        let path = self.path(&[folder]);
        let metas = self.objects.list(Some(&path)).take(most + 1);
        let names = metas.map_ok(|meta| meta.location.filename().unwrap_or_default().to_owned());
        let names: Vec<String> = names.try_collect().await?;
        match names.len() > most {
            true => Err(Error::corrupt(path.to_string(), format!("more than {most} entries; name the one you mean"))),
            false => Ok(names),
        }
    }

    fn path(&self, parts: &[&str]) -> Path {
        self.prefix.parts().chain(parts.iter().map(|part| (*part).into())).collect()
    }

    fn object_path(&self, digest: &Digest) -> Path {
        self.path(&["objects", &digest.to_string()])
    }

    fn manifest_path(&self, id: &SnapshotId) -> Path {
        self.path(&["snapshots", &format!("{id}.json")])
    }

    fn status_path(&self, region: &RegionName, node: &str) -> Path {
        self.path(&["status", region.as_str(), &format!("{node}.json")])
    }
}

/// What is large is read in ranges, so that it is not bound by the time limit of one request.
fn ranges(size_bytes: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..size_bytes).step_by(PART_BYTES).map(move |start| start..size_bytes.min(start + PART_BYTES as u64))
}

fn keep_lately(written: &mut Vec<(Path, i64)>, newest_ms: i64, within: Duration) {
    let within_ms = within.as_millis() as i64;
    written.retain(|(_, written_ms)| newest_ms.saturating_sub(*written_ms) <= within_ms);
}
