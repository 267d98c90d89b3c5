//! Connections: accepting, bounding, logging, draining, cutting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::control;
use crate::error::ApiError;
use crate::pages;
use crate::reply::{Cut, Reply, ReplyBody};
use crate::shared::Shared;
use crate::v1::{self, Call};

/// The largest body of a request.
const MAX_BODY_BYTES: usize = 64 * 1024;
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_CONNECTIONS: usize = 10_000;
/// How long a client may take for its request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long open requests may take once nothing new is accepted.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How the server is getting on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Open requests end, and nothing new is accepted.
    Draining,
    /// Every connection is gone at once.
    Cut,
}

/// Serves until the phase changes, or nobody is left who could change it.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, mut phase: watch::Receiver<Phase>) {
    let mut connections = JoinSet::new();
    loop {
        // A full house waits at the door: the system's queue is short and bounded.
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    while connections.try_join_next().is_some() {}
                    connections.spawn(serve_connection(shared.clone(), stream, phase.clone()));
                }
                Err(error) => {
                    // Out of file handles, most likely; ending the loop would end the service.
                    warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            _ = phase.changed() => break,
        }
    }
    drop(listener);
    let last = *phase.borrow();
    if last == Phase::Draining {
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            warn!("connections were cut: they did not end in time");
        }
    }
    connections.shutdown().await;
}

async fn serve_connection(shared: Arc<Shared>, stream: TcpStream, mut phase: watch::Receiver<Phase>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| handle(shared.clone(), request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            // A client that goes away in the middle is no event, and neither is a cut.
            _ = connection.as_mut() => return,
            changed = phase.changed() => {
                if changed.is_err() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Answers one request, and tells of it. Never of its query, its body or its headers: they hold secrets.
async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<ReplyBody>, Cut> {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
    let result = match read_body(body).await {
        Ok(body) => {
            let query = head.uri.query().unwrap_or_default().to_owned();
            let call = Call { method: method.clone(), path: path.clone(), query, headers: head.headers, body };
            route(&shared, call).await
        }
        Err(reply) => Ok(reply),
    };
    let took_us = started.elapsed().as_micros() as u64;
    match &result {
        Ok(reply) => info!(http.method = %method, http.path = %path, http.status = reply.status, took_us, "request"),
        Err(Cut) => info!(http.method = %method, http.path = %path, took_us, "request cut"),
    }
    result.map(Reply::into_response)
}

async fn route(shared: &Arc<Shared>, call: Call) -> Result<Reply, Cut> {
    if call.path.starts_with("/v1/") {
        return v1::answer(shared, call).await;
    }
    if call.path == "/healthz" {
        return Ok(Reply::text(200, "ok\n"));
    }
    if call.path == "/" {
        return Ok(Reply::see_other("/sim"));
    }
    match pages::answer(shared, &call) {
        Some(reply) => Ok(reply),
        None if call.path == "/sim" || call.path.starts_with("/sim/") => Ok(control::answer(shared, &call).await),
        None => Ok(Reply::error(&ApiError::unknown_url(&call.method, &call.path))),
    }
}

async fn read_body(body: Incoming) -> Result<Bytes, Reply> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Reply::error(&ApiError::body_too_large(MAX_BODY_BYTES)))
        }
        Ok(Err(_)) => Err(Reply::error(&ApiError::malformed("The body broke off."))),
        Err(_) => Err(Reply::error(&ApiError::malformed("The body did not arrive in time."))),
    }
}
