//! Which documents of a segment are of the type that a word names, listed when a query first asks for it.
//!
//! The second look tells it of the best candidates alone. Where more products match than it looks at, the type must count
//! before: "laptop" would otherwise find hundreds of laptop bags before the first laptop.

use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use crate::index::TextReader;
use crate::postings::count_before;
use crate::rank::names_type;

/// Of the documents that have a word so many are read, those with the best rank.
const MAX_READ: usize = 1 << 16;
/// So many numbers of 4 bytes the lists of a segment have together before all of them are forgotten.
const MAX_KEPT: usize = 1 << 22;
/// What a list takes beside its documents and stems, in such numbers.
const LIST_COST: usize = 32;

/// The lists of one segment, by the stems that name the type.
#[derive(Debug, Default)]
pub(crate) struct TypeLists(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lists: FxHashMap<Vec<u32>, Arc<[u32]>>,
    size: usize,
}

impl TypeLists {
    fn get(&self, stems: &[u32]) -> Option<Arc<[u32]>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).lists.get(stems).cloned()
    }

    fn put(&self, stems: &[u32], docs: Arc<[u32]>) {
        let size = docs.len() + stems.len() + LIST_COST;
        let mut gone = FxHashMap::default();
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.size + size > MAX_KEPT {
            gone = std::mem::take(&mut kept.lists);
            kept.size = 0;
        }
        if kept.lists.insert(stems.to_vec(), docs).is_none() {
            kept.size += size;
        }
        drop(kept);
        // It may be much, and others wait for the lock no longer.
        drop(gone);
    }
}

impl TextReader {
    /// The documents that are of a type that one of these stems names, rising.
    pub(crate) fn of_type(&self, stems: &[u32], is_first: bool) -> Arc<[u32]> {
        if stems.is_empty() {
            return Arc::default();
        }
        if let Some(known) = self.type_lists.get(stems) {
            return known;
        }
        let docs: Arc<[u32]> = self.read_type(stems, is_first).into();
        self.type_lists.put(stems, docs.clone());
        docs
    }

    fn read_type(&self, stems: &[u32], is_first: bool) -> Vec<u32> {
        let having = stems.iter().flat_map(|stem| self.postings.docs(*stem).iter().map(move |doc| (*stem, *doc)));
        let is_of_type = |(stem, doc): &(u32, u32)| {
            let (lead, _) = self.vocabulary.lead(*doc);
            (0..lead.len()).any(|at| lead[at].stem() == *stem && names_type(lead, at, is_first, &self.type_pairs))
        };
        let mut docs: Vec<u32> = having.take(MAX_READ).filter(is_of_type).map(|(_, doc)| doc).collect();
        docs.sort_unstable();
        docs.dedup();
        docs
    }
}

/// A walk over the documents of a type.
pub(crate) struct TypeWalk<'a>(&'a [u32]);

impl<'a> TypeWalk<'a> {
    pub(crate) fn new(docs: &'a [u32]) -> Self {
        Self(docs)
    }

    /// Whether a document is of the type. Documents are asked for rising.
    #[inline]
    pub(crate) fn has(&mut self, doc: u32) -> bool {
        self.0 = &self.0[count_before(self.0, doc)..];
        self.0.first() == Some(&doc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_has_what_is_listed() {
        let mut walk = TypeWalk::new(&[2, 3, 8, 40, 41]);
        let found: Vec<u32> = [0, 2, 4, 8, 9, 10, 41, 50].into_iter().filter(|doc| walk.has(*doc)).collect();
        assert_eq!(found, [2, 8, 41]);
        assert!(!TypeWalk::new(&[]).has(0));
    }

    #[test]
    fn lists_are_kept_until_they_are_too_many() {
        let lists = TypeLists::default();
        let half: Arc<[u32]> = vec![0_u32; MAX_KEPT / 2 - LIST_COST - 1].into();
        lists.put(&[1], half.clone());
        lists.put(&[1], half.clone());
        lists.put(&[2], half);
        assert!(lists.get(&[1]).is_some() && lists.get(&[2]).is_some() && lists.get(&[1, 2]).is_none());
        lists.put(&[3], Arc::default());
        assert!(lists.get(&[1]).is_none() && lists.get(&[2]).is_none() && lists.get(&[3]).is_some());
    }
}
