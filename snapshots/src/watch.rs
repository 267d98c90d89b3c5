//! Watching a channel: conditional reads at a steady pace with jitter, slower while the store is away.

use std::time::Duration;

use crate::channel::ChannelName;
use crate::error::Error;
use crate::store::{PointerState, PointerVersion, ReadPointer, Store};

const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Follows one channel's pointer.
pub struct Watcher {
    store: Store,
    channel: ChannelName,
    interval: Duration,
    known: Option<PointerVersion>,
    /// Failed polls in a row.
    failures: u32,
    random: u64,
}

impl Watcher {
    pub fn new(store: Store, channel: ChannelName, interval: Duration) -> Self {
        // Nodes that start together must not poll together; the address of a fresh allocation is random enough.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), channel.as_str());
        Self { store, channel, interval, known: None, failures: 0, random: seed | 1 }
    }

    /// Asks once whether the pointer moved since [`Watcher::accept`].
    ///
    /// # Errors
    /// When the store fails or the pointer is damaged; the next pause is then longer.
    pub async fn poll(&mut self) -> Result<PointerState, Error> {
        let state = self.store.read_pointer(&self.channel, self.known.as_ref()).await;
        self.failures = if state.is_ok() { 0 } else { self.failures.saturating_add(1) };
        state
    }

    /// Takes note that this version is dealt with; until then, polling returns it again.
    pub fn accept(&mut self, pointer: &ReadPointer) {
        self.known = Some(pointer.version().clone());
    }

    /// How long to wait before the next poll: the interval give or take a fifth, doubled for each failure in a row.
    pub fn pause(&mut self) -> Duration {
        // xorshift64: jitter needs no better randomness.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let jitter = 0.8 + 0.4 * (self.random % 1000) as f64 / 1000.0;
        let backoff = self.interval.saturating_mul(1 << self.failures.min(6));
        backoff.min(MAX_BACKOFF.max(self.interval)).mul_f64(jitter)
    }
}
