//! Answers on their way out: a status, a body, and the headers that go with it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    ETAG, HeaderName, HeaderValue, RETRY_AFTER, VARY,
};
use hyper::{Response, StatusCode};
use jiff::Timestamp;

use crate::coding::Coding;
use crate::error::ApiError;
use crate::live::Generation;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// A cache may keep an answer as long as a rollback may take to be seen.
const FRESH_S: i64 = 5;
const SHARED: HeaderValue = HeaderValue::from_static("public, max-age=5, s-maxage=5");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");
const EXPOSED: HeaderValue = HeaderValue::from_static("ETag, Retry-After, Server-Timing, X-Snapshot");
const X_SNAPSHOT: HeaderName = HeaderName::from_static("x-snapshot");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const CONTENT_SECURITY_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'self'; img-src * data:; style-src 'self' 'unsafe-inline'");
const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

pub type HttpResponse = Response<Full<Bytes>>;

/// An answer from a snapshot, which caches may keep until the next one. Without a body, the client has it already.
pub fn from_snapshot(generation: &Generation, etag: HeaderValue, body: Option<Bytes>) -> HttpResponse {
    let id = generation.pointer.snapshot.as_str();
    match generation.is_preview {
        true => preview(id, body.unwrap_or_default()),
        false => from_snapshots(id, etag, fresh_s(generation), body),
    }
}

/// An answer from a snapshot that only those see who have the key: nobody keeps it.
pub fn preview(ids: &str, body: Bytes) -> HttpResponse {
    let mut response = reply(StatusCode::OK, JSON, PRIVATE, body);
    response.headers_mut().extend(HeaderValue::from_str(ids).ok().map(|ids| (X_SNAPSHOT, ids)));
    response
}

/// How long an answer holds: until a rollback may be seen, or another set of rules is active.
pub fn fresh_s(generation: &Generation) -> i64 {
    let now = Timestamp::now();
    let change = generation.index.rules().next_change(now);
    change.map_or(FRESH_S, |change| change.duration_since(now).as_secs().clamp(0, FRESH_S))
}

/// An answer from several snapshots, their ids separated by commas.
pub fn from_snapshots(ids: &str, etag: HeaderValue, fresh_s: i64, body: Option<Bytes>) -> HttpResponse {
    let status = if body.is_some() { StatusCode::OK } else { StatusCode::NOT_MODIFIED };
    let cache = match fresh_s {
        FRESH_S => SHARED,
        less => HeaderValue::from_str(&format!("public, max-age={less}, s-maxage={less}")).unwrap_or(NO_STORE),
    };
    let mut response = reply(status, JSON, cache, body.unwrap_or_default());
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.extend(HeaderValue::from_str(ids).ok().map(|ids| (X_SNAPSHOT, ids)));
    response
}

/// Says how the body is written, and that another client may get it otherwise.
pub fn set_coding(response: &mut HttpResponse, coding: Coding) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if coding != Coding::Identity {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
}

/// JSON that is true only now.
pub fn momentary(status: StatusCode, body: Vec<u8>) -> HttpResponse {
    reply(status, JSON, NO_STORE, body.into())
}

/// A file of the storefront or a picture.
pub fn file(content_type: &'static str, max_age_s: u32, bytes: Bytes) -> HttpResponse {
    let cache = HeaderValue::from_str(&format!("public, max-age={max_age_s}")).unwrap_or(NO_STORE);
    let mut response = reply(StatusCode::OK, HeaderValue::from_static(content_type), cache, bytes);
    response.headers_mut().insert(hyper::header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    response
}

pub fn error(error: &ApiError) -> HttpResponse {
    let mut response = reply(error.status, PROBLEM, NO_STORE, error.to_json().into());
    if let Some(seconds) = error.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The answer to a method that a path does not take.
pub fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let error_value =
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("this path takes {allowed}"));
    let mut response = error(&error_value);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Adds what every answer has: how long it took here, and which pages may read it.
pub fn finish(response: &mut HttpResponse, origin: &HeaderValue, took: Duration) {
    let headers = response.headers_mut();
    let timing = format!("edge;dur={:.3}", took.as_secs_f64() * 1e3);
    headers.extend(HeaderValue::from_str(&timing).ok().map(|timing| (SERVER_TIMING, timing)));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if origin != "*" {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

fn reply(status: StatusCode, content_type: HeaderValue, cache: HeaderValue, body: Bytes) -> HttpResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, cache);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
