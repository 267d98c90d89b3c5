//! The servers that tests need, real ones where there are any: installed where they are missing, started on a free port
//! of the loopback in a folder of their own, ended with the test. A machine that cannot run one fails the test.

mod authority;
mod azurite;
mod install;
mod port;
mod postgres;
mod process;
pub mod processes;
mod proxy;
mod python;
mod redis;
mod tcp_proxy;
mod token_server;

pub use azurite::{ACCOUNT, Azurite, SECOND_ACCOUNT};
pub use port::HeldPort;
pub use postgres::Postgres;
pub use proxy::{Moment, Outcome, Passing, Proxy};
pub use python::python_with;
pub use redis::Redis;
pub use tcp_proxy::{Direction, TcpProxy};
pub use token_server::{TokenKind, TokenServer};

/// Names and values as the environment has them.
pub type Settings = Vec<(String, String)>;

pub(crate) fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
