//! What order.sql writes: the records of one order as the store has them, in which `@` stands for the number of the order
//! and `#` for a number at random.

use serde_json::{Value, json};
use test_servers::Settings;

/// The digits of an id, of which the last nineteen are the order's number.
const DIGITS: &str = "0000000000000@";
const HOLD_MS: i64 = 900_000;
const FIRST_CHECK_MS: i64 = 2_000;
const SHOPPER_CHECK_MS: i64 = 30_000;
const FIRST_PRICE_MINOR: i64 = 1_999;
const TOTAL_MINOR: i64 = 3 * FIRST_PRICE_MINOR;
/// No `@`, which would be taken for the number.
const EMAIL: &str = "shopper%40example.com";
const KINDS: [(&str, &str); 4] = [
    ("event_payment_intent_created", "payment_intent.created"),
    ("event_charge_succeeded", "charge.succeeded"),
    ("event_payment_intent_succeeded", "payment_intent.succeeded"),
    ("event_charge_updated", "charge.updated"),
];

/// What checkout answered and Stripe told in this run.
pub struct Samples {
    pub placed: String,
    pub completed: String,
    pub events: Vec<Value>,
}

/// For the part that places a checkout with two lines.
pub fn of_placing(placed: &str, now_ms: i64) -> Settings {
    let lines = json!([line(0, "@a", 1), line(1, "@b", 2)]);
    placing("{bench-@a,bench-@b}", "{1,2}", "149", &lines, placed, now_ms)
}

/// The same with one line, of one of the products that everybody wants.
pub fn of_holding(placed: &str, now_ms: i64) -> Settings {
    placing("{bench-@a}", "{1}", "104", &json!([line(0, "@a", 1)]), placed, now_ms)
}

/// For all of it.
///
/// # Panics
/// When Stripe told of no event of a kind that every order has.
pub fn of_order(samples: &Samples, now_ms: i64) -> Settings {
    let mut texts = of_placing(&samples.placed, now_ms);
    let mut add = |name: &str, text: String| texts.push((name.to_owned(), text));
    add("answer_completed", without_marks(&samples.completed));
    add("order_opened", order("pending_payment", 1, "opened", now_ms));
    add("order_asked", order("pending_payment", 1, "asked", now_ms));
    add("order_paid", order("paid", 2, "paid", now_ms));
    add("payment_requested", payment("requesting", false, Some(now_ms + FIRST_CHECK_MS), now_ms));
    add("payment_asked", payment("requires_action", true, Some(now_ms + SHOPPER_CHECK_MS), now_ms));
    add("payment_paid", payment("succeeded", true, None, now_ms));
    add("told_created", told(1, "order.created", "pending_payment"));
    add("told_paid", told(2, "order.paid", "paid"));
    for (name, kind) in KINDS {
        let event = samples.events.iter().find(|event| event["type"] == kind);
        let event = event.unwrap_or_else(|| panic!("Stripe told of no {kind}"));
        add(name, without_marks(&event.to_string()));
    }
    texts
}

fn placing(products: &str, quantities: &str, last_a: &str, lines: &Value, placed: &str, now_ms: i64) -> Settings {
    let checkout = json!({
        "id": format!("chk_{DIGITS}"), "state": "open", "version": 1, "market": "", "currency": "EUR",
        "total_minor": TOTAL_MINOR, "snapshot": "01hx-bench-snapshot", "held_until_ms": now_ms + HOLD_MS,
        "cart_id": null, "email": EMAIL, "shipping_address": address(), "token_hash": token_hash(),
        "created_ms": now_ms, "look_ms": now_ms + HOLD_MS,
    });
    [
        ("now_ms", now_ms.to_string()),
        ("last_a", last_a.to_owned()),
        ("products", products.to_owned()),
        ("quantities", quantities.to_owned()),
        ("checkout", checkout.to_string()),
        ("lines", lines.to_string()),
        ("answer_placed", without_marks(placed)),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .to_vec()
}

fn line(place: usize, product: &str, quantity: u32) -> Value {
    json!({
        "line": place, "product": format!("bench-{product}"), "title": format!("The lamp of benches bench-{product}"),
        "quantity": quantity, "unit_price_minor": FIRST_PRICE_MINOR,
    })
}

fn order(state: &str, version: u32, changed_by: &str, now_ms: i64) -> String {
    json!({
        "id": format!("ord_{DIGITS}"), "checkout_id": format!("chk_{DIGITS}"), "state": state, "dispute": "none",
        "version": version, "market": "", "currency": "EUR", "total_minor": TOTAL_MINOR,
        "snapshot": "01hx-bench-snapshot", "email": EMAIL, "shipping_address": address(), "token_hash": token_hash(),
        "cancel_requested": false, "created_ms": now_ms, "updated_ms": now_ms, "changed_by": changed_by,
    })
    .to_string()
}

fn payment(state: &str, has_intent: bool, next_check_ms: Option<i64>, now_ms: i64) -> String {
    let captured = if state == "succeeded" { TOTAL_MINOR } else { 0 };
    json!([{
        "id": format!("pay_{DIGITS}"), "order_id": format!("ord_{DIGITS}"), "method": "payment_intent", "state": state,
        "amount_minor": TOTAL_MINOR, "currency": "EUR", "intent": has_intent.then_some("pi_#"), "session": null,
        "client_secret": has_intent.then_some("pi_#_secret_0123456789abcdefghijkl"), "hosted_url": null,
        "return_url": "https://shop.example/thanks", "captured_minor": captured, "refunded_minor": 0, "failure": null,
        "created_ms": now_ms, "next_check_ms": next_check_ms, "checks": 0,
    }])
    .to_string()
}

fn told(number: u32, kind: &str, state: &str) -> String {
    let line = |product: &str, quantity: u32| json!({ "product": format!("bench-{product}"), "quantity": quantity, "unit_price_minor": FIRST_PRICE_MINOR });
    let data = json!({
        "order": format!("ord_{DIGITS}"), "version": number, "state": state, "dispute": "none", "market": "",
        "snapshot": "01hx-bench-snapshot", "currency": "EUR", "total_minor": TOTAL_MINOR, "captured_minor": 0,
        "refunded_minor": 0, "lines": [line("100", 1), line("150", 2)],
    });
    json!([{
        "id": format!("evn_000000000000{number}@"), "kind": kind, "subject": format!("orders/ord_{DIGITS}"),
        "version": number, "data": data.to_string(),
    }])
    .to_string()
}

fn address() -> String {
    let address = json!({
        "name": "Ada Lovelace", "line1": "12 Example Street", "city": "Berlin", "postal_code": "10115", "country": "DE",
    });
    address.to_string()
}

/// As PostgreSQL has bytes.
fn token_hash() -> String {
    format!("\\x{}", "5a".repeat(32))
}

/// Texts of this run hold addresses, and nothing in them is a number of ours.
fn without_marks(text: &str) -> String {
    text.replace(['@', '#'], "-")
}
