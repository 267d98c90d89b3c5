//! Making several segments, some of whose products are outdated, answer as one that was built fresh.
//!
//! A segment's counts are those of all its products. Of those that are no longer current the texts are read once more
//! when a snapshot is opened, and what they add is taken away. What a catalogue teaches as a whole (which words name
//! types, which phrases are worth completing) is put together from all segments.

use rustc_hash::{FxHashMap, FxHashSet};
use snapshots::{Catalogue, LiveSegment, Product, Snapshot};

use crate::analysis::{Analyzer, Tokens, short_prefixes};
use crate::completions::{Said, said};
use crate::error::Error;
use crate::index::TextReader;
use crate::kinds;
use crate::lead::{self, LeadReader};
use crate::phrases::{Phrases, PhrasesBuilder};
use crate::text::field_texts;
use crate::vocabulary::LeadPart;

/// How many documents that are no longer current have a stem, and a short prefix.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    pub(crate) stems: FxHashMap<u32, u32>,
    pub(crate) prefixes: FxHashMap<String, u32>,
}

/// Corrects what every segment knows, and puts their completions together.
///
/// # Errors
/// When a record cannot be read.
pub(crate) fn amend(snapshot: &Snapshot, analyzer: &Analyzer, texts: &mut [TextReader]) -> Result<Phrases, Error> {
    let parts = &snapshot.segments;
    // Updates stand behind what they update.
    let base = 0;
    if parts.len() == 1 && parts[0].liveness.is_none() {
        return Ok(Phrases::of(base));
    }
    let mut reader = ProductReader::new(&snapshot.catalogue, analyzer);
    let mut phrases = PhrasesBuilder::new(base);
    for (place, (part, text)) in parts.iter().zip(texts.iter_mut()).enumerate() {
        bury(part, text, &mut reader, place == base, &mut phrases)?;
    }
    for part in parts.iter().enumerate().filter(|(place, _)| *place != base).map(|(_, part)| part) {
        for doc in (0..part.segment.product_count() as u32).filter(|doc| part.is_live(*doc)) {
            let product = part.segment.product(doc)?;
            phrases.add(&product, reader.said(&product));
        }
    }
    let pairs = kinds::learn_together(texts, parts)?;
    texts.iter_mut().zip(pairs).for_each(|(text, pairs)| text.type_pairs = pairs);
    phrases.finish(&parts[base], &texts[base], &mut reader)
}

/// Takes away what a segment's outdated products add.
fn bury(
    part: &LiveSegment,
    text: &mut TextReader,
    reader: &mut ProductReader<'_>,
    is_base: bool,
    phrases: &mut PhrasesBuilder,
) -> Result<(), Error> {
    let Some(liveness) = &part.liveness else { return Ok(()) };
    text.live = Some(liveness.words().to_vec());
    let mut words = FxHashMap::default();
    for doc in (0..part.segment.product_count() as u32).filter(|doc| !liveness.is_live(*doc)) {
        let product = part.segment.product(doc)?;
        reader.read(&product);
        let (mut stems, mut prefixes) = (FxHashSet::default(), FxHashSet::default());
        for word in &reader.words {
            prefixes.extend(short_prefixes(word));
            let Some(number) = text.vocabulary.find(word) else { continue };
            *words.entry(number).or_default() += 1;
            stems.insert(text.vocabulary.stem(number));
        }
        stems.into_iter().for_each(|stem| *text.dead.stems.entry(stem).or_default() += 1);
        for prefix in prefixes {
            match text.dead.prefixes.get_mut(prefix) {
                Some(count) => *count += 1,
                None => drop(text.dead.prefixes.insert(prefix.to_owned(), 1)),
            }
        }
        if is_base {
            phrases.take_away(&product, reader.said(&product));
        }
    }
    text.vocabulary.bury(words);
    Ok(())
}

/// Reads the words of products as a build does.
pub(crate) struct ProductReader<'a> {
    catalogue: &'a Catalogue,
    pub(crate) analyzer: &'a Analyzer,
    tokens: Tokens,
    lead: LeadReader,
    /// The distinct words of the product that was read last.
    words: FxHashSet<String>,
}

impl<'a> ProductReader<'a> {
    fn new(catalogue: &'a Catalogue, analyzer: &'a Analyzer) -> Self {
        let (tokens, lead, words) = (Tokens::default(), LeadReader::default(), FxHashSet::default());
        Self { catalogue, analyzer, tokens, lead, words }
    }

    fn read(&mut self, product: &Product) {
        self.words.clear();
        for field in &self.catalogue.search_fields {
            for text in field_texts(self.catalogue, product, &field.name) {
                self.analyzer.read(text, &mut self.tokens);
                for token in self.tokens.iter() {
                    if !self.words.contains(token.text) {
                        self.words.insert(token.text.to_owned());
                    }
                }
            }
        }
    }

    /// Everything that a product offers as completions.
    pub(crate) fn said(&mut self, product: &Product) -> Vec<Said> {
        let phrases = self.phrases(product);
        said(self.analyzer, product, phrases.into_iter(), &mut self.tokens)
    }

    /// The phrases of a product's title.
    fn phrases(&mut self, product: &Product) -> Vec<String> {
        self.lead.clear();
        let searched = self.catalogue.search_fields.iter();
        let titles = searched.filter(|field| lead::part_of(self.catalogue, &field.name) == Some(LeadPart::Title));
        let mut numbers: FxHashMap<String, u32> = FxHashMap::default();
        for field in titles {
            for text in field_texts(self.catalogue, product, &field.name) {
                self.analyzer.read(text, &mut self.tokens);
                for token in self.tokens.iter().filter(|token| !token.kind.is_extra()) {
                    let next = numbers.len() as u32;
                    let number = *numbers.entry(token.text.to_owned()).or_insert(next);
                    self.lead.add(self.analyzer, number, LeadPart::Title, token);
                }
            }
        }
        self.lead.phrases(&product.title).collect()
    }
}
