//! Everything that happened, for those who check that nothing went wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::objects::{Charge, Intent, Refund, Session};
use crate::state::State;

/// All payments, the oldest first, and how often each endpoint was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub payment_intents: Vec<LedgerIntent>,
    pub refunds: Vec<LedgerRefund>,
    pub sessions: Vec<LedgerSession>,
    /// By method and path, as `POST /v1/payment_intents/*/confirm`.
    pub requests: BTreeMap<String, u64>,
    /// Calls that were answered with 429 because of the limit.
    pub rate_limited: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerIntent {
    pub id: String,
    pub status: String,
    /// Amounts are in the smallest unit of the currency.
    pub amount: i64,
    pub amount_received: i64,
    pub currency: String,
    pub metadata: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub created: i64,
    pub charges: Vec<LedgerCharge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCharge {
    pub id: String,
    pub paid: bool,
    pub status: String,
    pub amount: i64,
    pub amount_captured: i64,
    /// What was authorised and not captured counts as refunded, as it does for Stripe.
    pub amount_refunded: i64,
    pub disputed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRefund {
    pub id: String,
    pub payment_intent: String,
    pub charge: String,
    pub amount: i64,
    pub status: String,
    pub metadata: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSession {
    pub id: String,
    pub status: String,
    pub payment_status: String,
    pub payment_intent: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub client_reference_id: Option<String>,
}

impl Ledger {
    pub(crate) fn of(state: &State) -> Self {
        let requests = state.requests.iter().map(|(name, count)| ((*name).to_owned(), *count));
        Self {
            payment_intents: state.data.intents.oldest_first().map(|intent| intent_of(state, intent)).collect(),
            refunds: state.data.refunds.oldest_first().map(refund_of).collect(),
            sessions: state.data.sessions.oldest_first().map(session_of).collect(),
            requests: requests.collect(),
            rate_limited: state.rate_limited,
        }
    }
}

fn intent_of(state: &State, intent: &Intent) -> LedgerIntent {
    let charges = intent.charges.iter().filter_map(|charge| state.data.charges.get(charge));
    LedgerIntent {
        id: intent.id.clone(),
        status: intent.status.as_str().to_owned(),
        amount: intent.amount,
        amount_received: intent.amount_received,
        currency: intent.currency.clone(),
        metadata: intent.metadata.clone(),
        created: intent.created_s,
        charges: charges.map(charge_of).collect(),
    }
}

fn charge_of(charge: &Charge) -> LedgerCharge {
    LedgerCharge {
        id: charge.id.clone(),
        paid: charge.is_paid(),
        status: charge.status.as_str().to_owned(),
        amount: charge.amount,
        amount_captured: charge.amount_captured,
        amount_refunded: charge.amount_refunded,
        disputed: charge.dispute.is_some(),
    }
}

fn refund_of(refund: &Refund) -> LedgerRefund {
    LedgerRefund {
        id: refund.id.clone(),
        payment_intent: refund.intent.clone(),
        charge: refund.charge.clone(),
        amount: refund.amount,
        status: refund.status.as_str().to_owned(),
        metadata: refund.metadata.clone(),
    }
}

fn session_of(session: &Session) -> LedgerSession {
    LedgerSession {
        id: session.id.clone(),
        status: session.status.as_str().to_owned(),
        payment_status: session.payment_status.as_str().to_owned(),
        payment_intent: session.intent.clone(),
        metadata: session.metadata.clone(),
        client_reference_id: session.client_reference_id.clone(),
    }
}
