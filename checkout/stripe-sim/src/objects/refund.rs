//! Refunds.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::params::Metadata;
use crate::table::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

impl RefundStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) charge: String,
    pub(crate) intent: String,
    /// What it was paid with, as the charge calls it.
    pub(crate) method_kind: String,
    pub(crate) status: RefundStatus,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) created_s: i64,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) transaction: Option<String>,
    pub(crate) failure_transaction: Option<String>,
    pub(crate) failure_reason: Option<String>,
}

impl Row for Refund {
    const MAX_ROWS: usize = 200_000;
    const NAME: &'static str = "refund";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_s(&self) -> i64 {
        self.created_s
    }

    fn is_final(&self) -> bool {
        self.status != RefundStatus::Pending
    }
}

impl Refund {
    pub(crate) fn to_json(&self) -> Value {
        let mut destination = json!({ "type": self.method_kind });
        destination[self.method_kind.as_str()] = match self.method_kind.as_str() {
            "card" => json!({
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            }),
            _ => json!({}),
        };
        let mut refund = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": self.transaction,
            "charge": self.charge,
            "created": self.created_s,
            "currency": self.currency,
            "destination_details": destination,
            "metadata": self.metadata,
            "payment_intent": self.intent,
            "reason": self.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": self.status.as_str(),
            "transfer_reversal": null,
        });
        if self.status == RefundStatus::Pending {
            refund["pending_reason"] = json!("processing");
        }
        if let Some(reason) = &self.failure_reason {
            refund["failure_reason"] = json!(reason);
            refund["failure_balance_transaction"] = json!(self.failure_transaction);
        }
        refund
    }
}
