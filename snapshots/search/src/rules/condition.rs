//! What rules ask of a query's words, and finding the rules that ask for what a query has.

use std::collections::HashMap;

use super::Rule;
use super::file::WhenTable;
use crate::analysis::{Analyzer, last_of_pair};
use crate::query::{QueryWord, read_query};
use crate::request::limits;

/// Words that a query must be, begin with, or hold side by side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct QueryCondition {
    kind: Kind,
    stems: Vec<String>,
    /// The words written as one, the last in its stem: "tshirt" of "t-shirts".
    joined: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Is,
    StartsWith,
    Contains,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Is => "query_is",
            Self::StartsWith => "query_starts_with",
            Self::Contains => "query_contains",
        }
    }
}

impl QueryCondition {
    pub(super) fn read(when: &WhenTable, analyzer: &Analyzer) -> Result<Option<Self>, String> {
        let given: Vec<(&String, Kind)> = [
            (&when.query_is, Kind::Is),
            (&when.query_starts_with, Kind::StartsWith),
            (&when.query_contains, Kind::Contains),
        ]
        .into_iter()
        .filter_map(|(text, kind)| Some((text.as_ref()?, kind)))
        .collect();
        match given.as_slice() {
            [] => Ok(None),
            [(text, kind)] => match read_query(analyzer, text).as_slice() {
                [] => Err(format!("when.{}: '{text}' has no word, so no query is like it", kind.name())),
                words => Ok(Some(Self::new(*kind, words))),
            },
            _ => Err("when: one of query_is, query_starts_with and query_contains".to_owned()),
        }
    }

    fn new(kind: Kind, words: &[QueryWord]) -> Self {
        let mut joined = String::new();
        for (place, word) in words.iter().enumerate() {
            join(&mut joined, if place + 1 < words.len() { &word.text } else { &word.stem });
        }
        Self { kind, stems: words.iter().map(|word| word.stem.clone()).collect(), joined }
    }

    /// Why no query is like it; None where one can be.
    pub(super) fn excess(&self) -> Option<String> {
        let (words, bytes) = (self.stems.len(), self.joined.len());
        let excess = match () {
            () if words > limits::QUERY_WORDS => format!("{words} words, and of a query {} count", limits::QUERY_WORDS),
            () if bytes > limits::QUERY_BYTES => {
                format!("words of {bytes} bytes, and a query has at most {}", limits::QUERY_BYTES)
            }
            () => return None,
        };
        Some(format!("when.{}: it has {excess}", self.kind.name()))
    }

    /// Whether it holds for a query of `count` words that has its own from `at` on and before `end`.
    fn holds(&self, at: usize, end: usize, count: usize) -> bool {
        match self.kind {
            Kind::Is => at == 0 && end == count,
            Kind::StartsWith => at == 0,
            Kind::Contains => true,
        }
    }

    /// Whether these words begin with its own, in any form.
    fn begins(&self, words: &[QueryWord]) -> bool {
        words.len() >= self.stems.len() && words.iter().zip(&self.stems).all(|(word, stem)| word.stem == *stem)
    }
}

/// Writes a word right behind others. Digits stay apart: 1 and 2 are not 12.
fn join(joined: &mut String, word: &str) {
    let ends_in_digit = joined.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit());
    if ends_in_digit && word.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
        joined.push(' ');
    }
    joined.push_str(word);
}

/// The places of rules by what they ask of a query.
#[derive(Default)]
pub(super) struct ByQuery {
    /// By the words as one, whatever separates them.
    joined: HashMap<String, Vec<usize>>,
    /// How many bytes the longest of those has.
    longest: usize,
    /// Those that ask for several words by the stem of the first, since each may come in another form.
    first_stems: HashMap<String, Vec<usize>>,
    /// Rules that ask nothing of the query's words.
    always: Vec<usize>,
}

impl ByQuery {
    pub(super) fn add(&mut self, condition: Option<&QueryCondition>, place: usize) {
        let Some(condition) = condition else { return self.always.push(place) };
        self.longest = self.longest.max(condition.joined.len());
        self.joined.entry(condition.joined.clone()).or_default().push(place);
        if let [first, _, ..] = condition.stems.as_slice() {
            self.first_stems.entry(first.clone()).or_default().push(place);
        }
    }

    /// The places of the rules whose condition one of some queries fulfils, rising.
    pub(super) fn fulfilled(&self, rules: &[Rule], queries: [&[QueryWord]; 2]) -> Vec<usize> {
        let mut places = self.always.clone();
        if self.longest > 0 {
            queries.iter().for_each(|query| self.add_fulfilled(rules, query, &mut places));
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    fn add_fulfilled(&self, rules: &[Rule], query: &[QueryWord], places: &mut Vec<usize>) {
        let condition = |place: usize| rules[place].query.as_ref();
        let mut joined = String::new();
        for (at, first) in query.iter().enumerate() {
            let several = self.first_stems.get(&first.stem).map_or(&[][..], Vec::as_slice);
            places.extend(several.iter().filter(|place| {
                condition(**place)
                    .is_some_and(|one| one.begins(&query[at..]) && one.holds(at, at + one.stems.len(), query.len()))
            }));
            joined.clear();
            for (place, word) in query.iter().enumerate().skip(at) {
                let before = joined.len();
                if before > self.longest {
                    break;
                }
                join(&mut joined, &word.stem);
                let same = self.joined.get(&joined).map_or(&[][..], Vec::as_slice);
                let holds = |rule: &&usize| condition(**rule).is_some_and(|one| one.holds(at, place + 1, query.len()));
                places.extend(same.iter().filter(holds));
                joined.truncate(before);
                join(&mut joined, &word.text);
            }
            // Of a run without spaces a query has the last letter in a pair only, but may hold it as a word: "運動靴" are "靴".
            if let Some(letter) = last_of_pair(&first.text).filter(|_| first.ends_run) {
                let same = self.joined.get(letter).map_or(&[][..], Vec::as_slice);
                let contains = |rule: &&usize| condition(**rule).is_some_and(|one| one.kind == Kind::Contains);
                places.extend(same.iter().filter(contains));
            }
        }
    }
}
