//! The manifest: what a snapshot is made of. Everything it names, it names by digest.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;

/// The version of manifest and segments that this build writes.
pub const FORMAT_VERSION: u32 = 6;

/// The oldest version that this build reads. Segments of version 1 have no vocabulary, without which no query is
/// understood; those of version 2 have no postings of our own, those of version 3 nothing by which an update could answer
/// as a fresh build does, and those of versions 4 and 5 other words than queries are read as: for numbers and units in
/// version 4, for letters and their marks in version 5, and for plurals in both.
pub const OLDEST_FORMAT_VERSION: u32 = 6;

/// That a part of a snapshot has a version that this build reads.
///
/// # Errors
/// Says which build is needed, or what is to be done.
pub(crate) fn check_format_version(what: &str, found: u32) -> Result<(), Error> {
    match found {
        _ if found > FORMAT_VERSION => {
            Err(Error::NewerFormat { what: what.to_owned(), found, supported: FORMAT_VERSION })
        }
        _ if found < OLDEST_FORMAT_VERSION => {
            Err(Error::OlderFormat { what: what.to_owned(), found, oldest: OLDEST_FORMAT_VERSION })
        }
        _ => Ok(()),
    }
}

/// Bounds on what a manifest may claim.
pub mod limits {
    pub const MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
    pub const SEGMENTS: usize = 8;
    pub const OBJECTS: usize = 64;
}

/// A snapshot's name: when it was built and the start of a digest of its manifest, so that names sort by age.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId(String);

impl SnapshotId {
    pub fn new(created_at: Timestamp, manifest: &Digest) -> Self {
        let digest = manifest.to_string();
        Self(format!("{}-{}", created_at.strftime("%Y%m%dT%H%M%S%3fZ"), &digest[..12]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // An id becomes part of a path in the store.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        match !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(Error::Corrupt { what: "snapshot id".into(), reason: format!("'{text}' is not a name") }),
        }
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.0
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Catalogue,
    Rules,
    Segment,
    Liveness,
}

/// An immutable object of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    pub role: Role,
    pub blake3: Digest,
    pub size_bytes: u64,
}

/// A segment as this snapshot sees it: which of its products are still current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    pub segment: Digest,
    /// Absent while every product of the segment is current.
    pub liveness: Option<Digest>,
    pub product_count: u32,
    pub live_count: u32,
}

/// What scores are computed from, over the current products of all segments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    pub product_count: u64,
    /// Words of each searched field over all products, for reference lengths to be checked against.
    pub words: BTreeMap<String, u64>,
}

/// What the builder saw of its input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidationReport {
    pub rows_read: u64,
    pub rows_rejected: u64,
    /// How many rows each reason set aside, by field.
    pub rejected_by_field: BTreeMap<String, u64>,
    pub facet_value_counts: BTreeMap<String, u64>,
    /// What a policy had against this snapshot, where someone published it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Override>,
}

/// A publish in spite of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub reason: String,
    /// The rules of the policy that were broken.
    pub violations: Vec<String>,
}

/// What a snapshot is made of and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format_version: u32,
    pub id: SnapshotId,
    pub catalogue: String,
    pub parent: Option<SnapshotId>,
    pub created_at: Timestamp,
    pub builder_version: String,
    pub objects: Vec<ObjectRef>,
    pub segments: Vec<SegmentRef>,
    pub statistics: Statistics,
    pub validation: ValidationReport,
    /// Where the source stood when it was read, in the source's own terms.
    pub source_watermark: Option<String>,
}

impl Manifest {
    /// Reads a manifest and checks that it can be opened by this build.
    ///
    /// # Errors
    /// When the bytes are no manifest, its parts contradict each other, or its format is newer than this build.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        // The version is read first: a newer manifest may have any shape.
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let corrupt = |error: serde_json::Error| Error::corrupt("manifest", error);
        let Version { format_version } = serde_json::from_slice(bytes).map_err(corrupt)?;
        check_format_version("manifest", format_version)?;
        let manifest: Self = serde_json::from_slice(bytes).map_err(corrupt)?;
        manifest.validate()?;
        Ok(manifest)
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has no map with keys that are not text");
        bytes.push(b'\n');
        bytes
    }

    /// Gives the manifest the id that its content asks for.
    pub fn seal(&mut self) {
        self.id = self.unsealed_id();
        self.id = SnapshotId::new(self.created_at, &Digest::of(&self.to_json()));
    }

    /// Whether the id was made from the content of `json`, which this manifest was read from. The bytes themselves
    /// are asked, so that a field of a later version counts too.
    pub fn is_sealed_in(&self, json: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(json) else { return false };
        let unsealed = text.replacen(self.id.as_str(), self.unsealed_id().as_str(), 1);
        self.id == SnapshotId::new(self.created_at, &Digest::of(unsealed.as_bytes()))
    }

    /// What stands in the id's place while the id is made.
    fn unsealed_id(&self) -> SnapshotId {
        SnapshotId::new(self.created_at, &Digest::of(b""))
    }

    pub fn object(&self, digest: &Digest) -> Option<&ObjectRef> {
        self.objects.iter().find(|object| object.blake3 == *digest)
    }

    /// The object with the catalogue's settings.
    pub fn catalogue_object(&self) -> Option<&ObjectRef> {
        self.objects.iter().find(|object| object.role == Role::Catalogue)
    }

    /// The object with the catalogue's rules, if it has any.
    pub fn rules_object(&self) -> Option<&ObjectRef> {
        self.objects.iter().find(|object| object.role == Role::Rules)
    }

    pub fn size_bytes(&self) -> u64 {
        self.objects.iter().fold(0, |sum, object| sum.saturating_add(object.size_bytes))
    }

    fn validate(&self) -> Result<(), Error> {
        let fault = |reason: &str| Err(Error::corrupt("manifest", reason));
        if self.segments.is_empty() || self.segments.len() > limits::SEGMENTS {
            return fault("has no segment, or too many");
        }
        if self.objects.len() > limits::OBJECTS {
            return fault("has too many objects");
        }
        if self.catalogue_object().is_none() {
            return fault("has no catalogue settings");
        }
        for segment in &self.segments {
            let has = |digest, role| self.object(digest).is_some_and(|object| object.role == role);
            if !has(&segment.segment, Role::Segment) {
                return fault("names a segment that is not among its objects");
            }
            if segment.liveness.as_ref().is_some_and(|liveness| !has(liveness, Role::Liveness)) {
                return fault("names a liveness that is not among its objects");
            }
            if segment.live_count > segment.product_count
                || (segment.liveness.is_none() && segment.live_count != segment.product_count)
            {
                return fault("counts more live products in a segment than it can have");
            }
        }
        let live: u64 = self.segments.iter().map(|segment| u64::from(segment.live_count)).sum();
        match live == self.statistics.product_count {
            true => Ok(()),
            false => fault("its segments hold another number of products than its statistics say"),
        }
    }
}
