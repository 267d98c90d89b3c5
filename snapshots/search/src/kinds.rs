//! Learns from titles and product types which words name a type though another word follows.
//!
//! In "camera bag" the bag is meant; in "notebook PC" the notebook is, and what follows says the same again. A catalogue
//! tells the two apart: products with "notebook PC" in their title have the type notebook, those with "camera bag" are no
//! cameras.

use std::collections::HashMap;

use rustc_hash::FxHashSet;
use snapshots::LiveSegment;

use crate::error::Error;
use crate::index::TextReader;
use crate::vocabulary::{LeadPart, LeadWord};

/// Fewer products than this, or a smaller share of those with both words, may be mistaken about their type.
const MIN_PRODUCTS: u32 = 2;
const MIN_SHARE: u32 = 20;

/// Pairs of words of which the first names the type of a product, though the second follows: the numbers of their stems.
pub(crate) type TypePairs = FxHashSet<u64>;

/// Two stems as one number.
#[inline]
pub(crate) fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// What a lone segment teaches, sorted.
pub(crate) fn learn<'l>(leads: impl Iterator<Item = &'l [LeadWord]> + Clone) -> Vec<u64> {
    let mut counts: HashMap<u64, Count> = HashMap::new();
    leads.clone().for_each(|lead| count_types(lead, &mut counts));
    leads.for_each(|lead| count_all(lead, &mut counts));
    let mut pairs: Vec<u64> =
        counts.into_iter().filter(|(_, count)| count.names_type()).map(|(pair, _)| pair).collect();
    pairs.sort_unstable();
    pairs
}

/// What the current products of all segments teach together, in the numbers of each.
pub(crate) fn learn_together(texts: &[TextReader], parts: &[LiveSegment]) -> Result<Vec<TypePairs>, Error> {
    let mut together: HashMap<(String, String), Count> = HashMap::new();
    for (text, part) in texts.iter().zip(parts) {
        let mut counts = HashMap::new();
        live_leads(text, part).for_each(|lead| count_types(lead, &mut counts));
        for (pair, count) in counts {
            let key = (text.stem_text((pair >> 32) as u32)?, text.stem_text(pair as u32)?);
            together.entry(key).or_default().of_type += count.of_type;
        }
    }
    // Each segment's own numbers of the pairs that any of them knows.
    let mut numbered = Vec::with_capacity(texts.len());
    for (text, part) in texts.iter().zip(parts) {
        let mut counts: HashMap<u64, Count> = HashMap::new();
        let mut names = HashMap::new();
        for key in together.keys() {
            if let (Some(left), Some(right)) = (text.stem_number(&key.0)?, text.stem_number(&key.1)?) {
                counts.insert(pair(left, right), Count::default());
                names.insert(pair(left, right), key.clone());
            }
        }
        live_leads(text, part).for_each(|lead| count_all(lead, &mut counts));
        numbered.push((names, counts));
    }
    for (names, counts) in &numbered {
        for (pair, key) in names {
            together.entry(key.clone()).or_default().all += counts[pair].all;
        }
    }
    let names_type = |key: &(String, String)| together.get(key).is_some_and(Count::names_type);
    let pairs = numbered.into_iter().map(|(names, _)| {
        names.into_iter().filter(|(_, key)| names_type(key)).map(|(pair, _)| pair).collect::<TypePairs>()
    });
    Ok(pairs.collect())
}

fn live_leads<'t>(text: &'t TextReader, part: &'t LiveSegment) -> impl Iterator<Item = &'t [LeadWord]> {
    let docs = (0..part.segment.product_count() as u32).filter(|doc| part.is_live(*doc));
    docs.map(|doc| text.vocabulary.lead(doc).0)
}

/// How many titles have two words side by side, and in how many of them the first is the product's type.
#[derive(Default)]
struct Count {
    of_type: u32,
    all: u32,
}

impl Count {
    fn names_type(&self) -> bool {
        self.of_type >= MIN_PRODUCTS && self.of_type * MIN_SHARE >= self.all
    }
}

/// Counts the pairs of a product's title of which the first word is its type.
fn count_types(lead: &[LeadWord], counts: &mut HashMap<u64, Count>) {
    let types: Vec<u32> =
        lead.iter().filter(|word| word.part() == LeadPart::Type && word.ends_group()).map(|word| word.stem()).collect();
    if types.is_empty() {
        return;
    }
    for words in lead.windows(2).filter(|words| is_inner(words[0]) && types.contains(&words[0].stem())) {
        counts.entry(pair(words[0].stem(), words[1].stem())).or_default().of_type += 1;
    }
}

/// Counts, of the pairs that are ever so, how many titles have them.
fn count_all(lead: &[LeadWord], counts: &mut HashMap<u64, Count>) {
    for words in lead.windows(2).filter(|words| is_inner(words[0])) {
        counts.entry(pair(words[0].stem(), words[1].stem())).and_modify(|count| count.all += 1);
    }
}

/// Whether another word of the title follows in the same group.
fn is_inner(word: LeadWord) -> bool {
    word.part() == LeadPart::Title && !word.ends_group()
}
