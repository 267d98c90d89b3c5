//! What `&name;` and `&#number;` stand for: in XML, and in the HTML that descriptions are written in.

/// No reference is longer, its `&` and `;` left out.
pub(crate) const MAX_REFERENCE_BYTES: usize = 16;

/// HTML's names for the characters from U+00A0 to U+00FF, in their order.
const LATIN_1: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not", "shy",
    "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1", "ordm",
    "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig",
    "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve",
    "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN",
    "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc",
    "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml",
    "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];

/// The names of XML itself, and those that texts about products use besides.
const OTHERS: [(&str, char); 33] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("OElig", 'Œ'),
    ("oelig", 'œ'),
    ("Scaron", 'Š'),
    ("scaron", 'š'),
    ("Yuml", 'Ÿ'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("lsaquo", '‹'),
    ("rsaquo", '›'),
    ("bull", '•'),
    ("hellip", '…'),
    ("prime", '′'),
    ("Prime", '″'),
    ("euro", '€'),
    ("trade", '™'),
    ("le", '≤'),
    ("ge", '≥'),
];

/// The character that a reference stands for; `name` is what is between `&` and `;`.
pub(crate) fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?).filter(|letter| *letter != '\0');
    }
    if let Some((_, letter)) = OTHERS.iter().find(|(known, _)| *known == name) {
        return Some(*letter);
    }
    LATIN_1.iter().zip('\u{a0}'..='\u{ff}').find(|(known, _)| **known == name).map(|(_, letter)| letter)
}

/// A text with its references replaced, once. What is no reference that is known stays as it is written.
pub(crate) fn without_references(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let end = after.bytes().take(MAX_REFERENCE_BYTES + 1).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&after[..end])?, end))) {
            Some((letter, end)) => {
                plain.push(letter);
                rest = &after[end + 1..];
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read() {
        let check = |name: &str, expected: Option<char>| assert_eq!(entity(name), expected, "{name}");
        check("amp", Some('&'));
        check("nbsp", Some('\u{a0}'));
        check("eacute", Some('é'));
        check("yuml", Some('ÿ'));
        check("times", Some('×'));
        check("#233", Some('é'));
        check("#xE9", Some('é'));
        check("#X20AC", Some('€'));
        check("#0", None);
        check("#xD800", None);
        check("#", None);
        check("Eacutes", None);
        check("", None);
    }

    #[test]
    fn texts_are_read_once() {
        let check = |text: &str, expected: &str| assert_eq!(without_references(text), expected, "{text}");
        check("Salt &amp; Pepper", "Salt & Pepper");
        check("&amp;lt;", "&lt;");
        check("AT&T; R&D & &made_up; &", "AT&T; R&D & &made_up; &");
        check("&é; Caf&eacute;", "&é; Café");
        check("&a very long sentence without a reference;", "&a very long sentence without a reference;");
    }
}
