//! Numbers as titles and queries write them: with thousands, with decimals, or as a fraction.

use std::borrow::Cow;

/// The sign before decimals. Of dot and comma, the other one divides thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecimalSign {
    Dot,
    Comma,
}

/// How far a number reaches.
pub(super) struct Number {
    pub(super) length: usize,
    /// So much of it stands before the decimals.
    whole: usize,
}

impl Number {
    /// The number that begins at a place of a text, with a digit or with the dot before decimals.
    pub(super) fn at(text: &str, at: usize, sign: DecimalSign) -> Self {
        let bytes = &text.as_bytes()[at..];
        let digits =
            |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (point, divider) = match sign {
            DecimalSign::Dot => (b'.', b','),
            DecimalSign::Comma => (b',', b'.'),
        };
        let first = digits(0);
        let mut whole = first;
        // "1,000", but "0.125" has no thousands anywhere.
        if (1..=3).contains(&first) && bytes[0] != b'0' {
            while bytes.get(whole) == Some(&divider) && digits(whole + 1) == 3 {
                whole += 4;
            }
        }
        let decimals = digits(whole + 1);
        let length = match bytes.get(whole) {
            Some(b'.') if decimals > 0 && (point == b'.' || whole == first) => whole + 1 + decimals,
            Some(b',') if decimals > 0 && point == b',' && !is_listed(text, at, at + whole + 1 + decimals) => {
                whole + 1 + decimals
            }
            // A fraction has one or two digits on either side; "24/7/365" and dates are none.
            Some(b'/') if (1..=2).contains(&whole) => {
                let is_fraction = (1..=2).contains(&decimals) && bytes.get(whole + 1 + decimals) != Some(&b'/');
                whole = if is_fraction { whole + 1 + decimals } else { whole };
                whole
            }
            _ => whole,
        };
        Self { length, whole }
    }

    /// The one spelling of the number, which `text` is: thousands are not divided, a dot stands before the decimals,
    /// and no zero at their end.
    pub(super) fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let whole = &text[..self.whole];
        let decimals = text[self.whole..].get(1..).unwrap_or_default().trim_end_matches('0');
        let is_bare = !whole.is_empty() && !whole.contains([',', '.']);
        match text.as_bytes().get(self.whole) {
            _ if is_bare && decimals.is_empty() => Cow::Borrowed(whole),
            Some(b'.') if is_bare => Cow::Borrowed(&text[..self.whole + 1 + decimals.len()]),
            _ => {
                let mut plain = whole.replace([',', '.'], "");
                if plain.is_empty() {
                    plain.push('0');
                }
                if !decimals.is_empty() {
                    plain.push('.');
                    plain.push_str(decimals);
                }
                Cow::Owned(plain)
            }
        }
    }
}

/// Whether what stands from `from` to `to` is part of a list without spaces, such as the sizes "38,39,40".
fn is_listed(text: &str, from: usize, to: usize) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let goes_on = bytes.get(to) == Some(&b',') && is_digit(to + 1);
    goes_on || (from >= 2 && bytes[from - 1] == b',' && is_digit(from - 2))
}

/// Whether a text begins with a number.
pub(super) fn begins_number(text: &str) -> bool {
    let mut letters = text.chars();
    match letters.next() {
        Some('.') => letters.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => c.is_ascii_digit() || vulgar_fraction(c).is_some(),
        None => false,
    }
}

/// How a fraction that is one letter is written with digits.
pub(super) fn vulgar_fraction(c: char) -> Option<&'static str> {
    Some(match c {
        '½' => "1/2",
        '⅓' => "1/3",
        '⅔' => "2/3",
        '¼' => "1/4",
        '¾' => "3/4",
        '⅕' => "1/5",
        '⅖' => "2/5",
        '⅗' => "3/5",
        '⅘' => "4/5",
        '⅙' => "1/6",
        '⅚' => "5/6",
        '⅛' => "1/8",
        '⅜' => "3/8",
        '⅝' => "5/8",
        '⅞' => "7/8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        let check = |sign: DecimalSign, text: &str, expected: &str| {
            let number = Number::at(text, 0, sign);
            assert_eq!(number.plain(&text[..number.length]), expected, "{text}");
        };
        let dot = |text: &str, expected: &str| check(DecimalSign::Dot, text, expected);
        dot("1,000 W", "1000");
        dot("1,234,567.80", "1234567.8");
        dot("1.50", "1.5");
        dot("1.0", "1");
        dot("100", "100");
        dot("0.125", "0.125");
        dot(".5", "0.5");
        dot("1,5", "1");
        dot("1/2", "1/2");
        dot("24/7/365", "24");
        let comma = |text: &str, expected: &str| check(DecimalSign::Comma, text, expected);
        comma("1,50 l", "1.5");
        comma("1.000 W", "1000");
        comma("1.234.567,80", "1234567.8");
        comma("1.5", "1.5");
        comma("1.2345", "1.2345");
        comma("0.125", "0.125");
        comma(".125", "0.125");
        comma("38,39,40", "38");
        comma("1/2", "1/2");
    }

    #[test]
    fn lists_are_no_decimals() {
        let lengths: Vec<usize> =
            [0, 3, 6].iter().map(|at| Number::at("38,39,40", *at, DecimalSign::Comma).length).collect();
        assert_eq!(lengths, [2, 2, 2]);
    }
}
