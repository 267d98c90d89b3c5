//! Browsing with variants folded: what is kept for all requests is what each would find for itself.

use search::{Answer, Index, RawRequest};
use snapshots::{AttributeValue, Availability, Money, Product, ProductId};

use crate::support::{Outdated, Shop, open_shop_with_rules};

const SETTINGS: &str = r#"
    name = "folding"
    currency = "EUR"
    [[facets]]
    name = "brand"
    [[facets]]
    name = "category"
    [[facets]]
    name = "color"
    [[facets]]
    name = "price"
    [[facets]]
    name = "size"
    [[sorts]]
    name = "cheap"
    by = "price"
    order = "asc"
"#;

const RULES: &str = r#"
    [[hidden]]
    id = "p17"
    [[hidden]]
    id = "p3"
    from = 2026-07-01T00:00:00Z
    [[hidden]]
    id = "p31"
    until = 2026-07-01T00:00:00Z
    [[rules]]
    name = "home"
    when = { contexts = ["home"] }
    then = { pin = [
        { id = "p1", position = 1 },
        { id = "p31", position = 2 },
        { id = "p33", position = 3 },
        { id = "p19", position = 12 },
        { id = "p61", position = 90 },
    ] }
    [[rules]]
    name = "less"
    when = { contexts = ["less"] }
    then = { hide = ["p5", "p60"] }
    [[rules]]
    name = "red first"
    when = { contexts = ["red"] }
    then = { boost = [{ filter = "color:red", by = 0.5 }] }
    [[rules]]
    name = "brand"
    when = { contexts = ["brand"] }
    then = { filter = "brand:Acme" }
"#;

/// Groups of one to five variants that stand apart, and products without any.
fn product(number: usize, version: usize) -> Product {
    let mut product = Product::new(ProductId::new(format!("p{number}")).expect("an id"), format!("Lamp {number}"));
    product.variant_group = (number % 7 != 2).then(|| format!("g{}", number % 15 + number % 4 / 3 * 15));
    product.brand = Some(["Acme", "Best", "Cie"][number % 5 % 3].to_owned());
    product.category = vec!["Home".to_owned(), ["Lamps", "Lights"][number % 2].to_owned()];
    product.availability = [Availability::OutOfStock, Availability::InStock][(number + version) / 2 % 2];
    product.popularity_thousandths = Some(1_000 * ((number * 37 + version) % 11) as i64);
    let cents = 100 * (number as i64 % 6) + version as i64;
    product.price = Some(Money::from_minor(cents, "EUR".parse().expect("a currency")));
    let color = ["red", "blue", "green"][number / 3 % 3];
    product.attributes.insert("color".into(), AttributeValue::One(color.into()));
    product
}

fn whole() -> Shop {
    open_shop_with_rules(SETTINGS, RULES, vec![((0..80).map(|number| product(number, 0)).collect(), Vec::new())])
}

/// The same products, some of which were others before.
fn updated() -> Shop {
    let mut segments: Vec<(Vec<Product>, Outdated)> = vec![(Vec::new(), Vec::new()); 3];
    for number in 0..80 {
        let place = [0, 0, 1, 0, 2][number % 5];
        segments[place].0.push(product(number, 0));
        if place > 0 {
            segments[0].1.push(product(number, 1));
        }
    }
    open_shop_with_rules(SETTINGS, RULES, segments)
}

/// The ids of the hits, those of the variants of each, and all else that is compared.
fn ask(index: &Index, raw: RawRequest, now: &str) -> (Vec<String>, Vec<Vec<String>>, Answer) {
    let request = index.request(raw).expect("a request");
    let answer = index.search_at(&request, now.parse().expect("a time")).expect("an answer");
    let id = |segment: usize, doc: u32| index.record(segment, doc).id().to_owned();
    let ids = answer.hits.iter().map(|hit| id(hit.segment, hit.doc)).collect();
    let variants = answer.hits.iter();
    let variants = variants.map(|hit| hit.variants.iter().map(|(segment, doc)| id(*segment, *doc)).collect());
    (ids, variants.collect(), answer)
}

#[test]
fn a_fold_that_is_kept_is_what_each_request_would_find() {
    let (whole, updated) = (whole(), updated());
    let filters =
        [None, Some("brand:Acme"), Some("(color:red OR color:blue) AND price<4 AND category:\"Home > Lamps\"")];
    let sorted = filters.into_iter().flat_map(|filter| [(filter, None), (filter, Some("cheap"))]);
    let pages = sorted.flat_map(|(filter, sort)| (1..=3).map(move |page| (filter, sort, page)));
    let mut number = 0;
    for now in ["2026-06-15T12:00:00Z", "2026-07-15T12:00:00Z"] {
        for context in ["", "home", "less", "red", "brand"] {
            for (filter, sort, page) in pages.clone() {
                let raw = RawRequest {
                    page: Some(page),
                    per_page: Some(10),
                    filters: filter.map(str::to_owned),
                    sort: sort.map(str::to_owned),
                    facets: ["brand", "category", "color", "price"].map(str::to_owned).to_vec(),
                    distinct: true,
                    contexts: vec![context.to_owned()],
                    explain: true,
                    ..Default::default()
                };
                // All products pass this, but nobody has asked for it, so nothing is known before.
                number += 1;
                let new = format!("{} AND NOT size:none{number}", filter.unwrap_or("price>=0"));
                let new = RawRequest { filters: Some(new), ..raw.clone() };
                let (one, other) = (ask(&whole.index, new.clone(), now), ask(&updated.index, new, now));
                let asked = format!("{now} '{context}' {filter:?} {sort:?} page {page}");
                assert_eq!((&one.0, &one.1), (&other.0, &other.1), "{asked}");
                assert_eq!((one.2.found, &one.2.facets), (other.2.found, &other.2.facets), "{asked}");
                for _ in 0..3 {
                    assert_eq!(ask(&whole.index, raw.clone(), now), one, "{asked}");
                    assert_eq!(ask(&updated.index, raw.clone(), now), other, "{asked}, updated");
                }
            }
        }
    }
}

#[test]
fn pins_and_what_is_hidden_change_a_fold_that_is_kept() {
    let shop = whole();
    let raw = |context: &str| RawRequest {
        distinct: true,
        per_page: Some(100),
        contexts: vec![context.to_owned()],
        ..Default::default()
    };
    let (before, after) = ("2026-06-15T12:00:00Z", "2026-07-15T12:00:00Z");
    let (ids, variants, answer) = ask(&shop.index, raw(""), before);
    let (pinned, of_pinned, answer_pinned) = ask(&shop.index, raw("home"), before);
    assert_eq!(answer.found, answer_pinned.found);
    assert_eq!((ids.len() as u64, pinned.len() as u64), (answer.found, answer.found));
    // A pinned variant takes the place of the one that stood for its group, which is listed below it.
    let stood = variants.iter().position(|others| others.contains(&pinned[0]));
    let stood = &ids[stood.expect("another variant stood for the pinned one")];
    assert!(!pinned.contains(stood) && of_pinned[0].contains(stood), "{stood}");
    let all = |ids: &[String], variants: &[Vec<String>], id: &str| {
        ids.iter().chain(variants.iter().flatten()).filter(|one| *one == id).count()
    };
    let count = |id: &str| {
        let (later, of_later, _) = ask(&shop.index, raw("home"), after);
        (all(&pinned, &of_pinned, id), all(&later, &of_later, id))
    };
    assert_eq!((count("p17"), count("p3"), count("p31")), ((0, 0), (1, 0), (0, 1)));
}
