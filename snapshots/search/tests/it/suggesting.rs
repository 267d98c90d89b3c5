//! Suggestions, variants, and products like others.

use search::{Highlighter, Index, RawRequest, SuggestRequest, Suggestions};
use snapshots::{Availability, Product, ProductId};

use crate::support::{Shop, open_shop_with_rules, search};

const SETTINGS: &str = r#"
    name = "suggesting"
    currency = "USD"
    [[facets]]
    name = "category"
    [[facets]]
    name = "brand"
    [[facets]]
    name = "color"
"#;

fn shop(rules: &str) -> Shop {
    let rows = [
        ("a1", "Leather boots, black", "Acme", ["Women", "Shoes"], "boots-a", "black"),
        ("a2", "Leather boots, brown", "Acme", ["Women", "Shoes"], "boots-a", "brown"),
        ("b1", "Rain boots, yellow", "Best", ["Men", "Shoes"], "boots-b", "yellow"),
        ("b2", "Rain boots, black", "Best", ["Men", "Shoes"], "boots-b", "black"),
        ("c", "Leather belt", "Acme", ["Men", "Belts"], "", "black"),
        ("d", "Leather belt, wide", "Best", ["Women", "Belts"], "", "brown"),
    ];
    let product = |(id, title, brand, category, group, color): &(&str, &str, &str, [&str; 2], &str, &str)| {
        let mut product = Product::new(ProductId::new(*id).expect("an id"), *title);
        product.brand = Some((*brand).to_owned());
        product.category = category.iter().map(|level| (*level).to_owned()).collect();
        product.variant_group = (!group.is_empty()).then(|| (*group).to_owned());
        product.attributes.insert("color".into(), snapshots::AttributeValue::One((*color).into()));
        product
    };
    open_shop_with_rules(SETTINGS, rules, vec![(rows.iter().map(product).collect(), Vec::new())])
}

fn suggest(index: &Index, text: &str) -> Suggestions {
    let raw = RawRequest { q: text.into(), ..Default::default() };
    index.suggest(&SuggestRequest::new(raw, None, None, index).expect("a request")).expect("suggestions")
}

fn texts(index: &Index, text: &str) -> Vec<String> {
    suggest(index, text).suggestions.into_iter().map(|one| one.text).collect()
}

#[test]
fn completions_find_something_and_name_categories() {
    let shop = shop("");
    assert_eq!(texts(&shop.index, "lea"), ["leather belt", "leather boots"]);
    assert_eq!(texts(&shop.index, "BOO"), ["boots"]);
    assert_eq!(texts(&shop.index, "acm"), ["acme"]);
    let boots = suggest(&shop.index, "boo");
    assert_eq!(boots.suggestions[0].scopes, [("Men".to_owned(), 2), ("Women".to_owned(), 2)]);
    assert_eq!(boots.products.hits.len(), 2, "one variant of each group");
    assert!(suggest(&shop.index, "").suggestions.len() > 3, "before anything is typed, what weighs most");
    assert!(texts(&shop.index, "zzz").is_empty());
    assert_eq!(texts(&shop.index, "yellow bo"), ["yellow boots"], "put together from what is there");
    assert!(texts(&shop.index, "yellow bel").is_empty(), "no belt is yellow");
}

/// A shop of products that have no more than titles, the first the most popular.
fn shop_of_titles(locale: &str, titles: &[&str]) -> Shop {
    ruled_shop_of_titles(locale, titles, "")
}

fn ruled_shop_of_titles(locale: &str, titles: &[&str], rules: &str) -> Shop {
    let product = |(place, title): (usize, &&str)| {
        let mut product = Product::new(ProductId::new(format!("p{place}")).expect("an id"), *title);
        product.popularity_thousandths = Some(1_000 * (titles.len() - place) as i64);
        product
    };
    let settings = format!("name = \"titles\"\ncurrency = \"EUR\"\nlocale = \"{locale}\"\n");
    open_shop_with_rules(&settings, rules, vec![(titles.iter().enumerate().map(product).collect(), Vec::new())])
}

#[test]
fn suggestions_are_written_as_titles_write_them() {
    let check = |locale: &str, titles: &[&str], typed: &str, expected: &str, marked: &str| {
        let shop = shop_of_titles(locale, titles);
        assert_eq!(texts(&shop.index, typed), [expected], "{typed}");
        let (words, mut out) = (shop.index.words_of(typed), String::new());
        Highlighter::new(&shop.index, &words).write(expected, "<", ">", &mut out);
        assert_eq!(out, marked, "{typed}");
    };
    let bags = ["Schöne Häuser-Taschen, rot", "Schöne Häuser-Taschen, blau"];
    for typed in ["scho", "schö", "Schöne"] {
        check("de", &bags, typed, "schöne häuser-taschen", "<schöne> häuser-taschen");
    }
    check("de", &bags, "hauser ta", "häuser-taschen", "<häuser>-<taschen>");
    check("sv", &["Löparskor för barn", "Löparskor för alla"], "lopar", "löparskor", "<löparskor>");
    let shoes = ["ナイキ 運動靴, 赤", "ナイキ 運動靴, 白"];
    for typed in ["運", "運動"] {
        check("ja", &shoes, typed, "運動靴", "<運動>靴");
    }
    check("ja", &shoes, "ナイキ 運", "ナイキ 運動靴", "<ナイ><キ> <運動>靴");
    check("en", &["Men's boots, red", "Men's boots, blue"], "men b", "men's boots", "<men>&#39;s <boots>");
}

#[test]
fn what_stands_before_a_completed_part_stays_as_it_was_typed() {
    let check = |locale: &str, titles: &[&str], typed: &str, expected: &str| {
        assert_eq!(texts(&shop_of_titles(locale, titles).index, typed), [expected], "{typed}");
    };
    let bags = ["Schöne rote Taschen, groß", "Schöne rote Taschen, klein"];
    check("de", &bags, "Schöne ta", "schöne taschen");
    check("de", &bags, " schone, ta", "schone, taschen");
    let boards = ["Brett 1,125 m, roh, lackierte Kante", "Brett 1,125 m, glatt, lackierte Kante"];
    check("de", &boards, "1,125 m lack", "1,125 m lackierte kante");
    check("ja", &["赤い 白 運動靴, 大", "赤い 白 運動靴, 小"], "赤い 運動", "赤い 運動靴");
}

#[test]
fn of_several_ways_to_write_a_completion_the_commonest_is_shown() {
    let check = |titles: &[&str], expected: &str| {
        assert_eq!(texts(&shop_of_titles("en", titles).index, "t s"), [expected], "{titles:?}");
    };
    check(&["T Shirt, red", "T-Shirt, blue", "T-Shirt, white"], "t-shirt");
    check(&["T Shirt, red", "T-Shirt, blue", "T-Shirt, white", "T Shirt, black"], "t shirt");
    check(&["T-Shirt, red", "T Shirt, blue"], "t-shirt");
}

#[test]
fn mistyped_beginnings_are_forgiven() {
    let shop = shop("");
    let found = suggest(&shop.index, "laether bo");
    assert_eq!((found.suggestions[0].text.as_str(), found.corrected.as_deref()), ("leather boots", Some("leather bo")));
    assert_eq!(suggest(&shop.index, "lethe").suggestions[0].text, "leather belt");
    assert_eq!(texts(&shop.index, "yelow bo"), ["yellow boots"], "corrected, and put together");
    assert!(texts(&shop.index, "leather lea").is_empty(), "nobody says it twice");
}

/// What is typed once began a completion only with the spaces that most titles have.
#[test]
fn completions_are_found_however_they_are_spaced() {
    let titles = [
        "Red T-Shirt, large",
        "Red T-Shirt, small",
        "Wi-Fi router, black",
        "Wi-Fi router, white",
        "H&M socks, black",
        "H&M socks, white",
        "Bluetooth speaker, black",
        "Bluetooth speaker, white",
    ];
    let shop = shop_of_titles("en", &titles);
    let check = |typed: &str, expected: &[&str]| {
        let found = suggest(&shop.index, typed);
        let texts: Vec<&str> = found.suggestions.iter().map(|one| one.text.as_str()).collect();
        assert_eq!((texts.as_slice(), found.corrected), (expected, None), "{typed}");
    };
    for typed in ["tshirt", "tshi", "TShi"] {
        check(typed, &["t-shirt"]);
    }
    check("red tshi", &["red t-shirt"]);
    check("wifi", &["wi-fi router"]);
    check("hm", &["h&m socks"]);
    for typed in ["blue tooth", "blue too"] {
        check(typed, &["bluetooth speaker"]);
    }
    check("Black blue tooth", &["black bluetooth speaker"]);
    check("speaker hm", &[]);
}

/// Of several spaces only that with the weightiest completion was tried, even where all of its products are hidden.
#[test]
fn other_spaces_are_tried_until_one_finds_something() {
    let titles = [
        "Car pet bed, black",
        "Car pet bed, white",
        "Car pet bed, red",
        "Carp etching, black",
        "Carp etching, white",
        "Donaudampfschifffahrt models, black",
        "Donaudampfschifffahrt models, white",
    ];
    let hidden: String = (0..3).map(|place| format!("[[hidden]]\nid = \"p{place}\"\n")).collect();
    let all = shop_of_titles("en", &titles);
    let shop = ruled_shop_of_titles("en", &titles, &hidden);
    assert_eq!(texts(&all.index, "carpet"), ["car pet bed"]);
    assert_eq!(texts(&shop.index, "carpet"), ["carp etching"]);
    // A word may be as long as words are.
    assert_eq!(texts(&all.index, "donaudampfschifffahrtmod"), ["donaudampfschifffahrt models"]);
    assert!(texts(&all.index, "donaudampfschifffahrtmode").is_empty());
}

/// Of words of seven letters or more, mistakes were once forgiven from the sixth letter on.
#[test]
fn mistakes_are_forgiven_from_the_fourth_letter_on() {
    let names = ["Leather wallet", "Headphones", "Keyboard", "Bluetooth speaker", "Television", "Laptop sleeve"];
    let titles: Vec<String> =
        names.iter().flat_map(|name| [format!("{name}, black"), format!("{name}, white")]).collect();
    let shop = shop_of_titles("en", &titles.iter().map(String::as_str).collect::<Vec<_>>());
    let check = |typed: &str, corrected: &str, expected: &str| {
        let found = suggest(&shop.index, typed);
        assert_eq!(found.corrected.as_deref(), Some(corrected), "{typed}");
        assert_eq!(found.suggestions[0].text, expected, "{typed}");
    };
    check("laeth", "leath", "leather wallet");
    check("haedp", "headp", "headphones");
    check("kyebo", "keybo", "keyboard");
    check("bleut", "bluet", "bluetooth speaker");
    check("tleev", "telev", "television");
    check("lpat", "lapt", "laptop sleeve");
    assert!(texts(&shop.index, "lpa").is_empty(), "three letters may be anything");
}

#[test]
fn hidden_products_are_not_suggested() {
    let shop = shop("[[hidden]]\nid = \"b1\"\n[[hidden]]\nid = \"b2\"\n");
    assert!(texts(&shop.index, "rain").is_empty());
    assert!(texts(&shop.index, "boo") == ["boots"], "others are boots, too");
    let categories = shop.index.categories(Some("Men")).expect("a category");
    let counts: Vec<(&str, u64)> = categories.iter().map(|one| (one.path.as_str(), one.count)).collect();
    assert_eq!(counts, [("Men > Belts", 1)]);
}

#[test]
fn variants_are_one_hit() {
    let shop = shop("");
    let raw = RawRequest { q: "boots".into(), distinct: true, facets: vec!["color".into()], ..Default::default() };
    let found = search(&shop.index, raw.clone());
    assert_eq!(found.found, 2);
    // Each group is black once, though black boots are two products.
    let black = found.facets[0].values.iter().find(|(value, _)| value == "black");
    assert_eq!(black, Some(&("black".to_owned(), 2)));
    let brown = search(&shop.index, RawRequest { q: "brown boots".into(), ..raw });
    assert_eq!(brown.ids[0], "a2", "the variant that matches best stands for its group");
    assert_eq!(brown.variants[0], ["a1"]);
}

/// The best-known size is sold out, and once it stood for all of them, behind other shirts.
#[test]
fn a_variant_that_can_be_had_stands_for_its_group() {
    let shirt = |id: &str, group: &str, popularity: i64, availability| {
        let mut shirt = Product::new(ProductId::new(id).expect("an id"), "Linen shirt");
        shirt.variant_group = Some(group.to_owned());
        shirt.popularity_thousandths = Some(popularity);
        shirt.availability = availability;
        shirt.attributes.insert("color".into(), snapshots::AttributeValue::One(id.into()));
        shirt
    };
    let products = vec![
        shirt("l", "a", 9_000, Availability::OutOfStock),
        shirt("m", "a", 8_000, Availability::InStock),
        shirt("s", "a", 7_000, Availability::Backorder),
        shirt("other", "b", 1_000, Availability::InStock),
    ];
    // A rule that moves others makes scores of ranks.
    let rules = r#"
        [[rules]]
        name = "home"
        when = { contexts = ["home"] }
        then = { boost = [{ filter = "brand:Acme", by = 0.5 }] }
        [[rules]]
        name = "small sizes"
        when = { contexts = ["small"] }
        then = { boost = [{ filter = "color:s", by = 0.5 }] }
    "#;
    let shop = open_shop_with_rules(SETTINGS, rules, vec![(products, Vec::new())]);
    let check = |text: &str, context: &str, expected: [&str; 2], others: [&str; 2]| {
        let contexts = vec![context.to_owned()];
        let found = search(&shop.index, RawRequest { q: text.into(), distinct: true, contexts, ..Default::default() });
        assert_eq!(found.ids, expected, "'{text}' {context}");
        assert_eq!(found.variants[0], others, "'{text}' {context}");
    };
    for text in ["shirt", ""] {
        check(text, "", ["m", "other"], ["s", "l"]);
        check(text, "home", ["m", "other"], ["s", "l"]);
    }
    check("", "small", ["s", "other"], ["m", "l"]);
}

#[test]
fn similar_products_share_words_and_category() {
    let shop = shop("");
    let similar = shop.index.similar("c", 3).expect("an answer").expect("a product");
    let ids: Vec<&str> = similar.iter().map(|hit| shop.index.record(hit.segment, hit.doc).id()).collect();
    assert_eq!(ids[0], "d", "{ids:?}");
    let boots = shop.index.similar("a1", 5).expect("an answer").expect("a product");
    let ids: Vec<&str> = boots.iter().map(|hit| shop.index.record(hit.segment, hit.doc).id()).collect();
    assert!(!ids.contains(&"a1") && !ids.contains(&"a2"), "its variants are not like it, but it: {ids:?}");
}

#[test]
fn a_product_with_many_variants_is_like_others_all_the_same() {
    let shirt = |number: usize, group: &str| {
        let mut shirt = Product::new(ProductId::new(format!("{group}{number:02}")).expect("an id"), "Linen shirt");
        shirt.category = vec!["Shirts".into()];
        shirt.variant_group = Some(group.to_owned());
        shirt
    };
    let mut products: Vec<Product> = (0..60).map(|number| shirt(number, "a")).collect();
    products.extend((0..9).map(|number| shirt(number, &format!("other{number}-"))));
    products.sort_by(|a, b| a.id.cmp(&b.id));
    let shop = open_shop_with_rules(SETTINGS, "", vec![(products, Vec::new())]);
    let similar = shop.index.similar("a30", 8).expect("an answer").expect("a product");
    let ids: Vec<&str> = similar.iter().map(|hit| shop.index.record(hit.segment, hit.doc).id()).collect();
    assert_eq!(ids.len(), 8);
    assert!(ids.iter().all(|id| id.starts_with("other")), "{ids:?}");
}

/// Sixteen variants of one shirt once left room for no other.
#[test]
fn suggested_products_are_as_many_as_asked_for() {
    let shirt = |number: i64, group: String| {
        let mut shirt = Product::new(ProductId::new(format!("p{number:02}")).expect("an id"), "Linen shirt");
        shirt.popularity_thousandths = Some((100 - number) * 1_000);
        shirt.variant_group = Some(group);
        shirt
    };
    let mut products: Vec<Product> = (0..40).map(|number| shirt(number, "a".to_owned())).collect();
    products.extend((40..45).map(|number| shirt(number, format!("other{number}"))));
    let shop = open_shop_with_rules(SETTINGS, "", vec![(products, Vec::new())]);
    for text in ["lin", ""] {
        let found = suggest(&shop.index, text);
        let ids: Vec<&str> =
            found.products.hits.iter().map(|hit| shop.index.record(hit.segment, hit.doc).id()).collect();
        assert_eq!(ids, ["p00", "p40", "p41", "p42"], "'{text}'");
    }
}

#[test]
fn scopes_count_what_has_all_words() {
    let shop = shop("");
    let belts = suggest(&shop.index, "leather be");
    assert_eq!(belts.suggestions[0].text, "leather belt");
    assert_eq!(belts.suggestions[0].scopes, [("Men".to_owned(), 1), ("Women".to_owned(), 1)], "boots are no belts");
}

#[test]
fn suggested_products_are_kept_by_what_they_depend_on() {
    let rules = r#"
        [[rules]]
        name = "no boots in autumn"
        when = { query_contains = "boots", from = 2026-09-01T00:00:00Z }
        then = { hide = ["a1", "a2"] }
    "#;
    let shop = shop(rules);
    let products = |count: usize, contexts: &[&str], now: &str| {
        let contexts = contexts.iter().map(|context| (*context).to_owned()).collect();
        let raw = RawRequest { q: "boo".into(), contexts, ..Default::default() };
        let request = SuggestRequest::new(raw, None, Some(count), &shop.index).expect("a request");
        let found = shop.index.suggest_at(&request, now.parse().expect("a time")).expect("suggestions");
        found.products.hits.len()
    };
    let (summer, autumn) = ("2026-06-01T00:00:00Z", "2026-10-01T00:00:00Z");
    for _ in 0..2 {
        assert_eq!(products(1, &[], summer), 1);
        assert_eq!(products(2, &[], summer), 2);
        assert_eq!(products(2, &[], autumn), 1);
        assert_eq!(products(2, &["app"], summer), 2);
    }
}
