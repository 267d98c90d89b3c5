//! Answers on their way out: a status, a body, and the headers that go with it.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, VARY,
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

/// No answer has more headers, so that their map never grows.
const MAX_HEADERS: usize = 12;

pub type HttpResponse = Response<Full<Bytes>>;

/// An answer from a snapshot, which caches may keep until the next one. Without a body, the client has it already.
pub fn from_snapshot(generation: &Generation, now: Timestamp, etag: HeaderValue, body: Option<Bytes>) -> HttpResponse {
    let id = generation.id_value.clone();
    match generation.is_preview {
        true => preview(id, body.unwrap_or_default()),
        false => from_snapshots(id, etag, fresh_s(generation, now), body),
    }
}

/// An answer from a snapshot that only those see who have the key: nobody keeps it.
pub fn preview(ids: HeaderValue, body: Bytes) -> HttpResponse {
    let mut response = reply(StatusCode::OK, JSON, PRIVATE, body);
    response.headers_mut().insert(X_SNAPSHOT, ids);
    response
}

/// How long an answer holds: until a rollback may be seen, or another set of rules is active.
pub fn fresh_s(generation: &Generation, now: Timestamp) -> i64 {
    let change = generation.index.rules().next_change(now);
    change.map_or(FRESH_S, |change| change.duration_since(now).as_secs().clamp(0, FRESH_S))
}

/// An answer from several snapshots, their ids separated by commas.
pub fn from_snapshots(ids: HeaderValue, etag: HeaderValue, fresh_s: i64, body: Option<Bytes>) -> HttpResponse {
    let status = if body.is_some() { StatusCode::OK } else { StatusCode::NOT_MODIFIED };
    let cache = match fresh_s {
        FRESH_S => SHARED,
        less => HeaderValue::from_str(&format!("public, max-age={less}, s-maxage={less}")).unwrap_or(NO_STORE),
    };
    let mut response = reply(status, JSON, cache, body.unwrap_or_default());
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(X_SNAPSHOT, ids);
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
    headers.insert(SERVER_TIMING, timing(took));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if origin != "*" {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

/// Milliseconds, as Server-Timing tells them.
fn timing(took: Duration) -> HeaderValue {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    // Room for any such number.
    let mut text = [0_u8; 32];
    let mut rest = &mut text[..];
    let _ = write!(rest, "edge;dur={}.{:03}", micros / 1_000, micros % 1_000);
    let unused = rest.len();
    HeaderValue::from_bytes(&text[..text.len() - unused]).unwrap_or(HeaderValue::from_static("edge"))
}

fn reply(status: StatusCode, content_type: HeaderValue, cache: HeaderValue, body: Bytes) -> HttpResponse {
    let mut headers = HeaderMap::with_capacity(MAX_HEADERS);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, cache);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_with_three_digits() {
        let check = |took: Duration, expected: &str| assert_eq!(timing(took), expected, "{took:?}");
        check(Duration::from_nanos(1_999), "edge;dur=0.001");
        check(Duration::from_micros(60_020), "edge;dur=60.020");
        check(Duration::from_millis(1_234), "edge;dur=1234.000");
        check(Duration::MAX, "edge;dur=18446744073709551.615");
    }

    #[test]
    fn the_headers_of_an_answer_fit_into_their_map() {
        let mut response = reply(StatusCode::OK, JSON, SHARED, Bytes::new());
        let headers = response.headers_mut();
        headers.insert(ETAG, HeaderValue::from_static("\"0\""));
        headers.insert(X_SNAPSHOT, HeaderValue::from_static("s"));
        let room = headers.capacity();
        set_coding(&mut response, Coding::Zstd);
        finish(&mut response, &HeaderValue::from_static("https://shop.example"), Duration::ZERO);
        assert_eq!((response.headers().capacity(), response.headers().len()), (room, 11));
    }
}
