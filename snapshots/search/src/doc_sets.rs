//! Sets of documents that browsing asks for, kept where they are asked for again.
//!
//! Listing pages ask for the same few sets: what may be seen at all, and what a filter lets pass of it. Such a set knows what
//! each facet counts in it and what comes first in each sort order, with variants as one and without, so that another page of
//! it costs what it shows.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::bits::Bits;
use crate::facets::FacetCounts;
use crate::filter::Filter;
use crate::folded::Folded;
use crate::index::Index;
use crate::predicate::{Predicate, live_bits};
use crate::request::limits;
use crate::top::{Candidate, SortKeys, Top};
use crate::versions::Versions;

/// So many filtered sets are kept, or as many as take so much memory.
const MAX_KEPT: usize = 64;
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;
/// So many that were asked for once are remembered, by a hash.
const MAX_ASKED: usize = 256;
/// A filter of more conditions is answered anew: for each facet that it refines it asks for a set of its own.
const MAX_CONDITIONS: usize = 8;
/// So many documents of a set and a segment are kept in each sort order.
const MAX_FIRST: usize = 1_000;

/// A set of documents of all segments, and what follows from it once somebody asks.
pub(crate) struct DocSet {
    parts: Vec<PartSet>,
    /// What all facets of the catalogue count.
    totals: OnceLock<FacetCounts>,
    /// The same documents, variants as one.
    folded: OnceLock<Folded>,
}

/// The documents of one segment.
struct PartSet {
    docs: Bits,
    count: usize,
    /// Those that come first, best first, by sort order of the catalogue.
    first: Vec<OnceLock<Vec<u32>>>,
}

impl DocSet {
    fn new(index: &Index, docs: Vec<Bits>) -> Self {
        let sorts = index.catalogue().sorts.len();
        let first = || std::iter::repeat_with(OnceLock::new).take(sorts).collect();
        let parts = docs.into_iter().map(|docs| PartSet { count: docs.count(), docs, first: first() });
        Self { parts: parts.collect(), totals: OnceLock::new(), folded: OnceLock::new() }
    }

    /// The documents that are current and not hidden.
    fn seen(index: &Index, version: usize) -> Self {
        let mut docs: Vec<Bits> = index.segments().iter().map(live_bits).collect();
        for (segment, doc) in index.rules.hidden_in(version).filter_map(|id| index.snapshot().find(id)) {
            docs[segment].remove(doc);
        }
        Self::new(index, docs)
    }

    /// Those of them that fulfil all conditions.
    fn fulfilling(index: &Index, version: usize, conditions: &[Filter], fulfilled: &mut Fulfilled) -> Self {
        let seen = index.seen(version);
        let mut docs: Vec<Bits> = seen.parts.iter().map(|part| part.docs.clone()).collect();
        for condition in conditions {
            let all = fulfilled.of(index, condition);
            docs.iter_mut().zip(all).for_each(|(docs, all)| docs.intersect(all.words()));
        }
        Self::new(index, docs)
    }

    pub(crate) fn docs(&self, segment: usize) -> &Bits {
        &self.parts[segment].docs
    }

    /// How many hits it is, variants as one or not.
    pub(crate) fn found(&self, index: &Index, folds: bool) -> u64 {
        match folds {
            true => self.folded(index).found,
            false => self.parts.iter().map(|part| part.count as u64).sum(),
        }
    }

    /// What of a segment stands in a list.
    pub(crate) fn listed(&self, index: &Index, segment: usize, folds: bool) -> &Bits {
        if folds { &self.folded(index).shown[segment] } else { self.docs(segment) }
    }

    /// What every facet of the catalogue counts.
    pub(crate) fn counts(&self, index: &Index, folds: bool) -> &FacetCounts {
        if folds { &self.folded(index).counts } else { self.totals(index) }
    }

    fn totals(&self, index: &Index) -> &FacetCounts {
        self.totals.get_or_init(|| {
            let mut counts = FacetCounts::of_all(index);
            for (segment, part) in self.parts.iter().enumerate() {
                counts.for_segment(index, segment).add_set(&part.docs);
            }
            counts
        })
    }

    fn folded(&self, index: &Index) -> &Folded {
        self.folded.get_or_init(|| Folded::new(index, &self.all_docs()))
    }

    fn all_docs(&self) -> Vec<&Bits> {
        self.parts.iter().map(|part| &part.docs).collect()
    }

    /// So many of what stands in a list of a segment, the first in a sort order of the catalogue, or all; None where that is
    /// more than is kept.
    pub(crate) fn first(
        &self,
        index: &Index,
        segment: usize,
        sort: usize,
        folds: bool,
        reach: usize,
    ) -> Option<&[u32]> {
        let first = match folds {
            true => &self.folded(index).first(index, &self.all_docs(), sort)[segment],
            false => self.parts[segment].first[sort].get_or_init(|| {
                let (keys, mut first) = (SortKeys::new(index, Some(sort)), First::default());
                self.docs(segment).iter().for_each(|doc| first.push(keys.of(segment, doc), doc));
                first.into_docs()
            }),
        };
        let is_known = reach <= first.len() || first.len() < MAX_FIRST;
        is_known.then(|| &first[..reach.min(first.len())])
    }

    /// The most memory that a set of an index takes, about.
    fn size_bytes(index: &Index) -> usize {
        let bits: usize = index.segments().iter().map(|part| part.segment.product_count() / 8).sum();
        let first = 4 * MAX_FIRST * index.segments().len() * index.catalogue().sorts.len();
        // As it is, and with variants as one.
        2 * (bits + first + 4 * index.values.total()) + 2 * limits::FILTER_BYTES
    }
}

/// What comes first of the documents of a segment, by the keys of a sort order.
pub(crate) struct First(Top);

impl Default for First {
    fn default() -> Self {
        Self(Top::new(MAX_FIRST))
    }
}

impl First {
    pub(crate) fn push(&mut self, key: u64, doc: u32) {
        self.0.push(Candidate::new(0, key, doc));
    }

    /// At most [`MAX_FIRST`], best first.
    pub(crate) fn into_docs(self) -> Vec<u32> {
        let mut best = self.0.into_best();
        best.sort_unstable_by_key(|one| (one.level_and_key(), one.doc()));
        best.iter().map(Candidate::doc).collect()
    }
}

/// What fulfils the conditions of a request, by segment: several of its sets are made of the same.
#[derive(Default)]
pub(crate) struct Fulfilled(FxHashMap<Filter, Vec<Bits>>);

impl Fulfilled {
    fn of(&mut self, index: &Index, condition: &Filter) -> &[Bits] {
        self.0.entry(condition.clone()).or_insert_with(|| {
            let segments = index.segments().iter().map(|part| &part.segment);
            segments.map(|segment| Predicate::new(condition, segment).bits(segment)).collect()
        })
    }
}

/// The sets of one index.
#[derive(Default)]
pub(crate) struct DocSets {
    /// What may be seen.
    seen: Versions<DocSet>,
    kept: Mutex<Kept>,
}

impl DocSets {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// What may be seen while the same products are hidden from all.
    pub(crate) fn seen(&self, version: usize) -> Arc<DocSet> {
        self.doc_sets.seen.get_or(version, || DocSet::seen(self, version))
    }

    /// What may be seen at a time; None where nothing is ever hidden from all.
    pub(crate) fn seen_at(&self, now: Timestamp) -> Option<Arc<DocSet>> {
        self.rules.hides_from_all().then(|| self.seen(self.rules.hiding_version(now)))
    }

    /// What may be seen and fulfils conditions, which are in order; None where nobody has asked for that lately.
    pub(crate) fn kept_set(
        &self,
        version: usize,
        conditions: Vec<Filter>,
        fulfilled: &mut Fulfilled,
    ) -> Option<Arc<DocSet>> {
        if conditions.is_empty() {
            return Some(self.seen(version));
        }
        let most = MAX_KEPT.min(MAX_KEPT_BYTES / DocSet::size_bytes(self));
        let asked = Asked::new(version, conditions).filter(|_| most > 0)?;
        let known = self.doc_sets.kept().ask(&asked);
        match known {
            Known::Kept(set) => Some(set),
            Known::Asked => {
                let made = Arc::new(DocSet::fulfilling(self, version, &asked.conditions, fulfilled));
                let (kept, gone) = self.doc_sets.kept().put(asked, &made, most);
                // They may be much, and others wait for the lock no longer.
                drop((made, gone));
                Some(kept)
            }
            Known::New => None,
        }
    }
}

/// What a set is asked for by.
#[derive(PartialEq, Eq)]
struct Asked {
    /// Of all the rest: most are told apart by it.
    hash: u64,
    version: usize,
    conditions: Vec<Filter>,
}

impl Asked {
    /// None where the conditions are too many.
    fn new(version: usize, conditions: Vec<Filter>) -> Option<Self> {
        let is_kept = conditions.len() <= MAX_CONDITIONS;
        is_kept.then(|| Self { hash: FxBuildHasher.hash_one((version, &conditions)), version, conditions })
    }
}

/// Filtered sets that were asked for more than once.
#[derive(Default)]
struct Kept {
    /// The one that was asked for last stands last.
    sets: Vec<(Asked, Arc<DocSet>)>,
    /// What was asked for once, the latest last.
    asked: VecDeque<u64>,
}

/// What is known of a set that is asked for.
enum Known {
    Kept(Arc<DocSet>),
    /// It was asked for before.
    Asked,
    New,
}

impl Kept {
    fn ask(&mut self, asked: &Asked) -> Known {
        if let Some(place) = self.sets.iter().position(|(known, _)| known == asked) {
            self.sets[place..].rotate_left(1);
            return self.sets.last().map_or(Known::Asked, |(_, set)| Known::Kept(set.clone()));
        }
        if self.asked.contains(&asked.hash) {
            return Known::Asked;
        }
        if self.asked.len() == MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back(asked.hash);
        Known::New
    }

    /// Keeps a set and gives it back, or in its place the one that another request has made of the same meanwhile: what
    /// follows from it is then found out once. Beside it, where there are more than `most`, the set that was not asked for
    /// for longest.
    fn put(&mut self, asked: Asked, made: &Arc<DocSet>, most: usize) -> (Arc<DocSet>, Option<Arc<DocSet>>) {
        self.asked.retain(|hash| *hash != asked.hash);
        if let Some((_, kept)) = self.sets.iter().find(|(known, _)| *known == asked) {
            return (kept.clone(), None);
        }
        self.sets.push((asked, made.clone()));
        let gone = (self.sets.len() > most).then(|| self.sets.remove(0).1);
        (made.clone(), gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: usize, brand: &str) -> Asked {
        Asked::new(version, vec![of_brand(brand)]).expect("few conditions")
    }

    fn of_brand(brand: &str) -> Filter {
        Filter::Value { facet: "brand".into(), value: brand.into() }
    }

    fn set() -> Arc<DocSet> {
        Arc::new(DocSet { parts: Vec::new(), totals: OnceLock::new(), folded: OnceLock::new() })
    }

    /// Browsing made every set anew, however often it was asked for.
    #[test]
    fn a_set_is_kept_once_it_is_asked_for_again() {
        let mut kept = Kept::default();
        assert!(matches!(kept.ask(&asked(0, "a")), Known::New));
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Asked));
        let a = set();
        let (put, gone) = kept.put(asked(0, "a"), &a, 2);
        assert!(Arc::ptr_eq(&put, &a) && gone.is_none());
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Kept(known) if Arc::ptr_eq(&known, &a)));
        assert!(matches!(kept.ask(&asked(0, "b")), Known::New));
        assert!(matches!(kept.ask(&asked(1, "a")), Known::New), "other rules hide other products");
    }

    /// Each went on with its own, and counted and folded all of it once more.
    #[test]
    fn requests_that_make_the_same_set_at_once_share_the_first() {
        let mut kept = Kept::default();
        assert!(matches!(kept.ask(&asked(0, "a")), Known::New));
        let both = [kept.ask(&asked(0, "a")), kept.ask(&asked(0, "a"))];
        assert!(matches!(both, [Known::Asked, Known::Asked]));
        let first = set();
        kept.put(asked(0, "a"), &first, 1);
        let (put, gone) = kept.put(asked(0, "a"), &set(), 1);
        assert!(Arc::ptr_eq(&put, &first) && gone.is_none());
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Kept(known) if Arc::ptr_eq(&known, &first)));
    }

    #[test]
    fn the_set_that_was_not_asked_for_for_longest_goes() {
        let mut kept = Kept::default();
        let b = set();
        kept.put(asked(0, "a"), &set(), 2);
        kept.put(asked(0, "b"), &b, 2);
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Kept(_)));
        let (_, gone) = kept.put(asked(0, "c"), &set(), 2);
        assert!(gone.is_some_and(|gone| Arc::ptr_eq(&gone, &b)));
        assert!(matches!(kept.ask(&asked(0, "b")), Known::New));
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Kept(_)));
    }

    #[test]
    fn what_was_asked_for_once_is_forgotten_in_the_end() {
        let mut kept = Kept::default();
        for number in 0..=MAX_ASKED {
            assert!(matches!(kept.ask(&asked(number, "a")), Known::New));
        }
        assert_eq!(kept.asked.len(), MAX_ASKED);
        assert!(matches!(kept.ask(&asked(1, "a")), Known::Asked));
        assert!(matches!(kept.ask(&asked(0, "a")), Known::New));
    }
    /// A long filter that was asked for twice made a set for each facet that it refines, each of all of its conditions.
    #[test]
    fn long_filters_are_not_kept() {
        let conditions = |count: usize| (0..count).map(|number| of_brand(&number.to_string())).collect();
        assert!(Asked::new(0, conditions(MAX_CONDITIONS)).is_some());
        assert!(Asked::new(0, conditions(MAX_CONDITIONS + 1)).is_none());
    }
}
