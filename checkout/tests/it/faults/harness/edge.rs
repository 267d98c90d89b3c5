//! An edge whose prices and snapshots the test changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::serving::Served;

pub const CURRENCY: &str = "EUR";

/// What is served at the moment; a snapshot is swapped as a whole.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub snapshot: String,
    /// Minor units by product.
    pub prices: BTreeMap<String, i64>,
    pub is_away: bool,
}

pub struct Edge {
    served: Served,
    catalogue: Arc<Mutex<Catalogue>>,
}

impl Edge {
    pub async fn start(snapshot: &str, prices: &[(&str, i64)]) -> Self {
        let prices = prices.iter().map(|(product, minor)| ((*product).to_owned(), *minor)).collect();
        let catalogue = Arc::new(Mutex::new(Catalogue { snapshot: snapshot.to_owned(), prices, is_away: false }));
        let router = Router::new().route("/v1/products", get(products)).route("/healthz", get(health));
        let router = router.with_state(catalogue.clone());
        Self { served: Served::start(router).await, catalogue }
    }

    pub fn url(&self) -> String {
        self.served.url()
    }

    /// Changes what is served, all of it at one moment.
    pub fn swap(&self, change: impl FnOnce(&mut Catalogue)) {
        change(&mut lock(&self.catalogue));
    }

    pub fn snapshot(&self) -> String {
        lock(&self.catalogue).snapshot.clone()
    }
}

async fn health(State(catalogue): State<Arc<Mutex<Catalogue>>>) -> StatusCode {
    match lock(&catalogue).is_away {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    }
}

async fn products(
    State(catalogue): State<Arc<Mutex<Catalogue>>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let catalogue = lock(&catalogue).clone();
    if catalogue.is_away {
        return (StatusCode::SERVICE_UNAVAILABLE, "away").into_response();
    }
    let ids = query.get("ids").map_or("", String::as_str).split(',').map(str::trim).filter(|id| !id.is_empty());
    let (mut products, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match catalogue.prices.get(id) {
            Some(minor) => products.push(product(id, *minor)),
            None => missing.push(id.to_owned()),
        }
    }
    let snapshot = json!({ "id": catalogue.snapshot, "sequence": 1 });
    let body = json!({ "products": products, "missing": missing, "snapshot": snapshot }).to_string();
    let headers = [("content-type", "application/json"), ("x-snapshot", catalogue.snapshot.as_str())];
    (headers, body).into_response()
}

fn product(id: &str, minor: i64) -> Value {
    json!({
        "id": id,
        "title": format!("The {id}"),
        "price": { "amount_minor": minor, "currency": CURRENCY },
        "availability": "in_stock",
    })
}

fn lock(catalogue: &Mutex<Catalogue>) -> MutexGuard<'_, Catalogue> {
    catalogue.lock().unwrap_or_else(PoisonError::into_inner)
}
