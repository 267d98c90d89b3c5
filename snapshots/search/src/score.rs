//! What a matching word is worth: BM25 over the weighted catch-all field.
//!
//! The formula is Robertson's and Zaragoza's ("The Probabilistic Relevance Framework: BM25 and Beyond", 2009), with
//! two changes. Frequencies are weighted by field when they are recorded, and the mean document length is a constant
//! of the catalogue's settings, so that a score depends on the product and on how many products have the word, not on
//! how the products were split into segments.

use snapshots::Catalogue;

/// How soon more occurrences stop to count.
const K1: f32 = 1.2;
/// How much a long text counts less; lower than for prose, since a long title is no worse a match.
const B: f32 = 0.4;
/// A word that only begins like the last word of the query counts this share of a rare word.
const PREFIX_SHARE: f32 = 0.5;

/// The part of BM25 that depends on a document's length, for each of tantivy's 256 length codes.
pub(crate) struct NormTable([f32; 256]);

impl NormTable {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        let fields = catalogue.search_fields.iter();
        let reference: u64 = fields.map(|field| u64::from(field.weight) * u64::from(field.length)).sum();
        let norm = |code: usize| {
            let length = tantivy::fieldnorm::FieldNormReader::id_to_fieldnorm(code as u8) as f32;
            K1 * (1.0 - B + B * length / reference as f32)
        };
        Self(std::array::from_fn(norm))
    }

    /// The length part of a document with this length code.
    #[inline]
    pub(crate) fn of(&self, code: u8) -> f32 {
        self.0[usize::from(code)]
    }
}

/// How telling a word is: the fewer products have it, the more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WordWeight {
    exact: f32,
    prefix: f32,
}

impl WordWeight {
    pub(crate) fn new(product_count: u64, exact_count: u64, prefix_count: u64) -> Self {
        let prefix = PREFIX_SHARE * inverse_frequency(product_count, prefix_count);
        Self { exact: inverse_frequency(product_count, exact_count), prefix }
    }

    #[inline]
    pub(crate) fn exact(self, frequency: u32, norm: f32) -> f32 {
        let frequency = frequency as f32;
        self.exact * frequency * (K1 + 1.0) / (frequency + norm)
    }

    /// A document that has the word as a prefix of another.
    #[inline]
    pub(crate) fn prefix(self) -> f32 {
        self.prefix
    }
}

fn inverse_frequency(product_count: u64, count: u64) -> f32 {
    let (all, with) = (product_count.max(count) as f32, count as f32);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
}
