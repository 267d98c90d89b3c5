//! Letters as shoppers type them: lower case, without the accents of the alphabets where an accent is optional.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

/// A text, folded.
pub(super) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_all(text, &mut folded);
    folded
}

/// Appends a text, folded letter by letter, without marks that are only decoration.
pub(super) fn fold_all(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.extend(text.chars().map(|c| c.to_ascii_lowercase()));
    } else {
        text.chars().filter(|c| !is_optional_mark(*c)).for_each(|c| fold(c, out));
    }
}

/// Appends a letter or digit, folded: "È" is "e", "ﬁ" is "fi", "½" is "12".
///
/// Marks are taken off Latin and Greek letters, where shoppers leave them out. In other scripts they are part of the
/// letter: Cyrillic "й", Japanese "が" and the vowel signs of Indian scripts stay as they are.
pub(super) fn fold(c: char, out: &mut String) {
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
        'đ' | 'Đ' | 'ð' | 'Ð' => out.push('d'),
        'þ' | 'Þ' => out.push_str("th"),
        'ı' | 'İ' => out.push('i'),
        'ё' | 'Ё' => out.push('е'),
        'ς' => out.push('σ'),
        _ if sheds_marks(c) => {
            let parts = std::iter::once(c).nfkd().filter(|part| !is_combining_mark(*part));
            out.extend(parts.filter(|part| part.is_alphanumeric()).flat_map(char::to_lowercase));
        }
        _ => {
            let parts = std::iter::once(c).nfkc().filter(|part| is_letter(*part));
            out.extend(parts.flat_map(char::to_lowercase));
        }
    }
}

/// Whether a character belongs to a word: letters, digits, and the marks that some scripts write vowels with.
pub(super) fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && is_combining_mark(c))
}

/// Whether a mark that stands alone is only decoration: accents, and the points of Hebrew and Arabic.
fn is_optional_mark(c: char) -> bool {
    !c.is_ascii()
        && canonical_combining_class(c) != 0
        && matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}')
}

fn sheds_marks(c: char) -> bool {
    let first = std::iter::once(c).nfkd().next().unwrap_or(c);
    matches!(first, '\0'..='\u{24f}' | '\u{370}'..='\u{3ff}')
}

/// Letters of scripts that put no spaces between words: Chinese, Japanese and Korean.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}
