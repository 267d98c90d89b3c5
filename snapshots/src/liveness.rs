//! Which documents of a segment are current. A small object of its own, so that an update leaves segments as they are.

use crate::error::Error;
use crate::manifest::{FORMAT_VERSION, check_format_version};

const MAGIC: &[u8; 8] = b"VITRLIVE";
const HEADER_BYTES: usize = 16;

/// A bit for each document of a segment: set while the document is current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    words: Vec<u64>,
    doc_count: u32,
}

impl Liveness {
    pub fn all_live(doc_count: u32) -> Self {
        let mut words = vec![u64::MAX; (doc_count as usize).div_ceil(64)];
        if let (Some(last), rest @ 1..) = (words.last_mut(), doc_count % 64) {
            *last = (1 << rest) - 1;
        }
        Self { words, doc_count }
    }

    pub fn kill(&mut self, doc: u32) {
        if doc < self.doc_count {
            self.words[doc as usize / 64] &= !(1 << (doc % 64));
        }
    }

    #[inline]
    pub fn is_live(&self, doc: u32) -> bool {
        self.words[doc as usize / 64] >> (doc % 64) & 1 == 1
    }

    pub fn live_count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    pub fn doc_count(&self) -> u32 {
        self.doc_count
    }

    /// One bit a document, lowest first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.doc_count.to_le_bytes());
        bytes.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    /// # Errors
    /// When the bytes are no liveness, or of a newer format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = || Error::corrupt("liveness", "its length or its bits are wrong");
        let Some((header, body)) = bytes.split_at_checked(HEADER_BYTES) else { return Err(corrupt()) };
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (found, doc_count) = (number(8), number(12));
        if &header[..8] != MAGIC {
            return Err(corrupt());
        }
        check_format_version("liveness", found)?;
        let words: Vec<u64> =
            body.chunks_exact(8).map(|chunk| chunk.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b))).collect();
        let spare = doc_count % 64;
        let past_the_end = spare > 0 && words.last().is_some_and(|last| last >> spare != 0);
        if body.len() != (doc_count as usize).div_ceil(64) * 8 || past_the_end {
            return Err(corrupt());
        }
        Ok(Self { words, doc_count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_survive_a_round_trip() {
        for count in [1, 63, 64, 65, 200] {
            let mut liveness = Liveness::all_live(count);
            assert_eq!(liveness.live_count(), count);
            liveness.kill(count - 1);
            liveness.kill(count + 5);
            assert!(!liveness.is_live(count - 1));
            assert_eq!(Liveness::from_bytes(&liveness.to_bytes()).expect("sound bytes"), liveness);
        }
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let bytes = Liveness::all_live(70).to_bytes();
        for length in 0..bytes.len() {
            assert!(Liveness::from_bytes(&bytes[..length]).is_err());
        }
        let mut past_the_end = bytes.clone();
        past_the_end[HEADER_BYTES + 15] = 0xff;
        assert!(Liveness::from_bytes(&past_the_end).is_err());
    }
}
