//! Facets that no product has a value for.

use serde::Serialize;
use snapshots::{ABSENT, Facet, FacetKind, Snapshot};

/// The facets that are empty, by name.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facets {
    pub empty: Vec<String>,
    /// Those of them that had values before.
    pub became_empty: Vec<String>,
}

impl Facets {
    pub(super) fn of(before: Option<&Snapshot>, after: &Snapshot) -> Self {
        let empty: Vec<&Facet> = after.catalogue.facets.iter().filter(|facet| is_empty(after, facet)).collect();
        let had_values = |facet: &&Facet| {
            let before = before.and_then(|before| Some((before, before.catalogue.facet(&facet.name)?)));
            before.is_some_and(|(before, facet)| !is_empty(before, facet))
        };
        let name = |facet: &Facet| facet.name.clone();
        let became_empty = empty.iter().copied().filter(had_values).map(name).collect();
        Self { became_empty, empty: empty.into_iter().map(name).collect() }
    }
}

/// Whether no current product has a value. Ends at the first one that has.
fn is_empty(snapshot: &Snapshot, facet: &Facet) -> bool {
    snapshot.segments.iter().all(|part| match facet.kind {
        FacetKind::Number { .. } => {
            let column = part.segment.number(&facet.name).unwrap_or_default();
            !column.iter().zip(0_u32..).any(|(value, doc)| *value != ABSENT && part.is_live(doc))
        }
        FacetKind::Value | FacetKind::Hierarchy => part.segment.facet(&facet.name).is_none_or(|info| {
            let mut docs = info.range().flat_map(|value| part.segment.facet_list(value as u32));
            !docs.any(|doc| part.is_live(*doc))
        }),
    })
}
