//! The client: connections that are kept, time-outs, a bound on answers, and an outcome for whatever happens.

use std::error::Error;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Method, Response};
use secrecy::ExposeSecret;
use serde::Deserialize;
use stripe_client_core::{
    CustomizedStripeRequest, RequestBuilder, RequestStrategy, StripeClient, StripeMethod, VERSION,
};
use tracing::warn;

use super::key::{Key, KeySource, is_for_tests};
use super::limits::{Breaker, BreakerState, TokenBucket};
use super::{StripeError, views};

/// A page of a hundred intents has about 300 KiB.
const MAX_ANSWER_BYTES: usize = 1 << 20;
const MAX_CONNECT_MS: u64 = 3_000;
/// Shorter than any load balancer keeps an idle connection, so that a request rarely meets one that is being closed.
const KEPT_IDLE_MS: u64 = 30_000;
/// A shopper waits; whoever would wait longer for a turn is told to come again.
const MAX_TURN_MS: u64 = 1_000;
/// What can wait gives up after that.
const MAX_PATIENCE_MS: u64 = 60_000;
const BREAKER_FAILURES: u32 = 8;
const BREAKER_REST_MS: u64 = 2_000;

pub struct Settings {
    /// `https://api.stripe.com`, or that of a Stripe for tests.
    pub base_url: String,
    pub secret_key: KeySource,
    /// From the start of a request to the end of its answer.
    pub timeout_ms: u64,
    pub requests_per_s: u32,
}

/// What requests came to.
#[derive(Debug, Default)]
pub struct Counters {
    pub requests: AtomicU64,
    pub rate_limited: AtomicU64,
    /// Not sent, forbidden, failed, or without an answer that can be used.
    pub failures: AtomicU64,
}

/// Clones share connections, limits and counters.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    is_patient: bool,
}

struct Shared {
    http: reqwest::Client,
    base_url: String,
    /// Whoever is on the way can read what is sent.
    is_readable: bool,
    key: Key,
    limits: Mutex<Limits>,
    counters: Counters,
}

struct Limits {
    bucket: TokenBucket,
    breaker: Breaker,
}

impl Client {
    /// # Errors
    /// When the URL is none, or TLS cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, StripeError> {
        let base_url = settings.base_url.trim_end_matches('/').to_owned();
        let url = url::Url::parse(&base_url).map_err(|error| StripeError::Settings(format!("{base_url}: {error}")))?;
        let is_readable = url.scheme() != "https";
        let timeout_ms = settings.timeout_ms.max(1);
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(MAX_CONNECT_MS.min(timeout_ms.div_ceil(2))))
            .timeout(Duration::from_millis(timeout_ms))
            .pool_idle_timeout(Duration::from_millis(KEPT_IDLE_MS))
            .redirect(Policy::none())
            // Of the environment only `config` reads: a proxy that is named there would be shown keys.
            .no_proxy()
            .user_agent(concat!("vitrine-checkout/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| StripeError::Settings(reason(&error)))?;
        let limits = Limits {
            bucket: TokenBucket::new(settings.requests_per_s, settings.requests_per_s),
            breaker: Breaker::new(BREAKER_FAILURES, Duration::from_millis(BREAKER_REST_MS)),
        };
        let key = Key::new(settings.secret_key);
        let (limits, counters) = (Mutex::new(limits), Counters::default());
        let shared = Shared { http, base_url, is_readable, key, limits, counters };
        Ok(Self { shared: Arc::new(shared), is_patient: false })
    }

    /// The same client for work that nobody waits for: it leaves half of the allowance to others.
    pub fn patient(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), is_patient: true }
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub fn breaker_state(&self) -> BreakerState {
        self.shared.limits().breaker.state()
    }

    /// The connections themselves, for others that are asked over HTTP.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.shared.http
    }

    /// Asks, and answers the bytes of a 2xx answer.
    pub(super) async fn ask(&self, request: RequestBuilder, key: Option<&str>) -> Result<Bytes, StripeError> {
        let outcome = match self.take_turn().await {
            Ok(()) => self.send_once(request, key).await,
            Err(error) => Err(error),
        };
        let counters = &self.shared.counters;
        match &outcome {
            Err(StripeError::RateLimited) => counters.rate_limited.fetch_add(1, Ordering::Relaxed),
            Err(
                StripeError::NotSent(_)
                | StripeError::Forbidden(_)
                | StripeError::Failed5xx { .. }
                | StripeError::Unknown(_),
            ) => counters.failures.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        outcome
    }

    async fn take_turn(&self) -> Result<(), StripeError> {
        let started = Instant::now();
        if self.is_patient {
            loop {
                let spare = self.shared.limits().bucket.take_spare(Instant::now());
                match spare {
                    Ok(()) => break,
                    Err(_) if started.elapsed() > Duration::from_millis(MAX_PATIENCE_MS) => {
                        return Err(StripeError::NotSent("others use all of the allowance".to_owned()));
                    }
                    Err(wait) => tokio::time::sleep(wait).await,
                }
            }
        } else {
            let wait = self.shared.limits().bucket.take(Duration::from_millis(MAX_TURN_MS), started);
            match wait {
                Some(wait) if wait.is_zero() => {}
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(StripeError::NotSent("our own allowance is used up".to_owned())),
            }
        }
        match self.shared.limits().breaker.admits(Instant::now()) {
            true => Ok(()),
            false => Err(StripeError::NotSent("it failed many times in a row and is left alone".to_owned())),
        }
    }

    /// Sends a request that has its turn, and tells the breaker what came of it.
    async fn send_once(&self, request: RequestBuilder, key: Option<&str>) -> Result<Bytes, StripeError> {
        self.shared.counters.requests.fetch_add(1, Ordering::Relaxed);
        let outcome = self.shared.exchange(request, key).await;
        let mut limits = self.shared.limits();
        match &outcome {
            // A failure that is replayed is an old one.
            Err(StripeError::NotSent(_) | StripeError::Unknown(_) | StripeError::Failed5xx { replayed: false, .. }) => {
                limits.breaker.failed(Instant::now());
                if limits.breaker.state() == BreakerState::Open {
                    warn!(stripe.breaker = "open", "Stripe failed many times in a row and is left alone for a while");
                }
            }
            _ => limits.breaker.succeeded(),
        }
        outcome
    }
}

impl StripeClient for Client {
    type Err = StripeError;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, StripeError> {
        let (request, settings) = request.into_pieces();
        let key = settings.request_strategy.as_ref().and_then(RequestStrategy::get_key);
        self.ask(request, key.as_ref().map(|key| key.as_str())).await
    }
}

impl Shared {
    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn exchange(&self, request: RequestBuilder, key: Option<&str>) -> Result<Bytes, StripeError> {
        let secret = self.key.read()?;
        // Looked at each time: a file may hold another key by now.
        if self.is_readable && !is_for_tests(secret.expose_secret()) {
            return Err(StripeError::NotSent("a key that is not for tests is only sent over https://".to_owned()));
        }
        let method = match request.method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let url = self.url(&request)?;
        let mut sent = self.http.request(method, url).bearer_auth(secret.expose_secret());
        sent = sent.header("Stripe-Version", VERSION.as_str());
        if let Some(key) = key {
            sent = sent.header("Idempotency-Key", key);
        }
        if let Some(body) = request.body {
            sent = sent.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(ordered(&body));
        }
        let response = sent.send().await.map_err(fault)?;
        let status = response.status().as_u16();
        let replayed = is_replayed(response.headers());
        let body = read_body(response).await;
        judge(&request.path, status, replayed, body)
    }

    fn url(&self, request: &RequestBuilder) -> Result<String, StripeError> {
        // Ids of Stripe's are part of paths; one of another form would ask for something else.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
        if !request.path.bytes().all(is_plain) {
            return Err(StripeError::NotSent("an id is none of Stripe's".to_owned()));
        }
        let query = request.query.as_deref().filter(|query| !query.is_empty());
        Ok(match query {
            Some(query) => format!("{}/v1{}?{query}", self.base_url, request.path),
            None => format!("{}/v1{}", self.base_url, request.path),
        })
    }
}

/// The parameters with all metadata last, in the order of their names: they come out of a hash map in any order, and a request
/// that is repeated under its key shall be the same to the byte.
fn ordered(body: &str) -> String {
    let (mut metadata, mut pairs): (Vec<_>, Vec<_>) = body.split('&').partition(|pair| pair.contains("metadata"));
    metadata.sort_unstable();
    pairs.append(&mut metadata);
    pairs.join("&")
}

fn is_replayed(headers: &HeaderMap) -> bool {
    headers.get("Idempotent-Replayed").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

async fn read_body(mut response: Response) -> Result<Bytes, StripeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(StripeError::Unknown(format!("the answer has more than {MAX_ANSWER_BYTES} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Bytes::from(body))
}

/// What an answer says about what was done. Where the status says it all, a body that was cut off does no harm.
fn judge(path: &str, status: u16, replayed: bool, body: Result<Bytes, StripeError>) -> Result<Bytes, StripeError> {
    match status {
        200..=299 => body,
        401 => Err(StripeError::NotSent(format!("{status}: our key is not taken"))),
        403 => Err(StripeError::Forbidden(path.to_owned())),
        429 => Err(StripeError::RateLimited),
        // 424: something that Stripe itself relies on failed.
        424 | 500..=599 => Err(StripeError::Failed5xx { status, replayed }),
        400..=499 => Err(refusal(status, &body?)),
        _ => Err(StripeError::Unknown(format!("status {status}"))),
    }
}

#[derive(Deserialize)]
struct Envelope {
    error: ErrorView,
}

#[derive(Deserialize)]
struct ErrorView {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
    param: Option<String>,
}

/// Stripe's own refusal; without its envelope, somebody between us and Stripe may have answered.
fn refusal(status: u16, body: &[u8]) -> StripeError {
    let Ok(Envelope { error }) = views::read(body) else {
        return StripeError::Unknown(format!("status {status} without Stripe's envelope"));
    };
    let code = error.code.unwrap_or_else(|| error.kind.clone());
    let message = error.message.unwrap_or_default();
    match (status, error.kind.as_str()) {
        (409, _) => StripeError::Busy { code },
        (_, "idempotency_error") => StripeError::KeyMisused { message },
        _ => StripeError::Refused { status, code, decline_code: error.decline_code, message, param: error.param },
    }
}

/// Without a connection nothing was sent. Of everything else, nobody knows how far it came.
fn fault(error: reqwest::Error) -> StripeError {
    let was_sent = !error.is_connect() && !error.is_builder();
    let text = reason(&error.without_url());
    if was_sent { StripeError::Unknown(text) } else { StripeError::NotSent(text) }
}

fn reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a text never fails.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
