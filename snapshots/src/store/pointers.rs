//! What moves in a store: channels' pointers, and the pins of regions. Both move by compare-and-swap.

use std::path::PathBuf;

use object_store::path::Path;
use object_store::{GetOptions, PutMode, PutPayload, UpdateVersion};

use super::Store;
use super::directory::{lock_file, replace_file};
use crate::channel::{ChannelName, MAX_POINTER_BYTES, Pointer, RegionName};
use crate::error::Error;

/// Which pointer is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointerName {
    Channel(ChannelName),
    /// What holds a region at one snapshot, whatever its channel says.
    Pin(RegionName),
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
    /// No one has announced to the channel yet, or the region is not pinned.
    Missing,
    Unchanged,
    Moved(ReadPointer),
}

impl ReadPointer {
    pub fn version(&self) -> &PointerVersion {
        &self.version
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
        let names = self.list_names("channels").await?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// The regions that are pinned.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_pins(&self) -> Result<Vec<RegionName>, Error> {
        let names = self.list_names("pins").await?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
    }

    /// Reads a pointer; given the version that is known, only where it moved.
    ///
    /// # Errors
    /// When the pointer is damaged or not trusted, or the store fails.
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
                Ok(PointerState::Moved(ReadPointer { pointer, version: PointerVersion(etag) }))
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
            PointerState::Moved(read) => Ok(Some(read)),
            PointerState::Missing | PointerState::Unchanged => Ok(None),
        }
    }

    /// Moves a pointer if it is still where `expected` saw it (None: nowhere yet), and signs it where this store has a
    /// key.
    ///
    /// # Errors
    /// [`Error::Conflict`] when someone else moved it; [`Error::Unreadable`] when its reason or its nodes are too long; when
    /// it would not be signed, and only what is signed is trusted here; otherwise when the store fails.
    pub async fn move_pointer(
        &self,
        name: impl Into<PointerName>,
        expected: Option<&ReadPointer>,
        pointer: &Pointer,
    ) -> Result<(), Error> {
        let name = name.into();
        if self.trust.is_some() && self.key.is_none() {
            // It would be moved to where no node follows it.
            let reason = "only what is signed is trusted here: give the key to sign with";
            return Err(Error::Key(format!("{} is not moved without a signature: {reason}", name.kind())));
        }
        let path = self.pointer_path(&name);
        let json = pointer.to_json(&name.kind(), self.key.as_ref());
        if json.len() as u64 > MAX_POINTER_BYTES {
            return Err(Error::Unreadable { what: name.kind(), limit_bytes: MAX_POINTER_BYTES });
        }
        let mode = match (expected, &self.directory) {
            (None, _) => PutMode::Create,
            (Some(expected), Some(folder)) => {
                return self.move_in_directory(folder.clone(), &name, expected, pointer, &json).await;
            }
            (Some(expected), None) => {
                PutMode::Update(UpdateVersion { e_tag: expected.version.0.clone(), version: None })
            }
        };
        match self.objects.put_opts(&path, PutPayload::from(json), mode.into()).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                self.explain_conflict(&name, pointer).await
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
        expected: &ReadPointer,
        pointer: &Pointer,
        json: &[u8],
    ) -> Result<(), Error> {
        let lock = tokio::task::spawn_blocking({
            let folder = folder.join("locks");
            let file = format!("{}.lock", name.name());
            move || lock_file(&folder, &file)
        });
        let _lock = lock.await.map_err(|error| Error::corrupt("lock", error))??;
        match self.read_pointer(name.clone(), Some(&expected.version)).await? {
            PointerState::Unchanged => {}
            _ => return self.explain_conflict(name, pointer).await,
        }
        replace_file(&folder.join(name.folder()).join(format!("{}.json", name.name())), json)
    }

    fn pointer_path(&self, name: &PointerName) -> Path {
        self.path(&[name.folder(), &format!("{}.json", name.name())])
    }
}
