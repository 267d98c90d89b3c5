//! What a shopper may be about to type: names of categories and brands, the phrases of titles, and recorded queries.
//!
//! A segment holds them sorted by their folded words, with a weight each and the greatest weight of every block, so that
//! the weightiest of thousands are found by looking at few.

use std::cmp::Reverse;
use std::io::Write;
use std::ops::Range;

use rustc_hash::FxHashMap;
use snapshots::{Product, SectionWriter, Segment, first_from_hash, id_hash};

use crate::analysis::{Analyzer, Tokens};
use crate::error::Error;
use crate::peaks::{self, BLOCK, Weights};
use crate::sections::numbers;
use crate::vocabulary::{first_without, rises};
use crate::wordings::{self, Wording, Wordings, WordingsBuilder};

/// A segment offers so many completions at the most, the weightiest.
const MAX_COMPLETIONS: usize = 500_000;
/// When more phrases than this are gathered, those that only one product has go.
const MAX_GATHERED: usize = 2_000_000;
const MAX_COMPLETION_BYTES: usize = 100;
/// A phrase of fewer titles is no phrase, but a name.
const MIN_PHRASE_PRODUCTS: u32 = 2;
/// Weights are logarithms in thousandths; what shoppers did type stands before what they may type.
const RECORDED_WEIGHT: u32 = 20_000;
const NAME_WEIGHT: u32 = 3_000;
/// Weights are summed as so many parts of one, so that the order of products does not matter.
const PARTS: f64 = (1 << 20) as f64;
/// In place of the first document of a completion that shoppers typed: its text is theirs.
const RECORDED: u32 = u32::MAX;

/// What is known of a completion over some products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How often products say it, and how often of these as a name.
    pub(crate) products: u32,
    pub(crate) names: u32,
    /// Their weights, in [`PARTS`].
    pub(crate) sum: u64,
    pub(crate) is_recorded: bool,
    /// How often shoppers typed it.
    pub(crate) typed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, is_name: bool, weight: u64) {
        self.products += 1;
        self.names += u32::from(is_name);
        self.sum += weight;
    }

    /// Adds what other products say.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.products += other.products;
        self.names += other.names;
        self.sum += other.sum;
        self.is_recorded |= other.is_recorded;
        self.typed = self.typed.saturating_add(other.typed);
    }

    /// Takes away what products say that are no longer current.
    pub(crate) fn take_away(&mut self, other: &Self) {
        self.products = self.products.saturating_sub(other.products);
        self.names = self.names.saturating_sub(other.names);
        self.sum = self.sum.saturating_sub(other.sum);
    }

    /// Whether it is offered: a phrase of one title is none.
    pub(crate) fn is_offered(&self) -> bool {
        self.is_recorded || self.names > 0 || self.products >= MIN_PHRASE_PRODUCTS
    }

    pub(crate) fn weight(&self) -> u32 {
        let extra = match (self.is_recorded, self.names) {
            (true, _) => RECORDED_WEIGHT,
            (false, 0) => 0,
            (false, _) => NAME_WEIGHT,
        };
        ((self.sum as f64 / PARTS + self.typed as f64).ln_1p() * 1000.0) as u32 + extra
    }
}

/// How much a product weighs in what it says.
pub(crate) fn weight_of(product: &Product) -> u64 {
    let popularity = product.popularity_thousandths.unwrap_or(0) as f64 / 1000.0;
    ((1.0 + popularity.ln_1p()) * PARTS) as u64
}

/// A completion that a product offers.
pub(crate) struct Said {
    pub(crate) key: String,
    /// How the product writes it, in small letters.
    pub(crate) text: String,
    pub(crate) is_name: bool,
}

impl Said {
    /// None for what says nothing, or is too long to be offered.
    fn new(analyzer: &Analyzer, text: String, is_name: bool, tokens: &mut Tokens) -> Option<Self> {
        let key = key_of(analyzer, &text, tokens);
        (!key.is_empty() && text.len() <= MAX_COMPLETION_BYTES).then_some(Self { key, text, is_name })
    }
}

/// Everything that a product offers as completions.
pub(crate) fn said(
    analyzer: &Analyzer,
    product: &Product,
    phrases: impl Iterator<Item = String>,
    tokens: &mut Tokens,
) -> Vec<Said> {
    let names = product.category.iter().chain(&product.brand).map(|name| (name.to_lowercase(), true));
    let texts = names.chain(phrases.map(|phrase| (phrase, false)));
    texts.filter_map(|(text, is_name)| Said::new(analyzer, text, is_name, tokens)).collect()
}

struct Gathered {
    /// How the first document that says it writes it.
    text: String,
    tally: Tally,
    first: u32,
}

/// Gathers the completions of a segment while it is built.
#[derive(Default)]
pub(crate) struct CompletionsBuilder {
    by_key: FxHashMap<String, Gathered>,
    wordings: WordingsBuilder,
    /// How many there are before phrases of one product go again.
    prune_at: usize,
}

impl CompletionsBuilder {
    pub(crate) fn add_recorded(&mut self, analyzer: &Analyzer, query: &str, count: u64) {
        let text = query.trim().to_lowercase();
        if let Some(said) = Said::new(analyzer, text, false, &mut Tokens::default())
            && let Some(one) = self.entry(&said, RECORDED)
        {
            one.tally.is_recorded = true;
            one.tally.typed = one.tally.typed.saturating_add(count);
        }
    }

    /// Takes what a product says.
    pub(crate) fn add_product(&mut self, product: &Product, said: Vec<Said>, doc: u32) {
        let weight = weight_of(product);
        for said in said {
            let Some(one) = self.entry(&said, doc) else { continue };
            one.tally.add(said.is_name, weight);
            // What shoppers typed is shown as they typed it.
            if one.first != RECORDED && one.text != said.text {
                self.wordings.add(&said.key, said.text, doc);
            }
        }
        if self.by_key.len() > self.prune_at.max(MAX_GATHERED) {
            self.by_key.retain(|_, one| one.tally.is_offered());
            self.prune_at = 2 * self.by_key.len();
        }
    }

    /// What is gathered of it.
    fn entry(&mut self, said: &Said, doc: u32) -> Option<&mut Gathered> {
        // Most are known already.
        if !self.by_key.contains_key(&said.key) {
            let first = Gathered { text: said.text.clone(), tally: Tally::default(), first: doc };
            self.by_key.insert(said.key.clone(), first);
        }
        self.by_key.get_mut(&said.key)
    }

    pub(crate) fn write<W: Write>(self, analyzer: &Analyzer, out: &mut SectionWriter<W>) -> std::io::Result<()> {
        let Self { by_key, wordings: mut others, .. } = self;
        let (mut all, rest): (Vec<_>, Vec<_>) = by_key.into_iter().partition(|(_, one)| one.tally.is_offered());
        write_singles(out, rest)?;
        if all.len() > MAX_COMPLETIONS {
            all.sort_by_cached_key(|(key, one)| (Reverse(one.tally.weight()), key.clone()));
            all.truncate(MAX_COMPLETIONS);
        }
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        // What says the same thing twice ("boots boot") is no phrase.
        let meanings: Vec<Option<u64>> = all.iter().map(|(key, _)| meaning_of(analyzer, key)).collect();
        let mut meaning = meanings.iter();
        all.retain(|_| meaning.next().is_some_and(Option::is_some));
        let meanings: Vec<u64> = meanings.into_iter().flatten().collect();
        let mut wordings = Vec::new();
        for (place, (key, one)) in all.iter_mut().enumerate() {
            let Some(several) = others.take(key, &one.text, one.tally.products, one.first) else { continue };
            if let Some(shown) = wordings::commonest(&several) {
                one.text.clone_from(&shown.text);
            }
            wordings.extend(several.into_iter().map(|wording| (place as u32, wording)));
        }
        wordings::write(out, &wordings)?;
        out.section("completions/meanings", bytemuck::cast_slice(&meanings))?;
        let weights: Vec<u32> = all.iter().map(|(_, one)| one.tally.weight()).collect();
        write_texts(out, "keys", all.iter().map(|(key, _)| key.as_str()))?;
        write_texts(out, "texts", all.iter().map(|(_, one)| one.text.as_str()))?;
        let column = |value: fn(&Gathered) -> u32| all.iter().map(|(_, one)| value(one)).collect::<Vec<u32>>();
        out.section("completions/products", bytemuck::cast_slice(&column(|one| one.tally.products)))?;
        out.section("completions/names", bytemuck::cast_slice(&column(|one| one.tally.names)))?;
        out.section("completions/firsts", bytemuck::cast_slice(&column(|one| one.first)))?;
        let sums: Vec<u64> = all.iter().map(|(_, one)| one.tally.sum).collect();
        out.section("completions/sums", bytemuck::cast_slice(&sums))?;
        let typed = all.iter().enumerate().filter(|(_, (_, one))| one.tally.is_recorded);
        let (places, typed): (Vec<u32>, Vec<u64>) =
            typed.map(|(place, (_, one))| (place as u32, one.tally.typed)).unzip();
        out.section("completions/typed_places", bytemuck::cast_slice(&places))?;
        out.section("completions/typed", bytemuck::cast_slice(&typed))?;
        out.section("completions/maxima", bytemuck::cast_slice(&peaks::maxima(&weights)))?;
        out.section("completions/weights", bytemuck::cast_slice(&weights))
    }
}

/// What only one product says, which another may join later: a hash of its key, and the product.
fn write_singles<W: Write>(out: &mut SectionWriter<W>, singles: Vec<(String, Gathered)>) -> std::io::Result<()> {
    let mut singles: Vec<(u64, u32)> = singles.into_iter().map(|(key, one)| (id_hash(&key), one.first)).collect();
    singles.sort_unstable();
    let (hashes, docs): (Vec<u64>, Vec<u32>) = singles.into_iter().unzip();
    out.section("completions/single_hashes", bytemuck::cast_slice(&hashes))?;
    out.section("completions/single_docs", bytemuck::cast_slice(&docs))
}

/// The folded words of a text, with a space between them.
pub(crate) fn key_of(analyzer: &Analyzer, text: &str, tokens: &mut Tokens) -> String {
    let mut key = String::new();
    analyzer.read(text, tokens);
    for token in tokens.iter().filter(|token| !token.kind.is_extra()) {
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(token.text);
    }
    key
}

/// A hash of what a key says in whatever forms of its words; None where it says something twice.
pub(crate) fn meaning_of(analyzer: &Analyzer, key: &str) -> Option<u64> {
    let stems: Vec<_> = key.split(' ').map(|word| analyzer.stem(word)).collect();
    (1..stems.len()).all(|at| !stems[..at].contains(&stems[at])).then(|| id_hash(&stems.join(" ")))
}

pub(crate) fn write_texts<'t, W: Write>(
    out: &mut SectionWriter<W>,
    name: &str,
    texts: impl Iterator<Item = &'t str>,
) -> std::io::Result<()> {
    let (mut bytes, mut offsets) = (String::new(), vec![0_u32]);
    for text in texts {
        bytes.push_str(text);
        offsets.push(u32::try_from(bytes.len()).map_err(std::io::Error::other)?);
    }
    out.section(&format!("completions/{name}"), bytes.as_bytes())?;
    out.section(&format!("completions/{name}_offsets"), bytemuck::cast_slice(&offsets))
}

/// The completions of an open segment.
pub(crate) struct Completions {
    segment: Segment,
    keys: Texts,
    texts: Texts,
    weights: Range<usize>,
    maxima: Range<usize>,
    /// The maxima of the maxima: one letter may begin most of the completions.
    peaks: Vec<u32>,
    meanings: Range<usize>,
    products: Range<usize>,
    names: Range<usize>,
    firsts: Range<usize>,
    sums: Range<usize>,
    /// The completions that shoppers typed, rising, and how often.
    typed_places: Range<usize>,
    typed: Range<usize>,
    single_hashes: Range<usize>,
    single_docs: Range<usize>,
    /// None where all are written in one way.
    wordings: Option<Wordings>,
}

/// Texts side by side, and where each begins.
pub(crate) struct Texts {
    bytes: Range<usize>,
    offsets: Range<usize>,
}

impl Texts {
    /// # Errors
    /// When a section is missing.
    pub(crate) fn open(segment: &Segment, name: &str) -> Result<Self, snapshots::Error> {
        let find = |name: &str| segment.section(&format!("completions/{name}")).ok_or_else(corrupt);
        Ok(Self { bytes: find(name)?, offsets: find(&format!("{name}_offsets"))? })
    }

    fn offsets<'s>(&self, segment: &'s Segment) -> &'s [u32] {
        numbers(segment, &self.offsets)
    }

    /// Whether they are so many texts.
    pub(crate) fn fits(&self, segment: &Segment, count: usize) -> bool {
        let (offsets, bytes) = (self.offsets(segment), &segment.bytes()[self.bytes.clone()]);
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        offsets.len() == count + 1
            && rises(offsets, bytes.len())
            && offsets.iter().all(|offset| text.is_char_boundary(*offset as usize))
    }

    pub(crate) fn get<'s>(&self, segment: &'s Segment, place: usize) -> &'s str {
        // The check has read them as UTF-8.
        std::str::from_utf8(self.bytes(segment, place)).unwrap_or_default()
    }

    pub(crate) fn bytes<'s>(&self, segment: &'s Segment, place: usize) -> &'s [u8] {
        let offsets = self.offsets(segment);
        &segment.bytes()[self.bytes.clone()][offsets[place] as usize..offsets[place + 1] as usize]
    }
}

pub(crate) fn corrupt() -> snapshots::Error {
    snapshots::Error::corrupt("segment", "its completions are missing or damaged")
}

/// The queries that a segment was built with, and how often each was typed.
///
/// # Errors
/// When its completions are missing or damaged.
pub fn recorded_queries(segment: &Segment) -> Result<Vec<(String, u64)>, Error> {
    let completions = Completions::open(segment)?;
    completions.check()?;
    Ok(completions.recorded().map(|(query, count)| (query.to_owned(), count)).collect())
}

impl Completions {
    /// # Errors
    /// When a section is missing.
    pub(crate) fn open(segment: &Segment) -> Result<Self, Error> {
        let find = |name: &str| segment.section(&format!("completions/{name}")).ok_or_else(corrupt);
        let maxima = find("maxima")?;
        Ok(Self {
            keys: Texts::open(segment, "keys")?,
            texts: Texts::open(segment, "texts")?,
            wordings: Wordings::open(segment)?,
            weights: find("weights")?,
            peaks: peaks::maxima(numbers(segment, &maxima)),
            maxima,
            meanings: find("meanings")?,
            products: find("products")?,
            names: find("names")?,
            firsts: find("firsts")?,
            sums: find("sums")?,
            typed_places: find("typed_places")?,
            typed: find("typed")?,
            single_hashes: find("single_hashes")?,
            single_docs: find("single_docs")?,
            segment: segment.clone(),
        })
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// When a section does not fit the others.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let (segment, count) = (&self.segment, self.len());
        let columns = [&self.products, &self.names, &self.firsts];
        let docs = segment.product_count();
        let is_doc = |doc: &u32| (*doc as usize) < docs;
        let is_whole = self.numbers(&self.maxima).len() == count.div_ceil(BLOCK)
            && self.meanings.len() == 8 * count
            && self.sums.len() == 8 * count
            && columns.iter().all(|column| column.len() == 4 * count)
            && self.numbers(&self.firsts).iter().all(|doc| *doc == RECORDED || is_doc(doc))
            && self.typed.len() == 2 * self.typed_places.len()
            && self.numbers(&self.typed_places).iter().all(|place| (*place as usize) < count)
            && self.single_hashes.len() == 2 * self.single_docs.len()
            && self.numbers(&self.single_docs).iter().all(is_doc)
            && self.wordings.as_ref().is_none_or(|wordings| wordings.fits(segment, count))
            && self.keys.fits(segment, count)
            && self.texts.fits(segment, count);
        if is_whole { Ok(()) } else { Err(corrupt().into()) }
    }

    fn numbers(&self, range: &Range<usize>) -> &[u32] {
        numbers(&self.segment, range)
    }

    pub(crate) fn len(&self) -> usize {
        self.weights.len() / 4
    }

    pub(crate) fn key(&self, place: usize) -> &str {
        self.keys.get(&self.segment, place)
    }

    pub(crate) fn text(&self, place: usize) -> &str {
        self.texts.get(&self.segment, place)
    }

    /// How products write a completion that nobody typed, in the order of their first documents.
    pub(crate) fn wordings(&self, place: usize) -> Vec<Wording> {
        let several = self.wordings.as_ref().map(|wordings| wordings.of(&self.segment, place));
        several.filter(|several| !several.is_empty()).unwrap_or_else(|| {
            let products = self.numbers(&self.products)[place];
            vec![Wording { text: self.text(place).to_owned(), products, first: self.first(place) }]
        })
    }

    /// A hash that completions share which say the same.
    pub(crate) fn meaning(&self, place: usize) -> u64 {
        let meanings: &[u64] = numbers(&self.segment, &self.meanings);
        meanings[place]
    }

    fn long_numbers(&self, range: &Range<usize>) -> &[u64] {
        numbers(&self.segment, range)
    }

    /// The place of a key.
    pub(crate) fn find(&self, key: &str) -> Option<usize> {
        let place = self.first_from(key);
        (place < self.len() && self.key(place) == key).then_some(place)
    }

    /// What the products of the segment say of a completion.
    pub(crate) fn tally(&self, place: usize) -> Tally {
        Tally {
            products: self.numbers(&self.products)[place],
            names: self.numbers(&self.names)[place],
            sum: self.long_numbers(&self.sums)[place],
            is_recorded: self.first(place) == RECORDED,
            typed: self.typed(place),
        }
    }

    fn typed(&self, place: usize) -> u64 {
        let found = self.numbers(&self.typed_places).binary_search(&(place as u32));
        found.map_or(0, |at| self.long_numbers(&self.typed)[at])
    }

    /// What shoppers typed, and how often.
    pub(crate) fn recorded(&self) -> impl Iterator<Item = (&str, u64)> {
        let places = self.numbers(&self.typed_places).iter().zip(self.long_numbers(&self.typed));
        places.map(|(place, count)| (self.text(*place as usize), *count))
    }

    /// The first document that says a completion, or [`RECORDED`].
    fn first(&self, place: usize) -> u32 {
        self.numbers(&self.firsts)[place]
    }

    /// The only documents that may say a key which is not offered.
    pub(crate) fn single(&self, key: &str) -> impl Iterator<Item = u32> {
        let (hash, hashes) = (id_hash(key), self.long_numbers(&self.single_hashes));
        let start = first_from_hash(hashes, hash);
        let count = hashes[start..].iter().take_while(|one| **one == hash).count();
        self.numbers(&self.single_docs)[start..start + count].iter().copied()
    }

    /// The places of the completions that begin with a prefix.
    pub(crate) fn with_prefix(&self, prefix: &str) -> Range<usize> {
        let start = self.first_from(prefix);
        let begins = |place: usize| self.keys.bytes(&self.segment, place).starts_with(prefix.as_bytes());
        // They stand side by side, and are few of all.
        let mut steps = 1;
        while start + steps < self.len() && begins(start + steps) {
            steps *= 2;
        }
        start..first_without(start..self.len().min(start + steps), begins)
    }

    pub(crate) fn weights(&self) -> Weights<'_> {
        Weights { numbers: self.numbers(&self.weights), maxima: self.numbers(&self.maxima), peaks: &self.peaks }
    }

    fn first_from(&self, key: &str) -> usize {
        first_without(0..self.len(), |place| self.keys.bytes(&self.segment, place) < key.as_bytes())
    }
}
