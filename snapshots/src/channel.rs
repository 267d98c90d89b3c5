//! Channels and pins: the few things in a store that move.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::manifest::SnapshotId;
use crate::signing::{Signature, SigningKey, Trust};

/// A pointer larger than this is not read.
pub const MAX_POINTER_BYTES: u64 = 64 * 1024;

/// A short name that is safe in paths, in URLs and on a command line.
fn check_name(what: &str, text: &str) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !text.is_empty() && text.len() <= 32 && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(Error::Name { what: what.to_owned(), text: text.to_owned() }),
    }
}

/// A channel's name: `live` is what storefronts see, `canary` what a few nodes try, any other is a preview.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChannelName(String);

impl ChannelName {
    pub fn live() -> Self {
        Self("live".to_owned())
    }

    pub fn canary() -> Self {
        Self("canary".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        check_name("channel", text).map(Self)
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

/// A region that the shop is served from, such as `westeurope`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionName(String);

impl RegionName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RegionName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        check_name("region", text).map(Self)
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a channel points at, or what a region is pinned to. A channel's sequence only grows: going back to an old
/// snapshot is a new sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The catalogue that the snapshot is of, so that what is signed for one is nothing to those who follow another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<String>,
    pub snapshot: SnapshotId,
    pub sequence: u64,
    pub announced_at: Timestamp,
    /// Publishers refuse while a channel is held.
    #[serde(default)]
    pub held: bool,
    /// Why it was moved, where someone said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the channel pointed at before: what a rollback goes back to. After one, nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<SnapshotId>,
    /// On the canary channel: the nodes that follow it, each as `region/node`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// On the canary channel: when nodes stop following it by themselves, should nobody withdraw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Pointer {
    pub fn new(snapshot: SnapshotId, sequence: u64) -> Self {
        Self {
            catalogue: None,
            snapshot,
            sequence,
            announced_at: Timestamp::now(),
            held: false,
            reason: None,
            previous: None,
            nodes: Vec::new(),
            until: None,
        }
    }

    /// The same pointer, to a snapshot of this catalogue.
    #[must_use]
    pub fn of_catalogue(self, catalogue: &str) -> Self {
        Self { catalogue: Some(catalogue.to_owned()), ..self }
    }

    /// What comes after `before`, which pointed at something else of the same catalogue, or at nothing. Nothing comes after
    /// the last sequence: whoever has announced that has ended the channel, and no node follows what repeats it.
    pub fn after(before: Option<&Self>, snapshot: SnapshotId) -> Self {
        let mut pointer = Self::new(snapshot, before.map_or(1, |before| before.sequence.saturating_add(1)));
        pointer.catalogue = before.and_then(|before| before.catalogue.clone());
        let moved = before.filter(|before| before.snapshot != pointer.snapshot);
        pointer.previous = match moved {
            Some(before) => Some(before.snapshot.clone()),
            None => before.and_then(|before| before.previous.clone()),
        };
        pointer
    }

    /// Whether a node is to follow this canary now. Older publishers name nodes without their regions.
    pub fn is_canary_of(&self, region: Option<&RegionName>, node: &str, now: Timestamp) -> bool {
        let is_named = self.nodes.iter().any(|name| match name.split_once('/') {
            Some((its_region, name)) => name == node && region.is_some_and(|region| region.as_str() == its_region),
            None => name == node,
        });
        is_named && self.until.is_none_or(|until| now < until)
    }

    /// Reads a pointer, and where only some are trusted, that one of them signed it as `kind`.
    ///
    /// # Errors
    /// When the bytes are no pointer, or are not trusted.
    pub(crate) fn read(bytes: &[u8], kind: &str, trust: Option<&Trust>) -> Result<Self, Error> {
        if let Some(trust) = trust {
            let refuse = |reason: &str| Error::Untrusted { what: kind.to_owned(), reason: reason.to_owned() };
            let (unsigned, signature) = split_signature(bytes).ok_or_else(|| refuse("it is not signed"))?;
            trust.verify(kind, &unsigned, &signature)?;
        }
        serde_json::from_slice(bytes).map_err(|error| Error::corrupt(kind, error))
    }

    /// One line of JSON, whose last member is the signature, where there is one.
    pub(crate) fn to_json(&self, kind: &str, key: Option<&SigningKey>) -> Vec<u8> {
        let json = serde_json::to_string(self).expect("a pointer has no map");
        match key {
            None => format!("{json}\n").into_bytes(),
            Some(key) => {
                let signature = key.sign(kind, json.as_bytes());
                format!("{}{SIGNATURE}{signature}\"}}\n", json.strip_suffix('}').unwrap_or(&json)).into_bytes()
            }
        }
    }
}

const SIGNATURE: &str = ",\"signature\":\"";

/// The JSON that was signed, and its signature. A quote in a text is escaped, so that what is looked for can stand
/// nowhere else.
fn split_signature(bytes: &[u8]) -> Option<(Vec<u8>, Signature)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (json, rest) = text.rsplit_once(SIGNATURE)?;
    let signature = Signature::parse(rest.trim_end().strip_suffix("\"}")?)?;
    Some((format!("{json}}}").into_bytes(), signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_after_the_last_sequence() {
        let id: SnapshotId = "a".parse().expect("an id");
        let after = |sequence| Pointer::after(Some(&Pointer::new(id.clone(), sequence)), id.clone()).sequence;
        assert_eq!((after(7), after(u64::MAX)), (8, u64::MAX));
    }

    /// Nodes that have the same name in two regions both tried what one of them was to try.
    #[test]
    fn a_canary_is_of_the_nodes_of_a_region() {
        let mut pointer = Pointer::new("a".parse().expect("an id"), 1);
        pointer.nodes = vec!["east/n1".to_owned(), "n3".to_owned()];
        let check = |region: Option<&str>, node: &str, expected: bool| {
            let region = region.map(|name| name.parse::<RegionName>().expect("a name"));
            let is_of = pointer.is_canary_of(region.as_ref(), node, Timestamp::UNIX_EPOCH);
            assert_eq!(is_of, expected, "{region:?} {node}");
        };
        check(Some("east"), "n1", true);
        check(Some("east"), "n2", false);
        check(Some("west"), "n1", false);
        check(None, "n1", false);
        check(Some("west"), "n3", true);
    }

    #[test]
    fn a_signed_pointer_is_read_by_those_who_trust_its_key() {
        let (private, public) = SigningKey::generate().expect("a key");
        let (key, trust) =
            (SigningKey::from_pem(&private).expect("a key"), Trust::from_pem(&public).expect("a public key"));
        let mut pointer = Pointer::new("20260101T000000000Z-0123456789ab".parse().expect("an id"), 7);
        pointer.reason = Some(",\"signature\":\"x\"} }".to_owned());
        let signed = pointer.to_json("pointer live", Some(&key));
        assert_eq!(Pointer::read(&signed, "pointer live", Some(&trust)).expect("trusted"), pointer);
        assert_eq!(Pointer::read(&signed, "pointer live", None).expect("a pointer"), pointer);
        assert!(Pointer::read(&signed, "pointer test", Some(&trust)).is_err(), "it is of another channel");
        let plain = pointer.to_json("pointer live", None);
        let refused = Pointer::read(&plain, "pointer live", Some(&trust)).expect_err("not signed").to_string();
        assert!(refused.contains("it is not signed"), "{refused}");
        let forged = String::from_utf8(signed).expect("text").replace("\"sequence\":7", "\"sequence\":8");
        assert!(Pointer::read(forged.as_bytes(), "pointer live", Some(&trust)).is_err());
    }
}
