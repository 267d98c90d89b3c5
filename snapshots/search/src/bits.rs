//! A set of documents, one bit each.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    pub(crate) fn none(doc_count: usize) -> Self {
        Self { words: vec![0; doc_count.div_ceil(64)] }
    }

    pub(crate) fn all(doc_count: usize) -> Self {
        let mut words = vec![u64::MAX; doc_count.div_ceil(64)];
        if let (Some(last), rest @ 1..) = (words.last_mut(), doc_count % 64) {
            *last = (1 << rest) - 1;
        }
        Self { words }
    }

    /// Adds a document; false where it was there already.
    #[inline]
    pub(crate) fn insert(&mut self, doc: u32) -> bool {
        let (word, bit) = (&mut self.words[doc as usize / 64], 1 << (doc % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(crate) fn remove(&mut self, doc: u32) {
        self.words[doc as usize / 64] &= !(1 << (doc % 64));
    }

    #[inline]
    pub(crate) fn contains(&self, doc: u32) -> bool {
        self.words[doc as usize / 64] >> (doc % 64) & 1 == 1
    }

    pub(crate) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many documents another set has as well.
    pub(crate) fn count_common(&self, other: &[u64]) -> usize {
        self.words.iter().zip(other).map(|(word, other)| (word & other).count_ones() as usize).sum()
    }

    /// The first document of the set from `doc` on.
    pub(crate) fn next_from(&self, doc: u32) -> Option<u32> {
        let mut place = doc as usize / 64;
        let mut word = self.words.get(place)? & (u64::MAX << (doc % 64));
        while word == 0 {
            place += 1;
            word = *self.words.get(place)?;
        }
        Some(place as u32 * 64 + word.trailing_zeros())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + Clone {
        let words = self.words.iter().enumerate();
        words.flat_map(|(place, word)| ones(*word).map(move |bit| (place * 64 + bit) as u32))
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn intersect(&mut self, other: &[u64]) {
        self.words.iter_mut().zip(other).for_each(|(word, other)| *word &= other);
    }

    pub(crate) fn unite(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }
}

/// The places of the bits that are set, rising.
#[inline]
pub(crate) fn ones(word: impl Into<u64>) -> impl Iterator<Item = usize> + Clone {
    let mut left = word.into();
    std::iter::from_fn(move || {
        let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(bit)
    })
}

/// All words of a query of so many, as bits.
#[inline]
pub(crate) fn every_word(count: usize) -> u32 {
    u32::MAX.checked_shr(u32::BITS - count as u32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_documents() {
        let mut bits = Bits::none(130);
        for doc in [0, 63, 64, 129] {
            bits.insert(doc);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!((bits.next_from(1), bits.next_from(65), bits.next_from(130)), (Some(63), Some(129), None));
        let mut rest = Bits::all(130);
        rest.subtract(&bits);
        assert_eq!((bits.count(), rest.count()), (4, 126));
        rest.unite(&bits);
        assert_eq!(rest, Bits::all(130));
        rest.intersect(bits.words());
        assert_eq!(rest, bits);
    }
}
