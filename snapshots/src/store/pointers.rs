//! What moves in a store: channels' pointers, and the pins of regions. Both move by compare-and-swap.

use std::path::PathBuf;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};

use super::directory::{lock_file, replace_file};
use super::{MAX_LISTED, Store};
use crate::channel::{ChannelName, MAX_POINTER_BYTES, Pointer, RegionName};
use crate::error::Error;

/// Which pointer is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointerName {
    Channel(ChannelName),
    /// What holds a region at one snapshot, whatever its channel says.
    Pin(RegionName),
}

/// A pointer as it was read, with what is needed to move it, to copy it, or to ask whether it moved.
#[derive(Clone, Debug)]
pub struct ReadPointer {
    pub pointer: Pointer,
    json: Bytes,
    version: PointerVersion,
}

/// A pointer in the bytes that say so, which may be signed. Copies of it are the same bytes.
#[derive(Clone, Debug)]
pub struct WrittenPointer {
    pointer: Pointer,
    json: Bytes,
}

/// A version of a pointer, opaque to all but the store it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointerVersion(Option<String>);

/// What a conditional read of a pointer found.
#[derive(Clone, Debug)]
pub enum PointerState {
    /// No one has announced to the channel yet, or the region is not pinned.
    Missing,
    Unchanged,
    Moved(Box<ReadPointer>),
}

impl ReadPointer {
    pub fn version(&self) -> &PointerVersion {
        &self.version
    }

    /// The pointer in the bytes that were read.
    pub fn written(&self) -> WrittenPointer {
        WrittenPointer { pointer: self.pointer.clone(), json: self.json.clone() }
    }
}

impl WrittenPointer {
    pub fn pointer(&self) -> &Pointer {
        &self.pointer
    }
}

impl PointerName {
    /// What a pointer is called in messages, and what its signature is of.
    fn kind(&self) -> String {
        match self {
            Self::Channel(name) => format!("pointer {name}"),
            Self::Pin(name) => format!("pin {name}"),
        }
    }

    fn folder(&self) -> &'static str {
        match self {
            Self::Channel(_) => "channels",
            Self::Pin(_) => "pins",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Channel(name) => name.as_str(),
            Self::Pin(name) => name.as_str(),
        }
    }
}

impl From<&ChannelName> for PointerName {
    fn from(name: &ChannelName) -> Self {
        Self::Channel(name.clone())
    }
}

impl From<&RegionName> for PointerName {
    fn from(name: &RegionName) -> Self {
        Self::Pin(name.clone())
    }
}

impl Store {
    /// The channels that someone has announced to.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_channels(&self) -> Result<Vec<ChannelName>, Error> {
        let names = self.list_names("channels", MAX_LISTED).await?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// The regions that are pinned.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_pins(&self) -> Result<Vec<RegionName>, Error> {
        let names = self.list_names("pins", MAX_LISTED).await?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// Reads a pointer; given the version that is known, only where it moved.
    ///
    /// # Errors
    /// When the pointer is damaged, not trusted or of another catalogue, or the store fails.
    pub async fn read_pointer(
        &self,
        name: impl Into<PointerName>,
        known: Option<&PointerVersion>,
    ) -> Result<PointerState, Error> {
        let name = name.into();
        let etag = known.and_then(|version| version.0.clone());
        let options = GetOptions::new().with_if_none_match(etag);
        match self.get_small(&self.pointer_path(&name), options, MAX_POINTER_BYTES).await {
            Ok((bytes, etag)) => {
                let pointer = Pointer::read(&bytes, &name.kind(), self.trust.as_ref())?;
                self.check_catalogue(&name.kind(), pointer.catalogue.as_deref())?;
                Ok(PointerState::Moved(Box::new(ReadPointer { pointer, json: bytes, version: PointerVersion(etag) })))
            }
            Err(Error::NotFound(_)) => Ok(PointerState::Missing),
            Err(Error::Store(object_store::Error::NotModified { .. })) => Ok(PointerState::Unchanged),
            Err(error) => Err(error),
        }
    }

    /// What a pointer says now, if anything.
    ///
    /// # Errors
    /// As [`Store::read_pointer`].
    pub async fn pointer(&self, name: impl Into<PointerName>) -> Result<Option<ReadPointer>, Error> {
        match self.read_pointer(name, None).await? {
            PointerState::Moved(read) => Ok(Some(*read)),
            PointerState::Missing | PointerState::Unchanged => Ok(None),
        }
    }

    /// The version of a pointer that cannot be read, for whoever is to write it anew; None where it can, or where there is
    /// none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unreadable_pointer(&self, name: impl Into<PointerName>) -> Result<Option<PointerVersion>, Error> {
        let name = name.into();
        // Asked for first: what someone writes before it is read has another version, and stays.
        let version = match self.objects.head(&self.pointer_path(&name)).await {
            Ok(meta) => PointerVersion(meta.e_tag),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match self.read_pointer(name, None).await {
            Ok(_) => Ok(None),
            Err(Error::Corrupt { .. } | Error::Untrusted { .. }) => Ok(Some(version)),
            Err(error) => Err(error),
        }
    }

    /// Moves a pointer if it is still where `expected` saw it (None: nowhere yet), and signs it where this store has a
    /// key.
    ///
    /// # Errors
    /// As [`Store::written`] and [`Store::put_pointer`].
    pub async fn move_pointer(
        &self,
        name: impl Into<PointerName>,
        expected: Option<&ReadPointer>,
        pointer: &Pointer,
    ) -> Result<(), Error> {
        let name = name.into();
        let written = self.written(name.clone(), pointer)?;
        self.put_pointer(name, expected.map(ReadPointer::version), &written).await
    }

    /// A pointer as this store writes it: signed where it has a key.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when its reason or its nodes are too long; [`Error::Key`] when it would not be signed, and only
    /// what is signed is trusted here, or when its signature would be one for any catalogue.
    pub fn written(&self, name: impl Into<PointerName>, pointer: &Pointer) -> Result<WrittenPointer, Error> {
        let kind = name.into().kind();
        if self.trust.is_some() && self.key.is_none() {
            // It would be moved to where no node follows it.
            let reason = "only what is signed is trusted here: give the key to sign with";
            return Err(Error::Key(format!("{kind} is not moved without a signature: {reason}")));
        }
        if self.key.is_some() && pointer.catalogue.is_none() {
            return Err(Error::Key(format!("{kind} is not signed: it does not say which catalogue it is of")));
        }
        let json = Bytes::from(pointer.to_json(&kind, self.key.as_ref()));
        match json.len() as u64 > MAX_POINTER_BYTES {
            true => Err(Error::Unreadable { what: kind, limit_bytes: MAX_POINTER_BYTES }),
            false => Ok(WrittenPointer { pointer: pointer.clone(), json }),
        }
    }

    /// Puts a pointer where `expected` stands still (None: nothing), in the bytes that this store or another has written.
    ///
    /// # Errors
    /// [`Error::Conflict`] when someone else moved it; otherwise when the store fails.
    pub async fn put_pointer(
        &self,
        name: impl Into<PointerName>,
        expected: Option<&PointerVersion>,
        written: &WrittenPointer,
    ) -> Result<(), Error> {
        let name = name.into();
        let mode = match (expected, &self.directory) {
            (None, _) => PutMode::Create,
            (Some(expected), Some(folder)) => {
                return self.move_in_directory(folder.clone(), &name, expected, written).await;
            }
            (Some(expected), None) => PutMode::Update(UpdateVersion { e_tag: expected.0.clone(), version: None }),
        };
        let payload = PutPayload::from(written.json.clone());
        match self.objects.put_opts(&self.pointer_path(&name), payload, mode.into()).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                self.explain_conflict(&name, &written.pointer).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lifts a pin. Returns false where there was none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unpin(&self, region: &RegionName) -> Result<bool, Error> {
        let name = PointerName::from(region);
        // Blob storage says whether there was one, a directory too; memory does not.
        if matches!(self.read_pointer(name.clone(), None).await, Ok(PointerState::Missing)) {
            return Ok(false);
        }
        self.delete(&self.pointer_path(&name)).await?;
        Ok(true)
    }

    /// A lost answer makes a client try again, and the second try then finds its own first one in place: that is no
    /// conflict.
    async fn explain_conflict(&self, name: &PointerName, wanted: &Pointer) -> Result<(), Error> {
        let now = match self.read_pointer(name.clone(), None).await? {
            PointerState::Moved(found) if found.pointer == *wanted => return Ok(()),
            PointerState::Moved(found) => format!("{} (sequence {})", found.pointer.snapshot, found.pointer.sequence),
            _ => "nothing".to_owned(),
        };
        Err(Error::Conflict { channel: name.name().to_owned(), now })
    }

    /// A directory has no conditional put, so a lock that dies with its holder guards a read, a comparison and an
    /// atomic rename.
    async fn move_in_directory(
        &self,
        folder: PathBuf,
        name: &PointerName,
        expected: &PointerVersion,
        written: &WrittenPointer,
    ) -> Result<(), Error> {
        let lock = tokio::task::spawn_blocking({
            let folder = folder.join("locks");
            let file = format!("{}.lock", name.name());
            move || lock_file(&folder, &file)
        });
        let _lock = lock.await.map_err(|error| Error::corrupt("lock", error))??;
        match self.read_pointer(name.clone(), Some(expected)).await? {
            PointerState::Unchanged => {}
            _ => return self.explain_conflict(name, &written.pointer).await,
        }
        replace_file(&folder.join(name.folder()).join(format!("{}.json", name.name())), &written.json)
    }

    fn pointer_path(&self, name: &PointerName) -> Path {
        self.path(&[name.folder(), &format!("{}.json", name.name())])
    }
}
