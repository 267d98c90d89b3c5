//! Every format version keeps a snapshot in this folder: what was published once stays readable, or is refused with a
//! word on what to do.

use std::path::Path;

use search::RawRequest;
use snapshots::{AttributeValue, Availability, ChannelName, Money, PointerState, Product, ProductId, Store};

use crate::support::{open_index, search, wait_for, write_snapshot};

const SETTINGS: &str = r#"
name = "golden"
currency = "EUR"
[[facets]]
name = "brand"
[[facets]]
name = "category"
[[facets]]
name = "price"
[[facets]]
name = "color"
"#;

fn products() -> Vec<Product> {
    let product = |number: i64, title: &str, brand: &str, color: &str| {
        let mut product = Product::new(ProductId::new(format!("g{number}")).expect("an id"), title);
        product.brand = Some(brand.to_owned());
        product.category = vec!["Kitchen".into(), "Cups".into()];
        product.price = Some(Money::from_minor(number * 100 + 99, "EUR".parse().expect("a currency")));
        product.availability = if number == 3 { Availability::OutOfStock } else { Availability::InStock };
        product.rating_hundredths = Some(400 + number as u16);
        product.rating_count = 7;
        product.popularity_thousandths = Some(number * 1000);
        product.updated_at_s = Some(1_700_000_000 + number);
        product.attributes.insert("color".into(), AttributeValue::One(color.to_owned()));
        product
    };
    vec![
        product(1, "Blue cup", "Tasse", "blue"),
        product(2, "Red cup", "Tasse", "red"),
        product(3, "Red teapot", "Kanne", "red"),
    ]
}

/// A product that is no longer current, so that there is a liveness object too.
fn outdated() -> Vec<Product> {
    vec![Product::new(ProductId::new("g0").expect("an id"), "Red saucer")]
}

/// Opens a stored snapshot of the version and asks it what it is known to answer.
fn check_version(version: u32) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"));
    assert!(folder.is_dir(), "the golden snapshot of format version {version} is missing");
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let store = Store::directory(&folder).expect("the golden store");
    let PointerState::Moved(read) = wait_for(store.read_pointer(&ChannelName::live(), None)).expect("a pointer") else {
        panic!("the golden store has no live channel");
    };
    let manifest = wait_for(store.get_manifest(&read.pointer.snapshot)).expect("a manifest");
    assert_eq!(manifest.format_version, version);
    let index = open_index(&store, scratch.path(), manifest);
    let raw = RawRequest { q: "red".into(), facets: vec!["*".into()], ..Default::default() };
    let found = search(&index, raw);
    assert_eq!(found.ids, ["g2", "g3"], "what is out of stock stands behind");
    assert_eq!(found.facets[0].values, [("Kanne".to_owned(), 1), ("Tasse".to_owned(), 1)]);
    let filters = Some("price<2.50 AND category:\"Kitchen > Cups\"".to_owned());
    assert_eq!(search(&index, RawRequest { filters, ..Default::default() }).ids, ["g1"]);
    assert_eq!(index.product("g1").expect("a product").1.field(2), Some(&b"\"Blue cup\""[..]));
}

fn check_refused(version: u32) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"));
    assert!(folder.is_dir(), "the golden snapshot of format version {version} is missing");
    let store = Store::directory(&folder).expect("the golden store");
    let PointerState::Moved(read) = wait_for(store.read_pointer(&ChannelName::live(), None)).expect("a pointer") else {
        panic!("the golden store has no live channel");
    };
    let error = wait_for(store.get_manifest(&read.pointer.snapshot)).expect_err("an old format").to_string();
    let wanted = format!("format version {version}");
    assert!(error.contains(&wanted) && error.contains("build the snapshot again"), "{error}");
}

#[test]
fn old_format_versions_are_refused_and_say_what_to_do() {
    check_refused(1);
    check_refused(2);
    check_refused(3);
    check_refused(4);
    check_refused(5);
}

#[test]
fn format_version_6_is_readable() {
    check_version(6);
}

/// The same input gives the same bytes, today as when the golden snapshot was made. When this fails while the test
/// above passes, readers still understand the old format, but what is written has changed: raise the version, and
/// keep the old folder.
#[test]
fn the_current_version_is_written_as_it_was() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let store = Store::directory(&scratch.path().join("store")).expect("a store");
    let manifest = write_snapshot(&store, scratch.path(), SETTINGS, vec![(products(), outdated())]);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{}", snapshots::FORMAT_VERSION));
    if std::env::var_os("MAKE_GOLDEN").is_some() {
        let store = Store::directory(&golden).expect("the golden store");
        let manifest = write_snapshot(&store, scratch.path(), SETTINGS, vec![(products(), outdated())]);
        let announced_at = manifest.created_at;
        let pointer = snapshots::Pointer { announced_at, ..snapshots::Pointer::new(manifest.id, 1) };
        wait_for(store.move_pointer(&ChannelName::live(), None, &pointer)).expect("a pointer");
    }
    for object in &manifest.objects {
        let path = golden.join("objects").join(object.blake3.to_string());
        assert!(path.is_file(), "the {:?} object differs from the golden one", object.role);
    }
}
