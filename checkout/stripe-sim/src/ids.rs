//! Ids that look as Stripe's do, unique within and between runs.

use std::hash::{BuildHasher, RandomState};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// How many digits of base 62 hold any number of 64 bits.
const DIGITS_PER_NUMBER: usize = 11;

/// Makes ids of a counter and a seed that each process draws at random.
pub(crate) struct Ids {
    seed: u64,
    made: u64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { seed: RandomState::new().hash_one("ids"), made: 0 }
    }

    /// A new id that begins with `prefix`.
    pub(crate) fn make(&mut self, prefix: &str) -> String {
        self.made += 1;
        // Mixing maps different numbers to different numbers, so that no two ids of a process are the same.
        let first = mixed(self.seed.wrapping_add(self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let second = mixed(first ^ 0x5851_f42d_4c95_7f2d);
        let mut id = String::with_capacity(prefix.len() + 2 * DIGITS_PER_NUMBER);
        id.push_str(prefix);
        push_digits(&mut id, first);
        push_digits(&mut id, second);
        id
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): a bijection that scatters bits. Also shuffles by a seed.
pub(crate) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// An order of `items` that only the seed decides.
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    for place in (1..items.len()).rev() {
        let other = mixed(seed.wrapping_add(place as u64)) % (place as u64 + 1);
        items.swap(place, other as usize);
    }
}

fn push_digits(id: &mut String, mut number: u64) {
    for _ in 0..DIGITS_PER_NUMBER {
        id.push(DIGITS[(number % 62) as usize] as char);
        number /= 62;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat() {
        let mut ids = Ids::new();
        let made: HashSet<String> = (0..10_000).map(|_| ids.make("pi_")).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|id| id.len() == 25 && id.starts_with("pi_")));
        assert_ne!(Ids::new().make(""), Ids::new().make(""), "two processes begin alike");
    }

    #[test]
    fn a_shuffle_keeps_all_and_repeats_by_its_seed() {
        let shuffled = |seed| {
            let mut items: Vec<u32> = (0..20).collect();
            shuffle(&mut items, seed);
            items
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..20).collect::<Vec<u32>>());
    }
}
