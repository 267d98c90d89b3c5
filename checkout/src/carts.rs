//! Carts: in Redis where there is one, and else in the database. Redis is never relied on: without it there are no carts,
//! but everything that is paid goes on.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use snapshots::Hints;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::domain::Refusal;
use crate::ids::CartId;
use crate::store::{Cart, CartLine, Store, StoreError};

const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a Redis that failed is left alone: nobody waits for it meanwhile.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes a cart where the stored version is the one before. Redis runs it as one step.
///
/// KEYS[1] is the cart; ARGV are its version, its JSON and its life in milliseconds. Answers -1 where it was written, and
/// else the stored version, 0 for none.
const PUT: &str = r#"
local stored = redis.call('GET', KEYS[1])
local version = 0
if stored then version = cjson.decode(stored)['version'] end
if version ~= tonumber(ARGV[1]) - 1 then return version end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return -1
"#;

pub(crate) enum Carts {
    /// In the store of whoever asks.
    Store,
    Redis(Box<RedisCarts>),
}

pub(crate) struct RedisCarts {
    client: Client,
    config: AsyncConnectionConfig,
    link: Mutex<Link>,
}

/// The connection that all share, and when to try again where there is none.
#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    /// Which connection it is, so that a late failure does not take away its successor.
    number: u64,
    retry_at: Option<Instant>,
}

#[derive(Debug, Error)]
pub(crate) enum CartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("Redis does not answer: {0}")]
    Away(String),
    #[error("the cart {0} in Redis cannot be read")]
    Damaged(CartId),
}

impl Carts {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When the URL is none of a Redis.
    pub fn new(redis: Option<&SecretString>) -> Result<Self, String> {
        let Some(url) = redis else { return Ok(Self::Store) };
        // Says what is wrong with a URL, and chooses what TLS is made of.
        Hints::new(url).map_err(|error| error.to_string())?;
        let client = Client::open(url.expose_secret()).map_err(|error| error.to_string())?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        Ok(Self::Redis(Box::new(RedisCarts { client, config, link: Mutex::default() })))
    }

    pub async fn get(&self, store: &dyn Store, id: CartId, now_ms: i64) -> Result<Option<Cart>, CartError> {
        match self {
            Self::Store => Ok(store.cart(id, now_ms).await?),
            Self::Redis(redis) => redis.get(id).await,
        }
    }

    /// Writes a cart whose stored version is one less.
    ///
    /// # Errors
    /// `Refusal::{NotFound, VersionConflict}` among others.
    pub async fn put(&self, store: &dyn Store, cart: &Cart, now_ms: i64) -> Result<(), CartError> {
        match self {
            Self::Store => Ok(store.put_cart(cart).await?),
            Self::Redis(redis) => redis.put(cart, now_ms).await,
        }
    }

    /// False where there was none.
    pub async fn delete(&self, store: &dyn Store, id: CartId) -> Result<bool, CartError> {
        match self {
            Self::Store => Ok(store.delete_cart(id).await?),
            Self::Redis(redis) => {
                let mut command = redis::cmd("DEL");
                command.arg(key(id));
                redis.ask::<u64>(&command).await.map(|deleted| deleted > 0)
            }
        }
    }
}

impl RedisCarts {
    async fn get(&self, id: CartId) -> Result<Option<Cart>, CartError> {
        let mut command = redis::cmd("GET");
        command.arg(key(id));
        let text = self.ask::<Option<String>>(&command).await?;
        text.map(|text| from_json(id, &text).ok_or(CartError::Damaged(id))).transpose()
    }

    async fn put(&self, cart: &Cart, now_ms: i64) -> Result<(), CartError> {
        let life_ms = (cart.expires_ms - now_ms).max(1);
        let mut command = redis::cmd("EVAL");
        command.arg(PUT).arg(1).arg(key(cart.id)).arg(cart.version).arg(to_json(cart)).arg(life_ms);
        let refusal = match self.ask::<i64>(&command).await? {
            -1 => return Ok(()),
            0 => Refusal::NotFound("cart"),
            stored => Refusal::VersionConflict { current: u32::try_from(stored).unwrap_or(u32::MAX) },
        };
        Err(StoreError::from(refusal).into())
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, CartError> {
        let (number, mut connection) = self.connection().await?;
        match command.query_async(&mut connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.drop_connection(number).await;
                Err(CartError::Away(error.to_string()))
            }
        }
    }

    /// The connection that all share. Who finds none connects, and those who come meanwhile wait for the same; after a
    /// failure nobody waits for a while.
    async fn connection(&self) -> Result<(u64, MultiplexedConnection), CartError> {
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection {
            return Ok((link.number, connection.clone()));
        }
        if link.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(CartError::Away("it failed a moment ago".to_owned()));
        }
        let connecting = self.client.get_multiplexed_async_connection_with_config(&self.config);
        let fault = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => {
                link.number += 1;
                link.connection = Some(connection.clone());
                return Ok((link.number, connection));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it takes too long to connect".to_owned(),
        };
        link.retry_at = Some(Instant::now() + PAUSE);
        Err(CartError::Away(fault))
    }

    async fn drop_connection(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.number == number {
            link.connection = None;
            link.retry_at = Some(Instant::now() + PAUSE);
        }
    }
}

fn key(id: CartId) -> String {
    format!("vitrine:cart:{id}")
}

fn to_json(cart: &Cart) -> String {
    let line = |line: &CartLine| json!([line.product, line.quantity]);
    let lines: Vec<_> = cart.lines.iter().map(line).collect();
    json!({ "version": cart.version, "market": cart.market, "lines": lines, "expires_ms": cart.expires_ms }).to_string()
}

fn from_json(id: CartId, text: &str) -> Option<Cart> {
    let cart: Value = serde_json::from_str(text).ok()?;
    let line = |line: &Value| {
        let quantity = u32::try_from(line[1].as_u64()?).ok()?;
        Some(CartLine { product: line[0].as_str()?.to_owned(), quantity })
    };
    Some(Cart {
        id,
        version: u32::try_from(cart["version"].as_u64()?).ok()?,
        market: cart["market"].as_str()?.to_owned(),
        lines: cart["lines"].as_array()?.iter().map(line).collect::<Option<_>>()?,
        expires_ms: cart["expires_ms"].as_i64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_is_read_as_it_was_written() {
        let cart = Cart {
            id: CartId::new(),
            version: 3,
            market: "eu".into(),
            lines: vec![CartLine { product: "p\"1".into(), quantity: 2 }],
            expires_ms: 1_800_000_000_000,
        };
        assert_eq!(from_json(cart.id, &to_json(&cart)), Some(cart.clone()));
        assert_eq!(from_json(cart.id, "{}"), None);
    }
}
