//! How titles write a completion, where they write it in several ways: "t-shirt" and "t shirt". The commonest is shown, of
//! equals the first.

use std::io::Write;
use std::ops::Range;

use rustc_hash::FxHashMap;
use snapshots::{SectionWriter, Segment};

use crate::completions::{Texts, corrupt, write_texts};
use crate::sections::numbers;

/// One way of writing a completion.
#[derive(Debug)]
pub(crate) struct Wording {
    pub(crate) text: String,
    /// How often products write it so.
    pub(crate) products: u32,
    /// The first document that does.
    pub(crate) first: u32,
}

/// Gathers how the products of a segment write completions otherwise than the first of them does. Few have any.
#[derive(Default)]
pub(crate) struct WordingsBuilder {
    by_key: FxHashMap<String, Vec<Wording>>,
}

impl WordingsBuilder {
    pub(crate) fn add(&mut self, key: &str, text: String, doc: u32) {
        let others = self.by_key.entry(key.to_owned()).or_default();
        match others.iter_mut().find(|one| one.text == text) {
            Some(one) => one.products += 1,
            None => others.push(Wording { text, products: 1, first: doc }),
        }
    }

    /// All ways of writing a key, in the order of their first documents; None where there is only one. `text` and
    /// `first` are how the first document writes it, `products` how often it is written.
    pub(crate) fn take(&mut self, key: &str, text: &str, products: u32, first: u32) -> Option<Vec<Wording>> {
        let others = self.by_key.remove(key)?;
        let products = products - others.iter().map(|one| one.products).sum::<u32>();
        let mut all = vec![Wording { text: text.to_owned(), products, first }];
        all.extend(others);
        Some(all)
    }
}

/// The commonest of some ways of writing a completion, the first of equals.
pub(crate) fn commonest(wordings: &[Wording]) -> Option<&Wording> {
    wordings.iter().rev().max_by_key(|one| one.products)
}

/// Writes ways of writing completions, each with the place of its completion, rising. Where there are none, nothing is
/// written.
pub(crate) fn write<W: Write>(out: &mut SectionWriter<W>, wordings: &[(u32, Wording)]) -> std::io::Result<()> {
    if wordings.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&(u32, Wording)) -> u32| wordings.iter().map(value).collect::<Vec<u32>>();
    out.section("completions/wording_places", bytemuck::cast_slice(&column(|(place, _)| *place)))?;
    out.section("completions/wording_products", bytemuck::cast_slice(&column(|(_, one)| one.products)))?;
    out.section("completions/wording_firsts", bytemuck::cast_slice(&column(|(_, one)| one.first)))?;
    write_texts(out, "wordings", wordings.iter().map(|(_, one)| one.text.as_str()))
}

/// The ways of writing completions of an open segment.
pub(crate) struct Wordings {
    places: Range<usize>,
    products: Range<usize>,
    firsts: Range<usize>,
    texts: Texts,
}

impl Wordings {
    /// None where every completion is written in one way.
    ///
    /// # Errors
    /// When a section is missing.
    pub(crate) fn open(segment: &Segment) -> Result<Option<Self>, snapshots::Error> {
        let find = |name: &str| segment.section(&format!("completions/{name}"));
        let Some(places) = find("wording_places") else { return Ok(None) };
        Ok(Some(Self {
            places,
            products: find("wording_products").ok_or_else(corrupt)?,
            firsts: find("wording_firsts").ok_or_else(corrupt)?,
            texts: Texts::open(segment, "wordings")?,
        }))
    }

    /// Whether they are those of so many completions.
    pub(crate) fn fits(&self, segment: &Segment, count: usize) -> bool {
        let (places, products, firsts) = self.columns(segment);
        let docs = segment.product_count();
        places.is_sorted()
            && places.last().is_none_or(|place| (*place as usize) < count)
            && products.len() == places.len()
            && firsts.len() == places.len()
            && firsts.iter().all(|doc| (*doc as usize) < docs)
            && self.texts.fits(segment, places.len())
    }

    fn columns<'s>(&self, segment: &'s Segment) -> (&'s [u32], &'s [u32], &'s [u32]) {
        (numbers(segment, &self.places), numbers(segment, &self.products), numbers(segment, &self.firsts))
    }

    /// The ways of writing the completion at a place, in the order of their first documents; none where it has only one.
    pub(crate) fn of(&self, segment: &Segment, place: usize) -> Vec<Wording> {
        let (places, products, firsts) = self.columns(segment);
        let start = places.partition_point(|one| (*one as usize) < place);
        let end = places.partition_point(|one| (*one as usize) <= place);
        let wording = |at: usize| Wording {
            text: self.texts.get(segment, at).to_owned(),
            products: products[at],
            first: firsts[at],
        };
        (start..end).map(wording).collect()
    }
}
