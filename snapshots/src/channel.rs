//! Channel pointers: the one thing in a store that moves.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::manifest::SnapshotId;

/// A pointer larger than this is not read.
pub const MAX_POINTER_BYTES: u64 = 64 * 1024;

/// A channel's name: `live` is what storefronts see, any other is a preview or a canary.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChannelName(String);

impl ChannelName {
    pub fn live() -> Self {
        Self("live".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match !text.is_empty() && text.len() <= 32 && text.chars().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => {
                let reason = format!("'{text}' is not 1 to 32 of a-z, 0-9 and -");
                Err(Error::Corrupt { what: "channel name".into(), reason })
            }
        }
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a channel points at. The sequence only grows: going back to an old snapshot is a new sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    pub snapshot: SnapshotId,
    pub sequence: u64,
    pub announced_at: Timestamp,
    /// Publishers refuse while a channel is held.
    #[serde(default)]
    pub held: bool,
}

impl Pointer {
    /// # Errors
    /// When the bytes are no pointer.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::corrupt("channel pointer", error))
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a pointer has no map");
        bytes.push(b'\n');
        bytes
    }
}
