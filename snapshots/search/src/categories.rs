//! The category tree with counts.

use jiff::Timestamp;
use snapshots::{CATEGORY_SEPARATOR, FacetKind};

use crate::doc_sets::DocSet;
use crate::index::Index;

/// A category and what lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// The whole path, as filters take it.
    pub path: String,
    pub count: u64,
    pub children: Vec<Category>,
}

impl Category {
    /// The last level of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit(CATEGORY_SEPARATOR).next().unwrap_or(&self.path)
    }
}

impl Index {
    /// The tree below a path (None: all of it). None where there is no such category, or the catalogue has no
    /// category facet.
    pub fn categories(&self, below: Option<&str>) -> Option<Vec<Category>> {
        self.categories_at(below, Timestamp::now())
    }

    /// The same at a time, which says which products are hidden.
    pub fn categories_at(&self, below: Option<&str>, now: Timestamp) -> Option<Vec<Category>> {
        if !self.has_category(below, now) {
            return None;
        }
        let (place, facet) = self.hierarchy()?;
        let texts = self.values.range(place).map(|value| self.values.text(self.segments(), value));
        let mut paths: Vec<&str> = texts.filter(|path| below.is_none_or(|below| is_below(path, below))).collect();
        // In the order of their text, "A" comes before "A > B", but "A & C" may come between: sort by levels.
        paths.sort_unstable_by(|a, b| a.split(CATEGORY_SEPARATOR).cmp(b.split(CATEGORY_SEPARATOR)));
        let seen = self.seen_at(now);
        let (mut open, mut roots) = (Vec::<Category>::new(), Vec::new());
        for path in paths {
            let count = self.live_count(facet, path, seen.as_deref());
            if count == 0 {
                continue;
            }
            while open.last().is_some_and(|above| !is_below(path, &above.path)) {
                close(&mut open, &mut roots);
            }
            open.push(Category { path: path.to_owned(), count, children: Vec::new() });
        }
        while !open.is_empty() {
            close(&mut open, &mut roots);
        }
        Some(roots)
    }

    /// Whether there is a tree below a path, without making it.
    pub fn has_category(&self, below: Option<&str>, now: Timestamp) -> bool {
        let Some((_, facet)) = self.hierarchy() else { return false };
        below.is_none_or(|path| self.live_count(facet, path, self.seen_at(now).as_deref()) > 0)
    }

    /// The place and the name of the facet that is a tree.
    fn hierarchy(&self) -> Option<(usize, &str)> {
        let mut facets = self.catalogue().facets.iter().enumerate();
        facets.find(|(_, facet)| facet.kind == FacetKind::Hierarchy).map(|(place, facet)| (place, facet.name.as_str()))
    }

    /// How many current products have a facet value; of those that may be seen, where some are hidden.
    fn live_count(&self, facet: &str, value: &str, seen: Option<&DocSet>) -> u64 {
        let in_segment = |(place, part): (usize, &snapshots::LiveSegment)| {
            let found = part.segment.facet(facet).and_then(|facet| part.segment.find_facet_value(facet, value));
            let docs = found.map_or(&[][..], |value| part.segment.facet_list(value));
            let count = match seen {
                Some(seen) => docs.iter().filter(|doc| seen.docs(place).contains(**doc)).count(),
                None if part.liveness.is_none() => docs.len(),
                None => docs.iter().filter(|doc| part.is_live(**doc)).count(),
            };
            count as u64
        };
        self.segments().iter().enumerate().map(in_segment).sum()
    }
}

/// Whether a path lies below another one, at whatever depth.
pub(crate) fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with(CATEGORY_SEPARATOR))
}

/// Hands the innermost open category to the one around it.
fn close(open: &mut Vec<Category>, roots: &mut Vec<Category>) {
    if let Some(done) = open.pop() {
        open.last_mut().map_or(roots, |above| &mut above.children).push(done);
    }
}
