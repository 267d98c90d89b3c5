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
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes));
    if let Err(source) = read {
        return Err(SecretError::Unreadable { flag, path, source });
    }
    // First: what was cut off may end within a letter.
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(SecretError::Large { flag, path });
    }
    // The error of `from_utf8` itself holds the bytes.
    let Ok(text) = String::from_utf8(bytes) else {
        let source = io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8");
        return Err(SecretError::Unreadable { flag, path, source });
    };
    match text.trim() {
        "" => Err(SecretError::Empty { flag, path }),
        secret => Ok(Some(secret.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A large one was told to be no text, where it was cut off within a letter.
    #[test]
    fn files_that_hold_no_secret_are_told_as_what_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let check = |bytes: &[u8], reason: &str| {
            std::fs::write(&path, bytes).expect("a file");
            let fault = secret_of("--key", None, Some(&path)).expect_err(reason).to_string();
            assert!(fault.starts_with("--key-file: ") && fault.ends_with(reason), "{fault}");
        };
        check("ö".repeat(10_000).as_bytes(), "is larger than 16384 bytes");
        check(b"caf\xe9", "it is no UTF-8");
        check(b" \n", "is empty");
        std::fs::write(&path, " caf\u{e9}\n").expect("a file");
        let secret = secret_of("--key", None, Some(&path)).expect("a secret").expect("a secret");
        assert_eq!(secret.expose_secret(), "caf\u{e9}");
    }
}
