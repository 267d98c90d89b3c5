//! One form of every letter, however it is encoded: "ＡＢＣ１２３" is "ABC123", "ﾊﾞｯｸﾞ" is "バッグ", a letter and the mark
//! behind it are one character where there is such (Unicode's form C), and what cannot be seen is not there.
//!
//! Of what Unicode only holds to be compatible, what East Asian keyboards write in two widths is evened out here. All else,
//! such as fractions and small numbers, has its meaning, and is read by who knows it.

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// No character below this one changes in form C.
const FIRST_MARK: char = '\u{300}';

/// Whether a text has letters in another form than the usual one.
pub(super) fn is_uneven(text: &str) -> bool {
    let is_composed = || !text.chars().any(|c| c >= FIRST_MARK) || is_nfc_quick(text.chars()) == IsNormalized::Yes;
    !text.is_ascii() && (text.chars().any(|c| usual(c) != Some(c)) || !is_composed())
}

/// The text in letters of the usual form, and the place in `text` of the letter that each of its bytes is from; the last
/// place is the end.
pub(super) fn even_out(text: &str) -> (String, Vec<usize>) {
    let (mut even, mut origins) = (String::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
    let mut letter: Vec<(usize, char)> = Vec::new();
    for (at, c) in text.char_indices() {
        let Some(c) = usual(c) else { continue };
        if !joins(c) {
            write(&mut letter, &mut even, &mut origins);
        }
        letter.push((at, c));
    }
    write(&mut letter, &mut even, &mut origins);
    origins.push(text.len());
    (even, origins)
}

/// Writes a letter and the marks behind it, which it empties.
fn write(letter: &mut Vec<(usize, char)>, even: &mut String, origins: &mut Vec<usize>) {
    for (place, c) in letter.iter().map(|(_, c)| *c).nfc().enumerate() {
        even.push(c);
        origins.resize(even.len(), letter[place.min(letter.len() - 1)].0);
    }
    letter.clear();
}

/// A character as it is read; None where it cannot be seen.
fn usual(c: char) -> Option<char> {
    match c {
        _ if is_unseen(c) => None,
        // To Unicode it is a letter, but it is typed as any apostrophe.
        '\u{2bc}' => Some('’'),
        '\u{ff01}'..='\u{ff5e}' | '\u{ff61}'..='\u{ff9f}' => std::iter::once(c).nfkc().next(),
        _ => Some(c),
    }
}

/// Whether a character may become one with that before it.
fn joins(c: char) -> bool {
    let may_compose = || is_nfc_quick(std::iter::once(c)) == IsNormalized::Maybe;
    c >= FIRST_MARK && (canonical_combining_class(c) != 0 || may_compose())
}

/// Whether a character only says how others are set: where a word may be broken, in which direction it runs, how it is
/// drawn (Unicode's Default_Ignorable_Code_Point). A space of no width is none of these: it parts words.
pub(crate) fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
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

    #[test]
    fn letters_and_their_marks_are_one() {
        // Two bytes each, in Cyrillic.
        let text = "и\u{306}\u{ad}а";
        assert_eq!(even_out(text), ("йа".to_owned(), vec![0, 0, 6, 6, 8]));
        assert_eq!(even_out("e\u{323}\u{302}\u{200d}x").0, "\u{1ec7}x");
        assert_eq!(even_out("\u{1112}\u{1161}\u{11ab}").0, "한");
        // Form C takes some letters apart.
        assert_eq!(even_out("\u{958}x").1, [0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(even_out("\u{301}").0, "\u{301}");
        for uneven in ["e\u{301}", "\u{1112}\u{1161}", "a\u{ad}b", "м\u{2bc}яч", "\u{feff}a"] {
            assert!(is_uneven(uneven), "{uneven:?}");
        }
        for even in ["Чайник", "é ß ł", "한글", "हिन्दी", "運動靴", "’“„", "a\u{200b}b"]
        {
            assert!(!is_uneven(even), "{even}");
        }
    }
}
