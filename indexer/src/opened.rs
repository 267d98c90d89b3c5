//! Opening a snapshot to ask it questions, as an edge would.

use std::path::Path;

use anyhow::{Context, Result, bail};
use search::Index;
use snapshots::{Cache, ChannelName, Snapshot, SnapshotId, Store};
use tempfile::TempDir;

/// An open snapshot, and the folder that its objects were brought to.
pub struct Opened {
    pub index: Index,
    _folder: TempDir,
}

/// Opens `FOLDER` (what 'build' wrote; the newest snapshot), `URL` (a store; what its live channel points at), or either
/// with `@ID` behind it.
///
/// # Errors
/// When there is no such snapshot, or it cannot be opened.
pub async fn open(name: &str, settings: &[(String, String)]) -> Result<Opened> {
    open_with(name, None, settings).await
}

/// Opens a snapshot with other rules than its own.
///
/// # Errors
/// As [`open`], and when the rules are at fault.
pub async fn open_with(name: &str, rules: Option<String>, settings: &[(String, String)]) -> Result<Opened> {
    let (place, id) = match name.rsplit_once('@') {
        Some((place, id)) => (place, Some(id.parse::<SnapshotId>()?)),
        None => (name, None),
    };
    let is_url = place.contains("://");
    let url = if is_url { place.to_owned() } else { folder_url(Path::new(place))? };
    let store = Store::open(&url, settings)?;
    let id = match id {
        Some(id) => id,
        None if is_url => live(&store).await?,
        None => store.list_snapshots().await?.pop().with_context(|| format!("{place} holds no snapshot"))?,
    };
    let manifest = store.get_manifest(&id).await.with_context(|| format!("snapshot {id}"))?;
    let folder = tempfile::tempdir()?;
    let cache = Cache::open(folder.path())?;
    snapshots::install(&store, &cache, &manifest).await?;
    let mut snapshot = Snapshot::open(&cache, manifest)?;
    if rules.is_some() {
        snapshot.rules = rules;
    }
    Ok(Opened { index: Index::open(snapshot)?, _folder: folder })
}

/// A folder as the URL of a store.
///
/// # Errors
/// When the current folder is unknown.
pub fn folder_url(folder: &Path) -> Result<String> {
    let folder = std::path::absolute(folder)?;
    Ok(format!("file://{}", folder.display()))
}

async fn live(store: &Store) -> Result<SnapshotId> {
    match store.pointer(&ChannelName::live()).await? {
        Some(read) => Ok(read.pointer.snapshot),
        None => bail!("nothing has been announced to the live channel of {}", store.url()),
    }
}
