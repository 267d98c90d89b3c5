//! Rows as JSON, which is how a whole order is read and written in one statement. The names of the fields are the
//! columns'.

use serde::{Deserialize, Serialize};
use snapshots::{Currency, Money};

use super::failure::Failure;
use crate::domain::{
    Checkout, CheckoutState, DisputeState, Line, Order, OrderState, Payment, PaymentMethod, PaymentState, Refund,
    RefundState,
};
use crate::ids::{CartId, CheckoutId, OrderId, PaymentId, RefundId};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CheckoutRecord {
    pub(super) id: CheckoutId,
    state: CheckoutState,
    version: u32,
    market: String,
    currency: Currency,
    total_minor: i64,
    snapshot: String,
    held_until_ms: i64,
    cart_id: Option<CartId>,
    email: Option<String>,
    /// JSON, as text.
    shipping_address: Option<String>,
    /// `\x` and hexadecimal digits, as PostgreSQL has bytes.
    token_hash: String,
    created_ms: i64,
    look_ms: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LineRecord {
    line: usize,
    product: String,
    title: String,
    quantity: u32,
    unit_price_minor: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OrderRecord {
    id: OrderId,
    checkout_id: CheckoutId,
    state: OrderState,
    dispute: DisputeState,
    /// JSON, as text.
    disputes: Option<String>,
    version: u32,
    market: String,
    currency: Currency,
    total_minor: i64,
    snapshot: String,
    email: Option<String>,
    shipping_address: Option<String>,
    token_hash: String,
    cancel_requested: bool,
    created_ms: i64,
    updated_ms: i64,
    pub(super) changed_by: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PaymentRecord {
    id: PaymentId,
    order_id: OrderId,
    method: PaymentMethod,
    state: PaymentState,
    amount_minor: i64,
    currency: Currency,
    intent: Option<String>,
    session: Option<String>,
    client_secret: Option<String>,
    hosted_url: Option<String>,
    return_url: Option<String>,
    captured_minor: i64,
    refunded_minor: i64,
    failure: Option<String>,
    created_ms: i64,
    next_check_ms: Option<i64>,
    checks: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RefundRecord {
    id: RefundId,
    order_id: OrderId,
    payment_id: PaymentId,
    state: RefundState,
    amount_minor: i64,
    currency: Currency,
    stripe_refund: Option<String>,
    reason: Option<String>,
    failure: Option<String>,
    created_ms: i64,
    next_check_ms: Option<i64>,
    checks: u32,
}

/// A checkout with its lines, as one statement reads it.
#[derive(Debug, Deserialize)]
pub(super) struct WholeCheckout {
    checkout: CheckoutRecord,
    lines: Vec<LineRecord>,
}

/// An order with all that belongs to it, as one statement reads it.
#[derive(Debug, Deserialize)]
pub(super) struct WholeOrder {
    pub(super) order: OrderRecord,
    checkout_state: CheckoutState,
    held_until_ms: i64,
    lines: Vec<LineRecord>,
    payments: Vec<PaymentRecord>,
    refunds: Vec<RefundRecord>,
}

impl CheckoutRecord {
    pub(super) fn of(checkout: &Checkout) -> Self {
        let is_open = matches!(checkout.state, CheckoutState::Open | CheckoutState::Completing);
        Self {
            id: checkout.id,
            state: checkout.state,
            version: checkout.version,
            market: checkout.market.clone(),
            currency: checkout.currency,
            total_minor: checkout.total.amount_minor(),
            snapshot: checkout.snapshot.clone(),
            held_until_ms: checkout.held_until_ms,
            cart_id: checkout.cart,
            email: checkout.email.clone(),
            shipping_address: checkout.shipping_address.as_ref().map(ToString::to_string),
            token_hash: bytes_to_text(&checkout.token_hash),
            created_ms: checkout.created_ms,
            look_ms: is_open.then_some(checkout.held_until_ms),
        }
    }
}

impl LineRecord {
    pub(super) fn all_of(lines: &[Line]) -> Vec<Self> {
        let of = |(place, line): (usize, &Line)| Self {
            line: place,
            product: line.product.clone(),
            title: line.title.clone(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price.amount_minor(),
        };
        lines.iter().enumerate().map(of).collect()
    }

    fn into_line(self, currency: Currency) -> Line {
        Line {
            product: self.product,
            title: self.title,
            quantity: self.quantity,
            unit_price: Money::from_minor(self.unit_price_minor, currency),
        }
    }
}

impl OrderRecord {
    pub(super) fn of(order: &Order, changed_by: &str) -> Self {
        Self {
            id: order.id,
            checkout_id: order.checkout,
            state: order.state,
            dispute: order.dispute,
            disputes: order.disputes_as_json(),
            version: order.version,
            market: order.market.clone(),
            currency: order.currency,
            total_minor: order.total.amount_minor(),
            snapshot: order.snapshot.clone(),
            email: order.email.clone(),
            shipping_address: order.shipping_address.as_ref().map(ToString::to_string),
            token_hash: bytes_to_text(&order.token_hash),
            cancel_requested: order.cancel_requested,
            created_ms: order.created_ms,
            updated_ms: order.updated_ms,
            changed_by: changed_by.to_owned(),
        }
    }
}

impl PaymentRecord {
    pub(super) fn of(payment: &Payment) -> Self {
        Self {
            id: payment.id,
            order_id: payment.order,
            method: payment.method,
            state: payment.state,
            amount_minor: payment.amount.amount_minor(),
            currency: payment.amount.currency(),
            intent: payment.intent.clone(),
            session: payment.session.clone(),
            client_secret: payment.client_secret.clone(),
            hosted_url: payment.hosted_url.clone(),
            return_url: payment.return_url.clone(),
            captured_minor: payment.captured_minor,
            refunded_minor: payment.refunded_minor,
            failure: payment.failure.clone(),
            created_ms: payment.created_ms,
            next_check_ms: payment.next_check_ms,
            checks: payment.checks,
        }
    }

    fn into_payment(self) -> Payment {
        Payment {
            id: self.id,
            order: self.order_id,
            method: self.method,
            state: self.state,
            amount: Money::from_minor(self.amount_minor, self.currency),
            intent: self.intent,
            session: self.session,
            client_secret: self.client_secret,
            hosted_url: self.hosted_url,
            return_url: self.return_url,
            captured_minor: self.captured_minor,
            refunded_minor: self.refunded_minor,
            failure: self.failure,
            created_ms: self.created_ms,
            next_check_ms: self.next_check_ms,
            checks: self.checks,
        }
    }
}

impl RefundRecord {
    pub(super) fn of(refund: &Refund) -> Self {
        Self {
            id: refund.id,
            order_id: refund.order,
            payment_id: refund.payment,
            state: refund.state,
            amount_minor: refund.amount.amount_minor(),
            currency: refund.amount.currency(),
            stripe_refund: refund.stripe_refund.clone(),
            reason: refund.reason.clone(),
            failure: refund.failure.clone(),
            created_ms: refund.created_ms,
            next_check_ms: refund.next_check_ms,
            checks: refund.checks,
        }
    }

    fn into_refund(self) -> Refund {
        Refund {
            id: self.id,
            order: self.order_id,
            payment: self.payment_id,
            state: self.state,
            amount: Money::from_minor(self.amount_minor, self.currency),
            stripe_refund: self.stripe_refund,
            reason: self.reason,
            failure: self.failure,
            created_ms: self.created_ms,
            next_check_ms: self.next_check_ms,
            checks: self.checks,
        }
    }
}

impl WholeCheckout {
    pub(super) fn into_checkout(self) -> Result<Checkout, Failure> {
        let Self { checkout, lines } = self;
        let currency = checkout.currency;
        Ok(Checkout {
            id: checkout.id,
            state: checkout.state,
            version: checkout.version,
            market: checkout.market,
            currency,
            lines: lines.into_iter().map(|line| line.into_line(currency)).collect(),
            total: Money::from_minor(checkout.total_minor, currency),
            snapshot: checkout.snapshot,
            held_until_ms: checkout.held_until_ms,
            cart: checkout.cart_id,
            email: checkout.email,
            shipping_address: address(checkout.shipping_address)?,
            token_hash: bytes_from_text(&checkout.token_hash)?,
            created_ms: checkout.created_ms,
        })
    }
}

impl WholeOrder {
    pub(super) fn into_order(self) -> Result<Order, Failure> {
        let Self { order, checkout_state, held_until_ms, lines, payments, refunds } = self;
        let currency = order.currency;
        Ok(Order {
            id: order.id,
            checkout: order.checkout_id,
            checkout_state,
            held_until_ms,
            state: order.state,
            dispute: order.dispute,
            disputes: order.disputes.as_deref().map(from_json).transpose()?.unwrap_or_default(),
            version: order.version,
            market: order.market,
            currency,
            lines: lines.into_iter().map(|line| line.into_line(currency)).collect(),
            total: Money::from_minor(order.total_minor, currency),
            snapshot: order.snapshot,
            email: order.email,
            shipping_address: address(order.shipping_address)?,
            token_hash: bytes_from_text(&order.token_hash)?,
            cancel_requested: order.cancel_requested,
            payments: payments.into_iter().map(PaymentRecord::into_payment).collect(),
            refunds: refunds.into_iter().map(RefundRecord::into_refund).collect(),
            created_ms: order.created_ms,
            updated_ms: order.updated_ms,
        })
    }
}

/// What PostgreSQL said, as a record.
pub(super) fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::broken(format!("a row cannot be read: {error}")))
}

pub(super) fn to_json<T: Serialize + ?Sized>(records: &T) -> Result<String, Failure> {
    serde_json::to_string(records).map_err(|error| Failure::broken(format!("a row cannot be written: {error}")))
}

fn address(text: Option<String>) -> Result<Option<serde_json::Value>, Failure> {
    text.as_deref().map(from_json).transpose()
}

fn bytes_to_text(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\\x{digits}")
}

fn bytes_from_text(text: &str) -> Result<[u8; 32], Failure> {
    let fault = || Failure::broken("a hash is not 32 bytes");
    let digits = text.strip_prefix("\\x").filter(|digits| digits.len() == 64 && digits.is_ascii()).ok_or_else(fault)?;
    let mut bytes = [0; 32];
    for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[place..place + 2], 16).map_err(|_| fault())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_they_are_written_and_nothing_else_does() {
        let bytes: [u8; 32] = std::array::from_fn(|place| (place * 9 % 256) as u8);
        assert_eq!(bytes_from_text(&bytes_to_text(&bytes)).expect("32 bytes"), bytes);
        let short = bytes_to_text(&bytes[..31]);
        let strange = bytes_to_text(&bytes).replace("00", "0g");
        for text in ["", "\\x", short.as_str(), strange.as_str()] {
            assert!(bytes_from_text(text).is_err(), "{text}");
        }
    }
}
