//! The first reading of a text: runs of letters, numbers, and what lies between them.

use std::ops::Range;

use super::fold::{fold_all, folded, is_letter, is_unspaced};
use super::language::Language;
use super::numbers::{Number, begins_number, vulgar_fraction};
use super::{MAX_WORD_BYTES, Reading, forms, unit_names};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
}

/// What stands between a piece and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glue {
    /// Spaces, or nothing: two pieces of one run, such as a number and its unit.
    Near,
    /// A hyphen, an ampersand or a dot without spaces: the pieces can be read as one word.
    Joined,
    Slash,
    /// A comma, a bracket or a dash with spaces.
    Clause,
}

#[derive(Clone, Debug)]
pub(super) struct Piece {
    text: Range<usize>,
    kind: Kind,
    pub(super) glue: Glue,
    pub(super) range: (usize, usize),
}

#[derive(Clone, Default)]
pub(super) struct Pieces {
    letters: String,
    pieces: Vec<Piece>,
}

impl Piece {
    /// The same piece, but for where it stands.
    pub(super) fn at(&self, range: (usize, usize)) -> Self {
        Self { range, ..self.clone() }
    }
}

impl Pieces {
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn at(&self, place: usize) -> &Piece {
        &self.pieces[place]
    }

    pub(super) fn kind(&self, place: usize) -> Kind {
        self.pieces[place].kind
    }

    pub(super) fn text(&self, place: usize) -> &str {
        self.text_of(&self.pieces[place])
    }

    fn text_of(&self, piece: &Piece) -> &str {
        &self.letters[piece.text.clone()]
    }

    fn last_text(&self) -> Option<&str> {
        self.pieces.last().map(|last| self.text_of(last))
    }

    /// Reads a text; what was read before is forgotten.
    pub(super) fn read(&mut self, text: &str, language: &Language, reading: Reading) {
        self.letters.clear();
        self.pieces.clear();
        if !forms::is_uneven(text) {
            self.read_even(text, language, reading);
            return;
        }
        let (even, origins) = forms::even_out(text);
        self.read_even(&even, language, reading);
        for piece in &mut self.pieces {
            piece.range = (origins[piece.range.0], origins[piece.range.1]);
        }
    }

    fn read_even(&mut self, text: &str, language: &Language, reading: Reading) {
        let mut reader = Reader { text, language, reading, at: 0, glue: Glue::Near, pieces: self };
        while reader.step() {}
    }

    fn push(&mut self, text: &str, kind: Kind, glue: Glue, range: (usize, usize)) {
        let start = self.letters.len();
        fold_all(text, &mut self.letters);
        let end = start + self.letters[start..].floor_char_boundary(MAX_WORD_BYTES);
        self.letters.truncate(end);
        if end > start {
            self.pieces.push(Piece { text: start..end, kind, glue, range });
        }
    }
}

struct Reader<'a, 'b> {
    text: &'a str,
    language: &'b Language,
    reading: Reading,
    at: usize,
    glue: Glue,
    pieces: &'b mut Pieces,
}

impl Reader<'_, '_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next_char(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes the next piece or separator; false at the end.
    fn step(&mut self) -> bool {
        let Some(c) = self.next_char() else { return false };
        if c.is_ascii_digit() || (c == '.' && self.begins_decimals()) {
            self.number_run();
        } else if let Some(fraction) = vulgar_fraction(c) {
            self.add(fraction, Kind::Number, c.len_utf8());
            self.quote_unit();
        } else if is_unspaced(c) {
            self.unspaced_run();
        } else if matches!(c, 'x' | 'X') && self.is_times() {
            self.glue = Glue::Near;
            self.add("x", Kind::Word, 1);
        } else if c.is_alphanumeric() {
            let length = self.run_length(is_word_letter);
            self.take_word(length);
            self.skip_possessive();
        } else {
            self.separator(c);
        }
        true
    }

    /// Whether the dot that comes next begins a number: ".5 in", "2x.5".
    fn begins_decimals(&self) -> bool {
        let is_free = match self.text[..self.at].chars().next_back() {
            Some('x' | 'X' | '×' | '*') => self.pieces.last_text() == Some("x"),
            before => before.is_none_or(|c| c.is_whitespace() || c == '('),
        };
        is_free && begins_number(self.rest())
    }

    /// Whether the "x" that comes next is the sign of a dimension. It stands right behind a unit, as in 4'x8', or right
    /// before a number in quotes, as in 2" x4"; "50 mm X100" is a model.
    fn is_times(&self) -> bool {
        let (before, after) = (&self.text[..self.at], &self.text[self.at + 1..]);
        let [.., number, unit] = self.pieces.pieces.as_slice() else { return false };
        let is_measure = number.kind == Kind::Number && self.language.unit(self.pieces.text_of(unit)).is_some();
        if !is_measure || !matches!(self.glue, Glue::Near | Glue::Joined) || !begins_number(after) {
            return false;
        }
        let length = Number::at(after, 0, self.language.decimal_sign).length;
        let is_quote = |c: char| DOUBLE_QUOTES.contains(&c) || SINGLE_QUOTES.contains(&c);
        before.ends_with(is_quote) || before.ends_with('.') || after[length..].starts_with(is_quote)
    }

    /// A run that begins with a digit: a number, perhaps with its unit or further dimensions attached, or a code.
    fn number_run(&mut self) {
        let text = self.text;
        let number = Number::at(text, self.at, self.language.decimal_sign);
        let after = self.at + number.length;
        let tail = &text[after..];
        let tail = &tail[..tail.find(|c| !is_word_letter(c)).unwrap_or(tail.len())];
        if tail.is_empty() {
            self.take_number(&number);
            self.quote_unit();
            return;
        }
        // "2x4" and "4x8wood", but not "6s" or "1211ea".
        if tail.starts_with(['x', 'X']) && begins_number(&text[after + 1..]) {
            self.take_number(&number);
            self.add("x", Kind::Word, 1);
            return;
        }
        let letters = &tail[..tail.find(char::is_numeric).unwrap_or(tail.len())];
        // "8ftx4ft": the sign stands between the unit and the next number.
        if let Some(unit) = letters.strip_suffix(['x', 'X'])
            && begins_number(&text[after + letters.len()..])
            && self.language.unit(&folded(unit)).is_some()
        {
            self.take_number(&number);
            self.take_word(unit.len());
            self.add("x", Kind::Word, 1);
            return;
        }
        let after_times = self.pieces.last_text() == Some("x");
        if letters.len() == tail.len() && (after_times || self.language.unit(&folded(letters)).is_some()) {
            self.take_number(&number);
            self.take_word(letters.len());
            return;
        }
        // A code: digits and letters as they come, without the decimals that belong to no code.
        if self.rest().starts_with('.') {
            self.at += 1;
        }
        let length = self.run_length(is_word_letter);
        self.take_word(length);
    }

    /// A quote behind a number is a unit: 13" are inches, 6' are feet, and 13'' are inches again. Behind a space it is one
    /// where it opens nothing: 13 " wide, but 5 "wide".
    fn quote_unit(&mut self) {
        let (first, second, third) = self.next_three();
        match (first, second) {
            (Some(c), _) if self.is_inches(c) => self.add("inch", Kind::Word, c.len_utf8()),
            (Some(c), Some(next)) if SINGLE_QUOTES.contains(&c) && SINGLE_QUOTES.contains(&next) => {
                self.add("inch", Kind::Word, c.len_utf8() + next.len_utf8());
            }
            (Some(c), _) if SINGLE_QUOTES.contains(&c) => self.add("foot", Kind::Word, c.len_utf8()),
            (Some(' '), Some(c)) if self.is_inches(c) && third.is_none_or(|c| !is_letter(c)) => {
                self.at += 1;
                self.add("inch", Kind::Word, c.len_utf8());
            }
            _ => {}
        }
    }

    /// Whether a quote that comes next stands for inches: it does not where it closes what "„" has opened.
    fn is_inches(&self, quote: char) -> bool {
        let before = &self.text[..self.at];
        let closes = || matches!(quote, '“' | '”') && before.rfind('„') > before.rfind(['“', '”']);
        DOUBLE_QUOTES.contains(&quote) && !closes()
    }

    fn next_three(&self) -> (Option<char>, Option<char>, Option<char>) {
        let mut letters = self.rest().chars();
        (letters.next(), letters.next(), letters.next())
    }

    /// Every two letters, and the last one: whatever a query begins with, some piece begins with it. A query itself has
    /// its last letter in a pair already, if it has two. Behind a number the letters may name its unit.
    fn unspaced_run(&mut self) {
        let is_behind_number = self.pieces.pieces.last().is_some_and(|last| last.kind == Kind::Number);
        if is_behind_number
            && self.glue == Glue::Near
            && let Some((unit, length)) = unit_names::unspaced(self.rest())
        {
            self.add(unit, Kind::Word, length);
            return;
        }
        let end = self.at + self.run_length(is_unspaced);
        let mut letters = self.text[self.at..end].char_indices().peekable();
        let start = self.at;
        let mut glue = self.glue;
        let text = self.text;
        while let Some((from, first)) = letters.next() {
            let next = letters.peek().map(|(_, next)| next.len_utf8()).unwrap_or(0);
            if next == 0 && from > 0 && self.reading == Reading::Query {
                break;
            }
            let range = (start + from, start + from + first.len_utf8() + next);
            self.pieces.push(&text[range.0..range.1], Kind::Word, glue, range);
            glue = Glue::Near;
        }
        self.at = end;
        self.glue = Glue::Near;
    }

    fn run_length(&self, belongs: impl Fn(char) -> bool) -> usize {
        self.rest().find(|c| !belongs(c)).unwrap_or(self.rest().len())
    }

    fn take_word(&mut self, length: usize) {
        let text = self.text;
        self.add(&text[self.at..self.at + length], Kind::Word, length);
    }

    fn take_number(&mut self, number: &Number) {
        let text = self.text;
        self.add(&number.plain(&text[self.at..self.at + number.length]), Kind::Number, number.length);
    }

    /// Adds a piece under another name than it is written with.
    fn add(&mut self, text: &str, kind: Kind, length: usize) {
        self.pieces.push(text, kind, self.glue, (self.at, self.at + length));
        self.at += length;
        self.glue = Glue::Near;
    }

    /// "men's" is about men.
    fn skip_possessive(&mut self) {
        let mut rest = self.rest().chars();
        if !matches!(rest.next(), Some('\'' | '’' | '`')) || !matches!(rest.next(), Some('s' | 'S')) {
            return;
        }
        if rest.next().is_none_or(|c| !is_letter(c)) {
            let length = self.next_char().map_or(0, char::len_utf8) + 1;
            self.at += length;
        }
    }

    fn separator(&mut self, c: char) {
        // Feeds escape what they should not: "&amp;" is no word.
        if let Some(entity) = ENTITIES.iter().find(|entity| self.rest().starts_with(**entity)) {
            self.at += entity.len();
            return;
        }
        let before = self.text[..self.at].chars().next_back();
        let after = self.text[self.at + c.len_utf8()..].chars().next();
        let within = before.is_some_and(is_letter) && after.is_some_and(is_letter);
        let letters = before.is_some_and(char::is_alphabetic) && after.is_some_and(char::is_alphabetic);
        self.glue = match c {
            '-' | '‐' | '‑' | '_' | '&' | '+' if within => Glue::Joined,
            '.' if letters => Glue::Joined,
            '*' | '×' if before.is_some_and(|c| c.is_ascii_digit()) => {
                self.add("x", Kind::Word, c.len_utf8());
                return;
            }
            '×' => {
                self.add("x", Kind::Word, c.len_utf8());
                return;
            }
            '/' if within => Glue::Slash,
            ',' | ';' | ':' | '(' | ')' | '[' | ']' | '|' | '–' | '—' | '-' => Glue::Clause,
            _ if self.glue == Glue::Clause => Glue::Clause,
            _ => Glue::Near,
        };
        self.at += c.len_utf8();
    }
}

const ENTITIES: [&str; 7] = ["&amp;", "&quot;", "&lt;", "&gt;", "&nbsp;", "&#39;", "&apos;"];

/// What stands for inches behind a number; German closes with what opens in English.
const DOUBLE_QUOTES: [char; 5] = ['"', '″', '”', '“', '‟'];
/// What stands for feet, and two of which for inches.
const SINGLE_QUOTES: [char; 4] = ['\'', '′', '’', '´'];

/// Whether a character goes on a word of a script with spaces.
fn is_word_letter(c: char) -> bool {
    is_letter(c) && !is_unspaced(c) && vulgar_fraction(c).is_none()
}
