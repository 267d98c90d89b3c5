//! A snapshot of a few products, for tests of what needs an open one.

use std::path::Path;
use std::sync::Arc;

use search::{Index, SegmentBuilder};
use snapshots::{
    Cache, Catalogue, Draft, DraftSegment, Followed, Manifest, Pointer, Product, ProductId, Snapshot, Statistics,
    Store, Target, install,
};

use crate::live::Generation;
use crate::metrics::Metrics;
use crate::result_cache::ResultCache;

const PRODUCTS: u32 = 30;

/// Writes the snapshot to a store. One query is recorded in it: "lamp".
pub(crate) async fn publish(store: &Store, scratch: &Path) -> Manifest {
    let settings = "name = \"tests\"\ncurrency = \"USD\"\n".to_owned();
    let catalogue = Arc::new(Catalogue::parse(&settings).expect("valid settings"));
    let file = scratch.join("segment");
    let mut builder = SegmentBuilder::new(catalogue, &file, scratch).expect("a builder");
    builder.record_query("lamp", 5);
    for number in 0..PRODUCTS {
        let id = ProductId::new(format!("p{number:02}")).expect("an id");
        let title = format!("lamp {number}, to stand on a table or a shelf");
        builder.add(&Product::new(id, title)).expect("a product in order");
    }
    builder.finish().expect("a segment");
    let draft = Draft {
        settings,
        rules: None,
        kept: Vec::new(),
        segments: vec![DraftSegment { file, product_count: PRODUCTS, liveness: None }],
        statistics: Statistics { product_count: u64::from(PRODUCTS), ..Default::default() },
        validation: Default::default(),
        source_watermark: None,
        parent: None,
        created_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        builder_version: "test".to_owned(),
    };
    draft.write(store).await.expect("a snapshot in the store")
}

/// Opens the snapshot. The folder may go meanwhile: what is mapped stays.
pub(crate) async fn open(folder: &Path) -> Arc<Index> {
    let store = Store::open("memory://", &[]).expect("a store");
    let manifest = publish(&store, folder).await;
    let cache = Cache::open(&folder.join("cache")).expect("a cache");
    install(&store, &cache, &manifest).await.expect("its objects");
    Arc::new(Index::open(Snapshot::open(&cache, manifest).expect("a snapshot")).expect("an index"))
}

/// The snapshot as it is served, before it has answered anything.
pub(crate) fn generation(index: &Arc<Index>) -> Generation {
    let pointer = Pointer::new(index.snapshot().manifest.id.clone(), 1);
    let target = Target { pointer, followed: Followed::Channel };
    Generation::new(index.clone(), target, ResultCache::new(8 << 20), &Metrics::new(Vec::new()))
}
