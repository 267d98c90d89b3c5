//! What is being removed just now, so that no publish relies on it: the counterpart of leases.
//!
//! Whoever removes says so here, and looks at the leases after that; whoever publishes writes a lease, and looks here
//! after that. Of two that do so at once, one sees the other at the least.

use std::collections::BTreeSet;

use jiff::Timestamp;
use object_store::{GetOptions, PutMode};
use serde::{Deserialize, Serialize};

use super::{MAX_LISTED, Store};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Manifest, SnapshotId};

/// [`super::MAX_MARKED`] names, and room to spare.
const MAX_SWEEP_BYTES: u64 = 8 * 1024 * 1024;

/// What one run may be removing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// From then on the run is taken for dead, and each of its requests for answered or lost.
    pub until: Timestamp,
    pub snapshots: BTreeSet<SnapshotId>,
    pub objects: BTreeSet<Digest>,
}

impl Sweep {
    /// Whether something may go of which this snapshot is made.
    pub fn condemns(&self, manifest: &Manifest) -> bool {
        self.snapshots.contains(&manifest.id)
            || manifest.objects.iter().any(|object| self.objects.contains(&object.blake3))
    }
}

impl Store {
    /// Says what a run may be removing, over what it said before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_sweep(&self, run: &str, sweep: &Sweep) -> Result<(), Error> {
        let path = self.sweep_path(run);
        let json = serde_json::to_vec(sweep).map_err(|error| Error::corrupt(path.to_string(), error))?;
        self.objects.put_opts(&path, json.into(), PutMode::Overwrite.into()).await?;
        Ok(())
    }

    /// The names of all runs that remove something, or have died of it.
    ///
    /// # Errors
    /// When the store fails, or holds more than are ever listed.
    pub async fn list_sweeps(&self) -> Result<Vec<String>, Error> {
        let names = self.list_names("sweeps", MAX_LISTED).await?;
        Ok(names.iter().filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect())
    }

    /// # Errors
    /// When it is missing or damaged, or the store fails.
    pub async fn get_sweep(&self, run: &str) -> Result<Sweep, Error> {
        let path = self.sweep_path(run);
        let (bytes, _) = self.get_small(&path, GetOptions::new(), MAX_SWEEP_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(path.to_string(), error))
    }

    /// # Errors
    /// When the store fails; a sweep that is gone already is no error.
    pub async fn delete_sweep(&self, run: &str) -> Result<(), Error> {
        self.delete(&self.sweep_path(run)).await
    }

    fn sweep_path(&self, run: &str) -> object_store::path::Path {
        self.path(&["sweeps", &format!("{run}.json")])
    }
}
