//! Finding what has the same hash, without a table to look it up in.

/// Places by the hashes of what stands there: those of one hash are in one bucket, among few others.
#[derive(Default)]
pub(crate) struct Buckets {
    /// So many of a hash's first bits are the number of its bucket. Hashes are spread evenly, and so are the places.
    bits: u32,
    /// Where each bucket ends.
    ends: Vec<u32>,
    places: Vec<u32>,
}

impl Buckets {
    /// Of hashes and their places.
    pub(crate) fn new(hashed: impl Iterator<Item = (u64, u32)> + Clone) -> Self {
        let count = hashed.clone().count();
        // From four to eight places a bucket.
        let bits = count.checked_ilog2().map_or(0, |log| log.saturating_sub(2));
        let mut buckets = Self { bits, ends: vec![0; 1 << bits], places: vec![0; count] };
        for (hash, _) in hashed.clone() {
            let number = buckets.number(hash);
            buckets.ends[number] += 1;
        }
        let mut end = 0;
        for next in &mut buckets.ends {
            // For now, where it begins: it ends where its last place is put.
            end += std::mem::replace(next, end);
        }
        for (hash, place) in hashed {
            let number = buckets.number(hash);
            let end = &mut buckets.ends[number];
            buckets.places[*end as usize] = place;
            *end += 1;
        }
        buckets
    }

    /// The bucket of a hash: all places that have it, and some that have others.
    pub(crate) fn of(&self, hash: u64) -> &[u32] {
        self.bucket(self.number(hash))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.ends.len()).map(|number| self.bucket(number))
    }

    fn number(&self, hash: u64) -> usize {
        (hash >> 1 >> (u64::BITS - 1 - self.bits)) as usize
    }

    fn bucket(&self, number: usize) -> &[u32] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = self.ends.get(number).copied().unwrap_or(start);
        &self.places[start as usize..end as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_one_hash_are_in_one_bucket() {
        for count in [0_u32, 1, 7, 8, 1_000] {
            let hash = |place: u32| u64::from(place % 300).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let buckets = Buckets::new((0..count).map(|place| (hash(place), place + 5)));
            let mut all: Vec<u32> = buckets.iter().flatten().copied().collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(5..count + 5), "each once");
            for place in 0..count {
                let bucket = buckets.of(hash(place));
                let mut same = (0..count).filter(|other| hash(*other) == hash(place));
                assert!(same.all(|other| bucket.contains(&(other + 5))));
                assert!(bucket.len() < 60, "{}", bucket.len());
            }
        }
    }

    #[test]
    fn there_may_be_nothing() {
        assert!(Buckets::default().of(u64::MAX).is_empty());
        assert_eq!(Buckets::default().iter().count(), 0);
    }
}
