//! Words that stand for others.

use search::RawRequest;
use snapshots::{Product, ProductId};

use super::{ask, q, shop};
use crate::support::{Shop, open_shop_with_rules};

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
