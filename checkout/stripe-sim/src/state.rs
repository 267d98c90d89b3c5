//! All that the simulator knows. One lock guards it, and is never held across an await.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;
use crate::faults::Faults;
use crate::ids::Ids;
use crate::keys::Keys;
use crate::objects::{Charge, Dispute, Event, Intent, Refund, Session, Transaction, TransactionKind};
use crate::rates::Rates;
use crate::settings::{Settings, WebhookTarget};
use crate::table::{Row, Table};
use crate::webhook_queue::{Delivery, WebhookQueue};

/// How many endpoints events are delivered to.
pub(crate) const MAX_WEBHOOKS: usize = 16;

/// What outlives a restart.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Data {
    pub(crate) intents: Table<Intent>,
    pub(crate) charges: Table<Charge>,
    pub(crate) refunds: Table<Refund>,
    pub(crate) sessions: Table<Session>,
    pub(crate) disputes: Table<Dispute>,
    pub(crate) transactions: Table<Transaction>,
    pub(crate) events: Table<Event>,
    pub(crate) keys: Keys,
    dues: BTreeSet<Due>,
    dues_made: u64,
    /// How far the simulator's clock is ahead of the real one.
    clock_ahead_ms: i64,
}

/// Something that the clock will do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Due {
    at_ms: i64,
    /// Keeps apart what is due at the same time.
    made: u64,
    what: DueKind,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum DueKind {
    SettleIntent(String),
    SettleRefund { refund: String, succeeds: bool },
    ExpireSession(String),
}

/// Who caused what is happening.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    pub(crate) request: Option<String>,
    pub(crate) idempotency_key: Option<String>,
}

/// What can be changed while it runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Tuning {
    pub(crate) rate_limit_per_s: Option<u32>,
    pub(crate) latency_ms: u64,
    pub(crate) settle_after_s: u64,
}

pub(crate) struct State {
    pub(crate) data: Data,
    pub(crate) ids: Ids,
    pub(crate) faults: Faults,
    pub(crate) rates: Rates,
    pub(crate) webhooks: WebhookQueue,
    pub(crate) targets: Vec<WebhookTarget>,
    pub(crate) tuning: Tuning,
    pub(crate) api_version: String,
    /// How browsers reach the simulator, without a slash at its end.
    pub(crate) public_url: String,
    pub(crate) cause: Cause,
    /// How often each endpoint was called.
    pub(crate) requests: BTreeMap<&'static str, u64>,
    pub(crate) rate_limited: u64,
    /// Whether the data is other than what was written last.
    pub(crate) is_changed: bool,
    /// Events that nobody has taken for delivery yet.
    made: Vec<String>,
}

impl State {
    pub(crate) fn new(settings: &Settings, data: Data) -> Self {
        Self {
            data,
            ids: Ids::new(),
            faults: Faults::default(),
            rates: Rates::default(),
            webhooks: WebhookQueue::default(),
            targets: settings.webhooks.iter().take(MAX_WEBHOOKS).cloned().collect(),
            tuning: Tuning {
                rate_limit_per_s: settings.rate_limit_per_s,
                latency_ms: settings.latency_ms,
                settle_after_s: settings.settle_after_s,
            },
            api_version: settings.api_version.clone(),
            public_url: settings.public_url.clone().unwrap_or_default().trim_end_matches('/').to_owned(),
            cause: Cause::default(),
            requests: BTreeMap::new(),
            rate_limited: 0,
            is_changed: false,
            made: Vec::new(),
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let real_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64);
        real_ms.saturating_add(self.data.clock_ahead_ms)
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1_000)
    }

    /// Moves the clock forward, and does what falls due on the way.
    pub(crate) fn advance(&mut self, by_s: u32) {
        self.data.clock_ahead_ms = self.data.clock_ahead_ms.saturating_add(i64::from(by_s) * 1_000);
        self.is_changed = true;
        self.do_what_is_due();
    }

    /// Lets the clock do something so many milliseconds from now.
    pub(crate) fn schedule(&mut self, after_ms: i64, what: DueKind) {
        self.data.dues_made += 1;
        let due = Due { at_ms: self.now_ms().saturating_add(after_ms), made: self.data.dues_made, what };
        self.data.dues.insert(due);
    }

    pub(crate) fn settle_after_ms(&self) -> i64 {
        i64::try_from(self.tuning.settle_after_s.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }

    /// Does what the clock has reached.
    pub(crate) fn do_what_is_due(&mut self) {
        let now_ms = self.now_ms();
        while self.data.dues.first().is_some_and(|due| due.at_ms <= now_ms) {
            let Some(due) = self.data.dues.pop_first() else { return };
            self.is_changed = true;
            // What was settled by hand meanwhile is not in the state that the clock expects, and stays as it is.
            let _ = match due.what {
                DueKind::SettleIntent(id) => self.settle_intent(&id, None),
                DueKind::SettleRefund { refund, succeeds } => self.settle_refund(&refund, succeeds),
                DueKind::ExpireSession(id) => self.expire_session(&id),
            };
        }
    }

    /// Tells that something happened to an object, as it is now.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value) {
        let id = self.ids.make("evt_");
        let event = Event {
            id: id.clone(),
            kind: kind.to_owned(),
            created_s: self.now_s(),
            object: object.to_string(),
            api_version: self.api_version.clone(),
            pending_webhooks: self.targets.len() as u32,
            request: self.cause.request.clone(),
            idempotency_key: self.cause.idempotency_key.clone(),
        };
        self.data.events.insert(event);
        self.made.push(id);
        self.is_changed = true;
    }

    pub(crate) fn emit_intent(&mut self, kind: &str, id: &str) {
        let intent = self.intent_json(id);
        self.emit(kind, &intent);
    }

    pub(crate) fn emit_charge(&mut self, kind: &str, id: &str) {
        let charge = self.charge_json(id);
        self.emit(kind, &charge);
    }

    /// Hands over the events that were made, for delivery. Those are returned that must be delivered before the call
    /// that caused them is answered.
    pub(crate) fn take_made(&mut self, is_call: bool) -> Vec<Delivery> {
        if self.made.is_empty() {
            return Vec::new();
        }
        let made = std::mem::take(&mut self.made);
        self.webhooks.take_events(made, self.targets.len(), is_call)
    }

    pub(crate) fn intent(&self, id: &str) -> Result<&Intent, ApiError> {
        self.data.intents.get(id).ok_or_else(|| ApiError::missing(Intent::NAME, "intent", id))
    }

    pub(crate) fn intent_mut(&mut self, id: &str) -> Result<&mut Intent, ApiError> {
        self.data.intents.get_mut(id).ok_or_else(|| ApiError::missing(Intent::NAME, "intent", id))
    }

    pub(crate) fn charge(&self, id: &str) -> Result<&Charge, ApiError> {
        self.data.charges.get(id).ok_or_else(|| ApiError::missing(Charge::NAME, "charge", id))
    }

    pub(crate) fn charge_mut(&mut self, id: &str) -> Result<&mut Charge, ApiError> {
        self.data.charges.get_mut(id).ok_or_else(|| ApiError::missing(Charge::NAME, "charge", id))
    }

    pub(crate) fn session(&self, id: &str) -> Result<&Session, ApiError> {
        self.data.sessions.get(id).ok_or_else(|| ApiError::missing(Session::NAME, "session", id))
    }

    pub(crate) fn session_mut(&mut self, id: &str) -> Result<&mut Session, ApiError> {
        self.data.sessions.get_mut(id).ok_or_else(|| ApiError::missing(Session::NAME, "session", id))
    }

    /// Null where there is none any more; likewise for the others.
    pub(crate) fn intent_json(&self, id: &str) -> Value {
        self.data.intents.get(id).map_or(Value::Null, |intent| intent.to_json(&self.public_url))
    }

    pub(crate) fn charge_json(&self, id: &str) -> Value {
        self.data.charges.get(id).map_or(Value::Null, |charge| charge.to_json(&self.public_url))
    }

    pub(crate) fn refund_json(&self, id: &str) -> Value {
        self.data.refunds.get(id).map_or(Value::Null, Refund::to_json)
    }

    pub(crate) fn session_json(&self, id: &str) -> Value {
        self.data.sessions.get(id).map_or(Value::Null, |session| session.to_json(&self.public_url))
    }

    pub(crate) fn dispute_json(&self, id: &str) -> Value {
        self.data.disputes.get(id).map_or(Value::Null, |dispute| {
            let transactions = dispute.transactions.iter().map(|id| self.transaction_json(id)).collect();
            dispute.to_json(transactions, self.now_s())
        })
    }

    pub(crate) fn transaction_json(&self, id: &str) -> Value {
        self.data.transactions.get(id).map_or(Value::Null, |transaction| transaction.to_json(self.now_s()))
    }

    /// Notes a movement of money, and gives its id.
    pub(crate) fn move_money(&mut self, kind: TransactionKind, source: &str, amount: i64, currency: &str) -> String {
        let id = self.ids.make("txn_");
        let now_s = self.now_s();
        self.data.transactions.insert(Transaction::new(id.clone(), kind, source, amount, currency, now_s));
        id
    }

    /// Counts a call, and tells whether the endpoint takes one more now.
    pub(crate) fn admit(&mut self, endpoint: &'static str) -> bool {
        *self.requests.entry(endpoint).or_default() += 1;
        let Some(limit_per_s) = self.tuning.rate_limit_per_s else { return true };
        let is_allowed = self.rates.allow(endpoint, limit_per_s, Instant::now());
        if !is_allowed {
            self.rate_limited += 1;
        }
        is_allowed
    }
}
