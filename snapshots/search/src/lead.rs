//! The lead of a product: the words that say what it is, and how they hang together.
//!
//! Shops write titles as "Acme laser mouse, black, for notebooks": groups of words that end before a comma, a number, a
//! preposition, with what is only mentioned behind "for" and "with". The last word of a group names
//! what the group is about.

use snapshots::Catalogue;
use unicode_normalization::char::is_combining_mark;

use crate::analysis::forms::is_unseen;
use crate::analysis::{Analyzer, Token, TokenKind};
use crate::vocabulary::{Lead, LeadPart};

/// A lead has so many words of the description.
const DESCRIPTION_WORDS: usize = 16;

/// Longer phrases are names of products rather than of what they are.
const MAX_PHRASE_WORDS: usize = 3;

/// Gathers the lead of one product.
#[derive(Default)]
pub(crate) struct LeadReader {
    words: Vec<ReadWord>,
}

struct ReadWord {
    number: u32,
    /// Where the title has it; None where it is no part of a phrase.
    place: Option<(usize, usize)>,
    part: LeadPart,
    begins_clause: bool,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Noun,
    /// It has digits: data, or a model.
    Data,
    /// A word that stands between groups.
    Between,
    /// A word behind which things are only mentioned.
    Mention,
}

/// Which part of the lead a searched field is, if it is one.
pub(crate) fn part_of(catalogue: &Catalogue, field: &str) -> Option<LeadPart> {
    match field {
        "title" => Some(LeadPart::Title),
        "description" => Some(LeadPart::Description),
        "brand" => Some(LeadPart::Brand),
        field if field == catalogue.product_type => Some(LeadPart::Type),
        _ => None,
    }
}

impl LeadReader {
    pub(crate) fn clear(&mut self) {
        self.words.clear();
    }

    pub(crate) fn add(&mut self, analyzer: &Analyzer, number: u32, part: LeadPart, token: Token<'_>) {
        if part == LeadPart::Description
            && self.words.iter().filter(|word| word.part == part).count() >= DESCRIPTION_WORDS
        {
            return;
        }
        let kind = match token.text {
            text if text.bytes().any(|byte| byte.is_ascii_digit()) => Kind::Data,
            text if analyzer.mention_words().contains(&text) => Kind::Mention,
            text if analyzer.ends_groups(text) => Kind::Between,
            _ => Kind::Noun,
        };
        // A unit says nothing without its number.
        let place = (part == LeadPart::Title && token.kind != TokenKind::Unit).then_some(token.range);
        self.words.push(ReadWord { number, place, part, begins_clause: token.begins_clause, kind });
    }

    /// The lead, word by word.
    pub(crate) fn words(&self) -> impl Iterator<Item = Lead> + '_ {
        let mut mentioned = false;
        self.words.iter().enumerate().map(move |(at, word)| {
            let starts_part = at == 0 || self.words[at - 1].part != word.part;
            // A brand may be called "For Him".
            mentioned = !starts_part && (mentioned || word.kind == Kind::Mention);
            Lead { word: word.number, part: word.part, ends_group: self.ends_group(at), is_mentioned: mentioned }
        })
    }

    /// The phrases of the title: up to three words that end a group together, as it writes them, in small letters. Of a
    /// script without spaces a run of letters is a word.
    pub(crate) fn phrases<'p>(&'p self, title: &'p str) -> impl Iterator<Item = String> + 'p {
        let ends = self.words().enumerate().filter(move |(at, word)| {
            word.part == LeadPart::Title && word.ends_group && !word.is_mentioned && !self.goes_on(*at)
        });
        ends.flat_map(move |(end, _)| {
            let is_part = move |at: &usize| {
                let word = &self.words[*at];
                let is_near = *at == end || self.goes_on(*at) || !self.ends_group(*at);
                word.kind == Kind::Noun && word.place.is_some() && is_near
            };
            let begins_run = move |at: &usize| *at == 0 || !self.goes_on(*at - 1);
            let starts = (0..=end).rev().take_while(is_part).filter(begins_run).take(MAX_PHRASE_WORDS);
            starts.filter_map(move |start| {
                let (start, end) = (self.words[start].place?.0, self.words[end].place?.1);
                // A sign may be read as a word: "×".
                title[start..].starts_with(char::is_alphanumeric).then(|| written(title, start, end))
            })
        })
    }

    /// Whether the next word begins within this one: scripts without spaces are read in pairs of letters.
    fn goes_on(&self, at: usize) -> bool {
        let next = self.words.get(at + 1).and_then(|next| next.place);
        matches!((self.words[at].place, next), (Some((_, end)), Some((start, _))) if start < end)
    }

    fn ends_group(&self, at: usize) -> bool {
        let (word, Some(next)) = (&self.words[at], self.words.get(at + 1)) else { return true };
        next.part != word.part || next.begins_clause || next.kind != Kind::Noun || next.number == word.number
    }
}

/// What feeds escape though they should not, and what it stands for.
const ENTITIES: [(&str, char); 7] =
    [("&amp;", '&'), ("&quot;", '"'), ("&lt;", '<'), ("&gt;", '>'), ("&nbsp;", ' '), ("&#39;", '\''), ("&apos;", '\'')];

/// A part of a title as a shopper would write it: in small letters, without what only decorates.
fn written(title: &str, start: usize, end: usize) -> String {
    let end = end + possessive_length(&title[end..]);
    let mut rest = &title[start..end];
    let mut text = String::with_capacity(rest.len());
    while let Some(c) = rest.chars().next() {
        let entity = ENTITIES.iter().find(|(entity, _)| c == '&' && rest.starts_with(*entity));
        let (c, length) = entity.map_or((c, c.len_utf8()), |(entity, c)| (*c, entity.len()));
        rest = &rest[length..];
        if is_written(c) {
            text.push(c);
        } else if !is_unseen(c) && !text.ends_with(' ') {
            text.push(' ');
        }
    }
    text.to_lowercase()
}

/// How long the end of a word is that is not read: "men's" is about men.
fn possessive_length(rest: &str) -> usize {
    let mut chars = rest.chars();
    let (Some(mark @ ('\'' | '’' | '`')), Some('s' | 'S')) = (chars.next(), chars.next()) else { return 0 };
    if chars.next().is_some_and(char::is_alphanumeric) { 0 } else { mark.len_utf8() + 1 }
}

/// Whether a shopper would write a character: letters and digits, and what joins them.
fn is_written(c: char) -> bool {
    c.is_alphanumeric()
        || is_combining_mark(c)
        || matches!(c, '-' | '‐' | '‑' | '_' | '/' | '&' | '+' | '.' | '×' | '\'' | '’' | '`' | '·' | '・')
        // What joins and parts letters in scripts that write them together.
        || matches!(c, '\u{200c}' | '\u{200d}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Tokens;

    fn check(locale: &str, title: &str, expected: &[&str]) {
        let (analyzer, mut tokens, mut reader) = (Analyzer::new(locale), Tokens::default(), LeadReader::default());
        let mut known: Vec<String> = Vec::new();
        analyzer.read(title, &mut tokens);
        for token in tokens.iter().filter(|token| !token.kind.is_extra()) {
            let number = known.iter().position(|word| word == token.text).unwrap_or(known.len());
            known.push(token.text.to_owned());
            reader.add(&analyzer, number as u32, LeadPart::Title, token);
        }
        assert_eq!(reader.phrases(title).collect::<Vec<_>>(), expected, "{title}");
    }

    #[test]
    fn phrases_are_written_as_the_title_writes_them() {
        check("de", "Schöne Häuser-Taschen,  GROß", &["taschen", "häuser-taschen", "schöne häuser-taschen", "groß"]);
        check("sv", "Löparskor för män", &["löparskor"]);
        check("en", "Women's   T-Shirt", &["shirt", "t-shirt", "women's t-shirt"]);
        check("en", "Jeans Levi’s", &["levi’s", "jeans levi’s"]);
    }

    #[test]
    fn a_run_of_letters_without_spaces_is_a_word() {
        check("ja", "ナイキ\u{3000}運動靴", &["運動靴", "ナイキ 運動靴"]);
        check("ja", "ナイキ 運動靴 白 メンズ", &["メンズ", "白 メンズ", "運動靴 白 メンズ"]);
        check("ja", "ささささ靴", &["ささささ靴"]);
        check("ja", "ナイキshoe", &["shoe", "ナイキshoe"]);
    }

    #[test]
    fn phrases_have_neither_decoration_nor_units_without_numbers() {
        check("en", "Black &amp; Decker® \"Pro\" ★ drill", &["drill", "pro drill", "decker pro drill"]);
        check("en", "Black &amp; Decker", &["decker", "black & decker"]);
        check("en", "Laptop 13\" sleeve", &["laptop", "sleeve"]);
        check("en", "2× USB cable", &["cable", "usb cable"]);
        check("de", "Schuh\u{ad}regal", &["schuhregal"]);
        check("de", "USB\u{200b}Kabel", &["kabel", "usb kabel"]);
    }
}
