//! A key pair in two files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use snapshots::SigningKey;

/// Writes a new private key that only its owner may read, and the public one beside it, which it gives the path of.
///
/// # Errors
/// When a file is there already, or cannot be written: a key that is lost is not to be had again.
pub fn write(file: &Path) -> Result<PathBuf> {
    let (private, public) = SigningKey::generate()?;
    let public_file = PathBuf::from(format!("{}.pub", file.display()));
    let create = |path: &Path, mode: u32| {
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        opened.with_context(|| path.display().to_string())
    };
    create(file, 0o600)?.write_all(private.as_bytes())?;
    let written = create(&public_file, 0o644).and_then(|mut out| Ok(out.write_all(public.as_bytes())?));
    if written.is_err() {
        // Half a pair is of no use, and would be in the way of the next try.
        let _ = fs::remove_file(file);
    }
    written.map(|()| public_file)
}
