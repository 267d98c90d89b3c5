//! Finding a product by what it is called exactly: its SKU, a GTIN, its brand and SKU, or its whole title, in any
//! spelling of what separates letters and digits.

use std::io::Write;
use std::ops::Range;

use snapshots::{Product, SectionWriter, Segment, first_from_hash, id_hash};

use crate::analysis::{code_key, even};
use crate::error::Error;
use crate::index::Index;
use crate::sections::numbers;

/// So many products are found by one code at the most.
const MAX_FOUND: usize = 100;

/// Gathers the codes of a segment while it is built.
#[derive(Default)]
pub(crate) struct CodesBuilder {
    codes: Vec<(u64, u32)>,
}

/// Hashes of the codes of a product.
pub(crate) fn codes_of(product: &Product) -> Vec<u64> {
    let brand = product.brand.as_deref().unwrap_or_default();
    let sku = product.sku.iter().flat_map(|sku| [code_key(sku), code_key(&format!("{brand}{sku}"))]);
    let gtins = product.gtins.iter().map(|gtin| gtin_key(&code_key(gtin)));
    let codes = sku.chain(gtins).chain([code_key(&product.title)]);
    codes.filter(|code| !code.is_empty()).map(|code| id_hash(&code)).collect()
}

impl CodesBuilder {
    pub(crate) fn add(&mut self, codes: &[u64], doc: u32) {
        self.codes.extend(codes.iter().map(|code| (*code, doc)));
    }

    pub(crate) fn write<W: Write>(mut self, out: &mut SectionWriter<W>) -> std::io::Result<()> {
        self.codes.sort_unstable();
        self.codes.dedup();
        let (hashes, docs): (Vec<u64>, Vec<u32>) = self.codes.into_iter().unzip();
        out.section("codes/hashes", bytemuck::cast_slice(&hashes))?;
        out.section("codes/docs", bytemuck::cast_slice(&docs))
    }
}

/// A GTIN of 12 digits is one of 13 or 14 with zeros before it.
fn gtin_key(digits: &str) -> String {
    match digits.trim_start_matches('0') {
        "" => digits.to_owned(),
        rest => rest.to_owned(),
    }
}

fn corrupt() -> snapshots::Error {
    snapshots::Error::corrupt("segment", "its codes are missing or damaged")
}

/// The codes of an open segment.
pub(crate) struct Codes {
    hashes: Range<usize>,
    docs: Range<usize>,
}

impl Codes {
    /// # Errors
    /// When a section is missing.
    pub(crate) fn open(segment: &Segment) -> Result<Self, Error> {
        let (hashes, docs) = (segment.section("codes/hashes"), segment.section("codes/docs"));
        Ok(Self { hashes: hashes.ok_or_else(corrupt)?, docs: docs.ok_or_else(corrupt)? })
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// When they are not as many as their documents, or a document is not there.
    pub(crate) fn check(&self, segment: &Segment) -> Result<(), Error> {
        let (hashes, docs) = self.columns(segment);
        match hashes.len() == docs.len() && docs.iter().all(|doc| (*doc as usize) < segment.product_count()) {
            true => Ok(()),
            false => Err(corrupt().into()),
        }
    }

    fn columns<'a>(&self, segment: &'a Segment) -> (&'a [u64], &'a [u32]) {
        (numbers(segment, &self.hashes), numbers(segment, &self.docs))
    }

    /// The documents that have a code, rising.
    fn find(&self, segment: &Segment, hash: u64) -> impl Iterator<Item = u32> {
        let (hashes, docs) = self.columns(segment);
        let start = first_from_hash(hashes, hash);
        let codes = hashes[start..].iter().zip(&docs[start..]);
        codes.take_while(move |(one, _)| **one == hash).map(|(_, doc)| *doc)
    }
}

impl Index {
    /// The current products that a query names exactly: segment, document, and whether it does so to the letter.
    pub(crate) fn named_exactly(&self, query: &str) -> Vec<(usize, u32, bool)> {
        let key = code_key(query);
        if key.is_empty() {
            return Vec::new();
        }
        let mut found = self.coded(&key);
        let trimmed = gtin_key(&key);
        if trimmed != key {
            // Of other codes the zeros are a part.
            let has_gtin = |(segment, doc): &(usize, u32)| {
                let gtins: Vec<String> = self.field(*segment, *doc, "gtins");
                gtins.iter().any(|gtin| gtin_key(&code_key(gtin)) == trimmed)
            };
            let mut others = self.coded(&trimmed);
            others.retain(|product| !found.contains(product) && has_gtin(product));
            found.extend(others);
        }
        let wanted = plain(query);
        let has_title = |(segment, doc): &(usize, u32)| plain(&self.field::<String>(*segment, *doc, "title")) == wanted;
        let titled: Vec<bool> = found.iter().map(has_title).collect();
        // Some SKUs are names: what is called so is meant, and not what a brand before its SKU makes of that.
        let with_brand = !titled.contains(&true);
        let named = found.into_iter().zip(titled).map(|(product @ (segment, doc), is_titled)| {
            (segment, doc, is_titled || self.has_code(product, &wanted, with_brand))
        });
        named.collect()
    }

    /// The current products that have a code, the best ranks first.
    fn coded(&self, code: &str) -> Vec<(usize, u32)> {
        let hash = id_hash(code);
        let mut found = Vec::new();
        for (place, part) in self.segments().iter().enumerate() {
            let docs = self.texts[place].codes.find(&part.segment, hash).filter(|doc| part.is_live(*doc));
            found.extend(docs.take(MAX_FOUND).map(|doc| (place, doc)));
        }
        // Where there are too many, those are left out that a lone segment would leave out.
        let rank = |(place, doc): (usize, u32)| self.segments()[place].segment.static_ranks()[doc as usize];
        let id = |(place, doc): (usize, u32)| self.record(place, doc).id();
        found.sort_unstable_by(|a, b| rank(*b).cmp(&rank(*a)).then_with(|| id(*a).cmp(id(*b))));
        found.truncate(MAX_FOUND);
        found
    }

    /// Whether a text is a product's SKU or GTIN to the letter, or its brand and SKU where those count.
    fn has_code(&self, (segment, doc): (usize, u32), wanted: &str, with_brand: bool) -> bool {
        let text = |name| self.field::<String>(segment, doc, name);
        let (sku, gtins) = (text("sku"), self.field::<Vec<String>>(segment, doc, "gtins"));
        let named = (with_brand && !sku.is_empty()).then(|| format!("{} {sku}", text("brand")));
        [sku].into_iter().chain(named).chain(gtins).any(|code| plain(&code) == wanted)
    }
}

/// A text without what nobody sees: case, the number of spaces, and how letters are encoded.
fn plain(text: &str) -> String {
    even(text).split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
