//! How many products each category has before and now.

use std::collections::HashMap;

use serde::Serialize;
use snapshots::CATEGORY_SEPARATOR;

use super::records::shown;

/// Categories that are kept of each kind, those that changed most.
const MAX_CATEGORIES: usize = 10_000;

/// How products are spread over categories, by the first level of their paths and by the whole path.
#[derive(Debug, Default, Serialize)]
pub struct Categories {
    pub top: Drift,
    pub full: Drift,
}

/// How many products the categories of one kind have before and now.
#[derive(Debug, Default, Serialize)]
pub struct Drift {
    pub before: usize,
    pub after: usize,
    /// Categories that have no product any more.
    pub vanished: usize,
    /// Categories that had none before.
    pub appeared: usize,
    /// Those whose number of products changed, by how much it did.
    pub changes: Vec<CategoryChange>,
    /// Further ones, which changed less.
    pub left_out: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CategoryChange {
    /// The path as one text; empty for products without a category.
    pub category: String,
    pub before: u64,
    pub after: u64,
}

/// Counts products by their categories, which stay in the snapshots that they are read from.
#[derive(Default)]
pub(super) struct CategoryCounts<'a> {
    /// Products before and now by the JSON of their path: equal paths have equal JSON.
    counts: HashMap<&'a [u8], (u64, u64)>,
}

impl<'a> CategoryCounts<'a> {
    pub fn before(&mut self, path: Option<&'a [u8]>) {
        self.counts.entry(path.unwrap_or(b"[]")).or_default().0 += 1;
    }

    pub fn after(&mut self, path: Option<&'a [u8]>) {
        self.counts.entry(path.unwrap_or(b"[]")).or_default().1 += 1;
    }

    pub fn finish(self) -> Categories {
        let mut top: HashMap<String, (u64, u64)> = HashMap::new();
        let mut full = Vec::with_capacity(self.counts.len());
        for (path, (before, after)) in self.counts {
            let category = shown(path, CATEGORY_SEPARATOR);
            let first = category.split(CATEGORY_SEPARATOR).next().unwrap_or_default();
            let sum = top.entry(first.to_owned()).or_default();
            *sum = (sum.0 + before, sum.1 + after);
            full.push(CategoryChange { category, before, after });
        }
        let top = top.into_iter().map(|(category, (before, after))| CategoryChange { category, before, after });
        Categories { top: Drift::of(top.collect()), full: Drift::of(full) }
    }
}

impl Drift {
    fn of(mut categories: Vec<CategoryChange>) -> Self {
        let count = |which: fn(&CategoryChange) -> bool| categories.iter().filter(|one| which(one)).count();
        let (before, after) = (count(|one| one.before > 0), count(|one| one.after > 0));
        let vanished = count(|one| one.after == 0);
        let appeared = count(|one| one.before == 0);
        categories.retain(|one| one.before != one.after);
        let moved = |one: &CategoryChange| one.after.abs_diff(one.before);
        categories.sort_by(|a, b| moved(b).cmp(&moved(a)).then_with(|| a.category.cmp(&b.category)));
        let left_out = categories.len().saturating_sub(MAX_CATEGORIES);
        categories.truncate(MAX_CATEGORIES);
        Self { before, after, vanished, appeared, changes: categories, left_out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_counted_by_first_level_and_by_path() {
        let mut counts = CategoryCounts::default();
        let (lamps, desks, toys): (&[u8], &[u8], &[u8]) =
            (br#"["Home","Lamps"]"#, br#"["Home","Desks"]"#, br#"["Toys"]"#);
        [Some(lamps), Some(lamps), Some(desks), None].into_iter().for_each(|path| counts.before(path));
        [Some(lamps), Some(desks), Some(toys), Some(toys), None].into_iter().for_each(|path| counts.after(path));
        let Categories { top, full } = counts.finish();
        let change = |category: &str, before, after| CategoryChange { category: category.into(), before, after };
        assert_eq!(top.changes, [change("Toys", 0, 2), change("Home", 3, 2)]);
        assert_eq!(full.changes, [change("Toys", 0, 2), change("Home > Lamps", 2, 1)]);
        assert_eq!((full.before, full.after, full.vanished, full.appeared), (3, 4, 0, 1));
    }
}
