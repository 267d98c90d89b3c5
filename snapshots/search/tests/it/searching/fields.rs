//! What of a product is searched, kept and shown.

use snapshots::AttributeValue;

use super::{SETTINGS, ids, product};
use crate::support::{Shop, open_shop};

fn shop() -> Shop {
    let mut headphones = product("a", "Sony WH-1000XM5 Headphones", 50);
    headphones.brand = Some("Sony".into());
    headphones.category = vec!["Audio".into(), "Headphones".into()];
    headphones.attributes.insert("cost_of_goods".into(), AttributeValue::One("confidential777".into()));
    headphones.attributes.insert("color".into(), AttributeValue::Many(vec!["black".into(), "silver".into()]));
    let mut pads = product("b", "Ear Pads", 10);
    pads.description = Some("Fit many headphones, among them Sony.".into());
    let mut speaker = product("c", "Crème Speaker", 90);
    speaker.category = vec!["Audio".into()];
    speaker.sku = Some("SPK-1".into());
    open_shop(SETTINGS, vec![(vec![speaker, headphones, pads], Vec::new())])
}

#[test]
fn words_prefixes_and_fields() {
    let shop = shop();
    let check = |q: &str, expected: &[&str]| assert_eq!(ids(&shop.index, q), expected, "{q}");
    check("", &["c", "a", "b"]);
    check("headphones", &["a", "b"]);
    check("sony headpho", &["a", "b"]);
    check("CREME spe", &["c"]);
    // Any word will do where fewer products than `min_results` have all; better matches still come first.
    check("spk 1", &["c", "a"]);
    check("zzz", &[]);
    check("ear headphones", &["b", "a"]);
    check("s", &["c", "a", "b"]);
}

#[test]
fn private_attributes_are_nowhere() {
    let shop = shop();
    assert_eq!(ids(&shop.index, "confidential777"), Vec::<String>::new());
    for part in &shop.index.snapshot().segments {
        let bytes: &[u8] = part.segment.bytes();
        assert!(!bytes.windows(15).any(|window| window == b"confidential777"), "the value is in the segment");
        assert!(bytes.windows(6).any(|window| window == b"silver"), "the search above would find a public value");
    }
}

#[test]
fn records_hold_every_public_field() {
    let shop = shop();
    let (segment, record) = shop.index.product("a").expect("a product");
    let names = shop.index.snapshot().segments[segment].segment.attribute_keys();
    let json: Vec<String> = record
        .fragments()
        .map(|(key, json)| {
            let name = match key {
                snapshots::FragmentKey::Field(place) => snapshots::PRODUCT_FIELDS[place],
                snapshots::FragmentKey::Attribute(number) => &names[number],
            };
            format!("{name}={}", String::from_utf8_lossy(json))
        })
        .collect();
    assert_eq!(
        json,
        [
            "id=\"a\"",
            "title=\"Sony WH-1000XM5 Headphones\"",
            "brand=\"Sony\"",
            "category=[\"Audio\",\"Headphones\"]",
            "price={\"amount_minor\":1999,\"currency\":\"USD\"}",
            "availability=\"in_stock\"",
            "popularity=50",
            "\"color\"=[\"black\",\"silver\"]",
        ]
    );
    assert!(shop.index.product("nope").is_none());
}

#[test]
fn categories_are_a_tree() {
    let shop = shop();
    let tree = shop.index.categories(None).expect("a tree");
    let flat: Vec<(&str, u64, usize)> = tree.iter().map(|one| (one.name(), one.count, one.children.len())).collect();
    assert_eq!(flat, [("Audio", 2, 1)]);
    let below = shop.index.categories(Some("Audio")).expect("a category");
    assert_eq!((below[0].path.as_str(), below[0].count), ("Audio > Headphones", 1));
    assert!(shop.index.categories(Some("Nope")).is_none());
}
