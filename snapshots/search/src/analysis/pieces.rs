//! The first reading of a text: runs of letters, numbers, and what lies between them.

use std::ops::Range;

use super::MAX_WORD_BYTES;
use super::fold::{fold, is_letter, is_optional_mark, is_unspaced};
use super::units;

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
        &self.letters[self.pieces[place].text.clone()]
    }

    /// Reads a text; what was read before is forgotten.
    pub(super) fn read(&mut self, text: &str) {
        self.letters.clear();
        self.pieces.clear();
        let mut reader = Reader { text, at: 0, glue: Glue::Near, pieces: self };
        while reader.step() {}
    }

    fn push(&mut self, text: &str, kind: Kind, glue: Glue, range: (usize, usize)) {
        let start = self.letters.len();
        if text.is_ascii() {
            self.letters.extend(text.chars().map(|c| c.to_ascii_lowercase()));
        } else {
            text.chars().filter(|c| !is_optional_mark(*c)).for_each(|c| fold(c, &mut self.letters));
        }
        let end = start + self.letters[start..].floor_char_boundary(MAX_WORD_BYTES);
        self.letters.truncate(end);
        if end > start {
            self.pieces.push(Piece { text: start..end, kind, glue, range });
        }
    }
}

struct Reader<'a, 'b> {
    text: &'a str,
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
        if c.is_ascii_digit() {
            self.number_run();
        } else if let Some(fraction) = vulgar_fraction(c) {
            self.add(fraction, Kind::Number, c.len_utf8());
        } else if is_unspaced(c) {
            self.unspaced_run();
        } else if c.is_alphanumeric() {
            let length = self.run_length(|c| is_letter(c) && !is_unspaced(c));
            self.take(Kind::Word, length);
            self.skip_possessive();
        } else {
            self.separator(c);
        }
        true
    }

    /// A run that begins with a digit: a number, perhaps with its unit or further dimensions attached, or a code.
    fn number_run(&mut self) {
        let number = number_length(self.rest());
        let after = self.at + number;
        let letters = self.text[after..].find(|c| !is_letter(c) || is_unspaced(c)).unwrap_or(self.text.len() - after);
        let tail = self.text[after..after + letters].to_ascii_lowercase();
        if tail.is_empty() {
            self.take(Kind::Number, number);
            self.quote_unit();
            return;
        }
        // "2x4" and "4x8wood", but not "6s" or "1211ea".
        if let Some(rest) = tail.strip_prefix('x').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            let _ = rest;
            self.take(Kind::Number, number);
            self.add("x", Kind::Word, 1);
            return;
        }
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let unit = &tail[..unit_end];
        let after_times = self.pieces.pieces.last().is_some_and(|last| &self.pieces.letters[last.text.clone()] == "x");
        if unit_end == tail.len() && (units::unit(unit).is_some() || after_times) {
            self.take(Kind::Number, number);
            self.glue = Glue::Near;
            self.take(Kind::Word, unit_end);
            return;
        }
        // "8ftx4ft": the sign stands between the unit and the next number.
        if let Some(unit) = unit.strip_suffix('x').filter(|unit| units::unit(unit).is_some())
            && unit_end < tail.len()
        {
            let length = unit.len();
            self.take(Kind::Number, number);
            self.glue = Glue::Near;
            self.take(Kind::Word, length);
            self.glue = Glue::Near;
            self.add("x", Kind::Word, 1);
            return;
        }
        // A code: digits and letters as they come, without the decimals that belong to no code.
        let length = self.run_length(|c| is_letter(c) && !is_unspaced(c));
        self.take(Kind::Word, length);
    }

    /// A quote behind a number is a unit: 13" are inches, 6' are feet.
    fn quote_unit(&mut self) {
        let unit = match self.next_char() {
            Some('"' | '″' | '”') => "inch",
            Some('\'' | '′' | '’') if self.rest().starts_with("''") => "inch",
            Some('\'' | '′' | '’') => "foot",
            _ => return,
        };
        let length = if self.rest().starts_with("''") { 2 } else { self.next_char().map_or(0, char::len_utf8) };
        self.add(unit, Kind::Word, length);
    }

    /// Every two letters, and the last one: whatever a query begins with, some piece begins with it.
    fn unspaced_run(&mut self) {
        let end = self.at + self.run_length(is_unspaced);
        let mut letters = self.text[self.at..end].char_indices().peekable();
        let start = self.at;
        let mut glue = self.glue;
        let text = self.text;
        while let Some((from, first)) = letters.next() {
            let next = letters.peek().map(|(_, next)| next.len_utf8()).unwrap_or(0);
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

    fn take(&mut self, kind: Kind, length: usize) {
        let range = (self.at, self.at + length);
        let text = self.text;
        let text = &text[range.0..range.1];
        match kind {
            // "1,000" is "1000".
            Kind::Number if text.contains(',') => {
                self.pieces.push(&text.replace(',', ""), kind, self.glue, range);
            }
            _ => self.pieces.push(text, kind, self.glue, range),
        }
        self.at += length;
        self.glue = Glue::Near;
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

/// How many bytes of `text` are a number: digits, with thousands ("1,000"), decimals ("13.3") or as a fraction ("1/2").
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    if end <= 3 {
        while bytes.get(end) == Some(&b',') && digits(end + 1) == 3 {
            end += 4;
        }
    }
    match bytes.get(end) {
        Some(b'.') if digits(end + 1) > 0 => end + 1 + digits(end + 1),
        // A fraction has one or two digits on either side; "24/7/365" and dates are none.
        Some(b'/') if (1..=2).contains(&end) => {
            let below = digits(end + 1);
            let more = bytes.get(end + 1 + below) == Some(&b'/');
            if (1..=2).contains(&below) && !more { end + 1 + below } else { end }
        }
        _ => end,
    }
}

fn vulgar_fraction(c: char) -> Option<&'static str> {
    Some(match c {
        '½' => "1/2",
        '⅓' => "1/3",
        '⅔' => "2/3",
        '¼' => "1/4",
        '¾' => "3/4",
        '⅛' => "1/8",
        '⅜' => "3/8",
        '⅝' => "5/8",
        '⅞' => "7/8",
        _ => return None,
    })
}
