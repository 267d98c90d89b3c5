//! Products that stand where a rule says.

use search::RawRequest;
use snapshots::{Product, ProductId};

use super::{ask, q, shop};
use crate::support::open_shop_with_rules;

#[test]
fn pins_stand_where_they_should_and_pass_the_filters() {
    let shop = shop(
        r#"
        [[rules]]
        name = "sofas"
        when = { query_is = "sofa" }
        then = { pin = [{ id = "p4", position = 1 }, { id = "p6", position = 3 }] }
        "#,
    );
    let asked = ask(&shop.index, q("sofas"));
    assert_eq!((asked.ids[0].as_str(), asked.ids[2].as_str()), ("p4", "p6"), "{:?}", asked.ids);
    assert_eq!(asked.found, 5, "four sofas, and what is pinned");
    assert_eq!(asked.answer.rules, ["sofas"]);
    assert_eq!(asked.answer.facets[0].values, [("Acme".to_owned(), 3), ("Best".to_owned(), 2)]);
    assert!(asked.answer.hits[0].is_pinned && !asked.answer.hits[1].is_pinned);
    // Paging sees the same list.
    let mut paged = Vec::new();
    for page in 1..=5 {
        paged.extend(ask(&shop.index, RawRequest { page: Some(page), per_page: Some(1), ..q("sofa") }).ids);
    }
    assert_eq!(paged, asked.ids);
    let filtered = ask(&shop.index, RawRequest { filters: Some("brand:Best".into()), ..q("sofa") });
    assert!(!filtered.ids.contains(&"p4".to_owned()), "a pin passes the filters, or is not shown");
    assert_eq!(ask(&shop.index, q("red sofa")).answer.rules, Vec::<String>::new());
    // Without words, too, and with variants folded.
    let browsed = ask(&shop.index, RawRequest { distinct: true, ..q("") });
    assert_ne!(browsed.ids[0], "p4", "the rule asks for sofas");
    // An explicit sort is what the shopper asked for.
    let cheap = ask(&shop.index, RawRequest { sort: Some("cheap".into()), ..q("sofa") });
    assert_eq!(cheap.ids, ["p0", "p1", "p2", "p6"]);
}

#[test]
fn pins_stand_in_categories_and_before_exact_names() {
    let shop = shop(
        r#"
        [[synonyms]]
        words = ["pack", "multi pack"]
        [[rules]]
        name = "best"
        when = { filters = "brand:Best" }
        then = { pin = [{ id = "p6", position = 1 }] }
        [[rules]]
        name = "red"
        when = { query_is = "red sofa" }
        then = { pin = [{ id = "p1", position = 1 }], user_data = { until = 2026-12-01T00:00:00Z } }
        "#,
    );
    let best = RawRequest { filters: Some("brand:Best".into()), ..q("") };
    assert_eq!(ask(&shop.index, best.clone()).ids[0], "p6");
    assert_eq!(ask(&shop.index, RawRequest { distinct: true, ..best }).ids[0], "p6");
    let red = ask(&shop.index, q("red sofa"));
    assert_eq!(red.ids[..2], ["p1", "p0"]);
    assert_eq!(red.answer.user_data, [r#"{"until":"2026-12-01T00:00:00Z"}"#]);
    // A unit that is not looked for has synonyms all the same.
    assert!(!ask(&shop.index, q("sofa 4 pack")).ids.is_empty());
}

/// Of two pinned variants the more popular one stood for their group, wherever it was pinned, and the position of the other
/// was lost.
#[test]
fn of_pinned_variants_the_first_stands_for_its_group() {
    let settings = "name = \"t\"\ncurrency = \"USD\"\n[[facets]]\nname = \"brand\"\n";
    let rules = r#"
        [[rules]]
        name = "lamps"
        [rules.then]
        pin = [{ id = "blue", position = 4 }, { id = "red", position = 1 }]
    "#;
    let lamp = |(id, brand, popularity): (&str, &str, i64)| {
        let mut product = Product::new(ProductId::new(id).expect("an id"), "Glass lamp");
        product.brand = Some(brand.to_owned());
        product.popularity_thousandths = Some(1_000 * popularity);
        product.variant_group = ["red", "blue"].contains(&id).then(|| "colors".to_owned());
        product
    };
    let rows =
        [("blue", "Best", 900), ("a", "Best", 700), ("b", "Best", 500), ("c", "Best", 300), ("red", "Acme", 100)];
    let shop = open_shop_with_rules(settings, rules, vec![(rows.into_iter().map(lamp).collect(), Vec::new())]);
    for query in ["", "lamp"] {
        let raw = RawRequest { distinct: true, ..q(query) };
        for filters in [None, Some("NOT brand:Cie".to_owned()), Some("NOT brand:Cie".to_owned())] {
            let asked = ask(&shop.index, RawRequest { filters, ..raw.clone() });
            assert_eq!((asked.ids, asked.found), (["red", "a", "b", "c"].map(str::to_owned).to_vec(), 4), "'{query}'");
            assert_eq!(asked.answer.hits[0].variants.len(), 1);
        }
        // Where the first does not pass the filter, the next does as well.
        let best = RawRequest { filters: Some("brand:Best".into()), ..raw };
        for _ in 0..2 {
            assert_eq!(ask(&shop.index, best.clone()).ids, ["a", "b", "c", "blue"], "'{query}'");
        }
    }
}

/// Products that are pinned behind a page stand at the front of what it is chosen from, and once took the places of
/// others there.
#[test]
fn pages_before_pinned_positions_lose_nothing_and_repeat_nothing() {
    let settings = "name = \"t\"\ncurrency = \"USD\"\n";
    let rules = r#"
        [[rules]]
        name = "far down"
        when = { contexts = ["pinned"] }
        then = { pin = [{ id = "l001", position = 50 }, { id = "l002", position = 51 }, { id = "l003", position = 252 }] }
        [[rules]]
        name = "from the end"
        when = { contexts = ["promoted"] }
        then = { pin = [{ id = "l290", position = 1 }] }
    "#;
    let lamp = |number: usize| {
        let title = format!("Lamp {}", "of oak ".repeat(number * 7 % 11));
        Product::new(ProductId::new(format!("l{number:03}")).expect("an id"), title)
    };
    let products = (0..300).map(lamp).collect();
    let shop = open_shop_with_rules(settings, rules, vec![(products, Vec::new())]);
    for text in ["lamp", ""] {
        let pages = |per_page: usize| -> Vec<String> {
            let raw = |page| RawRequest {
                page: Some(page),
                per_page: Some(per_page),
                contexts: vec!["pinned".into()],
                q: text.into(),
                ..Default::default()
            };
            (1..=300 / per_page).flat_map(|page| ask(&shop.index, raw(page)).ids).collect()
        };
        let (small, large) = (pages(10), pages(100));
        assert_eq!(small, large, "'{text}'");
        assert_eq!((&small[49][..], &small[50][..], &small[251][..]), ("l001", "l002", "l003"));
        let mut distinct = small.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 300, "'{text}'");
        let raw =
            RawRequest { per_page: Some(5), contexts: vec!["promoted".into()], q: text.into(), ..Default::default() };
        let promoted = ask(&shop.index, raw);
        assert_eq!((promoted.ids.len(), promoted.found, &*promoted.ids[0]), (5, 300, "l290"), "'{text}'");
    }
}
