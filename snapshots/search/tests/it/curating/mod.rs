//! Rules, as merchandisers write them.

mod checking;
mod conditions;
mod effects;
mod pins;
mod synonyms;

use search::{Index, RawRequest};
use snapshots::{Money, Product, ProductId};

use crate::support::{Shop, open_shop_with_rules};

const SETTINGS: &str = r#"
    name = "curated"
    currency = "USD"
    [search]
    min_results = 3
    [[facets]]
    name = "brand"
    [[facets]]
    name = "price"
    [[sorts]]
    name = "cheap"
    by = "price"
    order = "asc"
"#;

fn shop(rules: &str) -> Shop {
    let product = |(number, (title, brand)): (usize, &(&str, &str))| {
        let mut product = Product::new(ProductId::new(format!("p{number}")).expect("an id"), *title);
        product.brand = Some((*brand).to_owned());
        product.price = Some(Money::from_minor(1000 * (number as i64 + 1), "USD".parse().expect("a currency")));
        product
    };
    let rows = [
        ("Red sofa", "Acme"),
        ("Blue sofa", "Acme"),
        ("Green sofa", "Best"),
        ("Couch with cushions", "Best"),
        ("Television set", "Acme"),
        ("Notebook computer", "Best"),
        ("Sofa table", "Best"),
    ];
    open_shop_with_rules(SETTINGS, rules, vec![(rows.iter().enumerate().map(product).collect(), Vec::new())])
}

struct Asked {
    ids: Vec<String>,
    found: u64,
    answer: search::Answer,
}

fn ask_at(index: &Index, raw: RawRequest, now: &str) -> Asked {
    let request = index.request(raw).expect("a valid request");
    let answer = index.search_at(&request, now.parse().expect("a time")).expect("an answer");
    let ids = answer.hits.iter().map(|hit| index.record(hit.segment, hit.doc).id().to_owned()).collect();
    Asked { ids, found: answer.found, answer }
}

fn ask(index: &Index, raw: RawRequest) -> Asked {
    ask_at(index, raw, "2026-06-15T12:00:00Z")
}

fn q(text: &str) -> RawRequest {
    RawRequest { q: text.into(), facets: vec!["brand".into()], ..Default::default() }
}
