//! An edge whose prices tests change.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What an edge reads of a head.
const MAX_HEAD_BYTES: usize = 32 * 1024;

#[derive(Clone, Default)]
pub struct FakeEdge(Arc<Mutex<Catalogue>>);

#[derive(Default)]
struct Catalogue {
    snapshot: u64,
    products: BTreeMap<String, Value>,
    is_away: bool,
    /// Each answer is of another snapshot.
    is_restless: bool,
    /// How often prices were asked for.
    calls: u64,
}

impl FakeEdge {
    /// Serves on a free port.
    pub async fn start() -> (Self, SocketAddr) {
        let edge = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let router = Router::new().route("/v1/products", get(products)).route("/healthz", get(health));
        let router = router.with_state(edge.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (edge, address)
    }

    /// Publishes a product at a price in cents.
    pub fn publish(&self, id: &str, amount_minor: i64) {
        self.publish_as(id, json!({ "amount_minor": amount_minor, "currency": "EUR" }), "in_stock");
    }

    pub fn publish_as(&self, id: &str, price: Value, availability: &str) {
        let product = json!({ "id": id, "title": format!("Lamp {id}"), "price": price, "availability": availability });
        let mut catalogue = self.0.lock().expect("the catalogue");
        catalogue.snapshot += 1;
        catalogue.products.insert(id.to_owned(), product);
    }

    pub fn set_away(&self, is_away: bool) {
        self.0.lock().expect("the catalogue").is_away = is_away;
    }

    pub fn set_restless(&self, is_restless: bool) {
        self.0.lock().expect("the catalogue").is_restless = is_restless;
    }

    pub fn calls(&self) -> u64 {
        self.0.lock().expect("the catalogue").calls
    }
}

async fn health(State(edge): State<FakeEdge>) -> StatusCode {
    match edge.0.lock().expect("the catalogue").is_away {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    }
}

async fn products(State(edge): State<FakeEdge>, uri: Uri, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let mut catalogue = edge.0.lock().expect("the catalogue");
    catalogue.calls += 1;
    if uri.to_string().len() > MAX_HEAD_BYTES {
        return StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response();
    }
    if catalogue.is_restless {
        catalogue.snapshot += 1;
    }
    if catalogue.is_away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if query.get("market").is_some_and(|market| market != "eu") {
        let problem = json!({ "status": 400, "code": "invalid_parameter", "parameter": "market" });
        return (StatusCode::BAD_REQUEST, problem.to_string()).into_response();
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in query.get("ids").map(String::as_str).unwrap_or_default().split(',') {
        match catalogue.products.get(id) {
            Some(product) => found.push(product.clone()),
            None => missing.push(id),
        }
    }
    let snapshot = format!("s{}", catalogue.snapshot);
    let body = json!({ "products": found, "missing": missing, "snapshot": { "id": snapshot, "sequence": 1 } });
    ([("x-snapshot", snapshot)], body.to_string()).into_response()
}
