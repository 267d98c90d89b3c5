//! A whole service in this process, and what is asked of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use checkout::config::{Config, Database, Stripe};
use checkout::store::StoreSettings;
use checkout::stripe::KeySource;
use checkout::tokens::NewToken;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::documented;
use super::edge::FakeEdge;

/// How long a test waits for something that must happen. Long, since a test machine may be slow; waiting ends as soon as
/// it happens.
const PATIENCE: Duration = Duration::from_secs(60);
pub const WEBHOOK_SECRET: &str = "whsec_tests";
/// Nobody listens there: a Stripe that is down.
const NOBODY: &str = "http://127.0.0.1:9";

pub struct Shop {
    pub edge: FakeEdge,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub folder: TempDir,
    /// A token of the staff's.
    pub staff: String,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

pub struct Ask {
    request: reqwest::RequestBuilder,
    method: String,
    path: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Shop {
    /// Opens a shop with the products p1 (49.90) and p2 (1.00), ten of each.
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let staff = NewToken::staff().expect("a token");
        let line = format!("anna {}\n", staff.hash().to_hex());
        std::fs::write(folder.path().join("staff"), line).expect("the staff's file");
        let (edge, edge_address) = FakeEdge::start().await;
        let mut config = Config {
            database: Database::Embedded { folder: folder.path().join("data"), settings: StoreSettings::default() },
            stripe: Stripe {
                api_url: NOBODY.to_owned(),
                secret_key: KeySource::Fixed("sk_test_tests".into()),
                requests_per_s: 1_000,
                timeout_ms: 5_000,
            },
            webhook_secrets: vec![WEBHOOK_SECRET.into()],
            publishable_key: Some("pk_test_tests".to_owned()),
            redis_url: None,
            events: None,
            edge_url: format!("http://{edge_address}").parse().expect("a URL"),
            staff_tokens: Some(folder.path().join("staff")),
            hold_ms: 900_000,
            cart_ttl_ms: 900_000,
            keep_abandoned_ms: 7_776_000_000,
            reconcile_at: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            cors_origins: vec!["https://shop.example".to_owned()],
            return_origins: vec!["https://shop.example".to_owned()],
            max_in_flight: 256,
            max_connections: 1_000,
            drain: Duration::ZERO,
        };
        change(&mut config);
        let service = checkout::build(config).await.expect("a service");
        let addresses = service.addresses().expect("its addresses");
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(service.serve(async move {
            let _ = stopped.await;
        }));
        let shop = Self {
            edge,
            public: addresses.public,
            admin: addresses.admin,
            folder,
            staff: staff.text().to_owned(),
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            stop: Some(stop),
            serving,
        };
        shop.edge.publish("p1", 4_990);
        shop.edge.publish("p2", 100);
        shop.set_stock("p1", 10).await;
        shop.set_stock("p2", 10).await;
        shop
    }

    pub fn database_file(&self) -> PathBuf {
        self.folder.path().join("data/checkout.sqlite3")
    }

    /// Keys and answers as whoever has nothing but the database reads them.
    pub async fn kept_answers(&self) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.database_file()).read_only(true);
        let mut connection = options.connect().await.expect("the database");
        let rows =
            sqlx::query_as::<_, (String, Vec<u8>)>("SELECT key, body FROM idempotency_keys WHERE body IS NOT NULL");
        let rows = rows.fetch_all(&mut connection).await.expect("the keys");
        rows.into_iter().map(|(key, body)| format!("{key} {}", String::from_utf8_lossy(&body))).collect()
    }

    /// Leaves a request to this path as whoever had it leaves it who ends before the answer.
    pub async fn take_answer_back(&self, path: &str) {
        let options = SqliteConnectOptions::new().filename(self.database_file());
        let mut connection = options.connect().await.expect("the database");
        let taken = sqlx::query(
            "UPDATE idempotency_keys SET status = NULL, body = NULL, lease_until_ms = 0 WHERE endpoint = 'POST ' || ?1",
        );
        let taken = taken.bind(path).execute(&mut connection).await.expect("the key");
        assert_eq!(taken.rows_affected(), 1);
    }

    pub fn ask(&self, method: &str, path: &str) -> Ask {
        let request = self.client.request(method.parse().expect("a method"), format!("http://{}{path}", self.public));
        Ask { request, method: method.to_owned(), path: path.to_owned() }
    }

    pub async fn admin(&self, path: &str) -> Answer {
        let request = self.client.get(format!("http://{}{path}", self.admin));
        Ask { request, method: "GET".to_owned(), path: path.to_owned() }.send().await
    }

    pub async fn set_stock(&self, product: &str, count: i64) {
        let body = json!({ "set": count, "reason": "tests" });
        let answer =
            self.ask("PUT", &format!("/checkout/v1/stock/{product}")).token(&self.staff).json(&body).send().await;
        answer.expect(200);
    }

    pub async fn available(&self, product: &str) -> i64 {
        let answer = self.ask("GET", &format!("/checkout/v1/stock/{product}")).token(&self.staff).send().await;
        answer.expect(200)["stock"]["available"].as_i64().expect("a number")
    }

    /// Begins a checkout of so many of p1.
    pub async fn checkout(&self, quantity: u32) -> Begun {
        let body = json!({ "lines": [{ "product": "p1", "quantity": quantity }] });
        Begun::of(&self.ask("POST", "/checkout/v1/checkouts").new_key().json(&body).send().await.expect(201))
    }

    /// Completes a checkout; returns what is answered.
    pub async fn complete(&self, begun: &Begun) -> Answer {
        self.ask("POST", &format!("{}/complete", begun.path)).token(&begun.token).new_key().send().await
    }

    /// Tells it to end.
    pub fn begin_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    pub fn has_ended(&self) -> bool {
        self.serving.is_finished()
    }
}

/// A checkout that was begun.
pub struct Begun {
    pub path: String,
    pub token: String,
}

impl Begun {
    pub fn of(body: &Value) -> Self {
        let id = body["checkout"]["id"].as_str().expect("an id");
        let token = body["token"].as_str().expect("a token").to_owned();
        Self { path: format!("/checkout/v1/checkouts/{id}"), token }
    }
}

impl Ask {
    pub fn token(self, token: &str) -> Self {
        Self { request: self.request.bearer_auth(token), ..self }
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn new_key(self) -> Self {
        let key = uuid::Uuid::now_v7().to_string();
        self.key(&key)
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    pub fn json(self, body: &Value) -> Self {
        self.bytes(body.to_string().into_bytes())
    }

    pub fn bytes(self, body: Vec<u8>) -> Self {
        Self { request: self.request.body(body), ..self }
    }

    /// Asks, and looks whether the answer is one that is documented.
    pub async fn send(self) -> Answer {
        let response = self.request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Answer { status, headers, text: response.text().await.expect("a text") };
        documented::check(&self.method, &self.path, &answer);
        answer
    }
}

impl Answer {
    /// The body of an answer that must have this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { serde_json::from_str(&self.text).expect("JSON") }
    }

    /// The problem that must be this one.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        problem
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }
}

/// Waits until something is so.
pub async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
