//! Where snapshots are kept: Azure Blob, a directory or memory behind one type, by URL.
//!
//! Objects and manifests are written create-only. The one thing that moves is a channel's pointer, and it moves by
//! compare-and-swap.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
    UpdateVersion, WriteMultipart,
};
use url::Url;

use crate::channel::{ChannelName, MAX_POINTER_BYTES, Pointer};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Manifest, SnapshotId, limits::MANIFEST_BYTES};
use crate::mapping::Mapping;

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
}

/// A pointer as it was read, with what is needed to move it or to ask whether it moved.
#[derive(Clone, Debug)]
pub struct ReadPointer {
    pub pointer: Pointer,
    version: PointerVersion,
}

/// A version of a pointer, opaque to all but the store it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerVersion(Option<String>);

/// What a conditional read of a pointer found.
#[derive(Clone, Debug)]
pub enum PointerState {
    /// No one has announced to the channel yet.
    Missing,
    Unchanged,
    Moved(ReadPointer),
}

impl ReadPointer {
    pub fn version(&self) -> &PointerVersion {
        &self.version
    }
}

impl Store {
    /// Opens `file:///folder`, `memory://` (a new one each time) or `az://container/prefix`.
    ///
    /// `settings` are names and values as Azure's own tools know them (`AZURE_STORAGE_ACCOUNT_NAME`, ...); others
    /// are passed over.
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
                match folder.is_dir() {
                    true => Self::directory(&folder),
                    false => Err(Error::NoFolder(folder)),
                }
            }
            "memory" => Ok(Self::with(Arc::new(InMemory::new()), Path::default(), url, None)),
            "az" => {
                let container = parsed.host_str().ok_or_else(|| fault("a container is missing".into()))?;
                let client = azure_client(container, settings).map_err(|error| fault(error.to_string()))?;
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
        Self { objects, prefix, url: url.to_owned(), directory }
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

    /// All of an object; from a directory it is mapped rather than read into memory.
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

    /// Reads all of an object and returns the digest of what came.
    ///
    /// # Errors
    /// When the object is missing or the store fails.
    pub async fn digest_of_object(&self, digest: &Digest) -> Result<Digest, Error> {
        let size = self.object_size(digest).await?;
        let size = size.ok_or_else(|| Error::NotFound(format!("object {digest}")))?;
        // In ranges, so that a large object is not bound by the time limit of one request.
        let ranges = (0..size).step_by(PART_BYTES).map(|start| start..size.min(start + PART_BYTES as u64));
        let mut chunks =
            futures::stream::iter(ranges).map(|range| self.get_object_range(digest, range)).buffered(PARTS_AT_ONCE);
        let mut hasher = blake3::Hasher::new();
        while let Some(chunk) = chunks.try_next().await? {
            hasher.update(&chunk);
        }
        Ok(Digest::from(hasher.finalize()))
    }

    /// Writes a manifest. Returns false where the same manifest was there already.
    ///
    /// # Errors
    /// When another manifest has this id, or the store fails.
    pub async fn put_manifest(&self, manifest: &Manifest) -> Result<bool, Error> {
        let path = self.manifest_path(&manifest.id);
        if self.put_new(&path, manifest.to_json().into()).await? {
            return Ok(true);
        }
        match self.get_manifest(&manifest.id).await? == *manifest {
            true => Ok(false),
            false => Err(Error::Exists(path.to_string())),
        }
    }

    /// # Errors
    /// When it is missing, damaged or of a newer format, or the store fails.
    pub async fn get_manifest(&self, id: &SnapshotId) -> Result<Manifest, Error> {
        let path = self.manifest_path(id);
        let (bytes, _) = self.get_small(&path, GetOptions::new(), MANIFEST_BYTES).await?;
        let manifest = Manifest::from_json(&bytes)?;
        if manifest.id != *id {
            return Err(Error::corrupt(path.to_string(), format!("it is the manifest of {}", manifest.id)));
        }
        match manifest.is_sealed_in(&bytes) {
            true => Ok(manifest),
            false => Err(Error::corrupt("manifest", "its content is not what its id was made from")),
        }
    }

    /// The ids of all manifests, oldest first.
    ///
    /// # Errors
    /// When the store fails, or holds more than are ever listed.
    pub async fn list_snapshots(&self) -> Result<Vec<SnapshotId>, Error> {
        let names = self.list_names("snapshots").await?;
        let mut ids: Vec<SnapshotId> =
            names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The channels that someone has announced to.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_channels(&self) -> Result<Vec<ChannelName>, Error> {
        let names = self.list_names("channels").await?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// Reads a channel's pointer; given the version that is known, only where it moved.
    ///
    /// # Errors
    /// When the pointer is damaged or the store fails.
    pub async fn read_pointer(
        &self,
        channel: &ChannelName,
        known: Option<&PointerVersion>,
    ) -> Result<PointerState, Error> {
        let etag = known.and_then(|version| version.0.clone());
        let options = GetOptions::new().with_if_none_match(etag);
        match self.get_small(&self.channel_path(channel), options, MAX_POINTER_BYTES).await {
            Ok((bytes, etag)) => {
                let pointer = Pointer::from_json(&bytes)?;
                Ok(PointerState::Moved(ReadPointer { pointer, version: PointerVersion(etag) }))
            }
            Err(Error::NotFound(_)) => Ok(PointerState::Missing),
            Err(Error::Store(object_store::Error::NotModified { .. })) => Ok(PointerState::Unchanged),
            Err(error) => Err(error),
        }
    }

    /// Moves a channel's pointer if it is still where `expected` saw it (None: nowhere yet).
    ///
    /// # Errors
    /// [`Error::Conflict`] when someone else moved it; otherwise when the store fails.
    pub async fn move_pointer(
        &self,
        channel: &ChannelName,
        expected: Option<&ReadPointer>,
        pointer: &Pointer,
    ) -> Result<(), Error> {
        let path = self.channel_path(channel);
        let payload = PutPayload::from(pointer.to_json());
        let moved = match (expected, &self.directory) {
            (None, _) => self.objects.put_opts(&path, payload, PutMode::Create.into()).await.map(|_| ()),
            (Some(expected), Some(folder)) => {
                return self.move_in_directory(folder.clone(), channel, expected, pointer).await;
            }
            (Some(expected), None) => {
                let version = UpdateVersion { e_tag: expected.version.0.clone(), version: None };
                self.objects.put_opts(&path, payload, PutMode::Update(version).into()).await.map(|_| ())
            }
        };
        match moved {
            Ok(()) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                self.explain_conflict(channel, pointer).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what a running publish relies on, before its first object.
    ///
    /// # Errors
    /// When a lease of this name is there already, or the store fails.
    pub async fn put_lease(&self, publish_id: &str, json: Vec<u8>) -> Result<(), Error> {
        let path = self.path(&["leases", &format!("{publish_id}.json")]);
        match self.put_new(&path, json.into()).await? {
            true => Ok(()),
            false => Err(Error::Exists(path.to_string())),
        }
    }

    /// # Errors
    /// When the store fails; a lease that is gone already is no error.
    pub async fn delete_lease(&self, publish_id: &str) -> Result<(), Error> {
        match self.objects.delete(&self.path(&["leases", &format!("{publish_id}.json")])).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A lost answer makes a client try again, and the second try then finds its own first one in place: that is no
    /// conflict.
    async fn explain_conflict(&self, channel: &ChannelName, wanted: &Pointer) -> Result<(), Error> {
        let now = match self.read_pointer(channel, None).await? {
            PointerState::Moved(found) if found.pointer == *wanted => return Ok(()),
            PointerState::Moved(found) => format!("{} (sequence {})", found.pointer.snapshot, found.pointer.sequence),
            _ => "nothing".to_owned(),
        };
        Err(Error::Conflict { channel: channel.to_string(), now })
    }

    /// A directory has no conditional put, so a lock that dies with its holder guards a read, a comparison and an
    /// atomic rename.
    async fn move_in_directory(
        &self,
        folder: PathBuf,
        channel: &ChannelName,
        expected: &ReadPointer,
        pointer: &Pointer,
    ) -> Result<(), Error> {
        let lock = tokio::task::spawn_blocking({
            let folder = folder.join("locks");
            let name = format!("{channel}.lock");
            move || lock_file(&folder, &name)
        });
        let _lock = lock.await.map_err(|error| Error::corrupt("lock", error))??;
        match self.read_pointer(channel, Some(&expected.version)).await? {
            PointerState::Unchanged => {}
            _ => return self.explain_conflict(channel, pointer).await,
        }
        let target = folder.join("channels").join(format!("{channel}.json"));
        replace_file(&target, &pointer.to_json())
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

    async fn list_names(&self, folder: &str) -> Result<Vec<String>, Error> {
        let path = self.path(&[folder]);
        let metas = self.objects.list(Some(&path)).take(MAX_LISTED + 1);
        let names = metas.map_ok(|meta| meta.location.filename().unwrap_or_default().to_owned());
        let names: Vec<String> = names.try_collect().await?;
        match names.len() > MAX_LISTED {
            true => {
                Err(Error::corrupt(path.to_string(), format!("more than {MAX_LISTED} entries; name the one you mean")))
            }
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

    fn channel_path(&self, channel: &ChannelName) -> Path {
        self.path(&["channels", &format!("{channel}.json")])
    }
}

fn azure_client(
    container: &str,
    settings: &[(String, String)],
) -> Result<object_store::azure::MicrosoftAzure, object_store::Error> {
    let mut builder = MicrosoftAzureBuilder::new().with_container_name(container);
    let mut plain_http = false;
    for (name, value) in settings {
        let Ok(key) = name.to_ascii_lowercase().parse() else { continue };
        plain_http |= name.eq_ignore_ascii_case("AZURE_STORAGE_ENDPOINT") && value.starts_with("http://");
        builder = builder.with_config(key, value);
    }
    let client = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(120))
        .with_allow_http(plain_http);
    let retry = RetryConfig {
        backoff: BackoffConfig { max_backoff: Duration::from_secs(5), ..Default::default() },
        max_retries: 4,
        retry_timeout: Duration::from_secs(60),
    };
    builder.with_client_options(client).with_retry(retry).build()
}

/// Takes a lock that the kernel lets go when its holder ends, however it ends.
pub(crate) fn lock_file(folder: &FilePath, name: &str) -> Result<std::fs::File, Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let path = folder.join(name);
    let file = std::fs::File::create(&path).map_err(|error| Error::io(&path, error))?;
    file.lock().map_err(|error| Error::io(&path, error))?;
    Ok(file)
}

/// Writes a file so that a reader, or a crash, sees the old bytes or the new ones and nothing between.
pub(crate) fn replace_file(target: &FilePath, bytes: &[u8]) -> Result<(), Error> {
    let staged = target.with_extension("new");
    let write = || {
        let mut file = std::fs::File::create(&staged)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&staged, target)?;
        match target.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| Error::io(target, error))
}
