//! Refunds: made of what a charge still has, and for some payment methods settled later.

use crate::error::ApiError;
use crate::methods::Behaviour;
use crate::objects::{ChargeStatus, DisputeStatus, Refund, RefundStatus, TransactionKind};
use crate::params::Metadata;
use crate::state::{DueKind, State};

/// What a refund is made of.
#[derive(Debug)]
pub(crate) struct NewRefund {
    pub(crate) charge: String,
    /// None for all that is left.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
}

impl State {
    /// Gives money back, and gives the refund's id.
    pub(crate) fn create_refund(&mut self, new: NewRefund) -> Result<String, ApiError> {
        let amount = self.refundable(&new.charge, new.amount)?;
        let now_s = self.now_s();
        let charge = self.charge(&new.charge)?;
        let (is_card, behaviour, currency) = (charge.is_card(), charge.method.behaviour, charge.currency.clone());
        let (intent, method_kind) = (charge.intent.clone(), charge.method.kind.as_str().to_owned());
        let (prefix, kind) = match is_card {
            true => ("re_", TransactionKind::Refund),
            false => ("pyr_", TransactionKind::PaymentRefund),
        };
        // Banks take their time; cards do unless the test card says otherwise.
        let is_pending = behaviour == Behaviour::RefundPending || !is_card;
        let id = self.ids.make(prefix);
        let transaction = self.move_money(kind, &id, -amount, &currency);
        let refund = Refund {
            id: id.clone(),
            charge: new.charge.clone(),
            intent,
            method_kind,
            status: if is_pending { RefundStatus::Pending } else { RefundStatus::Succeeded },
            amount,
            currency,
            created_s: now_s,
            reason: new.reason,
            metadata: new.metadata,
            transaction: Some(transaction),
            failure_transaction: None,
            failure_reason: None,
        };
        self.data.refunds.insert(refund);
        let charge = self.charge_mut(&new.charge)?;
        charge.amount_refunded += amount;
        charge.refunds.push(id.clone());
        let shown = self.refund_json(&id);
        self.emit("refund.created", &shown);
        self.emit_charge("charge.refunded", &new.charge);
        let succeeds = behaviour != Behaviour::RefundFails;
        if is_pending || !succeeds {
            self.schedule(self.settle_after_ms(), DueKind::SettleRefund { refund: id.clone(), succeeds });
        }
        Ok(id)
    }

    /// The bank takes a refund or sends it back. One that had succeeded can still fail.
    pub(crate) fn settle_refund(&mut self, id: &str, succeeds: bool) -> Result<(), ApiError> {
        let missing = || ApiError::missing("refund", "refund", id);
        let refund = self.data.refunds.get_mut(id).ok_or_else(missing)?;
        match (refund.status, succeeds) {
            (RefundStatus::Pending, true) => refund.status = RefundStatus::Succeeded,
            (RefundStatus::Pending | RefundStatus::Succeeded, false) => refund.status = RefundStatus::Failed,
            (status, _) => {
                let message = format!("A refund with the status {} cannot be settled so.", status.as_str());
                return Err(ApiError::refused(None, message));
            }
        }
        if !succeeds {
            self.give_refund_up(id)?;
        }
        let shown = self.refund_json(id);
        if !succeeds {
            self.emit("refund.failed", &shown);
        }
        self.emit("refund.updated", &shown);
        self.emit("charge.refund.updated", &shown);
        Ok(())
    }

    /// Brings the money of a failed refund back.
    fn give_refund_up(&mut self, id: &str) -> Result<(), ApiError> {
        let missing = || ApiError::missing("refund", "refund", id);
        let refund = self.data.refunds.get(id).ok_or_else(missing)?;
        let (amount, currency, charge) = (refund.amount, refund.currency.clone(), refund.charge.clone());
        let transaction = self.move_money(TransactionKind::RefundFailure, id, amount, &currency);
        let refund = self.data.refunds.get_mut(id).ok_or_else(missing)?;
        refund.failure_reason = Some("expired_or_canceled_card".to_owned());
        refund.failure_transaction = Some(transaction);
        self.charge_mut(&charge)?.amount_refunded -= amount;
        self.emit_charge("charge.updated", &charge);
        Ok(())
    }

    /// How much is refunded, where that is allowed.
    fn refundable(&self, charge: &str, amount: Option<i64>) -> Result<i64, ApiError> {
        let row = self.charge(charge)?;
        let left = row.amount_left();
        if row.status != ChargeStatus::Succeeded || !row.is_captured {
            let message = format!("The charge {charge} took no money that could be given back.");
            return Err(ApiError::refused(Some("charge_not_refundable"), message));
        }
        let dispute = row.dispute.as_ref().and_then(|dispute| self.data.disputes.get(dispute));
        if dispute.is_some_and(|dispute| dispute.status != DisputeStatus::Won) {
            let message = format!("The charge {charge} is disputed.");
            return Err(ApiError::refused(Some("charge_disputed"), message));
        }
        if left == 0 {
            let message = format!("The charge {charge} has already been refunded.");
            return Err(ApiError::refused(Some("charge_already_refunded"), message));
        }
        let amount = amount.unwrap_or(left);
        if amount > left {
            let message = format!("The refund of {amount} is more than the {left} that the charge has left.");
            return Err(ApiError::refused(None, message).with_param("amount"));
        }
        Ok(amount)
    }
}
