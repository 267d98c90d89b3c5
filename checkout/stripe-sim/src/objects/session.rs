//! Checkout sessions.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::CaptureMethod;
use super::intent::join;
use crate::params::Metadata;
use crate::table::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SessionStatus {
    Open,
    Complete,
    Expired,
}

impl SessionStatus {
    pub(crate) const NAMES: [&'static str; 3] = ["open", "complete", "expired"];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => Self::NAMES[0],
            Self::Complete => Self::NAMES[1],
            Self::Expired => Self::NAMES[2],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PaymentStatus {
    Unpaid,
    Paid,
}

impl PaymentStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Paid => "paid",
        }
    }
}

/// What is bought, at one price.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LineItem {
    pub(crate) id: String,
    pub(crate) price: String,
    pub(crate) product: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) unit_amount: i64,
    pub(crate) quantity: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) status: SessionStatus,
    pub(crate) payment_status: PaymentStatus,
    pub(crate) currency: String,
    pub(crate) amount_total: i64,
    pub(crate) lines: Vec<LineItem>,
    pub(crate) created_s: i64,
    pub(crate) expires_at_s: i64,
    pub(crate) success_url: String,
    pub(crate) cancel_url: Option<String>,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) customer: Option<String>,
    /// As the shop gave it.
    pub(crate) customer_email: Option<String>,
    /// As the shopper gave them.
    pub(crate) payer_email: Option<String>,
    pub(crate) payer_name: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) method_types: Vec<String>,
    /// None until the shopper pays.
    pub(crate) intent: Option<String>,
    pub(crate) intent_metadata: Metadata,
    pub(crate) intent_description: Option<String>,
    pub(crate) intent_capture_method: CaptureMethod,
    pub(crate) intent_receipt_email: Option<String>,
    pub(crate) intent_shipping: Option<Value>,
}

impl Row for Session {
    const MAX_ROWS: usize = 100_000;
    const NAME: &'static str = "checkout.session";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_s(&self) -> i64 {
        self.created_s
    }

    fn is_final(&self) -> bool {
        self.status != SessionStatus::Open
    }
}

impl LineItem {
    pub(crate) fn amount(&self) -> i64 {
        self.unit_amount * self.quantity
    }

    fn to_json(&self, session: &Session) -> Value {
        json!({
            "id": self.id,
            "object": "item",
            "adjustable_quantity": null,
            "amount_discount": 0,
            "amount_subtotal": self.amount(),
            "amount_tax": 0,
            "amount_total": self.amount(),
            "currency": session.currency,
            "description": self.name,
            "metadata": {},
            "price": {
                "id": self.price,
                "object": "price",
                "active": false,
                "billing_scheme": "per_unit",
                "created": session.created_s,
                "currency": session.currency,
                "custom_unit_amount": null,
                "livemode": false,
                "lookup_key": null,
                "metadata": {},
                "nickname": null,
                "product": self.product,
                "recurring": null,
                "tax_behavior": "unspecified",
                "tiers_mode": null,
                "transform_quantity": null,
                "type": "one_time",
                "unit_amount": self.unit_amount,
                "unit_amount_decimal": self.unit_amount.to_string(),
            },
            "quantity": self.quantity,
        })
    }
}

impl Session {
    /// The hosted page of the session.
    pub(crate) fn url(&self, public_url: &str) -> String {
        format!("{public_url}/c/pay/{}", self.id)
    }

    /// Where the shopper goes after paying.
    pub(crate) fn success_url(&self) -> String {
        self.success_url.replace("{CHECKOUT_SESSION_ID}", &self.id)
    }

    pub(crate) fn lines_json(&self) -> Vec<Value> {
        self.lines.iter().map(|line| line.to_json(self)).collect()
    }

    pub(crate) fn to_json(&self, public_url: &str) -> Value {
        let mut session = self.terms_json();
        join(&mut session, self.payment_json());
        join(&mut session, self.rest_json(public_url));
        session
    }

    fn terms_json(&self) -> Value {
        json!({
            "id": self.id,
            "object": "checkout.session",
            "adaptive_pricing": null,
            "after_expiration": null,
            "allow_promotion_codes": null,
            "amount_subtotal": self.amount_total,
            "amount_total": self.amount_total,
            "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
            "billing_address_collection": null,
            "cancel_url": self.cancel_url,
            "client_reference_id": self.client_reference_id,
            "client_secret": null,
            "collected_information": null,
            "consent": null,
            "consent_collection": null,
            "created": self.created_s,
            "currency": self.currency,
            "currency_conversion": null,
            "custom_fields": [],
            "custom_text": {
                "after_submit": null,
                "shipping_address": null,
                "submit": null,
                "terms_of_service_acceptance": null,
            },
        })
    }

    fn payment_json(&self) -> Value {
        json!({
            "customer": self.customer,
            "customer_creation": if self.customer.is_none() { Some("if_required") } else { None },
            "customer_details": self.customer_json(),
            "customer_email": self.customer_email,
            "discounts": [],
            "expires_at": self.expires_at_s,
            "invoice": null,
            "invoice_creation": null,
            "livemode": false,
            "locale": self.locale,
            "metadata": self.metadata,
            "mode": "payment",
            "origin_context": null,
            "payment_intent": self.intent,
            "payment_link": null,
            "payment_method_collection": "if_required",
            "payment_method_configuration_details": null,
            "payment_method_options": {},
            "payment_method_types": self.method_types,
            "payment_status": self.payment_status.as_str(),
        })
    }

    fn rest_json(&self, public_url: &str) -> Value {
        json!({
            "permissions": null,
            "phone_number_collection": { "enabled": false },
            "recovered_from": null,
            "saved_payment_method_options": null,
            "setup_intent": null,
            "shipping_address_collection": null,
            "shipping_cost": null,
            "shipping_options": [],
            "status": self.status.as_str(),
            "submit_type": null,
            "subscription": null,
            "success_url": self.success_url,
            "total_details": { "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 },
            "ui_mode": "hosted_page",
            "url": (self.status == SessionStatus::Open).then(|| self.url(public_url)),
            "wallet_options": null,
        })
    }

    /// Who paid; null until somebody did, unless the shop said who it will be.
    fn customer_json(&self) -> Value {
        match self.payer_email.as_ref().or(self.customer_email.as_ref()) {
            None => Value::Null,
            Some(email) => json!({
                "address": null,
                "business_name": null,
                "email": email,
                "individual_name": null,
                "name": self.payer_name,
                "phone": null,
                "tax_exempt": "none",
                "tax_ids": [],
            }),
        }
    }
}
