//! What a shopper sees: a small shop with known products.

use std::iter::repeat_n;

use search::{Highlighter, Index, RawRequest};
use snapshots::{AttributeValue, Money, Product, ProductId};

use crate::support::{Shop, open_shop, search};

const SETTINGS: &str = r#"
    name = "small"
    currency = "USD"
    [[facets]]
    name = "brand"
    [[facets]]
    name = "category"
    [attributes]
    private = ["cost_of_goods"]
"#;

fn product(id: &str, title: &str, popularity: i64) -> Product {
    let mut product = Product::new(ProductId::new(id).expect("an id"), title);
    product.popularity_thousandths = Some(popularity * 1000);
    product.price = Some(Money::from_minor(1999, "USD".parse().expect("a currency")));
    product
}

fn shop() -> Shop {
    let mut headphones = product("a", "Sony WH-1000XM5 Headphones", 50);
    headphones.brand = Some("Sony".into());
    headphones.category = vec!["Audio".into(), "Headphones".into()];
    headphones.attributes.insert("cost_of_goods".into(), AttributeValue::One("confidential777".into()));
    headphones.attributes.insert("color".into(), AttributeValue::Many(vec!["black".into(), "silver".into()]));
    let mut pads = product("b", "Ear Pads", 10);
    pads.description = Some("Fit many headphones, among them Sony.".into());
    let mut speaker = product("c", "Crème Speaker", 90);
    speaker.category = vec!["Audio".into()];
    speaker.sku = Some("SPK-1".into());
    open_shop(SETTINGS, vec![(vec![speaker, headphones, pads], Vec::new())])
}

fn ids(index: &Index, q: &str) -> Vec<String> {
    search(index, RawRequest { q: q.into(), ..Default::default() }).ids
}

#[test]
fn words_prefixes_and_fields() {
    let shop = shop();
    let check = |q: &str, expected: &[&str]| assert_eq!(ids(&shop.index, q), expected, "{q}");
    check("", &["c", "a", "b"]);
    check("headphones", &["a", "b"]);
    check("sony headpho", &["a", "b"]);
    check("CREME spe", &["c"]);
    // Any word will do where fewer products than `min_results` have all; better matches still come first.
    check("spk 1", &["c", "a"]);
    check("zzz", &[]);
    check("ear headphones", &["b", "a"]);
    check("s", &["c", "a", "b"]);
}

#[test]
fn private_attributes_are_nowhere() {
    let shop = shop();
    assert_eq!(ids(&shop.index, "confidential777"), Vec::<String>::new());
    for part in &shop.index.snapshot().segments {
        let bytes: &[u8] = part.segment.bytes();
        assert!(!bytes.windows(15).any(|window| window == b"confidential777"), "the value is in the segment");
        assert!(bytes.windows(6).any(|window| window == b"silver"), "the search above would find a public value");
    }
}

#[test]
fn records_hold_every_public_field() {
    let shop = shop();
    let (segment, record) = shop.index.product("a").expect("a product");
    let names = shop.index.snapshot().segments[segment].segment.attribute_keys();
    let json: Vec<String> = record
        .fragments()
        .map(|(key, json)| {
            let name = match key {
                snapshots::FragmentKey::Field(place) => snapshots::PRODUCT_FIELDS[place],
                snapshots::FragmentKey::Attribute(number) => &names[number],
            };
            format!("{name}={}", String::from_utf8_lossy(json))
        })
        .collect();
    assert_eq!(
        json,
        [
            "id=\"a\"",
            "title=\"Sony WH-1000XM5 Headphones\"",
            "brand=\"Sony\"",
            "category=[\"Audio\",\"Headphones\"]",
            "price={\"amount_minor\":1999,\"currency\":\"USD\"}",
            "availability=\"in_stock\"",
            "popularity=50",
            "\"color\"=[\"black\",\"silver\"]",
        ]
    );
    assert!(shop.index.product("nope").is_none());
}

#[test]
fn categories_are_a_tree() {
    let shop = shop();
    let tree = shop.index.categories(None).expect("a tree");
    let flat: Vec<(&str, u64, usize)> = tree.iter().map(|one| (one.name(), one.count, one.children.len())).collect();
    assert_eq!(flat, [("Audio", 2, 1)]);
    let below = shop.index.categories(Some("Audio")).expect("a category");
    assert_eq!((below[0].path.as_str(), below[0].count), ("Audio > Headphones", 1));
    assert!(shop.index.categories(Some("Nope")).is_none());
}

/// A shop with these titles and nothing else; ids are their places.
fn titles(settings: &str, titles: &[&str]) -> Shop {
    let products = titles.iter().enumerate();
    let products =
        products.map(|(number, title)| Product::new(ProductId::new(number.to_string()).expect("an id"), *title));
    open_shop(settings, vec![(products.collect(), Vec::new())])
}

const PLAIN: &str = "name = \"plain\"\ncurrency = \"USD\"\n";

fn check_finds(shop: &Shop, queries: &[&str], expected: &str) {
    for q in queries {
        let found = ids(&shop.index, q);
        assert_eq!(found.first().map(String::as_str), Some(expected), "{q}: {found:?}");
    }
}

#[test]
fn forms_of_words_numbers_and_codes_are_one() {
    let shop = titles(
        PLAIN,
        &[
            "HP Pavilion dv7-1211ea Notebook",
            "Monitor 13.3 in. wide",
            "Garden hose 100 ft",
            "Plywood 2 in. x 4 in.",
            "Men's T-Shirts, black & white",
            "Wi-Fi Router",
            "Bluetooth Speakers",
            "Rain Suit",
            "Water bottle 1.5 l",
            "Kitchen scale",
        ],
    );
    check_finds(&shop, &["dv7-1211ea", "dv7 1211ea", "dv71211ea", "DV7/1211EA"], "0");
    check_finds(&shop, &["13.3 inch monitor", "13.3\" monitor", "monitor 13.3in", "13.3-inch monitors"], "1");
    check_finds(&shop, &["100 ft hose", "100ft hoses", "100' hose", "hose 100 feet"], "2");
    check_finds(&shop, &["2x4", "2 x 4", "2\"x4\" plywood", "2 in x 4 in"], "3");
    check_finds(&shop, &["man t shirt", "t-shirt", "tshirt", "black and white shirt", "mens shirts"], "4");
    check_finds(&shop, &["wifi", "wi fi router", "WI-FI"], "5");
    check_finds(&shop, &["blue tooth speaker", "bluetooth speaker", "bluetoth speaker"], "6");
    check_finds(&shop, &["rainsuit", "rain suits"], "7");
    check_finds(&shop, &["1.5l bottle", "1.5 litre bottle"], "8");
}

/// As [`check_finds`], where nothing else is found, no word is left out, and none is lacking.
fn check_finds_whole(shop: &Shop, queries: &[&str], expected: &str) {
    for q in queries {
        let found = search(&shop.index, RawRequest { q: (*q).into(), ..Default::default() });
        assert_eq!((found.ids, found.dropped), (vec![expected.to_owned()], Vec::new()), "{q}");
        assert_eq!(found.missing, [Vec::<String>::new()], "{q}");
    }
}

#[test]
fn numbers_are_found_in_any_spelling() {
    let strict = format!("{PLAIN}[search]\nmin_results = 1\n");
    let shop = titles(
        &strict,
        &[
            "Plywood 2 in. x 4 in.",
            "Siding 4 ft. x 8 ft.",
            ".5 in. copper elbow",
            "Bolt 3½ in. long",
            "Kettle 1.50 l",
            "Knives for women",
        ],
    );
    check_finds_whole(&shop, &["2\"x4\" plywood", "2 x 4 plywood"], "0");
    check_finds_whole(&shop, &["4'x8' siding", "4ft x 8ft siding", "siding 4x8"], "1");
    check_finds_whole(&shop, &["elbow 0.5 in", "elbow .50\"", "copper elbow .5in"], "2");
    check_finds_whole(&shop, &["bolt 3 1/2 in", "bolt 3-1/2\"", "bolt 3½"], "3");
    check_finds_whole(&shop, &["kettle 1.5 l", "1.5l kettle"], "4");
    check_finds_whole(&shop, &["knife woman", "womens knives", "women's knife"], "5");
    let german = titles(
        "name = \"de\"\ncurrency = \"EUR\"\nlocale = \"de\"\n[search]\nmin_results = 1\n",
        &["Kanne 1,5 Liter", "Monitor 27 Zoll", "Lampe 1.000 W"],
    );
    check_finds_whole(&german, &["Kanne 1,5 l", "Kanne 1.5l"], "0");
    check_finds_whole(&german, &["Monitor 27\"", "27zoll Monitor"], "1");
    check_finds_whole(&german, &["Lampe 1000W"], "2");
}

#[test]
fn a_title_of_many_words_is_found_when_it_is_pasted() {
    let long: Vec<String> = (0..40).map(|number| format!("word{number}")).collect();
    let long = long.join(" ");
    let shop = titles(PLAIN, &["word0 word1 word2", &long]);
    check_finds(&shop, &[&long], "1");
}

/// A letter says which one is meant, but what lacks it is found as well.
#[test]
fn a_letter_at_the_end_says_what_comes_first() {
    let check = |locale: &str, titles: &[&str], q: &str, expected: &[&str], dropped: &[&str]| {
        let found = search(&strict(locale, titles).index, RawRequest { q: q.into(), ..Default::default() });
        assert_eq!((found.ids, found.dropped), (owned(expected), owned(dropped)), "{q}");
        assert!(found.missing.iter().all(Vec::is_empty), "{q}");
    };
    let vitamins = ["Vitamin D drops", "Vitamin A drops", "A drop of paint"];
    check("en", &vitamins, "vitamin a", &["1", "0"], &["a"]);
    check("en", &vitamins, "vitmain a", &["1", "0"], &["a"]);
    check("en", &vitamins, "a vitamin", &["0", "1"], &["a"]);
    check("en", &["USB hub, black", "USB-A hub, black"], "hub usb a", &["1", "0"], &["a"]);
    check("fr", &["Vitamine C gouttes", "Vitamine D gouttes"], "vitamine d", &["1", "0"], &["d"]);
    let printers = ["Printer stand", "Printer ink"];
    check("en", &printers, "printer in", &["0", "1"], &["in"]);
    check("en", &printers, "printer for", &["0", "1"], &["for"]);
}

/// It was once looked for as the beginning of other words: what has none was lost, and too few of those opened all that has
/// some.
#[test]
fn a_stop_word_at_the_end_neither_loses_nor_adds() {
    let all = repeat_n("Boots for men", 22).chain(repeat_n("Red boots", 8)).chain(repeat_n("Chromebook", 3));
    let all = all.chain(repeat_n("Chromebook for school", 2)).chain(repeat_n("Forks of a set, for the table", 30));
    let shop = titles(PLAIN, &all.collect::<Vec<_>>());
    let found = |q: &str| search(&shop.index, RawRequest { q: q.into(), ..Default::default() });
    for (q, expected) in
        [("boots for", 30), ("boots a", 30), ("chromebook for", 5), ("chromebook a", 5), ("qwzx the", 0), ("qwzx a", 0)]
    {
        assert_eq!(found(q).found, expected, "{q}");
    }
    let rods = strict("en", &["Curtain rod front", "Curtain rod"]);
    let found = search(&rods.index, RawRequest { q: "curtain rod from".into(), ..Default::default() });
    assert_eq!((found.ids.len(), found.corrected), (2, None), "a stop word is no misspelling");
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_number_alone_is_not_a_quantity() {
    let all = [
        "5 pc bucket set, white",
        "Bucket, white, with lid and handle, made of galvanized steel, 5 gal",
        "Bucket 5, white",
        "White bucket, 2 gal",
    ];
    let shop = strict("en", &all);
    assert_eq!(ids(&shop.index, "5 gal bucket"), ["1", "2", "0"]);
    // Where no product has the quantity, the number is as good.
    assert_eq!(ids(&shop.index, "5 qt bucket").len(), 3);
}

#[test]
fn words_that_are_written_as_one_or_as_two_find_both() {
    let mut all = vec!["Mini hacksaw", "Folding hacksaw", "Stone firepit", "Saw blade", "Hack for a garden"];
    all.extend([
        "Steel fire pit",
        "Round fire pit",
        "Gas fire pit",
        "Fire blanket",
        "Barbecue pit cover",
        "Long shoelace",
        "Red ribbon",
    ]);
    let shop = titles(PLAIN, &all);
    let check = |q: &str, expected: &[&str]| {
        let mut best = ids(&shop.index, q);
        best.truncate(expected.len());
        best.sort_unstable();
        assert_eq!(best, expected, "{q}");
    };
    check("hack saws", &["0", "1"]);
    check("firepit", &["2", "5", "6", "7"]);
    check("firepits", &["2", "5", "6", "7"]);
    // "Shoelacered" only looks like a form of "shoelace", which is not red.
    let found = search(&shop.index, RawRequest { q: "red shoelace red".into(), ..Default::default() });
    let shoelace = found.ids.iter().position(|id| id == "10").expect("the shoelace");
    assert_eq!(found.missing[shoelace], ["red"]);
    // Nothing says that a hacksaw is two words.
    check("hacksaw", &["0", "1"]);
}

#[test]
fn another_reading_may_be_of_common_words() {
    // What the words of a reading are worth was once looked up for words that it does not have.
    let pits: Vec<String> = (0..90).map(|number| format!("Fire pit {number}")).collect();
    let mut all: Vec<&str> = pits.iter().map(String::as_str).collect();
    all.push("Stone firepit");
    let shop = titles(PLAIN, &all);
    let found = search(&shop.index, RawRequest { q: "firepit".into(), per_page: Some(100), ..Default::default() });
    assert_eq!((found.ids.len(), &*found.ids[0]), (91, "90"));
}

/// Colours stand among attributes, which count little: black boots once opened every boot and every black thing.
#[test]
fn what_has_all_words_is_enough_wherever_they_stand() {
    // Few others, and so many that the rarer word leads.
    for others in [10, 300] {
        let shop = |title: &str, color: &str| {
            let boots = |number: usize| {
                let is_meant = number < 25;
                let mut boots = product(&format!("p{number:03}"), if is_meant { title } else { "Boots" }, 1);
                let color = if is_meant { color } else { "brown" };
                boots.attributes.insert("color".into(), AttributeValue::One(color.into()));
                boots
            };
            let mut products: Vec<Product> = (0..25 + others).map(boots).collect();
            products.push(product("belt", "Black belt", 1));
            open_shop(SETTINGS, vec![(products, Vec::new())])
        };
        let found = |shop: &Shop, q: &str| search(&shop.index, RawRequest { q: q.into(), ..Default::default() }).found;
        let black = shop("Boots", "black");
        assert_eq!((found(&black, "black boots"), found(&black, "boots black")), (25, 25), "{others} others");
        // A longer word is another one.
        let blackened = shop("Boots, blackened", "brown");
        assert_eq!(found(&blackened, "boots black"), 26 + others as u64, "{others} others");
    }
}

#[test]
fn facets_of_many_hits_are_counted_to_the_last() {
    let lamp = |number: usize| {
        let mut lamp = product(&format!("p{number:04}"), "Lamp", 1);
        lamp.brand = Some(["Acme", "Best", "Core"][number % 3].to_owned());
        lamp
    };
    let shop = open_shop(SETTINGS, vec![((0..1_501).map(lamp).collect(), Vec::new())]);
    let raw = RawRequest { q: "lamp".into(), facets: vec!["brand".into()], ..Default::default() };
    let answer = shop.index.search(&shop.index.request(raw).expect("a request")).expect("an answer");
    let brands = ["Acme", "Best", "Core"].map(str::to_owned);
    assert_eq!(answer.facets[0].values, brands.into_iter().zip([501, 500, 500]).collect::<Vec<_>>());
}

#[test]
fn misspelled_words_are_corrected_and_told() {
    let shop = titles(PLAIN, &["Lawn sprinkler", "Lawn mower", "Steel shelf", "Window blinds", "Model 5501 lamp"]);
    let check = |q: &str, first: &str, corrected: Option<&str>| {
        let found = search(&shop.index, RawRequest { q: q.into(), ..Default::default() });
        assert_eq!(found.ids.first().map(String::as_str), Some(first), "{q}");
        assert_eq!(found.corrected.as_deref(), corrected, "{q}");
    };
    check("lawn sprkinler", "0", Some("lawn sprinkler"));
    check("widnow blinds", "3", Some("window blinds"));
    check("lawnmower", "1", Some("lawn mower"));
    check("steel shelf", "2", None);
    // A number is never taken for another one; a word that no product has is dropped, and told.
    let found = search(&shop.index, RawRequest { q: "lamp 5502 qqqq".into(), ..Default::default() });
    assert_eq!((found.ids, found.corrected), (vec!["4".to_owned()], None));
    assert_eq!(found.dropped, ["5502", "qqqq"]);
}

/// One product with all words is enough: what is looser is found only where that is what is tested.
const STRICT: &str = "name = \"strict\"\ncurrency = \"USD\"\n[search]\nmin_results = 1\n";

fn strict(locale: &str, all: &[&str]) -> Shop {
    titles(&format!("locale = \"{locale}\"\n{STRICT}"), all)
}

#[test]
fn a_correction_leaves_the_rest_of_the_query_as_it_was_typed() {
    let check = |locale: &str, titles: &[&str], q: &str, expected: &str| {
        let found = search(&strict(locale, titles).index, RawRequest { q: q.into(), ..Default::default() });
        assert_eq!(found.corrected.as_deref(), Some(expected), "{q}");
        assert_eq!(found.ids, ["0"], "{q}");
    };
    check("en", &["Laptop 13\" sleeve"], "13\" labtop", "13\" laptop");
    check("en", &["Case for iPhone"], "Case for iphne", "Case for iphone");
    check("en", &["Laptop bag"], "labtop bag, labtop", "laptop bag, laptop");
    check("en", &["Lawn mower, 3-blade"], "Lawnmower 3-blade", "lawn mower 3-blade");
    check("de", &["Schöne Taschen"], "Schöne Tashcen", "Schöne taschen");
    check("ja", &["運動靴 sneaker"], "運動靴 sneakr", "運動靴 sneaker");
}

#[test]
fn the_type_that_a_query_names_comes_first() {
    let shop = titles(
        PLAIN,
        &[
            "Laptop bag with camera pocket",
            "Acme 15 laptop, black",
            "Stand for laptop",
            "Camera bag",
            "Digital camera 24 MP",
        ],
    );
    let first_two = |q: &str| ids(&shop.index, q)[..2].to_vec();
    assert_eq!(first_two("laptop")[0], "1");
    assert_eq!(first_two("camera")[0], "4");
    assert_eq!(first_two("camera bag")[0], "3");
}

#[test]
fn a_misspelling_that_several_titles_have_finds_what_far_more_have() {
    let shop = |misspelled: usize, right: usize| {
        let all = repeat_n("Smasung phone", misspelled).chain(repeat_n("Samsung phone", right));
        titles(PLAIN, &all.collect::<Vec<_>>())
    };
    let found = |misspelled, right| {
        let found = search(&shop(misspelled, right).index, RawRequest { q: "smasung".into(), ..Default::default() });
        assert!(found.ids[..misspelled].iter().all(|id| id.parse::<usize>().expect("a number") < misspelled));
        assert_eq!(found.corrected, None, "what products have stays as it was typed");
        found.found as usize
    };
    assert_eq!(found(4, 160), 164);
    // So many titles are hardly mistaken, unless very many say something else.
    assert_eq!(found(4, 159), 4);
    assert_eq!(found(10, 400), 10);
}

#[test]
fn what_a_query_only_mentions_is_not_its_type() {
    let shop = strict(
        "en",
        &["Laptop with bag, black", "Bag for laptop, black", "HDMI for VGA adapter", "Adapter, HDMI to VGA"],
    );
    assert_eq!(ids(&shop.index, "bag for laptop"), ["1", "0"]);
    assert_eq!(ids(&shop.index, "laptop with bag"), ["0", "1"]);
    assert_eq!(ids(&shop.index, "hdmi to vga adapter"), ["3", "2"], "what stands behind other prepositions is meant");
    let german = strict("de", &["Laptop mit Tasche, neu", "Tasche für Laptop, neu"]);
    assert_eq!(ids(&german.index, "Tasche für Laptop"), ["1", "0"]);
    let french = strict("fr", &["Noir cuir, pour sac", "Sac en cuir noir", "Chaussures housse", "Housse chaussures"]);
    assert_eq!(ids(&french.index, "sac cuir"), ["1", "0"], "the noun comes first");
    assert_eq!(ids(&french.index, "housse chaussures"), ["3", "2"]);
}

#[test]
fn other_languages_have_their_own_words() {
    let german = titles("name = \"de\"\ncurrency = \"EUR\"\nlocale = \"de\"\n", &["Häuser aus Holz", "Schöne Taschen"]);
    check_finds(&german, &["haus", "HÄUSER", "hauser holz"], "0");
    check_finds(&german, &["tasche", "schone tasche für"], "1");
    let japanese = titles("name = \"ja\"\ncurrency = \"JPY\"\nlocale = \"ja\"\n", &["運動靴 白", "ガラスの器"]);
    check_finds(&japanese, &["靴", "運動", "運動靴"], "0");
    check_finds(&japanese, &["ガラス", "器"], "1");
    let settings = "name = \"ja\"\ncurrency = \"JPY\"\nlocale = \"ja\"\n[search]\nmin_results = 1\n";
    let japanese = titles(settings, &["運動靴セット 白", "ﾊﾞｯｸﾞ 黒", "モニター 27インチ"]);
    check_finds_whole(&japanese, &["運動靴 白", "運動 白"], "0");
    check_finds_whole(&japanese, &["バッグ", "バッグ 黒", "ﾊﾞｯｸﾞ"], "1");
    check_finds_whole(&japanese, &["モニター ２７インチ"], "2");
    let marked = |query: &str, text: &str| {
        let (words, mut out) = (japanese.index.words_of(query), String::new());
        Highlighter::new(&japanese.index, &words).write(text, "[", "]", &mut out);
        out
    };
    assert_eq!(marked("運動靴", "白い運動靴 白"), "白い[運動][靴] 白");
    assert_eq!(marked("バッグ", "赤いﾊﾞｯｸﾞ"), "赤い[ﾊﾞｯ][ｸﾞ]");
}

#[test]
fn words_of_products_that_nobody_sees_correct_nothing() {
    let outdated = vec![product("old", "Walnut table", 5)];
    let shop = open_shop(SETTINGS, vec![(vec![product("a", "Oak chair", 1)], outdated)]);
    let found = search(&shop.index, RawRequest { q: "walmut".into(), ..Default::default() });
    assert_eq!((found.corrected, found.found), (None, 0));
}

#[test]
fn compounds_are_found_by_what_they_end_in_and_by_their_parts() {
    let settings = "name = \"t\"\ncurrency = \"EUR\"\nlocale = \"de\"\n";
    let products = vec![
        product("a", "Lederschuhe für Herren", 3),
        product("b", "Schuhe aus Leder", 2),
        product("c", "Arbeitshose", 1),
        product("d", "Arbeit und Hose", 1),
    ];
    let shop = open_shop(settings, vec![(products, Vec::new())]);
    assert_eq!(ids(&shop.index, "Schuhe"), ["b", "a"], "the word itself stands before compounds");
    let corrected = search(&shop.index, RawRequest { q: "Schuhhe".into(), ..Default::default() });
    assert_eq!((corrected.ids, corrected.corrected.as_deref()), (vec!["b".into(), "a".into()], Some("schuhe")));
    let mut found = ids(&shop.index, "Hosen");
    found.sort_unstable();
    assert_eq!(found, ["c", "d"], "another form, and parts held together by a letter");
    assert!(ids(&shop.index, "Hosenleder").contains(&"b".to_owned()), "a compound that no product has is split");
}

#[test]
fn short_words_and_beginnings_that_are_no_words_make_compounds() {
    let finds = |locale: &str, all: &[&str], q: &str, expected: &[&str]| {
        assert_eq!(ids(&strict(locale, all).index, q), expected, "{q}");
    };
    let watches = ["Armbanduhr, blau", "Uhr, blau", "Armband, blau", "Kultuhr, blau"];
    finds("de", &watches, "Uhr", &["1", "0"]);
    finds("de", &watches, "Uhren", &["1", "0"]);
    finds("de", &["Armbanduhr, blau", "Armband, blau"], "Uhr", &[]);
    finds("de", &["Armbanduhr, blau", "Armband, blau", "Uhren, blau"], "Uhr", &["2", "0"]);
    finds("da", &["Herresko, sort", "Sko, sort", "Jakke til herre"], "sko", &["1", "0"]);
    let rubber = ["Gummistiefel, grau", "Gummiboot, grau", "Gummiball, grau", "Boot, grau", "Ball, grau"];
    finds("de", &rubber, "Stiefel", &["0"]);
    finds("de", &rubber[..4], "Stiefel", &[]);
    let tables = ["Tisch, weiß", "Tische, weiß", "Praktisch, weiß", "Praktische Dose", "Praktischer Halter"];
    finds("de", &tables, "Tisch", &["0", "1"]);
}

#[test]
fn compounds_that_many_products_have_are_found_in_parts_too() {
    let german = "name = \"de\"\ncurrency = \"EUR\"\nlocale = \"de\"\n";
    let compound = "Lederschuhe, braun";
    let shop = titles(german, &["Schuhe aus Leder", compound, compound, compound, compound, "Lederpflege für Schuhe"]);
    let found = search(&shop.index, RawRequest { q: "Lederschuhe".into(), ..Default::default() });
    assert_eq!(found.ids, ["1", "2", "3", "4", "0"]);
    assert_eq!((found.found, found.corrected), (5, None));
    assert!(found.missing.iter().all(Vec::is_empty), "{:?}", found.missing);
}

#[test]
fn words_that_many_products_have_are_united_over_all_of_them() {
    let title = |number: u32| {
        let word = |every: u32, word: &'static str| if number.is_multiple_of(every) { word } else { "" };
        format!("Thing {} {} {}", word(2, "alpha"), word(3, "beta"), word(1_000, "gamma"))
    };
    let products = (1..=5_000).map(|number| product(&format!("p{number:04}"), &title(number), 0)).collect();
    let shop = open_shop(SETTINGS, vec![(products, Vec::new())]);
    let all = |q: &str, found: u64| {
        let page = |page| RawRequest { q: q.into(), page: Some(page), per_page: Some(100), ..Default::default() };
        let pages: Vec<_> = (1..=50).map(|number| search(&shop.index, page(number))).collect();
        assert!(pages.iter().all(|page| page.found == found), "{q}: {}", pages[0].found);
        let mut ids: Vec<String> = pages.into_iter().flat_map(|page| page.ids).collect();
        ids.sort_unstable();
        ids
    };
    let divisible = |by: &[u32]| -> Vec<String> {
        let numbers = (1..=5_000_u32).filter(|number| by.iter().all(|by| number.is_multiple_of(*by)));
        numbers.map(|number| format!("p{number:04}")).collect()
    };
    assert_eq!(all("alpha beta", 833), divisible(&[2, 3]));
    assert_eq!(all("alpha beta thing", 833), divisible(&[2, 3]));
    // Too few have all three: those that lack one word follow, then those that have any.
    let three = search(&shop.index, RawRequest { q: "gamma alpha beta".into(), ..Default::default() });
    assert_eq!(three.ids[..2], ["p3000", "p1000"], "all, then all but one");
    assert_eq!((three.missing[0].len(), &three.missing[1][..]), (0, &["beta".to_owned()][..]));
    assert_eq!(three.found, 833 + 4, "those of alpha and beta, and 1000, 2000, 4000 and 5000");
}
