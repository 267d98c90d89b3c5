//! Tokens: what opens an order for its owner, and what opens everything for the shop's staff. Only their hashes are kept.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// So many random bytes cannot be guessed.
const RANDOM_BYTES: usize = 32;
const OWNER_PREFIX: &str = "ot_";
const STAFF_PREFIX: &str = "st_";

/// A token before anybody has it. Its Debug output shows nothing of it.
pub struct NewToken(String);

/// SHA-256 of a token's text.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

/// Whose token it is, by how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Owner,
    Staff,
}

impl NewToken {
    /// # Errors
    /// When the system gives no random bytes.
    pub fn owner() -> Result<Self, Unspecified> {
        Self::with_prefix(OWNER_PREFIX)
    }

    /// # Errors
    /// When the system gives no random bytes.
    pub fn staff() -> Result<Self, Unspecified> {
        Self::with_prefix(STAFF_PREFIX)
    }

    fn with_prefix(prefix: &str) -> Result<Self, Unspecified> {
        let mut bytes = [0; RANDOM_BYTES];
        rand::fill(&mut bytes)?;
        Ok(Self(format!("{prefix}{}", hex(&bytes))))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewToken")
    }
}

impl TokenHash {
    pub fn of(text: &str) -> Self {
        Self(sha256(text.as_bytes()))
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (hex_digit(pair[0])? << 4) | hex_digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Takes equally long wherever two hashes differ.
    pub fn is(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

impl TokenKind {
    /// None where the text is no token of ours.
    pub fn of(text: &str) -> Option<Self> {
        let (kind, digits) = match text.strip_prefix(OWNER_PREFIX) {
            Some(digits) => (Self::Owner, digits),
            None => (Self::Staff, text.strip_prefix(STAFF_PREFIX)?),
        };
        let is_whole =
            digits.len() == RANDOM_BYTES * 2 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_whole.then_some(kind)
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_apart_and_never_shown() {
        let (owner, staff) = (NewToken::owner().expect("a token"), NewToken::staff().expect("a token"));
        assert_eq!(TokenKind::of(owner.text()), Some(TokenKind::Owner));
        assert_eq!(TokenKind::of(staff.text()), Some(TokenKind::Staff));
        assert_ne!(owner.text(), NewToken::owner().expect("a token").text());
        for text in ["", "ot_", "ot_abc", &owner.text().to_uppercase(), &owner.text()[3..], &format!("{owner:?}")] {
            assert_eq!(TokenKind::of(text), None, "{text}");
        }
        assert_eq!(format!("{owner:?} {:?}", owner.hash()), "NewToken TokenHash");
    }

    #[test]
    fn hashes_are_read_as_they_are_written() {
        // SHA-256 of "abc" (FIPS 180-4).
        let hash = TokenHash::of("abc");
        assert_eq!(hash.to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(TokenHash::from_hex(&hash.to_hex()).is_some_and(|read| read.is(&hash)));
        assert!(!hash.is(&TokenHash::of("abd")));
        for text in ["", "ba78", &"g".repeat(64), &"a".repeat(65)] {
            assert!(TokenHash::from_hex(text).is_none(), "{text}");
        }
    }
}
