//! Text into words: what a catalogue is indexed by, what a query is read as, and what highlighting marks are one and
//! the same thing.
//!
//! ```text
//! "Men's T-Shirt"      men | t shirt (tshirt)         a possessive goes; parts of a joined word, and the whole of it
//! "dv7-1211ea"         dv7 1211ea (dv71211ea)         so a code is found in any spelling of its separators
//! "13.3\" / 13.30 in." 13.3 (13.3inch) inch           a number, with its unit, in one spelling
//! "2x4, 2 in. x 4 in." 2 4 | 2 (2inch) inch 4 (4inch) inch
//! "2-in-1, 2 in 1"     2 (2in1) in 1                  no measure, and one in any spelling
//! "運動靴"              運動 動靴 靴                    scripts without spaces: every two letters, and the last one
//! ```
//! What stands in brackets is an extra: it shares the position of the word before it. A query is read without the last
//! letter alone, which its last pair has already.

mod fold;
pub(crate) mod forms;
mod language;
mod numbers;
mod pieces;
mod unit_names;
mod units;

use std::borrow::Cow;
use std::ops::Range;

use language::{Head, Language};
use numbers::DecimalSign;
use pieces::{Glue, Kind, Piece, Pieces};

/// A longer word is cut to this many bytes, in the index and in queries alike.
pub(crate) const MAX_WORD_BYTES: usize = 64;
/// Prefixes of up to this many letters are indexed as such; longer ones are looked up among the words.
pub(crate) const MAX_SHORT_PREFIX: usize = 3;
/// So many parts of a joined word are put together at the most.
const MAX_JOINED_PARTS: usize = 5;

/// Reads text in one locale.
pub(crate) struct Analyzer {
    language: Language,
}

/// What a text is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// To be found by whatever it says.
    Text,
    /// To find all that it says.
    Query,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Word,
    /// A number, with its decimals or as a fraction.
    Number,
    /// The name of a unit behind a number.
    Unit,
    /// An extra: the number before it together with its unit.
    Quantity,
    /// An extra: the joined form of the word that it shares its position with and of those behind it.
    Joined,
}

impl TokenKind {
    pub(crate) fn is_extra(self) -> bool {
        matches!(self, Self::Quantity | Self::Joined)
    }
}

/// A token of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) kind: TokenKind,
    /// How many parts an extra stands for: this many words from its position on.
    pub(crate) parts: usize,
    /// Where in the text it stands.
    pub(crate) range: (usize, usize),
    /// Whether a comma, a bracket or a dash with spaces stands between it and the word before: another thought begins.
    pub(crate) begins_clause: bool,
}

/// The tokens of one text, in a buffer that can be used again.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    pieces: Pieces,
    letters: String,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    text: Range<usize>,
    kind: TokenKind,
    parts: usize,
    range: (usize, usize),
    begins_clause: bool,
}

impl Tokens {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Token<'_>> {
        self.entries.iter().map(|entry| Token {
            text: &self.letters[entry.text.clone()],
            kind: entry.kind,
            parts: entry.parts,
            range: entry.range,
            begins_clause: entry.begins_clause,
        })
    }

    /// The tokens, out of the buffer.
    pub(crate) fn take(&mut self) -> Self {
        let (letters, entries) = (std::mem::take(&mut self.letters), std::mem::take(&mut self.entries));
        Self { pieces: Pieces::default(), letters, entries }
    }

    fn push(&mut self, text: &str, kind: TokenKind, parts: usize, from: &Piece) {
        self.push_joined(&[text], kind, parts, from);
    }

    fn push_joined(&mut self, texts: &[&str], kind: TokenKind, parts: usize, from: &Piece) {
        let start = self.letters.len();
        texts.iter().for_each(|text| self.letters.push_str(text));
        let cut = start + self.letters[start..].floor_char_boundary(MAX_WORD_BYTES);
        self.letters.truncate(cut);
        let begins_clause = from.glue == Glue::Clause;
        self.entries.push(Entry { text: start..cut, kind, parts, range: from.range, begins_clause });
    }
}

impl Analyzer {
    pub(crate) fn new(locale: &str) -> Self {
        Self { language: Language::of(locale) }
    }

    /// What a word is indexed by.
    pub(crate) fn stem<'a>(&self, word: &'a str) -> Cow<'a, str> {
        self.language.stem(word)
    }

    pub(crate) fn is_stop_word(&self, word: &str) -> bool {
        self.language.is_stop_word(word)
    }

    /// Whether a word stands between groups of words; "and" rather joins them.
    pub(crate) fn ends_groups(&self, word: &str) -> bool {
        self.language.is_stop_word(word) && !self.language.conjunctions.contains(&word)
    }

    /// Words behind which a title only mentions what the product is for.
    pub(crate) fn mention_words(&self) -> &'static [&'static str] {
        self.language.mention_words
    }

    /// Where a query says what it is for.
    pub(crate) fn head(&self) -> &Head {
        &self.language.head
    }

    pub(crate) fn has_compounds(&self) -> bool {
        self.language.has_compounds
    }

    /// Folded words with decimals as a text of the locale writes them, so that they are read as the same again.
    pub(crate) fn written<'w>(&self, words: &'w str) -> Cow<'w, str> {
        // No dot stands in a word but before decimals.
        match self.language.decimal_sign {
            DecimalSign::Comma if words.contains('.') => Cow::Owned(words.replace('.', ",")),
            _ => Cow::Borrowed(words),
        }
    }

    /// Reads a text into `tokens`, which it empties first.
    pub(crate) fn read(&self, text: &str, tokens: &mut Tokens) {
        self.read_for(Reading::Text, text, tokens);
    }

    /// Reads a query: as a text, but for what a text has only to be found by.
    pub(crate) fn read_query(&self, text: &str, tokens: &mut Tokens) {
        self.read_for(Reading::Query, text, tokens);
    }

    fn read_for(&self, reading: Reading, text: &str, tokens: &mut Tokens) {
        let mut pieces = std::mem::take(&mut tokens.pieces);
        pieces.read(text, &self.language, reading);
        tokens.letters.clear();
        tokens.entries.clear();
        let mut at = 0;
        while at < pieces.len() {
            at += match pieces.kind(at) {
                Kind::Number => number(&self.language, text, &pieces, at, tokens),
                Kind::Word => word(&pieces, at, tokens),
            };
        }
        tokens.pieces = pieces;
    }
}

/// Adds a number and, where its unit follows, that too; returns how many pieces that took.
fn number(language: &Language, text: &str, pieces: &Pieces, at: usize, tokens: &mut Tokens) -> usize {
    let piece = pieces.at(at);
    tokens.push(pieces.text(at), TokenKind::Number, 1, piece);
    // "2 x 4": the sign between two numbers is no word.
    let is_times = |place: usize| place < pieces.len() && matches!(pieces.text(place), "x" | "by");
    if is_times(at + 1) && at + 2 < pieces.len() && pieces.kind(at + 2) == Kind::Number {
        return 2;
    }
    if is_many_in_one(language, text, pieces, at) {
        let whole = piece.at((piece.range.0, pieces.at(at + 2).range.1));
        let parts = [at, at + 1, at + 2].map(|place| pieces.text(place));
        tokens.push_joined(&parts, TokenKind::Joined, parts.len(), &whole);
        tokens.push(parts[1], TokenKind::Word, 1, pieces.at(at + 1));
        tokens.push(parts[2], TokenKind::Number, 1, pieces.at(at + 2));
        return parts.len();
    }
    let Some((unit, length)) = unit_at(language, pieces, at + 1) else {
        join(pieces, at, tokens);
        return 1;
    };
    let last = pieces.at(at + length);
    let whole = piece.at((piece.range.0, last.range.1));
    tokens.push_joined(&[pieces.text(at), unit], TokenKind::Quantity, 2, &whole);
    tokens.push(unit, TokenKind::Unit, 1, &last.at((pieces.at(at + 1).range.0, last.range.1)));
    let next = at + 1 + length;
    let times = is_times(next) && next + 1 < pieces.len() && pieces.kind(next + 1) == Kind::Number;
    1 + length + usize::from(times)
}

/// Whether "2 in 1" begins here. With hyphens it is nothing else, whatever follows; with a space between each two it may be
/// a measure: "2 in 1 ft" and "2 in 1 1/2 ft" have two, and "2 in. 1" ends one.
fn is_many_in_one(language: &Language, text: &str, pieces: &Pieces, at: usize) -> bool {
    let is_number = |place: usize| place < pieces.len() && pieces.kind(place) == Kind::Number;
    let is_phrase = is_number(at + 2)
        && (pieces.text(at + 1), pieces.text(at + 2)) == ("in", "1")
        && pieces.text(at).bytes().all(|byte| byte.is_ascii_digit());
    if !is_phrase {
        return false;
    }
    let is_joined = |place: usize| pieces.at(place).glue == Glue::Joined;
    let follows = |place: usize| {
        let mut gap = text[pieces.at(place - 1).range.1..pieces.at(place).range.0].chars();
        is_joined(place) || (gap.next().is_some_and(char::is_whitespace) && gap.next().is_none())
    };
    let ends_measure = || {
        let has_fraction = is_number(at + 3) && pieces.text(at + 3).contains('/');
        has_fraction || unit_at(language, pieces, at + 3).is_some()
    };
    let places = [at + 1, at + 2];
    places.into_iter().all(is_joined) || (places.into_iter().all(follows) && !ends_measure())
}

/// The unit that the words from `at` on name, and how many pieces name it.
fn unit_at(language: &Language, pieces: &Pieces, at: usize) -> Option<(&'static str, usize)> {
    let word = |place: usize| {
        let near = place < pieces.len() && !matches!(pieces.at(place).glue, Glue::Clause | Glue::Slash);
        (near && pieces.kind(place) == Kind::Word).then(|| pieces.text(place))
    };
    let first = word(at)?;
    let second = word(at + 1).and_then(|word| language.unit(word));
    if let Some(power) = second.and_then(|unit| units::power(first, unit)) {
        return Some((power, 2));
    }
    Some((language.unit(first)?, 1))
}

fn word(pieces: &Pieces, at: usize, tokens: &mut Tokens) -> usize {
    tokens.push(pieces.text(at), TokenKind::Word, 1, pieces.at(at));
    join(pieces, at, tokens);
    1
}

/// Adds the joined form of a chain of pieces that begins here: "wi-fi" is also "wifi".
fn join(pieces: &Pieces, at: usize, tokens: &mut Tokens) {
    let glued = |place: usize| place < pieces.len() && pieces.at(place).glue == Glue::Joined;
    if glued(at) || !glued(at + 1) {
        return;
    }
    let end = (at + 1..).find(|place| !glued(*place)).unwrap_or(at + 1);
    let parts: Vec<&str> = (at..end).map(|place| pieces.text(place)).collect();
    let has_letters = (at..end).any(|place| pieces.kind(place) == Kind::Word);
    if parts.len() <= MAX_JOINED_PARTS && has_letters {
        let whole = pieces.at(at).at((pieces.at(at).range.0, pieces.at(end - 1).range.1));
        tokens.push_joined(&parts, TokenKind::Joined, parts.len(), &whole);
    }
}

/// The letters and digits of a code such as a SKU, folded, without what separates them.
pub(crate) fn code_key(text: &str) -> String {
    let text = even(text);
    let mut key = String::with_capacity(text.len());
    text.chars().filter(|c| c.is_alphanumeric()).for_each(|c| fold::fold(c, &mut key));
    key
}

/// A text in letters of the usual form.
pub(crate) fn even(text: &str) -> Cow<'_, str> {
    if forms::is_uneven(text) { Cow::Owned(forms::even_out(text).0) } else { Cow::Borrowed(text) }
}

/// The second letter of a word that is a pair of a script without spaces.
pub(crate) fn last_of_pair(word: &str) -> Option<&str> {
    let mut letters = word.char_indices();
    let ((_, first), (at, last), None) = (letters.next()?, letters.next()?, letters.next()) else { return None };
    (fold::is_unspaced(first) && fold::is_unspaced(last)).then(|| &word[at..])
}

/// The first one, two and three letters of a word, those that it has.
pub(crate) fn short_prefixes(word: &str) -> impl Iterator<Item = &str> {
    let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.take(MAX_SHORT_PREFIX).map(|end| &word[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        check_in("en", text, expected);
    }

    fn check_in(locale: &str, text: &str, expected: &str) {
        let mut tokens = Tokens::default();
        Analyzer::new(locale).read(text, &mut tokens);
        assert_eq!(told(&tokens), expected, "{text}");
    }

    fn told(tokens: &Tokens) -> String {
        let found: Vec<String> = tokens
            .iter()
            .map(|token| match token.kind.is_extra() {
                true => format!("({})", token.text),
                false => token.text.to_owned(),
            })
            .collect();
        found.join(" ")
    }

    #[test]
    fn words_are_folded() {
        check("Crème brûlée", "creme brulee");
        check("cre\u{300}me", "creme");
        check("Straße ŁÓDŹ ﬁne ½", "strasse lodz fine 1/2");
        check("  --  ", "");
        check("й が हिन्दी", "й が हिन्दी");
        check("Men's Levi’s o'neill", "men levi o neill");
    }

    #[test]
    fn joined_words_are_also_one() {
        check("wi-fi T-Shirt", "wi (wifi) fi t (tshirt) shirt");
        check("dv7-1211ea, 006R-90321", "dv7 (dv71211ea) 1211ea 006r (006r90321) 90321");
        check("H&M black & decker U.S.", "h (hm) m black decker u (us) s");
        check("a - b, 1-2", "a b 1 2");
        check("Black &amp; Decker 3&quot;", "black decker 3");
    }

    #[test]
    fn numbers_have_units() {
        check("13 inch 13in 13\" 13-inch 13 in.", &["13 (13inch) inch"; 5].join(" "));
        check("1.5l 100 ft 1,000 W", "1.5 (1.5liter) liter 100 (100foot) foot 1000 (1000watt) watt");
        check("3-1/2 in. 1 1/2\"", "3 1/2 (1/2inch) inch 1 1/2 (1/2inch) inch");
        check("27“ 27‟ 27'' 27’’ 27′′ 27´´ 27 \"", &["27 (27inch) inch"; 7].join(" "));
        check("Hülle für „iPhone 13“ 27“ „a“", "hulle fur iphone 13 27 (27inch) inch a");
        check("6’ 6´ 6′", &["6 (6foot) foot"; 3].join(" "));
        check("set of 5 \"wide\" cups", "set of 5 wide cups");
        check("150 sq. ft. 1.9 cu ft", "150 (150sqft) sqft 1.9 (1.9cuft) cuft");
        check("table in oak", "table in oak");
        check("2-in-1 pen, 2 in 1 pen 2in1", "2 (2in1) in 1 pen 2 (2in1) in 1 pen 2in1");
        check("2-in-1 14\" laptop 3-in-1 pack", "2 (2in1) in 1 14 (14inch) inch laptop 3 (3in1) in 1 pack");
        check("2-in-1, 15.6 inch 3 in 1 400 ml", "2 (2in1) in 1 15.6 (15.6inch) inch 3 (3in1) in 1 400 (400ml) ml");
        check("2\u{2011}in\u{2010}1 2\u{a0}in\u{202f}1 pen", "2 (2in1) in 1 2 (2in1) in 1 pen");
        check("2 in. 1 pen", "2 (2inch) inch 1 pen");
        check("2 in 1 ft 2 in 1 1/2 ft", "2 (2inch) inch 1 (1foot) foot 2 (2inch) inch 1 1/2 (1/2foot) foot");
        check("2-in 4", "2 (2inch) inch 4");
        check("iphone 6s 5 red", "iphone 6s 5 red");
        check("43.2 cm (17\")", "43.2 (43.2cm) cm 17 (17inch) inch");
    }

    #[test]
    fn numbers_have_one_spelling() {
        check("3½ in. 3½\" ¾x½", "3 1/2 (1/2inch) inch 3 1/2 (1/2inch) inch 3/4 1/2");
        check(".5 in. (.75\") 2x.5", "0.5 (0.5inch) inch 0.75 (0.75inch) inch 2 0.5");
        check("1.50 l 2.0 v3.50", "1.5 (1.5liter) liter 2 v3 50");
        // What only follows a dot, and what is a code, is no decimal part.
        check("No.5 ...5 .45acp", "no 5 5 45acp");
    }

    #[test]
    fn decimals_are_those_of_the_locale() {
        check("1,5 l", "1 5 (5liter) liter");
        for locale in ["de", "fr-FR", "sv", "es-ES", "pt-BR", "pl", "ru"] {
            check_in(locale, "1,5 l 1.50 l", &["1.5 (1.5liter) liter"; 2].join(" "));
            check_in(locale, "1.000 cm 38,39,40", "1000 (1000cm) cm 38 39 40");
        }
        for locale in ["es-MX", "es-419", "de-CH", "en-GB", "ja"] {
            check_in(locale, "1,000 cm", "1000 (1000cm) cm");
        }
    }

    #[test]
    fn units_have_names_in_other_languages() {
        check_in("de", "27 Zoll 27Zoll 500 Gramm", "27 (27inch) inch 27 (27inch) inch 500 (500gram) gram");
        check_in("fr", "27 pouces 2mètres", "27 (27inch) inch 2 (2meter) meter");
        check_in("es", "27 pulgadas 2 litros", "27 (27inch) inch 2 (2liter) liter");
        check_in("ru", "500г", "500 (500gram) gram");
        check_in("ja", "27インチ 27 ｲﾝﾁ", "27 (27inch) inch 27 (27inch) inch");
        check_in("sv", "27 tum", "27 (27inch) inch");
        check_in("de", "27 tum", "27 tum");
    }

    #[test]
    fn dimensions_are_numbers() {
        check("2x4 2 x 4 2X4X8 4*8 4×8", "2 4 2 4 2 4 8 4 8 4 8");
        check("4 ft. x 8 ft.", "4 (4foot) foot 8 (8foot) foot");
        check("4x8wood 8ft x 4ft", "4 8 wood 8 (8foot) foot 4 (4foot) foot");
        check(
            "4'x8' 2\"x4\" 2\" x4\"",
            "4 (4foot) foot 8 (8foot) foot 2 (2inch) inch 4 (4inch) inch 2 (2inch) inch 4 (4inch) inch",
        );
        check("4ft.x8ft.", "4 (4foot) foot 8 (8foot) foot");
        check("x 4", "x 4");
        check("50 mm X100", "50 (50mm) mm x100");
    }

    #[test]
    fn scripts_without_spaces_are_read_in_pairs() {
        check("運動靴 靴", "運動 動靴 靴 靴");
        check("ナイキshoe2足", "ナイ イキ キ shoe2 足");
        let mut tokens = Tokens::default();
        Analyzer::new("ja").read_query("運動靴セット 白", &mut tokens);
        assert_eq!(told(&tokens), "運動 動靴 靴セ セッ ット 白");
    }

    #[test]
    fn pairs_have_a_last_letter() {
        let words = ["運動", "장화", "靴", "靴下型", "2足", "ab", "é", ""];
        assert_eq!(words.map(last_of_pair), [Some("動"), Some("화"), None, None, None, None, None, None]);
    }

    #[test]
    fn letters_of_another_width_are_the_same() {
        check("ﾊﾞｯｸﾞ ハ\u{3099}ック", "バッ ッグ グ バッ ック ク");
        check("ＡＢＣ１２３ １３＂", "abc123 13 (13inch) inch");
        let mut tokens = Tokens::default();
        let text = "赤いﾊﾞｯｸﾞ";
        Analyzer::new("ja").read(text, &mut tokens);
        let places: Vec<&str> = tokens.iter().map(|token| &text[token.range.0..token.range.1]).collect();
        assert_eq!(places, ["赤い", "いﾊﾞ", "ﾊﾞｯ", "ｯｸﾞ", "ｸﾞ"]);
    }

    #[test]
    fn letters_are_the_same_however_they_are_encoded() {
        check("Чаи\u{306}ник белыи\u{306}", "чайник белый");
        check("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}", "한글 글");
        check("Schuh\u{ad}regal Auf\u{200c}lage \u{feff}neu\u{200b}", "schuhregal auflage neu");
        check("USB\u{200b}Kabel", "usb kabel");
        check("м\u{2bc}яч м’яч м'яч", &["м яч"; 3].join(" "));
    }

    #[test]
    fn long_words_are_cut_between_letters() {
        let mut tokens = Tokens::default();
        Analyzer::new("en").read(&"é".repeat(100), &mut tokens);
        assert_eq!(tokens.iter().map(|token| token.text.len()).collect::<Vec<_>>(), [64]);
        Analyzer::new("en").read(&"ж".repeat(100), &mut tokens);
        assert_eq!(tokens.iter().map(|token| token.text.len()).collect::<Vec<_>>(), [64]);
    }

    #[test]
    fn codes_are_compared_by_letters_and_digits() {
        assert_eq!(code_key("DV7-1211ea / é"), "dv71211eae");
        assert_eq!(code_key("Й-1"), code_key("И\u{306}-\u{200b}1"));
    }

    #[test]
    fn clauses_are_told_apart() {
        let mut tokens = Tokens::default();
        Analyzer::new("en").read("Bag, red (large) - new a-b", &mut tokens);
        let begins: Vec<&str> = tokens.iter().filter(|token| token.begins_clause).map(|token| token.text).collect();
        assert_eq!(begins, ["red", "large", "new"]);
    }
}
