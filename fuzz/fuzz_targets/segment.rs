//! A segment of any bytes is refused when it arrives or when it is opened, or answers, without a panic of ours: tantivy
//! trusts its own files, and edges open and answer behind `catch_unwind`. What is changed is a segment of the demo shop
//! (`make fuzz` puts one into the corpus), so that much of it is sound.

#![no_main]

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use search::{Index, RawRequest, SuggestRequest};
use snapshots::{Cache, Digest, Manifest, ObjectRef, Role, SegmentRef, Snapshot, Store};
use tempfile::TempDir;

/// As many as the segment of the corpus has.
const PRODUCTS: u32 = 30;
const SETTINGS: &str = include_str!("../../indexer/src/demo/catalogue.toml");

/// Parts of the paths of what reads tantivy's files.
const TRUSTING: &[&str] = &["/tantivy-", "/ownedbytes-", "/byteorder-"];

struct Place {
    _folder: TempDir,
    store: Store,
    cache: Cache,
    runtime: tokio::runtime::Runtime,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    // libFuzzer's own hook ends at any panic.
    set_hook(Box::new(|panic| {
        let file = panic.location().map_or("", |place| place.file());
        if !TRUSTING.iter().any(|name| file.contains(name)) {
            eprintln!("{panic}");
            std::process::abort();
        }
    }));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::directory(&folder.path().join("store")).expect("a store");
    let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Place { _folder: folder, store, cache, runtime }
});

fn manifest(segment: &ObjectRef) -> Manifest {
    let settings = ObjectRef {
        role: Role::Catalogue,
        blake3: Digest::of(SETTINGS.as_bytes()),
        size_bytes: SETTINGS.len() as u64,
    };
    let json = serde_json::json!({
        "format_version": snapshots::FORMAT_VERSION, "id": "fuzz", "catalogue": "demo", "parent": null,
        "created_at": "2026-01-01T00:00:00Z", "builder_version": "fuzz", "objects": [settings, segment],
        "segments": [SegmentRef {
            segment: segment.blake3, liveness: None, product_count: PRODUCTS, live_count: PRODUCTS,
        }],
        "statistics": {"product_count": PRODUCTS, "words": {}}, "source_watermark": null,
        "validation": {"rows_read": 0, "rows_rejected": 0, "rejected_by_field": {}, "facet_value_counts": {}},
    });
    serde_json::from_value(json).expect("a manifest")
}

fuzz_target!(|bytes: &[u8]| {
    let place = &*PLACE;
    let segment = ObjectRef { role: Role::Segment, blake3: Digest::of(bytes), size_bytes: bytes.len() as u64 };
    let opened = place.runtime.block_on(async {
        place.store.put_object(&segment.blake3, bytes.to_vec().into()).await?;
        place.store.put_object(&Digest::of(SETTINGS.as_bytes()), SETTINGS.into()).await?;
        let manifest = manifest(&segment);
        snapshots::install(&place.store, &place.cache, &manifest).await?;
        Snapshot::open(&place.cache, manifest)
    });
    place.cache.retain(&Default::default());
    let _ = place.runtime.block_on(place.store.replace_object(&segment.blake3, Default::default()));
    let Ok(snapshot) = opened else { return };
    let _ = catch_unwind(AssertUnwindSafe(|| answer(snapshot)));
});

fn answer(snapshot: Snapshot) {
    for doc in 0..PRODUCTS {
        let _ = snapshot.segments[0].segment.product(doc);
    }
    let Ok(index) = Index::open(snapshot) else { return };
    for q in ["", "lamp", "leather boots", "lmap", "a", "red sho"] {
        let raw = RawRequest { q: q.into(), facets: vec!["*".into()], ..Default::default() };
        let Ok(request) = index.request(raw.clone()) else { continue };
        let _ = index.search(&request);
        if let Ok(request) = SuggestRequest::new(raw, None, None, &index) {
            let _ = index.suggest(&request);
        }
    }
    let _ = index.similar(index.record(0, 0).id(), 5);
    let _ = index.categories(None);
}
