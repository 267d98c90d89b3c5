//! Words, numbers and codes however they are written, and misspelled.

use std::iter::repeat_n;

use search::RawRequest;

use super::{PLAIN, SETTINGS, check_finds, check_finds_whole, ids, product, strict, titles};
use crate::support::{open_shop, search};

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

/// Only titles were once known to the letter, and zeros before a SKU were as good as none.
#[test]
fn a_code_to_the_letter_comes_before_those_that_only_look_like_it() {
    let coded = |id: &str, sku: Option<&str>, gtin: Option<&str>, popularity| {
        let mut thing = product(id, "Thing", popularity);
        thing.brand = Some("Acme".into());
        thing.sku = sku.map(str::to_owned);
        thing.gtins = gtin.map(str::to_owned).into_iter().collect();
        thing
    };
    let things = vec![
        coded("a", Some("1-23"), None, 40),
        coded("b", Some("12-3"), None, 30),
        coded("c", Some("123"), None, 20),
        coded("d", Some("00123"), None, 10),
        coded("digits", Some("12345678905"), None, 9),
        coded("gtin", None, Some("0012345678905"), 5),
    ];
    let shop = open_shop(SETTINGS, vec![(things, Vec::new())]);
    check_finds(&shop, &["1-23", "1/23", "acme 1-23"], "a");
    check_finds(&shop, &["12-3", "ACME  12-3", "１２－３", "Acme\u{3000}１２-３"], "b");
    check_finds(&shop, &["123"], "c");
    check_finds(&shop, &["00123", "Acme 00123"], "d");
    check_finds(&shop, &["12345678905"], "digits");
    check_finds(&shop, &["0012345678905", "012345678905"], "gtin");
}

/// A laptop with its whole name as SKU stood before the one that is called no more than that.
#[test]
fn a_title_to_the_letter_comes_before_a_brand_and_its_sku() {
    let mut longer = product("longer", "Acme Book 615 with 2 GB", 40);
    longer.brand = Some("Acme".into());
    longer.sku = Some("Book 615".into());
    let shop = open_shop(SETTINGS, vec![(vec![longer, product("called", "Acme Book 615", 10)], Vec::new())]);
    check_finds(&shop, &["Acme Book 615", "acme  book 615"], "called");
    check_finds(&shop, &["book 615"], "longer");
}

#[test]
fn plurals_that_no_stemmer_knows_are_found() {
    let pairs = [("lens", "lenses"), ("bus", "buses"), ("tv", "tvs"), ("cd", "cds"), ("gas", "gases"), ("pc", "pcs")];
    for (one, several) in pairs.map(|(one, several)| (format!("{one} white"), format!("{several} white"))) {
        check_finds_whole(&strict("en", &[&one, "white paint"]), &[&several], "0");
        check_finds_whole(&strict("en", &[&several, "white paint"]), &[&one], "0");
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
    check_finds_whole(
        &german,
        &["Monitor 27\"", "27zoll Monitor", "27“ Monitor", "Monitor 27´´", "27 \" Monitor"],
        "1",
    );
    check_finds_whole(&german, &["Lampe 1000W"], "2");
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

/// Short codes were once never joined, codes were split between letters and digits only, and no longer once a single title
/// had the joined form.
#[test]
fn codes_are_found_with_and_without_a_space() {
    let check = |spaced: &str, joined: &str| {
        let (first, second) = (format!("{spaced} controller, new"), format!("{joined} controller, new"));
        let other = "Controller for others, 22 or 5 keys";
        let queries = [spaced, joined].map(|code| [code.to_lowercase(), format!("{code} controller")]);
        for title in [&first, &second] {
            let alone = strict("en", &[other, title]);
            queries.iter().flatten().for_each(|q| check_finds_whole(&alone, &[q], "1"));
        }
        let both = strict("en", &[other, &first, &second]);
        for (q, expected) in [(&queries[0][1], ["1", "2"]), (&queries[1][1], ["2", "1"])] {
            assert_eq!(ids(&both.index, q), expected, "{q}: what is written as it was typed comes first");
        }
    };
    check("PS 5", "PS5");
    check("S 22", "S22");
    check("R 5", "R5");
    check("RTX 3080", "RTX3080");
    check("DF 333", "DF333");
    check("dv7 1211ea", "dv71211ea");
    check("45 1234", "451234");
    check("45-1234", "451234");
}

/// Each pair of parts may cost thousands of steps, and a query of numbers once had 160 of them.
#[test]
fn so_many_parts_of_codes_are_looked_for_at_the_most() {
    let parts = |digit: &str| (1..6).map(|length| digit.repeat(length)).collect::<Vec<_>>().join(" ");
    let parts = ["1", "2", "3", "4"].map(parts).join(" ");
    let shop = strict("en", &["Set 111111 222222 333333 444444 45 1234", &parts]);
    check_finds_whole(&shop, &["451234", "111111 222222 333333 451234"], "0");
    let raw = RawRequest { q: "111111 222222 333333 444444 451234".into(), ..Default::default() };
    let found = search(&shop.index, raw);
    assert_eq!((found.ids, found.dropped), (vec!["0".to_owned()], vec!["451234".to_owned()]));
}

#[test]
fn several_in_one_are_no_measure() {
    let all =
        ["2-in-1 laptop", "Convertible laptop, 2 in 1", "2in1 tablet, laptop", "2-in-1 14\" laptop", "Laptop 2 in."];
    let shop = strict("en", &all);
    for q in ["2in1 laptop", "2-in-1 laptop", "2 in 1 laptop"] {
        let mut found = ids(&shop.index, q);
        found.sort_unstable();
        assert_eq!(found, ["0", "1", "2", "3"], "{q}");
    }
}

#[test]
fn parts_of_a_code_are_found_side_by_side_only() {
    let games = ["PS5 game, new", "PS game for 5 players", "PS 5 stand", "Game, B1 2 tablets", "Game, B12"];
    let apart = strict("en", &games);
    check_finds_whole(&apart, &["ps5 game"], "0");
    check_finds_whole(&apart, &["b12 game"], "4");
    // A word that is misspelled beside a code does not lose the code.
    let consoles = titles(PLAIN, &["PS 5 controller", "PS 4 controller", "Controller"]);
    let found = search(&consoles.index, RawRequest { q: "ps5 contrller".into(), ..Default::default() });
    assert_eq!((&*found.ids[0], found.corrected.as_deref()), ("0", Some("ps5 controller")));
    assert!(found.dropped.is_empty() && found.missing[0].is_empty());
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
fn words_of_products_that_nobody_sees_correct_nothing() {
    let outdated = vec![product("old", "Walnut table", 5)];
    let shop = open_shop(SETTINGS, vec![(vec![product("a", "Oak chair", 1)], outdated)]);
    let found = search(&shop.index, RawRequest { q: "walmut".into(), ..Default::default() });
    assert_eq!((found.corrected, found.found), (None, 0));
}
