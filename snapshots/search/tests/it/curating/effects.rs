//! What rules do besides: boost, bury, hide, filter, redirect.

use search::{Level, RawRequest};
use snapshots::{AttributeValue, Product, ProductId};

use super::{SETTINGS, ask, ask_at, q, shop};
use crate::support::open_shop_with_rules;

#[test]
fn boost_bury_hide_filter_redirect_and_banner() {
    let shop = shop(
        r#"
        [[rules]]
        name = "best first"
        when = { query_contains = "sofa" }
        then = { boost = [{ filter = "brand:Best AND price<40", by = 2 }], bury = [{ filter = "price<15", by = 0.9 }] }
        [[rules]]
        name = "no blue"
        when = { query_starts_with = "sofa", contexts = ["mobile"] }
        then = { hide = ["p1"], user_data = { banner = "sale", weight = 3 } }
        [[rules]]
        name = "help"
        when = { query_is = "help" }
        then = { redirect = "https://example.com/help" }
        [[rules]]
        name = "rich"
        when = { query_is = "anything", filters = "brand:Acme" }
        then = { filter = "price>=20", replace_query = "sofa" }
        [[rules]]
        name = "few"
        when = { query_is = "sofa", contexts = ["few"] }
        then = { hide = ["p6", "p0", "p2"] }
        "#,
    );
    let sofas = ask(&shop.index, q("sofa"));
    assert_eq!(sofas.ids[0], "p2", "{:?}", sofas.ids);
    let place = |id: &str| sofas.ids.iter().position(|one| one == id).expect("a hit");
    assert!(place("p0") > place("p1"), "buried: {:?}", sofas.ids);
    let mobile = ask(&shop.index, RawRequest { contexts: vec!["mobile".into()], ..q("sofa") });
    assert!(!mobile.ids.contains(&"p1".to_owned()) && mobile.found == sofas.found - 1);
    assert_eq!(mobile.answer.rules, ["best first", "no blue"]);
    assert_eq!(mobile.answer.user_data, [r#"{"banner":"sale","weight":3}"#]);
    let few = ask(&shop.index, RawRequest { contexts: vec!["few".into()], ..q("sofa") });
    assert!(few.ids.iter().all(|id| !["p0", "p2", "p6"].contains(&id.as_str())) && few.ids.contains(&"p1".to_owned()));
    assert_eq!(ask(&shop.index, q("help")).answer.redirect.as_deref(), Some("https://example.com/help"));
    let rich = ask(&shop.index, RawRequest { filters: Some("brand:Acme".into()), ..q("anything") });
    assert_eq!((rich.ids, rich.answer.rules), (vec!["p1".to_owned()], vec!["rich".to_owned()]));
    // Every part of a score is told, and the parts add up.
    let explained = ask(&shop.index, RawRequest { explain: true, ..q("red sofa") });
    for hit in &explained.answer.hits {
        let parts = hit.parts.expect("an explanation");
        assert!((parts.total() - hit.score).abs() < 1e-4 && parts.text > 0.0);
    }
    assert!(explained.answer.hits.iter().any(|hit| hit.parts.is_some_and(|parts| parts.rules != 0.0)));
}

/// Without words every score was once 0, and so was every share of it.
#[test]
fn boost_and_bury_move_what_is_browsed() {
    let shop = shop(
        r#"
        [[rules]]
        name = "home"
        when = { contexts = ["home"] }
        then = { boost = [{ filter = "brand:Best", by = 0.5 }] }
        [[rules]]
        name = "best"
        when = { filters = "brand:Best" }
        then = { boost = [{ filter = "price>=70", by = 0.1 }], bury = [{ filter = "price<40", by = 1 }] }
        "#,
    );
    let best = RawRequest { filters: Some("brand:Best".into()), ..q("") };
    for raw in [best.clone(), RawRequest { facets: Vec::new(), ..best.clone() }] {
        assert_eq!(ask(&shop.index, raw.clone()).ids, ["p6", "p3", "p5", "p2"]);
        assert_eq!(ask(&shop.index, RawRequest { distinct: true, ..raw }).ids, ["p6", "p3", "p5", "p2"]);
    }
    let cheap = RawRequest { sort: Some("cheap".into()), ..best };
    assert_eq!(ask(&shop.index, cheap).ids, ["p2", "p3", "p5", "p6"]);
    let home = ask(&shop.index, RawRequest { contexts: vec!["home".into()], explain: true, ..q("") });
    assert_eq!(home.ids, ["p2", "p3", "p5", "p6", "p0", "p1", "p4"]);
    for hit in &home.answer.hits {
        assert!((hit.parts.expect("an explanation").total() - hit.score).abs() < 1e-4 && hit.score > 0.0);
    }
    assert_eq!(ask(&shop.index, q("")).ids, ["p0", "p1", "p2", "p3", "p4", "p5", "p6"]);
}

/// What a rule's filter keeps out was once on offer in the facet that it is about, and choosing it found nothing.
#[test]
fn what_a_rule_filters_by_is_no_refinement() {
    let shop = shop(
        r#"
        [[rules]]
        name = "acme sofas"
        when = { query_is = "sofa" }
        then = { filter = "brand:Acme" }
        "#,
    );
    let sofas = ask(&shop.index, q("sofa"));
    assert_eq!(sofas.found, 2);
    assert_eq!(sofas.answer.facets[0].values, [("Acme".to_owned(), 2)]);
    let refined = ask(&shop.index, RawRequest { filters: Some("brand:Best".into()), ..q("sofa") });
    assert_eq!(refined.found, 0, "the rule holds whatever else is asked for");
    assert_eq!(refined.answer.facets[0].values, [("Acme".to_owned(), 2)], "and what it lets pass is on offer");
}

#[test]
fn explanations_tell_what_comes_before_the_score() {
    let boots = |id: &str, title: &str, color: &str| {
        let mut boots = Product::new(ProductId::new(id).expect("an id"), title);
        boots.attributes.insert("color".into(), AttributeValue::One(color.into()));
        boots
    };
    let products = vec![
        boots("attribute", "Boots of leather", "black"),
        boots("other", "Boots, blue", "blue"),
        boots("named", "Black boots", "black"),
        boots("title", "Black boots, high", "black"),
    ];
    let shop = open_shop_with_rules(SETTINGS, "", vec![(products, Vec::new())]);
    let check = |text: &str, sort: Option<&str>, expected: &[(&str, Option<Level>)]| {
        let sort = sort.map(str::to_owned);
        let asked = ask(&shop.index, RawRequest { explain: true, sort, ..q(text) });
        for (id, level) in expected {
            let place = asked.ids.iter().position(|one| one == id).expect("a hit");
            assert_eq!(asked.answer.hits[place].level, *level, "{text}: {id}");
        }
        let silent = ask(&shop.index, q(text));
        assert!(silent.answer.hits.iter().all(|hit| hit.level.is_none() && hit.parts.is_none()));
    };
    let at = |missing, weak, is_corrected| Some(Level { missing, weak, is_corrected });
    let typed = [("named", None), ("title", at(0, 0, false)), ("attribute", at(0, 1, false))];
    check("black boots", None, &typed);
    check("blue boots high", None, &[("title", at(1, 0, false)), ("other", at(1, 0, false))]);
    check("balck boots", None, &[("title", at(0, 0, true)), ("attribute", at(0, 1, true))]);
    check("boots high", Some("cheap"), &[("title", None)]);
    check("", None, &[("title", None)]);
}

#[test]
fn hidden_products_are_nowhere() {
    let shop = shop(
        r#"
        [[hidden]]
        id = "p0"
        until = 2099-01-01T00:00:00Z
        [[hidden]]
        id = "p5"
        from = 2026-01-01T00:00:00Z
        until = 2026-02-01T00:00:00Z
        "#,
    );
    assert!(shop.index.product("p0").is_none() && shop.index.product("p1").is_some());
    assert!(!ask(&shop.index, q("red sofa")).ids.contains(&"p0".to_owned()));
    let all = ask(&shop.index, q(""));
    assert_eq!((all.found, all.answer.facets[0].values.clone()), (6, vec![("Best".into(), 4), ("Acme".into(), 2)]));
    let similar = shop.index.similar("p1", 10).expect("an answer").expect("a product");
    assert!(similar.iter().all(|hit| shop.index.record(hit.segment, hit.doc).id() != "p0"));
    assert!(shop.index.similar("p0", 10).expect("an answer").is_none());
    let january = ask_at(&shop.index, q("notebook"), "2026-01-15T00:00:00Z");
    assert!(january.ids.is_empty() && ask(&shop.index, q("notebook")).ids == ["p5"]);
    let at = |time: &str| time.parse().expect("a time");
    for (time, is_there) in [("2026-01-15T00:00:00Z", false), ("2026-02-01T00:00:00Z", true)] {
        assert_eq!(shop.index.product_at("p5", at(time)).is_some(), is_there);
        assert_eq!(shop.index.similar_at("p5", 10, at(time)).expect("an answer").is_some(), is_there);
    }
    let rules = shop.index.rules();
    assert_ne!(rules.version_at(at("2026-01-15T00:00:00Z")), rules.version_at(at("2026-02-01T00:00:00Z")));
    assert_eq!(rules.next_change(at("2026-01-15T00:00:00Z")), Some(at("2026-02-01T00:00:00Z")));
}
