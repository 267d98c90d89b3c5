//! What a matching word is worth: BM25 over the weighted catch-all field.
//!
//! The formula is Robertson's and Zaragoza's ("The Probabilistic Relevance Framework: BM25 and Beyond", 2009), with
//! two changes. Frequencies are weighted by field when they are recorded, and the mean document length is a constant
//! of the catalogue's settings, so that a score depends on the product and on how many products have the word, not on
//! how the products were split into segments.

use snapshots::Catalogue;

/// How soon more occurrences stop to count.
const K1: f32 = 2.0;
/// How much a long text counts less.
const B: f32 = 0.9;
/// A word that only begins like the last word of the query counts this share of a rare word.
const PREFIX_SHARE: f32 = 0.5;

/// What scores of a catalogue are computed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How long a product's text usually is, its words weighted.
    reference: f32,
    /// A word that counts less than this in a product is only mentioned there.
    strong: f32,
}

impl Scale {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        let fields = &catalogue.search_fields;
        let reference: u64 = fields.iter().map(|field| u64::from(field.weight) * u64::from(field.length)).sum();
        let heaviest = fields.iter().map(|field| field.weight).max().unwrap_or(1);
        Self { reference: reference.max(1) as f32, strong: f32::from(heaviest) * STRONG_SHARE }
    }
}

/// A field with at least this share of the heaviest field's weight says what a product is.
const STRONG_SHARE: f32 = 0.5;

/// The lengths of a segment's documents.
#[derive(Clone, Copy)]
pub(crate) struct Lengths<'a> {
    weighted: &'a [u16],
    per_word: f32,
}

impl<'a> Lengths<'a> {
    pub(crate) fn new(weighted: &'a [u16], scale: Scale) -> Self {
        Self { weighted, per_word: K1 * B / scale.reference }
    }

    /// How many documents there are.
    pub(crate) fn count(self) -> usize {
        self.weighted.len()
    }

    /// The part of BM25 that depends on a document's length.
    #[inline]
    pub(crate) fn norm(self, doc: u32) -> f32 {
        K1 * (1.0 - B) + self.per_word * f32::from(self.weighted[doc as usize])
    }
}

/// How telling a word is: the fewer products have it, the more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WordWeight {
    exact: f32,
    prefix: f32,
    strong: f32,
    is_known: bool,
}

impl WordWeight {
    pub(crate) fn new(scale: Scale, product_count: u64, exact_count: u64, prefix_count: u64) -> Self {
        let prefix = PREFIX_SHARE * inverse_frequency(product_count, prefix_count);
        Self {
            exact: inverse_frequency(product_count, exact_count),
            prefix,
            strong: scale.strong,
            is_known: exact_count > 0,
        }
    }

    /// What the word is worth, however often a document has it.
    pub(crate) fn whole(self) -> f32 {
        self.exact
    }

    /// The same word where it counts only a share of what it is worth.
    pub(crate) fn scaled(self, share: f32) -> Self {
        Self { exact: share * self.exact, prefix: share * self.prefix, ..self }
    }

    #[inline]
    pub(crate) fn exact(self, frequency: f32, norm: f32) -> f32 {
        self.exact * frequency * (K1 + 1.0) / (frequency + norm)
    }

    /// Whether the word is only mentioned in a product that has it this often, weighted.
    #[inline]
    pub(crate) fn is_weak(self, frequency: f32) -> bool {
        frequency < self.strong
    }

    /// Whether a product that only has a longer word may not be what is meant: the word is one as it stands.
    #[inline]
    pub(crate) fn is_prefix_weak(self) -> bool {
        self.is_known
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
