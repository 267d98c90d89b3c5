//! Updating a snapshot: changed products become one small segment, outdated ones are struck out, and everything else is
//! kept as it is. What comes of it answers as if it had been built anew.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use search::{Rules, SegmentBuilder, WordCounter, recorded_queries};
use snapshots::{
    Catalogue, Digest, Draft, DraftSegment, KeptSegment, LiveSegment, Liveness, Manifest, ObjectRef, Product, Snapshot,
    Statistics, Store, ValidationReport,
};

use crate::build::RowsRequest;
use crate::changes::{Changes, ChangesReader, MAX_CHANGES};
use crate::merging::{MAX_DELTAS, beside_merge, is_base_due, joining, write_merged};
use crate::opened::{Scratch, locate};
use crate::progress::Progress;
use crate::threads::on_a_thread;
use crate::workshop::{BUILDER, Workshop};

/// Merging more products than this is not done in passing; 'merge' does it when nobody waits.
const MAX_MERGED: u64 = 50_000;

/// So many products are told that rules name and that are deleted.
const MAX_TOLD: usize = 10;

/// What to update by what.
pub struct UpdateRequest {
    pub out: PathBuf,
    pub base: Base,
    /// The text of other rules.
    pub rules: Option<String>,
    pub rows: RowsRequest,
    pub taking: Taking,
    /// When a source that is followed was looked at: what comes to it after that is not in what comes of this, which is of that
    /// time. Otherwise it is of the time when it is written.
    pub looked_at: Option<Timestamp>,
    pub in_passing: InPassing,
}

/// Whose rows an update is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// Those that were given: all of them, or it fails.
    All,
    /// Those of a source that is followed: as many as can be taken, up to where the next look goes on.
    WhatFits,
}

/// Which earlier updates are written anew together with what is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InPassing {
    /// Small ones: nobody else merges them.
    Small,
    /// As few as possible, and only where there would be too many: a merge in the background makes room. What it is `merging`
    /// is left alone.
    OneTooMany { merging: Vec<Digest> },
}

/// Which snapshot is meant.
pub enum Base {
    /// The newest one of the folder.
    Newest,
    /// By name, as `evaluate` takes it, and signed by someone who is trusted, where only some are.
    Named(String, Option<snapshots::Trust>),
    Of(Box<(Store, Manifest)>),
}

impl Base {
    pub fn named(name: Option<String>, trust: Option<snapshots::Trust>) -> Self {
        name.map_or(Self::Newest, |name| Self::Named(name, trust))
    }
}

/// What came of an update.
pub struct Updated {
    pub manifest: Manifest,
    pub changed: u64,
    pub deleted: u64,
    /// Rows that say what is so already.
    pub unchanged: u64,
    /// Deletions of products that are not there, other than by items that have expired.
    pub unknown: u64,
    /// Items of a feed that are to be sold no longer: those that were there are among what is deleted, but for those that
    /// their file sells as well.
    pub expired: u64,
    pub rejected: u64,
    pub rejects_file: Option<PathBuf>,
    /// Nothing has changed: the snapshot is the one that was to be updated.
    pub is_same: bool,
}

/// Reads changes and writes the snapshot that they make.
///
/// # Errors
/// When there is nothing to update, an input or the rules are at fault, or nothing would be left.
pub async fn update(
    request: &UpdateRequest,
    settings: &[(String, String)],
    progress: &mut Progress,
) -> Result<Updated> {
    let workshop = Workshop::open(&request.out)?;
    let cache = workshop.cache()?;
    let base = open_base(&workshop, &cache, &request.out, &request.base, settings).await?;
    let (base, changes) = read_changes(base, request, progress).await?;
    let mut plan = Plan::new(&base, changes, &request.in_passing)?;
    let rules = request.rules.clone().or_else(|| base.rules.clone());
    plan.check_rules(rules.as_deref(), request.rules.is_some(), progress)?;
    let watermark = plan.changes.watermark.clone().or_else(|| base.manifest.source_watermark.clone());
    let is_same = plan.is_empty() && rules == base.rules && watermark == base.manifest.source_watermark;
    let manifest = match is_same {
        true => base.manifest.clone(),
        false => {
            ensure!(plan.products_left() > 0, "no product would be left: an empty snapshot would empty the shop");
            let manifest = plan.write(&workshop, rules, watermark, request.looked_at, progress).await?;
            if request.in_passing == InPassing::Small && is_base_due(&manifest) {
                progress.note("so much is outdated or new by now that it is slow to open: 'indexer merge' is due");
            }
            manifest
        }
    };
    Ok(plan.told(manifest, is_same))
}

/// Reads what changes in a snapshot, and gives that back. An input may keep whoever reads it waiting for minutes.
async fn read_changes(base: Snapshot, request: &UpdateRequest, progress: &mut Progress) -> Result<(Snapshot, Changes)> {
    let (rows, taking, quiet) = (request.rows.clone(), request.taking, progress.quiet());
    let mut shown = std::mem::replace(progress, quiet);
    let read = move || {
        let before = |id: &str| -> Result<Option<Product>> {
            let Some((place, doc)) = base.find(id) else { return Ok(None) };
            Ok(Some(base.segments[place].segment.product(doc)?))
        };
        let catalogue = base.catalogue.clone();
        let reader =
            ChangesReader { request: &rows, taking, catalogue: &catalogue, before: &before, most: MAX_CHANGES };
        let changes = reader.read(&mut shown);
        (base, changes, shown)
    };
    let (base, changes, shown) = on_a_thread("read", read).await?;
    *progress = shown;
    Ok((base, changes?))
}

/// Writes all segments of a snapshot as one.
///
/// # Errors
/// When there is no such snapshot, or the disk is full.
pub async fn merge(
    out: &Path,
    base: &Base,
    settings: &[(String, String)],
    progress: &mut Progress,
) -> Result<Manifest> {
    let workshop = Workshop::open(out)?;
    let cache = workshop.cache()?;
    let base = open_base(&workshop, &cache, out, base, settings).await?;
    if base.segments.len() == 1 && base.segments[0].liveness.is_none() {
        return Ok(base.manifest);
    }
    let file = workshop.scratch().join("segment");
    let parts: Vec<_> = base.segments.iter().collect();
    let report = write_merged(&parts, &base.catalogue, &file, workshop.scratch(), progress)?.report;
    let product_count = report.product_count;
    let draft = Draft {
        segments: vec![DraftSegment { file, product_count, liveness: None }],
        statistics: Statistics { product_count: u64::from(product_count), words: report.words.into_iter().collect() },
        ..resegmented(&base, Vec::new(), workshop.created_at(Timestamp::now()).await?)
    };
    progress.begin("store", "bytes", None);
    let manifest = draft.write(&workshop.store).await?;
    progress.end();
    Ok(manifest)
}

/// A snapshot with the products of another in other segments.
pub(crate) fn resegmented(of: &Snapshot, kept: Vec<KeptSegment>, created_at: Timestamp) -> Draft {
    Draft {
        settings: of.settings.clone(),
        rules: of.rules.clone(),
        kept,
        segments: Vec::new(),
        statistics: of.manifest.statistics.clone(),
        validation: of.manifest.validation.clone(),
        source_watermark: of.manifest.source_watermark.clone(),
        parent: Some(of.manifest.id.clone()),
        created_at,
        builder_version: BUILDER.to_owned(),
    }
}

/// A segment with what is current of it.
pub(crate) fn kept_segment(object: &ObjectRef, liveness: &Liveness) -> KeptSegment {
    let is_whole = liveness.live_count() == liveness.doc_count();
    KeptSegment {
        object: object.clone(),
        product_count: liveness.doc_count(),
        liveness: (!is_whole).then(|| liveness.clone()),
    }
}

/// Opens what is to be updated, with all its objects in the folder.
pub(crate) async fn open_base(
    workshop: &Workshop,
    cache: &Scratch,
    out: &Path,
    base: &Base,
    settings: &[(String, String)],
) -> Result<Snapshot> {
    let (store, manifest) = match base {
        Base::Newest => locate(&out.display().to_string(), settings, None).await?,
        Base::Named(name, trust) => locate(name, settings, trust.as_ref()).await?,
        Base::Of(of) => (**of).clone(),
    };
    let id = manifest.id.clone();
    let base = cache.open(&store, manifest).await.with_context(|| format!("snapshot {id}"))?;
    cache.keep_only([&base.manifest]);
    workshop.adopt(cache, &base.manifest).await?;
    Ok(base)
}

/// What an update does to the snapshot before it.
struct Plan<'a> {
    base: &'a Snapshot,
    /// The new versions of products, in the order of a segment.
    upserts: Vec<Product>,
    /// What is left of each segment.
    liveness: Vec<Liveness>,
    statistics: Statistics,
    in_passing: &'a InPassing,
    changes: Changes,
    changed: u64,
    deleted: u64,
}

impl<'a> Plan<'a> {
    fn new(base: &'a Snapshot, mut changes: Changes, in_passing: &'a InPassing) -> Result<Self> {
        let mut plan = Self {
            base,
            upserts: Vec::new(),
            liveness: base.segments.iter().map(LiveSegment::current).collect(),
            statistics: base.manifest.statistics.clone(),
            in_passing,
            changes: Changes::default(),
            changed: 0,
            deleted: 0,
        };
        let by_id = std::mem::take(&mut changes.by_id);
        plan.changes = changes;
        let mut words = WordCounter::new(&base.catalogue);
        for (id, product) in by_id {
            plan.change(&id, product, &mut words)?;
        }
        plan.upserts.sort_by(|a, b| b.static_rank().cmp(&a.static_rank()).then_with(|| a.id.cmp(&b.id)));
        Ok(plan)
    }

    /// Strikes out the version that there is, and takes the new one.
    fn change(&mut self, id: &str, product: Option<Product>, words: &mut WordCounter<'_>) -> Result<()> {
        let total = &mut self.statistics.words;
        if let Some((place, doc)) = self.base.find(id) {
            let before = self.base.segments[place].segment.product(doc)?;
            self.liveness[place].kill(doc);
            self.statistics.product_count -= 1;
            words.count(&before, |field, count| {
                let words = total.entry(field.to_owned()).or_default();
                *words = words.saturating_sub(count);
            });
        }
        let Some(product) = product else {
            self.deleted += 1;
            return Ok(());
        };
        self.changed += 1;
        self.statistics.product_count += 1;
        words.count(&product, |field, count| *total.entry(field.to_owned()).or_default() += count);
        self.upserts.push(product);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.changed == 0 && self.deleted == 0
    }

    fn products_left(&self) -> u64 {
        self.statistics.product_count
    }

    /// That the rules can be read, and every product that new ones name is there afterwards. What older ones name may be
    /// deleted, which is told: prices must not wait for rules.
    fn check_rules(&self, rules: Option<&str>, are_new: bool, progress: &Progress) -> Result<()> {
        let Some(text) = rules else { return Ok(()) };
        let rules = Rules::parse(text, &self.base.catalogue, None)?;
        let upserts: HashSet<&str> = self.upserts.iter().map(|product| product.id.as_str()).collect();
        let is_there = |id: &str| {
            upserts.contains(id) || self.base.find(id).is_some_and(|(place, doc)| self.liveness[place].is_live(doc))
        };
        let missing = rules.products().filter(|(_, id)| !is_there(id));
        if are_new {
            let missing: Vec<String> = missing.map(|(at, id)| format!("{at}: there is no product '{id}'")).collect();
            ensure!(missing.is_empty(), "rules.toml: {}", missing.join("; "));
            return Ok(());
        }
        let deleted = missing.filter(|(_, id)| self.base.find(id).is_some()).take(MAX_TOLD);
        let deleted: Vec<String> = deleted.map(|(at, id)| format!("{at}: product '{id}' is deleted")).collect();
        if !deleted.is_empty() {
            progress.note(&format!("rules.toml: {}", deleted.join("; ")));
        }
        Ok(())
    }

    async fn write(
        &mut self,
        workshop: &Workshop,
        rules: Option<String>,
        watermark: Option<String>,
        looked_at: Option<Timestamp>,
        progress: &mut Progress,
    ) -> Result<Manifest> {
        let mut segments = Vec::new();
        if let Some(file) = self.write_delta(workshop, progress)? {
            segments.push(file);
        }
        let kept = self.kept()?;
        let draft = Draft {
            settings: self.base.settings.clone(),
            rules,
            kept,
            segments,
            statistics: self.statistics.clone(),
            validation: self.validation(),
            source_watermark: watermark,
            parent: Some(self.base.manifest.id.clone()),
            created_at: workshop.created_at(looked_at.unwrap_or_else(Timestamp::now)).await?,
            builder_version: BUILDER.to_owned(),
        };
        progress.begin("store", "bytes", None);
        let manifest = draft.write(&workshop.store).await?;
        progress.end();
        Ok(manifest)
    }

    /// Writes the new versions, together with the deltas that are to be merged with them: there are never too many.
    fn write_delta(&mut self, workshop: &Workshop, progress: &mut Progress) -> Result<Option<DraftSegment>> {
        let merged = self.to_merge();
        if self.upserts.is_empty() && merged.is_empty() {
            return Ok(None);
        }
        let catalogue: &Arc<Catalogue> = &self.base.catalogue;
        let (file, scratch) = (workshop.scratch().join("segment"), workshop.scratch());
        let mut all = std::mem::take(&mut self.upserts);
        for place in merged {
            let segment = &self.base.segments[place].segment;
            for doc in (0..segment.product_count() as u32).filter(|doc| self.liveness[place].is_live(*doc)) {
                all.push(segment.product(doc)?);
            }
            // Nothing is left of it.
            (0..segment.product_count() as u32).for_each(|doc| self.liveness[place].kill(doc));
        }
        all.sort_by(|a, b| b.static_rank().cmp(&a.static_rank()).then_with(|| a.id.cmp(&b.id)));
        progress.begin("index", "products", Some(all.len() as u64));
        let mut builder = SegmentBuilder::new(catalogue.clone(), &file, scratch)?;
        // It becomes the first, which alone knows what shoppers typed.
        if !self.is_anything_left() {
            let queries = recorded_queries(&self.base.segments[0].segment)?;
            queries.iter().for_each(|(query, count)| builder.record_query(query, *count));
        }
        for (number, product) in all.iter().enumerate() {
            builder.add(product)?;
            progress.at(number as u64);
        }
        let product_count = builder.finish()?.product_count;
        Ok(Some(DraftSegment { file, product_count, liveness: None }))
    }

    /// The deltas that are written anew with what is new.
    fn to_merge(&self) -> Vec<usize> {
        let deltas = (1..self.liveness.len()).map(|place| (place, u64::from(self.liveness[place].live_count())));
        let deltas: Vec<(usize, u64)> = deltas.filter(|(_, live)| *live > 0).collect();
        let mut products = self.upserts.len() as u64;
        // No segment comes, so that none is one too many, however many there are.
        if products == 0 {
            return Vec::new();
        }
        match self.in_passing {
            InPassing::Small => joining(deltas, &mut products, MAX_DELTAS, |live, products| {
                live < 2 * products && live + products <= MAX_MERGED
            }),
            InPassing::OneTooMany { merging } => {
                let is_merging = |place: usize| merging.contains(&self.base.manifest.segments[place].segment);
                let (deltas, most) = beside_merge(deltas, is_merging);
                joining(deltas, &mut products, most, |_, _| false)
            }
        }
    }

    /// Whether anything is current of the segments that there are: otherwise what is new is all there is.
    fn is_anything_left(&self) -> bool {
        self.liveness.iter().any(|liveness| liveness.live_count() > 0)
    }

    /// The segments of which something is left, and the first for what shoppers typed, which it alone knows: a merge hands
    /// that on. It is slow to open, and goes where the new segment knows that.
    fn kept(&self) -> Result<Vec<KeptSegment>> {
        let mut kept = Vec::new();
        if !self.is_anything_left() {
            return Ok(kept);
        }
        for (place, (part, liveness)) in self.base.manifest.segments.iter().zip(&self.liveness).enumerate() {
            let is_needed = liveness.live_count() > 0
                || (place == 0 && !recorded_queries(&self.base.segments[place].segment)?.is_empty());
            if let Some(object) = self.base.manifest.object(&part.segment).filter(|_| is_needed) {
                kept.push(kept_segment(object, liveness));
            }
        }
        Ok(kept)
    }

    fn validation(&self) -> ValidationReport {
        ValidationReport {
            rows_read: self.changes.rows,
            rows_rejected: self.changes.rejected.all,
            rejected_by_field: self.changes.rejected.by_field.clone(),
            facet_value_counts: self.base.manifest.validation.facet_value_counts.clone(),
            overridden: None,
        }
    }

    fn told(self, manifest: Manifest, is_same: bool) -> Updated {
        Updated {
            manifest,
            changed: self.changed,
            deleted: self.deleted,
            unchanged: self.changes.unchanged,
            unknown: self.changes.unknown,
            expired: self.changes.expired,
            rejected: self.changes.rejected.all,
            rejects_file: self.changes.rejects_file,
            is_same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshots::ProductId;

    const SETTINGS: &str = "name = \"t\"\ncurrency = \"USD\"";

    /// A snapshot of segments with so many products, fewer than ten each.
    async fn snapshot(folder: &Path, sizes: &[usize]) -> Snapshot {
        let store = Store::directory(&folder.join("store")).expect("a store");
        let catalogue = Arc::new(Catalogue::parse(SETTINGS).expect("valid settings"));
        let mut segments = Vec::new();
        for (place, size) in sizes.iter().enumerate() {
            let (file, scratch) = (folder.join(format!("segment-{place}")), folder.join(format!("scratch-{place}")));
            let mut builder = SegmentBuilder::new(catalogue.clone(), &file, &scratch).expect("a builder");
            for number in 0..*size {
                let id = ProductId::new(format!("p{place}-{number}")).expect("an id");
                builder.add(&Product::new(id, "lamp")).expect("a product in order");
            }
            let product_count = builder.finish().expect("a segment").product_count;
            segments.push(DraftSegment { file, product_count, liveness: None });
        }
        let product_count = sizes.iter().sum::<usize>() as u64;
        let draft = Draft {
            settings: SETTINGS.to_owned(),
            rules: None,
            kept: Vec::new(),
            segments,
            statistics: Statistics { product_count, ..Statistics::default() },
            validation: ValidationReport::default(),
            source_watermark: None,
            parent: None,
            created_at: Timestamp::UNIX_EPOCH,
            builder_version: BUILDER.to_owned(),
        };
        let manifest = draft.write(&store).await.expect("a snapshot in the store");
        let scratch = Scratch::new(Some(&folder.join("cache"))).expect("a cache");
        scratch.open(&store, manifest).await.expect("an open snapshot")
    }

    /// After a watch had left more than three, rules alone wrote the smallest ones anew until three were left.
    #[tokio::test]
    async fn nothing_is_joined_where_no_product_is_new() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let base = snapshot(folder.path(), &[9, 4, 3, 2, 1]).await;
        for in_passing in [InPassing::Small, InPassing::OneTooMany { merging: Vec::new() }] {
            let mut plan = Plan::new(&base, Changes::default(), &in_passing).expect("a plan");
            assert!(plan.to_merge().is_empty(), "{in_passing:?}");
            plan.upserts.push(Product::new(ProductId::new("new").expect("an id"), "lamp"));
            assert!(plan.to_merge().starts_with(&[4]), "{in_passing:?}");
        }
    }
}
