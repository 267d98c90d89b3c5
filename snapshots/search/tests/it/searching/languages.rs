//! Languages with words and compounds of their own.

use std::iter::repeat_n;

use search::{Highlighter, RawRequest};

use super::{check_finds, check_finds_whole, ids, product, strict, titles};
use crate::support::{open_shop, search};

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

/// What decomposes letters, as some systems do, once made other words of them, and corrected those that are composed.
#[test]
fn letters_are_found_however_they_are_encoded() {
    let (composed, apart) = ("Чайник белый", "Чаи\u{306}ник белыи\u{306}");
    for title in [composed, apart] {
        let kettles = strict("ru", &[&format!("{title}, новый"), "Белила"]);
        check_finds_whole(&kettles, &[composed, apart], "0");
    }
    for apostrophe in ["'", "’", "\u{2bc}"] {
        let balls = strict("uk", &[&format!("М{apostrophe}яч синій, новий")]);
        check_finds_whole(&balls, &["м'яч синій", "м’яч синій", "м\u{2bc}яч синій"], "0");
    }
    let shelves = strict("de", &["Schuh\u{ad}regal, Buche, neu", "Schuhregal\u{200b}, Eiche, alt"]);
    check_finds_whole(&shelves, &["schuhregal neu"], "0");
    check_finds_whole(&shelves, &["Schuh\u{ad}regal alt"], "1");
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

/// It was once left as it is where its parts are words, too.
#[test]
fn a_misspelled_compound_is_corrected_though_products_have_its_parts() {
    let all: Vec<&str> =
        ["Kinderwaagen, blau", "Waage für Kinder"].into_iter().chain(repeat_n("Kinderwagen", 25)).collect();
    let shop = titles("name = \"de\"\ncurrency = \"EUR\"\nlocale = \"de\"\n", &all);
    let found = search(&shop.index, RawRequest { q: "Kinderwaagen".into(), ..Default::default() });
    assert_eq!((&*found.ids[0], found.found, found.corrected), ("0", 27, None));
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
