//! PostgreSQL and Redis as the tests share them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use test_servers::{Postgres, Redis};

use super::process::signal;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

static SHARED: Mutex<Weak<Mutex<Postgres>>> = Mutex::new(Weak::new());

/// A PostgreSQL that a test may take away, or one that it shares with others and may not.
pub type Server = Arc<Mutex<Postgres>>;

/// The cluster that the tests at work share. It ends with the last of them: nothing would end one that is kept for good.
pub fn shared_postgres() -> Server {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let started = own_postgres();
        *shared = Arc::downgrade(&started);
        started
    })
}

/// One that the test may take away.
pub fn own_postgres() -> Server {
    Arc::new(Mutex::new(Postgres::start()))
}

/// Stops a Redis where it stands, as one that hangs: connections stay open and nothing is answered.
pub struct Stopped {
    process: u32,
}

impl Stopped {
    pub fn stop(redis: &Redis) -> Self {
        let process = process_of(redis);
        signal(process, "STOP");
        Self { process }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.process, "CONT");
    }
}

/// Host and port of a URL.
pub fn address_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split_once('/').map_or(rest, |(rest, _)| rest);
    rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)
}

/// Redis tells its own process id.
fn process_of(redis: &Redis) -> u32 {
    let mut stream = TcpStream::connect(address_of(&redis.url())).expect("a connection");
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("a timeout");
    stream.write_all(b"INFO server\r\n").expect("a question");
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let told = lines.take(100).find_map(|line| line.trim().strip_prefix("process_id:")?.parse().ok());
    told.expect("the process id of Redis")
}
