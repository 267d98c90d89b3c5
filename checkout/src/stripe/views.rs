//! The few fields of Stripe's objects that decide anything here.
//!
//! Everything else may drift: fields may come, go or change their form. What is read is strict, since a guess about money
//! is worse than an answer that counts as missing.

use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use snapshots::{Currency, Money};

use super::StripeError;
use crate::domain::{DisputeState, IntentStatus, RefundState, from_stripe_amount};
use crate::ids::{OrderId, PaymentId, RefundId};

/// A PaymentIntent.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IntentView {
    pub(crate) id: String,
    #[serde(rename = "status", deserialize_with = "intent_word")]
    word: IntentWord,
    amount_received: i64,
    currency: Currency,
    pub(crate) client_secret: Option<String>,
    last_payment_error: Option<LastError>,
    metadata: Option<Metadata>,
}

/// A Checkout Session.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SessionView {
    pub(crate) id: String,
    pub(crate) status: SessionStatus,
    /// The hosted page, while it is open.
    pub(crate) url: Option<String>,
    #[serde(default, deserialize_with = "id_of")]
    pub(crate) payment_intent: Option<String>,
    metadata: Option<Metadata>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionStatus {
    Open,
    /// The shopper has paid, or the money is under way.
    Complete,
    Expired,
}

/// A Refund.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RefundView {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "refund_state")]
    pub(crate) status: RefundStatus,
    amount: i64,
    currency: Currency,
    #[serde(default, deserialize_with = "id_of")]
    pub(crate) payment_intent: Option<String>,
    pub(crate) failure_reason: Option<String>,
    metadata: Option<Metadata>,
}

/// A charge that was refunded.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ChargeView {
    #[serde(default, deserialize_with = "id_of")]
    pub(crate) payment_intent: Option<String>,
}

/// A dispute.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DisputeView {
    pub(crate) id: String,
    #[serde(default, deserialize_with = "id_of")]
    pub(crate) payment_intent: Option<String>,
    status: String,
    /// The movements of money that it caused.
    balance_transactions: Option<Vec<IgnoredAny>>,
}

/// Stripe's word for where an intent stands.
#[derive(Clone, Copy, Debug)]
struct IntentWord {
    status: IntentStatus,
    wants_method: bool,
}

/// Stripe's word for where a refund stands. It may be absent, which is less than pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefundStatus(pub(crate) RefundState);

impl Default for RefundStatus {
    fn default() -> Self {
        Self(RefundState::Pending)
    }
}

/// What we wrote on an object, so that it can be found by it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Metadata {
    order_id: Option<String>,
    payment_id: Option<String>,
    refund_id: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    pub(crate) has_more: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct LastError {
    code: Option<String>,
}

impl IntentView {
    pub(crate) fn status(&self) -> IntentStatus {
        self.word.status
    }

    /// Whether no means to pay is at work: none was chosen yet, or the last one failed.
    pub(crate) fn wants_method(&self) -> bool {
        self.word.wants_method
    }

    /// What was received of the shopper.
    pub(crate) fn received(&self) -> Money {
        money(self.amount_received, self.currency)
    }

    /// Why the last card was refused.
    pub(crate) fn failure(&self) -> Option<String> {
        self.last_payment_error.as_ref().and_then(|error| error.code.clone())
    }

    pub(crate) fn metadata(&self) -> Metadata {
        self.metadata.clone().unwrap_or_default()
    }
}

impl SessionView {
    pub(crate) fn metadata(&self) -> Metadata {
        self.metadata.clone().unwrap_or_default()
    }
}

impl RefundView {
    pub(crate) fn amount(&self) -> Money {
        money(self.amount, self.currency)
    }

    pub(crate) fn metadata(&self) -> Metadata {
        self.metadata.clone().unwrap_or_default()
    }
}

impl DisputeView {
    pub(crate) fn state(&self) -> DisputeState {
        let took_money = self.balance_transactions.as_ref().is_some_and(|moved| !moved.is_empty());
        match self.status.as_str() {
            "won" | "warning_closed" => DisputeState::Won,
            "lost" => DisputeState::Lost,
            // Before it became a dispute: either the shopper got the money, or the bank gave way.
            "prevented" if took_money => DisputeState::Lost,
            "prevented" => DisputeState::Won,
            _ => DisputeState::Open,
        }
    }
}

impl Metadata {
    pub(crate) fn order(&self) -> Option<OrderId> {
        self.order_id.as_deref()?.parse().ok()
    }

    pub(crate) fn payment(&self) -> Option<PaymentId> {
        self.payment_id.as_deref()?.parse().ok()
    }

    pub(crate) fn refund(&self) -> Option<RefundId> {
        self.refund_id.as_deref()?.parse().ok()
    }
}

/// Reads an answer. The error says where it fails and nothing of what stands there: answers hold secrets and addresses.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, StripeError> {
    serde_json::from_slice(body).map_err(|error| {
        StripeError::Unknown(format!("the answer cannot be read at line {} column {}", error.line(), error.column()))
    })
}

/// A part of a minor unit is no money: it stays a number that differs from all that was asked for, which is noticed.
fn money(amount: i64, currency: Currency) -> Money {
    from_stripe_amount(amount, currency).unwrap_or_else(|| Money::from_minor(amount, currency))
}

fn intent_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IntentWord, D::Error> {
    let text = String::deserialize(deserializer)?;
    let status = match text.as_str() {
        "requires_payment_method" | "requires_confirmation" | "requires_action" => IntentStatus::RequiresAction,
        "processing" | "requires_capture" => IntentStatus::Processing,
        "succeeded" => IntentStatus::Succeeded,
        "canceled" => IntentStatus::Canceled,
        _ => return Err(D::Error::custom("an intent's status that is not known")),
    };
    Ok(IntentWord { status, wants_method: text == "requires_payment_method" })
}

fn refund_state<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RefundStatus, D::Error> {
    let state = match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("pending" | "requires_action") => RefundState::Pending,
        Some("succeeded") => RefundState::Succeeded,
        Some("failed" | "canceled") => RefundState::Failed,
        Some(_) => return Err(D::Error::custom("a refund's status that is not known")),
    };
    Ok(RefundStatus(state))
}

/// The id of an object that may be told as its id or as a whole.
fn id_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) => Ok(Some(id)),
        Some(Value::Object(object)) => match object.get("id") {
            Some(Value::String(id)) => Ok(Some(id.clone())),
            _ => Err(D::Error::custom("an object without an id")),
        },
        Some(_) => Err(D::Error::custom("neither an id nor an object")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn intent(change: impl FnOnce(&mut Value)) -> Result<IntentView, StripeError> {
        let mut object = json!({
            "id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 1250, "amount_received": 1250,
            "currency": "eur", "client_secret": "pi_1_secret_x", "last_payment_error": null,
            "metadata": {"order_id": "ord_0192f0c0a1b27c3d8e4f5a6b7c8d9e0f", "shop": "7"}, "created": 1_700_000_000,
        });
        change(&mut object);
        read(object.to_string().as_bytes())
    }

    #[test]
    fn an_intent_is_read_whatever_else_it_holds() {
        let view = intent(|object| object["new_field"] = json!({"deep": [1, 2.5, "x"]})).expect("an intent");
        assert_eq!((view.id.as_str(), view.status()), ("pi_1", IntentStatus::Succeeded));
        assert_eq!(view.received().to_string(), "12.50 EUR");
        assert!(view.metadata().order().is_some() && view.metadata().payment().is_none());
        let view = intent(|object| {
            object["status"] = json!("requires_payment_method");
            object["last_payment_error"] = json!({"code": "card_declined", "decline_code": "generic_decline"});
            object["metadata"] = Value::Null;
        });
        let view = view.expect("an intent");
        assert_eq!((view.failure().as_deref(), view.wants_method()), (Some("card_declined"), true));
    }

    #[test]
    fn what_decides_about_money_is_never_guessed() {
        let changes: [fn(&mut Value); 5] = [
            |object| object["status"] = json!("paid"),
            |object| object["amount_received"] = json!("1250"),
            |object| object["amount_received"] = Value::Null,
            |object| object["currency"] = json!("euro"),
            |object| object["id"] = Value::Null,
        ];
        for change in changes {
            let error = intent(change).expect_err("no intent");
            assert!(matches!(&error, StripeError::Unknown(_)), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(matches!(read::<IntentView>(b"<html>502"), Err(StripeError::Unknown(_))));
    }

    #[test]
    fn an_expanded_intent_counts_as_its_id() {
        let session = |intent: Value| {
            let object = json!({"id": "cs_1", "status": "complete", "url": null, "payment_intent": intent});
            read::<SessionView>(object.to_string().as_bytes()).map(|view| view.payment_intent)
        };
        assert_eq!(session(json!("pi_1")).expect("a session"), Some("pi_1".to_owned()));
        assert_eq!(session(json!({"id": "pi_1", "amount": 5})).expect("a session"), Some("pi_1".to_owned()));
        assert_eq!(session(Value::Null).expect("a session"), None);
        assert!(session(json!(7)).is_err());
    }

    /// One that was prevented by giving the money back counted as won.
    #[test]
    fn a_dispute_is_lost_where_the_money_is_gone() {
        let state = |status: &str, moved: Value| {
            let object = json!({"id": "dp_1", "status": status, "balance_transactions": moved});
            read::<DisputeView>(object.to_string().as_bytes()).expect("a dispute").state()
        };
        let moved = json!([{"id": "txn_1", "amount": -500}]);
        for status in ["needs_response", "under_review", "warning_needs_response", "a_new_word"] {
            assert_eq!(state(status, moved.clone()), DisputeState::Open, "{status}");
        }
        assert_eq!(state("won", moved.clone()), DisputeState::Won);
        assert_eq!(state("warning_closed", json!([])), DisputeState::Won);
        assert_eq!(state("lost", Value::Null), DisputeState::Lost);
        assert_eq!(state("prevented", moved), DisputeState::Lost);
        assert_eq!(state("prevented", json!([])), DisputeState::Won);
    }

    #[test]
    fn a_refund_s_words_are_four() {
        let refund = |status: Value| {
            let object = json!({"id": "re_1", "status": status, "amount": 500, "currency": "isk"});
            read::<RefundView>(object.to_string().as_bytes()).map(|view| (view.status.0, view.amount().amount_minor()))
        };
        assert_eq!(refund(Value::Null).expect("a refund"), (RefundState::Pending, 5));
        assert_eq!(refund(json!("requires_action")).expect("a refund"), (RefundState::Pending, 5));
        assert_eq!(refund(json!("succeeded")).expect("a refund"), (RefundState::Succeeded, 5));
        assert_eq!(refund(json!("canceled")).expect("a refund"), (RefundState::Failed, 5));
        assert!(refund(json!("lost")).is_err());
    }
}
