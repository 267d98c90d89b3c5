//! Hints that a channel moved, from Redis and from the store's events: they wake the markets' followers, and what only
//! this node was told is passed on.
//!
//! What talks to Redis has a thread of its own, so that no thread that serves waits for a name, a handshake or the
//! system's certificates. Without Redis, and while it is away, polling does the work.

use std::io;
use std::sync::Arc;

use snapshots::{ChannelName, Heard, Hint, HintError, Hints};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::follow::MarketState;
use crate::metrics::Metrics;

/// Hears of announcements, and passes them on.
pub struct Hearing {
    followers: Followers,
    redis: Option<Redis>,
}

/// Whom a hint may concern.
#[derive(Clone)]
struct Followers {
    markets: Vec<Arc<MarketState>>,
    channel: ChannelName,
    metrics: Arc<Metrics>,
}

/// A Redis, and the thread that talks to it.
struct Redis {
    hints: Hints,
    thread: Handle,
    /// The thread ends with this.
    _running: oneshot::Sender<()>,
}

impl Hearing {
    /// Nothing connects before [`Hearing::listen`].
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(config: &Config, markets: &[Arc<MarketState>], metrics: &Arc<Metrics>) -> io::Result<Self> {
        let followers =
            Followers { markets: markets.to_vec(), channel: config.channel.clone(), metrics: metrics.clone() };
        Ok(Self { followers, redis: config.redis.clone().map(Redis::start).transpose()? })
    }

    /// Listens to Redis, where there is one, for as long as this lives.
    pub fn listen(&self) {
        let Some(redis) = &self.redis else { return };
        let hints = redis.hints.clone();
        let mut listener = Listener { followers: self.followers.clone(), is_away: false, has_warned: false };
        redis.thread.spawn(async move { hints.listen(|heard| listener.take(heard)).await });
    }

    /// Takes what an event told this node alone: wakes its own followers first, and then tells those of other nodes.
    ///
    /// # Errors
    /// When there is a Redis, and it did not take it.
    pub async fn pass_on(&self, hints: Vec<Hint>) -> Result<(), HintError> {
        for hint in &hints {
            self.followers.metrics.hinted("event");
            self.followers.wake(hint);
        }
        let Some(redis) = &self.redis else { return Ok(()) };
        for hint in hints {
            redis.announce(hint).await?;
        }
        Ok(())
    }
}

impl Redis {
    fn start(hints: Hints) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = runtime.handle().clone();
        let (running, ended) = oneshot::channel::<()>();
        // What is spawned on the handle runs while the thread waits here.
        let run = move || {
            let _ = runtime.block_on(ended);
        };
        std::thread::Builder::new().name("hints".into()).spawn(run)?;
        Ok(Self { hints, thread, _running: running })
    }

    async fn announce(&self, hint: Hint) -> Result<(), HintError> {
        let hints = self.hints.clone();
        let announced = self.thread.spawn(async move { hints.announce(&hint).await });
        announced.await.unwrap_or(Err(HintError::Closed))
    }
}

impl Followers {
    fn wake(&self, hint: &Hint) {
        if hint.channel != self.channel {
            return;
        }
        for market in &self.markets {
            // A market that serves nothing yet may be any.
            let serves = |name: &str| market.live.load().is_none_or(|live| live.index.catalogue().name == name);
            if hint.catalogue.as_deref().is_none_or(serves) {
                market.hint();
            }
        }
    }

    fn wake_all(&self) {
        self.markets.iter().for_each(|market| market.hint());
    }
}

/// Takes what Redis brings, and tells of it no more often than it changes.
struct Listener {
    followers: Followers,
    is_away: bool,
    has_warned: bool,
}

impl Listener {
    fn take(&mut self, heard: Heard) {
        let metrics = &self.followers.metrics;
        match heard {
            Heard::Connected => {
                metrics.redis_connected.set(1);
                self.is_away = false;
                info!("Redis is connected: announcements are heard at once");
                self.followers.wake_all();
            }
            Heard::Hint(hint) => {
                metrics.hinted("redis");
                debug!(hint.channel = %hint.channel, hint.sequence = ?hint.sequence, "a hint");
                self.followers.wake(&hint);
            }
            Heard::Ignored(fault) => {
                metrics.hinted("invalid");
                if !std::mem::replace(&mut self.has_warned, true) {
                    warn!("what is published to Redis is passed over: {fault}");
                }
            }
            Heard::Lost(fault) => {
                metrics.redis_connected.set(0);
                if !std::mem::replace(&mut self.is_away, true) {
                    warn!("Redis is away, announcements are seen by polling: {fault}");
                }
            }
        }
    }
}
