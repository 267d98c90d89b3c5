//! Requests without words, asked again and again: the first is answered anew, and later ones from sets that are kept.

use search::{Answer, Index, RawRequest};
use snapshots::{Money, Product, ProductId};

use crate::support::{Shop, open_shop_with_rules};

const SETTINGS: &str = r#"
    name = "browsing"
    currency = "USD"
    [[facets]]
    name = "brand"
    [[facets]]
    name = "price"
    [[sorts]]
    name = "cheap"
    by = "price"
    order = "asc"
"#;
const BEFORE: &str = "2029-01-01T00:00:00Z";
const AFTER: &str = "2031-01-01T00:00:00Z";

/// Products whose ids are their places, by brand and price.
fn shop(rules: &str, rows: impl Iterator<Item = (&'static str, i64)>) -> Shop {
    let product = |(number, (brand, price)): (usize, (&str, i64))| {
        let mut product = Product::new(ProductId::new(format!("p{number:04}")).expect("an id"), "thing");
        product.brand = Some(brand.to_owned());
        product.price = Some(Money::from_minor(price, "USD".parse().expect("a currency")));
        product
    };
    open_shop_with_rules(SETTINGS, rules, vec![(rows.enumerate().map(product).collect(), Vec::new())])
}

fn ask(index: &Index, raw: &RawRequest, now: &str) -> Answer {
    let request = index.request(raw.clone()).expect("a valid request");
    index.search_at(&request, now.parse().expect("a time")).expect("an answer")
}

fn ids(index: &Index, answer: &Answer) -> Vec<String> {
    answer.hits.iter().map(|hit| index.record(hit.segment, hit.doc).id().to_owned()).collect()
}

fn of_brand(brand: &str) -> RawRequest {
    RawRequest { filters: Some(format!("brand:{brand}")), facets: vec!["*".into()], ..Default::default() }
}

#[test]
fn a_set_is_kept_for_what_is_hidden_at_the_time() {
    let rules = "[[hidden]]\nid = \"p0000\"\nfrom = 2030-01-01T00:00:00Z\n";
    let shop = shop(rules, [("Acme", 100), ("Acme", 500), ("Best", 900)].into_iter());
    for raw in [of_brand("Acme"), RawRequest { facets: vec!["*".into()], ..Default::default() }] {
        let is_filtered = raw.filters.is_some();
        for _ in 0..3 {
            for (now, acme, least) in [(BEFORE, 2, 100), (AFTER, 1, 500)] {
                let answer = ask(&shop.index, &raw, now);
                let best = u64::from(!is_filtered);
                assert_eq!((answer.found, answer.hits.len() as u64), (acme + best, acme + best), "{now}");
                assert_eq!(answer.facets[0].values, [("Acme".to_owned(), acme), ("Best".to_owned(), 1)], "{now}");
                let price = answer.facets[1].stats.expect("prices");
                assert_eq!((price.min, price.count), (least, acme + best), "{now}");
            }
        }
    }
}

#[test]
fn what_is_hidden_from_some_requests_is_in_the_sets_of_others() {
    let rules = "[[rules]]\nname = \"app\"\nwhen = { contexts = [\"app\"] }\nthen = { hide = [\"p0000\"] }\n";
    let shop = shop(rules, [("Acme", 100), ("Acme", 500), ("Best", 900)].into_iter());
    for contexts in [Vec::new(), vec!["app".to_owned()]].into_iter().cycle().take(6) {
        let count = if contexts.is_empty() { 2 } else { 1 };
        for (raw, others) in [(of_brand("Acme"), 0), (RawRequest { filters: None, ..of_brand("") }, 1)] {
            let answer = ask(&shop.index, &RawRequest { contexts: contexts.clone(), ..raw }, BEFORE);
            assert_eq!(answer.found, count + others, "{contexts:?}");
            assert_eq!(answer.facets[0].values, [("Acme".to_owned(), count), ("Best".to_owned(), 1)], "{contexts:?}");
        }
    }
}

#[test]
fn pins_pass_filters_and_come_from_behind_the_page() {
    let rules = "[[rules]]\nname = \"first\"\n[rules.then]\n\
        pin = [{ id = \"p0029\", position = 1 }, { id = \"p0008\", position = 2 }]\n";
    let shop = shop(rules, (0..30).map(|number| (["Acme", "Best"][number % 2], 100)));
    let page = |page| RawRequest { page: Some(page), per_page: Some(3), ..of_brand("Best") };
    for _ in 0..3 {
        for (number, expected) in
            [(1, ["p0029", "p0001", "p0003"]), (2, ["p0005", "p0007", "p0009"]), (5, ["p0023", "p0025", "p0027"])]
        {
            let answer = ask(&shop.index, &page(number), BEFORE);
            assert_eq!((ids(&shop.index, &answer), answer.found), (expected.map(str::to_owned).to_vec(), 15));
        }
    }
}

#[test]
fn sorted_pages_go_on_behind_what_is_kept_in_order() {
    const PRODUCTS: usize = 1_200;
    // A prime that does not divide the count: every price once.
    let price = |number: usize| (number * 7_919 % PRODUCTS) as i64;
    let brand = |number: usize| if number.is_multiple_of(10) { "Best" } else { "Acme" };
    let shop = shop("", (0..PRODUCTS).map(|number| (brand(number), price(number))));
    let asked = [None, Some("brand:Acme")].into_iter().flat_map(|filters| [(filters, false), (filters, true)]);
    for (filters, distinct) in asked {
        let mut expected: Vec<usize> =
            (0..PRODUCTS).filter(|number| filters.is_none() || brand(*number) == "Acme").collect();
        expected.sort_by_key(|number| price(*number));
        let expected: Vec<String> = expected.into_iter().map(|number| format!("p{number:04}")).collect();
        let mut shown = Vec::new();
        for page in 1..=PRODUCTS.div_ceil(100) {
            let raw = RawRequest {
                page: Some(page),
                per_page: Some(100),
                sort: Some("cheap".into()),
                filters: filters.map(str::to_owned),
                distinct,
                ..Default::default()
            };
            let answer = ask(&shop.index, &raw, BEFORE);
            assert_eq!(answer.found as usize, expected.len());
            shown.extend(ids(&shop.index, &answer));
        }
        assert_eq!(shown, expected);
    }
}
