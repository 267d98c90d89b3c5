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

/// Ready is who can take an order: its database answers, and has the right tables.
async fn readyz(State(admin): State<Admin>) -> Response {
    if admin.app.draining.load(Ordering::Relaxed) {
        return not_ready("draining");
    }
    let checked = async {
        admin.app.store.ping().await?;
        admin.opened.check_schema().await
    };
    match timeout(READY_TIMEOUT, checked).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(error)) => not_ready(&error.to_string()),
        Err(_) => not_ready("the database does not answer in time"),
    }
}

fn not_ready(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], admin.app.metrics.encode(&admin.app)).into_response()
}
