//! Builds small snapshots and opens them the way an edge does.

use std::path::Path;
use std::sync::Arc;

use search::{Answer, Index, RawRequest, SegmentBuilder};
use snapshots::{Cache, Catalogue, Draft, DraftSegment, Liveness, Manifest, Product, Snapshot, Statistics, Store};
use tempfile::TempDir;

/// An open index, with the folders that it lives in.
pub struct Shop {
    pub index: Index,
    _folder: TempDir,
}

/// Products that an earlier segment holds in an older version: they must not be seen.
pub type Outdated = Vec<Product>;

/// Builds `segments` (each with its outdated products) into a store and opens what came of it.
pub fn open_shop(settings: &str, segments: Vec<(Vec<Product>, Outdated)>) -> Shop {
    open_shop_with_rules(settings, "", segments)
}

pub fn open_shop_with_rules(settings: &str, rules: &str, segments: Vec<(Vec<Product>, Outdated)>) -> Shop {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::directory(&folder.path().join("store")).expect("a store");
    let rules = (!rules.is_empty()).then(|| rules.to_owned());
    let manifest = write_ruled_snapshot(&store, folder.path(), settings, rules, segments);
    Shop { index: open_index(&store, &folder.path().join("cache"), manifest), _folder: folder }
}

pub fn write_snapshot(
    store: &Store,
    scratch: &Path,
    settings: &str,
    segments: Vec<(Vec<Product>, Outdated)>,
) -> Manifest {
    write_ruled_snapshot(store, scratch, settings, None, segments)
}

fn write_ruled_snapshot(
    store: &Store,
    scratch: &Path,
    settings: &str,
    rules: Option<String>,
    segments: Vec<(Vec<Product>, Outdated)>,
) -> Manifest {
    let catalogue = Arc::new(Catalogue::parse(settings).expect("valid settings"));
    let mut statistics = Statistics::default();
    let mut drafts = Vec::new();
    for (place, (live, outdated)) in segments.into_iter().enumerate() {
        statistics.product_count += live.len() as u64;
        let file = scratch.join(format!("segment-{place}"));
        let folder = scratch.join(format!("scratch-{place}"));
        let mut products: Vec<(Product, bool)> = live.into_iter().map(|product| (product, true)).collect();
        products.extend(outdated.into_iter().map(|product| (product, false)));
        products.sort_by(|(a, _), (b, _)| b.static_rank().cmp(&a.static_rank()).then_with(|| a.id.cmp(&b.id)));
        let mut builder = SegmentBuilder::new(catalogue.clone(), &file, &folder).expect("a builder");
        let mut liveness = Liveness::all_live(products.len() as u32);
        for (doc, (product, live)) in products.iter().enumerate() {
            builder.add(product).expect("a product in order");
            if !live {
                liveness.kill(doc as u32);
            }
        }
        let report = builder.finish().expect("a segment");
        let liveness = (liveness.live_count() < report.product_count).then_some(liveness);
        drafts.push(DraftSegment { file, product_count: report.product_count, liveness });
    }
    let draft = Draft {
        settings: settings.to_owned(),
        rules,
        kept: Vec::new(),
        segments: drafts,
        statistics,
        validation: Default::default(),
        source_watermark: None,
        parent: None,
        created_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        builder_version: "test".to_owned(),
    };
    wait_for(draft.write(store)).expect("a snapshot in the store")
}

pub fn open_index(store: &Store, cache: &Path, manifest: Manifest) -> Index {
    let cache = Cache::open(cache).expect("a cache");
    wait_for(snapshots::install(store, &cache, &manifest)).expect("the objects in the cache");
    Index::open(Snapshot::open(&cache, manifest).expect("an open snapshot")).expect("an open index")
}

pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// What a search gives: ids in order, the total, and facet values.
pub struct Found {
    pub ids: Vec<String>,
    pub found: u64,
    pub facets: Vec<search::FacetAnswer>,
    /// The words that each hit lacks.
    pub missing: Vec<Vec<String>>,
    /// The variants that each hit stands for.
    pub variants: Vec<Vec<String>>,
    pub corrected: Option<String>,
    pub dropped: Vec<String>,
}

pub fn search(index: &Index, raw: RawRequest) -> Found {
    let request = index.request(raw).expect("a valid request");
    let answer = index.search(&request).expect("an answer");
    let ids = answer.hits.iter().map(|hit| index.record(hit.segment, hit.doc).id().to_owned()).collect();
    let lacks = |missing: u32| {
        let words = answer.words.iter().enumerate().filter(|(place, _)| missing >> place & 1 == 1);
        words.map(|(_, word)| word.clone()).collect()
    };
    let missing = answer.hits.iter().map(|hit| lacks(hit.missing)).collect();
    let id = |(segment, doc): &(usize, u32)| index.record(*segment, *doc).id().to_owned();
    let variants = answer.hits.iter().map(|hit| hit.variants.iter().map(id).collect()).collect();
    let Answer { found, facets, corrected, dropped, .. } = answer;
    Found { ids, found, facets, missing, variants, corrected, dropped }
}
