//! The admin port: liveness, readiness and metrics, never on the public one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::timeout;

use crate::database::Opened;
use crate::http::App;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A database that takes longer cannot be worked with.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What the admin port tells of.
#[derive(Clone)]
pub(crate) struct Admin {
    pub app: Arc<App>,
    pub opened: Arc<Opened>,
}

pub(crate) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n") })
        .with_state(admin)
}

/// Ready is who can take an order: its database answers, and has the right tables, and its edge answers. All that is missing
/// is told.
async fn readyz(State(admin): State<Admin>) -> Response {
    let is_draining = admin.app.draining.load(Ordering::Relaxed);
    let draining = is_draining.then(|| "draining".to_owned());
    let edge = (!admin.app.edge_watch.is_up()).then(|| "the edge does not answer".to_owned());
    let database = database_fault(&admin).await;
    let missing: Vec<String> = [draining, edge, database].into_iter().flatten().collect();
    match missing.is_empty() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join("; "))).into_response(),
    }
}

/// What is wrong with the database.
async fn database_fault(admin: &Admin) -> Option<String> {
    let checked = async {
        admin.app.store.ping().await?;
        admin.opened.check_schema().await
    };
    match timeout(READY_TIMEOUT, checked).await {
        Ok(checked) => checked.err().map(|error| error.to_string()),
        Err(_) => Some("the database does not answer in time".to_owned()),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], admin.app.metrics.encode(&admin.app)).into_response()
}
