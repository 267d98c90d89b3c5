//! Writing the current products of several segments as one segment.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use search::{BuildReport, SegmentBuilder, recorded_queries};
use snapshots::{Catalogue, LiveSegment};

use crate::progress::Progress;

/// Writes a segment of the products that are current in `parts`, with the queries that these were built with.
pub(crate) fn write_merged(
    parts: &[&LiveSegment],
    catalogue: &Arc<Catalogue>,
    file: &Path,
    scratch: &Path,
    progress: &mut Progress,
) -> Result<BuildReport> {
    // In the order of a segment: rank, then id.
    let mut order: Vec<(u32, &str, usize, u32)> = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let ranks = part.segment.static_ranks();
        let docs = (0..part.segment.product_count() as u32).filter(|doc| part.is_live(*doc));
        order.extend(docs.map(|doc| (ranks[doc as usize], part.segment.record(doc).id(), place, doc)));
    }
    order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    progress.begin("merge", "products", Some(order.len() as u64));
    let mut builder = SegmentBuilder::new(catalogue.clone(), file, scratch)?;
    for part in parts {
        recorded_queries(&part.segment)?.iter().for_each(|(query, count)| builder.record_query(query, *count));
    }
    for (number, (_, _, place, doc)) in order.into_iter().enumerate() {
        builder.add(&parts[place].segment.product(doc)?)?;
        progress.at(number as u64);
    }
    Ok(builder.finish()?)
}
