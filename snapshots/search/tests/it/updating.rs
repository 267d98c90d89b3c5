//! A snapshot that was updated answers exactly as one that was built from the same products: hits, scores, totals,
//! facets, corrections, suggestions, and products like others; filtered, sorted, folded and paged, with rules and without.

use std::collections::BTreeMap;

use proptest::prelude::*;
use search::{Index, RawRequest, SuggestRequest};
use snapshots::{AttributeValue, Availability, Money, Product, ProductId};

use crate::support::{Outdated, open_shop, open_shop_with_rules};

const SETTINGS: &str = r#"
    name = "updating"
    currency = "USD"
    [search]
    min_results = 4
    [[facets]]
    name = "brand"
    [[facets]]
    name = "category"
    [[facets]]
    name = "color"
    [[facets]]
    name = "price"
    [[facets]]
    name = "watts"
    kind = "number"
    decimals = 1
    [[sorts]]
    name = "cheap"
    by = "price"
    order = "asc"
    [[sorts]]
    name = "strong"
    by = "watts"
    order = "desc"
"#;
/// The products that they name may be new, changed or deleted.
const RULES: &str = r#"
    [[synonyms]]
    words = ["leather", "wide"]
    [[replacements]]
    from = "zzz"
    to = "lamp"
    [[hidden]]
    id = "p3"
    [[rules]]
    name = "lamps"
    when = { query_contains = "lamp" }
    then = { pin = [{ id = "p1", position = 1 }, { id = "p5", position = 3 }], hide = ["p2", "p7"] }
    [[rules]]
    name = "boots"
    when = { query_contains = "boot" }
    then = { boost = [{ filter = "brand:Acme AND price<15", by = 0.5 }], bury = [{ filter = "watts>=30 OR color:red", by = 0.3 }] }
    [[rules]]
    name = "cafe"
    when = { query_is = "cafe" }
    then = { filter = "NOT color:blue" }
    [[rules]]
    name = "of Acme"
    when = { filters = "brand:Acme" }
    then = { pin = [{ id = "p4", position = 2 }], boost = [{ filter = "price>=10", by = 0.2 }] }
"#;
const NOUNS: [&str; 11] =
    ["lamp", "lamps", "notebook", "PC", "bag", "Camera", "boot", "Boots", "firepit", "T-Shirt", "T Shirt"];
const OTHERS: [&str; 11] =
    ["leather", "red", "fire pit", "for", "5 mm", "X200", "laeder", "wide", "Café", "lamb", "cafe"];
const QUERIES: [&str; 23] = [
    "",
    "lamp",
    "notebook pc",
    "notebook",
    "camera bag",
    "leather boots",
    "lether boot",
    "fire pit",
    "firepit",
    "red lmap",
    "5 mm lamp",
    "x200",
    "wide t shirt",
    "cafe",
    "bag for camera",
    "l",
    "no",
    "note",
    "boots le",
    "lamps red wide bag",
    "zzz",
    "acme",
    "leathr notebok",
];
const FILTERS: [&str; 7] = [
    "brand:Acme",
    "color:red AND price<15",
    "price:5 TO 20",
    "NOT brand:ACME",
    "watts>=2.5",
    "category:\"Shop > lamp\" OR color:blue",
    "(brand:Best OR brand:Acme) AND NOT price>=20",
];
const SORTS: [&str; 2] = ["cheap", "strong"];
/// Which page of how many hits.
const PAGES: [(usize, usize); 3] = [(1, 20), (2, 5), (3, 4)];
const BEGINNINGS: [&str; 14] =
    ["", "l", "la", "lam", "b", "boo", "leather ", "fire", "t s", "c", "acm", "lmap", "cmaer", "tshi"];

/// So many choices make a product.
const CHOICES: usize = 18;

/// A product by the choices that make it.
fn product(number: usize, choice: &[usize]) -> Product {
    let pick = |at: usize, of: usize| choice[at % choice.len()] / (1 + at) % of;
    let title = [
        OTHERS[pick(0, OTHERS.len())],
        NOUNS[pick(1, NOUNS.len())],
        NOUNS[pick(2, NOUNS.len())],
        [",", "", " with ", ""][pick(3, 4)],
        OTHERS[pick(4, OTHERS.len())],
    ];
    let mut product = Product::new(ProductId::new(format!("p{number}")).expect("an id"), title.join(" "));
    product.description = Some(format!("{} {} {}", OTHERS[pick(5, 10)], NOUNS[pick(6, 10)], NOUNS[pick(7, 10)]));
    product.brand = Some(["Acme", "ACME", "Best"][pick(8, 3)].to_owned());
    product.category = vec!["Shop".into(), NOUNS[pick(9, NOUNS.len())].to_owned()];
    product.popularity_thousandths = Some(1_000 * pick(10, 5) as i64);
    product.availability = [Availability::InStock, Availability::OutOfStock][pick(11, 2)];
    product.attributes.insert("color".into(), AttributeValue::One(["red", "blue"][pick(12, 2)].into()));
    product.sku = (pick(13, 4) == 0).then(|| format!("SKU-{number}"));
    let group = pick(14, 8);
    product.variant_group = (group < 5).then(|| format!("g{group}"));
    // Few prices, so that many are the same.
    let price = Money::from_minor(250 * pick(15, 12) as i64, "USD".parse().expect("a currency"));
    product.price = (pick(16, 5) > 0).then_some(price);
    let watts = pick(17, 80);
    if watts > 15 {
        product.attributes.insert("watts".into(), AttributeValue::One(format!("{}.{}", watts / 2, watts % 10)));
    }
    product
}

/// What a request asks for besides words: a filter, a sort order, variants as one hit, and a page.
type Ask = (Option<&'static str>, Option<&'static str>, bool, (usize, usize));

fn ask() -> impl Strategy<Value = Ask> {
    let filter = prop::option::of(prop::sample::select(&FILTERS[..]));
    let sort = prop::option::weighted(0.3, prop::sample::select(&SORTS[..]));
    (filter, sort, any::<bool>(), prop::sample::select(&PAGES[..]))
}

/// Everything that an index says to a set of questions, as text: each query is asked again and again, each time another way.
fn answers(index: &Index, asks: &[Ask]) -> Vec<String> {
    let id = |segment: usize, doc: u32| index.record(segment, doc).id().to_owned();
    let mut told = Vec::new();
    for (query, (filters, sort, distinct, (page, per_page))) in QUERIES.iter().cycle().zip(asks) {
        let raw = RawRequest {
            q: (*query).to_owned(),
            filters: filters.map(str::to_owned),
            facets: vec!["*".into()],
            sort: sort.map(str::to_owned),
            distinct: *distinct,
            page: Some(*page),
            per_page: Some(*per_page),
            ..Default::default()
        };
        let answer = index.search(&index.request(raw.clone()).expect("a request")).expect("an answer");
        let hits: Vec<String> = answer
            .hits
            .iter()
            .map(|hit| {
                let variants: Vec<String> = hit.variants.iter().map(|(segment, doc)| id(*segment, *doc)).collect();
                let (name, score) = (id(hit.segment, hit.doc), hit.score.to_bits());
                format!("{name} {score} {} {} {variants:?}", hit.missing, hit.is_pinned)
            })
            .collect();
        told.push(format!(
            "{raw:?}: {} {hits:?} {:?} {:?} {:?} {:?} {:?}",
            answer.found, answer.words, answer.corrected, answer.dropped, answer.rules, answer.facets
        ));
    }
    for beginning in BEGINNINGS {
        let raw = RawRequest { q: beginning.into(), ..Default::default() };
        let request = SuggestRequest::new(raw, Some(20), None, index).expect("a request");
        let found = index.suggest(&request).expect("suggestions");
        let suggestions: Vec<_> = found.suggestions.iter().map(|one| (&one.text, &one.scopes)).collect();
        let products: Vec<String> = found.products.hits.iter().map(|hit| id(hit.segment, hit.doc)).collect();
        told.push(format!("{beginning}...: {suggestions:?} {:?} {products:?}", found.corrected));
    }
    for number in 0..40 {
        let similar = index.similar(&format!("p{number}"), 10).expect("an answer");
        let similar = similar
            .map(|hits| hits.iter().map(|hit| (id(hit.segment, hit.doc), hit.score.to_bits())).collect::<Vec<_>>());
        told.push(format!("like p{number}: {similar:?}"));
    }
    told.push(format!("{:?}", index.categories(None)));
    told
}

/// An edit: a product's number, and the choices that make its next version, or none where it is deleted.
type Edit = (usize, Option<Vec<usize>>);

fn edit() -> impl Strategy<Value = Edit> {
    (0_usize..30, prop::option::weighted(0.75, prop::collection::vec(0_usize..100_000, CHOICES)))
}

#[test]
fn an_update_can_change_how_a_completion_is_written() {
    let shirt = |id: &str, title: &str| Product::new(ProductId::new(id).expect("an id"), title);
    let check = |update: Vec<Product>, outdated: Vec<Product>, live: Vec<Product>, expected: &str| {
        let shop = open_shop(SETTINGS, vec![(live, outdated), (update, Vec::new())]);
        let raw = RawRequest { q: "t s".into(), ..Default::default() };
        let request = SuggestRequest::new(raw, None, None, &shop.index).expect("a request");
        let found = shop.index.suggest(&request).expect("suggestions");
        let texts: Vec<&str> = found.suggestions.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, [expected]);
    };
    let (dash, space) = ("T-Shirt, red", "T Shirt, red");
    let others = vec![shirt("p1", dash), shirt("p3", space)];
    check(vec![shirt("p2", space)], vec![shirt("p2", dash)], others.clone(), "t shirt");
    check(vec![shirt("p2", dash)], vec![shirt("p2", space)], others.clone(), "t-shirt");
    // Of equals the first, which may be the newer one, or stand behind one that is outdated.
    check(vec![shirt("p0", space), shirt("p4", dash)], Vec::new(), others.clone(), "t shirt");
    check(vec![shirt("p0", "sock, red")], vec![shirt("p0", space)], others, "t-shirt");
}

/// A hundred products of one title are named at the most. They were once those of the first segment, current or not.
#[test]
fn of_many_with_one_title_the_best_are_named_wherever_they_stand() {
    let shirt = |number: usize, popularity: usize| {
        let mut shirt = Product::new(ProductId::new(format!("p{number:03}")).expect("an id"), "Linen shirt");
        shirt.popularity_thousandths = Some(1_000 * popularity as i64);
        shirt
    };
    let best = |segments| {
        let shop = open_shop(SETTINGS, segments);
        let raw = RawRequest { q: "linen shirt".into(), per_page: Some(100), ..Default::default() };
        let answer = shop.index.search(&shop.index.request(raw).expect("a request")).expect("an answer");
        let hits = answer.hits.iter();
        hits.map(|hit| (shop.index.record(hit.segment, hit.doc).id().to_owned(), hit.score)).collect::<Vec<_>>()
    };
    let check = |live: Vec<Product>, outdated: Vec<Product>, update: Product| {
        let fresh = live.iter().cloned().chain([update.clone()]).collect();
        let updated = vec![(live, outdated), (vec![update], Vec::new())];
        assert_eq!(best(updated), best(vec![(fresh, Vec::new())]));
    };
    let shirts = |numbers: std::ops::Range<usize>| numbers.map(|number| shirt(number, number)).collect();
    check(shirts(0..150), Vec::new(), shirt(150, 1_000));
    check(shirts(1..50), shirts(50..200), shirt(200, 0));
}

/// Which word was meant was once decided by the counts of one segment, of equals by the order of segments.
#[test]
fn mistyped_beginnings_are_corrected_by_all_segments() {
    let products = |title: &str, numbers: std::ops::Range<usize>| -> Vec<Product> {
        let id = |number: usize| ProductId::new(format!("{title}-{number}")).expect("an id");
        numbers.map(|number| Product::new(id(number), title)).collect()
    };
    let check = |segments: Vec<Vec<Product>>, expected: &str| {
        let shop = open_shop(SETTINGS, segments.into_iter().map(|live| (live, Vec::new())).collect());
        let raw = RawRequest { q: "tander".into(), ..Default::default() };
        let request = SuggestRequest::new(raw, None, None, &shop.index).expect("a request");
        let found = shop.index.suggest(&request).expect("suggestions");
        assert_eq!(found.corrected.as_deref(), Some(expected));
    };
    let base = [products("Lander", 0..10), products("Sander", 0..9)].concat();
    check(vec![base.clone()], "lander");
    check(vec![base.clone(), products("Sander", 9..12)], "sander");
    check(vec![[base, products("Sander", 9..12)].concat()], "sander");
    check(vec![products("Sander", 0..4), products("Lander", 0..4)], "lander");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_updated_snapshot_answers_as_a_fresh_one(
        base in prop::collection::vec(prop::collection::vec(0_usize..100_000, CHOICES), 2..30),
        updates in prop::collection::vec(prop::collection::vec(edit(), 1..8), 1..4),
        has_rules in any::<bool>(),
        asks in prop::collection::vec(ask(), 3 * QUERIES.len()),
    ) {
        let mut current: BTreeMap<usize, (usize, Product)> = BTreeMap::new();
        let mut segments: Vec<(Vec<Product>, Outdated)> = vec![(Vec::new(), Vec::new())];
        for (number, choice) in base.iter().enumerate() {
            current.insert(number, (0, product(number, choice)));
        }
        for edits in &updates {
            let segment = segments.len();
            segments.push((Vec::new(), Vec::new()));
            for (number, choice) in edits {
                let old = match choice {
                    Some(choice) => current.insert(*number, (segment, product(*number, choice))),
                    None => current.remove(number),
                };
                // What was replaced within one update never came into a segment.
                if let Some((place, old)) = old.filter(|(place, _)| *place != segment) {
                    segments[place].1.push(old);
                }
            }
        }
        for (place, product) in current.values() {
            segments[*place].0.push(product.clone());
        }
        prop_assume!(!current.is_empty());
        segments.retain(|(live, outdated)| !live.is_empty() || !outdated.is_empty());
        let fresh: Vec<Product> = current.values().map(|(_, product)| product.clone()).collect();
        let rules = if has_rules { RULES } else { "" };
        let fresh = open_shop_with_rules(SETTINGS, rules, vec![(fresh, Vec::new())]);
        let updated = open_shop_with_rules(SETTINGS, rules, segments);
        for (updated, fresh) in answers(&updated.index, &asks).iter().zip(answers(&fresh.index, &asks)) {
            prop_assert_eq!(updated, &fresh);
        }
    }
}
