//! The secret key of the API.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use secrecy::SecretString;
use tracing::{error, info};

use super::StripeError;

/// Stripe's keys have about a hundred characters.
const MAX_KEY_BYTES: u64 = 1_024;

/// Where the key is from.
#[derive(Clone, Debug)]
pub enum KeySource {
    Fixed(SecretString),
    /// A file with nothing but the key, which is read again when it changes: keys are rotated without a restart.
    File(PathBuf),
}

/// Whether no money moves by this key. What is of no form that is known may be live.
pub(crate) fn is_for_tests(key: &str) -> bool {
    key.starts_with("sk_test_") || key.starts_with("rk_test_")
}

/// A key that was read, and when its file was changed.
type ReadKey = (SystemTime, u64, SecretString);

#[derive(Debug)]
pub(super) struct Key {
    source: KeySource,
    last: Mutex<Option<ReadKey>>,
}

impl Key {
    pub(super) fn new(source: KeySource) -> Self {
        Self { source, last: Mutex::new(None) }
    }

    /// The key as it is now. Asks the file system for a file's age each time, which takes some microseconds; a file that
    /// vanished or is broken while it is replaced leaves the key that was read before.
    pub(super) fn read(&self) -> Result<SecretString, StripeError> {
        let path = match &self.source {
            KeySource::Fixed(key) => return Ok(key.clone()),
            KeySource::File(path) => path,
        };
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match read_if_changed(path, last.as_ref()) {
            Ok(None) => {}
            Ok(Some(new)) => {
                info!(file = %path.display(), "the key of Stripe's API was read");
                *last = Some(new);
            }
            Err(fault) => error!(file = %path.display(), fault, "the key of Stripe's API cannot be read"),
        }
        let known = last.as_ref().map(|(_, _, key)| key.clone());
        known.ok_or_else(|| StripeError::NotSent(format!("{} holds no key", path.display())))
    }
}

/// The key where it is another file than last time.
fn read_if_changed(path: &Path, last: Option<&ReadKey>) -> Result<Option<ReadKey>, String> {
    let about = fs::metadata(path).map_err(|error| error.to_string())?;
    let changed = about.modified().map_err(|error| error.to_string())?;
    if last.is_some_and(|(at, size_bytes, _)| *at == changed && *size_bytes == about.len()) {
        return Ok(None);
    }
    if about.len() > MAX_KEY_BYTES {
        return Err(format!("it has more than {MAX_KEY_BYTES} bytes"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let key = text.trim();
    match !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Some((changed, about.len(), SecretString::from(key)))),
        false => Err("it is not one line of visible ASCII characters".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_key_is_read_again_when_its_file_changes_and_kept_while_it_is_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        let key = Key::new(KeySource::File(path.clone()));
        assert!(matches!(key.read(), Err(StripeError::NotSent(_))));
        fs::write(&path, "sk_test_first\n").expect("a file");
        assert_eq!(key.read().expect("a key").expose_secret(), "sk_test_first");
        fs::write(&path, "sk_test_the_second\n").expect("a file");
        assert_eq!(key.read().expect("a key").expose_secret(), "sk_test_the_second");
        fs::write(&path, "two lines\nare no key").expect("a file");
        assert_eq!(key.read().expect("a key").expose_secret(), "sk_test_the_second");
        fs::remove_file(&path).expect("removed");
        assert_eq!(key.read().expect("a key").expose_secret(), "sk_test_the_second");
    }
}
