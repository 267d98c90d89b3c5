//! Balance transactions: every movement of money, with its fee.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::table::Row;

/// When money of a card becomes available.
const AVAILABLE_AFTER_S: i64 = 2 * 24 * 60 * 60;
/// What the simulator takes of a charge: 1.5% and 25 of the smallest unit.
const FEE_PER_MILLE: i64 = 15;
const FEE_FIXED: i64 = 25;
/// What a dispute costs.
const DISPUTE_FEE: i64 = 1_500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TransactionKind {
    Charge,
    /// A charge that is not of a card.
    Payment,
    Refund,
    /// A refund that is not to a card.
    PaymentRefund,
    RefundFailure,
    /// Money that a dispute takes.
    DisputeWithdrawal,
    /// Money that a won dispute brings back, with its fee.
    DisputeReinstatement,
}

impl TransactionKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::PaymentRefund => "payment_refund",
            Self::RefundFailure => "refund_failure",
            Self::DisputeWithdrawal | Self::DisputeReinstatement => "adjustment",
        }
    }

    fn category(self) -> &'static str {
        match self {
            Self::Charge | Self::Payment => "charge",
            Self::Refund | Self::PaymentRefund => "refund",
            Self::RefundFailure => "refund_failure",
            Self::DisputeWithdrawal => "dispute",
            Self::DisputeReinstatement => "dispute_reversal",
        }
    }

    fn fee(self, amount: i64) -> i64 {
        match self {
            Self::Charge | Self::Payment => (amount * FEE_PER_MILLE + 500) / 1_000 + FEE_FIXED,
            Self::DisputeWithdrawal => DISPUTE_FEE,
            Self::DisputeReinstatement => -DISPUTE_FEE,
            Self::Refund | Self::PaymentRefund | Self::RefundFailure => 0,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) id: String,
    pub(crate) kind: TransactionKind,
    /// The object that moved the money.
    pub(crate) source: String,
    /// Below zero where money goes out.
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) currency: String,
    pub(crate) created_s: i64,
}

impl Row for Transaction {
    const MAX_ROWS: usize = 400_000;
    const NAME: &'static str = "balance_transaction";

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

impl Transaction {
    pub(crate) fn new(
        id: String,
        kind: TransactionKind,
        source: &str,
        amount: i64,
        currency: &str,
        created_s: i64,
    ) -> Self {
        let fee = kind.fee(amount);
        Self { id, kind, source: source.to_owned(), amount, fee, currency: currency.to_owned(), created_s }
    }

    pub(crate) fn to_json(&self, now_s: i64) -> Value {
        let available_on_s = self.created_s + AVAILABLE_AFTER_S;
        let fee_details = match self.fee {
            0 => Vec::new(),
            fee => vec![json!({
                "amount": fee,
                "application": null,
                "currency": self.currency,
                "description": "Processing fees",
                "type": "stripe_fee",
            })],
        };
        json!({
            "id": self.id,
            "object": "balance_transaction",
            "amount": self.amount,
            "available_on": available_on_s,
            "balance_type": "payments",
            "created": self.created_s,
            "currency": self.currency,
            "description": null,
            "exchange_rate": null,
            "fee": self.fee,
            "fee_details": fee_details,
            "net": self.amount - self.fee,
            "reporting_category": self.kind.category(),
            "source": self.source,
            "status": if now_s >= available_on_s { "available" } else { "pending" },
            "type": self.kind.as_str(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_are_rounded_to_the_nearest_unit() {
        assert_eq!(TransactionKind::Charge.fee(1_000), 40);
        assert_eq!(TransactionKind::Charge.fee(1_033), 25 + 15, "15.495");
        assert_eq!(TransactionKind::Charge.fee(1_034), 25 + 16, "15.51");
        assert_eq!(TransactionKind::Refund.fee(-1_000), 0);
    }
}
