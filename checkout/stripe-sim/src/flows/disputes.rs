//! Disputes: a shopper asks the bank for the money back.

use crate::error::ApiError;
use crate::objects::{Dispute, DisputeStatus, TransactionKind};
use crate::state::State;

impl State {
    /// Opens a dispute over a charge, and gives its id.
    pub(crate) fn open_dispute(&mut self, charge: &str, reason: &str) -> Result<String, ApiError> {
        let row = self.charge(charge)?;
        if !row.is_captured || !row.is_paid() || row.dispute.is_some() {
            let message = format!("The charge {charge} took no money, or is disputed already.");
            return Err(ApiError::refused(None, message));
        }
        let (amount, currency, intent) = (row.amount_captured, row.currency.clone(), row.intent.clone());
        let brand = row.method.brand.clone();
        let id = self.ids.make("dp_");
        let transaction = self.move_money(TransactionKind::DisputeWithdrawal, &id, -amount, &currency);
        let dispute = Dispute {
            id: id.clone(),
            charge: charge.to_owned(),
            intent,
            status: DisputeStatus::NeedsResponse,
            reason: reason.to_owned(),
            amount,
            currency,
            brand,
            created_s: self.now_s(),
            transactions: vec![transaction],
        };
        self.data.disputes.insert(dispute);
        self.charge_mut(charge)?.dispute = Some(id.clone());
        self.emit_charge("charge.updated", charge);
        let shown = self.dispute_json(&id);
        self.emit("charge.dispute.created", &shown);
        self.emit("charge.dispute.funds_withdrawn", &shown);
        Ok(id)
    }

    /// The bank decides.
    pub(crate) fn close_dispute(&mut self, id: &str, is_won: bool) -> Result<(), ApiError> {
        let missing = || ApiError::missing("dispute", "dispute", id);
        let dispute = self.data.disputes.get_mut(id).ok_or_else(missing)?;
        if dispute.status != DisputeStatus::NeedsResponse {
            let message = format!("A dispute that is {} cannot be closed.", dispute.status.as_str());
            return Err(ApiError::refused(None, message));
        }
        dispute.status = if is_won { DisputeStatus::Won } else { DisputeStatus::Lost };
        let (amount, currency) = (dispute.amount, dispute.currency.clone());
        if is_won {
            let transaction = self.move_money(TransactionKind::DisputeReinstatement, id, amount, &currency);
            self.data.disputes.get_mut(id).ok_or_else(missing)?.transactions.push(transaction);
            let shown = self.dispute_json(id);
            self.emit("charge.dispute.funds_reinstated", &shown);
        }
        let shown = self.dispute_json(id);
        self.emit("charge.dispute.closed", &shown);
        Ok(())
    }
}
