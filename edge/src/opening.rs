//! Opening a snapshot: on a thread of its own at low priority, so that nothing that serves ever waits for a disk or a
//! digest.

use std::panic::AssertUnwindSafe;

use search::Index;
use snapshots::{Cache, Manifest, Snapshot, Store};
use thiserror::Error;
use tokio::runtime::Handle;

use crate::server::panic_text;

/// Why a snapshot cannot be served.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Snapshot(#[from] snapshots::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error("opening it panicked: {0}")]
    Panic(String),
}

impl OpenError {
    /// Whether opening it again may succeed without anything being mended.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Snapshot(error) if error.is_transient())
    }

    /// Whether space must be made before it can be served.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Snapshot(error) if error.is_disk_full())
    }
}

/// Starts a thread that gives way to those that serve.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(work: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let quiet = move || {
        // Threads of one process can have different niceness on Linux; where that fails, nothing is lost.
        let _ = rustix::process::nice(10);
        work();
    };
    let spawned = std::thread::Builder::new().name("open-snapshot".into()).spawn(quiet);
    spawned.map(drop).map_err(|error| OpenError::Panic(error.to_string()))
}

/// Does what may panic over a damaged snapshot, and makes an error of that.
pub fn caught<T>(open: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let done = std::panic::catch_unwind(AssertUnwindSafe(open));
    done.unwrap_or_else(|panic| Err(OpenError::Panic(panic_text(&*panic))))
}

/// Installs what is missing (where there is a store to ask), and opens a snapshot for a market. Blocks.
///
/// # Errors
/// When an object is missing, damaged, or does not fit the others.
pub fn open_index(
    runtime: &Handle,
    store: Option<&Store>,
    cache: &Cache,
    manifest: Manifest,
    market: &str,
) -> Result<Index, OpenError> {
    if let Some(store) = store {
        runtime.block_on(snapshots::install(store, cache, &manifest))?;
    }
    Ok(Index::open_for(Snapshot::open(cache, manifest)?, Some(market))?)
}
