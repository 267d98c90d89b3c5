//! Descriptions are often HTML, which is nothing to search or to show.

use crate::source::entities::without_references;

/// A text without HTML's tags and references. One that has no tag keeps its lines.
pub(super) fn plain_text(written: &str) -> String {
    let mut text = String::with_capacity(written.len());
    let mut rest = written;
    let mut has_tag = false;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match tag_of(rest) {
            Some(tag) => {
                has_tag = true;
                if !is_within_words(tag) {
                    text.push(' ');
                }
                tag.len()
            }
            None => {
                text.push('<');
                1
            }
        };
        rest = &rest[length..];
    }
    text.push_str(rest);
    let text = without_references(&text);
    match has_tag {
        true => text.split_whitespace().collect::<Vec<_>>().join(" "),
        false => text,
    }
}

/// The tag that a text begins with: "a < b" has none.
fn tag_of(text: &str) -> Option<&str> {
    let first = *text.as_bytes().get(1)?;
    if !first.is_ascii_alphabetic() && !matches!(first, b'/' | b'!') {
        return None;
    }
    // Ending the look at the next '<' keeps the whole linear, whatever the text.
    let end = 1 + text[1..].find(['<', '>'])?;
    (text.as_bytes()[end] == b'>').then(|| &text[..=end])
}

/// Whether a tag may stand in the middle of a word. All others part words.
fn is_within_words(tag: &str) -> bool {
    let name = tag.trim_start_matches(['<', '/']);
    let name = name.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or(name);
    matches!(
        name.to_ascii_lowercase().as_str(),
        "a" | "b" | "em" | "font" | "i" | "small" | "span" | "strong" | "sub" | "sup" | "u"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_references_go() {
        let check = |written: &str, expected: &str| assert_eq!(plain_text(written), expected, "{written}");
        check("<p>Oak <b>desk</b> lamp.</p><p>40&nbsp;W</p>", "Oak desk lamp. 40 W");
        check("<ul><li>H<sub>2</sub>O</li><LI>air</LI></ul>", "H2O air");
        check("one<br/>two", "one two");
        check("Salt &amp; Pepper\nset", "Salt & Pepper\nset");
        check("a < b, 5 <3, <unclosed <b>bold</b>", "a < b, 5 <3, <unclosed bold");
        check("<!-- note -->&lt;p&gt;", "<p>");
        check("<é> <", "<é> <");
        check("", "");
    }
}
