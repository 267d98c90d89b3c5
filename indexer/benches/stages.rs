//! In-process costs at 10,000 and 100,000 demo products, or as many as `STAGES_PRODUCTS=1000000` says: building, opening,
//! and queries of several kinds.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use indexer::build::{BuildRequest, RowsRequest, build};
use indexer::demo;
use indexer::progress::{Output, Progress};
use indexer::rejects::RejectPolicy;
use indexer::source::{Input, Mapping};
use search::{Index, RawRequest, SearchRequest};
use snapshots::{Cache, Manifest, Snapshot, Store};
use tokio::runtime::Runtime;

const SIZES: [u64; 2] = [10_000, 100_000];

fn sizes() -> Vec<u64> {
    let Ok(list) = std::env::var("STAGES_PRODUCTS") else { return SIZES.into() };
    list.split(',').map(|size| size.parse().expect("STAGES_PRODUCTS is a number, or several with commas")).collect()
}

fn build_shop(runtime: &Runtime, folder: &Path) -> Manifest {
    let request = BuildRequest {
        catalogue: folder.join("shop/catalogue.toml"),
        rows: RowsRequest {
            inputs: vec![Input::File(folder.join("shop/products.jsonl"))],
            format: None,
            mapping: Mapping::default(),
            rejects: RejectPolicy {
                file: folder.join("rejects.jsonl"),
                strict: true,
                max_rejects: 0,
                keeps_earlier: false,
            },
        },
        out: folder.join("built"),
        rules: None,
        recorded_queries: None,
        inbox_read_to: None,
    };
    runtime.block_on(build(&request, &mut Progress::new(Output::Text))).expect("a build").manifest
}

/// Requests as shoppers of the demo shop send them: words out of titles, each request another.
fn requests(index: &Index, words: usize, cut: bool, raw: &RawRequest) -> Vec<SearchRequest> {
    let products = index.product_count() as u32;
    let picks = (0..500_u32).map(|number| number.wrapping_mul(2_654_435_761) % products);
    let query = |doc: u32| {
        let title = String::from_utf8_lossy(index.record(0, doc).field(2).expect("a title")).into_owned();
        let all: Vec<&str> = title.trim_matches('"').split_whitespace().filter(|word| word.len() > 3).collect();
        let start = doc as usize % all.len().saturating_sub(words).max(1);
        let mut query = all[start..all.len().min(start + words)].join(" ");
        if cut {
            query.truncate(query.floor_char_boundary(query.len() - 2));
        }
        query
    };
    let parse = |q| index.request(RawRequest { q, ..raw.clone() }).expect("a request");
    picks.map(query).map(parse).collect()
}

fn stages(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for products in sizes() {
        let name = &format!("{}k", products / 1_000);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut progress = Progress::new(Output::Text);
        demo::write(&folder.path().join("shop"), products, 1, &mut progress).expect("a demo shop");

        let mut group = criterion.benchmark_group("build");
        group.sample_size(10).warm_up_time(Duration::from_millis(1)).throughput(Throughput::Elements(products));
        group.bench_function(name, |bencher| bencher.iter(|| build_shop(&runtime, folder.path())));
        group.finish();

        let manifest = build_shop(&runtime, folder.path());
        let store = Store::directory(&folder.path().join("built")).expect("what was built");
        let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
        runtime.block_on(snapshots::install(&store, &cache, &manifest)).expect("the objects");
        // Timed is opening what was proved and checked before, as after an update or a rollback.
        let open = || Index::open(Snapshot::open(&cache, manifest.clone()).expect("a snapshot")).expect("an index");
        criterion.bench_function(&format!("open/{name}"), |bencher| bencher.iter(|| black_box(open())));
        queries(criterion, name, &open());
    }
}

fn queries(criterion: &mut Criterion, name: &str, index: &Index) {
    let facets = || ["category", "brand", "price"].map(str::to_owned).to_vec();
    let kinds = [
        ("one word", requests(index, 1, false, &RawRequest::default())),
        ("three words", requests(index, 3, false, &RawRequest::default())),
        ("unfinished word", requests(index, 2, true, &RawRequest::default())),
        ("3 facets", requests(index, 2, false, &RawRequest { facets: facets(), ..Default::default() })),
        (
            "3 facets, filtered",
            requests(
                index,
                1,
                false,
                &RawRequest {
                    facets: facets(),
                    filters: Some("category:Electronics AND price<300".into()),
                    ..Default::default()
                },
            ),
        ),
        ("no words, 3 facets", requests(index, 0, false, &RawRequest { facets: facets(), ..Default::default() })),
        (
            "no words, 3 facets, filtered",
            requests(
                index,
                0,
                false,
                &RawRequest { facets: facets(), filters: Some("category:Home".into()), ..Default::default() },
            ),
        ),
        (
            "no words, sorted",
            requests(index, 0, false, &RawRequest { sort: Some("price_asc".into()), ..Default::default() }),
        ),
    ];
    let mut group = criterion.benchmark_group(format!("query/{name}"));
    for (kind, requests) in &kinds {
        let mut next = 0;
        group.bench_function(*kind, |bencher| {
            bencher.iter(|| {
                next = (next + 1) % requests.len();
                black_box(index.search(&requests[next]).expect("an answer"))
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = stages
}
criterion_main!(benches);
