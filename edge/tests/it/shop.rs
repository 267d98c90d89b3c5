//! A store with snapshots of a small shop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use search::SegmentBuilder;
use snapshots::{
    AttributeValue, Catalogue, ChannelName, Draft, DraftSegment, Manifest, Money, Pointer, PointerState, Product,
    ProductId, SnapshotId, Statistics, Store,
};
use tempfile::TempDir;

pub const SETTINGS: &str = r#"
    name = "tests"
    currency = "USD"
    [[facets]]
    name = "brand"
    [[facets]]
    name = "category"
    [[facets]]
    name = "price"
    [[facets]]
    name = "color"
    [[sorts]]
    name = "price_asc"
    by = "price"
    order = "asc"
"#;

pub struct Shop {
    pub folder: TempDir,
    pub store: Store,
}

impl Shop {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::directory(&folder.path().join("store")).expect("a store");
        Self { folder, store }
    }

    pub fn url(&self) -> String {
        self.store.url().to_owned()
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn segment_path(&self, manifest: &Manifest) -> PathBuf {
        self.folder.path().join("store/objects").join(manifest.segments[0].segment.to_string())
    }

    pub fn settings_path(&self, manifest: &Manifest) -> PathBuf {
        let settings = manifest.catalogue_object().expect("the settings").blake3;
        self.folder.path().join("store/objects").join(settings.to_string())
    }

    /// Builds a snapshot of products that all have this brand, with settings of its own, and stores it.
    pub fn build(&self, brand: &str, products: usize) -> Manifest {
        self.build_with(format!("# {brand}\n{SETTINGS}"), brand, products)
    }

    pub fn build_with(&self, settings: String, brand: &str, products: usize) -> Manifest {
        self.build_recorded(settings, brand, products, &[])
    }

    /// The same, with queries that shoppers typed, and how often.
    pub fn build_recorded(&self, settings: String, brand: &str, products: usize, queries: &[(&str, u64)]) -> Manifest {
        let products = (0..products).map(|number| product(brand, number)).collect();
        wait_for(write_snapshot(&self.store, self.folder.path(), settings, None, products, queries))
    }

    /// A snapshot with rules.
    pub fn build_ruled(&self, rules: &str, brand: &str, products: usize) -> Manifest {
        let products = (0..products).map(|number| product(brand, number)).collect();
        let (settings, rules) = (SETTINGS.to_owned(), Some(rules.to_owned()));
        wait_for(write_snapshot(&self.store, self.folder.path(), settings, rules, products, &[]))
    }

    /// Moves the live channel; returns the new sequence.
    pub fn announce(&self, id: &SnapshotId) -> u64 {
        let live = ChannelName::live();
        wait_for(async {
            let before = match self.store.read_pointer(&live, None).await.expect("a pointer") {
                PointerState::Moved(read) => Some(*read),
                _ => None,
            };
            let sequence = before.as_ref().map_or(1, |read| read.pointer.sequence + 1);
            let announced_at = "2026-01-01T00:00:00Z".parse().expect("a time");
            let pointer = Pointer { announced_at, ..Pointer::new(id.clone(), sequence) };
            self.store.move_pointer(&live, before.as_ref(), &pointer).await.expect("an announcement");
            sequence
        })
    }

    pub fn publish(&self, brand: &str, products: usize) -> Manifest {
        let manifest = self.build(brand, products);
        self.announce(&manifest.id);
        manifest
    }
}

pub fn product(brand: &str, number: usize) -> Product {
    let mut product =
        Product::new(ProductId::new(format!("p{number}")).expect("an id"), format!("{brand} lamp {number}"));
    product.brand = Some(brand.to_owned());
    product.category =
        vec!["Home".into(), if number.is_multiple_of(2) { "Lamps".into() } else { "Tables & more".into() }];
    product.price = Some(Money::from_minor(1000 + number as i64, "USD".parse().expect("a currency")));
    product.popularity_thousandths = Some(1_000_000 - number as i64);
    let color = ["red", "green", "blue"][number % 3];
    product.attributes.insert("color".into(), AttributeValue::One(color.into()));
    product.attributes.insert("note".into(), AttributeValue::One("say \"hi\"".into()));
    product
}

async fn write_snapshot(
    store: &Store,
    folder: &Path,
    settings: String,
    rules: Option<String>,
    mut products: Vec<Product>,
    queries: &[(&str, u64)],
) -> Manifest {
    let catalogue = Arc::new(Catalogue::parse(&settings).expect("valid settings"));
    let scratch = tempfile::tempdir_in(folder).expect("a scratch folder");
    let file = scratch.path().join("segment");
    products.sort_by(|a, b| b.static_rank().cmp(&a.static_rank()).then_with(|| a.id.cmp(&b.id)));
    let mut builder = SegmentBuilder::new(catalogue, &file, scratch.path()).expect("a builder");
    queries.iter().for_each(|(query, count)| builder.record_query(query, *count));
    products.iter().for_each(|product| builder.add(product).expect("a product in order"));
    let product_count = builder.finish().expect("a segment").product_count;
    let draft = Draft {
        settings,
        rules,
        kept: Vec::new(),
        segments: vec![DraftSegment { file, product_count, liveness: None }],
        statistics: Statistics { product_count: u64::from(product_count), ..Default::default() },
        validation: Default::default(),
        source_watermark: None,
        parent: None,
        created_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        builder_version: "test".to_owned(),
    };
    draft.write(store).await.expect("a snapshot in the store")
}

pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
