//! What a directory needs beyond what Blob storage does by itself: locks, and files that are replaced whole.

use std::path::Path;

use crate::error::Error;

/// Takes a lock that the kernel lets go when its holder ends, however it ends.
pub(super) fn lock_file(folder: &Path, name: &str) -> Result<std::fs::File, Error> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let path = folder.join(name);
    let file = std::fs::File::create(&path).map_err(|error| Error::io(&path, error))?;
    file.lock().map_err(|error| Error::io(&path, error))?;
    Ok(file)
}

/// Writes a file so that a reader, or a crash, sees the old bytes or the new ones and nothing between.
pub(crate) fn replace_file(target: &Path, bytes: &[u8]) -> Result<(), Error> {
    let staged = target.with_extension("new");
    let write = || {
        let mut file = std::fs::File::create(&staged)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&staged, target)?;
        match target.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| Error::io(target, error))
}
