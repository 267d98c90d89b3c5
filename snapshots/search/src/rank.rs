//! The second look at the best candidates: what stands where in the words that say what a product is.
//!
//! Matching knows which words a product has and how telling they are. Whether it *is* what the query names, or only
//! mentions it, takes the order of its words: in "camera bag" the bag is meant, in "bag for cameras" too, and in
//! "camera, 24 megapixels" the camera. One word of a query is taken for the name of a product type ([`Plan::head`]), and a
//! product is of that type where the word ends a group of words of its title, of the start of its description, or of its
//! type; or starts one, too, in languages that describe behind the noun.

use std::sync::Arc;

use snapshots::Availability;

use crate::error::Error;
use crate::index::TextReader;
use crate::kinds::{TypePairs, pair};
use crate::matching::FoundSlot;
use crate::of_type::TypeWalk;
use crate::plan::Plan;
use crate::vocabulary::{LeadPart, LeadWord, Vocabulary};

/// So many candidates are looked at again.
pub(crate) const HEAD: usize = 200;
/// A product of the type that the query names counts this much more.
pub(crate) const TYPE_SHARE: f32 = 0.3;
/// So does one with all words of the query side by side in its title, and one with all of them as they were typed.
const PROXIMITY_SHARE: f32 = 0.2;
const EXACTNESS_SHARE: f32 = 0.1;

/// Popularity and rating break near ties; they never bury a clear match.
const POPULARITY_SHARE: f32 = 0.05;
/// What is not to be had now stands behind what is, where both match about as well.
const OUT_OF_STOCK_SHARE: f32 = -0.1;
const BACKORDER_SHARE: f32 = -0.03;

/// What a static rank adds to a score, as a share of it: nothing for a product that nobody has bought or rated, and the
/// whole share for one with a popularity of a million.
pub(crate) fn popularity_share(static_rank: u32) -> f32 {
    const UNKNOWN: f32 = 3.5;
    const MOST: f32 = 15.3;
    let rank = static_rank as f32 / (1 << 20) as f32;
    POPULARITY_SHARE * ((rank - UNKNOWN) / (MOST - UNKNOWN)).clamp(-0.2, 1.0)
}

/// What a product is worth where nothing is asked for and rules move products by shares of it: never nothing, and in the
/// order of static ranks.
pub(crate) fn browsing_score(static_rank: u32) -> f32 {
    1.0 + static_rank as f32 / (1 << 20) as f32
}

pub(crate) fn availability_share(availability: u8) -> f32 {
    match availability {
        place if place == Availability::OutOfStock as u8 => OUT_OF_STOCK_SHARE,
        place if place == Availability::Backorder as u8 => BACKORDER_SHARE,
        _ => 0.0,
    }
}

/// What a candidate's score is made of. The parts add up to the score; less than 0 counts as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoreParts {
    /// How often and how tellingly the words stand in the product.
    pub text: f32,
    /// The product is of the type that the query names.
    pub product_type: f32,
    /// Words of the query that stand side by side in the title, in their order.
    pub proximity: f32,
    /// Words that stand in the title just as they were typed, and titles that are the query.
    pub exactness: f32,
    /// Popularity and rating.
    pub popularity: f32,
    pub availability: f32,
    /// What the rules of the catalogue add or take away.
    pub rules: f32,
}

impl ScoreParts {
    /// Each part by its name.
    pub fn named(&self) -> [(&'static str, f32); 7] {
        [
            ("text", self.text),
            ("product_type", self.product_type),
            ("proximity", self.proximity),
            ("exactness", self.exactness),
            ("popularity", self.popularity),
            ("availability", self.availability),
            ("rules", self.rules),
        ]
    }

    pub fn total(&self) -> f32 {
        self.named().iter().map(|(_, part)| part).sum()
    }
}

/// A query as one segment's leads can be asked for it.
pub(crate) struct Asked<'a> {
    vocabulary: &'a Vocabulary,
    pairs: &'a TypePairs,
    /// What stands for each word of the query: its place, and the number of a stem.
    stems: Vec<(u32, usize)>,
    /// The last bits of those numbers: most words of a lead are told to be none of them at a glance.
    filter: u64,
    /// The words as they were typed, where the segment has them.
    exact: Vec<Option<u32>>,
    /// The word that names a type, and the documents that are of that type.
    head: Option<usize>,
    of_type: Arc<[u32]>,
    /// A type may be named at the start of a group of words, too: in "chaussures cuir" shoes are meant.
    is_first: bool,
    words: u32,
}

/// What a lead says about a query.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LeadMatch {
    pub(crate) is_of_type: bool,
    /// Words of the query that stand in the title just as they were typed, as bits.
    pub(crate) exact: u32,
    /// Neighbours of the query that are neighbours in the title, too.
    pub(crate) pairs: u32,
}

impl<'a> Asked<'a> {
    /// `found` are the words of the plan as the segment knows them; `is_first` where its language names types before what
    /// describes them. Where `lists_type` is not set, no document is of the type until its lead is read.
    pub(crate) fn new(
        text: &'a TextReader,
        plan: &Plan,
        found: &[FoundSlot],
        is_first: bool,
        lists_type: bool,
    ) -> Result<Self, Error> {
        let of_slot = |(place, slot): (usize, &FoundSlot)| {
            slot.exact.iter().map(move |one| (one.stem, place)).collect::<Vec<_>>()
        };
        let mut stems: Vec<(u32, usize)> = found.iter().enumerate().flat_map(of_slot).collect();
        for (stem, place) in &plan.also {
            stems.extend(text.stem_number(stem)?.map(|stem| (stem, *place)));
        }
        // Where a stem stands for several words, the first of them has it.
        let is_head = |(at, (stem, place)): &(usize, &(u32, usize))| {
            plan.head == Some(*place) && stems[..*at].iter().all(|(known, _)| known != stem)
        };
        let heads: Vec<u32> = stems.iter().enumerate().filter(is_head).map(|(_, (stem, _))| *stem).collect();
        let exact = plan.slots.iter().map(|slot| text.vocabulary.find(&slot.text)).collect();
        let filter = stems.iter().fold(0, |filter, (stem, _)| filter | 1 << (stem % u64::BITS));
        Ok(Self {
            vocabulary: &text.vocabulary,
            pairs: &text.type_pairs,
            stems,
            filter,
            exact,
            head: plan.head,
            of_type: if lists_type { text.of_type(&heads, is_first) } else { Arc::default() },
            is_first,
            words: plan.slots.len() as u32,
        })
    }

    /// How many words the query has.
    pub(crate) fn words(&self) -> u32 {
        self.words
    }

    /// A walk over the documents that are of the type that the query names.
    pub(crate) fn type_walk(&self) -> TypeWalk<'_> {
        TypeWalk::new(&self.of_type)
    }

    /// Reads the lead of a document.
    pub(crate) fn read(&self, doc: u32) -> LeadMatch {
        let (lead, words) = self.vocabulary.lead(doc);
        let mut found = LeadMatch::default();
        let mut last_slot = usize::MAX;
        for (at, word) in lead.iter().enumerate() {
            let stem = word.stem();
            let may_be_asked = self.filter >> (stem % u64::BITS) & 1 == 1;
            let asked = if may_be_asked { self.stems.iter().find(|(asked, _)| *asked == stem) } else { None };
            let Some((_, slot)) = asked else {
                last_slot = usize::MAX;
                continue;
            };
            let slot = *slot;
            if word.part() == LeadPart::Title {
                found.exact |= u32::from(self.exact[slot] == Some(words[at])) << slot;
                found.pairs += u32::from(last_slot != usize::MAX && slot == last_slot + 1);
                last_slot = slot;
            }
            if self.head == Some(slot) {
                found.is_of_type |= names_type(lead, at, self.is_first, self.pairs);
            }
        }
        found
    }
}

/// Whether a word of a lead says what the product is.
pub(crate) fn names_type(lead: &[LeadWord], at: usize, is_first: bool, pairs: &TypePairs) -> bool {
    let word = lead[at];
    // A brand is no type.
    if word.is_mentioned() || word.part() == LeadPart::Brand {
        return false;
    }
    // A word of the title may name a type though another word follows.
    let next = lead.get(at + 1).filter(|_| word.part() == LeadPart::Title);
    let is_known = |next: &LeadWord| pairs.contains(&pair(word.stem(), next.stem()));
    word.ends_group() || is_first && starts_group(lead, at) || next.is_some_and(is_known)
}

/// Whether a word is the first of a group of words: no noun that it could describe stands before it.
fn starts_group(lead: &[LeadWord], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| lead[before]);
    before.is_none_or(|before| before.ends_group() || before.part() != lead[at].part())
}

impl LeadMatch {
    /// Adds to the score of the text what the lead says of a query of so many words.
    pub(crate) fn parts(&self, text: f32, words: u32) -> ScoreParts {
        let share = |count: u32, of: u32| count.min(of) as f32 / of.max(1) as f32;
        ScoreParts {
            text,
            product_type: if self.is_of_type { TYPE_SHARE * text } else { 0.0 },
            proximity: PROXIMITY_SHARE * text * share(self.pairs, words.saturating_sub(1)),
            exactness: EXACTNESS_SHARE * text * share(self.exact.count_ones(), words),
            ..ScoreParts::default()
        }
    }
}
