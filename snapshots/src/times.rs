//! How long requests took, told in so few numbers that a node's status stays small.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many requests there were, by the microseconds that they took at the most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Times(BTreeMap<u64, u64>);

impl FromIterator<(u64, u64)> for Times {
    /// Of microseconds and counts, without those that nothing took.
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(counts: I) -> Self {
        Self(counts.into_iter().filter(|(_, count)| *count > 0).collect())
    }
}

impl Times {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn merge(&mut self, other: &Self) {
        for (micros, count) in &other.0 {
            let sum = self.0.entry(*micros).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// What came since earlier counts of the same node.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |micros| earlier.0.get(micros).copied().unwrap_or(0);
        self.0.iter().map(|(micros, count)| (*micros, count.saturating_sub(before(micros)))).collect()
    }

    /// 99 of 100 took no longer; 0 where there were none.
    pub fn p99_us(&self) -> u64 {
        let all: u128 = self.0.values().map(|count| u128::from(*count)).sum();
        let mut passed = 0;
        let mut counts = self.0.iter();
        let found = counts.find(|(_, count)| {
            passed += u128::from(**count);
            passed * 100 >= all * 99
        });
        found.map_or(0, |(micros, _)| *micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_a_percentile_of_its_own() {
        // Nothing was cached yet when the node began.
        let earlier = Times::from_iter([(900, 500), (70_000, 500)]);
        let now = Times::from_iter([(900, 1_490), (70_000, 510)]);
        assert_eq!(now.p99_us(), 70_000);
        let window = now.since(&earlier);
        assert_eq!((window.p99_us(), window), (900, Times::from_iter([(900, 990), (70_000, 10)])));
        assert!(now.since(&now).is_empty());
        assert_eq!(Times::default().p99_us(), 0);
    }

    #[test]
    fn several_nodes_are_one() {
        let mut times = Times::from_iter([(900, 98)]);
        times.merge(&Times::from_iter([(900, 1), (5_000, 1)]));
        assert_eq!((times.p99_us(), &times), (900, &Times::from_iter([(900, 99), (5_000, 1)])));
        times.merge(&Times::from_iter([(5_000, 1)]));
        assert_eq!(times.p99_us(), 5_000);
        let json = serde_json::to_string(&times).expect("JSON");
        assert_eq!(json, r#"{"900":99,"5000":2}"#);
        assert_eq!(serde_json::from_str::<Times>(&json).expect("times"), times);
    }
}
