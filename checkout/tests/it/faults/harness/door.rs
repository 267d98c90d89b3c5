//! What stands before the processes for Stripe's webhooks: an address that stays while processes come and go. It keeps
//! copies, so that a test can deliver what was captured once more, late, or in another order.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::client::{Client, Places, Request, http};
use super::serving::Served;

pub const PATH: &str = "/checkout/webhooks/stripe";
pub const SECRET: &str = "whsec_of_the_tests";
/// Copies that are kept.
const MAX_KEPT: usize = 10_000;
/// Stripe itself waits longer; a process that was killed should not hold up the test.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

/// A webhook as Stripe sent it.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub signature: String,
    pub body: Vec<u8>,
}

struct Inner {
    places: Places,
    http: reqwest::Client,
    turn: AtomicUsize,
    is_open: AtomicBool,
    kept: Mutex<Vec<Webhook>>,
}

pub struct Door {
    served: Served,
    inner: Arc<Inner>,
}

impl Door {
    pub async fn start(places: Places) -> Self {
        let inner = Arc::new(Inner {
            places,
            http: http(FORWARD_TIMEOUT),
            turn: AtomicUsize::new(0),
            is_open: AtomicBool::new(true),
            kept: Mutex::default(),
        });
        let router = Router::new().route(PATH, post(pass)).with_state(inner.clone());
        Self { served: Served::start(router).await, inner }
    }

    pub fn url(&self) -> String {
        format!("{}{PATH}", self.served.url())
    }

    /// Acknowledges everything from now on, keeps it, and passes nothing on.
    pub fn close(&self) {
        self.inner.is_open.store(false, Ordering::SeqCst);
    }

    /// Passes webhooks on from now on. What was kept stays here.
    pub fn open(&self) {
        self.inner.is_open.store(true, Ordering::SeqCst);
    }

    /// What came and has this text in it, in the order that it came in.
    pub fn kept(&self, text: &str) -> Vec<Webhook> {
        let kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().filter(|webhook| String::from_utf8_lossy(&webhook.body).contains(text)).cloned().collect()
    }
}

impl Webhook {
    /// One that carries this body, signed at a moment with a secret.
    pub fn signed(body: Vec<u8>, secret: &str, at_s: i64) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
        mac.update(format!("{at_s}.").as_bytes());
        mac.update(&body);
        let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { signature: format!("t={at_s},v1={digits}"), body }
    }

    /// The same event, as Stripe sends it when it could not deliver it for so long.
    pub fn late(&self, by_s: i64) -> Self {
        let mut event: Value = serde_json::from_slice(&self.body).expect("an event");
        let created = event["created"].as_i64().expect("a time");
        event["created"] = Value::from(created - by_s);
        Self::signed(event.to_string().into_bytes(), SECRET, now_s())
    }

    pub fn id(&self) -> String {
        self.text("id")
    }

    pub fn kind(&self) -> String {
        self.text("type")
    }

    pub fn request(&self) -> Request {
        Request::post(PATH).bytes(self.body.clone()).header("stripe-signature", self.signature.clone())
    }

    /// Delivers it, and says with what status that was answered.
    pub async fn deliver(&self, client: &Client) -> u16 {
        client.ask(&self.request()).await.status
    }

    fn text(&self, name: &str) -> String {
        let event: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        event[name].as_str().unwrap_or_default().to_owned()
    }
}

pub fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64)
}

async fn pass(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let webhook = Webhook { signature: signature.to_owned(), body: body.to_vec() };
    {
        let mut kept = inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(webhook.clone());
        }
    }
    if !inner.is_open.load(Ordering::SeqCst) {
        return StatusCode::OK;
    }
    let up = inner.places.up();
    if up.is_empty() {
        return StatusCode::BAD_GATEWAY;
    }
    let address = up[inner.turn.fetch_add(1, Ordering::Relaxed) % up.len()];
    let passed = inner.http.post(format!("http://{address}{PATH}"));
    let passed = passed.header("content-type", "application/json").header("stripe-signature", webhook.signature);
    match passed.body(webhook.body).send().await {
        Ok(answer) => answer.status(),
        Err(_) => StatusCode::BAD_GATEWAY,
    }
}
