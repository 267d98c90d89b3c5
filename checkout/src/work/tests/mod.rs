//! The working parts against a Stripe that answers whatever a test wants.

mod asking;
mod comparing;
mod glue;
mod memory;

use secrecy::SecretString;
use serde_json::{Value, json};
use snapshots::{Currency, Money};

use super::now_ms;
use crate::domain::{Checkout, CheckoutState, Line, Order, Payment, PaymentMethod};
use crate::ids::{CheckoutId, OrderId, PaymentId};
use crate::stripe::tests::fake::{Act, Fake, Seen};
use crate::stripe::{Client, KeySource, Settings};

const HOUR_MS: i64 = 3_600_000;
const KEEP_ABANDONED_MS: i64 = 90 * 24 * HOUR_MS;

fn money(amount_minor: i64) -> Money {
    let currency: Currency = "EUR".parse().expect("a currency");
    Money::from_minor(amount_minor, currency)
}

/// An order that was made so long ago, whose hold is two days, with one payment.
fn order(method: PaymentMethod, age_ms: i64) -> Order {
    let made_ms = now_ms() - age_ms;
    let line = Line { product: "p1".into(), title: "A lamp".into(), quantity: 2, unit_price: money(625) };
    let checkout = Checkout {
        id: CheckoutId::new(),
        state: CheckoutState::Open,
        version: 1,
        market: "default".into(),
        currency: money(0).currency(),
        lines: vec![line],
        total: money(1_250),
        snapshot: "s".into(),
        held_until_ms: made_ms + 48 * HOUR_MS,
        cart: None,
        email: None,
        shipping_address: None,
        token_hash: [0; 32],
        created_ms: made_ms,
    };
    let mut order = Order::of(&checkout, OrderId::new(), made_ms).expect("an order");
    let return_url = Some("https://shop.example/thanks".to_owned());
    order.begin_payment(PaymentId::new(), method, return_url, made_ms).expect("a payment");
    order
}

fn intent(payment: &Payment, status: &str) -> Value {
    let received = if status == "succeeded" { 1_250 } else { 0 };
    json!({
        "id": "pi_1", "status": status, "amount_received": received, "currency": "eur", "client_secret": "pi_1_secret",
        "last_payment_error": null, "metadata": {"payment_id": payment.id},
    })
}

fn session(payment: &Payment, status: &str, intent: Option<&str>) -> Value {
    json!({
        "id": "cs_1", "status": status, "url": "https://pay.example/cs_1", "payment_intent": intent,
        "metadata": {"payment_id": payment.id},
    })
}

fn list(data: Vec<Value>) -> Value {
    json!({"object": "list", "data": data, "has_more": false})
}

fn ok(body: &Value) -> Act {
    Act::answer(200, &body.to_string())
}

fn refused(code: &str) -> Act {
    let body = json!({"error": {"type": "invalid_request_error", "code": code, "message": "m"}});
    Act::answer(400, &body.to_string())
}

fn replayed_500() -> Act {
    Act::Answer { status: 500, headers: "Idempotent-Replayed: true\r\n".into(), body: "{}".into() }
}

/// Method and path, without the query.
fn line_of(seen: &Seen) -> String {
    let line = seen.head.lines().next().unwrap_or_default();
    line.split([' ', '?']).take(2).collect::<Vec<_>>().join(" ")
}

fn lines_of(fake: &Fake) -> Vec<String> {
    fake.seen().iter().map(line_of).collect()
}

fn client(url: String) -> Client {
    let secret_key = KeySource::Fixed(SecretString::from("sk_test_1"));
    Client::new(Settings { base_url: url, secret_key, timeout_ms: 5_000, requests_per_s: 1_000 }).expect("a client")
}
