//! What banks of shoppers have to say about charges.

use serde::{Deserialize, Serialize};

use super::decide::Effects;
use super::order::{Order, OrderEvent};
use crate::ids::PaymentId;

/// Disputes of one order. A charge is disputed a few times at the most.
const MAX_DISPUTES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeState {
    None,
    Open,
    Won,
    Lost,
}

impl DisputeState {
    /// One that was decided is not open again, whatever a late event says. A decision may be overturned.
    fn may_become(self, next: Self) -> bool {
        self != next && next.is_decided()
    }

    pub fn is_decided(self) -> bool {
        matches!(self, Self::Won | Self::Lost)
    }
}

/// A dispute, as Stripe told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// Stripe's id.
    pub id: String,
    pub payment: PaymentId,
    pub state: DisputeState,
}

impl Order {
    /// Whether what is told would overturn a decision that is known, which what comes late must not.
    pub fn is_overturned_by(&self, told: &Dispute) -> bool {
        match self.disputes.iter().find(|one| one.id == told.id) {
            Some(one) => one.state.is_decided() && one.state.may_become(told.state),
            // Decided before each had a state of its own.
            None => self.disputes.is_empty() && self.dispute.is_decided() && self.dispute != told.state,
        }
    }

    pub(super) fn take_dispute(&mut self, told: &Dispute, effects: &mut Effects) {
        if !self.payments.iter().any(|one| one.id == told.payment) {
            return;
        }
        // Told before each had a state of its own.
        if self.disputes.is_empty() && self.dispute == told.state {
            self.disputes.push(told.clone());
            return;
        }
        match self.disputes.iter().position(|one| one.id == told.id) {
            Some(place) if self.disputes[place].state.may_become(told.state) => {
                self.disputes[place].state = told.state;
            }
            None if self.disputes.len() < MAX_DISPUTES => self.disputes.push(told.clone()),
            _ => return,
        }
        self.dispute = standing(&self.disputes);
        match told.state {
            DisputeState::Open => self.tell(OrderEvent::Disputed, effects),
            _ => self.tell(OrderEvent::DisputeClosed, effects),
        }
    }
}

/// Where all disputes of an order stand together: open while one is, lost where one was.
fn standing(disputes: &[Dispute]) -> DisputeState {
    let states = [DisputeState::Open, DisputeState::Lost, DisputeState::Won];
    let is_there = |state: &DisputeState| disputes.iter().any(|one| one.state == *state);
    states.into_iter().find(is_there).unwrap_or(DisputeState::None)
}
