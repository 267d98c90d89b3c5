//! The text index of a segment: its tantivy schema, and the stream of words that fills it.
//!
//! One catch-all field holds the words of all searched fields. A word of a field with weight 5 is recorded five
//! times, so that its frequency is weighted already; each field's positions begin at a place of their own, so that a
//! position tells the field. A second field holds the first letters of every word, for short prefixes.

use std::collections::HashSet;

use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager};

use snapshots::{Catalogue, Product};

use crate::analysis::{short_prefixes, words};

/// Positions of the first field begin here at zero, of the second at this, and so on.
pub(crate) const POSITIONS_PER_FIELD: u32 = 1 << 16;

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
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
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

/// The searched text of a product, each field behind its mark.
pub(crate) fn searched_text(catalogue: &Catalogue, product: &Product, out: &mut String) {
    out.clear();
    for (place, field) in catalogue.search_fields.iter().enumerate() {
        out.push(char::from(FIELD_MARK + place as u8));
        for text in field_texts(catalogue, product, &field.name) {
            // A control character in a product's text must not be taken for a mark.
            out.extend(text.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }));
            out.push(' ');
        }
    }
}

/// The texts that a searched field is made of.
fn field_texts<'a>(catalogue: &'a Catalogue, product: &'a Product, field: &str) -> Vec<&'a str> {
    match field {
        "title" => vec![&product.title],
        "brand" => product.brand.iter().map(String::as_str).collect(),
        "category" => product.category.iter().map(String::as_str).collect(),
        "sku" => product.sku.iter().map(String::as_str).collect(),
        "gtins" => product.gtins.iter().map(String::as_str).collect(),
        "description" => product.description.iter().map(String::as_str).collect(),
        "attributes" => {
            let public = product.attributes.iter().filter(|(name, _)| !catalogue.private_attributes.contains(*name));
            public.flat_map(|(_, value)| value.values()).map(String::as_str).collect()
        }
        other => unreachable!("the settings do not allow searching '{other}'"),
    }
}

/// Calls `each` with the place of a searched field, a word of it, and the word's place within the field.
pub(crate) fn searched_words(text: &str, mut each: impl FnMut(usize, &str, u32)) {
    for (place, part) in text.split(|c: char| c.is_ascii_control()).skip(1).enumerate() {
        let mut position = 0;
        words(part, |word, _| {
            // Words past the end of a field's positions share the last one.
            each(place, word, position);
            position = (position + 1).min(POSITIONS_PER_FIELD - 1);
        });
    }
}

/// The analyzers that the schema names.
pub(crate) fn tokenizers(catalogue: &Catalogue) -> TokenizerManager {
    let manager = TokenizerManager::new();
    let weights = catalogue.search_fields.iter().map(|field| field.weight).collect();
    manager.register("text", TextAnalyzer::builder(TextTokenizer { weights, buffer: WordBuffer::default() }).build());
    manager.register("prefix", TextAnalyzer::builder(PrefixTokenizer::default()).build());
    manager
}

/// The words of one text, read ahead so that the stream over them is a plain walk.
#[derive(Clone, Default)]
struct WordBuffer {
    letters: String,
    /// Where each word ends in `letters`, its position, and how often it is still to be given.
    entries: Vec<(usize, u32, u8)>,
    next: usize,
    token: Token,
}

impl WordBuffer {
    fn clear(&mut self) {
        self.letters.clear();
        self.entries.clear();
        self.next = 0;
    }

    fn push(&mut self, word: &str, position: u32, times: u8) {
        self.letters.push_str(word);
        self.entries.push((self.letters.len(), position, times));
    }
}

impl TokenStream for &mut WordBuffer {
    fn advance(&mut self) -> bool {
        let Some((end, position, times)) = self.entries.get_mut(self.next) else { return false };
        let start = self.next.checked_sub(1);
        *times -= 1;
        let (end, position, last_time) = (*end, *position, *times == 0);
        let start = start.map_or(0, |before| self.entries[before].0);
        self.token.text.clear();
        self.token.text.push_str(&self.letters[start..end]);
        self.token.position = position as usize;
        self.next += usize::from(last_time);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[derive(Clone)]
struct TextTokenizer {
    weights: Vec<u8>,
    buffer: WordBuffer,
}

impl Tokenizer for TextTokenizer {
    type TokenStream<'a> = &'a mut WordBuffer;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> &'a mut WordBuffer {
        self.buffer.clear();
        searched_words(text, |place, word, position| {
            let position = place as u32 * POSITIONS_PER_FIELD + position;
            self.buffer.push(word, position, self.weights[place]);
        });
        &mut self.buffer
    }
}

#[derive(Clone, Default)]
struct PrefixTokenizer {
    seen: HashSet<String>,
    buffer: WordBuffer,
}

impl Tokenizer for PrefixTokenizer {
    type TokenStream<'a> = &'a mut WordBuffer;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> &'a mut WordBuffer {
        self.buffer.clear();
        self.seen.clear();
        searched_words(text, |_, word, _| {
            for prefix in short_prefixes(word) {
                if !self.seen.contains(prefix) {
                    self.seen.insert(prefix.to_owned());
                    self.buffer.push(prefix, 0, 1);
                }
            }
        });
        &mut self.buffer
    }
}
