//! Another search server that the user runs, loaded with the shop's products and asked what the edge is asked.

pub mod drive;
mod http;
mod meilisearch;
mod ours;
mod postgres;
pub mod shop;
mod typesense;

use std::str::FromStr;

use anyhow::{Result, bail};

pub use ours::edge_target;
use shop::{Question, Shop};

/// What the index or the table is called: nobody else's, so that one that is there is replaced.
const INDEX: &str = "vitrine_bench";

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Meilisearch,
    Typesense,
    Postgres,
}

/// A peer that answers.
pub trait Peer {
    fn version(&self) -> &str;

    /// The port that it listens on, where that is one of this machine's.
    fn local_port(&self) -> Option<u16>;

    /// Takes away the index, should there be one.
    ///
    /// # Errors
    /// As [`Peer::load`].
    fn remove(&self) -> Result<()>;

    /// Makes an index of the shop's products, and waits until all of them are found.
    ///
    /// # Errors
    /// When it cannot be asked, or refuses: in its own words.
    fn load(&self, shop: &Shop) -> Result<()>;

    /// How it is asked, once it is loaded.
    fn target(&self, shop: &Shop) -> Box<dyn Target>;
}

/// A server that answers questions.
pub trait Target {
    /// # Errors
    /// When it accepts no connection.
    fn connect(&self) -> Result<Box<dyn Session>>;
}

/// A connection, over which one question is asked after the other.
pub trait Session: Send {
    /// Asks, and reads all of the answer.
    ///
    /// # Errors
    /// When the answer is none.
    fn ask(&mut self, question: &Question) -> Result<()>;

    /// Asks, and reads how many products are found.
    ///
    /// # Errors
    /// As [`Session::ask`].
    fn count(&mut self, question: &Question) -> Result<u64>;
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Meilisearch => "meilisearch",
            Self::Typesense => "typesense",
            Self::Postgres => "postgres",
        }
    }

    /// The variable with the key. PostgreSQL takes a password with the URL, or as libpq does.
    pub fn key_variable(self) -> Option<&'static str> {
        match self {
            Self::Meilisearch => Some(meilisearch::KEY_VARIABLE),
            Self::Typesense => Some(typesense::KEY_VARIABLE),
            Self::Postgres => None,
        }
    }

    /// # Errors
    /// When nothing answers there, or the key or the password is refused.
    pub fn open(self, url: &str, key: &str) -> Result<Box<dyn Peer>> {
        match self {
            Self::Meilisearch => Ok(Box::new(meilisearch::Meilisearch::open(url, key)?)),
            Self::Typesense => Ok(Box::new(typesense::Typesense::open(url, key)?)),
            Self::Postgres => Ok(Box::new(postgres::Postgres::open(url)?)),
        }
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Meilisearch, Self::Typesense, Self::Postgres];
        match all.into_iter().find(|kind| kind.name() == text) {
            Some(kind) => Ok(kind),
            None => bail!("KIND: '{text}' is none of {}", all.map(Self::name).join(", ")),
        }
    }
}
