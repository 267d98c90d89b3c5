//! Errors as clients see them: RFC 9457 problem documents. What the log is told stays out of them.

use std::fmt::Display;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::domain::Refusal;
use crate::http::answers::money;
use crate::store::StoreError;

/// How long a client waits before it asks again what cannot be answered now.
const RETRY_AFTER_S: u32 = 1;

/// What went wrong, by a name that stays. The document under openapi.json lists all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    BadRequest,
    MalformedBody,
    InvalidField,
    InvalidParameter,
    IdempotencyKeyMissing,
    IdempotencyKeyInvalid,
    SignatureInvalid,
    NotAnEvent,
    TokenMissing,
    TokenInvalid,
    StaffOnly,
    OwnerOnly,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    BodyTooLarge,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    VersionConflict,
    TotalChanged,
    SoldOut,
    HoldOver,
    CheckoutClosed,
    OrderClosed,
    PaymentInProgress,
    CancelRequested,
    TooMany,
    ProductUnknown,
    ProductUnpriced,
    CurrenciesMixed,
    MarketUnknown,
    CartUnknown,
    CartEmpty,
    TotalOutOfBounds,
    NothingToPay,
    RefundTooLarge,
    StockOutOfBounds,
    Internal,
    Overloaded,
    Timeout,
    StoreUnavailable,
    CartsUnavailable,
    PricesUnavailable,
}

/// An error with what the client is told, and privately what caused it.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    /// The field at fault, as a JSON pointer (RFC 6901).
    pointer: Option<String>,
    /// Further members, for programs.
    members: Map<String, Value>,
    retry_after_s: Option<u32>,
    /// For the log only.
    cause: Option<String>,
}

impl Code {
    /// Its status and its name.
    pub fn facts(self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::BadRequest => (S::BAD_REQUEST, "bad_request"),
            Self::MalformedBody => (S::BAD_REQUEST, "malformed_body"),
            Self::InvalidField => (S::BAD_REQUEST, "invalid_field"),
            Self::InvalidParameter => (S::BAD_REQUEST, "invalid_parameter"),
            Self::IdempotencyKeyMissing => (S::BAD_REQUEST, "idempotency_key_missing"),
            Self::IdempotencyKeyInvalid => (S::BAD_REQUEST, "idempotency_key_invalid"),
            Self::SignatureInvalid => (S::BAD_REQUEST, "signature_invalid"),
            Self::NotAnEvent => (S::BAD_REQUEST, "not_an_event"),
            Self::TokenMissing => (S::UNAUTHORIZED, "token_missing"),
            Self::TokenInvalid => (S::UNAUTHORIZED, "token_invalid"),
            Self::StaffOnly => (S::FORBIDDEN, "staff_only"),
            Self::OwnerOnly => (S::FORBIDDEN, "owner_only"),
            Self::NotFound => (S::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BodyTimeout => (S::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::IdempotencyKeyInFlight => (S::CONFLICT, "idempotency_key_in_flight"),
            Self::IdempotencyKeyReused => (S::CONFLICT, "idempotency_key_reused"),
            Self::VersionConflict => (S::CONFLICT, "version_conflict"),
            Self::TotalChanged => (S::CONFLICT, "total_changed"),
            Self::SoldOut => (S::CONFLICT, "sold_out"),
            Self::HoldOver => (S::CONFLICT, "hold_over"),
            Self::CheckoutClosed => (S::CONFLICT, "checkout_closed"),
            Self::OrderClosed => (S::CONFLICT, "order_closed"),
            Self::PaymentInProgress => (S::CONFLICT, "payment_in_progress"),
            Self::CancelRequested => (S::CONFLICT, "cancel_requested"),
            Self::TooMany => (S::CONFLICT, "too_many"),
            Self::ProductUnknown => (S::UNPROCESSABLE_ENTITY, "product_unknown"),
            Self::ProductUnpriced => (S::UNPROCESSABLE_ENTITY, "product_unpriced"),
            Self::CurrenciesMixed => (S::UNPROCESSABLE_ENTITY, "currencies_mixed"),
            Self::MarketUnknown => (S::UNPROCESSABLE_ENTITY, "market_unknown"),
            Self::CartUnknown => (S::UNPROCESSABLE_ENTITY, "cart_unknown"),
            Self::CartEmpty => (S::UNPROCESSABLE_ENTITY, "cart_empty"),
            Self::TotalOutOfBounds => (S::UNPROCESSABLE_ENTITY, "total_out_of_bounds"),
            Self::NothingToPay => (S::UNPROCESSABLE_ENTITY, "nothing_to_pay"),
            Self::RefundTooLarge => (S::UNPROCESSABLE_ENTITY, "refund_too_large"),
            Self::StockOutOfBounds => (S::UNPROCESSABLE_ENTITY, "stock_out_of_bounds"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal"),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded"),
            Self::Timeout => (S::SERVICE_UNAVAILABLE, "timeout"),
            Self::StoreUnavailable => (S::SERVICE_UNAVAILABLE, "store_unavailable"),
            Self::CartsUnavailable => (S::SERVICE_UNAVAILABLE, "carts_unavailable"),
            Self::PricesUnavailable => (S::SERVICE_UNAVAILABLE, "prices_unavailable"),
        }
    }
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: None, members: Map::new(), retry_after_s: None, cause: None }
    }

    /// A field of the body is not what it should be.
    pub fn field(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Code::InvalidField, reason).at(pointer)
    }

    /// A parameter of the query is not what it should be.
    pub fn parameter(name: &str, reason: impl Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{name}: {reason}")).with("parameter", json!(name))
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// Something failed that is not the client's fault.
    pub fn internal(cause: impl Display) -> Self {
        Self::new(Code::Internal, "the request could not be answered").because(cause)
    }

    /// Not now, but soon.
    pub fn later(code: Code, detail: impl Into<String>) -> Self {
        Self::new(code, detail).after_s(RETRY_AFTER_S)
    }

    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    pub fn after_s(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    pub fn because(mut self, cause: impl Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    pub fn status(&self) -> StatusCode {
        self.code.facts().0
    }

    pub fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }

    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The body of the answer.
    pub fn to_json(&self) -> Vec<u8> {
        let (status, name) = self.code.facts();
        let mut problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "code": name,
            "detail": self.detail,
        });
        if let Some(pointer) = &self.pointer {
            problem["pointer"] = json!(pointer);
        }
        for (name, value) in &self.members {
            problem[name.as_str()] = value.clone();
        }
        problem.to_string().into_bytes()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::Unavailable(cause) => {
                Self::later(Code::StoreUnavailable, "the database does not answer").because(cause)
            }
            StoreError::Broken(cause) => Self::internal(cause),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NotFound(_) => Self::new(Code::NotFound, detail),
            Refusal::CheckoutClosed(state) => Self::new(Code::CheckoutClosed, detail).with("state", json!(state)),
            Refusal::HoldOver => Self::new(Code::HoldOver, detail),
            Refusal::VersionConflict { current } => {
                Self::new(Code::VersionConflict, detail).at("/version").with("current", json!(current))
            }
            Refusal::SoldOut { product, wanted, available } => Self::sold_out(&product, wanted, available),
            Refusal::PaymentInProgress => Self::new(Code::PaymentInProgress, detail),
            Refusal::NothingToPay => Self::new(Code::NothingToPay, detail),
            Refusal::CancelRequested => Self::new(Code::CancelRequested, detail),
            Refusal::OrderIs(state) => Self::new(Code::OrderClosed, detail).with("state", json!(state)),
            Refusal::RefundTooLarge { left } => {
                Self::new(Code::RefundTooLarge, detail).at("/amount").with("left", money(left))
            }
            Refusal::RefundAmount => Self::field("/amount", detail),
            Refusal::TooMany(_) => Self::new(Code::TooMany, detail),
            Refusal::StockOutOfBounds(_) => Self::new(Code::StockOutOfBounds, detail),
        }
    }
}

impl Problem {
    pub fn sold_out(product: &str, wanted: u32, available: i64) -> Self {
        let detail = format!("{product} is sold out: {available} of {wanted} are left");
        Self::new(Code::SoldOut, detail)
            .with("product", json!(product))
            .with("wanted", json!(wanted))
            .with("available", json!(available))
    }
}

#[cfg(test)]
pub(crate) const ALL_CODES: [Code; 43] = [
    Code::BadRequest,
    Code::MalformedBody,
    Code::InvalidField,
    Code::InvalidParameter,
    Code::IdempotencyKeyMissing,
    Code::IdempotencyKeyInvalid,
    Code::SignatureInvalid,
    Code::NotAnEvent,
    Code::TokenMissing,
    Code::TokenInvalid,
    Code::StaffOnly,
    Code::OwnerOnly,
    Code::NotFound,
    Code::MethodNotAllowed,
    Code::BodyTimeout,
    Code::BodyTooLarge,
    Code::IdempotencyKeyInFlight,
    Code::IdempotencyKeyReused,
    Code::VersionConflict,
    Code::TotalChanged,
    Code::SoldOut,
    Code::HoldOver,
    Code::CheckoutClosed,
    Code::OrderClosed,
    Code::PaymentInProgress,
    Code::CancelRequested,
    Code::TooMany,
    Code::ProductUnknown,
    Code::ProductUnpriced,
    Code::CurrenciesMixed,
    Code::MarketUnknown,
    Code::CartUnknown,
    Code::CartEmpty,
    Code::TotalOutOfBounds,
    Code::NothingToPay,
    Code::RefundTooLarge,
    Code::StockOutOfBounds,
    Code::Internal,
    Code::Overloaded,
    Code::Timeout,
    Code::StoreUnavailable,
    Code::CartsUnavailable,
    Code::PricesUnavailable,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CheckoutState;

    fn document(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_json()).expect("JSON")
    }

    #[test]
    fn a_problem_tells_its_code_and_not_its_cause() {
        let problem = Problem::internal("password is hunter2");
        let told = document(&problem);
        assert_eq!((told["code"].as_str(), told["status"].as_u64()), (Some("internal"), Some(500)));
        assert!(!told.to_string().contains("hunter2"));
        assert_eq!(problem.cause(), Some("password is hunter2"));
    }

    #[test]
    fn refusals_become_conflicts_with_what_programs_need() {
        let told = document(&Refusal::SoldOut { product: "p1".into(), wanted: 3, available: 1 }.into());
        assert_eq!(told["code"], "sold_out");
        assert_eq!((told["product"].as_str(), told["wanted"].as_u64()), (Some("p1"), Some(3)));
        assert_eq!(told["available"].as_i64(), Some(1));
        let told = document(&Refusal::VersionConflict { current: 4 }.into());
        assert_eq!((told["pointer"].as_str(), told["current"].as_u64()), (Some("/version"), Some(4)));
        let told = document(&Refusal::CheckoutClosed(CheckoutState::Cancelled).into());
        assert_eq!(told["state"], "cancelled");
    }

    #[test]
    fn what_passes_says_when_to_ask_again() {
        let away = Problem::from(StoreError::Unavailable("refused".into()));
        assert_eq!((away.status().as_u16(), away.retry_after_s()), (503, Some(RETRY_AFTER_S)));
    }

    #[test]
    fn codes_have_names_of_their_own() {
        let mut names: Vec<_> = ALL_CODES.iter().map(|code| code.facts().1).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL_CODES.len());
    }
}
