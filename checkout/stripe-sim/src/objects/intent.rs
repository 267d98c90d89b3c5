//! PaymentIntents.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::PaymentMethod;
use crate::params::Metadata;
use crate::table::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IntentStatus {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
}

impl IntentStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }

    /// Whether the shopper has still to pay.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::RequiresPaymentMethod | Self::RequiresConfirmation | Self::RequiresAction)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CaptureMethod {
    Automatic,
    AutomaticAsync,
    Manual,
}

impl CaptureMethod {
    pub(crate) const NAMES: [&'static str; 3] = ["automatic", "automatic_async", "manual"];

    pub(crate) fn named(name: Option<&str>) -> Self {
        match name {
            Some("automatic") => Self::Automatic,
            Some("manual") => Self::Manual,
            // What the API does unless told otherwise.
            _ => Self::AutomaticAsync,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => Self::NAMES[0],
            Self::AutomaticAsync => Self::NAMES[1],
            Self::Manual => Self::NAMES[2],
        }
    }
}

/// Why the last attempt failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PaymentError {
    pub(crate) code: String,
    pub(crate) decline_code: Option<String>,
    pub(crate) message: String,
    pub(crate) charge: Option<String>,
    pub(crate) method: PaymentMethod,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: String,
    pub(crate) client_secret: String,
    pub(crate) status: IntentStatus,
    pub(crate) amount: i64,
    pub(crate) amount_capturable: i64,
    pub(crate) amount_received: i64,
    pub(crate) currency: String,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) is_confirmed_manually: bool,
    /// `allow_redirects` where payment methods are chosen automatically.
    pub(crate) automatic: Option<String>,
    pub(crate) method_types: Vec<String>,
    pub(crate) method: Option<PaymentMethod>,
    pub(crate) created_s: i64,
    pub(crate) canceled_at_s: Option<i64>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) receipt_email: Option<String>,
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) shipping: Option<Value>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) last_error: Option<PaymentError>,
    /// The oldest first.
    pub(crate) charges: Vec<String>,
    /// Whether the shopper authenticated for the attempt that is running.
    pub(crate) is_authenticated: bool,
    /// The Checkout session that made it.
    pub(crate) session: Option<String>,
}

impl Row for Intent {
    const MAX_ROWS: usize = 200_000;
    const NAME: &'static str = "payment_intent";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_s(&self) -> i64 {
        self.created_s
    }

    fn is_final(&self) -> bool {
        matches!(self.status, IntentStatus::Succeeded | IntentStatus::Canceled)
    }
}

impl Intent {
    pub(crate) fn latest_charge(&self) -> Option<&str> {
        self.charges.last().map(String::as_str)
    }

    /// As the API shows it; `public_url` is where the shopper authenticates.
    pub(crate) fn to_json(&self, public_url: &str) -> Value {
        let mut intent = json!({
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": self.amount_capturable,
            "amount_details": { "tip": {} },
            "amount_received": self.amount_received,
            "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods": self.automatic.as_ref().map(|allow_redirects| {
                json!({ "allow_redirects": allow_redirects, "enabled": true })
            }),
            "canceled_at": self.canceled_at_s,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method.as_str(),
            "client_secret": self.client_secret,
            "confirmation_method": if self.is_confirmed_manually { "manual" } else { "automatic" },
            "created": self.created_s,
            "currency": self.currency,
            "customer": self.customer,
            "description": self.description,
            "last_payment_error": self.last_error.as_ref().map(|error| error.to_json(self.customer.as_deref())),
            "latest_charge": self.latest_charge(),
            "livemode": false,
            "metadata": self.metadata,
        });
        let more = json!({
            "next_action": self.next_action_json(public_url),
            "on_behalf_of": null,
            "payment_method": self.method.as_ref().map(|method| &method.id),
            "payment_method_configuration_details": null,
            "payment_method_options": {},
            "payment_method_types": self.method_types,
            "processing": null,
            "receipt_email": self.receipt_email,
            "review": null,
            "setup_future_usage": self.setup_future_usage,
            "shipping": self.shipping,
            "source": null,
            "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": self.statement_descriptor_suffix,
            "status": self.status.as_str(),
            "transfer_data": null,
            "transfer_group": self.transfer_group,
        });
        join(&mut intent, more);
        intent
    }

    /// Where the shopper authenticates.
    pub(crate) fn authentication_url(&self, public_url: &str) -> String {
        format!("{public_url}/sim/3ds/{}?client_secret={}", self.id, self.client_secret)
    }

    /// The simulator's own page to pay it on.
    pub(crate) fn page_url(&self, public_url: &str) -> String {
        format!("{public_url}/sim/pay/{}?client_secret={}", self.id, self.client_secret)
    }

    fn next_action_json(&self, public_url: &str) -> Value {
        match self.status {
            IntentStatus::RequiresAction => json!({
                "type": "redirect_to_url",
                "redirect_to_url": {
                    "return_url": self.return_url,
                    "url": self.authentication_url(public_url),
                },
            }),
            _ => Value::Null,
        }
    }
}

impl PaymentError {
    fn to_json(&self, customer: Option<&str>) -> Value {
        let mut error = json!({
            "type": "card_error",
            "code": self.code,
            "message": self.message,
            "payment_method": self.method.to_json(customer),
        });
        if let Some(charge) = &self.charge {
            error["charge"] = json!(charge);
        }
        if let Some(decline_code) = &self.decline_code {
            error["decline_code"] = json!(decline_code);
        }
        error
    }
}

/// Adds the members of one object to another.
pub(super) fn join(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
