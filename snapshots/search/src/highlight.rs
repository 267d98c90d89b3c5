//! Marking the words of a query in a text.

use rustc_hash::FxHashMap;

use crate::analysis::{Analyzer, Tokens};
use crate::index::Index;

/// Which words of a text are marked: those that a query asked for, in any of their forms.
pub struct Highlighter<'a> {
    analyzer: &'a Analyzer,
    stems: Vec<String>,
    /// What is being typed may be the beginning of a word.
    prefix: Option<&'a str>,
    tokens: Tokens,
    /// Whether words are marked: titles of one answer have many in common.
    known: FxHashMap<String, bool>,
}

impl<'a> Highlighter<'a> {
    /// `words` are those of [`Answer::words`](crate::Answer::words), the last of which may be unfinished. Stop words before
    /// it are not marked: a query has them for what it joins them to.
    pub fn new(index: &'a Index, words: &'a [String]) -> Self {
        let prefix = words.last().map(String::as_str);
        let marked = words.iter().filter(|word| Some(word.as_str()) == prefix || !index.analyzer.is_stop_word(word));
        let stems = marked.map(|word| index.analyzer.stem(word).into_owned()).collect();
        Self { analyzer: &index.analyzer, stems, prefix, tokens: Tokens::default(), known: FxHashMap::default() }
    }

    /// Writes `text` for HTML, with `before` and `after` around each word that is marked. Everything else is escaped, so
    /// that the result can stand in a page as it is. Returns whether anything was marked.
    pub fn write(&mut self, text: &str, before: &str, after: &str, out: &mut String) -> bool {
        let mut done = 0;
        self.analyzer.read(text, &mut self.tokens);
        for token in self.tokens.iter() {
            let (start, end) = token.range;
            let is_marked = match self.known.get(token.text) {
                Some(known) => *known,
                None => {
                    let begins = self.prefix.is_some_and(|prefix| token.text.starts_with(prefix));
                    let is_marked = begins || {
                        let stem = self.analyzer.stem(token.text);
                        self.stems.iter().any(|asked| *asked == stem)
                    };
                    self.known.insert(token.text.to_owned(), is_marked);
                    is_marked
                }
            };
            // An extra reaches over the words that follow it; of two pairs of letters the second begins in the first.
            let is_open = start >= done || (end > done && !token.kind.is_extra());
            if is_open && is_marked {
                let start = start.max(done);
                escape(&text[done..start], out);
                out.push_str(before);
                escape(&text[start..end], out);
                out.push_str(after);
                done = end;
            }
        }
        escape(&text[done..], out);
        done > 0
    }
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
