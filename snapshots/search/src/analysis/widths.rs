//! Letters and digits of another width: "ＡＢＣ１２３" is "ABC123", and "ﾊﾞｯｸﾞ" is "バッグ".
//!
//! Only what East Asian keyboards write in two widths is evened out here. All else that Unicode holds to be compatible,
//! such as fractions and small numbers, has its meaning, and is read by who knows it.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::compose;

/// Whether a text has letters of another width, or kana whose voiced mark stands apart.
pub(super) fn is_uneven(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| is_other_width(c) || voiced_mark(c).is_some())
}

/// The text in letters of the usual width, and the place in `text` of the letter that each of its bytes is from; the
/// last place is the end.
pub(super) fn even_out(text: &str) -> (String, Vec<usize>) {
    let (mut even, mut origins) = (String::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
    let mut letters = text.char_indices().peekable();
    while let Some((at, c)) = letters.next() {
        let letter = if is_other_width(c) { std::iter::once(c).nfkc().next().unwrap_or(c) } else { c };
        let mark = letters.peek().and_then(|(_, next)| voiced_mark(*next));
        let voiced = mark.and_then(|mark| compose(letter, mark));
        if voiced.is_some() {
            letters.next();
        }
        even.push(voiced.unwrap_or(letter));
        origins.resize(even.len(), at);
    }
    origins.push(text.len());
    (even, origins)
}

fn is_other_width(c: char) -> bool {
    matches!(c, '\u{ff01}'..='\u{ff5e}' | '\u{ff61}'..='\u{ff9f}')
}

/// The mark that makes one kana of two: "ハ" and "゛" are "バ".
fn voiced_mark(c: char) -> Option<char> {
    match c {
        '\u{3099}' | '\u{ff9e}' => Some('\u{3099}'),
        '\u{309a}' | '\u{ff9f}' => Some('\u{309a}'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_know_where_they_are_from() {
        let text = "ﾊﾞｯｸ1ａ";
        let (even, origins) = even_out(text);
        assert_eq!(even, "バック1a");
        // Three bytes each: ﾊ and its mark are six.
        assert_eq!(origins, [0, 0, 0, 6, 6, 6, 9, 9, 9, 12, 13, 16]);
        assert_eq!(origins.last(), Some(&text.len()));
        assert_eq!(even_out("ハ\u{3099}パ ｶﾟ").0, "バパ カ\u{309a}");
        assert!(is_uneven("か\u{3099}") && !is_uneven("バッグ 13½ m²"));
    }
}
