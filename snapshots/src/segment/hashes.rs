//! Finding a hash among sorted ones.

/// A guess is off by about the square root of how many hashes it had to pass: two corrections bring it within a few places
/// of the right one, whatever their number.
const CORRECTIONS: usize = 2;

/// The place of the first of sorted hashes that is not below `wanted`.
///
/// Hashes are spread evenly, so that how large one is says about where it stands. A binary search waits for memory at each
/// of twenty steps; this reads from some three cache lines. Where they are not spread evenly or not sorted, it takes longer but
/// ends, and reads nothing outside of them.
pub fn first_from_hash(hashes: &[u64], wanted: u64) -> usize {
    let count = hashes.len();
    // How many hashes lie between two that are so far apart.
    let between = |distance: u64| ((u128::from(distance) * count as u128) >> 64) as usize;
    let mut guess = between(wanted);
    for _ in 0..CORRECTIONS {
        guess = match hashes.get(guess) {
            None => break,
            Some(there) if *there < wanted => (guess + between(wanted - there)).min(count - 1),
            Some(there) => guess.saturating_sub(between(there - wanted)),
        };
    }
    // Steps double until they have passed it, upwards or downwards.
    let (mut low, mut high, mut step) = (guess, guess, 1);
    while hashes.get(high).is_some_and(|hash| *hash < wanted) {
        low = high + 1;
        high += step;
        step *= 2;
    }
    while low > 0 && hashes[low - 1] >= wanted {
        high = low - 1;
        low = low.saturating_sub(step);
        step *= 2;
    }
    low + hashes[low..high.min(count)].partition_point(|hash| *hash < wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::id_hash;

    /// As evenly spread as those of ids.
    fn spread(count: u64) -> Vec<u64> {
        (0..count).map(|number| id_hash(&number.to_string())).collect()
    }

    fn sorted(mut hashes: Vec<u64>) -> Vec<u64> {
        hashes.sort_unstable();
        hashes
    }

    /// Every hash, its neighbours, some that lie anywhere, and both ends.
    fn asked(hashes: &[u64]) -> Vec<u64> {
        let near = hashes.iter().flat_map(|hash| [hash.saturating_sub(1), *hash, hash.saturating_add(1)]);
        near.chain(spread(50)).chain([0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX]).collect()
    }

    #[test]
    fn a_hash_is_found_where_a_plain_search_finds_it() {
        let check = |name: &str, hashes: Vec<u64>| {
            let hashes = sorted(hashes);
            for wanted in asked(&hashes) {
                let expected = hashes.partition_point(|hash| *hash < wanted);
                assert_eq!(first_from_hash(&hashes, wanted), expected, "{name}, {} hashes, {wanted}", hashes.len());
            }
        };
        for count in (0..70).chain([1_000, 5_000]) {
            check("spread evenly", spread(count));
            check("only small ones", (0..count).collect());
            check("only large ones", (0..count).map(|number| u64::MAX - number).collect());
            check("each larger than all before it", (0..count).map(|number| 1_u64 << (number % 64)).collect());
            check("two far apart", (0..count).map(|number| if number % 3 == 0 { u64::MAX } else { 5 }).collect());
            check("all alike", vec![u64::MAX / 3; count as usize]);
            check(
                "each four times",
                spread(count).into_iter().map(|hash| (hash & !0xff) | 7).cycle().take(4 * count as usize).collect(),
            );
            check("crowded around one", spread(count).into_iter().map(|hash| (1_u64 << 63) + (hash >> 40)).collect());
        }
    }

    #[test]
    fn damaged_hashes_are_searched_to_an_end() {
        let hashes = spread(3_000);
        for wanted in asked(&hashes) {
            assert!(first_from_hash(&hashes, wanted) <= hashes.len());
        }
    }
}
