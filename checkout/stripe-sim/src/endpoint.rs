//! What there is under `/v1`.

/// One endpoint, with the id that its path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    CreateIntent,
    ListIntents,
    RetrieveIntent(String),
    UpdateIntent(String),
    ConfirmIntent(String),
    CaptureIntent(String),
    CancelIntent(String),
    ListCharges,
    RetrieveCharge(String),
    CreateRefund,
    ListRefunds,
    RetrieveRefund(String),
    UpdateRefund(String),
    CreateSession,
    ListSessions,
    RetrieveSession(String),
    ListSessionLines(String),
    ExpireSession(String),
    ListDisputes,
    RetrieveDispute(String),
    ListEvents,
    RetrieveEvent(String),
    ListTransactions,
    RetrieveTransaction(String),
}

impl Endpoint {
    /// None where there is nothing.
    pub(crate) fn of(method: &str, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        let own = |id: &str| id.to_owned();
        Some(match (method, segments.as_slice()) {
            ("POST", ["payment_intents"]) => Self::CreateIntent,
            ("GET", ["payment_intents"]) => Self::ListIntents,
            ("GET", ["payment_intents", id]) => Self::RetrieveIntent(own(id)),
            ("POST", ["payment_intents", id]) => Self::UpdateIntent(own(id)),
            ("POST", ["payment_intents", id, "confirm"]) => Self::ConfirmIntent(own(id)),
            ("POST", ["payment_intents", id, "capture"]) => Self::CaptureIntent(own(id)),
            ("POST", ["payment_intents", id, "cancel"]) => Self::CancelIntent(own(id)),
            ("GET", ["charges"]) => Self::ListCharges,
            ("GET", ["charges", id]) => Self::RetrieveCharge(own(id)),
            ("POST", ["refunds"]) => Self::CreateRefund,
            ("GET", ["refunds"]) => Self::ListRefunds,
            ("GET", ["refunds", id]) => Self::RetrieveRefund(own(id)),
            ("POST", ["refunds", id]) => Self::UpdateRefund(own(id)),
            ("POST", ["checkout", "sessions"]) => Self::CreateSession,
            ("GET", ["checkout", "sessions"]) => Self::ListSessions,
            ("GET", ["checkout", "sessions", id]) => Self::RetrieveSession(own(id)),
            ("GET", ["checkout", "sessions", id, "line_items"]) => Self::ListSessionLines(own(id)),
            ("POST", ["checkout", "sessions", id, "expire"]) => Self::ExpireSession(own(id)),
            ("GET", ["disputes"]) => Self::ListDisputes,
            ("GET", ["disputes", id]) => Self::RetrieveDispute(own(id)),
            ("GET", ["events"]) => Self::ListEvents,
            ("GET", ["events", id]) => Self::RetrieveEvent(own(id)),
            ("GET", ["balance_transactions"]) => Self::ListTransactions,
            ("GET", ["balance_transactions", id]) => Self::RetrieveTransaction(own(id)),
            _ => return None,
        })
    }

    /// Method and path, with `*` for the id.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::CreateIntent => "POST /v1/payment_intents",
            Self::ListIntents => "GET /v1/payment_intents",
            Self::RetrieveIntent(_) => "GET /v1/payment_intents/*",
            Self::UpdateIntent(_) => "POST /v1/payment_intents/*",
            Self::ConfirmIntent(_) => "POST /v1/payment_intents/*/confirm",
            Self::CaptureIntent(_) => "POST /v1/payment_intents/*/capture",
            Self::CancelIntent(_) => "POST /v1/payment_intents/*/cancel",
            Self::ListCharges => "GET /v1/charges",
            Self::RetrieveCharge(_) => "GET /v1/charges/*",
            Self::CreateRefund => "POST /v1/refunds",
            Self::ListRefunds => "GET /v1/refunds",
            Self::RetrieveRefund(_) => "GET /v1/refunds/*",
            Self::UpdateRefund(_) => "POST /v1/refunds/*",
            Self::CreateSession => "POST /v1/checkout/sessions",
            Self::ListSessions => "GET /v1/checkout/sessions",
            Self::RetrieveSession(_) => "GET /v1/checkout/sessions/*",
            Self::ListSessionLines(_) => "GET /v1/checkout/sessions/*/line_items",
            Self::ExpireSession(_) => "POST /v1/checkout/sessions/*/expire",
            Self::ListDisputes => "GET /v1/disputes",
            Self::RetrieveDispute(_) => "GET /v1/disputes/*",
            Self::ListEvents => "GET /v1/events",
            Self::RetrieveEvent(_) => "GET /v1/events/*",
            Self::ListTransactions => "GET /v1/balance_transactions",
            Self::RetrieveTransaction(_) => "GET /v1/balance_transactions/*",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_endpoints() {
        let check = |method: &str, path: &str, name: Option<&str>| {
            assert_eq!(Endpoint::of(method, path).as_ref().map(Endpoint::name), name, "{method} {path}");
        };
        check("POST", "/v1/payment_intents", Some("POST /v1/payment_intents"));
        check("POST", "/v1/payment_intents/pi_1/confirm", Some("POST /v1/payment_intents/*/confirm"));
        check("GET", "/v1/checkout/sessions/cs_1/line_items", Some("GET /v1/checkout/sessions/*/line_items"));
        check("DELETE", "/v1/payment_intents/pi_1", None);
        check("GET", "/v2/payment_intents", None);
        assert_eq!(Endpoint::of("GET", "/v1/events/evt_1"), Some(Endpoint::RetrieveEvent("evt_1".to_owned())));
    }
}
