//! Rules, as merchandisers write them.

use search::{Index, Level, RawRequest, Rules};
use snapshots::{AttributeValue, Catalogue, Money, Product, ProductId};

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

#[test]
fn synonyms_replacements_and_stop_words() {
    let shop = shop(
        r#"
        stop_words = ["please"]
        [[synonyms]]
        words = ["sofa", "couch"]
        [[synonyms]]
        from = "tv"
        to = ["television set"]
        [[synonyms]]
        from = "laptop"
        to = ["notebook"]
        [[replacements]]
        from = "settee"
        to = "red sofa"
        "#,
    );
    let sorted = |text: &str| {
        let mut ids = ask(&shop.index, q(text)).ids;
        ids.sort();
        ids
    };
    assert_eq!(sorted("couch"), ["p0", "p1", "p2", "p3", "p6"]);
    assert_eq!(ask(&shop.index, q("couch")).ids[0], "p3", "the word itself counts most");
    assert_eq!(sorted("tv"), ["p4"]);
    assert_eq!(sorted("laptop please"), ["p5"]);
    assert_eq!(sorted("sofaa"), sorted("sofa"), "a corrected word has synonyms, too");
    assert!(!sorted("television").is_empty() && ask(&shop.index, q("settee")).ids[0] == "p0");
    assert_eq!(ask(&shop.index, q("settee")).answer.corrected.as_deref(), Some("red sofa"));
}

/// A shop with these titles and nothing else, where one product with all words is enough.
fn titled(rules: &str, titles: &[&str]) -> Shop {
    let settings = "name = \"titled\"\ncurrency = \"USD\"\n[search]\nmin_results = 1\n";
    let product =
        |(number, title): (usize, &&str)| Product::new(ProductId::new(format!("p{number}")).expect("an id"), *title);
    open_shop_with_rules(settings, rules, vec![(titles.iter().enumerate().map(product).collect(), Vec::new())])
}

#[test]
fn synonyms_of_one_way_do_not_lead_back() {
    let rules = "[[synonyms]]\nfrom = \"laptop\"\nto = [\"notebook\"]\n";
    let shop = titled(rules, &["Notebook computer", "Laptop sleeve"]);
    assert_eq!(ask(&shop.index, RawRequest { q: "laptop".into(), ..Default::default() }).ids, ["p1", "p0"]);
    assert_eq!(ask(&shop.index, RawRequest { q: "notebook".into(), ..Default::default() }).ids, ["p0"]);
}

#[test]
fn a_synonym_of_several_words_counts_less_than_what_was_typed_and_stands_together() {
    let rules = "[[synonyms]]\nfrom = \"tv\"\nto = [\"television set\"]\n";
    let titles = ["Television set, black", "Black TV, new", "Set, television", "Lamp", "Chair", "Table"];
    let found = ask(&titled(rules, &titles).index, RawRequest { q: "tv".into(), ..Default::default() });
    assert_eq!(found.ids, ["p1", "p0", "p2"]);
}

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
    let settings = "name = \"t\"\ncurrency = \"USD\"\n[[facets]]\nname = \"category\"\n[[facets]]\nname = \"brand\"\n";
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
    let mut shoe = Product::new(ProductId::new("s").expect("an id"), "Shoe");
    shoe.category = vec!["Women".into(), "Shoes".into()];
    let shop = open_shop_with_rules(settings, rules, vec![(vec![shoe], Vec::new())]);
    let check = |filters: &str, names: &[&str]| {
        let raw = RawRequest { filters: Some(filters.into()), ..Default::default() };
        assert_eq!(ask(&shop.index, raw).answer.rules, names, "{filters}");
    };
    check("category:Women", &["women"]);
    check("category:'Women > Shoes' AND brand:A", &["women", "a"]);
    check("category:'Women > Shoes' OR category:'Women > Bags'", &["women"]);
    check("category:'Women > Shoes' OR category:Men", &[]);
    check("category:'Women & Men' AND brand:'A > B'", &[]);
    check("NOT category:'Women > Shoes'", &[]);
}

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

#[test]
fn rules_that_can_do_nothing_are_told() {
    let shop = shop(
        r#"
        [[synonyms]]
        words = ["sofa", "davenport"]
        [[synonyms]]
        from = "sofa bed"
        to = ["futon"]
        [[rules]]
        name = "over"
        when = { until = 2020-01-01T00:00:00Z }
        then = { hide = ["p0"] }
        [[rules]]
        name = "gone"
        when = { query_is = "sofa", filters = "brand:Nobody" }
        then = { pin = [{ id = "zzz", position = 1 }], boost = [{ filter = "brand:Noone", by = 1 }] }
        "#,
    );
    let findings = shop.index.check_rules("2026-06-15T12:00:00Z".parse().expect("a time"));
    let told = |list: &[String], part: &str| list.iter().any(|one| one.contains(part));
    assert_eq!(findings.faults.len(), 3, "{findings:?}");
    assert!(told(&findings.faults, "rule 'over': it has ended"));
    assert!(told(&findings.faults, "rule 'gone': pin 'zzz': there is no such product"));
    assert!(told(&findings.faults, "no product passes when.filters"));
    assert!(told(&findings.doubts, "no product has any of what 'sofa bed' may be"));
    assert!(!told(&findings.doubts, "davenport"), "a word that no product has is what synonyms are for");
    assert!(told(&findings.doubts, "rule 'gone': no product passes one of its filters"));
}

#[test]
fn what_can_never_fire_is_told() {
    let context = "c".repeat(65);
    let shop = shop(&format!(
        r#"
        [[replacements]]
        from = "settee"
        to = "davenport futon"
        [[hidden]]
        id = "p0"
        markets = ["us"]
        [[hidden]]
        id = "p1"
        until = 2026-06-01T00:00:00Z
        [[hidden]]
        id = "p3"
        markets = ["US"]
        [[rules]]
        name = "first"
        when = {{ query_is = "sofa" }}
        then = {{ pin = [{{ id = "p2", position = 1 }}, {{ id = "p0", position = 2 }}] }}
        [[rules]]
        name = "second"
        when = {{ query_is = "sofas", markets = ["us"] }}
        then = {{ pin = [{{ id = "p4", position = 1 }}, {{ id = "p0", position = 3 }}] }}
        [[rules]]
        name = "acme"
        then = {{ pin = [{{ id = "p2", position = 1 }}, {{ id = "p4", position = 2 }}], filter = "brand:Acme" }}
        [[rules]]
        name = "nowhere"
        when = {{ contexts = ["{context}"], markets = ["us", "E U"] }}
        then = {{ replace_query = "davenport" }}
        "#
    ));
    let findings = shop.index.check_rules("2026-06-15T12:00:00Z".parse().expect("a time"));
    let faults = [
        "rule 'second': pin 'p4': rule 'first', which asks the same, has its position",
        "rule 'second': pin 'p0': it is hidden",
        "rule 'acme': pin 'p2': it does not pass the rule's own filters",
        "rule 'nowhere': when.markets: no market is called 'E U': names are 1 to 64 of a-z, 0-9, - and _",
        &format!("rule 'nowhere': when.contexts: '{context}' is longer than the 64 bytes that a request's may have"),
        "hidden 'p1': it has ended, and hides nothing any more",
        "hidden 'p3': markets: no market is called 'US': names are 1 to 64 of a-z, 0-9, - and _",
    ];
    assert_eq!(findings.faults, faults);
    let [replacement, rule] = findings.doubts.as_slice() else { panic!("{findings:?}") };
    assert!(replacement.contains("no product has any word of 'davenport futon'"), "{replacement}");
    assert_eq!(rule, "rule 'nowhere': replace_query: no product has any word of 'davenport'");
}

#[test]
fn faults_name_the_rule() {
    let catalogue = Catalogue::parse(SETTINGS).expect("settings");
    let check = |text: &str, expected: &str| {
        let error = Rules::parse(text, &catalogue, None).err().expect(text).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let rule = |when: &str, then: &str| format!("[[rules]]\nname = \"r\"\nwhen = {{ {when} }}\nthen = {{ {then} }}\n");
    check(&rule("query_is = \"--\"", "hide = [\"a\"]"), "rule 'r': when.query_is: '--' has no word");
    check(&rule("query_is = \"a\", query_contains = \"b\"", "hide = [\"a\"]"), "one of query_is");
    check(&rule("", ""), "rule 'r': it does nothing");
    check(&rule("", "filter = \"colour:red\""), "filter: at character 0: 'colour' cannot be filtered by");
    check(&rule("", "pin = [{ id = \"a\", position = 0 }]"), "a position is from 1");
    check(&rule("", "bury = [{ filter = \"price<1\", by = 2 }]"), "at most 1");
    check(
        &rule("from = 2026-02-01T00:00:00Z, until = 2026-01-01T00:00:00Z", "hide = [\"a\"]"),
        "ends before it begins",
    );
    check(&rule("", "hide = [\"a\"]").repeat(2), "a name of its own");
    check(&rule("from = 2026-02-01", "hide = [\"a\"]"), "'2026-02-01' is no time with an offset");
    check("[[synonyms]]\nwords = [\"one\"]\n", "two or more words");
    check("[[synonym]]\n", "unknown field `synonym`");
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
