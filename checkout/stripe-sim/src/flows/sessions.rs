//! Checkout sessions: the shop opens one, the shopper pays on its page, or it expires.

use serde_json::Value;

use super::{Confirmation, NewIntent};
use crate::error::ApiError;
use crate::methods::Given;
use crate::objects::{CaptureMethod, IntentStatus, LineItem, PaymentStatus, Session, SessionStatus};
use crate::params::Metadata;
use crate::state::{DueKind, State};

/// What a session is made of.
#[derive(Debug)]
pub(crate) struct NewSession {
    pub(crate) currency: String,
    pub(crate) lines: Vec<LineItem>,
    pub(crate) expires_at_s: i64,
    pub(crate) success_url: String,
    pub(crate) cancel_url: Option<String>,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) customer_email: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) method_types: Vec<String>,
    pub(crate) intent_metadata: Metadata,
    pub(crate) intent_description: Option<String>,
    pub(crate) intent_capture_method: CaptureMethod,
    pub(crate) intent_receipt_email: Option<String>,
    pub(crate) intent_shipping: Option<Value>,
}

/// Who pays, as they say on the page.
#[derive(Debug, Default)]
pub(crate) struct Payer {
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
}

impl State {
    /// Opens a session, and gives its id.
    pub(crate) fn create_session(&mut self, new: NewSession) -> String {
        let id = self.ids.make("cs_test_");
        let now_ms = self.now_ms();
        let expires_at_s = new.expires_at_s;
        let session = Session {
            id: id.clone(),
            status: SessionStatus::Open,
            payment_status: PaymentStatus::Unpaid,
            currency: new.currency,
            amount_total: new.lines.iter().map(LineItem::amount).sum(),
            lines: new.lines,
            created_s: now_ms.div_euclid(1_000),
            expires_at_s,
            success_url: new.success_url,
            cancel_url: new.cancel_url,
            client_reference_id: new.client_reference_id,
            customer: new.customer,
            customer_email: new.customer_email,
            payer_email: None,
            payer_name: None,
            locale: new.locale,
            metadata: new.metadata,
            method_types: new.method_types,
            intent: None,
            intent_metadata: new.intent_metadata,
            intent_description: new.intent_description,
            intent_capture_method: new.intent_capture_method,
            intent_receipt_email: new.intent_receipt_email,
            intent_shipping: new.intent_shipping,
        };
        self.data.sessions.insert(session);
        self.schedule(expires_at_s * 1_000 - now_ms, DueKind::ExpireSession(id.clone()));
        self.is_changed = true;
        id
    }

    /// The shopper pays on the session's page. A decline leaves the session open.
    pub(crate) fn pay_session(&mut self, id: &str, payer: Payer, given: Given) -> Result<(), ApiError> {
        let session = self.session(id)?;
        if session.status != SessionStatus::Open {
            let message = format!("A Checkout session that is {} cannot be paid.", session.status.as_str());
            return Err(ApiError::refused(None, message));
        }
        let success_url = session.success_url();
        let intent = match &session.intent {
            Some(intent) => intent.clone(),
            None => {
                let new = intent_of(session);
                let intent = self.create_intent(new);
                self.session_mut(id)?.intent = Some(intent.clone());
                intent
            }
        };
        let session = self.session_mut(id)?;
        session.payer_email = payer.email.or(session.payer_email.take());
        session.payer_name = payer.name.or(session.payer_name.take());
        let confirmation =
            Confirmation { method: Some(given), return_url: Some(success_url), ..Confirmation::default() };
        self.confirm_intent(&intent, confirmation)
    }

    /// Ends an open session, by a call or by the clock.
    pub(crate) fn expire_session(&mut self, id: &str) -> Result<(), ApiError> {
        let session = self.session_mut(id)?;
        if session.status != SessionStatus::Open {
            let message = format!("Only an open Checkout session can expire; this one is {}.", session.status.as_str());
            return Err(ApiError::refused(None, message));
        }
        session.status = SessionStatus::Expired;
        let intent = session.intent.clone();
        if let Some(intent) = intent.filter(|intent| self.intent(intent).is_ok_and(|row| row.status.is_open())) {
            self.end_intent(&intent, Some("automatic"))?;
        }
        let shown = self.session_json(id);
        self.emit("checkout.session.expired", &shown);
        Ok(())
    }

    /// Brings the session of an intent, if it has one, to where the payment is.
    pub(super) fn session_follows(&mut self, intent: &str, payment_status: PaymentStatus) -> Result<(), ApiError> {
        let intent = self.intent(intent)?;
        let is_late = intent.status == IntentStatus::Succeeded && intent.capture_method != CaptureMethod::Manual;
        let Some(id) = intent.session.clone() else { return Ok(()) };
        let session = self.session_mut(&id)?;
        session.payment_status = payment_status;
        let event = match session.status {
            SessionStatus::Open => "checkout.session.completed",
            SessionStatus::Complete if is_late => "checkout.session.async_payment_succeeded",
            SessionStatus::Complete | SessionStatus::Expired => return Ok(()),
        };
        session.status = SessionStatus::Complete;
        let shown = self.session_json(&id);
        self.emit(event, &shown);
        Ok(())
    }
}

fn intent_of(session: &Session) -> NewIntent {
    NewIntent {
        amount: session.amount_total,
        currency: session.currency.clone(),
        capture_method: session.intent_capture_method,
        is_confirmed_manually: false,
        automatic: None,
        method_types: session.method_types.clone(),
        customer: session.customer.clone(),
        description: session.intent_description.clone(),
        metadata: session.intent_metadata.clone(),
        receipt_email: session.intent_receipt_email.clone(),
        setup_future_usage: None,
        shipping: session.intent_shipping.clone(),
        statement_descriptor: None,
        statement_descriptor_suffix: None,
        transfer_group: None,
        session: Some(session.id.clone()),
    }
}
