//! A node's own copy of the objects that it serves: downloaded once, checked, and never written again.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use crate::digest::Digest;
use crate::error::Error;
use crate::liveness::Liveness;
use crate::manifest::{Manifest, ObjectRef, Role};
use crate::mapping::Mapping;
use crate::segment::{Segment, TextProof};
use crate::signing::KeyId;
use crate::store::{Store, replace_file};
use crate::watch::Target;

const RANGE_BYTES: u64 = 8 * 1024 * 1024;
const RANGES_AT_ONCE: usize = 4;

/// A folder of verified objects. One process uses it at a time.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Objects whose bytes this process has hashed; a snapshot that comes back opens without hashing again, and without its
    /// text being checked again.
    verified: Mutex<HashMap<Digest, TextProof>>,
    /// Objects that are being installed.
    installing: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    lock: File,
}

/// An object in the cache whose content was checked, so that it may be mapped and read in place.
#[derive(Clone, Debug)]
pub struct Installed {
    path: PathBuf,
    text_proof: TextProof,
}

/// What was served last, for a start while the store is away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Remembered {
    #[serde(flatten)]
    pub target: Target,
    /// The keys that were trusted when it was taken from the store.
    #[serde(default)]
    pub trusted: Vec<KeyId>,
    pub manifest: Manifest,
}

impl Installed {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Maps the object; see [`Mapping::open`] for `populate`.
    ///
    /// # Errors
    /// When the file cannot be mapped.
    pub fn map(&self, populate: bool) -> Result<Mapping, Error> {
        Mapping::open(&self.path, populate)
    }

    /// Opens the object, which is a segment, and reads its pages in.
    pub(crate) fn segment(&self) -> Result<Segment, Error> {
        Segment::open(self.map(true)?, self.text_proof.clone())
    }
}

/// A process that is just being started may have the file, too, until it runs another program: to close it is not enough.
impl Drop for Cache {
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl Cache {
    /// Opens a folder as a cache, and makes it where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made, or another process uses it.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let objects = folder.join("objects");
        std::fs::create_dir_all(&objects).map_err(|error| Error::io(&objects, error))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(|error| Error::io(&path, error))?;
        lock.try_lock().map_err(|_| {
            let reason = "another process uses this cache folder";
            Error::io(folder, std::io::Error::new(std::io::ErrorKind::ResourceBusy, reason))
        })?;
        Ok(Self { folder: folder.to_owned(), verified: Mutex::default(), installing: Mutex::default(), lock })
    }

    /// Makes sure that an object is here and whole, downloading what is missing.
    ///
    /// # Errors
    /// When the store fails, the bytes are not those of the digest, their structure is unsound, or the disk is full.
    pub async fn install(&self, store: &Store, object: &ObjectRef) -> Result<Installed, Error> {
        let path = self.path(object);
        // Two markets can share an object; it is downloaded once.
        let lock = self.object_lock(&object.blake3);
        let _guard = lock.lock().await;
        if let Some(installed) = self.installed(object)? {
            return Ok(installed);
        }
        let partial = path.with_extension("partial");
        download(store, object, &partial).await?;
        check_content(&partial, object).inspect_err(|error| {
            // What is damaged must not be resumed; what merely could not be read now is good for another try.
            if !matches!(error, Error::Io { .. }) {
                let _ = std::fs::remove_file(&partial);
            }
        })?;
        let file = File::open(&partial).map_err(|error| Error::io(&partial, error))?;
        file.sync_all().map_err(|error| Error::io(&partial, error))?;
        std::fs::rename(&partial, &path).map_err(|error| Error::io(&path, error))?;
        Ok(self.proved(object, path))
    }

    /// Takes a file for an object, in place of downloading it: it is checked as what is downloaded is, and moved here.
    ///
    /// # Errors
    /// When the bytes are not those of the digest, their structure is unsound, or the file cannot be moved.
    pub fn take(&self, object: &ObjectRef, file: &Path) -> Result<(), Error> {
        check_content(file, object)?;
        let path = self.path(object);
        std::fs::rename(file, &path).map_err(|error| Error::io(&path, error))?;
        self.proved(object, path);
        Ok(())
    }

    /// The object if it is here and whole; a damaged copy is removed.
    ///
    /// # Errors
    /// When a copy is there but cannot be read.
    pub fn installed(&self, object: &ObjectRef) -> Result<Option<Installed>, Error> {
        let path = self.path(object);
        let Ok(meta) = std::fs::metadata(&path) else { return Ok(None) };
        let known = self.verified().get(&object.blake3).cloned();
        if let Some(text_proof) = known {
            return Ok(Some(Installed { path, text_proof }));
        }
        // What was renamed into place had passed the structural check; its digest proves that it is still the same.
        if meta.len() == object.size_bytes && Digest::of(&Mapping::open(&path, true)?) == object.blake3 {
            return Ok(Some(self.proved(object, path)));
        }
        std::fs::remove_file(&path).map_err(|error| Error::io(&path, error))?;
        Ok(None)
    }

    /// Keeps what a node served last for the market called `name`.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn remember(&self, name: &str, served: &Remembered) -> Result<(), Error> {
        let json = serde_json::to_vec(served).map_err(|error| Error::corrupt("manifest", error))?;
        replace_file(&self.folder.join(format!("served-{name}.json")), &json)
    }

    /// What this node served last, if that is known and readable.
    pub fn recall(&self, name: &str) -> Option<Remembered> {
        let bytes = std::fs::read(self.folder.join(format!("served-{name}.json"))).ok()?;
        let served: Remembered = serde_json::from_slice(&bytes).ok()?;
        Manifest::from_json(&served.manifest.to_json()).ok().map(|manifest| Remembered { manifest, ..served })
    }

    /// Keeps how the market called `name` is asked, in whatever words its server has for that.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn keep_asked(&self, name: &str, asked: &[u8]) -> Result<(), Error> {
        replace_file(&self.folder.join(format!("asked-{name}.json")), asked)
    }

    /// What was kept of how a market is asked.
    pub fn recall_asked(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.join(format!("asked-{name}.json"))).ok()
    }

    /// Removes every object, whole or half downloaded, that is not in `keep`, and returns how many went. What is mapped
    /// stays readable.
    pub fn retain(&self, keep: &HashSet<Digest>) -> usize {
        let Ok(entries) = std::fs::read_dir(self.folder.join("objects")) else { return 0 };
        let mut removed = 0;
        for path in entries.flatten().map(|entry| entry.path()) {
            let digest = path.file_stem().and_then(|name| name.to_str()?.parse::<Digest>().ok());
            if let Some(digest) = digest.filter(|digest| !keep.contains(digest)) {
                self.verified().remove(&digest);
                removed += usize::from(std::fs::remove_file(&path).is_ok());
            }
        }
        removed
    }

    fn object_lock(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut installing = self.installing.lock().unwrap_or_else(PoisonError::into_inner);
        // Locks that no one waits for any more go with the next one that is made.
        installing.retain(|_, lock| Arc::strong_count(lock) > 1);
        installing.entry(*digest).or_default().clone()
    }

    /// Segments have names of their own: only what has passed their check is read in place, and the same bytes may have come
    /// as something else before.
    fn path(&self, object: &ObjectRef) -> PathBuf {
        let path = self.folder.join("objects").join(object.blake3.to_string());
        match object.role {
            Role::Segment => path,
            Role::Catalogue | Role::Rules | Role::Liveness => path.with_extension("small"),
        }
    }

    /// An object whose bytes this process has hashed.
    fn proved(&self, object: &ObjectRef, path: PathBuf) -> Installed {
        let text_proof = self.verified().entry(object.blake3).or_default().clone();
        Installed { path, text_proof }
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, TextProof>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Downloads in ranges, several at once, appended in order: what a broken download left is resumed at its end.
async fn download(store: &Store, object: &ObjectRef, partial: &Path) -> Result<(), Error> {
    let open = OpenOptions::new().create(true).append(true).open(partial);
    let mut file = open.map_err(|error| Error::io(partial, error))?;
    let have = file.metadata().map_err(|error| Error::io(partial, error))?.len();
    if have > object.size_bytes {
        file.set_len(0).map_err(|error| Error::io(partial, error))?;
    }
    let start = if have > object.size_bytes { 0 } else { have };
    let starts = (start..object.size_bytes).step_by(RANGE_BYTES as usize);
    let ranges = starts.map(|start| start..object.size_bytes.min(start + RANGE_BYTES));
    // As tasks of the runtime: threads that the store needs for them are made by what asks, have its priority, and serve
    // others later. Who waits here may have the lowest of all.
    let ask = |range| {
        let (store, digest) = (store.clone(), object.blake3);
        AbortOnDropHandle::new(tokio::spawn(async move { store.get_object_range(&digest, range).await }))
    };
    let mut chunks = futures::stream::iter(ranges).map(ask).buffered(RANGES_AT_ONCE);
    while let Some(asked) = chunks.next().await {
        let chunk = asked.map_err(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Error::io(partial, std::io::Error::other(cancelled)),
        })??;
        file.write_all(&chunk).map_err(|error| Error::io(partial, error))?;
    }
    Ok(())
}

/// That a file is what its manifest says, byte for byte and in structure.
fn check_content(file: &Path, object: &ObjectRef) -> Result<(), Error> {
    let bytes = Mapping::open(file, true)?;
    let found = Digest::of(&bytes);
    if found != object.blake3 || bytes.len() as u64 != object.size_bytes {
        return Err(Error::DigestMismatch { expected: object.blake3, found });
    }
    match object.role {
        Role::Segment => Segment::open(bytes, TextProof::default())?.check(),
        Role::Liveness => Liveness::from_bytes(&bytes).map(|_| ()),
        Role::Catalogue => catalogue_of(&bytes).map(|_| ()),
        Role::Rules => match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::corrupt("rules", error)),
        },
    }
}

pub(crate) fn catalogue_of(bytes: &[u8]) -> Result<crate::catalogue::Catalogue, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::corrupt("catalogue.toml", error))?;
    Ok(crate::catalogue::Catalogue::parse(text)?)
}
