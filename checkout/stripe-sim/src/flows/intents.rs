//! PaymentIntents from creation to cancellation. What a payment method does to them is in `attempts.rs`.

use serde_json::Value;

use crate::error::ApiError;
use crate::methods::Given;
use crate::objects::{CaptureMethod, Intent, IntentStatus, PaymentMethod};
use crate::params::Metadata;
use crate::state::State;

/// What an intent is made of.
#[derive(Debug)]
pub(crate) struct NewIntent {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) is_confirmed_manually: bool,
    /// `allow_redirects` where payment methods are chosen automatically.
    pub(crate) automatic: Option<String>,
    /// Empty where they are chosen automatically.
    pub(crate) method_types: Vec<String>,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) receipt_email: Option<String>,
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) shipping: Option<Value>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) session: Option<String>,
}

/// How an intent is confirmed.
#[derive(Debug, Default)]
pub(crate) struct Confirmation {
    pub(crate) method: Option<Given>,
    pub(crate) return_url: Option<String>,
    /// The shopper is not there to authenticate.
    pub(crate) is_off_session: bool,
    /// What would need the shopper fails instead.
    pub(crate) error_on_action: bool,
}

impl State {
    /// Makes an intent, and gives its id.
    pub(crate) fn create_intent(&mut self, new: NewIntent) -> String {
        let id = self.ids.make("pi_");
        let client_secret = self.ids.make(&format!("{id}_secret_"));
        let method_types = match new.method_types.is_empty() {
            true => automatic_types(&new.currency),
            false => new.method_types,
        };
        let intent = Intent {
            id: id.clone(),
            client_secret,
            status: IntentStatus::RequiresPaymentMethod,
            amount: new.amount,
            amount_capturable: 0,
            amount_received: 0,
            currency: new.currency,
            capture_method: new.capture_method,
            is_confirmed_manually: new.is_confirmed_manually,
            automatic: new.automatic,
            method_types,
            method: None,
            created_s: self.now_s(),
            canceled_at_s: None,
            cancellation_reason: None,
            customer: new.customer,
            description: new.description,
            metadata: new.metadata,
            receipt_email: new.receipt_email,
            setup_future_usage: new.setup_future_usage,
            shipping: new.shipping,
            statement_descriptor: new.statement_descriptor,
            statement_descriptor_suffix: new.statement_descriptor_suffix,
            transfer_group: new.transfer_group,
            return_url: None,
            last_error: None,
            charges: Vec::new(),
            is_authenticated: false,
            session: new.session,
        };
        self.data.intents.insert(intent);
        self.emit_intent("payment_intent.created", &id);
        id
    }

    /// Gives an open intent a payment method, without confirming it.
    pub(crate) fn attach_method(&mut self, id: &str, given: Given) -> Result<(), ApiError> {
        let method = self.resolve_method(id, given)?;
        let intent = self.intent_mut(id)?;
        intent.method = Some(method);
        if intent.status == IntentStatus::RequiresPaymentMethod {
            intent.status = IntentStatus::RequiresConfirmation;
        }
        self.is_changed = true;
        Ok(())
    }

    /// Tries to pay.
    pub(crate) fn confirm_intent(&mut self, id: &str, confirmation: Confirmation) -> Result<(), ApiError> {
        if !self.intent(id)?.status.is_open() {
            return Err(self.unexpected_state(id, "confirmed"));
        }
        if let Some(given) = confirmation.method {
            self.attach_method(id, given)?;
        }
        let intent = self.intent_mut(id)?;
        if let Some(return_url) = confirmation.return_url {
            intent.return_url = Some(return_url);
        }
        if intent.method.is_none() {
            let message = "A PaymentIntent without a payment method cannot be confirmed.";
            let error = ApiError::refused(Some("payment_intent_unexpected_state"), message);
            return Err(error.with_payment_intent(self.intent_json(id)));
        }
        let redirects = intent.automatic.as_deref().is_some_and(|allow_redirects| allow_redirects != "never");
        if redirects && intent.return_url.is_none() && !confirmation.is_off_session {
            // Without one, a payment method that redirects the shopper could not bring them back.
            let message = "Payment methods of this PaymentIntent may redirect the shopper: give a return_url, or set \
                automatic_payment_methods[allow_redirects] to never.";
            let error = ApiError::refused(None, message).with_param("return_url");
            return Err(error.with_payment_intent(self.intent_json(id)));
        }
        intent.last_error = None;
        intent.is_authenticated = false;
        self.attempt(id, confirmation.is_off_session, confirmation.error_on_action)
    }

    /// Takes the money that was authorised, or part of it.
    pub(crate) fn capture_intent(&mut self, id: &str, amount: Option<i64>) -> Result<(), ApiError> {
        let intent = self.intent(id)?;
        if intent.status != IntentStatus::RequiresCapture {
            return Err(self.unexpected_state(id, "captured"));
        }
        let amount = amount.unwrap_or(intent.amount_capturable);
        if amount < 1 || amount > intent.amount_capturable {
            let message = format!("amount_to_capture must be from 1 to {}.", intent.amount_capturable);
            return Err(ApiError::refused(Some("amount_too_large"), message).with_param("amount_to_capture"));
        }
        self.take_money(id, amount)
    }

    /// Ends an intent that was not paid. That of a Checkout session ends with its session alone
    /// (<https://docs.stripe.com/api/payment_intents/cancel>).
    pub(crate) fn cancel_intent(&mut self, id: &str, reason: Option<&str>) -> Result<(), ApiError> {
        let intent = self.intent(id)?;
        if !(intent.status.is_open() || intent.status == IntentStatus::RequiresCapture) {
            return Err(self.unexpected_state(id, "canceled"));
        }
        if intent.session.is_some() {
            let message = "The intent belongs to a Checkout session; expire the session instead.";
            let error = ApiError::refused(Some("payment_intent_unexpected_state"), message);
            return Err(error.with_payment_intent(self.intent_json(id)));
        }
        self.end_intent(id, reason)
    }

    /// The same without asking for a session.
    pub(super) fn end_intent(&mut self, id: &str, reason: Option<&str>) -> Result<(), ApiError> {
        let now_s = self.now_s();
        let intent = self.intent_mut(id)?;
        let authorised = (intent.status == IntentStatus::RequiresCapture).then(|| intent.charges.last().cloned());
        intent.status = IntentStatus::Canceled;
        intent.amount_capturable = 0;
        intent.canceled_at_s = Some(now_s);
        intent.cancellation_reason = reason.map(str::to_owned);
        if let Some(charge) = authorised.flatten() {
            // What was authorised and never taken counts as refunded.
            let row = self.charge_mut(&charge)?;
            row.amount_refunded = row.amount;
            self.emit_charge("charge.refunded", &charge);
        }
        self.emit_intent("payment_intent.canceled", id);
        Ok(())
    }

    /// What is told where an intent's status does not allow what is asked for.
    pub(super) fn unexpected_state(&self, id: &str, deed: &str) -> ApiError {
        let status = self.data.intents.get(id).map_or("unknown", |intent| intent.status.as_str());
        let message = format!("A PaymentIntent with the status {status} cannot be {deed}.");
        let error = ApiError::refused(Some("payment_intent_unexpected_state"), message);
        error.with_payment_intent(self.intent_json(id))
    }

    fn resolve_method(&mut self, id: &str, given: Given) -> Result<PaymentMethod, ApiError> {
        let intent = self.intent(id)?;
        let spec = match given {
            Given::Spec(spec) => spec,
            Given::Id(method) => {
                let known = intent.method.as_ref().filter(|known| known.id == method);
                return known.cloned().ok_or_else(|| ApiError::missing("payment_method", "payment_method", &method));
            }
        };
        let kind = spec.kind.as_str();
        if !intent.method_types.iter().any(|allowed| allowed == kind) {
            let message = format!("This PaymentIntent does not take {kind}, only {}.", intent.method_types.join(", "));
            let error = ApiError::refused(Some("payment_intent_incompatible_payment_method"), message);
            return Err(error.with_param("payment_method"));
        }
        let method = self.ids.make("pm_1");
        Ok(PaymentMethod::new(method, spec, self.now_s()))
    }
}

/// What an account with the usual settings takes in a currency.
pub(crate) fn automatic_types(currency: &str) -> Vec<String> {
    let bank = match currency {
        "eur" => Some("sepa_debit"),
        "usd" => Some("us_bank_account"),
        _ => None,
    };
    ["card"].into_iter().chain(bank).map(str::to_owned).collect()
}
