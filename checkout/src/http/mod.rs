//! The service's API over HTTP: which path does what, and what holds for every request.

pub(crate) mod answers;
mod call;
mod caller;
mod carts;
mod checkouts;
mod complete;
pub(crate) mod cors;
mod fields;
pub(crate) mod idempotency;
mod openapi;
mod orders;
mod problem;
mod refunds;
mod reply;
mod routes;
pub(crate) mod stock;
mod unique;
mod webhooks;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::MethodRouter;
use bytes::Bytes;
use futures::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use tracing::info;

use self::call::{Answered, Call};
use self::cors::Cors;
use self::problem::{Code, Problem};
use self::routes::Route;
use crate::carts::Carts;
use crate::edge_watch::EdgeWatch;
use crate::metrics::Metrics;
use crate::pricing::EdgeClient;
use crate::staff::Staff;
use crate::store::{Lane, Store, Terms};
use crate::work::{Work, now_ms};

/// How long a client waits at the most. What writes goes on behind it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the database may take for all transactions of a request together. Clients and balancers commonly wait for 5 s:
/// before that they are told to come again, and when. What Stripe and the edge take is not counted, and what Stripe said is
/// written even where little of it is left.
const DATABASE_PATIENCE: Duration = Duration::from_secs(4);
/// How long a client may take for its request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the log is told of a path: whoever asks for long ones shall not fill it.
const MAX_LOGGED_PATH_BYTES: usize = 256;

/// What every request needs.
pub(crate) struct App {
    /// Without an end to its patience; a request has its own.
    pub store: Arc<dyn Store>,
    pub work: Arc<Work>,
    pub edge: EdgeClient,
    pub edge_watch: EdgeWatch,
    pub carts: Carts,
    pub staff: Staff,
    pub cors: Cors,
    /// Origins that a shopper may be sent to after paying.
    pub return_origins: Vec<String>,
    pub metrics: Arc<Metrics>,
    pub hold_ms: i64,
    pub cart_ttl_ms: i64,
    /// What a shop's page gives to Stripe's script; it is no secret.
    pub publishable_key: Option<String>,
    pub max_in_flight: usize,
    pub in_flight: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    pub draining: AtomicBool,
}

/// The path's parameters, where they are UTF-8.
type Params = Result<RawPathParams, RawPathParamsRejection>;

/// All paths, with what holds for each of them.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router: Router<Arc<App>> = Router::new();
    for route in routes::all() {
        let (filter, path) = (route.filter(), route.path);
        let handler = move |State(app): State<Arc<App>>, params: Params, request: Request| {
            handle(app, route.clone(), params, request)
        };
        router = router.route(path, MethodRouter::new().on(filter, handler));
    }
    router
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

async fn unknown() -> Response {
    reply::problem(&Problem::new(Code::NotFound, "there is no such path; see /checkout/openapi.json"))
}

/// The router tells which methods there are.
async fn not_allowed() -> Response {
    reply::problem(&Problem::new(Code::MethodNotAllowed, "this path does not take this method"))
}

/// What caused an answer, on its way to the log.
#[derive(Clone)]
struct Cause(String);

/// What holds for every request: browsers of other origins, the time that it took, and its line in the log.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", |path| routes::name(path.as_str()));
    let mut response = match app.cors.preflight(&method, &headers) {
        Some(preflight) => preflight,
        None => next.run(request).await,
    };
    app.cors.finish(&headers, &mut response);
    let (status, took) = (response.status().as_u16(), started.elapsed());
    app.metrics.answered(route, status, took);
    let cause = response.extensions_mut().remove::<Cause>().map(|cause| cause.0);
    info!(
        http.method = %method,
        http.path = shown(&path),
        http.route = route,
        http.status = status,
        took_us = took.as_micros() as u64,
        bytes = response.body().size_hint().lower(),
        cause = cause.as_deref(),
        "request"
    );
    response
}

/// What the log is told of a path: not the id of a cart, which opens it as a token would, and no more than a line holds.
fn shown(path: &str) -> &str {
    match path.starts_with(routes::CARTS) {
        true => routes::CARTS,
        false => &path[..path.floor_char_boundary(MAX_LOGGED_PATH_BYTES)],
    }
}

async fn handle(app: Arc<App>, route: Route, params: Params, request: Request) -> Response {
    let answered = match read(app, &route, params, request).await {
        Ok(call) => work(route, call).await,
        Err(problem) => {
            let mut response = refused(&problem);
            // What is left of the body would be read as the next request, so that there is none: clients are to know.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
    };
    answered.map_or_else(|problem| refused(&problem), reply::Reply::into_response)
}

fn refused(problem: &Problem) -> Response {
    let mut response = reply::problem(problem);
    if let Some(cause) = problem.cause() {
        response.extensions_mut().insert(Cause(cause.to_owned()));
    }
    response
}

/// Reads a request to its end.
async fn read(app: Arc<App>, route: &Route, params: Params, request: Request) -> Result<Call, Problem> {
    let params = params.map_err(|_| Problem::new(Code::NotFound, "the path is not UTF-8"))?;
    let (parts, body) = request.into_parts();
    let body = read_body(body, route.max_body_bytes).await?;
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>();
    let store = app.store.with_terms(Terms::together(route.lane, DATABASE_PATIENCE));
    Ok(Call {
        app,
        store,
        method: parts.method,
        path: decoded(route.path, &params),
        query: parts.uri.query().unwrap_or("").to_owned(),
        headers: parts.headers,
        params,
        body,
        now_ms: now_ms(),
    })
}

/// A route's path with what its parameters are. A path can be written in many ways (`%6frd_1` is `ord_1`), and an
/// idempotency key must hold for all of them.
fn decoded(path: &str, params: &[(String, String)]) -> String {
    params.iter().fold(path.to_owned(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value))
}

async fn read_body(body: Body, max_bytes: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge, format!("the body is larger than {max_bytes} bytes"));
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, max_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(Code::BadRequest, "the body did not arrive").because(error)),
        Err(_) => Err(Problem::new(Code::BodyTimeout, "the body did not arrive in time")),
    }
}

/// Answers, unless there is too much to do already. What writes runs to its end, even where its client has left.
async fn work(route: Route, call: Call) -> Answered {
    let app = call.app.clone();
    // Probes must hear from a busy service, or it is taken for a dead one.
    let counted = Counted::new(&app.in_flight);
    if !route.is_probe && is_full(&app, route.lane) {
        return Err(Problem::later(Code::Overloaded, "too many requests at once"));
    }
    let is_read = call.method == Method::GET || call.method == Method::HEAD;
    let working = async move {
        let _counted = counted;
        // A panic is this request's misfortune, and is told; the service goes on.
        let done = AssertUnwindSafe((route.work)(call)).catch_unwind().await;
        done.unwrap_or_else(|panic| Err(Problem::internal(panic_text(&*panic))))
    };
    let too_long = |_| Err(Problem::later(Code::Timeout, "the answer takes too long; ask again with the same key"));
    if is_read {
        return timeout(REQUEST_TIMEOUT, working).await.unwrap_or_else(too_long);
    }
    match timeout(REQUEST_TIMEOUT, tokio::spawn(working)).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => Err(Problem::internal(error)),
        Err(late) => too_long(late),
    }
}

/// Whether there is too much to do already for one more, which is counted. What is not begun yet is turned away first: it
/// has cost nothing, while others could not finish what they began.
fn is_full(app: &App, lane: Lane) -> bool {
    let in_flight = app.in_flight.load(Ordering::Relaxed);
    match lane {
        Lane::New => in_flight > app.max_in_flight.div_ceil(2) || app.store.is_crowded(),
        Lane::Begun | Lane::Webhook | Lane::Work => in_flight > app.max_in_flight,
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// One more of something, until it is dropped.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The id of a cart opens it, and stood in the log; so did paths of 32 KiB.
    #[test]
    fn the_log_is_told_no_id_that_opens_something_and_no_long_path() {
        assert_eq!(shown("/checkout/v1/carts/crt_0123456789abcdef0123456789abcdef"), "/checkout/v1/carts");
        assert_eq!(shown("/checkout/v1/orders/ord_1"), "/checkout/v1/orders/ord_1");
        assert_eq!(shown(&format!("/{}", "\u{e4}".repeat(1_000))).len(), 255);
    }
}
