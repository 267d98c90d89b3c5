//! The state in a file, so that a restart keeps payments.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tracing::warn;

use crate::shared::Shared;
use crate::state::Data;

/// How often a changed state is written at most.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// The state could not be read or written.
#[derive(Debug, Error)]
pub enum StateError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} holds no state of this version: {source}", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
}

/// The state that a file holds; an empty one where there is no file.
pub(crate) fn read(path: &Path) -> Result<Data, StateError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Data::default()),
        Err(source) => return Err(StateError::Io { path: path.to_owned(), source }),
    };
    let mut data: Data = serde_json::from_reader(BufReader::new(file))
        .map_err(|source| StateError::Malformed { path: path.to_owned(), source })?;
    data.keys.abandon_running();
    Ok(data)
}

/// Writes the state whenever it changed, until the task is ended.
pub(crate) async fn keep_writing(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(WRITE_INTERVAL).await;
        let shared = shared.clone();
        // Disks may be slow, and runtime threads must not wait for them.
        let written = tokio::task::spawn_blocking(move || write_if_changed(&shared)).await;
        if let Ok(Err(error)) = written {
            warn!("the state could not be written: {error}");
        }
    }
}

/// Writes the state, if it changed and has a file. A reader sees the old file or the new one, and never a part.
pub(crate) fn write_if_changed(shared: &Shared) -> Result<(), StateError> {
    let Some(path) = &shared.state_file else { return Ok(()) };
    let _writing = shared.lock_file();
    let text = {
        let mut state = shared.lock();
        if !state.is_changed {
            return Ok(());
        }
        state.is_changed = false;
        serde_json::to_vec(&state.data)
    };
    let text = text.map_err(|source| StateError::Malformed { path: path.clone(), source });
    let written =
        text.and_then(|text| replace(path, &text).map_err(|source| StateError::Io { path: path.clone(), source }));
    if written.is_err() {
        shared.lock().is_changed = true;
    }
    written
}

fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder)?;
    file.as_file().write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
