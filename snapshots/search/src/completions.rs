//! What a shopper may be about to type: names of categories and brands, the phrases of titles, and recorded queries.
//!
//! A segment holds them sorted by their folded words, with a weight each and the greatest weight of every block, so that
//! the weightiest of thousands are found by looking at few.

use std::collections::BinaryHeap;
use std::io::Write;
use std::ops::Range;

use rustc_hash::FxHashMap;
use snapshots::{Product, SectionWriter, Segment, id_hash};

use crate::analysis::{Analyzer, Tokens};
use crate::error::Error;
use crate::vocabulary::rises;

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
const BLOCK: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Phrase,
    Name,
    Recorded,
}

struct Gathered {
    text: String,
    kind: Kind,
    products: u32,
    weight: f64,
}

/// Gathers the completions of a segment while it is built.
#[derive(Default)]
pub(crate) struct CompletionsBuilder {
    by_key: FxHashMap<String, Gathered>,
    /// How many there are before phrases of one product go again.
    prune_at: usize,
    tokens: Tokens,
    key: String,
}

impl CompletionsBuilder {
    pub(crate) fn add_recorded(&mut self, analyzer: &Analyzer, query: &str, count: u64) {
        self.add(analyzer, query.trim(), Kind::Recorded, count as f64);
    }

    /// Takes the names and the phrases of a product.
    pub(crate) fn add_product<'p>(
        &mut self,
        analyzer: &Analyzer,
        product: &Product,
        phrases: impl Iterator<Item = String> + 'p,
    ) {
        let popularity = product.popularity_thousandths.unwrap_or(0) as f64 / 1000.0;
        let weight = 1.0 + popularity.ln_1p();
        for name in product.category.iter().chain(&product.brand) {
            self.add(analyzer, name, Kind::Name, weight);
        }
        for phrase in phrases {
            self.add(analyzer, &phrase, Kind::Phrase, weight);
        }
        if self.by_key.len() > self.prune_at.max(MAX_GATHERED) {
            self.by_key.retain(|_, one| one.kind != Kind::Phrase || one.products >= MIN_PHRASE_PRODUCTS);
            self.prune_at = 2 * self.by_key.len();
        }
    }

    fn add(&mut self, analyzer: &Analyzer, text: &str, kind: Kind, weight: f64) {
        write_key(analyzer, text, &mut self.tokens, &mut self.key);
        if self.key.is_empty() || text.len() > MAX_COMPLETION_BYTES {
            return;
        }
        // Most are known already.
        if !self.by_key.contains_key(self.key.as_str()) {
            let first = Gathered { text: text.to_lowercase(), kind, products: 0, weight: 0.0 };
            self.by_key.insert(self.key.clone(), first);
        }
        let Some(one) = self.by_key.get_mut(self.key.as_str()) else { return };
        one.kind = one.kind.max(kind);
        one.products += 1;
        one.weight += weight;
    }

    pub(crate) fn write<W: Write>(self, analyzer: &Analyzer, out: &mut SectionWriter<W>) -> std::io::Result<()> {
        let kept = self.by_key.into_iter();
        let kept = kept.filter(|(_, one)| one.kind != Kind::Phrase || one.products >= MIN_PHRASE_PRODUCTS);
        let weighed = kept.map(|(key, one)| {
            let extra = match one.kind {
                Kind::Phrase => 0,
                Kind::Name => NAME_WEIGHT,
                Kind::Recorded => RECORDED_WEIGHT,
            };
            ((one.weight.ln_1p() * 1000.0) as u32 + extra, key, one.text)
        });
        let mut all: Vec<(u32, String, String)> = weighed.collect();
        all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        all.truncate(MAX_COMPLETIONS);
        all.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        // What says the same thing twice ("boots boot") is no phrase.
        let meanings: Vec<Option<u64>> = all.iter().map(|(_, key, _)| meaning_of(analyzer, key)).collect();
        let mut meaning = meanings.iter();
        all.retain(|_| meaning.next().is_some_and(Option::is_some));
        let meanings: Vec<u64> = meanings.into_iter().flatten().collect();
        out.section("completions/meanings", bytemuck::cast_slice(&meanings))?;
        let weights: Vec<u32> = all.iter().map(|(weight, ..)| *weight).collect();
        write_texts(out, "keys", all.iter().map(|(_, key, _)| key.as_str()))?;
        write_texts(out, "texts", all.iter().map(|(.., text)| text.as_str()))?;
        let maxima: Vec<u32> = weights.chunks(BLOCK).map(|block| block.iter().copied().max().unwrap_or(0)).collect();
        out.section("completions/maxima", bytemuck::cast_slice(&maxima))?;
        out.section("completions/weights", bytemuck::cast_slice(&weights))
    }
}

/// The folded words of a text, with a space between them.
pub(crate) fn key_of(analyzer: &Analyzer, text: &str, tokens: &mut Tokens) -> String {
    let mut key = String::new();
    write_key(analyzer, text, tokens, &mut key);
    key
}

/// Writes the key of a text, in place of what was there.
fn write_key(analyzer: &Analyzer, text: &str, tokens: &mut Tokens, key: &mut String) {
    analyzer.read(text, tokens);
    key.clear();
    for token in tokens.iter().filter(|token| !token.kind.is_extra()) {
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(token.text);
    }
}

/// A hash of what a key says in whatever forms of its words; None where it says something twice.
pub(crate) fn meaning_of(analyzer: &Analyzer, key: &str) -> Option<u64> {
    let stems: Vec<_> = key.split(' ').map(|word| analyzer.stem(word)).collect();
    (1..stems.len()).all(|at| !stems[..at].contains(&stems[at])).then(|| id_hash(&stems.join(" ")))
}

fn write_texts<'t, W: Write>(
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
    meanings: Range<usize>,
}

struct Texts {
    bytes: Range<usize>,
    offsets: Range<usize>,
}

impl Completions {
    /// # Errors
    /// When a section is missing or does not fit the others.
    pub(crate) fn open(segment: &Segment) -> Result<Self, Error> {
        let corrupt = || snapshots::Error::corrupt("segment", "its completions are missing or damaged");
        let find = |name: &str| segment.section(&format!("completions/{name}")).ok_or_else(corrupt);
        let texts = |name: &str| -> Result<Texts, snapshots::Error> {
            Ok(Texts { bytes: find(name)?, offsets: find(&format!("{name}_offsets"))? })
        };
        let completions = Self {
            keys: texts("keys")?,
            texts: texts("texts")?,
            weights: find("weights")?,
            maxima: find("maxima")?,
            meanings: find("meanings")?,
            segment: segment.clone(),
        };
        let count = completions.len();
        let fits = |texts: &Texts| {
            let (offsets, bytes) = (completions.numbers(&texts.offsets), &segment.bytes()[texts.bytes.clone()]);
            let Ok(text) = std::str::from_utf8(bytes) else { return false };
            offsets.len() == count + 1
                && rises(offsets, bytes.len())
                && offsets.iter().all(|offset| text.is_char_boundary(*offset as usize))
        };
        let maxima = completions.numbers(&completions.maxima).len();
        let is_whole = maxima == count.div_ceil(BLOCK) && completions.meanings.len() == 8 * count;
        match fits(&completions.keys) && fits(&completions.texts) && is_whole {
            true => Ok(completions),
            false => Err(corrupt().into()),
        }
    }

    fn numbers(&self, range: &Range<usize>) -> &[u32] {
        bytemuck::cast_slice(&self.segment.bytes()[range.clone()])
    }

    pub(crate) fn len(&self) -> usize {
        self.weights.len() / 4
    }

    fn text_of(&self, texts: &Texts, place: usize) -> &str {
        let offsets = self.numbers(&texts.offsets);
        let bytes = &self.segment.bytes()[texts.bytes.clone()][offsets[place] as usize..offsets[place + 1] as usize];
        // They were read as UTF-8 when the segment was opened.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(crate) fn key(&self, place: usize) -> &str {
        self.text_of(&self.keys, place)
    }

    pub(crate) fn text(&self, place: usize) -> &str {
        self.text_of(&self.texts, place)
    }

    /// A hash that completions share which say the same.
    pub(crate) fn meaning(&self, place: usize) -> u64 {
        let meanings: &[u64] = bytemuck::cast_slice(&self.segment.bytes()[self.meanings.clone()]);
        meanings[place]
    }

    /// The weightiest completions that begin with a prefix, by weight and place.
    pub(crate) fn best(&self, prefix: &str, count: usize) -> Vec<(u32, usize)> {
        let end = format!("{prefix}\u{10ffff}");
        let range = self.first_from(prefix)..self.first_from(&end);
        let (mut best, mut open) = (Vec::with_capacity(count), BinaryHeap::new());
        open.extend(self.heaviest(&range));
        while best.len() < count
            && let Some((weight, std::cmp::Reverse(place), start, end)) = open.pop()
        {
            best.push((weight, place));
            open.extend(self.heaviest(&(start..place)));
            open.extend(self.heaviest(&(place + 1..end)));
        }
        best
    }

    fn first_from(&self, key: &str) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The weightiest of a range, the first one among equals, with the range.
    fn heaviest(&self, range: &Range<usize>) -> Option<(u32, std::cmp::Reverse<usize>, usize, usize)> {
        let (weights, maxima) = (self.numbers(&self.weights), self.numbers(&self.maxima));
        let mut best: Option<(u32, usize)> = None;
        let mut at = range.start;
        while at < range.end {
            let block_end = (at / BLOCK + 1) * BLOCK;
            let end = block_end.min(range.end);
            // A whole block that holds nothing better is passed over.
            let is_whole = at.is_multiple_of(BLOCK) && end == block_end;
            if !is_whole || best.is_none_or(|(weight, _)| maxima[at / BLOCK] > weight) {
                for (place, weight) in weights[at..end].iter().enumerate() {
                    if best.is_none_or(|(most, _)| *weight > most) {
                        best = Some((*weight, at + place));
                    }
                }
            }
            at = end;
        }
        best.map(|(weight, place)| (weight, std::cmp::Reverse(place), range.start, range.end))
    }
}
