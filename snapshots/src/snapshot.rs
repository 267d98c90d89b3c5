//! An open snapshot: several segments that answer as one.

use std::sync::Arc;

use crate::cache::{Cache, catalogue_of};
use crate::catalogue::{Catalogue, FacetKind};
use crate::error::Error;
use crate::liveness::Liveness;
use crate::manifest::{Manifest, ObjectRef};
use crate::segment::Segment;
use crate::store::Store;

/// A snapshot with its objects mapped.
pub struct Snapshot {
    pub manifest: Manifest,
    pub catalogue: Arc<Catalogue>,
    /// The text that `catalogue` was read from.
    pub settings: String,
    /// The text of the catalogue's rules.
    pub rules: Option<String>,
    pub segments: Vec<LiveSegment>,
}

/// A segment and which of its products are current in this snapshot.
pub struct LiveSegment {
    pub segment: Segment,
    /// None while every product is current.
    pub liveness: Option<Liveness>,
}

impl LiveSegment {
    #[inline]
    pub fn is_live(&self, doc: u32) -> bool {
        self.liveness.as_ref().is_none_or(|liveness| liveness.is_live(doc))
    }

    /// Which products are current, also where all are.
    pub fn current(&self) -> Liveness {
        let all = || Liveness::all_live(self.segment.product_count() as u32);
        self.liveness.clone().unwrap_or_else(all)
    }
}

/// Downloads and checks what `cache` lacks of a snapshot.
///
/// # Errors
/// As [`Cache::install`].
pub async fn install(store: &Store, cache: &Cache, manifest: &Manifest) -> Result<(), Error> {
    for object in &manifest.objects {
        cache.install(store, object).await?;
    }
    Ok(())
}

impl Snapshot {
    /// Opens a snapshot whose objects are all in the cache, reading their pages in. Blocks while it reads.
    ///
    /// # Errors
    /// When an object is missing, damaged, or does not fit the manifest.
    pub fn open(cache: &Cache, manifest: Manifest) -> Result<Self, Error> {
        let find = |object: Option<&ObjectRef>| {
            let object =
                object.ok_or_else(|| Error::corrupt("manifest", "it names an object that it does not list"))?;
            let installed = cache.installed(object)?;
            installed.ok_or_else(|| Error::NotFound(format!("object {}", object.blake3)))
        };
        let map = |object: Option<&ObjectRef>| find(object)?.map(true);
        let settings = map(manifest.catalogue_object())?;
        let catalogue = Arc::new(catalogue_of(&settings)?);
        let settings = String::from_utf8(settings.to_vec()).map_err(|error| Error::corrupt("catalogue.toml", error))?;
        let rules = manifest.rules_object().map(|object| {
            let text = String::from_utf8(map(Some(object))?.to_vec());
            text.map_err(|error| Error::corrupt("rules", error))
        });
        let rules = rules.transpose()?;
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for part in &manifest.segments {
            let segment = find(manifest.object(&part.segment))?.segment()?;
            let liveness = match &part.liveness {
                Some(digest) => Some(Liveness::from_bytes(&map(manifest.object(digest))?)?),
                None => None,
            };
            let live = LiveSegment { segment, liveness };
            live.check_counts(part.product_count, part.live_count)?;
            live.check_columns(&catalogue)?;
            segments.push(live);
        }
        Ok(Self { manifest, catalogue, settings, rules, segments })
    }

    /// The segment and document of a current product.
    pub fn find(&self, id: &str) -> Option<(usize, u32)> {
        self.segments.iter().enumerate().find_map(|(place, part)| {
            let doc = part.segment.find(id)?;
            part.is_live(doc).then_some((place, doc))
        })
    }
}

impl LiveSegment {
    fn check_counts(&self, product_count: u32, live_count: u32) -> Result<(), Error> {
        let found = self.segment.product_count() as u32;
        let live = self.liveness.as_ref().map_or(found, Liveness::live_count);
        let docs = self.liveness.as_ref().map_or(found, Liveness::doc_count);
        match found == product_count && docs == product_count && live == live_count {
            true => Ok(()),
            false => {
                Err(Error::corrupt("snapshot", "a segment holds another number of products than the manifest says"))
            }
        }
    }

    /// That the segment was written for these settings: queries rely on every column being there.
    fn check_columns(&self, catalogue: &Catalogue) -> Result<(), Error> {
        let wanted = catalogue.number_names().into_iter();
        let wanted = wanted.map(|name| (name, catalogue.number_decimals(name).unwrap_or(0)));
        let numbers = self.segment.numbers().iter().map(|number| (number.name.as_str(), number.decimals));
        let facets = self.segment.facets().iter().map(|facet| (facet.name.as_str(), facet.hierarchy));
        let wanted_facets = catalogue.value_facets();
        let wanted_facets = wanted_facets.map(|facet| (facet.name.as_str(), facet.kind == FacetKind::Hierarchy));
        match wanted.eq(numbers) && wanted_facets.eq(facets) {
            true => Ok(()),
            false => Err(Error::corrupt(
                "snapshot",
                "a segment was written for other facets or numbers than the settings name",
            )),
        }
    }
}
