//! Events: what happened, with the object as it was at that moment.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::table::Row;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) created_s: i64,
    /// The object as JSON. Kept as text, which takes a fraction of the memory.
    pub(crate) object: String,
    pub(crate) api_version: String,
    /// Deliveries that were not acknowledged yet.
    pub(crate) pending_webhooks: u32,
    /// The request that caused it; None where the shopper or the clock did.
    pub(crate) request: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

impl Row for Event {
    const MAX_ROWS: usize = 100_000;
    const NAME: &'static str = "event";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_s(&self) -> i64 {
        self.created_s
    }

    fn is_final(&self) -> bool {
        true
    }
}

impl Event {
    /// What is delivered. Most of it is the object's text as it is.
    pub(crate) fn to_text(&self) -> String {
        let quoted = |text: &Option<String>| text.as_ref().map_or_else(|| "null".to_owned(), |text| quote(text));
        format!(
            concat!(
                r#"{{"id":{},"object":"event","api_version":{},"created":{},"data":{{"object":{}}},"livemode":false,"#,
                r#""pending_webhooks":{},"request":{{"id":{},"idempotency_key":{}}},"type":{}}}"#,
            ),
            quote(&self.id),
            quote(&self.api_version),
            self.created_s,
            self.object,
            self.pending_webhooks,
            quoted(&self.request),
            quoted(&self.idempotency_key),
            quote(&self.kind),
        )
    }

    pub(crate) fn to_json(&self) -> Value {
        serde_json::from_str(&self.to_text()).unwrap_or(Value::Null)
    }
}

/// A text as JSON.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_json_object() {
        let event = Event {
            id: "evt_1".to_owned(),
            kind: "payment_intent.created".to_owned(),
            created_s: 5,
            object: json!({ "id": "pi_1", "amount": 7 }).to_string(),
            api_version: "2026-09-30.endive".to_owned(),
            pending_webhooks: 1,
            request: Some("req_1".to_owned()),
            idempotency_key: Some("a \"key\"".to_owned()),
        };
        let shown = event.to_json();
        assert_eq!(shown["data"]["object"]["amount"], 7);
        assert_eq!(shown["request"]["idempotency_key"], "a \"key\"");
        assert_eq!(shown["livemode"], false);
        let by_clock = Event { request: None, idempotency_key: None, ..event };
        assert!(by_clock.to_json()["request"]["id"].is_null());
    }
}
