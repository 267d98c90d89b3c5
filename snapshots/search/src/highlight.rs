//! Marking the words of a query in a text.

use crate::analysis::words;

/// Writes `text` for HTML, with `before` and `after` around each word that the query asked for. Everything else is
/// escaped, so that the result can stand in a page as it is. Returns whether anything was marked.
pub fn highlight(text: &str, query_words: &[String], before: &str, after: &str, out: &mut String) -> bool {
    let Some((last, whole)) = query_words.split_last() else {
        escape(text, out);
        return false;
    };
    let mut done = 0;
    words(text, |word, range| {
        // The last word may be unfinished.
        if word.starts_with(last.as_str()) || whole.iter().any(|wanted| wanted == word) {
            escape(&text[done..range.start], out);
            out.push_str(before);
            escape(&text[range.clone()], out);
            out.push_str(after);
            done = range.end;
        }
    });
    escape(&text[done..], out);
    done > 0
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_and_the_rest_is_escaped() {
        let check = |text: &str, words: &[&str], expected: &str| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let mut out = String::new();
            let marked = highlight(text, &words, "<mark>", "</mark>", &mut out);
            assert_eq!(out, expected);
            assert_eq!(marked, expected.contains("<mark>"));
        };
        check("Red <b> Shoes", &["red", "sho"], "<mark>Red</mark> &lt;b&gt; <mark>Shoes</mark>");
        check("Crème & Co", &["creme"], "<mark>Crème</mark> &amp; Co");
        check("Shoes red", &["sho", "red"], "Shoes <mark>red</mark>");
        check("a\"b", &[], "a&quot;b");
    }
}
