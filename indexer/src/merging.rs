//! When several segments should become one, and writing the current products of several as one.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use search::{BuildReport, SegmentBuilder, recorded_queries};
use snapshots::{Catalogue, LiveSegment, Manifest, Product, limits};

use crate::filling::add_all;
use crate::in_order::{self, batches};
use crate::progress::Progress;

/// So many updates may lie on top of the first segment. While some are being merged, they count as what they become.
pub(crate) const MAX_DELTAS: usize = 3;
/// The first segment is written anew when what is outdated or new comes to one in so many of its current products: the
/// cost of opening a snapshot grows with that.
const BASE_SHARE: u64 = 4;

/// A segment that was written from others.
pub(crate) struct Written {
    pub(crate) report: BuildReport,
    /// The part and the document there that each product comes from.
    pub(crate) origins: Vec<(usize, u32)>,
}

/// The places of the segments that should become one; none where a snapshot is as it should be.
///
/// Among updates it is the smaller ones, so that each is at least twice the next and another finds room. All segments
/// become one when the first is to be written anew.
pub(crate) fn due(manifest: &Manifest) -> Vec<usize> {
    let count = manifest.segments.len();
    if is_base_due(manifest) {
        return (0..count).collect();
    }
    let deltas = (1..count).map(|place| (place, u64::from(manifest.segments[place].live_count))).collect();
    let mut due = joining(deltas, &mut 0, MAX_DELTAS - 1, |live, products| products == 0 || live < 2 * products);
    due.sort_unstable();
    if due.len() > 1 { due } else { Vec::new() }
}

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

/// Those of the deltas that are not being merged, and how many of them there may be. A merge that lost what it merges to
/// each update would come to nothing where it takes longer than updates are apart. Where a snapshot has no room for so many
/// segments, which are left of merges that were given up, it loses it all the same, one at a time: an update joins segments in
/// memory, and all that are left would be much at once.
pub(crate) fn beside_merge(
    deltas: Vec<(usize, u64)>,
    is_merging: impl Fn(usize) -> bool,
) -> (Vec<(usize, u64)>, usize) {
    let (merging, others): (Vec<_>, Vec<_>) = deltas.iter().copied().partition(|(place, _)| is_merging(*place));
    if merging.is_empty() || 1 + merging.len() + MAX_DELTAS > limits::SEGMENTS {
        let most = deltas.len().clamp(MAX_DELTAS, limits::SEGMENTS - 1);
        return (deltas, most);
    }
    // Together with the first segment they become that.
    (others, MAX_DELTAS - usize::from(!is_merging(0)))
}

/// Writes a segment of the products that are current in `parts`, with the queries that these were built with.
pub(crate) fn write_merged(
    parts: &[&LiveSegment],
    catalogue: &Arc<Catalogue>,
    file: &Path,
    scratch: &Path,
    progress: &mut Progress,
) -> Result<Written> {
    // In the order of a segment: rank, then id.
    let mut order: Vec<(u32, &str, usize, u32)> = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let ranks = part.segment.static_ranks();
        let docs = (0..part.segment.product_count() as u32).filter(|doc| part.is_live(*doc));
        order.extend(docs.map(|doc| (ranks[doc as usize], part.segment.record(doc).id(), place, doc)));
    }
    order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let origins: Vec<(usize, u32)> = order.into_iter().map(|(_, _, place, doc)| (place, doc)).collect();
    progress.begin("merge", "products", Some(origins.len() as u64));
    let mut builder = SegmentBuilder::new(catalogue.clone(), file, scratch)?;
    for part in parts {
        recorded_queries(&part.segment)?.iter().for_each(|(query, count)| builder.record_query(query, *count));
    }
    let size_bytes = |(place, doc): &(usize, u32)| {
        parts[*place].segment.record(*doc).fragments().map(|(_, json)| json.len()).sum::<usize>()
    };
    let product = |(place, doc): (usize, u32)| -> Result<Product> { Ok(parts[place].segment.product(doc)?) };
    let batches = batches(origins.iter().copied(), size_bytes);
    add_all(&mut builder, in_order::workers(), batches, product, progress)?;
    Ok(Written { report: builder.finish()?, origins })
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
    fn segments_become_one_where_they_are_near_in_size() {
        let check = |segments: &[(u32, u32)], expected: &[usize]| {
            assert_eq!(due(&manifest(segments)), expected, "{segments:?}");
        };
        check(&[(9_000, 9_000)], &[]);
        check(&[(9_000, 9_000), (100, 100)], &[]);
        check(&[(9_000, 9_000), (100, 100), (50, 50)], &[]);
        check(&[(9_000, 9_000), (100, 100), (51, 51)], &[1, 2]);
        check(&[(9_000, 9_000), (100, 51), (100, 100)], &[1, 2]);
        // The next update finds room.
        check(&[(9_000, 9_000), (400, 400), (100, 100), (20, 20)], &[2, 3]);
        check(&[(9_000, 9_000), (50, 50), (30, 30), (20, 20)], &[1, 2, 3]);
        check(&[(9_000, 9_000), (20, 20), (400, 400), (100, 100)], &[1, 3]);
    }

    #[test]
    fn all_become_one_where_much_is_outdated_or_new() {
        let check = |segments: &[(u32, u32)], expected: &[usize]| {
            assert_eq!(due(&manifest(segments)), expected, "{segments:?}");
            assert!(is_base_due(&manifest(segments)));
        };
        check(&[(1_000, 800)], &[0]);
        check(&[(1_000, 1_000), (250, 250)], &[0, 1]);
        check(&[(1_000, 888), (112, 112)], &[0, 1]);
        check(&[(1_000, 1_000), (150, 150), (100, 1)], &[0, 1, 2]);
        check(&[(1_000, 1_000), (400, 400), (100, 100), (20, 20)], &[0, 1, 2, 3]);
        for short in [vec![(1_000, 801)], vec![(1_000, 1_000), (249, 249)], vec![(1_000, 889), (111, 111)]] {
            assert!(!is_base_due(&manifest(&short)), "{short:?}");
        }
    }

    /// Each update joined the smallest segment, which was being merged: what came of the merge was as many segments as before.
    #[test]
    fn what_is_being_merged_is_left_alone() {
        let deltas = |count: usize| (1..=count).map(|place| (place, 100)).collect::<Vec<_>>();
        let check = |count: usize, merging: &[usize], expected: &[usize], expected_most: usize| {
            let (others, most) = beside_merge(deltas(count), |place| merging.contains(&place));
            let others: Vec<usize> = others.into_iter().map(|(place, _)| place).collect();
            assert_eq!((others.as_slice(), most), (expected, expected_most), "{merging:?} of {count}");
        };
        check(3, &[], &[1, 2, 3], 3);
        check(3, &[2, 3], &[1], 2);
        check(4, &[2, 3], &[1, 4], 2);
        check(3, &[0, 1, 2], &[3], 3);
        check(6, &[0, 1, 2, 3], &[4, 5, 6], 3);
        check(3, &[0], &[1, 2, 3], 3);
        // There would be nine segments.
        check(5, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], 5);
        // A merge was given up: the next update joined four of them at once.
        check(6, &[], &[1, 2, 3, 4, 5, 6], 6);
        check(7, &[], &[1, 2, 3, 4, 5, 6, 7], 7);
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
