//! The completions of a snapshot: those of its largest segment, but for those that other segments or outdated products
//! change, which are counted anew and stand in a second list.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;
use snapshots::{LiveSegment, Product};

use crate::amend::ProductReader;
use crate::completions::{Said, Tally, meaning_of, weight_of};
use crate::error::Error;
use crate::index::{Index, TextReader};
use crate::peaks::OwnWeights;
use crate::wordings::Wording;

/// So many products are read in search of the first one that writes something so, when the one before it is outdated.
const MAX_READ: usize = 2_000;

/// Which completions there are: list 0 is that of the base segment, list 1 what is counted anew.
#[derive(Debug)]
pub(crate) struct Phrases {
    base: usize,
    /// The weights of list 0 where some of it is passed over: nothing for that.
    weights: Option<OwnWeights>,
    /// Sorted by key.
    anew: Vec<Phrase>,
    anew_weights: OwnWeights,
}

#[derive(Debug)]
struct Phrase {
    key: String,
    text: String,
    meaning: u64,
}

impl Phrases {
    /// The completions of one segment as they are.
    pub(crate) fn of(base: usize) -> Self {
        Self { base, weights: None, anew: Vec::new(), anew_weights: OwnWeights::new(Vec::new()) }
    }

    /// How long each list is.
    pub(crate) fn lengths(&self, index: &Index) -> [usize; 2] {
        [index.texts[self.base].completions.len(), self.anew.len()]
    }

    /// The completions of a beginning, the weightiest first: weight, list and place.
    pub(crate) fn heaviest_first<'i>(
        &'i self,
        index: &'i Index,
        beginning: &str,
    ) -> impl Iterator<Item = (u32, usize, usize)> + use<'i> {
        let completions = &index.texts[self.base].completions;
        let weights = self.weights.as_ref().map_or_else(|| completions.weights(), OwnWeights::as_weights);
        let mut base = weights.heaviest_first(completions.with_prefix(beginning)).peekable();
        let start = self.anew.partition_point(|one| one.key.as_str() < beginning);
        let end = start + self.anew[start..].partition_point(|one| one.key.starts_with(beginning));
        let mut anew = self.anew_weights.as_weights().heaviest_first(start..end).peekable();
        // As one list would give them.
        std::iter::from_fn(move || {
            let is_anew = match (base.peek(), anew.peek()) {
                (Some((one, place)), Some((other, at))) => {
                    other > one || (other == one && self.anew[*at].key.as_str() < completions.key(*place))
                }
                (one, _) => one.is_none(),
            };
            let (list, next) = if is_anew { (1, anew.next()) } else { (0, base.next()) };
            next.map(|(weight, place)| (weight, list, place))
        })
    }

    pub(crate) fn key<'i>(&'i self, index: &'i Index, list: usize, place: usize) -> &'i str {
        match list {
            0 => index.texts[self.base].completions.key(place),
            _ => &self.anew[place].key,
        }
    }

    pub(crate) fn text<'i>(&'i self, index: &'i Index, list: usize, place: usize) -> &'i str {
        match list {
            0 => index.texts[self.base].completions.text(place),
            _ => &self.anew[place].text,
        }
    }

    pub(crate) fn meaning(&self, index: &Index, list: usize, place: usize) -> u64 {
        match list {
            0 => index.texts[self.base].completions.meaning(place),
            _ => self.anew[place].meaning,
        }
    }
}

/// Gathers what changes the completions of the base segment.
pub(crate) struct PhrasesBuilder {
    base: usize,
    changes: FxHashMap<String, Change>,
}

/// What is new about a key, and what is no longer so.
#[derive(Default)]
struct Change {
    added: Tally,
    taken: Tally,
    wordings: Vec<Written>,
}

/// What is new about a way of writing a key, and what is no longer so.
struct Written {
    text: String,
    added: u32,
    taken: u32,
    /// Where other segments write it so first.
    first: Option<First>,
}

/// Where something is said first: in which product, by rank and id, and at which place of all that this one says.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct First {
    rank: Reverse<u32>,
    id: String,
    at: usize,
}

impl Change {
    fn wording(&mut self, text: String) -> &mut Written {
        let known = self.wordings.iter().position(|one| one.text == text);
        let place = known.unwrap_or(self.wordings.len());
        if known.is_none() {
            self.wordings.push(Written { text, added: 0, taken: 0, first: None });
        }
        &mut self.wordings[place]
    }
}

impl PhrasesBuilder {
    pub(crate) fn new(base: usize) -> Self {
        Self { base, changes: FxHashMap::default() }
    }

    /// Adds a current product of another segment than the base.
    pub(crate) fn add(&mut self, product: &Product, said: Vec<Said>) {
        let (weight, rank) = (weight_of(product), Reverse(product.static_rank()));
        for (at, Said { key, text, is_name }) in said.into_iter().enumerate() {
            let change = self.changes.entry(key).or_default();
            change.added.add(is_name, weight);
            let written = change.wording(text);
            written.added += 1;
            let id = product.id.as_str();
            if written.first.as_ref().is_none_or(|first| (rank, id, at) < (first.rank, first.id.as_str(), first.at)) {
                written.first = Some(First { rank, id: id.to_owned(), at });
            }
        }
    }

    /// Takes away an outdated product of the base.
    pub(crate) fn take_away(&mut self, product: &Product, said: Vec<Said>) {
        let weight = weight_of(product);
        for Said { key, text, is_name } in said {
            let change = self.changes.entry(key).or_default();
            change.taken.add(is_name, weight);
            change.wording(text).taken += 1;
        }
    }

    /// Counts anew what has changed.
    ///
    /// # Errors
    /// When a record of the base cannot be read.
    pub(crate) fn finish(
        self,
        part: &LiveSegment,
        text: &TextReader,
        reader: &mut ProductReader<'_>,
    ) -> Result<Phrases, Error> {
        let mut weights = text.completions.weights().numbers.to_vec();
        let mut passes_over = false;
        let mut base = Base { part, text, reader };
        let mut anew = Vec::new();
        for (key, change) in self.changes {
            let place = text.completions.find(&key);
            if let Some(place) = place {
                weights[place] = 0;
                passes_over = true;
            }
            let meaning = meaning_of(base.reader.analyzer, &key);
            let (Some(meaning), Some((tally, text))) = (meaning, base.count(&key, place, change)?) else { continue };
            anew.push((Phrase { key, text, meaning }, tally.weight()));
        }
        anew.sort_unstable_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        let (anew, anew_weights) = anew.into_iter().unzip();
        let weights = passes_over.then(|| OwnWeights::new(weights));
        Ok(Phrases { base: self.base, weights, anew, anew_weights: OwnWeights::new(anew_weights) })
    }
}

/// The base segment, to be asked about single keys.
struct Base<'a, 'r> {
    part: &'a LiveSegment,
    text: &'a TextReader,
    reader: &'a mut ProductReader<'r>,
}

/// A way of writing a key, as current products do.
struct Current {
    text: String,
    /// How often the base writes it so, and others.
    base: u32,
    added: u32,
    /// The first document of the base that wrote it so, current or not.
    doc: u32,
    /// Where others write it so first.
    first: Option<First>,
}

impl Base<'_, '_> {
    /// What all current products say of a key and how it is shown; None where it is not offered.
    fn count(&mut self, key: &str, place: Option<usize>, change: Change) -> Result<Option<(Tally, String)>, Error> {
        let completions = &self.text.completions;
        let (mut tally, wordings) = match place {
            Some(place) => (completions.tally(place), completions.wordings(place)),
            None => self.single(key)?,
        };
        tally.take_away(&change.taken);
        tally.merge(&change.added);
        if !tally.is_offered() {
            return Ok(None);
        }
        // What shoppers typed is shown as they typed it.
        if let Some(place) = place.filter(|_| tally.is_recorded) {
            return Ok(Some((tally, completions.text(place).to_owned())));
        }
        let text = self.commonest(key, wordings, change.wordings)?;
        Ok(text.map(|text| (tally, text)))
    }

    /// A key that only one product of the base says, once, or none.
    fn single(&mut self, key: &str) -> Result<(Tally, Vec<Wording>), Error> {
        let mut tally = Tally::default();
        for doc in self.text.completions.single(key) {
            let product = self.part.segment.product(doc)?;
            let mut said = self.reader.said(&product).into_iter();
            let Some(said) = said.find(|said| said.key == key) else { continue };
            tally.add(said.is_name, weight_of(&product));
            return Ok((tally, vec![Wording { text: said.text, products: 1, first: doc }]));
        }
        Ok((tally, Vec::new()))
    }

    /// The commonest way of writing a key among current products, the first of equals.
    fn commonest(&mut self, key: &str, base: Vec<Wording>, changes: Vec<Written>) -> Result<Option<String>, Error> {
        let of_base =
            |one: Wording| Current { text: one.text, base: one.products, added: 0, doc: one.first, first: None };
        let mut all: Vec<Current> = base.into_iter().map(of_base).collect();
        for Written { text, added, taken, first } in changes {
            match all.iter_mut().find(|one| one.text == text) {
                Some(one) => {
                    one.base = one.base.saturating_sub(taken);
                    (one.added, one.first) = (added, first);
                }
                None => all.push(Current { text, base: 0, added, doc: 0, first }),
            }
        }
        let most = all.iter().map(|one| one.base + one.added).max();
        all.retain(|one| Some(one.base + one.added) == most);
        if let [only] = all.as_mut_slice() {
            return Ok(Some(std::mem::take(&mut only.text)));
        }
        let mut best: Option<(First, String)> = None;
        for one in all {
            let ours = if one.base > 0 { self.first_from(key, &one.text, one.doc)? } else { None };
            let Some(first) = ours.into_iter().chain(one.first).min() else { continue };
            if best.as_ref().is_none_or(|(before, _)| first < *before) {
                best = Some((first, one.text));
            }
        }
        Ok(best.map(|(_, text)| text))
    }

    /// Where current products of the base write a key so first. `doc` is the first that did, current or not.
    fn first_from(&mut self, key: &str, text: &str, doc: u32) -> Result<Option<First>, Error> {
        if self.part.is_live(doc)
            && let Some(first) = self.first_in(doc, key, text)?
        {
            return Ok(Some(first));
        }
        let mut stems = Vec::new();
        for word in key.split(' ') {
            let Some(stem) = self.text.stem_number(&self.reader.analyzer.stem(word))? else { return Ok(None) };
            stems.push(stem);
        }
        stems.sort_unstable_by_key(|stem| self.text.postings.count(*stem));
        let Some((rarest, others)) = stems.split_first() else { return Ok(None) };
        let has_all = |doc: u32| others.iter().all(|stem| self.text.postings.docs(*stem).binary_search(&doc).is_ok());
        let docs = self.text.postings.docs(*rarest).iter().copied();
        let docs: Vec<u32> =
            docs.filter(|next| *next > doc && self.part.is_live(*next) && has_all(*next)).take(MAX_READ).collect();
        for next in docs {
            if let Some(first) = self.first_in(next, key, text)? {
                return Ok(Some(first));
            }
        }
        Ok(Some(self.place_of(doc, 0)))
    }

    /// Where a document writes a key so; None where it does not.
    fn first_in(&mut self, doc: u32, key: &str, text: &str) -> Result<Option<First>, Error> {
        let said = self.reader.said(&self.part.segment.product(doc)?);
        let at = said.iter().position(|said| said.key == key && said.text == text);
        Ok(at.map(|at| self.place_of(doc, at)))
    }

    fn place_of(&self, doc: u32, at: usize) -> First {
        let rank = Reverse(self.part.segment.static_ranks()[doc as usize]);
        First { rank, id: self.part.segment.record(doc).id().to_owned(), at }
    }
}
