//! What is found, how much of it, and what comes first.

use std::iter::repeat_n;

use search::{Highlighter, RawRequest};
use snapshots::{AttributeValue, Product};

use super::{PLAIN, SETTINGS, check_finds, check_finds_whole, ids, product, strict, titles};
use crate::support::{Shop, open_shop, search};

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

/// "AT&T" was once "t", and found whatever begins so.
#[test]
fn a_stop_word_that_is_joined_to_another_is_looked_for() {
    let phones = strict("en", &["Tablet, new", "AT&T phone", "Television set"]);
    check_finds_whole(&phones, &["at&t", "AT&T phone"], "1");
    let headphones = strict("en", &["In-ear headphones", "On-ear headphones"]);
    check_finds_whole(&headphones, &["in-ear headphones"], "0");
    check_finds_whole(&headphones, &["on-ear headphones", "on-ear headphones on"], "1");
    let dresses = strict("en", &["Dress, straight line", "A-line dress"]);
    check_finds_whole(&dresses, &["a-line dress", "dress a-line"], "1");
    let routers = strict("fr", &["Link routeur", "D-Link routeur"]);
    check_finds_whole(&routers, &["d-link routeur"], "1");
    // Between two others it may be written otherwise.
    let rugs = strict("en", &["Black & white rug", "Drop-in sink"]);
    let found = search(&rugs.index, RawRequest { q: "black-and-white rug".into(), ..Default::default() });
    assert_eq!((found.ids, found.dropped), (owned(&["0"]), owned(&["and"])));
    assert_eq!(found.missing, [Vec::<String>::new()]);
}

/// "A-line" once opened whatever has "a" or "line", where few are called so.
#[test]
fn what_shares_a_stop_word_with_a_query_is_not_found() {
    let check = |titles_of: &[&str], q: &str, expected: &[&str], dropped: &[&str]| {
        let found = search(&titles(PLAIN, titles_of).index, RawRequest { q: q.into(), ..Default::default() });
        let mut ids = found.ids;
        ids.sort_unstable();
        assert_eq!((ids, found.found, found.dropped), (owned(expected), expected.len() as u64, owned(dropped)), "{q}");
    };
    check(&["A-line dress", "A lamp", "Fishing line"], "a-line", &["0"], &[]);
    check(&["AT&T phone", "Lamp at home", "Table"], "at&t", &["0"], &[]);
    let ears = ["On-ear headphones", "Lamp on sale", "Headphones", "Ear plugs", "In-ear headphones"];
    check(&ears, "on-ear headphones", &["0", "2", "3", "4"], &[]);
    // Without the word that it is joined to it says nothing.
    let dresses = ["A dress", "Dress", "A lamp"];
    check(&dresses, "a-qwzx dress", &["0", "1"], &["a", "qwzx"]);
    check(&dresses, "a-qwzx", &[], &[]);
}

#[test]
fn a_stop_word_that_is_joined_to_another_is_not_marked_everywhere() {
    let shop = strict("en", &["A-line dress"]);
    let request = shop.index.request(RawRequest { q: "a-line dress".into(), ..Default::default() });
    let answer = shop.index.search(&request.expect("a request")).expect("an answer");
    assert_eq!(answer.words, ["a", "line", "dress"]);
    let mut out = String::new();
    Highlighter::new(&shop.index, &answer.words).write("A dress with a line", "[", "]", &mut out);
    assert_eq!(out, "A [dress] with a [line]");
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

/// Only the best 200 by their words were once asked for their type: more bags than that stood before every laptop.
#[test]
fn the_type_comes_first_however_many_match() {
    for laptops in [30, 240] {
        let bags = (0..260).map(|number| product(&format!("bag{number:03}"), "Laptop bag", 100));
        let laptop = |number| product(&format!("laptop{number:03}"), "Black laptop", 1);
        let (mut base, mut update) = (bags.collect::<Vec<_>>(), Vec::new());
        for number in 0..laptops {
            let segment = if number % 2 == 0 { &mut base } else { &mut update };
            segment.push(laptop(number));
        }
        let shop = open_shop(PLAIN, vec![(base, Vec::new()), (update, Vec::new())]);
        let mut ids = Vec::new();
        for page in 1..=5 {
            let q = "laptop".to_owned();
            let raw = RawRequest { q, page: Some(page), per_page: Some(100), explain: true, ..Default::default() };
            let answer = shop.index.search(&shop.index.request(raw).expect("a request")).expect("an answer");
            for hit in answer.hits {
                let parts = hit.parts.expect("an explanation");
                assert!((parts.total() - hit.score).abs() < 1e-4, "{parts:?}");
                ids.push(shop.index.record(hit.segment, hit.doc).id().to_owned());
                assert_eq!(parts.product_type > 0.0, ids.len() <= laptops, "{parts:?}");
            }
        }
        let expected = (0..laptops).map(|number| format!("laptop{number:03}"));
        let expected: Vec<String> = expected.chain((0..260).map(|number| format!("bag{number:03}"))).collect();
        assert_eq!(ids, expected, "{laptops} laptops");
    }
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
/// "glidden gl ext sg base 1" found 574,264 of a million products, since whatever had any of the words was found.
#[test]
fn no_more_words_may_be_lacking_than_it_takes() {
    const WORDS: [&str; 4] = ["bronze", "ceiling", "kitchen", "lamp"];
    // Products that lack one to three of the words, the best of them last, so that what is too much is met first.
    let check = |lacking: [usize; 3], q: &str, expected: usize| {
        let [one, two, three] = lacking;
        let counts = [(3, three), (2, two), (1, one)]
            .into_iter()
            .flat_map(|(lacks, count)| (0..count).map(move |number| (lacks, number)));
        let titled = |(lacks, number): (usize, usize)| {
            let words: Vec<&str> = (lacks..WORDS.len()).map(|place| WORDS[(place + number) % WORDS.len()]).collect();
            words.join(" ")
        };
        let all = (0..).zip(counts.map(titled));
        let all: Vec<Product> = all.map(|(id, title)| product(&format!("{id:04}"), &title, 9_999 - id)).collect();
        let (some, others): (Vec<_>, Vec<_>) = all.iter().cloned().enumerate().partition(|(place, _)| place % 3 == 0);
        let part = |products: Vec<(usize, Product)>| products.into_iter().map(|(_, one)| one).collect();
        let [one, two] = [vec![(all.clone(), Vec::new())], vec![(part(some), Vec::new()), (part(others), Vec::new())]]
            .map(|segments| {
                let raw = RawRequest { q: q.into(), per_page: Some(100), ..Default::default() };
                let found = search(&open_shop(PLAIN, segments).index, raw);
                let lacks = found.missing.iter().map(Vec::len);
                (found.found as usize, found.ids, lacks.collect::<Vec<_>>())
            });
        assert_eq!((one.0, one == two), (expected, true), "{lacking:?}: {one:?} {two:?}");
        assert!(one.2.is_sorted(), "{lacking:?}: {:?}", one.2);
    };
    let all = "bronze ceiling kitchen lamp";
    // Twenty are enough for a page, but what lacks most opens only where fewer are found than are looked at again.
    check([30, 300, 5_000], all, 30);
    check([5, 300, 5_000], all, 305);
    check([5, 190, 5_000], all, 5_195);
    check([0, 200, 5_000], all, 200);
    check([0, 0, 5_000], all, 5_000);
    check([5, 300, 5_000], "bronze ceiling kitchen la", 305);
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
