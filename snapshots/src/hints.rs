//! Hints: a word through Redis that a channel moved, so that edges need not wait for their next poll.
//!
//! A hint is never relied on, since Redis forgets what nobody hears; and never believed, since all it does is make
//! whoever hears it ask the store.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use futures::StreamExt;
use redis::aio::PubSub;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, RedisError};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;

use crate::channel::ChannelName;

/// What Redis calls the channel that hints go through.
const REDIS_CHANNEL: &str = "vitrine:announced";
/// A longer message is no hint.
const MAX_HINT_BYTES: usize = 4 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that is silent for this long is asked whether it lives: one that was cut on the way tells nothing, and
/// balancers cut those that are idle for minutes.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long to wait before connecting again: doubled each time, from the first to the second.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// A Redis that hints go through. Cheap to clone; no connection is kept.
#[derive(Clone, Debug)]
pub struct Hints {
    client: Client,
}

/// A channel moved, somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The catalogue's name, where it is known: markets of others then need not ask. Every region's store has the same.
    pub catalogue: Option<String>,
    pub channel: ChannelName,
    /// The new sequence, for people who look on.
    pub sequence: Option<u64>,
}

/// What someone who listens is told.
#[derive(Debug)]
pub enum Heard {
    /// Hints are heard from now on. What was announced before was not heard, so this is as good as a hint for every
    /// channel.
    Connected,
    Hint(Hint),
    /// Something was published that is no hint.
    Ignored(HintError),
    /// Nothing is heard until the next [`Heard::Connected`].
    Lost(HintError),
}

#[derive(Debug, Error)]
pub enum HintError {
    #[error("this is no URL of a Redis, such as redis://host:6379 or rediss://:password@host:6380: {0}")]
    Url(#[source] RedisError),
    #[error("'#insecure' is refused: a server whose certificate is not checked may be anyone's")]
    Insecure,
    #[error("Redis does not answer as it should: {0}")]
    Redis(#[source] RedisError),
    #[error("Redis does not answer in time")]
    Timeout,
    #[error("the connection to Redis has ended")]
    Closed,
    #[error("a message is no hint: {0}")]
    Malformed(String),
}

impl Hints {
    /// Takes `redis://` or, for TLS, `rediss://`. No connection is made yet.
    ///
    /// # Errors
    /// When the URL is none of Redis, or wants certificates to go unchecked.
    pub fn new(url: &SecretString) -> Result<Self, HintError> {
        let client = Client::open(url.expose_secret()).map_err(HintError::Url)?;
        match client.get_connection_info().addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(HintError::Insecure),
            ConnectionAddr::TcpTls { .. } => {
                // The client takes the process's default, and panics where two could be it because some dependency
                // brought another one along. One that was chosen already stays.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            }
            _ => {}
        }
        Ok(Self { client })
    }

    /// Publishes a hint, over a connection of its own: announcements are minutes apart. Takes 4 seconds at the most.
    ///
    /// # Errors
    /// When Redis cannot be reached, or refuses.
    pub async fn announce(&self, hint: &Hint) -> Result<(), HintError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connected.map_err(HintError::Redis)?;
        let published = redis::cmd("PUBLISH").arg(REDIS_CHANNEL).arg(hint.to_json()).exec_async(&mut connection).await;
        published.map_err(HintError::Redis)
    }

    /// Listens for ever, and connects again whenever the connection is lost, after a pause of 1 to 30 seconds. `tell`
    /// must not block.
    ///
    /// Connecting reads the system's certificates, which takes milliseconds: a thread that serves is no place for it.
    pub async fn listen(&self, mut tell: impl FnMut(Heard) + Send) {
        let mut pause = MIN_PAUSE;
        loop {
            let fault = match self.subscribe().await {
                Ok(subscription) => {
                    tell(Heard::Connected);
                    let since = Instant::now();
                    let fault = hear(subscription, &mut tell).await;
                    // A server that takes connections and drops them is left alone ever longer, too.
                    if since.elapsed() > MAX_PAUSE {
                        pause = MIN_PAUSE;
                    }
                    fault
                }
                Err(fault) => fault,
            };
            tell(Heard::Lost(fault));
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn subscribe(&self) -> Result<PubSub, HintError> {
        let subscribing = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(REDIS_CHANNEL).await?;
            Ok::<PubSub, RedisError>(subscription)
        };
        let subscribed = timeout(CONNECT_TIMEOUT, subscribing).await.map_err(|_| HintError::Timeout)?;
        subscribed.map_err(HintError::Redis)
    }
}

/// Passes on what is published, until the connection ends; returns why it did.
async fn hear(subscription: PubSub, tell: &mut (impl FnMut(Heard) + Send)) -> HintError {
    let (mut requests, mut messages) = subscription.split();
    loop {
        match timeout(PING_INTERVAL, messages.next()).await {
            Ok(Some(message)) => match Hint::from_json(message.get_payload_bytes()) {
                Ok(hint) => tell(Heard::Hint(hint)),
                Err(fault) => tell(Heard::Ignored(fault)),
            },
            Ok(None) => return HintError::Closed,
            Err(_) => match timeout(ANSWER_TIMEOUT, requests.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(fault)) => return HintError::Redis(fault),
                Err(_) => return HintError::Timeout,
            },
        }
    }
}

/// From half of a pause to all of it, so that nodes that lost Redis together do not come back together.
fn jittered(pause: Duration) -> Duration {
    // Every state has keys of its own.
    let random = RandomState::new().hash_one(pause);
    pause.mul_f64(0.5 + 0.5 * (random % 1000) as f64 / 1000.0)
}

/// A hint as it is published. Fields that are not known here are passed over: a newer publisher may send more.
#[derive(Deserialize)]
struct Message {
    catalogue: Option<String>,
    channel: String,
    sequence: Option<u64>,
}

impl Hint {
    /// # Errors
    /// When the bytes are too many, or no hint.
    fn from_json(bytes: &[u8]) -> Result<Self, HintError> {
        if bytes.len() > MAX_HINT_BYTES {
            return Err(HintError::Malformed(format!("it is larger than {MAX_HINT_BYTES} bytes")));
        }
        let message = serde_json::from_slice::<Message>(bytes);
        let message = message.map_err(|error| HintError::Malformed(error.to_string()))?;
        let channel = message.channel.parse::<ChannelName>();
        let channel = channel.map_err(|error| HintError::Malformed(error.to_string()))?;
        Ok(Self { catalogue: message.catalogue, channel, sequence: message.sequence })
    }

    fn to_json(&self) -> String {
        let (catalogue, channel, sequence) = (&self.catalogue, self.channel.as_str(), self.sequence);
        serde_json::json!({ "catalogue": catalogue, "channel": channel, "sequence": sequence }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Hints, HintError> {
        Hints::new(&url.into())
    }

    #[test]
    fn hints_are_small_json() {
        let hint = Hint { catalogue: Some("shop-us".into()), channel: ChannelName::live(), sequence: Some(7) };
        assert_eq!(hint.to_json(), r#"{"catalogue":"shop-us","channel":"live","sequence":7}"#);
        assert_eq!(Hint::from_json(hint.to_json().as_bytes()).expect("a hint"), hint);
        let bare = Hint { catalogue: None, channel: ChannelName::live(), sequence: None };
        assert_eq!(Hint::from_json(bare.to_json().as_bytes()).expect("a hint"), bare);
        let newer = br#"{"channel": "live", "region": "eu"}"#;
        assert_eq!(Hint::from_json(newer).expect("a newer publisher's hint"), bare);
    }

    #[test]
    fn what_is_no_hint_is_refused() {
        let check = |bytes: &[u8], reason: &str| {
            let told = Hint::from_json(bytes).expect_err("no hint").to_string();
            assert!(told.contains(reason), "{told}");
        };
        check(b"", "EOF");
        check(b"live", "expected");
        check(b"{}", "channel");
        check(br#"{"channel": "../live"}"#, "a-z");
        check(br#"{"channel": "live", "sequence": -1}"#, "-1");
        check(&[b' '; MAX_HINT_BYTES + 1], "larger than 4096 bytes");
    }

    #[test]
    fn urls_are_checked_before_anything_connects() {
        for url in ["redis://127.0.0.1:6379", "rediss://:secret@cache.example:6380/0", "redis://user:pass@host"] {
            assert!(open(url).is_ok(), "{url}");
        }
        for url in ["", "cache.example:6380", "http://127.0.0.1", "redis://host/shop", "redis://0.0.0.0"] {
            assert!(matches!(open(url), Err(HintError::Url(_))), "{url}");
        }
        assert!(matches!(open("rediss://host:6380/#insecure"), Err(HintError::Insecure)));
    }

    #[test]
    fn passwords_are_not_shown() {
        let hints = open("rediss://:hunter2@cache.example:6380").expect("a URL");
        assert!(!format!("{hints:?}").contains("hunter2"));
        let fault = open("redis://:hunter2@host:port").expect_err("no port");
        assert!(!format!("{fault} {fault:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_told() {
        // Nothing listens on port 1.
        let hints = open("redis://127.0.0.1:1").expect("a URL");
        let hint = Hint { catalogue: None, channel: ChannelName::live(), sequence: None };
        assert!(matches!(hints.announce(&hint).await, Err(HintError::Redis(_))));
    }

    #[test]
    fn pauses_are_spread() {
        let pauses: Vec<Duration> = (0..100).map(|_| jittered(MAX_PAUSE)).collect();
        assert!(pauses.iter().all(|pause| (MAX_PAUSE / 2..=MAX_PAUSE).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
