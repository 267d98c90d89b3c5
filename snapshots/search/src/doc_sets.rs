//! Sets of documents that browsing asks for, kept where they are asked for again.
//!
//! Listing pages ask for the same few sets: what may be seen at all, and what a filter lets pass of it. Such a set knows what
//! each facet counts in it and what comes first in each sort order, so that another page of it costs what it shows.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustc_hash::FxBuildHasher;

use crate::bits::Bits;
use crate::facets::FacetCounts;
use crate::filter::Filter;
use crate::index::Index;
use crate::predicate::{Predicate, live_bits};
use crate::request::limits;
use crate::top::{Candidate, Top, sort_key};

/// So many filtered sets are kept, or as many as take so much memory.
const MAX_KEPT: usize = 64;
const MAX_KEPT_BYTES: usize = 8 * 1024 * 1024;
/// So many that were asked for once are remembered, by a hash.
const MAX_ASKED: usize = 256;
/// So many documents of a set and a segment are kept in each sort order.
const MAX_FIRST: usize = 1_000;

/// A set of documents of all segments, and what follows from it once somebody asks.
pub(crate) struct DocSet {
    parts: Vec<PartSet>,
    /// What all facets of the catalogue count.
    totals: OnceLock<FacetCounts>,
}

/// The documents of one segment.
struct PartSet {
    docs: Bits,
    count: usize,
    /// Those that come first, best first, by sort order of the catalogue.
    first: Vec<OnceLock<Vec<u32>>>,
}

impl DocSet {
    fn new(index: &Index, docs: impl Iterator<Item = Bits>) -> Self {
        let sorts = index.catalogue().sorts.len();
        let first = || std::iter::repeat_with(OnceLock::new).take(sorts).collect();
        let parts = docs.map(|docs| PartSet { count: docs.count(), docs, first: first() });
        Self { parts: parts.collect(), totals: OnceLock::new() }
    }

    /// The documents that are current and not hidden.
    fn seen(index: &Index, version: usize) -> Self {
        let hidden = index.hidden_in(version);
        let docs = index.segments().iter().enumerate().map(|(place, part)| {
            let mut docs = live_bits(part);
            hidden.get(place).into_iter().for_each(|hidden| docs.subtract(hidden));
            docs
        });
        Self::new(index, docs)
    }

    /// Those of them that fulfil all conditions.
    fn fulfilling(index: &Index, version: usize, conditions: &[Filter]) -> Self {
        let seen = index.seen(version);
        let docs = index.segments().iter().enumerate().map(|(place, part)| {
            let mut docs = seen.docs(place).clone();
            for condition in conditions {
                docs.intersect(Predicate::new(condition, &part.segment).bits(&part.segment).words());
            }
            docs
        });
        Self::new(index, docs)
    }

    pub(crate) fn docs(&self, segment: usize) -> &Bits {
        &self.parts[segment].docs
    }

    /// How many documents of a segment it has.
    pub(crate) fn count(&self, segment: usize) -> usize {
        self.parts[segment].count
    }

    /// What every facet of the catalogue counts.
    pub(crate) fn totals(&self, index: &Index) -> &FacetCounts {
        self.totals.get_or_init(|| {
            let facets: Vec<usize> = (0..index.catalogue().facets.len()).collect();
            let mut counts = FacetCounts::new(index, &facets);
            for (segment, part) in self.parts.iter().enumerate() {
                counts.for_segment(index, segment).add_set(&part.docs);
            }
            counts
        })
    }

    /// The documents of a segment that come first in a sort order of the catalogue: [`MAX_FIRST`], or all.
    pub(crate) fn first(&self, index: &Index, segment: usize, sort: usize) -> &[u32] {
        let part = &self.parts[segment];
        part.first[sort].get_or_init(|| {
            let sort = &index.catalogue().sorts[sort];
            let column = index.segments()[segment].segment.number(&sort.by).unwrap_or(&[]);
            let mut top = Top::new(MAX_FIRST);
            for doc in part.docs.iter() {
                top.push(Candidate::new(0, sort_key(column[doc as usize], sort.order), doc));
            }
            let mut best = top.into_best();
            best.sort_unstable_by_key(|one| (one.level_and_key(), one.doc()));
            best.iter().map(Candidate::doc).collect()
        })
    }

    /// The most memory that a set of an index takes, about.
    fn size_bytes(index: &Index) -> usize {
        let bits: usize = index.segments().iter().map(|part| part.segment.product_count() / 8).sum();
        let first = 4 * MAX_FIRST * index.segments().len() * index.catalogue().sorts.len();
        bits + first + 4 * index.values.total() + 2 * limits::FILTER_BYTES
    }
}

/// The sets of one index.
#[derive(Default)]
pub(crate) struct DocSets {
    /// What may be seen, by version of the rules.
    seen: Vec<OnceLock<Arc<DocSet>>>,
    kept: Mutex<Kept>,
}

impl DocSets {
    pub(crate) fn new(versions: usize) -> Self {
        Self { seen: std::iter::repeat_with(OnceLock::new).take(versions).collect(), kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// What may be seen while a version of the rules is active.
    pub(crate) fn seen(&self, version: usize) -> Arc<DocSet> {
        self.doc_sets.seen[version].get_or_init(|| Arc::new(DocSet::seen(self, version))).clone()
    }

    /// What may be seen and fulfils conditions, which are in order; None where nobody has asked for that lately.
    pub(crate) fn kept_set(&self, version: usize, conditions: Vec<Filter>) -> Option<Arc<DocSet>> {
        if conditions.is_empty() {
            return Some(self.seen(version));
        }
        let most = MAX_KEPT.min(MAX_KEPT_BYTES / DocSet::size_bytes(self));
        if most == 0 {
            return None;
        }
        let asked = Asked::new(version, conditions);
        let known = self.doc_sets.kept().ask(&asked);
        match known {
            Known::Kept(set) => Some(set),
            Known::Asked => {
                let set = Arc::new(DocSet::fulfilling(self, version, &asked.conditions));
                let gone = self.doc_sets.kept().put(asked, set.clone(), most);
                // It may be much, and others wait for the lock no longer.
                drop(gone);
                Some(set)
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
    fn new(version: usize, conditions: Vec<Filter>) -> Self {
        Self { hash: FxBuildHasher.hash_one((version, &conditions)), version, conditions }
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

    /// Keeps a set; where there are more than `most`, gives back the one that was not asked for for longest.
    fn put(&mut self, asked: Asked, set: Arc<DocSet>, most: usize) -> Option<Arc<DocSet>> {
        self.asked.retain(|hash| *hash != asked.hash);
        // Another request may have made the same meanwhile.
        if self.sets.iter().all(|(known, _)| *known != asked) {
            self.sets.push((asked, set));
        }
        (self.sets.len() > most).then(|| self.sets.remove(0).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: usize, brand: &str) -> Asked {
        Asked::new(version, vec![Filter::Value { facet: "brand".into(), value: brand.into() }])
    }

    fn set() -> Arc<DocSet> {
        Arc::new(DocSet { parts: Vec::new(), totals: OnceLock::new() })
    }

    /// Browsing made every set anew, however often it was asked for.
    #[test]
    fn a_set_is_kept_once_it_is_asked_for_again() {
        let mut kept = Kept::default();
        assert!(matches!(kept.ask(&asked(0, "a")), Known::New));
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Asked));
        let a = set();
        assert!(kept.put(asked(0, "a"), a.clone(), 2).is_none());
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Kept(known) if Arc::ptr_eq(&known, &a)));
        assert!(matches!(kept.ask(&asked(0, "b")), Known::New));
        assert!(matches!(kept.ask(&asked(1, "a")), Known::New), "other rules hide other products");
        // Whoever comes second with the same changes nothing.
        kept.put(asked(0, "a"), set(), 2);
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Kept(known) if Arc::ptr_eq(&known, &a)));
    }

    #[test]
    fn the_set_that_was_not_asked_for_for_longest_goes() {
        let mut kept = Kept::default();
        let b = set();
        assert!(kept.put(asked(0, "a"), set(), 2).is_none());
        assert!(kept.put(asked(0, "b"), b.clone(), 2).is_none());
        assert!(matches!(kept.ask(&asked(0, "a")), Known::Kept(_)));
        let gone = kept.put(asked(0, "c"), set(), 2);
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
}
