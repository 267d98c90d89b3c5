//! Who is told of events: it remembers what it took, and refuses what it was told to refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;

use super::serving::Served;

pub const KEY: &str = "a-key-of-event-grid";

/// An event as it came. The same may come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub id: String,
    pub kind: String,
    pub subject: String,
    pub version: u64,
}

#[derive(Default)]
struct Inner {
    taken: Vec<Taken>,
    /// The status for everything whose subject has this text in it.
    refused: Vec<(String, u16)>,
    /// How many requests are refused yet, whatever they hold.
    hiccups: u32,
    refusals: u64,
    faults: Vec<String>,
}

pub struct Subscriber {
    served: Served,
    inner: Arc<Mutex<Inner>>,
}

impl Subscriber {
    pub async fn start() -> Self {
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let router = Router::new().route("/api/events", post(take)).with_state(inner.clone());
        Self { served: Served::start(router).await, inner }
    }

    pub fn url(&self) -> String {
        format!("{}/api/events", self.served.url())
    }

    /// Answers every request with this status that holds an event whose subject has this text in it.
    pub fn refuse(&self, subject: &str, status: u16) {
        lock(&self.inner).refused.push((subject.to_owned(), status));
    }

    /// Answers the next requests with 500.
    pub fn hiccup(&self, times: u32) {
        lock(&self.inner).hiccups += times;
    }

    /// Takes everything again.
    pub fn heal(&self) {
        let mut inner = lock(&self.inner);
        inner.refused.clear();
        inner.hiccups = 0;
    }

    pub fn refusals(&self) -> u64 {
        lock(&self.inner).refusals
    }

    /// What was taken, in the order that it came in.
    pub fn taken(&self) -> Vec<Taken> {
        lock(&self.inner).taken.clone()
    }

    /// The kinds of an order's events as they came first.
    pub fn kinds_of(&self, order: &str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let of_order = self.taken().into_iter().filter(|event| event.subject.ends_with(order));
        of_order.filter(|event| seen.insert(event.version)).map(|event| event.kind).collect()
    }

    /// What came that was no event, and events that came before one of the same subject that is older.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = lock(&self.inner).faults.clone();
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        for event in self.taken() {
            let newest = newest.entry(event.subject.clone()).or_default();
            if event.version > *newest + 1 {
                faults.push(format!("events come in order: {event:?} came when {newest} was the newest"));
            }
            *newest = event.version.max(*newest);
        }
        faults
    }
}

async fn take(State(inner): State<Arc<Mutex<Inner>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut inner = lock(&inner);
    if headers.get("aeg-sas-key").and_then(|key| key.to_str().ok()) != Some(KEY) {
        inner.faults.push("no key, or another one".to_owned());
        return StatusCode::UNAUTHORIZED;
    }
    let events = match serde_json::from_slice(&body) {
        Ok(Value::Array(events)) => events,
        Ok(event @ Value::Object(_)) => vec![event],
        _ => {
            inner.faults.push(String::from_utf8_lossy(&body).into_owned());
            return StatusCode::BAD_REQUEST;
        }
    };
    let events: Option<Vec<Taken>> = events.iter().map(read).collect();
    let Some(events) = events else {
        inner.faults.push(String::from_utf8_lossy(&body).into_owned());
        return StatusCode::BAD_REQUEST;
    };
    let hit = |text: &str| events.iter().any(|event| event.subject.contains(text));
    let refused = inner.refused.iter().find(|(text, _)| hit(text)).map(|(_, status)| *status);
    let refused = match (refused, inner.hiccups) {
        (None, 0) => None,
        (None, _) => {
            inner.hiccups -= 1;
            Some(500)
        }
        (refused, _) => refused,
    };
    if let Some(status) = refused {
        inner.refusals += 1;
        return StatusCode::from_u16(status).expect("a status");
    }
    inner.taken.extend(events);
    StatusCode::OK
}

/// An event of CloudEvents 1.0, where it is one.
fn read(event: &Value) -> Option<Taken> {
    let text = |name: &str| event[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let is_one = event["specversion"] == "1.0" && text("source").is_some() && text("time").is_some();
    is_one.then_some(())?;
    let version = event["data"]["version"].as_u64()?;
    Some(Taken { id: text("id")?, kind: text("type")?, subject: text("subject")?, version })
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
