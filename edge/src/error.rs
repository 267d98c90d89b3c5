//! Errors as clients see them: RFC 9457 problem documents. What the log is told stays out of them.

use std::fmt::Display;

use hyper::StatusCode;
use search::RequestError;
use serde_json::json;

/// An error with what the client is told, and privately what caused it.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    /// A stable name for programs.
    code: &'static str,
    detail: String,
    /// The parameter at fault, and for a filter the character.
    parameter: Option<String>,
    position: Option<usize>,
    /// For the log only.
    pub cause: Option<String>,
    pub retry_after_s: Option<u32>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), parameter: None, position: None, cause: None, retry_after_s: None }
    }

    pub fn bad_parameter(parameter: impl Into<String>, reason: impl Into<String>) -> Self {
        let (parameter, reason) = (parameter.into(), reason.into());
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", format!("{parameter}: {reason}"));
        error.parameter = Some(parameter);
        error
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// Something failed that is not the client's fault.
    pub fn internal(cause: impl Display) -> Self {
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request could not be answered");
        error.cause = Some(cause.to_string());
        error
    }

    /// Not now, but soon.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        error.retry_after_s = Some(1);
        error
    }

    /// Places the parameter inside a list of requests.
    pub fn within(mut self, list: &str, place: usize) -> Self {
        if let Some(parameter) = &mut self.parameter {
            *parameter = format!("{list}[{place}].{parameter}");
        }
        self.detail = format!("{list}[{place}]: {}", self.detail);
        self
    }

    /// The body of the answer.
    pub fn to_json(&self) -> Vec<u8> {
        let mut problem = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(parameter) = &self.parameter {
            problem["parameter"] = json!(parameter);
        }
        if let Some(position) = self.position {
            problem["position"] = json!(position);
        }
        problem.to_string().into_bytes()
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let mut answer = Self::bad_parameter(error.parameter, error.reason);
        answer.position = error.position;
        answer
    }
}

impl From<search::Error> for ApiError {
    fn from(error: search::Error) -> Self {
        Self::internal(error)
    }
}
