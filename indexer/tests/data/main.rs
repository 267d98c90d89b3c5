//! The real catalogues, built, published, installed and searched. Run by `make test-data DATA=folder`.

mod relevance;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use indexer::build::{BuildRequest, RowsRequest, build};
use indexer::progress::{Output, Progress};
use indexer::publish::{Change, PublishRequest, prepare, publish};
use indexer::regions::Regions;
use indexer::rejects::RejectPolicy;
use indexer::source::{Input, Mapping, Source};
use search::{Index, RawRequest};
use serde_json::Value;
use snapshots::{Cache, ChannelName, PointerState, Snapshot, Store};
use tempfile::TempDir;
use unicode_normalization::UnicodeNormalization;

/// The folder with the catalogues.
fn data() -> PathBuf {
    let folder = std::env::var("VITRINE_DATA")
        .expect("VITRINE_DATA names the folder with the real catalogues: use make test-data DATA=folder");
    let folder = PathBuf::from(folder);
    assert!(folder.join("queries.tsv").is_file(), "{} does not hold the real catalogues", folder.display());
    folder
}

struct Served {
    index: Index,
    rows: Vec<Value>,
    /// Where each product stands among the rows.
    places: HashMap<String, usize>,
    _folder: TempDir,
}

/// Walks a catalogue through the whole house: build, publish, read the channel, install, open.
async fn serve(name: &str, mapping: &[&str]) -> Served {
    let input = data().join(name).join("products.jsonl.zst");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut map = Mapping::default();
    mapping.iter().for_each(|text| map.add(text).expect("a mapping"));
    let request = BuildRequest {
        catalogue: Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.toml")),
        rows: RowsRequest {
            inputs: vec![Input::File(input.clone())],
            format: None,
            mapping: map,
            rejects: RejectPolicy {
                file: folder.path().join("rejects.jsonl"),
                strict: true,
                max_rejects: 0,
                keeps_earlier: false,
            },
        },
        out: folder.path().join("built"),
        rules: None,
        recorded_queries: None,
        inbox_read_to: None,
    };
    let mut progress = Progress::new(Output::Text);
    build(&request, &mut progress).await.expect("a build without rejects");
    let to = Store::directory(&folder.path().join("store")).expect("a store");
    let from = Store::directory(&request.out).expect("what was built");
    let channel = ChannelName::live();
    let request = PublishRequest {
        from,
        snapshot: None,
        to: Regions::of(to.clone()),
        channel: channel.clone(),
        reason: None,
        change: Change::Answers,
        canary: None,
        dry_run: false,
    };
    let prepared = prepare(&request).await.expect("a snapshot that may be published");
    publish(&request, prepared, &mut progress).await.expect("a publish");
    let PointerState::Moved(read) = to.read_pointer(&channel, None).await.expect("a pointer") else {
        panic!("nothing was announced")
    };
    let manifest = to.get_manifest(&read.pointer.snapshot).await.expect("a manifest");
    let cache = Cache::open(&folder.path().join("cache")).expect("a cache");
    snapshots::install(&to, &cache, &manifest).await.expect("the objects");
    let index = Index::open(Snapshot::open(&cache, manifest).expect("a snapshot")).expect("an index");
    let source = Source::open(&input, None, Mapping::default()).expect("the rows");
    let rows: Vec<Value> = source.map(|row| Value::Object(row.expect("a row").row.expect("an object"))).collect();
    let places = rows.iter().enumerate();
    let places = places.map(|(place, row)| (row["id"].as_str().unwrap_or_default().to_owned(), place)).collect();
    Served { index, rows, places, _folder: folder }
}

impl Served {
    fn search(&self, raw: RawRequest) -> (Vec<String>, u64, BTreeMap<String, BTreeMap<String, u64>>) {
        let request = self.index.request(raw).expect("a request");
        let answer = self.index.search(&request).expect("an answer");
        let ids = answer.hits.iter().map(|hit| self.index.record(hit.segment, hit.doc).id().to_owned()).collect();
        let name = |place: usize| self.index.catalogue().facets[place].name.clone();
        let facets =
            answer.facets.iter().map(|facet| (name(facet.facet), facet.values.iter().cloned().collect())).collect();
        (ids, answer.found, facets)
    }

    /// The ids that a request finds, or None where the query is longer than queries may be.
    fn try_search(&self, raw: RawRequest) -> Option<Vec<String>> {
        let request = self.index.request(raw).ok()?;
        let answer = self.index.search(&request).expect("an answer");
        Some(answer.hits.iter().map(|hit| self.index.record(hit.segment, hit.doc).id().to_owned()).collect())
    }

    /// Whether a product has this SKU or GTIN, or is called so, whatever separates letters and digits.
    fn has_code(&self, id: &str, code: &str) -> bool {
        let key = |text: &str| -> String {
            // Without accents, which nobody has to type.
            let letters = text.nfd().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
            letters.collect::<String>().trim_start_matches('0').to_owned()
        };
        let row = &self.rows[self.places[id]];
        let brand = row["brand"].as_str().unwrap_or_default();
        let model = row["attributes"]["model"].as_str().unwrap_or_default();
        let mut codes =
            vec![key(model), key(&format!("{brand}{model}")), key(row["title"].as_str().unwrap_or_default())];
        codes.extend(text(&row["attributes"]["ean"]).iter().map(|gtin| key(gtin)));
        codes.contains(&key(code))
    }

    fn check_first(&self, q: &str, id: &str) {
        let (ids, ..) = self.search(RawRequest { q: q.into(), ..Default::default() });
        assert_eq!(ids.first().map(String::as_str), Some(id), "{q}");
    }

    /// The total and every count of a facet equal a plain reading of the rows.
    fn check_facet(&self, facet: &str, values_of: impl Fn(&Value) -> Vec<String>) {
        let raw = RawRequest { facets: vec![facet.into()], facet_limit: Some(1000), ..Default::default() };
        let (_, found, facets) = self.search(raw);
        assert_eq!(found as usize, self.rows.len());
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for row in &self.rows {
            let mut values = values_of(row);
            values.sort();
            values.dedup();
            values.into_iter().for_each(|value| *expected.entry(value).or_default() += 1);
        }
        let counted = &facets[facet];
        assert!(!expected.is_empty() && counted.len() == expected.len().min(1000), "{facet}");
        for (value, count) in counted {
            assert_eq!(expected.get(value), Some(count), "{facet}: {value}");
        }
    }
}

fn text(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().flat_map(text).collect(),
        Value::String(text) => {
            Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned).into_iter().collect()
        }
        other => vec![other.to_string()],
    }
}

#[tokio::test]
async fn livostyle() {
    let mapping = ["attributes.url=link", "attributes.in_stock=availability", "attributes.updated_at=updated_at"];
    let served = serve("livostyle", &mapping).await;
    assert_eq!(served.index.product_count(), 2_766);
    served.check_first("openwork v-neck slit cover-up", "7817153052811");
    served.check_first("Flower PU Leather Stiletto Heel Sandals", "7819280285835");
    served.check_facet("tags", |row| text(&row["attributes"]["tags"]));
    let tops = served
        .rows
        .iter()
        .filter(|row| text(&row["categories"]).first().is_some_and(|top| top == "Apparel & Accessories"));
    let filters = Some("category:\"Apparel & Accessories\"".to_owned());
    let (_, found, _) = served.search(RawRequest { filters, ..Default::default() });
    assert_eq!(found as usize, tops.count());
    let cheap =
        served.rows.iter().filter(|row| row["price"].to_string().parse::<f64>().is_ok_and(|price| price < 20.0));
    let raw = RawRequest { filters: Some("price<20".into()), sort: Some("price_asc".into()), ..Default::default() };
    let (ids, found, _) = served.search(raw);
    assert_eq!(found as usize, cheap.count());
    let price = |id: &String| {
        let row = served.rows.iter().find(|row| row["id"] == id.as_str()).expect("a row");
        row["price"].to_string().parse::<f64>().expect("a price")
    };
    assert!(ids.windows(2).all(|pair| price(&pair[0]) <= price(&pair[1])), "cheapest first");
}

#[tokio::test]
async fn chorus() {
    let served = serve("chorus", &["attributes.ean=gtins", "attributes.model=sku"]).await;
    assert_eq!(served.index.product_count(), 19_406);
    served.check_first("dv7-1211ea", "2101957");
    served.check_first("DV7 1211EA", "2101957");
    served.check_first("xerox 006R90321", "3920564");
    served.check_first("0095205603217", "3920564");
    served.check_facet("brand", |row| text(&row["brand"]));
    served.check_facet("product_colour", |row| text(&row["attributes"]["product_colour"]));
    served.check_facet("product_type", |row| text(&row["attributes"]["product_type"]));
}

#[tokio::test]
async fn homedepot_and_every_recorded_query() {
    let served = serve("homedepot", &[]).await;
    assert_eq!(served.index.product_count(), 54_667);
    served.check_first("simpson strong-tie 12-gauge angle", "100001");
    let queries = std::fs::read_to_string(data().join("queries.tsv")).expect("the queries");
    let (mut asked, mut empty) = (0, 0);
    for query in queries.lines().filter_map(|line| line.split('\t').nth(1)) {
        let (ids, found, _) = served.search(RawRequest { q: query.into(), ..Default::default() });
        assert_eq!(ids.is_empty(), found == 0, "{query}");
        asked += 1;
        empty += usize::from(found == 0);
    }
    assert_eq!(asked, 7_444);
    println!("{asked} recorded queries, {empty} without a result");
}
