//! The text index of a segment: its tantivy schema, and the stream of words that fills it.
//!
//! One catch-all field holds the stems of the words of all searched fields. A word of a field with weight 5 is recorded five
//! times, so that its frequency is weighted already. Positions are not kept: what asks for the order of words asks for
//! that of the title, which the vocabulary has. A second field holds the first letters of every word, for short prefixes.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager};

use snapshots::{Catalogue, Product};

use crate::analysis::{Analyzer, short_prefixes};

/// The section with the weighted length of each document's text, as 16 bits.
pub(crate) const LENGTHS: &str = "text_lengths";
/// The section with the availability of each document, as a byte: its place in the order of [`snapshots::Availability`].
pub(crate) const AVAILABILITY: &str = "availability";

pub(crate) struct Fields {
    pub(crate) schema: Schema,
    pub(crate) text: Field,
    pub(crate) prefix: Field,
}

impl Fields {
    pub(crate) fn new() -> Self {
        let mut builder = Schema::builder();
        let text = TextFieldIndexing::default()
            .set_tokenizer("text")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::WithFreqs);
        let prefix = TextFieldIndexing::default()
            .set_tokenizer("prefix")
            .set_fieldnorms(false)
            .set_index_option(IndexRecordOption::Basic);
        let text = builder.add_text_field("text", TextOptions::default().set_indexing_options(text));
        let prefix = builder.add_text_field("prefix", TextOptions::default().set_indexing_options(prefix));
        Self { schema: builder.build(), text, prefix }
    }
}

/// Marks where a searched field begins in the text that is handed to tantivy: this plus the field's place.
const FIELD_MARK: u8 = 1;
/// Stands between the words of that text.
const NEXT: char = ' ';

/// The texts that a searched field is made of.
pub(crate) fn field_texts<'a>(catalogue: &'a Catalogue, product: &'a Product, field: &str) -> Vec<&'a str> {
    match field {
        "title" => vec![&product.title],
        "brand" => product.brand.iter().map(String::as_str).collect(),
        "category" => product.category.iter().map(String::as_str).collect(),
        "sku" => product.sku.iter().map(String::as_str).collect(),
        "gtins" => product.gtins.iter().map(String::as_str).collect(),
        "description" => product.description.iter().map(String::as_str).collect(),
        "attributes" => {
            let named = |name: &String| {
                catalogue.private_attributes.contains(name)
                    || catalogue.search_fields.iter().any(|field| field.attribute() == Some(name))
            };
            let rest = product.attributes.iter().filter(|(name, _)| !named(name));
            rest.flat_map(|(_, value)| value.values()).map(String::as_str).collect()
        }
        field => {
            let value = field.strip_prefix("attributes.").and_then(|name| product.attributes.get(name));
            value.map_or(&[][..], |value| value.values()).iter().map(String::as_str).collect()
        }
    }
}

/// The analysed words of a product on their way to tantivy: written once, read by the two tokenizers below.
#[derive(Default)]
pub(crate) struct AnalysedText {
    /// Every stem of every field, in order.
    pub(crate) stems: String,
    /// The first letters of every word, each once.
    pub(crate) prefixes: String,
    known: FxHashMap<String, u32>,
    /// By number of a prefix: its text, and the last product that had it.
    all: Vec<(String, u32)>,
    product: u32,
}

/// What a word is indexed by.
pub(crate) struct IndexedWord {
    stem: String,
    /// The numbers of its short prefixes.
    prefixes: Vec<u32>,
}

impl AnalysedText {
    /// Begins with another product.
    pub(crate) fn clear(&mut self) {
        self.stems.clear();
        self.prefixes.clear();
        self.product += 1;
    }

    pub(crate) fn begin_field(&mut self, place: usize) {
        self.stems.push(char::from(FIELD_MARK + place as u8));
    }

    /// What a word that is new to the segment is indexed by; done once, since stemming is the dearest step of reading.
    pub(crate) fn index(&mut self, analyzer: &Analyzer, word: &str) -> IndexedWord {
        let number = |prefix: &str| {
            *self.known.entry(prefix.to_owned()).or_insert_with(|| {
                self.all.push((prefix.to_owned(), 0));
                self.all.len() as u32 - 1
            })
        };
        IndexedWord { stem: analyzer.stem(word).into_owned(), prefixes: short_prefixes(word).map(number).collect() }
    }

    /// Adds a word, which the product may have had before.
    pub(crate) fn push(&mut self, word: &IndexedWord, is_known: bool) {
        self.stems.push_str(&word.stem);
        self.stems.push(NEXT);
        for prefix in word.prefixes.iter().filter(|_| !is_known) {
            let (text, last) = &mut self.all[*prefix as usize];
            if *last != self.product {
                *last = self.product;
                self.prefixes.push_str(text);
                self.prefixes.push(NEXT);
            }
        }
    }
}

/// The analyzers that the schema names.
pub(crate) fn tokenizers(catalogue: &Catalogue) -> TokenizerManager {
    let manager = TokenizerManager::new();
    let weights: Arc<[u8]> = catalogue.search_fields.iter().map(|field| field.weight).collect();
    let of = |weights| TextAnalyzer::builder(AnalysedTokenizer { weights, token: Token::default() }).build();
    manager.register("text", of(weights));
    manager.register("prefix", of(Arc::from([1])));
    manager
}

/// Reads what [`AnalysedText`] has written.
#[derive(Clone)]
struct AnalysedTokenizer {
    /// How often a word of each field is recorded.
    weights: Arc<[u8]>,
    token: Token,
}

impl Tokenizer for AnalysedTokenizer {
    type TokenStream<'a> = AnalysedStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> AnalysedStream<'a> {
        self.token.reset();
        self.token.position = 0;
        AnalysedStream { rest: text, weights: &self.weights, token: &mut self.token, field: 0, times_left: 0 }
    }
}

struct AnalysedStream<'a> {
    rest: &'a str,
    weights: &'a [u8],
    token: &'a mut Token,
    field: usize,
    times_left: u8,
}

impl AnalysedStream<'_> {
    /// Takes the next word, and the marks before it.
    fn next_word(&mut self) -> bool {
        while let Some(mark) = self.rest.as_bytes().first().filter(|mark| mark.is_ascii_control()) {
            self.field = usize::from(mark - FIELD_MARK);
            self.rest = &self.rest[1..];
        }
        let Some((word, rest)) = self.rest.split_once(NEXT) else { return false };
        self.rest = rest;
        self.token.text.clear();
        self.token.text.push_str(word);
        self.times_left = self.weights.get(self.field).copied().unwrap_or(1);
        true
    }
}

impl TokenStream for AnalysedStream<'_> {
    fn advance(&mut self) -> bool {
        if self.times_left == 0 && !self.next_word() {
            return false;
        }
        self.times_left -= 1;
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
