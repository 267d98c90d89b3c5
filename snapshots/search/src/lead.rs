//! The lead of a product: the words that say what it is, and how they hang together.
//!
//! Shops write titles as "Acme laser mouse, black, for notebooks": groups of words that end before a comma, a number, a
//! preposition, with what is only mentioned behind "for" and "with". The last word of a group names
//! what the group is about.

use snapshots::Catalogue;

use crate::analysis::{Analyzer, Token};
use crate::vocabulary::{Lead, LeadPart};

/// A lead has so many words of the description.
const DESCRIPTION_WORDS: usize = 16;

/// Longer phrases are names of products rather than of what they are.
const MAX_PHRASE_WORDS: usize = 3;

/// Gathers the lead of one product.
#[derive(Default)]
pub(crate) struct LeadReader {
    words: Vec<ReadWord>,
}

struct ReadWord {
    number: u32,
    /// The word itself, where it may be part of a phrase.
    text: String,
    part: LeadPart,
    begins_clause: bool,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Noun,
    /// It has digits: data, or a model.
    Data,
    /// A word that stands between groups.
    Between,
    /// A word behind which things are only mentioned.
    Mention,
}

/// Which part of the lead a searched field is, if it is one.
pub(crate) fn part_of(catalogue: &Catalogue, field: &str) -> Option<LeadPart> {
    match field {
        "title" => Some(LeadPart::Title),
        "description" => Some(LeadPart::Description),
        "brand" => Some(LeadPart::Brand),
        field if field == catalogue.product_type => Some(LeadPart::Type),
        _ => None,
    }
}

impl LeadReader {
    pub(crate) fn clear(&mut self) {
        self.words.clear();
    }

    pub(crate) fn add(&mut self, analyzer: &Analyzer, number: u32, part: LeadPart, token: Token<'_>) {
        if part == LeadPart::Description
            && self.words.iter().filter(|word| word.part == part).count() >= DESCRIPTION_WORDS
        {
            return;
        }
        let kind = match token.text {
            text if text.bytes().any(|byte| byte.is_ascii_digit()) => Kind::Data,
            text if analyzer.mention_words().contains(&text) => Kind::Mention,
            text if analyzer.ends_groups(text) => Kind::Between,
            _ => Kind::Noun,
        };
        let text = if part == LeadPart::Title { token.text.to_owned() } else { String::new() };
        self.words.push(ReadWord { number, text, part, begins_clause: token.begins_clause, kind });
    }

    /// The lead, word by word.
    pub(crate) fn words(&self) -> impl Iterator<Item = Lead> + '_ {
        let mut mentioned = false;
        self.words.iter().enumerate().map(move |(at, word)| {
            let starts_part = at == 0 || self.words[at - 1].part != word.part;
            // A brand may be called "For Him".
            mentioned = !starts_part && (mentioned || word.kind == Kind::Mention);
            Lead { word: word.number, part: word.part, ends_group: self.ends_group(at), is_mentioned: mentioned }
        })
    }

    /// The phrases of the title: up to three words that end a group together.
    pub(crate) fn phrases(&self) -> impl Iterator<Item = String> + '_ {
        let ends = self
            .words()
            .enumerate()
            .filter(|(_, word)| word.part == LeadPart::Title && word.ends_group && !word.is_mentioned);
        ends.flat_map(move |(end, _)| {
            let is_part = move |at: &usize| {
                let word = &self.words[*at];
                word.kind == Kind::Noun && word.part == LeadPart::Title && (*at == end || !self.ends_group(*at))
            };
            let starts = (0..=end).rev().take(MAX_PHRASE_WORDS).take_while(is_part);
            starts.map(move |start| {
                let words = self.words[start..=end].iter().map(|word| word.text.as_str());
                words.collect::<Vec<_>>().join(" ")
            })
        })
    }

    fn ends_group(&self, at: usize) -> bool {
        let (word, Some(next)) = (&self.words[at], self.words.get(at + 1)) else { return true };
        next.part != word.part || next.begins_clause || next.kind != Kind::Noun || next.number == word.number
    }
}
