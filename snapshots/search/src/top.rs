//! Keeping the best of many documents without sorting them all.

use snapshots::{ABSENT, LiveSegment, SortOrder};

use crate::index::Index;

/// A document that may become a hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// Less is better: the level, then what sorts, turned round, then the document. Documents of a segment stand in
    /// static-rank order, so that their number breaks ties.
    order: u128,
    /// The words that the document has, as bits.
    pub(crate) has: u32,
    /// The score of its text, and the shares of it that rules and its type add.
    pub(crate) text: f32,
    pub(crate) boost: f32,
    pub(crate) type_share: f32,
}

const LEVEL_SHIFT: u32 = 96;
const KEY_SHIFT: u32 = 32;

impl Candidate {
    /// A candidate at a level, 0 the best, by a key of which the greater is the better.
    pub(crate) fn new(level: u8, key: u64, doc: u32) -> Self {
        let order = u128::from(level) << LEVEL_SHIFT | u128::from(!key) << KEY_SHIFT | u128::from(doc);
        Self { order, has: 0, text: 0.0, boost: 0.0, type_share: 0.0 }
    }

    pub(crate) fn level(&self) -> u8 {
        (self.order >> LEVEL_SHIFT) as u8
    }

    pub(crate) fn key(&self) -> u64 {
        !((self.order >> KEY_SHIFT) as u64)
    }

    pub(crate) fn doc(&self) -> u32 {
        self.order as u32
    }

    pub(crate) fn with_key(self, key: u64) -> Self {
        Self { order: Self::new(self.level(), key, self.doc()).order, ..self }
    }

    /// What its text and the rules make of it.
    pub(crate) fn text_score(&self) -> f32 {
        self.text * (1.0 + self.boost)
    }

    /// Its order among all, the document's number apart.
    pub(crate) fn level_and_key(&self) -> u128 {
        self.order >> KEY_SHIFT
    }
}

/// The key of a score: positive floats order like their bits.
pub(crate) fn score_key(score: f32) -> u64 {
    u64::from(score.max(0.0).to_bits())
}

/// The score behind a key.
pub(crate) fn key_score(key: u64) -> f32 {
    f32::from_bits(key as u32)
}

/// The key of a column's value; what is absent comes last in either order.
pub(crate) fn sort_key(value: i64, order: SortOrder) -> u64 {
    let rising = (value as u64) ^ (1 << 63);
    match order {
        _ if value == ABSENT => 0,
        SortOrder::Descending => rising,
        SortOrder::Ascending => !rising,
    }
}

/// The keys of documents in a sort order of the catalogue; all the same where there is none.
pub(crate) struct SortKeys<'a> {
    order: SortOrder,
    /// The column of each segment.
    columns: Vec<&'a [i64]>,
}

impl<'a> SortKeys<'a> {
    pub(crate) fn new(index: &'a Index, sort: Option<usize>) -> Self {
        let Some(sort) = sort.map(|sort| &index.catalogue().sorts[sort]) else {
            return Self { order: SortOrder::Descending, columns: Vec::new() };
        };
        let column = |part: &'a LiveSegment| part.segment.number(&sort.by).unwrap_or(&[]);
        Self { order: sort.order, columns: index.segments().iter().map(column).collect() }
    }

    #[inline]
    pub(crate) fn of(&self, segment: usize, doc: u32) -> u64 {
        self.columns.get(segment).map_or(0, |column| sort_key(column[doc as usize], self.order))
    }
}

/// The best `limit` candidates of one segment.
pub(crate) struct Top {
    limit: usize,
    kept: Vec<Candidate>,
    /// What the next candidate must be better than.
    worst: u128,
}

impl Top {
    pub(crate) fn new(limit: usize) -> Self {
        let worst = if limit == 0 { 0 } else { u128::MAX };
        Self { limit, kept: Vec::with_capacity((2 * limit).min(512)), worst }
    }

    /// Whether a candidate at a level may be among the best.
    #[inline]
    pub(crate) fn admits(&self, level: u8) -> bool {
        u128::from(level) << LEVEL_SHIFT < self.worst
    }

    #[inline]
    pub(crate) fn push(&mut self, candidate: Candidate) {
        if candidate.order >= self.worst {
            return;
        }
        self.kept.push(candidate);
        if self.kept.len() == 2 * self.limit {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        self.kept.select_nth_unstable_by_key(self.limit - 1, |kept| kept.order);
        self.kept.truncate(self.limit);
        self.worst = self.kept[self.limit - 1].order;
    }

    /// The best, in no order.
    pub(crate) fn into_best(mut self) -> Vec<Candidate> {
        if self.kept.len() > self.limit {
            self.shrink();
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept() {
        let mut top = Top::new(3);
        for doc in 0..100_u32 {
            let key = u64::from(doc * 37 % 50);
            top.push(Candidate::new(u8::from(doc % 2 == 1), key, doc));
        }
        assert!(top.admits(0) && !top.admits(1));
        let mut best: Vec<_> = top.into_best().iter().map(|best| (best.level(), best.key(), best.doc())).collect();
        best.sort_unstable();
        assert_eq!(best, [(0, 46, 8), (0, 48, 4), (0, 48, 54)]);
    }

    #[test]
    fn keys_order_like_values() {
        let falling = |values: &[i64], order| values.windows(2).all(|v| sort_key(v[0], order) > sort_key(v[1], order));
        assert!(falling(&[9, 1, 0, -1, -9, ABSENT], SortOrder::Descending));
        assert!(falling(&[-9, -1, 0, 1, 9, ABSENT], SortOrder::Ascending));
        assert!(score_key(2.5) > score_key(2.25) && score_key(0.5) > score_key(0.0));
    }
}
