//! Errors as Stripe's API tells them.

use serde_json::{Value, json};

/// An error and how it is answered.
#[derive(Clone, Debug)]
pub(crate) struct ApiError(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    decline_code: Option<&'static str>,
    charge: Option<String>,
    payment_intent: Option<Value>,
    /// Whether the call had begun its work, so that the answer is kept under its idempotency key.
    is_executed: bool,
    should_retry: Option<bool>,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            status,
            kind,
            code,
            message: message.into(),
            param: None,
            decline_code: None,
            charge: None,
            payment_intent: None,
            is_executed: false,
            should_retry: None,
        }))
    }

    /// A request that says something wrong, found before anything was done.
    pub(crate) fn invalid(code: Option<&'static str>, param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(400, "invalid_request_error", code, message);
        error.0.param = Some(param.into());
        error
    }

    /// A request that makes no sense as a whole.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", None, message)
    }

    /// A request that the state of things does not allow.
    pub(crate) fn refused(code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", code, message).executed()
    }

    pub(crate) fn parameter_missing(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("The parameter {param} is required and was not given.");
        Self::invalid(Some("parameter_missing"), param, message)
    }

    pub(crate) fn parameter_unknown(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("{param} is no parameter that this endpoint knows.");
        Self::invalid(Some("parameter_unknown"), param, message)
    }

    /// There is no object of this id.
    pub(crate) fn missing(object: &str, param: &str, id: &str) -> Self {
        let message = format!("There is no {object} with the id '{id}'.");
        let mut error = Self::new(404, "invalid_request_error", Some("resource_missing"), message).executed();
        error.0.param = Some(param.to_owned());
        error
    }

    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        let message = format!("The simulator has nothing at {method} {path}.");
        Self::new(404, "invalid_request_error", None, message)
    }

    /// A payment that was declined, or may not go on.
    pub(crate) fn card(code: &'static str, decline_code: Option<&'static str>, message: impl Into<String>) -> Self {
        let mut error = Self::new(402, "card_error", Some(code), message).executed();
        error.0.decline_code = decline_code;
        error
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "invalid_request_error", None, message)
    }

    /// The key is a publishable one, and more is asked than browsers may.
    pub(crate) fn secret_key_required() -> Self {
        let message = "A publishable key may not do this; use a secret key.";
        Self::new(403, "invalid_request_error", Some("secret_key_required"), message)
    }

    pub(crate) fn rate_limited() -> Self {
        Self::new(429, "invalid_request_error", Some("rate_limit"), "Too many requests a second to this endpoint.")
    }

    pub(crate) fn lock_timeout() -> Self {
        let message = "The object is locked by another request.";
        let mut error = Self::new(429, "invalid_request_error", Some("lock_timeout"), message);
        error.0.should_retry = Some(true);
        error
    }

    pub(crate) fn idempotency_key_in_use() -> Self {
        let message = "Another request with this idempotency key is still running.";
        let mut error = Self::new(409, "idempotency_error", Some("idempotency_key_in_use"), message);
        error.0.should_retry = Some(true);
        error
    }

    pub(crate) fn idempotency_mismatch() -> Self {
        let message = "This idempotency key was used for another endpoint or with other parameters.";
        Self::new(400, "idempotency_error", None, message)
    }

    pub(crate) fn server() -> Self {
        Self::new(500, "api_error", None, "The simulator was told to fail.").executed()
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "api_error", None, "The simulator was told to be unavailable.")
    }

    pub(crate) fn body_too_large(limit_bytes: usize) -> Self {
        let message = format!("A body may have at most {limit_bytes} bytes.");
        Self::new(413, "invalid_request_error", None, message)
    }

    pub(crate) fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    pub(crate) fn with_charge(mut self, charge: Option<String>) -> Self {
        self.0.charge = charge;
        self
    }

    /// Shows what became of the payment.
    pub(crate) fn with_payment_intent(mut self, intent: Value) -> Self {
        self.0.payment_intent = Some(intent);
        self
    }

    fn executed(mut self) -> Self {
        self.0.is_executed = true;
        self
    }

    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    pub(crate) fn is_executed(&self) -> bool {
        self.0.is_executed
    }

    pub(crate) fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The body of the answer. What does not apply is left out, as Stripe does.
    pub(crate) fn to_json(&self) -> Value {
        let details = &self.0;
        let mut error = json!({ "type": details.kind, "message": details.message });
        let texts = [
            ("code", details.code),
            ("decline_code", details.decline_code),
            ("param", details.param.as_deref()),
            ("charge", details.charge.as_deref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                error[name] = json!(text);
            }
        }
        if let Some(intent) = &details.payment_intent {
            error["payment_intent"] = intent.clone();
        }
        json!({ "error": error })
    }
}
