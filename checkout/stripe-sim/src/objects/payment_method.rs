//! Payment methods that were made for an intent.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::methods::{Behaviour, MethodKind, Spec};

/// The year in which the test cards end; it only has to lie ahead.
const CARD_EXPIRY_YEAR: i64 = 2_040;

/// A payment method that was made for an intent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PaymentMethod {
    pub(crate) id: String,
    pub(crate) kind: MethodKind,
    pub(crate) behaviour: Behaviour,
    pub(crate) brand: String,
    pub(crate) last4: String,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) created_s: i64,
}

impl PaymentMethod {
    pub(crate) fn new(id: String, spec: Spec, created_s: i64) -> Self {
        Self {
            id,
            kind: spec.kind,
            behaviour: spec.behaviour,
            brand: spec.brand.to_owned(),
            last4: spec.last4,
            email: spec.email,
            name: spec.name,
            created_s,
        }
    }

    pub(crate) fn to_json(&self, customer: Option<&str>) -> Value {
        let details = match self.kind {
            MethodKind::Card => json!({
                "brand": self.brand,
                "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
                "country": "US",
                "display_brand": self.brand,
                "exp_month": 12,
                "exp_year": CARD_EXPIRY_YEAR,
                "fingerprint": format!("sim{}", self.last4),
                "funding": "credit",
                "generated_from": null,
                "last4": self.last4,
                "networks": { "available": [self.brand], "preferred": null },
                "three_d_secure_usage": { "supported": true },
                "wallet": null,
            }),
            MethodKind::SepaDebit => json!({
                "bank_code": "19043",
                "branch_code": "",
                "country": "AT",
                "fingerprint": format!("sim{}", self.last4),
                "generated_from": { "charge": null, "setup_attempt": null },
                "last4": self.last4,
            }),
            MethodKind::UsBankAccount => json!({
                "account_holder_type": "individual",
                "account_type": "checking",
                "bank_name": "SIMULATED BANK",
                "financial_connections_account": null,
                "fingerprint": format!("sim{}", self.last4),
                "last4": self.last4,
                "networks": { "preferred": "ach", "supported": ["ach"] },
                "routing_number": "110000000",
                "status_details": {},
            }),
        };
        let mut method = json!({
            "id": self.id,
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": self.billing_json(),
            "created": self.created_s,
            "customer": customer,
            "livemode": false,
            "metadata": {},
            "type": self.kind.as_str(),
        });
        method[self.kind.as_str()] = details;
        method
    }

    pub(crate) fn billing_json(&self) -> Value {
        let address = json!({
            "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null,
        });
        json!({ "address": address, "email": self.email, "name": self.name, "phone": null, "tax_id": null })
    }

    /// `payment_method_details` of a charge.
    pub(crate) fn details_json(&self, amount: i64, is_authenticated: bool) -> Value {
        let three_d_secure = match is_authenticated {
            false => Value::Null,
            true => json!({
                "authentication_flow": "challenge",
                "electronic_commerce_indicator": "05",
                "exemption_indicator": null,
                "result": "authenticated",
                "result_reason": null,
                "transaction_id": null,
                "version": "2.2.0",
            }),
        };
        let details = match self.kind {
            MethodKind::Card => json!({
                "amount_authorized": amount,
                "authorization_code": "123456",
                "brand": self.brand,
                "checks": { "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass" },
                "country": "US",
                "exp_month": 12,
                "exp_year": CARD_EXPIRY_YEAR,
                "fingerprint": format!("sim{}", self.last4),
                "funding": "credit",
                "installments": null,
                "last4": self.last4,
                "mandate": null,
                "network": self.brand,
                "network_transaction_id": null,
                "three_d_secure": three_d_secure,
                "wallet": null,
            }),
            MethodKind::SepaDebit => json!({
                "bank_code": "19043",
                "branch_code": "",
                "country": "AT",
                "fingerprint": format!("sim{}", self.last4),
                "last4": self.last4,
                "mandate": null,
            }),
            MethodKind::UsBankAccount => json!({
                "account_holder_type": "individual",
                "account_type": "checking",
                "bank_name": "SIMULATED BANK",
                "fingerprint": format!("sim{}", self.last4),
                "last4": self.last4,
                "payment_reference": null,
                "routing_number": "110000000",
            }),
        };
        let mut all = json!({ "type": self.kind.as_str() });
        all[self.kind.as_str()] = details;
        all
    }
}
