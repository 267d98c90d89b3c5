//! Answers on their way out.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::problem::Problem;
use crate::store::Answer;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A status and a JSON body.
#[derive(Debug)]
pub(crate) struct Reply {
    answer: Answer,
    is_replayed: bool,
}

impl Reply {
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::of(answer(status, body))
    }

    pub fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// What was just worked out.
    pub fn of(answer: Answer) -> Self {
        Self { answer, is_replayed: false }
    }

    /// What was answered before.
    pub fn replayed(answer: Answer) -> Self {
        Self { answer, is_replayed: true }
    }

    /// A body that is JSON already.
    pub fn text(json: &'static str) -> Self {
        Self::of(Answer { status: StatusCode::OK.as_u16(), body: json.as_bytes().to_vec() })
    }

    pub fn into_response(self) -> Response {
        // The store keeps what we wrote; another number would be a status that does not exist.
        let status = StatusCode::from_u16(self.answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // An answer without a body has no type, either.
        let content_type = (!self.answer.body.is_empty()).then_some(JSON);
        let mut response = response(status, content_type, self.answer.body);
        if self.is_replayed {
            response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// An answer as the store keeps it.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Answer {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Answer { status: status.as_u16(), body }
}

pub(crate) fn problem(problem: &Problem) -> Response {
    let mut response = response(problem.status(), Some(PROBLEM), problem.to_json());
    let headers = response.headers_mut();
    if let Some(seconds) = problem.retry_after_s() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.status() == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// An answer that nobody keeps: all of them are somebody's own.
pub(crate) fn response(status: StatusCode, content_type: Option<HeaderValue>, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    response
}
