//! What clients are told of carts, checkouts, orders and stock.

use serde_json::{Value, json};
use snapshots::Money;

use crate::domain::{Checkout, Line, Order, Payment, PaymentState, Refund, RefundState};
use crate::store::{Cart, OrderRow, StockLevel};

pub(crate) fn money(money: Money) -> Value {
    json!({ "amount_minor": money.amount_minor(), "currency": money.currency().as_str() })
}

/// A moment as RFC 3339 has it; null where the clock of whoever wrote it was beyond all calendars.
pub(crate) fn time(ms: i64) -> Value {
    jiff::Timestamp::from_millisecond(ms).map_or(Value::Null, |time| json!(time.to_string()))
}

pub(crate) fn cart(cart: &Cart) -> Value {
    let line = |line: &crate::store::CartLine| json!({ "product": line.product, "quantity": line.quantity });
    json!({ "cart": {
        "id": cart.id,
        "version": cart.version,
        "market": named(&cart.market),
        "lines": cart.lines.iter().map(line).collect::<Vec<_>>(),
        "expires": time(cart.expires_ms),
    }})
}

pub(crate) fn lines(lines: &[Line]) -> Value {
    let line = |line: &Line| {
        json!({
            "product": line.product,
            "title": line.title,
            "quantity": line.quantity,
            "unit_price": money(line.unit_price),
            // Their sum fits, or the checkout would not exist.
            "total": line.unit_price.checked_mul(line.quantity).map_or(Value::Null, money),
        })
    };
    Value::Array(lines.iter().map(line).collect())
}

pub(crate) fn checkout(checkout: &Checkout) -> Value {
    json!({
        "id": checkout.id,
        "state": checkout.state,
        "version": checkout.version,
        "market": named(&checkout.market),
        "currency": checkout.currency.as_str(),
        "lines": lines(&checkout.lines),
        "total": money(checkout.total),
        "snapshot": checkout.snapshot,
        "held_until": time(checkout.held_until_ms),
        "cart": checkout.cart,
        "email": checkout.email,
        "shipping_address": checkout.shipping_address,
        "created": time(checkout.created_ms),
    })
}

pub(crate) fn order(order: &Order) -> Value {
    let (captured, refunded) = order.captured_and_refunded();
    let amount = |minor| money(Money::from_minor(minor, order.currency));
    json!({
        "id": order.id,
        "checkout": order.checkout,
        "checkout_state": order.checkout_state,
        "state": order.state,
        "dispute": order.dispute,
        "version": order.version,
        "market": named(&order.market),
        "currency": order.currency.as_str(),
        "lines": lines(&order.lines),
        "total": money(order.total),
        "captured": amount(captured),
        "refunded": amount(refunded),
        "snapshot": order.snapshot,
        "email": order.email,
        "shipping_address": order.shipping_address,
        "cancel_requested": order.cancel_requested,
        "held_until": time(order.held_until_ms),
        "payments": order.payments.iter().map(payment).collect::<Vec<_>>(),
        "refunds": order.refunds.iter().map(refund).collect::<Vec<_>>(),
        "created": time(order.created_ms),
        "updated": time(order.updated_ms),
    })
}

/// An attempt to be paid. What has not been answered yet is `processing`, too: the client does the same, it asks again.
fn payment(payment: &Payment) -> Value {
    let state = match payment.state {
        state if state.is_unanswered() => json!(PaymentState::Processing),
        state => json!(state),
    };
    let is_open = payment.state == PaymentState::RequiresAction;
    json!({
        "id": payment.id,
        "method": payment.method,
        "state": state,
        "amount": money(payment.amount),
        // Of no use to anybody but the shopper who is to pay.
        "client_secret": payment.client_secret.as_ref().filter(|_| is_open),
        "hosted_url": payment.hosted_url.as_ref().filter(|_| is_open),
        "failure": payment.failure,
        "created": time(payment.created_ms),
    })
}

/// The attempt that a client goes on with: the one that may still succeed, or else the last one.
pub(crate) fn current_payment(order: &Order) -> Option<&Payment> {
    order.live_payment().or_else(|| order.payments.last())
}

/// The same for whoever asks, by the order, by the checkout or by completing it.
pub(crate) fn current_payment_json(order: &Order, publishable_key: Option<&str>) -> Value {
    let Some(current) = current_payment(order) else { return Value::Null };
    let mut told = payment(current);
    if let (Some(key), false) = (publishable_key, told["client_secret"].is_null()) {
        told["publishable_key"] = json!(key);
    }
    told
}

pub(crate) fn refund(refund: &Refund) -> Value {
    let state = match refund.state {
        RefundState::Requesting | RefundState::Unknown => json!(RefundState::Pending),
        state => json!(state),
    };
    json!({
        "id": refund.id,
        "payment": refund.payment,
        "state": state,
        "amount": money(refund.amount),
        "reason": refund.reason,
        "failure": refund.failure,
        "created": time(refund.created_ms),
    })
}

pub(crate) fn order_row(row: &OrderRow) -> Value {
    json!({
        "id": row.id,
        "state": row.state,
        "market": named(&row.market),
        "total": money(row.total),
        "created": time(row.created_ms),
    })
}

pub(crate) fn stock(level: &StockLevel) -> Value {
    json!({ "stock": { "product": level.product, "available": level.available, "held": level.held } })
}

/// A market's name; the edge's first market has none here.
fn named(market: &str) -> Option<&str> {
    Some(market).filter(|market| !market.is_empty())
}
