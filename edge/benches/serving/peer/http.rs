//! Servers that are asked over HTTP.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::shop::Question;
use super::{Session, Target};
use crate::client::{Answer, Connection};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// So much of an answer is told where it is an error without a message.
const TOLD_LETTERS: usize = 200;

/// A server, and the header that shows it the key.
pub struct Http {
    address: SocketAddr,
    header: Option<(&'static str, String)>,
    key_variable: &'static str,
}

impl Http {
    /// # Errors
    /// When the URL is none, or nothing listens there.
    pub fn open(url: &str, header: Option<(&'static str, String)>, key_variable: &'static str) -> Result<Self> {
        Ok(Self { address: reachable(url)?, header, key_variable })
    }

    pub fn local_port(&self) -> Option<u16> {
        self.address.ip().is_loopback().then_some(self.address.port())
    }

    pub fn target(
        &self,
        path: impl Fn(&Question) -> String + Send + Sync + 'static,
        found: &'static str,
    ) -> Box<dyn Target> {
        Box::new(HttpTarget { address: self.address, header: self.header.clone(), path: Arc::new(path), found })
    }

    /// Asks on a connection of its own; what is missing is an answer, too.
    ///
    /// # Errors
    /// When the key or the request is refused: with the server's message.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(self.header.iter().map(|(name, value)| (*name, value.as_str())));
        let asked = || Connection::connect(self.address)?.send(method, path, &headers, body.as_bytes());
        let answer = asked().with_context(|| format!("{method} {path} of {}", self.address))?;
        match answer.status {
            200..=299 | 404 => Ok(answer),
            401 | 403 => {
                bail!("{} refuses the key: {}; give it as {}", self.address, message(&answer), self.key_variable)
            }
            status => bail!("{method} {path} of {}: {status}: {}", self.address, message(&answer)),
        }
    }

    /// The same for what must be there.
    ///
    /// # Errors
    /// As [`Http::call`], and when it is missing, or is no JSON.
    pub fn call_json(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let answer = self.call(method, path, body)?;
        ensure!(answer.status != 404, "{method} {path} of {}: {}", self.address, message(&answer));
        serde_json::from_slice(&answer.body).with_context(|| format!("{method} {path} of {}", self.address))
    }
}

/// The server's own words.
fn message(answer: &Answer) -> String {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match json["message"].as_str() {
        Some(message) => message.to_owned(),
        None => answer.text().chars().take(TOLD_LETTERS).collect(),
    }
}

/// Where a URL leads, once a connection was accepted there.
fn reachable(url: &str) -> Result<SocketAddr> {
    let place = url.strip_prefix("http://").map(|place| place.trim_end_matches('/'));
    let place = place.ok_or_else(|| anyhow!("URL: '{url}' does not begin with http://, and TLS is not measured"))?;
    let addresses = place.to_socket_addrs().with_context(|| format!("URL: '{url}' leads to no http://HOST:PORT"))?;
    let mut fault = anyhow!("URL: '{url}' has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(_) => return Ok(address),
            Err(error) => fault = anyhow!("nothing answers at {url} ({address}): {error}"),
        }
    }
    Err(fault)
}

/// A text as it stands in a query string.
pub fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// How a server is searched.
#[derive(Clone)]
pub struct HttpTarget {
    pub address: SocketAddr,
    pub header: Option<(&'static str, String)>,
    /// The path and query that a question is asked by.
    pub path: Arc<dyn Fn(&Question) -> String + Send + Sync>,
    /// The member of an answer that says how many products there are.
    pub found: &'static str,
}

struct HttpSession {
    connection: Connection,
    target: HttpTarget,
}

impl Target for HttpTarget {
    fn connect(&self) -> Result<Box<dyn Session>> {
        let connection = Connection::connect(self.address).with_context(|| format!("no answer at {}", self.address))?;
        Ok(Box::new(HttpSession { connection, target: self.clone() }))
    }
}

impl HttpSession {
    fn answer(&mut self, question: &Question) -> Result<Answer> {
        let path = (self.target.path)(question);
        let header = self.target.header.as_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = self.connection.send("GET", &path, header.as_slice(), b"").with_context(|| path.clone())?;
        ensure!(answer.status == 200, "{path}: {}: {}", answer.status, message(&answer));
        Ok(answer)
    }
}

impl Session for HttpSession {
    fn ask(&mut self, question: &Question) -> Result<()> {
        self.answer(question).map(drop)
    }

    fn count(&mut self, question: &Question) -> Result<u64> {
        let answer: Value = serde_json::from_slice(&self.answer(question)?.body)?;
        let found = self.target.found;
        answer[found].as_u64().with_context(|| format!("an answer says nothing of '{found}'"))
    }
}
