//! The key that opens previews.

use std::fmt;
use std::hint::black_box;

use hyper::header::HeaderMap;
use serde::Deserialize;
use snapshots::Digest;

const HEADER: &str = "x-preview-key";
/// Nothing slows who tries one key after another, so a key must be too long to be found that way.
const MIN_CHARACTERS: usize = 16;
const MAX_CHARACTERS: usize = 256;

/// A key as it is set or as a request gives it. Only its digest is kept: it cannot end in a log, and keys of any length
/// take equally long to compare.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct PreviewKey(Digest);

impl PreviewKey {
    /// The key that requests must give.
    ///
    /// # Errors
    /// When it is too short or too long, or a header cannot carry it.
    pub fn new(text: &str) -> Result<Self, String> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        match is_plain && (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&text.len()) {
            true => Ok(Self::given(text)),
            false => Err(format!("is not {MIN_CHARACTERS} to {MAX_CHARACTERS} visible ASCII characters")),
        }
    }

    /// A key that a request gives, right or wrong.
    pub fn given(text: &str) -> Self {
        Self(Digest::of(text.as_bytes()))
    }

    /// The key in the headers of a request.
    pub fn in_headers(headers: &HeaderMap) -> Option<Self> {
        Some(Self(Digest::of(headers.get(HEADER)?.as_bytes())))
    }
}

impl From<String> for PreviewKey {
    fn from(text: String) -> Self {
        Self::given(&text)
    }
}

impl PartialEq for PreviewKey {
    /// Takes equally long wherever two keys differ.
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.as_bytes().iter().zip(other.0.as_bytes());
        pairs.fold(0u8, |different, (one, other)| black_box(different | (one ^ other))) == 0
    }
}

impl Eq for PreviewKey {}

impl fmt::Debug for PreviewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreviewKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_or_not_and_never_shown() {
        let key = PreviewKey::new("correct-horse-battery").expect("a key");
        assert_eq!(key, PreviewKey::given("correct-horse-battery"));
        for other in ["", "correct-horse-batterx", "correct-horse-battery-staple", "Correct-horse-battery"] {
            assert_ne!(key, PreviewKey::given(other), "{other}");
        }
        assert_eq!(format!("{key:?}"), "PreviewKey");
    }

    #[test]
    fn a_key_is_long_and_fits_into_a_header() {
        for fault in ["", "short", "with a space in the middle", "zwölf-Boxkämpfer-jagen", "x".repeat(257).as_str()] {
            assert!(PreviewKey::new(fault).is_err(), "{fault}");
        }
        assert!(PreviewKey::new(&"x".repeat(256)).is_ok());
    }
}
