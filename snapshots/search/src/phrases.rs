//! The completions of a snapshot: those of its largest segment, but for those that other segments or outdated products
//! change, which are counted anew and stand in a second list.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;
use snapshots::{LiveSegment, Product};

use crate::amend::{ProductReader, Said};
use crate::bits::Bits;
use crate::completions::{RECORDED, Tally, meaning_of, weight_of};
use crate::error::Error;
use crate::index::{Index, TextReader};

/// So many products are read in search of the first one that says something, when the one before it is outdated.
const MAX_READ: usize = 2_000;

/// Which completions there are: list 0 is that of the base segment, list 1 what is counted anew.
#[derive(Debug)]
pub(crate) struct Phrases {
    base: usize,
    /// The places of list 0 that are passed over; None for none.
    passed_over: Option<Bits>,
    /// Sorted by key.
    anew: Vec<Phrase>,
}

#[derive(Debug)]
struct Phrase {
    key: String,
    text: String,
    weight: u32,
    meaning: u64,
}

impl Phrases {
    /// The completions of one segment as they are.
    pub(crate) fn of(base: usize) -> Self {
        Self { base, passed_over: None, anew: Vec::new() }
    }

    /// How long each list is.
    pub(crate) fn lengths(&self, index: &Index) -> [usize; 2] {
        [index.texts[self.base].completions.len(), self.anew.len()]
    }

    /// The weightiest completions of a beginning: weight, key, list and place.
    pub(crate) fn best<'i>(
        &'i self,
        index: &'i Index,
        beginning: &str,
        count: usize,
    ) -> Vec<(u32, &'i str, usize, usize)> {
        let completions = &index.texts[self.base].completions;
        let passed_over = |place: usize| self.passed_over.as_ref().is_some_and(|bits| bits.contains(place as u32));
        let best = completions.best(beginning, count, passed_over);
        let mut found: Vec<_> =
            best.into_iter().map(|(weight, place)| (weight, completions.key(place), 0, place)).collect();
        let start = self.anew.partition_point(|one| one.key.as_str() < beginning);
        let anew = self.anew[start..].iter().take_while(|one| one.key.starts_with(beginning));
        let mut anew: Vec<_> =
            anew.enumerate().map(|(at, one)| (one.weight, one.key.as_str(), 1, start + at)).collect();
        anew.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        anew.truncate(count);
        found.extend(anew);
        // As many as one list would have given.
        found.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        found.truncate(count);
        found
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
    /// The best product of other segments that says it.
    first: Option<First>,
}

/// The product whose way of writing a completion is shown, the best first: by rank, then by id.
struct First {
    rank: Reverse<u32>,
    id: String,
    text: String,
}

impl PhrasesBuilder {
    pub(crate) fn new(base: usize) -> Self {
        Self { base, changes: FxHashMap::default() }
    }

    /// Adds a current product of another segment than the base.
    pub(crate) fn add(&mut self, product: &Product, said: Vec<Said>) {
        let (weight, rank) = (weight_of(product), Reverse(product.static_rank()));
        for Said { key, text, is_name } in said {
            let change = self.changes.entry(key).or_default();
            change.added.add(is_name, weight);
            let id = product.id.as_str();
            if change.first.as_ref().is_none_or(|first| (rank, id) < (first.rank, first.id.as_str())) {
                change.first = Some(First { rank, id: id.to_owned(), text });
            }
        }
    }

    /// Takes away an outdated product of the base.
    pub(crate) fn take_away(&mut self, product: &Product, said: Vec<Said>) {
        let weight = weight_of(product);
        for Said { key, is_name, .. } in said {
            self.changes.entry(key).or_default().taken.add(is_name, weight);
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
        let mut passed_over = Bits::none(text.completions.len());
        let mut base = Base { part, text, reader };
        let mut anew = Vec::new();
        for (key, change) in self.changes {
            let place = text.completions.find(&key);
            if let Some(place) = place {
                passed_over.insert(place as u32);
            }
            let meaning = meaning_of(base.reader.analyzer, &key);
            let (Some(meaning), Some((tally, text))) = (meaning, base.count(&key, place, change)?) else { continue };
            anew.push(Phrase { key, text, weight: tally.weight(), meaning });
        }
        anew.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let passed_over = (passed_over.count() > 0).then_some(passed_over);
        Ok(Phrases { base: self.base, passed_over, anew })
    }
}

/// The base segment, to be asked about single keys.
struct Base<'a, 'r> {
    part: &'a LiveSegment,
    text: &'a TextReader,
    reader: &'a mut ProductReader<'r>,
}

impl Base<'_, '_> {
    /// What all current products say of a key and how its first product writes it; None where it is not offered.
    fn count(&mut self, key: &str, place: Option<usize>, change: Change) -> Result<Option<(Tally, String)>, Error> {
        let completions = &self.text.completions;
        let (mut tally, first) = match place {
            Some(place) => {
                let text = completions.text(place).to_owned();
                (completions.tally(place), Some((completions.first(place), text)))
            }
            None => self.single(key)?,
        };
        tally.take_away(&change.taken);
        let is_left = tally.products > 0 || tally.is_recorded;
        tally.merge(&change.added);
        if !tally.is_offered() {
            return Ok(None);
        }
        let first = match first {
            Some((doc, text)) if is_left => self.first_from(key, doc, text)?,
            _ => None,
        };
        let text = match (first, change.first) {
            (Some(ours), Some(theirs)) if (theirs.rank, theirs.id.as_str()) < (ours.rank, ours.id.as_str()) => {
                theirs.text
            }
            (Some(ours), _) => ours.text,
            (None, Some(theirs)) => theirs.text,
            (None, None) => return Ok(None),
        };
        Ok(Some((tally, text)))
    }

    /// A key that only one product of the base says, or none.
    fn single(&mut self, key: &str) -> Result<(Tally, Option<(u32, String)>), Error> {
        let mut tally = Tally::default();
        for doc in self.text.completions.single(key) {
            let product = self.part.segment.product(doc)?;
            let said = self.reader.said(&product);
            let mut of_key = said.into_iter().filter(|said| said.key == key).peekable();
            let Some(text) = of_key.peek().map(|said| said.text.clone()) else { continue };
            of_key.for_each(|said| tally.add(said.is_name, weight_of(&product)));
            return Ok((tally, Some((doc, text))));
        }
        Ok((tally, None))
    }

    /// The first current product from a document on that says a key. `text` is how that document writes it.
    fn first_from(&mut self, key: &str, doc: u32, text: String) -> Result<Option<First>, Error> {
        if doc == RECORDED {
            // What shoppers typed is shown as they typed it.
            return Ok(Some(First { rank: Reverse(u32::MAX), id: String::new(), text }));
        }
        if self.part.is_live(doc) {
            return Ok(Some(self.first(doc, text)));
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
            let said = self.reader.said(&self.part.segment.product(next)?);
            if let Some(said) = said.into_iter().find(|said| said.key == key) {
                return Ok(Some(self.first(next, said.text)));
            }
        }
        Ok(Some(self.first(doc, text)))
    }

    fn first(&self, doc: u32, text: String) -> First {
        let rank = Reverse(self.part.segment.static_ranks()[doc as usize]);
        First { rank, id: self.part.segment.record(doc).id().to_owned(), text }
    }
}
