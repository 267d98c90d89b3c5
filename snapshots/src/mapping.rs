//! The only unsafe code of the format: mapped files, and records read in place.
//!
//! Everything here rests on one promise, which [`crate::cache::Cache`] keeps: a file is mapped only after its bytes
//! were checked, and a checked file is never written again (it is replaced by rename, or removed, and both leave the
//! mapped inode as it is).

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};
use rkyv::Portable;
use stable_deref_trait::StableDeref;

use crate::error::Error;

/// The bytes of an immutable file, shared by all who read from it.
#[derive(Clone, Debug)]
pub struct Mapping(Arc<Mmap>);

impl Mapping {
    /// Maps a file. With `populate`, its pages are read in before the call returns, so that no later read waits.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped.
    pub fn open(path: &Path, populate: bool) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let mut options = MmapOptions::new();
        if populate {
            options.populate();
        }
        // SAFETY: the file is never written while it is mapped (the promise of this module).
        let map = unsafe { options.map(&file) }.map_err(|error| Error::io(path, error))?;
        Ok(Self(Arc::new(map)))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

// SAFETY: the address of a mapping does not change while any clone of the Arc around it lives.
unsafe impl StableDeref for Mapping {}

/// Reads an archive that a check has accepted before.
///
/// # Safety
/// `bytes[range]` must have passed [`rkyv::access`] for `T`, and must not have changed since.
pub(crate) unsafe fn access_checked<T: Portable>(bytes: &[u8], range: Range<usize>) -> &T {
    // SAFETY: the caller's promise is the one that access_unchecked asks for.
    unsafe { rkyv::access_unchecked::<T>(&bytes[range]) }
}
