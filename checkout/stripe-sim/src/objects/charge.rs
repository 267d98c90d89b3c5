//! Charges: one attempt of a payment.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::PaymentMethod;
use super::intent::join;
use crate::methods::MethodKind;
use crate::params::Metadata;
use crate::table::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ChargeStatus {
    Pending,
    Succeeded,
    Failed,
}

impl ChargeStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) intent: String,
    pub(crate) status: ChargeStatus,
    pub(crate) amount: i64,
    pub(crate) amount_captured: i64,
    /// What was given back, and what was authorised and never captured.
    pub(crate) amount_refunded: i64,
    pub(crate) is_captured: bool,
    pub(crate) is_authenticated: bool,
    pub(crate) currency: String,
    pub(crate) created_s: i64,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) receipt_email: Option<String>,
    pub(crate) shipping: Option<Value>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) method: PaymentMethod,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_message: Option<String>,
    pub(crate) decline_code: Option<String>,
    pub(crate) transaction: Option<String>,
    /// The oldest first.
    pub(crate) refunds: Vec<String>,
    pub(crate) dispute: Option<String>,
}

impl Row for Charge {
    const MAX_ROWS: usize = 400_000;
    const NAME: &'static str = "charge";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_s(&self) -> i64 {
        self.created_s
    }

    fn is_final(&self) -> bool {
        self.status != ChargeStatus::Pending
    }
}

impl Charge {
    pub(crate) fn is_paid(&self) -> bool {
        self.status == ChargeStatus::Succeeded
    }

    /// What can still be refunded.
    pub(crate) fn amount_left(&self) -> i64 {
        self.amount - self.amount_refunded
    }

    pub(crate) fn is_card(&self) -> bool {
        self.method.kind == MethodKind::Card
    }

    pub(crate) fn to_json(&self, public_url: &str) -> Value {
        let mut charge = json!({
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded,
            "application": null,
            "application_fee": null,
            "application_fee_amount": null,
            "balance_transaction": self.transaction,
            "billing_details": self.method.billing_json(),
            "calculated_statement_descriptor": "VITRINE",
            "captured": self.is_captured,
            "created": self.created_s,
            "currency": self.currency,
            "customer": self.customer,
            "description": self.description,
            "disputed": self.dispute.is_some(),
            "failure_balance_transaction": null,
            "failure_code": self.failure_code,
            "failure_message": self.failure_message,
            "fraud_details": {},
            "livemode": false,
            "metadata": self.metadata,
        });
        let more = json!({
            "on_behalf_of": null,
            "outcome": self.outcome_json(),
            "paid": self.is_paid(),
            "payment_intent": self.intent,
            "payment_method": self.method.id,
            "payment_method_details": self.method.details_json(self.amount, self.is_authenticated),
            "radar_options": {},
            "receipt_email": self.receipt_email,
            "receipt_number": null,
            "receipt_url": self.is_paid().then(|| format!("{public_url}/sim/receipts/{}", self.id)),
            "refunded": self.amount_refunded == self.amount,
            "review": null,
            "shipping": self.shipping,
            "source": null,
            "source_transfer": null,
            "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": self.statement_descriptor_suffix,
            "status": self.status.as_str(),
            "transfer_data": null,
            "transfer_group": self.transfer_group,
        });
        join(&mut charge, more);
        charge
    }

    fn outcome_json(&self) -> Value {
        let (kind, network_status, seller_message) = match self.status {
            ChargeStatus::Pending => return Value::Null,
            ChargeStatus::Succeeded => ("authorized", "approved_by_network", "Payment complete."),
            ChargeStatus::Failed => ("issuer_declined", "declined_by_network", "The issuer declined the payment."),
        };
        let reason = match self.status {
            ChargeStatus::Failed => self.decline_code.as_ref().or(self.failure_code.as_ref()),
            _ => None,
        };
        json!({
            "advice_code": null,
            "network_advice_code": null,
            "network_decline_code": null,
            "network_status": network_status,
            "reason": reason,
            "risk_level": "normal",
            "risk_score": 12,
            "seller_message": seller_message,
            "type": kind,
        })
    }
}
