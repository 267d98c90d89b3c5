//! A query as it was typed, read into words before any snapshot is asked.

use crate::analysis::{Analyzer, TokenKind, Tokens};

/// One distinct word of a query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct QueryWord {
    /// Folded, as the vocabulary holds words.
    pub(crate) text: String,
    /// What it is indexed by.
    pub(crate) stem: String,
    pub(crate) is_number: bool,
    pub(crate) is_unit: bool,
    /// Longer words that this one is a part of: "wifi" of "wi-fi", "13inch" of "13 inch".
    pub(crate) wholes: Vec<String>,
    /// Whether the next word does not begin within it: scripts without spaces are read in pairs of letters.
    pub(crate) ends_run: bool,
}

impl QueryWord {
    /// A word of the vocabulary.
    pub(crate) fn new(analyzer: &Analyzer, text: String) -> Self {
        let stem = analyzer.stem(&text).into_owned();
        Self { text, stem, is_number: false, is_unit: false, wholes: Vec::new(), ends_run: false }
    }
}

/// The distinct words of a text in their order. A repeated word keeps its last place, so that what is being typed stays
/// last, and is a part of all that it is joined to anywhere.
pub(crate) fn read_query(analyzer: &Analyzer, text: &str) -> Vec<QueryWord> {
    let mut tokens = Tokens::default();
    analyzer.read_query(text, &mut tokens);
    let mut words: Vec<QueryWord> = Vec::new();
    // Wholes stand behind their first part, and reach over the words that follow it.
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut starts = tokens.iter().filter(|token| !token.kind.is_extra()).map(|token| token.range.0).skip(1);
    for token in tokens.iter() {
        if token.kind.is_extra() {
            open.push((token.parts - 1, token.text.to_owned()));
            if let Some(first) = words.last_mut() {
                first.wholes.push(token.text.to_owned());
            }
            continue;
        }
        let mut word = QueryWord {
            text: token.text.to_owned(),
            stem: analyzer.stem(token.text).into_owned(),
            is_number: token.kind == TokenKind::Number,
            is_unit: token.kind == TokenKind::Unit,
            wholes: Vec::new(),
            ends_run: starts.next().is_none_or(|start| start >= token.range.1),
        };
        for (left, whole) in &mut open {
            word.wholes.push(whole.clone());
            *left -= 1;
        }
        open.retain(|(left, _)| *left > 0);
        if let Some(at) = words.iter().position(|earlier| earlier.text == word.text) {
            let earlier = words.remove(at);
            word.ends_run |= earlier.ends_run;
            // Of two quantities the last one is asked for.
            if !earlier.is_number && !earlier.is_unit {
                word.wholes.extend(earlier.wholes);
            }
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[(&str, &[&str])]) {
        let words = read_query(&Analyzer::new("en"), query);
        let found: Vec<(&str, Vec<&str>)> =
            words.iter().map(|word| (word.text.as_str(), word.wholes.iter().map(String::as_str).collect())).collect();
        let expected: Vec<(&str, Vec<&str>)> = expected.iter().map(|(word, wholes)| (*word, wholes.to_vec())).collect();
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn words_know_what_they_are_part_of() {
        check("Wi-Fi router", &[("wi", &["wifi"]), ("fi", &["wifi"]), ("router", &[])]);
        check("13 inch case", &[("13", &["13inch"]), ("inch", &["13inch"]), ("case", &[])]);
        check("red shoe red", &[("shoe", &[]), ("red", &[])]);
        check("in-ear phones in red", &[("ear", &["inear"]), ("phones", &[]), ("in", &["inear"]), ("red", &[])]);
        check("13 inch 13 cm", &[("inch", &["13inch"]), ("13", &["13cm"]), ("cm", &["13cm"])]);
        check("運動靴 白", &[("運動", &[]), ("動靴", &[]), ("白", &[])]);
    }
}
