//! Text into words: what a catalogue is indexed by, what a query is read as, and what highlighting marks are one and
//! the same thing.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A longer word is cut to this many bytes, in the index and in queries alike.
pub(crate) const MAX_WORD_BYTES: usize = 64;

/// Calls `each` with every word of a text, folded, and where in the text it stands.
///
/// A word is a run of letters and digits. Folding lowers case and takes accents off (Unicode NFKD, combining marks
/// removed), so that "Crème" and "creme" are one word.
pub fn words(text: &str, mut each: impl FnMut(&str, Range<usize>)) {
    let mut folded = String::with_capacity(MAX_WORD_BYTES);
    let mut start = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let is_mark = !c.is_ascii() && is_combining_mark(c);
        if c.is_alphanumeric() || (is_mark && !folded.is_empty()) {
            if folded.is_empty() {
                start = at;
            }
            fold(c, &mut folded);
            end = at + c.len_utf8();
        } else if !folded.is_empty() {
            each(cut(&folded), start..end);
            folded.clear();
        }
    }
    if !folded.is_empty() {
        each(cut(&folded), start..end);
    }
}

fn fold(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
        return;
    }
    match c {
        // Letters that Unicode does not take apart, but that shoppers type without their stroke or tie.
        'ß' | 'ẞ' => out.push_str("ss"),
        'æ' | 'Æ' => out.push_str("ae"),
        'œ' | 'Œ' => out.push_str("oe"),
        'ø' | 'Ø' => out.push('o'),
        'ł' | 'Ł' => out.push('l'),
        'đ' | 'Đ' => out.push('d'),
        'ı' => out.push('i'),
        _ => {
            let parts = std::iter::once(c).nfkd().filter(|part| !is_combining_mark(*part));
            out.extend(parts.filter(|part| part.is_alphanumeric()).flat_map(char::to_lowercase));
        }
    }
}

fn cut(word: &str) -> &str {
    &word[..word.floor_char_boundary(MAX_WORD_BYTES)]
}

/// The first one, two and three letters of a word, those that it has.
pub(crate) fn short_prefixes(word: &str) -> impl Iterator<Item = &str> {
    let ends = word.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.take(MAX_SHORT_PREFIX).map(|end| &word[..end])
}

/// Prefixes of up to this many letters are indexed as such; longer ones are looked up among the words.
pub(crate) const MAX_SHORT_PREFIX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let mut found = Vec::new();
        words(text, |word, range| found.push((word.to_owned(), text[range].to_owned())));
        let expected: Vec<_> =
            expected.iter().map(|(word, source)| ((*word).to_owned(), (*source).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn words_are_folded_and_placed() {
        check("Sony WH-1000XM5", &[("sony", "Sony"), ("wh", "WH"), ("1000xm5", "1000XM5")]);
        check("Crème brûlée", &[("creme", "Crème"), ("brulee", "brûlée")]);
        check("cre\u{300}me", &[("creme", "cre\u{300}me")]);
        check("Straße ŁÓDŹ", &[("strasse", "Straße"), ("lodz", "ŁÓDŹ")]);
        check("ﬁne ½", &[("fine", "ﬁne"), ("12", "½")]);
        check("  --  ", &[]);
    }

    #[test]
    fn long_words_are_cut_between_letters() {
        let text = "é".repeat(100);
        words(&text, |word, range| assert_eq!((word.len(), range), (64, 0..200)));
        let text = "語".repeat(100);
        words(&text, |word, _| assert_eq!(word.len(), 63));
    }
}
