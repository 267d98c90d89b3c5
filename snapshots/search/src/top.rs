//! Keeping the best of many documents without sorting them all.

use snapshots::{ABSENT, SortOrder};

use crate::rank::ScoreParts;

/// A document that may become a hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// 0 is the best tier.
    pub(crate) tier: u8,
    /// Greater is better.
    pub(crate) key: u64,
    pub(crate) doc: u32,
    /// The words that the document has, as bits.
    pub(crate) has: u32,
    /// The score of its text, and the share of it that rules add.
    pub(crate) text: f32,
    pub(crate) boost: f32,
    pub(crate) parts: ScoreParts,
}

impl Candidate {
    /// A document that is only counted.
    pub(crate) fn of(doc: u32) -> Self {
        Self { tier: u8::MAX, key: 0, doc, has: 0, text: 0.0, boost: 0.0, parts: ScoreParts::default() }
    }

    /// Better first. Documents of a segment stand in static-rank order, so the number breaks ties.
    fn order(&self) -> (u8, std::cmp::Reverse<u64>, u32) {
        (self.tier, std::cmp::Reverse(self.key), self.doc)
    }
}

/// The key of a score: positive floats order like their bits.
pub(crate) fn score_key(score: f32) -> u64 {
    u64::from(score.max(0.0).to_bits())
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

/// The best `limit` candidates of one segment, whose documents must come in rising order.
pub(crate) struct Top {
    limit: usize,
    kept: Vec<Candidate>,
    /// What the next candidate must beat, once there are enough.
    worst: Option<(u8, u64)>,
}

impl Top {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, kept: Vec::with_capacity((2 * limit).min(256)), worst: None }
    }

    #[inline]
    pub(crate) fn push(&mut self, candidate: Candidate) {
        if let Some((tier, key)) = self.worst
            && (candidate.tier > tier || (candidate.tier == tier && candidate.key <= key))
        {
            return;
        }
        if self.limit == 0 {
            return;
        }
        self.kept.push(candidate);
        if self.kept.len() == 2 * self.limit {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.kept.select_nth_unstable_by_key(self.limit - 1, Candidate::order);
        self.kept.truncate(self.limit);
        self.worst = Some((self.kept[self.limit - 1].tier, self.kept[self.limit - 1].key));
    }

    /// The best, in order.
    pub(crate) fn into_sorted(mut self) -> Vec<Candidate> {
        self.kept.sort_unstable_by_key(Candidate::order);
        self.kept.truncate(self.limit);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_order() {
        let mut top = Top::new(3);
        for doc in 0..100_u32 {
            let key = u64::from(doc * 37 % 50);
            top.push(Candidate { tier: u8::from(doc % 2 == 1), key, ..Candidate::of(doc) });
        }
        let best: Vec<_> = top.into_sorted().iter().map(|best| (best.tier, best.key, best.doc)).collect();
        assert_eq!(best, [(0, 48, 4), (0, 48, 54), (0, 46, 8)]);
    }

    #[test]
    fn keys_order_like_values() {
        let falling = |values: &[i64], order| values.windows(2).all(|v| sort_key(v[0], order) > sort_key(v[1], order));
        assert!(falling(&[9, 1, 0, -1, -9, ABSENT], SortOrder::Descending));
        assert!(falling(&[-9, -1, 0, 1, 9, ABSENT], SortOrder::Ascending));
        assert!(score_key(2.5) > score_key(2.25) && score_key(0.5) > score_key(0.0));
    }
}
