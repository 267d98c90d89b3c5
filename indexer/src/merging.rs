//! When several segments should become one, and writing the current products of several as one.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use search::{BuildReport, SegmentBuilder, recorded_queries};
use snapshots::{Catalogue, LiveSegment, Manifest};

use crate::progress::Progress;

/// So many updates may lie on top of the first segment.
pub(crate) const MAX_DELTAS: usize = 3;
/// The first segment is written anew when what is outdated or new comes to one in so many of its current products: the
/// cost of opening a snapshot grows with that.
const BASE_SHARE: u64 = 4;

/// Whether so much is outdated or new that the first segment should be written anew.
pub(crate) fn is_base_due(manifest: &Manifest) -> bool {
    let [base, deltas @ ..] = manifest.segments.as_slice() else { return false };
    let outdated = u64::from(base.product_count - base.live_count);
    let on_top: u64 = deltas.iter().map(|delta| u64::from(delta.product_count)).sum();
    (outdated + on_top) * BASE_SHARE >= u64::from(base.live_count)
}

/// Which of the deltas (place and current products of each) join `products` in one segment: the smallest first, while
/// there would be more than `most` otherwise, or the next one is near in size. `products` becomes how many there are then.
pub(crate) fn joining(
    mut deltas: Vec<(usize, u64)>,
    products: &mut u64,
    most: usize,
    is_near: impl Fn(u64, u64) -> bool,
) -> Vec<usize> {
    deltas.sort_by_key(|(_, live)| Reverse(*live));
    let mut joined = Vec::new();
    while let Some((place, live)) = deltas.pop() {
        // Without any products there is no segment to join.
        let is_one_too_many = deltas.len() + 1 + usize::from(*products > 0) > most;
        if !is_one_too_many && !is_near(live, *products) {
            break;
        }
        *products += live;
        joined.push(place);
    }
    joined
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use snapshots::{Digest, SegmentRef, SnapshotId, Statistics, ValidationReport};

    /// A manifest of segments with so many products, of which so many are current.
    fn manifest(segments: &[(u32, u32)]) -> Manifest {
        let segment = Digest::of(b"a segment");
        let refs = segments.iter().map(|(product_count, live_count)| SegmentRef {
            segment,
            liveness: None,
            product_count: *product_count,
            live_count: *live_count,
        });
        Manifest {
            format_version: snapshots::FORMAT_VERSION,
            id: SnapshotId::new(jiff::Timestamp::UNIX_EPOCH, &segment),
            catalogue: "shop".to_owned(),
            parent: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            builder_version: String::new(),
            objects: Vec::new(),
            segments: refs.collect(),
            statistics: Statistics::default(),
            validation: ValidationReport::default(),
            source_watermark: None,
        }
    }

    #[test]
    fn all_should_become_one_where_much_is_outdated_or_new() {
        for much in [
            vec![(1_000, 800)],
            vec![(1_000, 1_000), (250, 250)],
            vec![(1_000, 888), (112, 112)],
            vec![(1_000, 1_000), (150, 150), (100, 1)],
        ] {
            assert!(is_base_due(&manifest(&much)), "{much:?}");
        }
        for short in [vec![(1_000, 801)], vec![(1_000, 1_000), (249, 249)], vec![(1_000, 889), (111, 111)]] {
            assert!(!is_base_due(&manifest(&short)), "{short:?}");
        }
    }

    #[test]
    fn what_is_new_is_joined_by_the_smallest_where_there_would_be_too_many() {
        let deltas = || vec![(1, 400), (2, 30), (3, 100)];
        let joined = |mut products: u64, is_near: fn(u64, u64) -> bool| {
            (joining(deltas(), &mut products, MAX_DELTAS, is_near), products)
        };
        assert_eq!(joined(10, |_, _| false), (vec![2], 40));
        assert_eq!(joined(0, |_, _| false), (vec![], 0), "nothing is new, and there are not too many");
        assert_eq!(joined(40, |live, products| live < 2 * products), (vec![2, 3], 170));
        assert_eq!(joined(250, |live, products| live < 2 * products), (vec![2, 3, 1], 780));
    }
}
