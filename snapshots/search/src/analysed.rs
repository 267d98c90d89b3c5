//! The words of one product for a segment: all that depends on no other product, and so can be found out on any thread.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use snapshots::{Catalogue, Product};

use crate::analysis::{Analyzer, Tokens};
use crate::codes::codes_of;
use crate::completions::{Said, said};
use crate::lead::{self, LeadReader};
use crate::text::field_texts;
use crate::vocabulary::Lead;

/// Reads the text of products as a segment of their catalogue has it.
#[derive(Clone)]
pub struct Analysis {
    catalogue: Arc<Catalogue>,
    pub(crate) analyzer: Arc<Analyzer>,
}

/// What the text of a product comes to.
pub struct AnalysedProduct {
    /// The tokens of its texts, by searched field.
    pub(crate) fields: Vec<Vec<Tokens>>,
    /// Its lead, each word of which is the place of a token among all of them.
    pub(crate) lead: Vec<Lead>,
    pub(crate) codes: Vec<u64>,
    pub(crate) said: Vec<Said>,
}

impl Analysis {
    pub(crate) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { analyzer: Arc::new(Analyzer::new(&catalogue.locale)), catalogue }
    }

    /// Reads a product, which no other one changes.
    pub fn read(&self, product: &Product) -> AnalysedProduct {
        let (mut tokens, mut fields) = (Tokens::default(), Vec::new());
        for field in &self.catalogue.search_fields {
            let texts = field_texts(&self.catalogue, product, &field.name).into_iter();
            let read = |text| {
                self.analyzer.read(text, &mut tokens);
                tokens.take()
            };
            fields.push(texts.map(read).collect::<Vec<Tokens>>());
        }
        let lead = self.lead(&fields);
        let said = said(&self.analyzer, product, lead.phrases(&product.title), &mut tokens);
        AnalysedProduct { lead: lead.words().collect(), fields, codes: codes_of(product), said }
    }

    /// The same word is told by the same place: that of its first token.
    fn lead(&self, fields: &[Vec<Tokens>]) -> LeadReader {
        let (mut lead, mut firsts, mut place) = (LeadReader::default(), FxHashMap::default(), 0);
        for (field, texts) in self.catalogue.search_fields.iter().zip(fields) {
            let part = lead::part_of(&self.catalogue, &field.name);
            for token in texts.iter().flat_map(|text| text.iter()) {
                if let Some(part) = part.filter(|_| !token.kind.is_extra()) {
                    let first = *firsts.entry(token.text).or_insert(place);
                    lead.add(&self.analyzer, first, part, token);
                }
                place += 1;
            }
        }
        lead
    }
}
