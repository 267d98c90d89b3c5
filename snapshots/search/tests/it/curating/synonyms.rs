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
    open_titles("name = \"titled\"\ncurrency = \"USD\"\n[search]\nmin_results = 1\n", rules, titles)
}

fn open_titles(settings: &str, rules: &str, titles: &[&str]) -> Shop {
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

const SEVERAL_WORDS: &str = "
    [[synonyms]]
    from = \"tv\"
    to = [\"television set\"]
    [[synonyms]]
    from = \"telly\"
    to = [\"flat screen\"]
    [[synonyms]]
    from = \"puter\"
    to = [\"personal computer\"]
";

/// It was once dropped, or corrected to a word that resembles it, where no product has it.
#[test]
fn a_word_with_a_synonym_of_several_words_is_neither_dropped_nor_corrected() {
    let sony = ["Sony radio", "Sony camera", "Sony television set", "Sony flat screen", "Belly band", "Sony belly"];
    let settings = "name = \"titled\"\ncurrency = \"USD\"\n";
    let shop = open_titles(settings, SEVERAL_WORDS, &sony);
    for (q, first) in [("sony tv", "p2"), ("sony telly", "p3")] {
        let found = ask(&shop.index, RawRequest { q: q.into(), ..Default::default() });
        assert_eq!((&*found.ids[0], found.answer.corrected), (first, None), "{q}");
        assert!(found.answer.dropped.is_empty(), "{q}");
        let whole = found.answer.hits.iter().filter(|hit| hit.missing == 0).count();
        assert_eq!(whole, 1, "{q}: {:?}", found.ids);
    }
    // What no product has says nothing, whatever it stands for.
    let without = open_titles(settings, SEVERAL_WORDS, &["Sony radio", "Flat shoes", "Screen cleaner"]);
    let found = ask(&without.index, RawRequest { q: "sony telly".into(), ..Default::default() });
    assert_eq!(found.answer.dropped, ["telly"]);
}

#[test]
fn two_synonyms_of_several_words_are_read_together() {
    let shop = titled(SEVERAL_WORDS, &["Personal computer, flat screen", "Personal computer", "Flat screen"]);
    let found = ask(&shop.index, RawRequest { q: "telly puter".into(), ..Default::default() });
    assert_eq!((found.ids, found.answer.hits[0].missing), (vec!["p0".to_owned()], 0));
}
