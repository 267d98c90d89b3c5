//! What a locale's language changes: which stemmer, which words carry no meaning, and whether words are glued together.

use std::borrow::Cow;

use snowball_stemmers_rs::{Algorithm, Stemmer};

use super::numbers::DecimalSign;
use super::unit_names::{self, Names};
use super::units;

/// A shorter word is its own stem.
const MIN_STEMMED_LETTERS: usize = 3;

/// How words of one language are read.
pub(crate) struct Language {
    stemmer: Option<Stemmer>,
    stop_words: &'static [&'static str],
    /// Plurals that no stemmer knows, each with the word that it is indexed as.
    irregular: &'static [(&'static str, &'static str)],
    pub(super) decimal_sign: DecimalSign,
    unit_names: Names,
    pub(super) mention_words: &'static [&'static str],
    pub(super) conjunctions: &'static [&'static str],
    /// Words are written as one: "Lederschuhe" are "Schuhe".
    pub(crate) has_compounds: bool,
    pub(super) head: Head,
}

/// Where a query says what it is for: "laptop bag for men" asks for a bag.
pub(crate) struct Head {
    /// The first noun is what is meant, and the others describe it.
    pub(crate) is_first: bool,
    /// What begins with one of these is only mentioned.
    pub(crate) ends_before: &'static [&'static str],
}

impl Language {
    /// The language of a tag such as `pt-BR`; one that is not known is read word by word, as it stands.
    pub(crate) fn of(locale: &str) -> Self {
        let primary = locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let (algorithm, stop_words, has_compounds): (Option<Algorithm>, &'static [&'static str], bool) =
            match primary.as_str() {
                "en" => (Some(Algorithm::English), ENGLISH, false),
                "de" => (Some(Algorithm::German), GERMAN, true),
                "nl" => (Some(Algorithm::Dutch), DUTCH, true),
                "sv" => (Some(Algorithm::Swedish), SWEDISH, true),
                "da" => (Some(Algorithm::Danish), DANISH, true),
                "nb" | "nn" | "no" => (Some(Algorithm::Norwegian), NORWEGIAN, true),
                "fi" => (Some(Algorithm::Finnish), FINNISH, true),
                "fr" => (Some(Algorithm::French), FRENCH, false),
                "es" => (Some(Algorithm::Spanish), SPANISH, false),
                "it" => (Some(Algorithm::Italian), ITALIAN, false),
                "pt" => (Some(Algorithm::Portuguese), PORTUGUESE, false),
                "ca" => (Some(Algorithm::Catalan), CATALAN, false),
                "cs" => (Some(Algorithm::Czech), CZECH, false),
                "el" => (Some(Algorithm::Greek), GREEK, false),
                "hu" => (Some(Algorithm::Hungarian), HUNGARIAN, true),
                "id" => (Some(Algorithm::Indonesian), INDONESIAN, false),
                "pl" => (Some(Algorithm::Polish), POLISH, false),
                "ro" => (Some(Algorithm::Romanian), ROMANIAN, false),
                "ru" => (Some(Algorithm::Russian), RUSSIAN, false),
                "sr" => (Some(Algorithm::Serbian), SERBIAN, false),
                "tr" => (Some(Algorithm::Turkish), TURKISH, false),
                "uk" => (Some(Algorithm::Ukrainian), UKRAINIAN, false),
                "ar" => (Some(Algorithm::Arabic), ARABIC, false),
                "hi" => (Some(Algorithm::Hindi), HINDI, false),
                _ => (None, &[], false),
            };
        Self {
            stemmer: algorithm.map(Stemmer::create),
            stop_words,
            irregular: if primary == "en" { IRREGULAR } else { &[] },
            decimal_sign: decimal_sign(&primary, locale),
            unit_names: unit_names::of(&primary),
            mention_words: mention_words(&primary),
            conjunctions: &[
                "and", "or", "und", "oder", "en", "of", "och", "eller", "og", "et", "ou", "y", "o", "e", "a", "the",
                "nebo", "και", "es", "vagy", "dan", "atau", "si", "sau", "ili", "ve", "veya", "і", "й", "та", "або",
                "и", "или", "أو", "و", "और", "या",
            ],
            has_compounds,
            head: head(&primary),
        }
    }

    /// What a folded word is indexed by. Codes, numbers and short words are indexed as they are.
    pub(crate) fn stem<'a>(&self, word: &'a str) -> Cow<'a, str> {
        let Some(stemmer) = &self.stemmer else { return Cow::Borrowed(word) };
        let word = self.irregular.iter().find(|(plural, _)| *plural == word).map_or(word, |irregular| irregular.1);
        if word.len() < MIN_STEMMED_LETTERS || !word.chars().all(char::is_alphabetic) {
            return Cow::Borrowed(word);
        }
        match stemmer.stem(word) {
            Cow::Borrowed(stem) if stem.len() == word.len() => Cow::Borrowed(word),
            stem if stem.is_empty() => Cow::Borrowed(word),
            stem => Cow::Owned(stem.into_owned()),
        }
    }

    /// One name for all spellings of a unit, as [`units::unit`], in English and in this language.
    pub(super) fn unit(&self, word: &str) -> Option<&'static str> {
        let own = || self.unit_names.iter().find(|(_, spellings)| spellings.contains(&word)).map(|(unit, _)| *unit);
        units::unit(word).or_else(own)
    }

    /// Words that products need not have, unless a query has no others.
    pub(crate) fn is_stop_word(&self, word: &str) -> bool {
        self.stop_words.contains(&word)
    }
}

/// The sign before decimals, by language, but for regions that write the other one.
fn decimal_sign(language: &str, locale: &str) -> DecimalSign {
    let with_dot: &[&str] = match language {
        "ca" | "cs" | "da" | "el" | "fi" | "fr" | "hu" | "id" | "nb" | "nl" | "nn" | "no" | "pl" | "pt" | "ro"
        | "ru" | "sr" | "sv" | "tr" | "uk" => &[],
        "de" | "it" => &["CH", "LI"],
        "es" => &["419", "CU", "DO", "GT", "HN", "MX", "NI", "PA", "PE", "PR", "SV", "US"],
        _ => return DecimalSign::Dot,
    };
    let mut parts = locale.split(['-', '_']).skip(1);
    match parts.any(|part| with_dot.iter().any(|region| region.eq_ignore_ascii_case(part))) {
        true => DecimalSign::Dot,
        false => DecimalSign::Comma,
    }
}

/// "bag for laptops", "printer with scanner": what follows is not what is sold.
fn mention_words(language: &str) -> &'static [&'static str] {
    match language {
        "en" => &["for", "with", "w", "f", "compatible", "incl", "including", "to", "per"],
        "de" => &["fur", "mit", "inkl", "passend", "kompatibel"],
        "nl" => &["voor", "met", "incl", "geschikt"],
        "sv" | "da" | "nb" | "nn" | "no" => &["for", "till", "til", "med", "inkl"],
        "fr" => &["pour", "avec", "compatible", "incl"],
        "es" => &["para", "con", "compatible", "incl"],
        "it" => &["per", "con", "compatibile", "incl"],
        "pt" => &["para", "com", "compativel", "incl"],
        "pl" => &["dla", "do", "z"],
        "ru" => &["для", "с", "со"],
        _ => &[],
    }
}

/// Fewer words than [`mention_words`], since a query is no title: "hdmi to vga adapter" is an adapter.
fn head(language: &str) -> Head {
    let ends_before: &'static [&'static str] = match language {
        "en" => &["for", "with", "without", "to fit"],
        "de" => &["fur", "mit", "ohne"],
        "nl" => &["voor", "met", "zonder"],
        "sv" | "da" | "nb" | "nn" | "no" => &["for", "till", "til", "med", "utan", "uden", "uten"],
        "fr" => &["pour", "avec", "sans"],
        "es" => &["para", "con", "sin"],
        "it" => &["per", "con", "senza"],
        "pt" => &["para", "com", "sem"],
        "ca" => &["per", "amb", "sense"],
        "ro" => &["pentru", "cu", "fara"],
        "pl" => &["dla", "do", "z", "ze", "bez"],
        "ru" => &["для", "с", "со", "без"],
        _ => &[],
    };
    Head { is_first: matches!(language, "fr" | "es" | "it" | "pt" | "ca" | "ro"), ends_before }
}

// Function words only: what can be the name of a product, a brand or a property is none.
const ENGLISH: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "it", "of", "on", "or", "that", "the", "to",
    "with", "your",
];
const GERMAN: &[&str] = &[
    "am", "an", "auf", "aus", "bei", "das", "dem", "den", "der", "des", "die", "ein", "eine", "einem", "einen",
    "einer", "fur", "im", "in", "mit", "oder", "und", "von", "zu", "zum", "zur",
];
const DUTCH: &[&str] = &["aan", "de", "een", "en", "het", "in", "met", "of", "op", "te", "van", "voor"];
const SWEDISH: &[&str] = &["av", "de", "den", "det", "eller", "en", "ett", "for", "i", "med", "och", "pa", "till"];
const DANISH: &[&str] = &["af", "de", "den", "det", "eller", "en", "et", "for", "i", "med", "og", "pa", "til"];
const NORWEGIAN: &[&str] = &["av", "de", "den", "det", "eller", "en", "et", "for", "i", "med", "og", "pa", "til"];
const FINNISH: &[&str] = &["ja", "tai", "on", "sen"];
const FRENCH: &[&str] = &[
    "a", "au", "aux", "avec", "d", "de", "des", "du", "en", "et", "l", "la", "le", "les", "ou", "par", "pour", "sur",
    "un", "une",
];
const SPANISH: &[&str] =
    &["a", "al", "con", "de", "del", "el", "en", "la", "las", "los", "o", "para", "por", "un", "una", "y"];
const ITALIAN: &[&str] = &[
    "a", "al", "alla", "con", "d", "da", "del", "della", "di", "e", "gli", "i", "il", "in", "l", "la", "le", "lo", "o",
    "per", "un", "una",
];
const PORTUGUESE: &[&str] =
    &["a", "as", "ao", "com", "da", "das", "de", "do", "dos", "e", "em", "o", "os", "ou", "para", "por", "um", "uma"];
const POLISH: &[&str] = &["dla", "do", "i", "lub", "na", "o", "od", "z", "ze"];
const RUSSIAN: &[&str] = &["в", "для", "и", "из", "или", "к", "на", "от", "по", "с", "со"];
const CATALAN: &[&str] =
    &["a", "al", "amb", "d", "de", "del", "dels", "el", "els", "en", "i", "l", "la", "les", "o", "per", "un", "una"];
const CZECH: &[&str] = &["a", "do", "i", "k", "na", "nebo", "o", "od", "pro", "s", "se", "u", "v", "z", "ze"];
const GREEK: &[&str] = &[
    "απο", "για", "ενα", "η", "και", "με", "μια", "ο", "οι", "σε", "στη", "στην", "στο", "τα", "την", "τησ", "το",
    "τον", "του", "των",
];
const HUNGARIAN: &[&str] = &["a", "az", "egy", "es", "vagy"];
const INDONESIAN: &[&str] = &["atau", "dan", "dari", "dengan", "di", "ke", "oleh", "pada", "untuk", "yang"];
const ROMANIAN: &[&str] =
    &["a", "al", "ale", "cu", "de", "din", "in", "la", "o", "pe", "pentru", "prin", "sau", "si", "un", "unei", "unui"];
const SERBIAN: &[&str] = &[
    "do", "i", "ili", "iz", "na", "od", "s", "sa", "u", "za", "до", "и", "из", "или", "за", "на", "од", "с", "са", "у",
];
const TURKISH: &[&str] = &["bir", "icin", "ile", "ve", "veya"];
const UKRAINIAN: &[&str] = &["або", "в", "від", "для", "до", "з", "за", "зі", "й", "на", "по", "та", "у", "із", "і"];
const ARABIC: &[&str] = &["أو", "إلى", "على", "عن", "في", "مع", "من", "و"];
const HINDI: &[&str] = &["और", "का", "की", "के", "को", "पर", "में", "या", "लिए", "से"];

/// Both as typed and as read from "women's", or with its apostrophe lost. Abbreviations are named one by one, since not all
/// that end in "s" are several: "gps", "sds".
const IRREGULAR: &[(&str, &str)] = &[
    ("bbqs", "bbq"),
    ("buses", "bus"),
    ("cacti", "cactus"),
    ("calves", "calf"),
    ("canvases", "canvas"),
    ("cds", "cd"),
    ("children", "child"),
    ("childrens", "child"),
    ("cpus", "cpu"),
    ("dslrs", "dslr"),
    ("dvds", "dvd"),
    ("dwarves", "dwarf"),
    ("elves", "elf"),
    ("feet", "foot"),
    ("firemen", "fireman"),
    ("gases", "gas"),
    ("geese", "goose"),
    ("gpus", "gpu"),
    ("halves", "half"),
    ("hdtvs", "hdtv"),
    ("hooves", "hoof"),
    ("irises", "iris"),
    ("knives", "knife"),
    ("lcds", "lcd"),
    ("leaves", "leaf"),
    ("lenses", "lens"),
    ("loaves", "loaf"),
    ("men", "man"),
    ("mens", "man"),
    ("mice", "mouse"),
    ("pcs", "pc"),
    ("quizzes", "quiz"),
    ("scarves", "scarf"),
    ("shelves", "shelf"),
    ("snowmen", "snowman"),
    ("ssds", "ssd"),
    ("teeth", "tooth"),
    ("tvs", "tv"),
    ("wolves", "wolf"),
    ("women", "woman"),
    ("womens", "woman"),
];

/// The languages that are known.
#[cfg(test)]
pub(super) const TAGS: [&str; 26] = [
    "en", "de", "nl", "sv", "da", "nb", "nn", "no", "fi", "fr", "es", "it", "pt", "ca", "cs", "el", "hu", "id", "pl",
    "ro", "ru", "sr", "tr", "uk", "ar", "hi",
];

#[cfg(test)]
mod tests {
    use super::super::fold::folded;
    use super::*;

    #[test]
    fn irregular_plurals_are_one_word() {
        let english = Language::of("en-GB");
        for (plural, one) in IRREGULAR {
            assert_eq!(english.stem(plural), english.stem(one));
        }
        assert_eq!(english.stem("women"), "woman");
        assert_eq!(["tvs", "gps", "sds"].map(|word| english.stem(word)), ["tv", "gps", "sds"]);
        assert_ne!(Language::of("de").stem("mice"), "mouse");
    }

    #[test]
    fn every_language_has_stop_words_and_they_are_folded() {
        for tag in TAGS {
            let language = Language::of(tag);
            assert!(!language.stop_words.is_empty(), "{tag}");
            for word in language.stop_words {
                assert_eq!(folded(word), *word, "{tag}");
                assert!(language.is_stop_word(word));
            }
        }
    }
}
