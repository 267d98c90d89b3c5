//! A plain client of the simulator, and what tests start with.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::redirect::Policy;
use serde_json::Value;
use stripe_sim::{Settings, Sim};
use tokio::net::TcpListener;

/// How long a test waits for something that must happen. Long, since a test machine may be slow; waiting ends as soon
/// as it happens.
pub const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "sk_test_of_tests";

/// A simulator and a client of it.
pub struct Rig {
    pub sim: Sim,
    pub api: Api,
}

#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    pub url: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub async fn start_with(settings: Settings) -> Self {
        let sim = Sim::start(settings, listener().await);
        let api = Api::new(sim.url());
        Self { sim, api }
    }
}

impl Api {
    pub fn new(url: String) -> Self {
        // A connection of its own for each request, since many of them are cut.
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0).redirect(Policy::none()).no_proxy();
        Self { http: builder.timeout(PATIENCE).build().expect("a client"), url }
    }

    /// Calls the API.
    pub async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.try_post(path, pairs, None).await.expect("an answer")
    }

    pub async fn post_with_key(&self, key: &str, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.try_post(path, pairs, Some(key)).await.expect("an answer")
    }

    /// The same where there may be no answer.
    pub async fn try_post(&self, path: &str, pairs: &[(&str, &str)], key: Option<&str>) -> reqwest::Result<Answer> {
        let mut request = self.http.post(format!("{}{path}", self.url)).bearer_auth(KEY).body(encoded(pairs));
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        read(request.send().await?).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_as(KEY, path).await
    }

    pub async fn get_as(&self, key: &str, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(key);
        read(request.send().await.expect("an answer")).await.expect("a body")
    }

    /// Posts as a browser does: a form, and no key.
    pub async fn browse(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url)).body(encoded(pairs));
        read(request.send().await.expect("an answer")).await.expect("a body")
    }

    /// Tells the simulator what is to happen.
    pub async fn tell(&self, path: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url)).body(body.to_string());
        read(request.send().await.expect("an answer")).await.expect("a body")
    }

    /// An intent of 10 euros that a card pays, or is to pay.
    pub async fn intent(&self, more: &[(&str, &str)]) -> Answer {
        let base = [("amount", "1000"), ("currency", "eur"), ("payment_method_types[]", "card")];
        self.post("/v1/payment_intents", &[&base, more].concat()).await
    }

    /// The same, paid at once with this payment method.
    pub async fn paid(&self, method: &str) -> Answer {
        self.intent(&[("payment_method", method), ("confirm", "true")]).await
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The object of an answer that must be a success.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// The error of an answer that must be one.
    pub fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()["error"].take()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

/// The id of an object.
pub fn id(object: &Value) -> String {
    object["id"].as_str().expect("an id").to_owned()
}

pub async fn wait_until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !done().await {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn read(response: reqwest::Response) -> reqwest::Result<Answer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await?;
    Ok(Answer { status, headers, text: String::from_utf8_lossy(&body).into_owned() })
}
