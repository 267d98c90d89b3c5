//! Which documents of a segment are of the type that a word names, listed when a query first asks for it.
//!
//! The second look tells it of the best candidates alone. Where more products match than it looks at, the type must count
//! before: "laptop" would otherwise find hundreds of laptop bags before the first laptop.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use crate::index::TextReader;
use crate::postings::count_before;
use crate::rank::names_type;

/// Of the documents that have one of the words that name a type so many are read, of each word those with the best rank.
const MAX_READ: usize = 1 << 16;
/// So many numbers of 4 bytes the lists of a segment have together before all of them are forgotten.
const MAX_KEPT: usize = 1 << 22;
/// What a list takes beside its documents and stems, in such numbers.
const LIST_COST: usize = 32;

/// The lists of one segment, by the stems that name the type.
#[derive(Debug, Default)]
pub(crate) struct TypeLists(RwLock<Kept>);

/// A list, or the place that it will have once it is read.
type List = Arc<OnceLock<Arc<[u32]>>>;

#[derive(Debug, Default)]
struct Kept {
    lists: FxHashMap<Vec<u32>, List>,
    /// Of the lists that were read.
    size: usize,
}

impl TypeLists {
    /// The list of a type. The first that asks for it reads it, and whoever asks meanwhile waits: after each swap, all that
    /// serve would otherwise read the same.
    fn get_or_read(&self, stems: &[u32], read: impl FnOnce() -> Vec<u32>) -> Arc<[u32]> {
        let list = self.place(stems);
        let mut is_new = false;
        let docs = list.get_or_init(|| {
            is_new = true;
            read().into()
        });
        if is_new {
            self.count(stems, &list, docs.len());
        }
        docs.clone()
    }

    fn place(&self, stems: &[u32]) -> List {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).lists.get(stems).cloned();
        known.unwrap_or_else(|| {
            let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
            kept.lists.entry(stems.to_vec()).or_default().clone()
        })
    }

    /// Counts a list that was read. Where there are too many, it alone stays.
    fn count(&self, stems: &[u32], list: &List, docs: usize) {
        let size = docs + stems.len() + LIST_COST;
        let mut gone = FxHashMap::default();
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // It may have been forgotten while it was read.
        if kept.lists.get(stems).is_some_and(|known| Arc::ptr_eq(known, list)) {
            kept.size += size;
        }
        if kept.size > MAX_KEPT {
            gone = std::mem::take(&mut kept.lists);
            kept.lists.extend(gone.remove_entry(stems));
            kept.size = size;
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
        self.type_lists.get_or_read(stems, || self.read_type(stems, is_first))
    }

    fn read_type(&self, stems: &[u32], is_first: bool) -> Vec<u32> {
        let is_of_type = |stem: u32, doc: u32| {
            let (lead, _) = self.vocabulary.lead(doc);
            (0..lead.len()).any(|at| lead[at].stem() == stem && names_type(lead, at, is_first, &self.type_pairs))
        };
        let mut docs: Vec<u32> = Vec::new();
        let lists = stems.iter().map(|stem| (*stem, self.postings.docs(*stem))).collect();
        for (stem, having) in best_of_each(lists, MAX_READ) {
            docs.extend(having.iter().filter(|doc| is_of_type(stem, **doc)));
        }
        docs.sort_unstable();
        docs.dedup();
        docs
    }
}

/// The first documents of each list, so many together at the most. Each list has its share, and what short ones leave of
/// theirs.
fn best_of_each(mut lists: Vec<(u32, &[u32])>, most: usize) -> Vec<(u32, &[u32])> {
    lists.sort_by_key(|(_, docs)| docs.len());
    let (count, mut left) = (lists.len(), most);
    for (at, (_, docs)) in lists.iter_mut().enumerate() {
        *docs = &docs[..docs.len().min(left / (count - at))];
        left -= docs.len();
    }
    lists
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
    use std::cell::Cell;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_walk_has_what_is_listed() {
        let mut walk = TypeWalk::new(&[2, 3, 8, 40, 41]);
        let found: Vec<u32> = [0, 2, 4, 8, 9, 10, 41, 50].into_iter().filter(|doc| walk.has(*doc)).collect();
        assert_eq!(found, [2, 8, 41]);
        assert!(!TypeWalk::new(&[]).has(0));
    }

    /// A word that very many products have once left nothing to the compounds that name its type.
    #[test]
    fn each_word_has_its_share_of_what_is_read() {
        let docs: Vec<u32> = (0..100).collect();
        let check = |lengths: &[usize], expected: &[usize]| {
            let lists = (0..).zip(lengths).map(|(stem, length)| (stem, &docs[..*length])).collect();
            let mut shares = best_of_each(lists, 60);
            shares.sort_unstable();
            assert_eq!(shares.iter().map(|(_, docs)| docs.len()).collect::<Vec<_>>(), expected, "{lengths:?}");
        };
        check(&[100], &[60]);
        check(&[100, 3, 10], &[47, 3, 10]);
        check(&[100, 100, 4], &[28, 28, 4]);
        check(&[20, 30], &[20, 30]);
        check(&[], &[]);
    }

    #[test]
    fn lists_are_kept_until_they_are_too_many() {
        let (lists, read) = (TypeLists::default(), Cell::new(0));
        // How many were read, when a list of so many documents was asked for.
        let ask = |stems: &[u32], docs: usize| {
            let list = lists.get_or_read(stems, || {
                read.set(read.get() + 1);
                vec![0; docs]
            });
            assert_eq!(list.len(), docs);
            read.get()
        };
        let half = MAX_KEPT / 2 - LIST_COST - 1;
        assert_eq!(
            [ask(&[1], half), ask(&[1], half), ask(&[2], half), ask(&[1], half), ask(&[2], half)],
            [1, 1, 2, 2, 2]
        );
        assert_eq!([ask(&[3], 0), ask(&[3], 0), ask(&[1], 0), ask(&[2], 0), ask(&[1, 2], 0)], [3, 3, 4, 5, 6]);
    }

    #[test]
    fn a_list_is_read_once_however_many_ask_at_once() {
        const ASKING: usize = 4;
        let (lists, read, start) = (TypeLists::default(), AtomicUsize::new(0), Barrier::new(ASKING));
        thread::scope(|scope| {
            for _ in 0..ASKING {
                scope.spawn(|| {
                    start.wait();
                    let list = lists.get_or_read(&[1], || {
                        read.fetch_add(1, Ordering::Relaxed);
                        // So that the others ask meanwhile.
                        thread::sleep(Duration::from_millis(20));
                        vec![7]
                    });
                    assert_eq!(*list, [7]);
                });
            }
        });
        assert_eq!(read.into_inner(), 1);
    }
}
