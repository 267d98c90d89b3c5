//! Opening a snapshot to look at it or to ask it questions, as an edge would.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use search::Index;
use snapshots::{Cache, ChannelName, Manifest, ObjectRef, Snapshot, SnapshotId, Store, Trust};
use tempfile::TempDir;

use crate::channels;

/// No market is called so: only those rules hold in it that name none.
pub const NO_MARKET: &str = "";

/// An open snapshot, and the folder that its objects were brought to.
pub struct Opened {
    pub index: Index,
    _scratch: Scratch,
}

/// Where objects are brought to before they are opened: a folder of this run's own, or one that is kept between runs.
pub struct Scratch {
    cache: Cache,
    /// Removed at the end; None where the folder is kept.
    folder: Option<TempDir>,
}

impl Scratch {
    /// # Errors
    /// When the folder cannot be made, or another process uses it.
    pub fn new(kept: Option<&Path>) -> Result<Self> {
        if let Some(kept) = kept {
            return Ok(Self { cache: Cache::open(kept)?, folder: None });
        }
        let folder = tempfile::tempdir().context("making a folder for what is looked at")?;
        Ok(Self { cache: Cache::open(folder.path())?, folder: Some(folder) })
    }

    /// Brings what is missing of a snapshot and opens it, without its text index. Snapshots that are opened here share
    /// what they have in common.
    ///
    /// # Errors
    /// When the store fails, or the snapshot is damaged.
    pub async fn open(&self, store: &Store, manifest: Manifest) -> Result<Snapshot, snapshots::Error> {
        snapshots::install(store, &self.cache, &manifest).await?;
        Snapshot::open(&self.cache, manifest)
    }

    /// Where an object of an opened snapshot lies.
    ///
    /// # Errors
    /// When it is not there, or damaged.
    pub fn object_path(&self, object: &ObjectRef) -> Result<PathBuf> {
        let installed = self.cache.installed(object)?;
        Ok(installed.with_context(|| format!("object {} went away", object.blake3))?.path().to_owned())
    }

    /// Takes a file for an object, in place of bringing it.
    ///
    /// # Errors
    /// As [`Cache::take`].
    pub fn take(&self, object: &ObjectRef, file: &Path) -> Result<(), snapshots::Error> {
        self.cache.take(object, file)
    }

    /// Removes what none of these snapshots needs from a folder that is kept, so that it does not grow from run to run.
    /// What is open stays readable.
    pub fn keep_only<'a>(&self, manifests: impl IntoIterator<Item = &'a Manifest>) {
        if self.folder.is_none() {
            let objects = manifests.into_iter().flat_map(|manifest| &manifest.objects);
            self.cache.retain(&objects.map(|object| object.blake3).collect());
        }
    }
}

/// Opens `FOLDER` (what 'build' wrote; the newest snapshot), `URL` (a store; what its live channel points at), or either
/// with `@ID` behind it. Of a store only what someone trusted has signed is opened, where only some are. The rules are
/// the snapshot's own, or these in their place, as they hold in a market.
///
/// # Errors
/// When there is no such snapshot, it cannot be opened, or the rules are at fault.
pub async fn open(
    name: &str,
    settings: &[(String, String)],
    trust: Option<&Trust>,
    market: &str,
    rules: Option<String>,
) -> Result<Opened> {
    let scratch = Scratch::new(None)?;
    let mut snapshot = open_snapshot(name, &scratch, settings, trust).await?;
    if rules.is_some() {
        snapshot.rules = rules;
    }
    Ok(Opened { index: Index::open_for(snapshot, Some(market))?, _scratch: scratch })
}

/// Opens a snapshot by its name, as [`open`] does, without its text index.
///
/// # Errors
/// As [`open`].
pub async fn open_snapshot(
    name: &str,
    scratch: &Scratch,
    settings: &[(String, String)],
    trust: Option<&Trust>,
) -> Result<Snapshot> {
    let (store, manifest) = locate(name, settings, trust).await?;
    let id = manifest.id.clone();
    scratch.open(&store, manifest).await.with_context(|| format!("snapshot {id} of {}", store.url()))
}

/// The store and the manifest that a name stands for.
pub(crate) async fn locate(
    name: &str,
    settings: &[(String, String)],
    trust: Option<&Trust>,
) -> Result<(Store, Manifest)> {
    let (place, id) = split(name);
    let is_url = place.contains("://");
    let store = if is_url { Store::open(place, settings)? } else { Store::folder(Path::new(place))? };
    // What was built here nobody has signed yet.
    let store = store.trusting(trust.filter(|_| is_url).cloned());
    let id = match id {
        Some(id) => id,
        None if is_url => live(&store).await?,
        None => store.newest_snapshot().await?.with_context(|| format!("{place} holds no snapshot"))?,
    };
    let manifest = store.get_manifest(&id).await.with_context(|| format!("snapshot {id}"))?;
    Ok((store, manifest))
}

/// The place that a name stands for, and the snapshot there. A folder may have an `@` in its path, too.
fn split(name: &str) -> (&str, Option<SnapshotId>) {
    match name.rsplit_once('@').map(|(place, id)| (place, id.parse::<SnapshotId>())) {
        Some((place, Ok(id))) if !Path::new(name).is_dir() => (place, Some(id)),
        _ => (name, None),
    }
}

async fn live(store: &Store) -> Result<SnapshotId> {
    match channels::read(store, &ChannelName::live()).await? {
        Some(read) => Ok(read.pointer.snapshot),
        None => bail!("nothing has been announced to the live channel of {}", store.url()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rest of a folder's path was taken for the id of a snapshot.
    #[test]
    fn a_folder_may_have_an_at_sign_in_its_path() {
        let check = |name: &str, place: &str, id: Option<&str>| {
            let (found, snapshot) = split(name);
            assert_eq!((found, snapshot.as_ref().map(SnapshotId::as_str)), (place, id), "{name}");
        };
        check("/home/jo@corp/built", "/home/jo@corp/built", None);
        check(
            "/home/jo@corp/built@20261123T153154132Z-abe69787dbd6",
            "/home/jo@corp/built",
            Some("20261123T153154132Z-abe69787dbd6"),
        );
        check("az://catalogue/us@one", "az://catalogue/us", Some("one"));
        check("built", "built", None);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let built = folder.path().join("jo@corp");
        std::fs::create_dir(&built).expect("a folder");
        let built = built.to_string_lossy();
        check(&built, &built, None);
    }
}
