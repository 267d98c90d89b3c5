//! Words that stand for others, and queries that are rewritten.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use super::file::{RulesError, RulesFile, limits};
use super::{at_most, begins_with, stems};
use crate::analysis::Analyzer;
use crate::query::{QueryWord, read_query};

/// What words of a query may be read as, by the stem of their first word.
#[derive(Default)]
pub(crate) struct Synonyms {
    by_first_stem: HashMap<String, Vec<Synonym>>,
    replacements: HashMap<String, Vec<Replacement>>,
}

/// These words may also be those.
pub(crate) struct Synonym {
    /// Stems, side by side.
    pub(crate) from: Vec<String>,
    /// Folded words.
    pub(crate) to: Vec<String>,
}

/// These words become those.
pub(super) struct Replacement {
    /// As it is written.
    pub(super) from: String,
    stems: Vec<String>,
    pub(super) to: String,
}

impl Synonyms {
    pub(super) fn read(file: &RulesFile, analyzer: &Analyzer) -> Result<Self, RulesError> {
        at_most("synonyms", file.synonyms.len(), limits::SYNONYMS)?;
        at_most("replacements", file.replacements.len(), limits::SYNONYMS)?;
        let mut synonyms = Self::default();
        for (place, table) in file.synonyms.iter().enumerate() {
            let at = format!("synonyms {}", place + 1);
            at_most(&at, table.words.len().max(table.to.len()), limits::SYNONYM_WORDS)?;
            match (&table.from, table.words.as_slice(), table.to.as_slice()) {
                (None, words @ [_, _, ..], []) => {
                    for from in words {
                        for to in words.iter().filter(|to| *to != from) {
                            synonyms.add(analyzer, &at, from, to)?;
                        }
                    }
                }
                (Some(from), [], to @ [_, ..]) => {
                    for to in to {
                        synonyms.add(analyzer, &at, from, to)?;
                    }
                }
                _ => return Err(RulesError::new(at, "has either two or more words, or from and to")),
            }
        }
        for table in &file.replacements {
            let stems_of_from = stems(analyzer, &table.from);
            let Some(first) = stems_of_from.first().cloned() else {
                return Err(RulesError::new(format!("replacement '{}'", table.from), "has no word"));
            };
            if stems(analyzer, &table.to).is_empty() {
                return Err(RulesError::new(
                    format!("replacement '{}'", table.from),
                    format!("'{}' has no word", table.to),
                ));
            }
            let (from, to) = (table.from.clone(), table.to.clone());
            synonyms.replacements.entry(first).or_default().push(Replacement { from, stems: stems_of_from, to });
        }
        // The longer words are, the better they say what is meant.
        synonyms.replacements.values_mut().for_each(|list| list.sort_by_key(|one| std::cmp::Reverse(one.stems.len())));
        Ok(synonyms)
    }

    fn add(&mut self, analyzer: &Analyzer, at: &str, from: &str, to: &str) -> Result<(), RulesError> {
        let stems = stems(analyzer, from);
        let to: Vec<String> = read_query(analyzer, to).into_iter().map(|word| word.text).collect();
        let Some(first) = stems.first().cloned().filter(|_| !to.is_empty()) else {
            return Err(RulesError::new(at, format!("'{from}' or what it stands for has no word")));
        };
        self.by_first_stem.entry(first).or_default().push(Synonym { from: stems, to });
        Ok(())
    }

    /// What the words from `at` on may also be.
    pub(crate) fn at<'a>(&'a self, query: &[&str], at: usize) -> impl Iterator<Item = &'a Synonym> {
        let list = self.by_first_stem.get(query[at]).map_or(&[][..], Vec::as_slice);
        list.iter().filter(move |synonym| begins_with(&query[at..], &synonym.from))
    }

    /// The query with its words replaced, or None where none is.
    pub(crate) fn replaced(&self, analyzer: &Analyzer, typed: &[QueryWord]) -> Option<String> {
        if self.replacements.is_empty() {
            return None;
        }
        let query: Vec<&str> = typed.iter().map(|word| word.stem.as_str()).collect();
        let (mut words, mut at, mut changed) = (Vec::new(), 0, false);
        while at < query.len() {
            let list = self.replacements.get(query[at]).map_or(&[][..], Vec::as_slice);
            match list.iter().find(|one| begins_with(&query[at..], &one.stems)) {
                Some(one) => {
                    words.push(Cow::Borrowed(one.to.as_str()));
                    at += one.stems.len();
                    changed = true;
                }
                None => {
                    words.push(analyzer.written(&typed[at].text));
                    at += 1;
                }
            }
        }
        changed.then(|| words.join(" "))
    }

    /// What each stem, or row of stems, may be read as.
    pub(crate) fn all(&self) -> impl Iterator<Item = (String, Vec<&[String]>)> {
        self.by_first_stem.values().flat_map(|list| {
            let froms: BTreeSet<&[String]> = list.iter().map(|synonym| synonym.from.as_slice()).collect();
            froms.into_iter().map(|from| {
                let same = list.iter().filter(|synonym| synonym.from == from);
                (from.join(" "), same.map(|synonym| synonym.to.as_slice()).collect())
            })
        })
    }

    /// What is replaced, as it is written, and by what.
    pub(crate) fn replacements(&self) -> impl Iterator<Item = (&str, &str)> {
        self.replacements.values().flatten().map(|one| (one.from.as_str(), one.to.as_str()))
    }

    /// Those that never apply, since another has the same words; the other stands second.
    pub(super) fn passed_over(&self) -> impl Iterator<Item = (&Replacement, &Replacement)> {
        self.replacements.values().flat_map(|list| {
            let mut first: HashMap<&[String], &Replacement> = HashMap::new();
            list.iter().filter_map(move |one| match first.entry(&one.stems) {
                Entry::Occupied(first) => Some((one, *first.get())),
                Entry::Vacant(place) => {
                    place.insert(one);
                    None
                }
            })
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_first_stem.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,125 was once read again as 1125: what was written back had a dot, which divides thousands.
    #[test]
    fn numbers_stay_what_they_are_beside_what_is_replaced() {
        let check = |locale: &str, typed: &str, expected: &str| {
            let analyzer = Analyzer::new(locale);
            let file = toml::from_str("[[replacements]]\nfrom = \"brett\"\nto = \"platte\"\n").expect("rules");
            let synonyms = Synonyms::read(&file, &analyzer).expect("synonyms");
            let words = read_query(&analyzer, typed);
            let replaced = synonyms.replaced(&analyzer, &words).expect("a replacement");
            assert_eq!(replaced, expected, "{typed}");
            let texts = |words: Vec<QueryWord>| words.into_iter().skip(1).map(|word| word.text).collect::<Vec<_>>();
            assert_eq!(texts(read_query(&analyzer, &replaced)), texts(words), "{typed}");
        };
        check("de", "Brett 1,125 0,5 m", "platte 1,125 0,5 meter");
        check("de", "Brett 1.000 1/2 2.5", "platte 1000 1/2 2,5");
        check("en", "Brett 1.125 1,000", "platte 1.125 1000");
    }
}
