//! Watching what a node is to serve: conditional reads at a steady pace with jitter, slower while the store is away.
//!
//! A channel says what is served; a canary says otherwise for the nodes that it names, and a pin for a whole region.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::channel::{ChannelName, Pointer, RegionName};
use crate::error::Error;
use crate::store::{PointerName, PointerState, PointerVersion, Store};

const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// What a node follows, and is thereby to serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub pointer: Pointer,
    #[serde(default)]
    pub followed: Followed,
}

/// Which pointer it is that a node follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Followed {
    #[default]
    Channel,
    Canary,
    Pin,
}

/// Where a node stands, as far as pins and canaries go.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The region whose pin is heeded, and by which a canary knows the node.
    pub region: Option<RegionName>,
    /// The node's name there.
    pub node: Option<String>,
}

/// Follows what one node is to serve from one store.
pub struct Watcher {
    store: Store,
    place: Place,
    interval: Duration,
    channel: Seen,
    canary: Option<Seen>,
    pin: Option<Seen>,
    /// Failed polls in a row.
    failures: u32,
    random: u64,
}

/// A pointer as it was read last.
struct Seen {
    name: PointerName,
    known: Option<(PointerVersion, Pointer)>,
    /// The highest sequence that was ever seen: a copy of a pointer can be behind.
    highest: u64,
    /// When what was seen last was announced.
    announced_at: Option<Timestamp>,
}

impl Seen {
    fn new(name: PointerName) -> Self {
        Self { name, known: None, highest: 0, announced_at: None }
    }

    async fn poll(&mut self, store: &Store) -> Result<Option<&Pointer>, Error> {
        let version = self.known.as_ref().map(|(version, _)| version);
        match store.read_pointer(self.name.clone(), version).await? {
            PointerState::Unchanged => {}
            PointerState::Missing => self.known = None,
            PointerState::Moved(read) => {
                let sequence = read.pointer.sequence;
                if sequence < self.highest && !self.is_another_pin(&read.pointer) {
                    return Err(Error::Older { announced: sequence, seen: self.highest });
                }
                self.highest = sequence;
                self.announced_at = Some(read.pointer.announced_at);
                self.known = Some((read.version().clone(), read.pointer));
            }
        }
        Ok(self.known.as_ref().map(|(_, pointer)| pointer))
    }

    /// Whether this is no older copy, but a pin that was lifted and set again: it begins with the first sequence anew, and
    /// at a later time.
    fn is_another_pin(&self, pointer: &Pointer) -> bool {
        matches!(self.name, PointerName::Pin(_)) && self.announced_at.is_some_and(|seen| pointer.announced_at > seen)
    }
}

impl Watcher {
    pub fn new(store: Store, channel: ChannelName, place: Place, interval: Duration) -> Self {
        // Nodes that start together must not poll together; the address of a fresh allocation is random enough.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), channel.as_str());
        let canary = place.node.as_ref().filter(|_| channel == ChannelName::live());
        Self {
            store,
            interval,
            channel: Seen::new(PointerName::from(&channel)),
            canary: canary.map(|_| Seen::new(PointerName::from(&ChannelName::canary()))),
            pin: place.region.as_ref().map(|region| Seen::new(PointerName::from(region))),
            place,
            failures: 0,
            random: seed | 1,
        }
    }

    /// Takes note of what was served before this process began: nothing older than that is followed.
    pub fn remember(&mut self, served: &Target) {
        if served.followed == Followed::Channel {
            self.channel.highest = self.channel.highest.max(served.pointer.sequence);
        }
    }

    /// Asks what is to be served now; None where nothing was ever announced.
    ///
    /// # Errors
    /// When the store fails, or a pointer is damaged, not trusted, or older than one that was seen; the next pause is
    /// then longer.
    pub async fn poll(&mut self) -> Result<Option<Target>, Error> {
        let target = self.ask().await;
        self.failures = if target.is_ok() { 0 } else { self.failures.saturating_add(1) };
        target
    }

    async fn ask(&mut self) -> Result<Option<Target>, Error> {
        if let Some(pin) = &mut self.pin
            && let Some(pointer) = pin.poll(&self.store).await?
        {
            return Ok(Some(Target { pointer: pointer.clone(), followed: Followed::Pin }));
        }
        if let (Some(canary), Some(node)) = (&mut self.canary, &self.place.node)
            && let Some(pointer) = readable(canary.poll(&self.store).await)?
            && pointer.is_canary_of(self.place.region.as_ref(), node, Timestamp::now())
        {
            return Ok(Some(Target { pointer: pointer.clone(), followed: Followed::Canary }));
        }
        let pointer = self.channel.poll(&self.store).await?;
        Ok(pointer.map(|pointer| Target { pointer: pointer.clone(), followed: Followed::Channel }))
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

/// A canary that cannot be read is tried by nobody, and keeps no node from its channel: after keys were changed, what is
/// left of the last one is signed with the old key. Where the store does not answer, nothing is known.
fn readable(canary: Result<Option<&Pointer>, Error>) -> Result<Option<&Pointer>, Error> {
    match canary {
        Err(Error::Untrusted { .. } | Error::Corrupt { .. } | Error::Older { .. }) => Ok(None),
        read => read,
    }
}
