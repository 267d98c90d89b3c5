//! Ids that we make ourselves, before the transaction that writes them: a transaction whose acknowledgement was lost can be
//! run again and finds its own rows.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::{Builder, Uuid};

pub type CheckoutId = Id<CheckoutKind>;
pub type OrderId = Id<OrderKind>;
pub type PaymentId = Id<PaymentKind>;
pub type RefundId = Id<RefundKind>;
pub type CartId = Id<CartKind>;
pub type OutboxId = Id<OutboxKind>;

/// What an id is of, which its first letters say.
pub trait Kind {
    const PREFIX: &'static str;
}

#[derive(Clone, Copy, Debug)]
pub enum CheckoutKind {}
#[derive(Clone, Copy, Debug)]
pub enum OrderKind {}
#[derive(Clone, Copy, Debug)]
pub enum PaymentKind {}
#[derive(Clone, Copy, Debug)]
pub enum RefundKind {}
#[derive(Clone, Copy, Debug)]
pub enum CartKind {}
#[derive(Clone, Copy, Debug)]
pub enum OutboxKind {}

impl Kind for CheckoutKind {
    const PREFIX: &'static str = "chk_";
}
impl Kind for OrderKind {
    const PREFIX: &'static str = "ord_";
}
impl Kind for PaymentKind {
    const PREFIX: &'static str = "pay_";
}
impl Kind for RefundKind {
    const PREFIX: &'static str = "ref_";
}
impl Kind for CartKind {
    const PREFIX: &'static str = "crt_";
}
impl Kind for OutboxKind {
    const PREFIX: &'static str = "evn_";
}

/// Of a UUID of version 7, below its milliseconds.
const RANDOM_BITS: u32 = 80;

/// A prefix and 32 hexadecimal digits. Ids of one kind sort by the time that they were made at.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

#[derive(Debug, Error)]
#[error("'{text}' is no id such as {prefix}0192f0c0a1b27c3d8e4f5a6b7c8d9e0f")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

impl<K> Id<K> {
    /// A new id, which nobody else has.
    pub fn new() -> Self {
        Self(Uuid::now_v7(), PhantomData)
    }

    /// The id that follows from a name that is unique by itself, at a moment that it sorts by.
    pub fn named(name: &str, at_ms: i64) -> Self {
        let mut digest = [0; 10];
        digest.copy_from_slice(&Sha256::digest(name.as_bytes())[..10]);
        let at_ms = u64::try_from(at_ms).unwrap_or_default();
        Self(Builder::from_unix_timestamp_millis(at_ms, &digest).into_uuid(), PhantomData)
    }

    /// An id that none has, below all that are made from a moment on.
    pub fn least(at_ms: i64) -> Self {
        let at_ms = u128::try_from(at_ms).unwrap_or_default();
        Self(Uuid::from_u128(at_ms << RANDOM_BITS), PhantomData)
    }

    /// The id that follows from another one: whoever derives it twice gets the same.
    pub fn like<L>(other: Id<L>) -> Self {
        Self(other.0, PhantomData)
    }
}

impl<K> Default for Id<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fault = || IdError { text: text.chars().take(64).collect(), prefix: K::PREFIX };
        let digits = text.strip_prefix(K::PREFIX).ok_or_else(fault)?;
        // Uuid reads other forms too, and two texts of one id would be two keys.
        let is_simple = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match is_simple {
            true => Ok(Self(Uuid::parse_str(digits).map_err(|_| fault())?, PhantomData)),
            false => Err(fault()),
        }
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", K::PREFIX, self.0.as_simple())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> serde::Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_as_it_is_written_and_nothing_else_does() {
        let id = OrderId::new();
        assert_eq!(id.to_string().parse::<OrderId>().expect("an id"), id);
        let upper = id.to_string().to_uppercase();
        for text in
            ["", "ord_", "pay_0192f0c0a1b27c3d8e4f5a6b7c8d9e0f", "ord_0192f0c0-a1b2-7c3d-8e4f-5a6b7c8d9e0f", &upper]
        {
            assert!(text.parse::<OrderId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_makes_one_id_at_one_moment() {
        let id = RefundId::named("re_1", 1_700_000_000_000);
        assert_eq!(id, RefundId::named("re_1", 1_700_000_000_000));
        assert_ne!(id, RefundId::named("re_2", 1_700_000_000_000));
        assert!(id < RefundId::named("re_0", 1_700_000_000_001));
        assert_eq!(id.to_string().parse::<RefundId>().expect("an id"), id);
    }

    #[test]
    fn the_least_id_is_below_all_of_its_moment() {
        let at_ms = 1_700_000_000_000;
        let (least, text) = (OutboxId::least(at_ms), OutboxId::least(at_ms).to_string());
        for name in ["a", "b", "c"] {
            let (before, id) = (OutboxId::named(name, at_ms - 1), OutboxId::named(name, at_ms));
            assert!(before < least && least < id);
            assert!(before.to_string() < text && text < id.to_string());
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let ids: Vec<_> = (0..100).map(|_| OrderId::new()).collect();
        assert!(ids.is_sorted());
    }
}
