//! Damaged objects are refused, whatever is damaged, and nothing panics.

use search::{Index, RawRequest};
use snapshots::{Cache, Error, Manifest, Product, ProductId, Snapshot, Store};

use crate::support::{wait_for, write_snapshot};

const SETTINGS: &str = "name = \"h\"\ncurrency = \"EUR\"\n[[facets]]\nname = \"brand\"\n";

fn small_snapshot(folder: &std::path::Path) -> (Store, Manifest) {
    let store = Store::directory(&folder.join("store")).expect("a store");
    let products = (0..20).map(|number| {
        let mut product =
            Product::new(ProductId::new(format!("p{number:02}")).expect("an id"), format!("thing {number}"));
        product.brand = Some(format!("brand {}", number % 3));
        product
    });
    let outdated = Product::new(ProductId::new("old").expect("an id"), "old thing");
    let manifest = write_snapshot(&store, folder, SETTINGS, vec![(products.collect(), vec![outdated])]);
    (store, manifest)
}

#[test]
fn every_flipped_byte_and_every_cut_is_refused_by_the_digest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, manifest) = small_snapshot(folder.path());
    assert_eq!(manifest.objects.len(), 3, "settings, segment and liveness");
    for object in &manifest.objects {
        let path = folder.path().join("store/objects").join(object.blake3.to_string());
        let whole = std::fs::read(&path).expect("the object");
        let step = (whole.len() / 60).max(1);
        let damaged = (0..whole.len()).step_by(step).flat_map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            [flipped, whole[..at].to_vec()]
        });
        for (case, bytes) in damaged.enumerate() {
            std::fs::write(&path, bytes).expect("damage");
            let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
            let installed = wait_for(cache.install(&store, object));
            assert!(installed.is_err(), "{:?}, case {case}", object.role);
        }
        std::fs::write(&path, whole).expect("mended");
        let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
        wait_for(cache.install(&store, object)).expect("recovery once the object is whole");
    }
}

#[test]
fn a_publisher_that_lies_consistently_is_refused_or_harmless() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, manifest) = small_snapshot(folder.path());
    let segment = manifest.objects.iter().find(|object| object.role == snapshots::Role::Segment).expect("a segment");
    let path = folder.path().join("store/objects").join(segment.blake3.to_string());
    let whole = std::fs::read(&path).expect("the object");
    let (mut refused, mut answered) = (0, 0);
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        // The manifest names the digest of the damaged bytes.
        let digest = snapshots::Digest::of(&bytes);
        wait_for(store.put_object(&digest, bytes.into())).expect("an object");
        let mut lying = manifest.clone();
        lying
            .objects
            .iter_mut()
            .filter(|object| object.blake3 == segment.blake3)
            .for_each(|object| object.blake3 = digest);
        lying.segments[0].segment = digest;
        let cache = Cache::open(&folder.path().join("hostile")).expect("a cache");
        // tantivy trusts its own files, so a panic in it is an answer here: the edge opens and answers behind
        // catch_unwind. Reading outside of the mapping would end this process.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(snapshots::install(&store, &cache, &lying)).ok()?;
            let index = Index::open(Snapshot::open(&cache, lying).ok()?).ok()?;
            for q in ["", "thing", "t", "thing 1 brand"] {
                let raw = RawRequest {
                    q: q.into(),
                    facets: vec!["*".into()],
                    fields: Some(vec!["*".into()]),
                    ..Default::default()
                };
                let request = index.request(raw).ok()?;
                let answer = index.search(&request).ok()?;
                for hit in &answer.hits {
                    assert!(index.record(hit.segment, hit.doc).fragments().count() > 0);
                }
            }
            Some(())
        }));
        match outcome {
            Ok(Some(())) => answered += 1,
            Ok(None) => refused += 1,
            Err(_) => {}
        }
    }
    // Both occur: text and padding can change unseen, while structure cannot.
    assert!(refused > 100 && answered > 100, "{refused} refused, {answered} answered");
}

#[test]
fn a_broken_download_is_resumed_and_a_damaged_cache_is_mended() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, manifest) = small_snapshot(folder.path());
    let object = manifest.objects.iter().find(|object| object.role == snapshots::Role::Segment).expect("a segment");
    let cached = folder.path().join("cache/objects").join(object.blake3.to_string());
    let whole = std::fs::read(folder.path().join("store/objects").join(object.blake3.to_string())).expect("the object");
    {
        let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
        std::fs::write(cached.with_extension("partial"), &whole[..1000]).expect("half a download");
        wait_for(cache.install(&store, object)).expect("a resumed download");
        assert_eq!(std::fs::read(&cached).expect("the object"), whole);
        assert!(Cache::open(&folder.path().join("cache")).is_err(), "a cache belongs to one process");
    }
    std::fs::write(&cached, &whole[..whole.len() - 1]).expect("damage");
    let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
    assert!(cache.installed(object).expect("readable").is_none(), "the damaged copy is gone");
    wait_for(cache.install(&store, object)).expect("a second download");
}

#[test]
fn manifests_are_checked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, manifest) = small_snapshot(folder.path());
    let written = format!("\"format_version\": {}", snapshots::FORMAT_VERSION);
    let newer = String::from_utf8(manifest.to_json()).expect("text").replace(&written, "\"format_version\": 9");
    let error = Manifest::from_json(newer.as_bytes()).expect_err("a newer manifest");
    assert!(matches!(error, Error::NewerFormat { found: 9, .. }), "{error}");
    let mut lying = manifest.clone();
    lying.segments[0].live_count += 1;
    assert!(Manifest::from_json(&lying.to_json()).is_err());
    let mut lying = manifest;
    lying.objects.pop();
    assert!(Manifest::from_json(&lying.to_json()).is_err());
    for length in 0..40 {
        assert!(Manifest::from_json(&newer.as_bytes()[..length]).is_err());
    }
}
