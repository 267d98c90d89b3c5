//! When a rule holds.

use search::{RawRequest, Rules};
use snapshots::{Catalogue, Product, ProductId};

use super::{SETTINGS, ask, ask_at, q, shop};
use crate::support::open_shop_with_rules;

#[test]
fn rules_know_words_however_they_are_written() {
    let rules = r#"
        [[replacements]]
        from = "settee"
        to = "red sofa"
        [[rules]]
        name = "t-shirts"
        when = { query_is = "t-shirt" }
        then = { user_data = 1 }
        [[rules]]
        name = "tees"
        when = { query_starts_with = "tshirts" }
        then = { user_data = 2 }
        [[rules]]
        name = "sofas"
        when = { query_contains = "sofa" }
        then = { user_data = 3 }
        [[rules]]
        name = "wireless"
        when = { query_contains = "wi-fi routers" }
        then = { user_data = 4 }
        [[rules]]
        name = "settees"
        when = { query_is = "settee" }
        then = { user_data = 5 }
        [[rules]]
        name = "twelve"
        when = { query_contains = "12 lamps" }
        then = { user_data = 6 }
    "#;
    let shop = shop(rules);
    let check = |text: &str, names: &[&str]| assert_eq!(ask(&shop.index, q(text)).answer.rules, names, "{text}");
    for text in ["t-shirt", "T-Shirts", "tshirt", "t shirts"] {
        check(text, &["t-shirts", "tees"]);
    }
    check("t shirt blue", &["tees"]);
    check("blue t shirt", &[]);
    check("good wifi router", &["wireless"]);
    check("wi fi routers here", &["wireless"]);
    check("settee", &["sofas", "settees"]);
    check("blue settees", &["sofas"]);
    check("12 lamp", &["twelve"]);
    check("1 2 lamp", &[]);
}

#[test]
fn a_rule_on_one_letter_knows_it_at_the_end_of_a_run() {
    let rules = r#"
        [[rules]]
        name = "shoes"
        when = { query_contains = "靴" }
        then = { user_data = 1 }
        [[rules]]
        name = "only shoes"
        when = { query_is = "靴" }
        then = { user_data = 2 }
    "#;
    let settings = "name = \"ja\"\ncurrency = \"JPY\"\nlocale = \"ja\"\n";
    let shoes = Product::new(ProductId::new("a").expect("an id"), "運動靴");
    let shop = open_shop_with_rules(settings, rules, vec![(vec![shoes], Vec::new())]);
    let check = |text: &str, names: &[&str]| {
        let asked = ask(&shop.index, RawRequest { q: text.into(), ..Default::default() });
        assert_eq!(asked.answer.rules, names, "{text}");
    };
    check("靴", &["shoes", "only shoes"]);
    for text in ["運動靴", "運動靴 白", "白 運動靴", "長靴", "運動靴 靴下"] {
        check(text, &["shoes"]);
    }
    // Socks are something else.
    for text in ["靴下", "白靴下", "運動", "白靴下 赤靴下"] {
        check(text, &[]);
    }
}

#[test]
fn a_rule_for_a_category_holds_for_what_lies_below() {
    let rules = r#"
        [[rules]]
        name = "women"
        when = { filters = "category:Women" }
        then = { user_data = 1 }
        [[rules]]
        name = "a"
        when = { filters = "brand:A" }
        then = { user_data = 2 }
    "#;
    let check = |filters: &str, names: &[&str]| check_filtered(rules, filters, names);
    check("category:Women", &["women"]);
    check("category:'Women > Shoes' AND brand:A", &["women", "a"]);
    check("category:'Women > Shoes' OR category:'Women > Bags'", &["women"]);
    check("category:'Women > Shoes' OR category:Men", &[]);
    check("category:'Women & Men' AND brand:'A > B'", &[]);
    check("NOT category:'Women > Shoes'", &[]);
}

/// Which rules hold for a request that filters so.
fn check_filtered(rules: &str, filters: &str, names: &[&str]) {
    let settings = r#"
        name = "t"
        currency = "USD"
        [[facets]]
        name = "category"
        [[facets]]
        name = "brand"
        [[facets]]
        name = "price"
    "#;
    let mut shoe = Product::new(ProductId::new("s").expect("an id"), "Shoe");
    shoe.category = vec!["Women".into(), "Shoes".into()];
    let shop = open_shop_with_rules(settings, rules, vec![(vec![shoe], Vec::new())]);
    let raw = RawRequest { filters: Some(filters.into()), ..Default::default() };
    assert_eq!(ask(&shop.index, raw).answer.rules, names, "{filters}");
}

/// Such rules once held for the identical filter alone.
#[test]
fn a_rule_holds_for_whoever_asks_for_less() {
    let rules = r#"
        [[rules]]
        name = "a or b"
        when = { filters = "brand:A OR brand:B" }
        then = { user_data = 1 }
        [[rules]]
        name = "cheap"
        when = { filters = "price<100" }
        then = { user_data = 2 }
        [[rules]]
        name = "cheap a, or b"
        when = { filters = "(brand:A AND price<100) OR brand:B" }
        then = { user_data = 3 }
    "#;
    let check = |filters: &str, names: &[&str]| check_filtered(rules, filters, names);
    for filters in ["brand:A OR brand:B", "brand:B OR brand:A", "(brand:B OR brand:A) AND category:Women"] {
        check(filters, &["a or b"]);
    }
    check("brand:A", &["a or b"]);
    check("brand:B", &["a or b", "cheap a, or b"]);
    check("brand:A OR brand:B OR brand:C", &[]);
    for filters in ["price<100", "price<50", "price:10 TO 50", "price=10 OR price<5"] {
        check(filters, &["cheap"]);
    }
    for filters in ["price<=100", "price>10", "price<50 OR brand:C", "NOT price<100"] {
        check(filters, &[]);
    }
    check("price<50 AND brand:A", &["a or b", "cheap", "cheap a, or b"]);
}

/// A rule on a range once held for no request that states two bounds apart, as storefronts do.
#[test]
fn two_bounds_are_one_range() {
    for wanted in ["price:10 TO 100", "price>=10 AND price<=100"] {
        let rules =
            format!("[[rules]]\nname = \"middle\"\nwhen = {{ filters = \"{wanted}\" }}\nthen = {{ user_data = 1 }}\n");
        let check = |filters: &str, names: &[&str]| check_filtered(&rules, filters, names);
        for filters in ["price:10 TO 50", "price>=10 AND price<=50", "price<=50 AND (brand:A AND price>=20)"] {
            check(filters, &["middle"]);
        }
        for filters in ["price>=10", "price>=10 AND brand:A", "price>=9 AND price<=50", "price>=10 OR price<=50"] {
            check(filters, &[]);
        }
    }
}

#[test]
fn markets_and_dates_say_when_a_rule_holds() {
    let rules = r#"
        [[rules]]
        name = "june in us"
        when = { query_is = "sofa", markets = ["us"], from = 2026-06-01T00:00:00Z, until = 2026-07-01T00:00:00Z }
        then = { hide = ["p0"] }
    "#;
    let catalogue = Catalogue::parse(SETTINGS).expect("settings");
    assert_eq!(Rules::parse(rules, &catalogue, Some("us")).expect("rules").count(), 1);
    assert_eq!(Rules::parse(rules, &catalogue, Some("eu")).expect("rules").count(), 0);
    let shop = shop(rules);
    let hides = |now: &str| !ask_at(&shop.index, q("sofa"), now).ids.contains(&"p0".to_owned());
    assert!(!hides("2026-05-31T23:59:59Z") && hides("2026-06-01T00:00:00Z"));
    assert!(hides("2026-06-30T23:59:59Z") && !hides("2026-07-01T00:00:00Z"));
}
