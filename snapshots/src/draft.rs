//! From finished segment files to a snapshot in a store: objects first, the manifest last.

use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;

use crate::catalogue::Catalogue;
use crate::digest::Digest;
use crate::error::Error;
use crate::liveness::Liveness;
use crate::manifest::{
    FORMAT_VERSION, Manifest, ObjectRef, Role, SegmentRef, SnapshotId, Statistics, ValidationReport,
};
use crate::mapping::Mapping;
use crate::store::Store;

/// What a snapshot will be made of.
pub struct Draft {
    /// The text of `catalogue.toml`.
    pub settings: String,
    /// The text of `rules.toml`, if there is one.
    pub rules: Option<String>,
    /// Segments of an earlier snapshot, which are in the store already; they come before the new ones.
    pub kept: Vec<KeptSegment>,
    pub segments: Vec<DraftSegment>,
    pub statistics: Statistics,
    pub validation: ValidationReport,
    pub source_watermark: Option<String>,
    pub parent: Option<SnapshotId>,
    pub created_at: Timestamp,
    pub builder_version: String,
}

/// A segment in a file, and which of its products are current (None: all).
pub struct DraftSegment {
    pub file: PathBuf,
    pub product_count: u32,
    pub liveness: Option<Liveness>,
}

/// A segment that is in the store, and which of its products are current (None: all).
pub struct KeptSegment {
    pub object: ObjectRef,
    pub product_count: u32,
    pub liveness: Option<Liveness>,
}

impl Draft {
    /// Writes the objects and the manifest; what is there already is left as it is.
    ///
    /// # Errors
    /// When the settings are at fault, a file cannot be read, or the store fails.
    pub async fn write(self, store: &Store) -> Result<Manifest, Error> {
        let catalogue = Catalogue::parse(&self.settings)?;
        let mut objects = Vec::new();
        let settings = self.settings.into_bytes();
        put(store, &mut objects, Role::Catalogue, settings).await?;
        if let Some(rules) = self.rules {
            put(store, &mut objects, Role::Rules, rules.into_bytes()).await?;
        }
        let mut segments = Vec::new();
        for kept in &self.kept {
            objects.push(kept.object.clone());
            let of = (kept.object.blake3, kept.product_count, &kept.liveness);
            segments.push(segment_ref(store, &mut objects, of).await?);
        }
        for draft in &self.segments {
            let bytes = Mapping::open(&draft.file, false)?;
            let (blake3, size_bytes) = (Digest::of(&bytes), bytes.len() as u64);
            if !store.put_object_file(&blake3, &draft.file).await? {
                mend(store, &blake3, Bytes::from_owner(bytes)).await?;
            }
            objects.push(ObjectRef { role: Role::Segment, blake3, size_bytes });
            let of = (blake3, draft.product_count, &draft.liveness);
            segments.push(segment_ref(store, &mut objects, of).await?);
        }
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            id: SnapshotId::new(self.created_at, &Digest::of(b"")),
            catalogue: catalogue.name,
            parent: self.parent,
            created_at: self.created_at,
            builder_version: self.builder_version,
            objects,
            segments,
            statistics: self.statistics,
            validation: self.validation,
            source_watermark: self.source_watermark,
        };
        manifest.seal();
        // What is written must be readable: the same checks that a reader makes.
        let manifest = Manifest::from_json(&manifest.to_json())?;
        store.put_manifest(&manifest).await?;
        Ok(manifest)
    }
}

async fn segment_ref(
    store: &Store,
    objects: &mut Vec<ObjectRef>,
    (segment, product_count, liveness): (Digest, u32, &Option<Liveness>),
) -> Result<SegmentRef, Error> {
    let live_count = liveness.as_ref().map_or(product_count, Liveness::live_count);
    let liveness = match liveness {
        Some(liveness) => Some(put(store, objects, Role::Liveness, liveness.to_bytes()).await?),
        None => None,
    };
    Ok(SegmentRef { segment, liveness, product_count, live_count })
}

async fn put(store: &Store, objects: &mut Vec<ObjectRef>, role: Role, bytes: Vec<u8>) -> Result<Digest, Error> {
    let (blake3, size_bytes) = (Digest::of(&bytes), bytes.len() as u64);
    let bytes = Bytes::from(bytes);
    if !store.put_object(&blake3, bytes.clone()).await? {
        mend(store, &blake3, bytes).await?;
    }
    // Two segments can have the same liveness; it is one object all the same.
    if !objects.iter().any(|object| object.blake3 == blake3) {
        objects.push(ObjectRef { role, blake3, size_bytes });
    }
    Ok(blake3)
}

/// An object that was there already may be damaged, and building again must then mend it.
async fn mend(store: &Store, digest: &Digest, bytes: Bytes) -> Result<(), Error> {
    match store.digest_of_object(digest).await? == *digest {
        true => Ok(()),
        false => store.replace_object(digest, bytes).await,
    }
}
