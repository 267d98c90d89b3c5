//! Disputes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::table::Row;

/// How long there is to answer a dispute.
const DUE_AFTER_S: i64 = 7 * 24 * 60 * 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DisputeStatus {
    NeedsResponse,
    Won,
    Lost,
}

impl DisputeStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NeedsResponse => "needs_response",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) charge: String,
    pub(crate) intent: String,
    pub(crate) status: DisputeStatus,
    pub(crate) reason: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) brand: String,
    pub(crate) created_s: i64,
    /// The movements of money that it caused.
    pub(crate) transactions: Vec<String>,
}

impl Row for Dispute {
    const MAX_ROWS: usize = 50_000;
    const NAME: &'static str = "dispute";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_s(&self) -> i64 {
        self.created_s
    }

    fn is_final(&self) -> bool {
        self.status != DisputeStatus::NeedsResponse
    }
}

impl Dispute {
    /// `transactions` are the movements of money that it caused, as the API shows them.
    pub(crate) fn to_json(&self, transactions: Vec<Value>, now_s: i64) -> Value {
        let due_by_s = self.created_s + DUE_AFTER_S;
        json!({
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "balance_transactions": transactions,
            "charge": self.charge,
            "created": self.created_s,
            "currency": self.currency,
            "enhanced_eligibility_types": [],
            "evidence": evidence_json(),
            "evidence_details": {
                "due_by": due_by_s,
                "enhanced_eligibility": {},
                "has_evidence": false,
                "past_due": now_s > due_by_s,
                "submission_count": 0,
            },
            "is_charge_refundable": false,
            "livemode": false,
            "metadata": {},
            "payment_intent": self.intent,
            "payment_method_details": self.method_json(),
            "reason": self.reason,
            "status": self.status.as_str(),
        })
    }

    /// Null where it was no card: banks have no cases.
    fn method_json(&self) -> Value {
        match self.brand.is_empty() {
            true => Value::Null,
            false => json!({
                "type": "card",
                "card": {
                    "brand": self.brand,
                    "case_type": "chargeback",
                    "network": self.brand,
                    "network_reason_code": "10.4",
                },
            }),
        }
    }
}

/// No evidence was given.
fn evidence_json() -> Value {
    const NAMES: &[&str] = &[
        "access_activity_log",
        "billing_address",
        "cancellation_policy",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "customer_communication",
        "customer_email_address",
        "customer_name",
        "customer_purchase_ip",
        "customer_signature",
        "duplicate_charge_documentation",
        "duplicate_charge_explanation",
        "duplicate_charge_id",
        "product_description",
        "receipt",
        "refund_policy",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "service_date",
        "service_documentation",
        "shipping_address",
        "shipping_carrier",
        "shipping_date",
        "shipping_documentation",
        "shipping_tracking_number",
        "uncategorized_file",
        "uncategorized_text",
    ];
    let mut evidence = json!({ "enhanced_evidence": {} });
    for name in NAMES {
        evidence[*name] = Value::Null;
    }
    evidence
}
