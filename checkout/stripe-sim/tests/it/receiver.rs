//! Where events are delivered to in tests.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::api::{listener, wait_until};

/// A delivery as it came in.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub signature: String,
    pub body: String,
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    accepted: Vec<Delivered>,
    refused: usize,
    to_refuse: usize,
}

impl Delivered {
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("an event")
    }

    pub fn kind(&self) -> String {
        self.event()["type"].as_str().expect("a type").to_owned()
    }
}

impl Receiver {
    /// One that fails the first `to_refuse` times.
    pub async fn start(to_refuse: usize) -> Self {
        let listener = listener().await;
        let url = format!("http://{}/webhooks", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Seen { to_refuse, ..Seen::default() }));
        let receiver = Self { url, seen };
        let accepting = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = accepting.clone();
                let service = service_fn(move |request| receive(receiver.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        receiver
    }

    pub fn accepted(&self) -> Vec<Delivered> {
        self.seen.lock().expect("what was seen").accepted.clone()
    }

    pub fn refused(&self) -> usize {
        self.seen.lock().expect("what was seen").refused
    }

    pub fn kinds(&self) -> Vec<String> {
        self.accepted().iter().map(Delivered::kind).collect()
    }

    pub async fn wait_for(&self, count: usize) {
        wait_until("events are delivered", async || self.accepted().len() >= count).await;
    }

    pub async fn wait_for_kind(&self, kind: &str) {
        wait_until(&format!("{kind} is delivered"), async || self.kinds().iter().any(|known| known == kind)).await;
    }
}

async fn receive(receiver: Receiver, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let signature = request.headers().get("stripe-signature").and_then(|value| value.to_str().ok());
    let signature = signature.unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let delivered = Delivered { signature, body: String::from_utf8_lossy(&body).into_owned() };
    let mut response = Response::new(Full::default());
    let mut seen = receiver.seen.lock().expect("what was seen");
    if seen.refused < seen.to_refuse {
        seen.refused += 1;
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    } else {
        seen.accepted.push(delivered);
    }
    Ok(response)
}
