//! Secrets as programs are given them: as they are, or in a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// A longer file holds no secret of ours.
const MAX_SECRET_BYTES: u64 = 16 * 1024;

/// Why there is no secret. It says nothing of what was read.
#[derive(Debug, Error)]
pub enum SecretError {
    #[error("{flag}: stands beside {flag}-file; give one of them")]
    Both { flag: String },
    #[error("{flag}-file: {}: {source}", path.display())]
    Unreadable { flag: String, path: PathBuf, source: io::Error },
    #[error("{flag}-file: {} is larger than {} bytes", path.display(), MAX_SECRET_BYTES)]
    Large { flag: String, path: PathBuf },
    #[error("{flag}-file: {} is empty", path.display())]
    Empty { flag: String, path: PathBuf },
}

/// The secret of a flag as it is given, or what the file of the flag with `-file` behind its name holds. One that is given
/// empty is none, and so is a path: so templates leave out what is not set.
///
/// # Errors
/// When both are given, or the file cannot be read, is empty or larger than 16 KiB.
pub fn secret_of(
    flag: &str,
    given: Option<SecretString>,
    file: Option<&Path>,
) -> Result<Option<SecretString>, SecretError> {
    let given = given.filter(|secret| !secret.expose_secret().is_empty());
    let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) else { return Ok(given) };
    let (flag, path) = (flag.to_owned(), path.to_owned());
    if given.is_some() {
        return Err(SecretError::Both { flag });
    }
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text));
    if let Err(source) = read {
        return Err(SecretError::Unreadable { flag, path, source });
    }
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(SecretError::Large { flag, path });
    }
    match text.trim() {
        "" => Err(SecretError::Empty { flag, path }),
        secret => Ok(Some(secret.into())),
    }
}
