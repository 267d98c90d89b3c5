//! A client as a shop has it: it knows that an answer may not come.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

/// A process that was killed answers nothing; whoever waits longer than this waits in vain.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the processes listen; None for one that is down.
#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<Vec<Option<SocketAddr>>>>);

impl Places {
    pub fn get(&self, slot: usize) -> Option<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(slot).copied().flatten()
    }

    pub fn set(&self, slot: usize, address: Option<SocketAddr>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() <= slot {
            places.resize(slot + 1, None);
        }
        places[slot] = address;
    }

    pub fn up(&self) -> Vec<SocketAddr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().flatten().collect()
    }
}

/// Talks to one of the processes.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    places: Places,
    slot: usize,
}

/// What is asked for, which can be asked again.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub text: String,
    /// Null where the text is no JSON.
    pub body: Value,
    /// It is the stored answer to an earlier request of the same key.
    pub is_replayed: bool,
    pub retry_after_s: Option<u64>,
}

/// No answer came: what was done is not known.
#[derive(Debug)]
pub struct Lost(pub String);

impl Client {
    pub fn new(places: Places) -> Self {
        Self { http: http(ANSWER_TIMEOUT), places, slot: 0 }
    }

    /// The same client at another process.
    pub fn at(&self, slot: usize) -> Self {
        Self { slot, ..self.clone() }
    }

    /// Asks once.
    pub async fn send(&self, request: &Request) -> Result<Reply, Lost> {
        let address = self.places.get(self.slot).ok_or_else(|| Lost("the process is down".to_owned()))?;
        let url = format!("http://{address}{}", request.path);
        let mut asked = self.http.request(request.method.clone(), url).body(request.body.clone());
        for (name, value) in &request.headers {
            asked = asked.header(*name, value);
        }
        let answer = asked.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let is_replayed = header(&answer, "idempotent-replayed").as_deref() == Some("true");
        let retry_after_s = header(&answer, "retry-after").and_then(|text| text.parse().ok());
        let bytes = answer.bytes().await.map_err(lost)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status, text, body, is_replayed, retry_after_s })
    }

    /// Asks once, where an answer must come.
    pub async fn ask(&self, request: &Request) -> Reply {
        self.send(request).await.unwrap_or_else(|lost| panic!("{} {}: {}", request.method, request.path, lost.0))
    }
}

impl Request {
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    /// With an `Idempotency-Key`.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.headers.push(("idempotency-key", key.into()));
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        self.headers.push(("authorization", format!("Bearer {token}")));
        self
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.headers.push(("content-type", "application/json".to_owned()));
        self
    }

    /// Bytes that may be no JSON.
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.headers.push(("content-type", "application/json".to_owned()));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The stable name of a problem; empty where it is none.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Whether the same request may be answered otherwise later.
    pub fn is_to_be_asked_again(&self) -> bool {
        self.status >= 500 || self.status == 429 || self.code() == "idempotency_key_in_flight"
    }
}

/// A client that asks whom it is told to, whatever the environment says of proxies.
pub fn http(timeout: Duration) -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(timeout).build().expect("a client")
}

fn header(answer: &reqwest::Response, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}

fn lost(error: reqwest::Error) -> Lost {
    Lost(format!("{error:?}"))
}
