//! What running publishes rely on, so that nothing is taken from under them.

use jiff::Timestamp;
use object_store::GetOptions;
use serde::{Deserialize, Serialize};

use super::Store;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Manifest, SnapshotId};

/// A lease larger than this is not read.
const MAX_LEASE_BYTES: u64 = 64 * 1024;
/// Runs that died have left theirs, and only who lists them can remove them: it must not be more than are ever listed.
const MAX_LEASES: usize = 1_000_000;

/// What one publish relies on: the manifest that it will write, and every object of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub snapshot: SnapshotId,
    pub objects: Vec<Digest>,
    pub taken_at: Timestamp,
}

impl Lease {
    pub fn of(manifest: &Manifest) -> Self {
        let objects = manifest.objects.iter().map(|object| object.blake3).collect();
        Self { snapshot: manifest.id.clone(), objects, taken_at: Timestamp::now() }
    }
}

impl Store {
    /// Writes what a running publish relies on, before its first object.
    ///
    /// # Errors
    /// When another lease of this name is there already, or the store fails.
    pub async fn put_lease(&self, publish_id: &str, lease: &Lease) -> Result<(), Error> {
        let path = self.lease_path(publish_id);
        let json = serde_json::to_vec(lease).expect("a lease has no map");
        if self.put_new(&path, json.into()).await? {
            return Ok(());
        }
        // A lost answer makes a client try again, and the second try then finds its own first one in place.
        match self.get_lease(publish_id).await? == *lease {
            true => Ok(()),
            false => Err(Error::Exists(path.to_string())),
        }
    }

    /// The names of all leases.
    ///
    /// # Errors
    /// When the store fails, or holds more than are ever listed.
    pub async fn list_leases(&self) -> Result<Vec<String>, Error> {
        let names = self.list_names("leases", MAX_LEASES).await?;
        Ok(names.iter().filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect())
    }

    /// # Errors
    /// When it is missing or damaged, or the store fails.
    pub async fn get_lease(&self, publish_id: &str) -> Result<Lease, Error> {
        let path = self.lease_path(publish_id);
        let (bytes, _) = self.get_small(&path, GetOptions::new(), MAX_LEASE_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(path.to_string(), error))
    }

    /// # Errors
    /// When the store fails; a lease that is gone already is no error.
    pub async fn delete_lease(&self, publish_id: &str) -> Result<(), Error> {
        self.delete(&self.lease_path(publish_id)).await
    }

    fn lease_path(&self, publish_id: &str) -> object_store::path::Path {
        self.path(&["leases", &format!("{publish_id}.json")])
    }
}
