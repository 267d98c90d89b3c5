//! How many words a product has in each searched field: what a manifest's statistics are made of.

use snapshots::{Catalogue, Product};

use crate::analysis::{Analyzer, Tokens};
use crate::text::field_texts;

/// Counts words as a build does.
pub struct WordCounter<'a> {
    catalogue: &'a Catalogue,
    analyzer: Analyzer,
    tokens: Tokens,
}

impl<'a> WordCounter<'a> {
    pub fn new(catalogue: &'a Catalogue) -> Self {
        Self { catalogue, analyzer: Analyzer::new(&catalogue.locale), tokens: Tokens::default() }
    }

    /// Calls `each` with the name of every searched field and how many words a product has in it.
    pub fn count(&mut self, product: &Product, mut each: impl FnMut(&str, u64)) {
        for field in &self.catalogue.search_fields {
            let mut words = 0;
            for text in field_texts(self.catalogue, product, &field.name) {
                self.analyzer.read(text, &mut self.tokens);
                words += self.tokens.iter().filter(|token| !token.kind.is_extra()).count() as u64;
            }
            each(&field.name, words);
        }
    }
}
