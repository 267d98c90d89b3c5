//! Who is told that orders are paid: shoppers learn it here, as a shop does, and ask nobody again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PATH: &str = "/events";
const PAID: &str = "vitrine.order.paid";
const SUBJECT_PREFIX: &str = "orders/";

/// Orders whose shoppers wait for them to be paid. No more than there are shoppers.
#[derive(Default)]
pub struct Paid {
    waiting: Mutex<HashMap<String, oneshot::Sender<Instant>>>,
}

/// Takes batches of CloudEvents, and ends when it is dropped.
pub struct Subscriber {
    url: String,
    paid: Arc<Paid>,
    task: JoinHandle<()>,
}

impl Subscriber {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}{PATH}", listener.local_addr().expect("an address"));
        let paid: Arc<Paid> = Arc::default();
        let router = Router::new().route(PATH, post(take)).with_state(paid.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, paid, task }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn paid(&self) -> Arc<Paid> {
        self.paid.clone()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Paid {
    /// Tells when an order is paid. Ask before it can be.
    pub fn when(&self, order: &str) -> oneshot::Receiver<Instant> {
        let (tell, told) = oneshot::channel();
        self.lock().insert(order.to_owned(), tell);
        told
    }

    pub fn forget(&self, order: &str) {
        self.lock().remove(order);
    }

    fn take(&self, order: &str, now: Instant) {
        // An event that comes twice finds nobody the second time.
        if let Some(tell) = self.lock().remove(order) {
            let _ = tell.send(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Instant>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(State(paid): State<Arc<Paid>>, body: Bytes) -> StatusCode {
    let now = Instant::now();
    let Ok(events) = serde_json::from_slice::<Vec<Value>>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    for event in events.iter().filter(|event| event["type"] == PAID) {
        if let Some(order) = event["subject"].as_str().and_then(|subject| subject.strip_prefix(SUBJECT_PREFIX)) {
            paid.take(order, now);
        }
    }
    StatusCode::OK
}
