//! One attempt to pay: what the payment method does, and how the intent, its charge and its session follow.

use crate::error::ApiError;
use crate::methods::{Behaviour, Decline, MethodKind};
use crate::objects::{
    CaptureMethod, Charge, ChargeStatus, Intent, IntentStatus, PaymentError, PaymentMethod, PaymentStatus,
    TransactionKind,
};
use crate::state::{DueKind, State};

/// Why a payment failed, beyond what issuers say.
struct Failure {
    code: &'static str,
    decline_code: Option<&'static str>,
    message: &'static str,
}

impl From<Decline> for Failure {
    fn from(decline: Decline) -> Self {
        Self { code: decline.code(), decline_code: decline.decline_code(), message: decline.message() }
    }
}

const AUTHENTICATION_FAILED: Failure = Failure {
    code: "payment_intent_authentication_failure",
    decline_code: None,
    message: "The shopper could not be authenticated; another payment method is needed.",
};
const AUTHENTICATION_REQUIRED: Failure = Failure {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    message: "Your card was declined: it asks for authentication.",
};
const DEBIT_FAILED: Failure = Failure {
    code: "payment_intent_payment_attempt_failed",
    decline_code: None,
    message: "The bank refused the debit.",
};

impl State {
    /// Lets the intent's payment method do what it does.
    pub(super) fn attempt(&mut self, id: &str, is_off_session: bool, error_on_action: bool) -> Result<(), ApiError> {
        let method = self.method(id)?;
        match method.behaviour {
            Behaviour::Approve | Behaviour::Dispute | Behaviour::RefundPending | Behaviour::RefundFails => {
                self.approve(id, &method)
            }
            Behaviour::Decline(decline) => {
                let charge = self.open_charge(id, &method)?;
                Err(self.fail(id, Some(charge), decline.into())?)
            }
            Behaviour::Authenticate(_) if is_off_session || error_on_action => {
                let charge = match is_off_session {
                    true => Some(self.open_charge(id, &method)?),
                    false => None,
                };
                Err(self.fail(id, charge, AUTHENTICATION_REQUIRED)?)
            }
            Behaviour::Authenticate(_) => {
                self.intent_mut(id)?.status = IntentStatus::RequiresAction;
                self.emit_intent("payment_intent.requires_action", id);
                Ok(())
            }
            Behaviour::Late { .. } => {
                let charge = self.open_charge(id, &method)?;
                self.intent_mut(id)?.status = IntentStatus::Processing;
                self.emit_charge("charge.pending", &charge);
                self.emit_intent("payment_intent.processing", id);
                self.schedule(self.settle_after_ms(), DueKind::SettleIntent(id.to_owned()));
                self.session_follows(id, PaymentStatus::Unpaid)
            }
        }
    }

    /// The shopper authenticated, or failed to. A decline afterwards is no error of this call.
    pub(crate) fn finish_authentication(&mut self, id: &str, succeeds: bool) -> Result<(), ApiError> {
        if self.intent(id)?.status != IntentStatus::RequiresAction {
            return Err(self.unexpected_state(id, "authenticated"));
        }
        let method = self.method(id)?;
        if !succeeds {
            self.fail(id, None, AUTHENTICATION_FAILED)?;
            return Ok(());
        }
        self.intent_mut(id)?.is_authenticated = true;
        match method.behaviour {
            Behaviour::Authenticate(Some(decline)) => {
                let charge = self.open_charge(id, &method)?;
                self.fail(id, Some(charge), decline.into())?;
                Ok(())
            }
            _ => self.approve(id, &method),
        }
    }

    /// The bank settles a late payment: as it is told, or else as the payment method says.
    pub(crate) fn settle_intent(&mut self, id: &str, succeeds: Option<bool>) -> Result<(), ApiError> {
        let intent = self.intent(id)?;
        if intent.status != IntentStatus::Processing {
            return Err(self.unexpected_state(id, "settled"));
        }
        let session = intent.session.clone();
        let charge = intent.charges.last().cloned();
        let method = self.method(id)?;
        if succeeds.unwrap_or(method.behaviour != Behaviour::Late { succeeds: false }) {
            return self.succeed(id, charge, &method);
        }
        self.fail(id, charge, DEBIT_FAILED)?;
        if let Some(session) = session {
            let shown = self.session_json(&session);
            self.emit("checkout.session.async_payment_failed", &shown);
        }
        Ok(())
    }

    /// Takes `amount` of what was authorised; the rest is let go.
    pub(super) fn take_money(&mut self, id: &str, amount: i64) -> Result<(), ApiError> {
        let charge = self.intent(id)?.charges.last().cloned();
        let charge = charge.ok_or_else(|| ApiError::missing("charge", "latest_charge", id))?;
        let row = self.charge_mut(&charge)?;
        row.is_captured = true;
        row.amount_captured = amount;
        row.amount_refunded = row.amount - amount;
        self.book(&charge)?;
        let intent = self.intent_mut(id)?;
        intent.status = IntentStatus::Succeeded;
        intent.amount_capturable = 0;
        intent.amount_received = amount;
        self.emit_charge("charge.captured", &charge);
        self.emit_intent("payment_intent.succeeded", id);
        self.session_follows(id, PaymentStatus::Paid)
    }

    fn approve(&mut self, id: &str, method: &PaymentMethod) -> Result<(), ApiError> {
        let charge = self.open_charge(id, method)?;
        self.succeed(id, Some(charge), method)
    }

    fn succeed(&mut self, id: &str, charge: Option<String>, method: &PaymentMethod) -> Result<(), ApiError> {
        let charge = charge.ok_or_else(|| ApiError::missing("charge", "latest_charge", id))?;
        let capture_method = self.intent(id)?.capture_method;
        let is_captured = capture_method != CaptureMethod::Manual;
        let row = self.charge_mut(&charge)?;
        row.status = ChargeStatus::Succeeded;
        row.is_captured = is_captured;
        row.amount_captured = if is_captured { row.amount } else { 0 };
        if capture_method == CaptureMethod::Automatic {
            self.book(&charge)?;
        }
        self.emit_charge("charge.succeeded", &charge);
        let intent = self.intent_mut(id)?;
        if !is_captured {
            intent.status = IntentStatus::RequiresCapture;
            intent.amount_capturable = intent.amount;
            self.emit_intent("payment_intent.amount_capturable_updated", id);
            return self.session_follows(id, PaymentStatus::Unpaid);
        }
        intent.status = IntentStatus::Succeeded;
        intent.amount_received = intent.amount;
        self.emit_intent("payment_intent.succeeded", id);
        if capture_method == CaptureMethod::AutomaticAsync {
            // The movement of money is known only after the answer, and told by an event of its own.
            self.book(&charge)?;
            self.emit_charge("charge.updated", &charge);
        }
        self.session_follows(id, PaymentStatus::Paid)?;
        if method.behaviour == Behaviour::Dispute {
            self.open_dispute(&charge, "fraudulent")?;
        }
        Ok(())
    }

    /// Notes that the attempt failed, and gives what a call answers then.
    fn fail(&mut self, id: &str, charge: Option<String>, failure: Failure) -> Result<ApiError, ApiError> {
        let method = self.method(id)?;
        if let Some(charge) = &charge {
            let row = self.charge_mut(charge)?;
            row.status = ChargeStatus::Failed;
            row.failure_code = Some(failure.code.to_owned());
            row.failure_message = Some(failure.message.to_owned());
            row.decline_code = failure.decline_code.map(str::to_owned);
            self.emit_charge("charge.failed", charge);
        }
        let intent = self.intent_mut(id)?;
        intent.status = IntentStatus::RequiresPaymentMethod;
        intent.method = None;
        intent.last_error = Some(PaymentError {
            code: failure.code.to_owned(),
            decline_code: failure.decline_code.map(str::to_owned),
            message: failure.message.to_owned(),
            charge: charge.clone(),
            method,
        });
        self.emit_intent("payment_intent.payment_failed", id);
        let error = ApiError::card(failure.code, failure.decline_code, failure.message);
        Ok(error.with_charge(charge).with_payment_intent(self.intent_json(id)))
    }

    /// Begins a charge for the intent's amount, and gives its id.
    fn open_charge(&mut self, id: &str, method: &PaymentMethod) -> Result<String, ApiError> {
        let prefix = if method.kind == MethodKind::Card { "ch_" } else { "py_" };
        let charge = self.ids.make(prefix);
        let now_s = self.now_s();
        let row = new_charge(charge.clone(), self.intent(id)?, method, now_s);
        self.data.charges.insert(row);
        self.intent_mut(id)?.charges.push(charge.clone());
        Ok(charge)
    }

    /// Notes the movement of money of a captured charge.
    fn book(&mut self, charge: &str) -> Result<(), ApiError> {
        let row = self.charge(charge)?;
        let kind = if row.is_card() { TransactionKind::Charge } else { TransactionKind::Payment };
        let (amount, currency) = (row.amount_captured, row.currency.clone());
        let transaction = self.move_money(kind, charge, amount, &currency);
        self.charge_mut(charge)?.transaction = Some(transaction);
        Ok(())
    }

    fn method(&self, id: &str) -> Result<PaymentMethod, ApiError> {
        self.intent(id)?.method.clone().ok_or_else(|| self.unexpected_state(id, "paid"))
    }
}

fn new_charge(id: String, intent: &Intent, method: &PaymentMethod, created_s: i64) -> Charge {
    Charge {
        id,
        intent: intent.id.clone(),
        status: ChargeStatus::Pending,
        amount: intent.amount,
        amount_captured: 0,
        amount_refunded: 0,
        is_captured: false,
        is_authenticated: intent.is_authenticated,
        currency: intent.currency.clone(),
        created_s,
        customer: intent.customer.clone(),
        description: intent.description.clone(),
        // A charge keeps the metadata that the intent had when it was made.
        metadata: intent.metadata.clone(),
        receipt_email: intent.receipt_email.clone(),
        shipping: intent.shipping.clone(),
        statement_descriptor: intent.statement_descriptor.clone(),
        statement_descriptor_suffix: intent.statement_descriptor_suffix.clone(),
        transfer_group: intent.transfer_group.clone(),
        method: method.clone(),
        failure_code: None,
        failure_message: None,
        decline_code: None,
        transaction: None,
        refunds: Vec::new(),
        dispute: None,
    }
}
