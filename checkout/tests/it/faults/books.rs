//! The books after a test: what is written here, what Stripe has in its own, and what subscribers were told must agree.
//! Read by statements of their own, so that a fault of the store's does not hide itself.

use std::collections::{BTreeMap, BTreeSet};

use super::harness::stripe::{Charged, Ledger};
use super::harness::{World, comes_true, until};

/// Rules that the database alone can tell of: a name, and the rows that break it.
const RULES: &[(&str, &str)] = &[
    (
        "units are conserved",
        "SELECT product, units, held, moved FROM (
            SELECT p.product,
                COALESCE((SELECT sum(quantity) FROM stock_units u WHERE u.product = p.product), 0) AS units,
                COALESCE((SELECT sum(quantity) FROM stock_holds h WHERE h.product = p.product), 0) AS held,
                COALESCE((SELECT sum(change) FROM stock_moves m WHERE m.product = p.product), 0) AS moved
            FROM stock_products p) AS books
         WHERE units + held <> moved OR units < 0",
    ),
    (
        "what left the stock is what was sold, once",
        "SELECT COALESCE(o.id, m.order_id), COALESCE(o.product, m.product), o.quantity, m.quantity FROM (
            SELECT orders.id, product, sum(quantity) AS quantity FROM orders JOIN order_lines ON order_id = orders.id
            WHERE state IN ('paid', 'partially_refunded', 'refunded') GROUP BY orders.id, product) AS o
         FULL JOIN (SELECT order_id, product, -sum(change) AS quantity FROM stock_moves WHERE kind = 'sale'
            GROUP BY order_id, product) AS m ON m.order_id = o.id AND m.product = o.product
         WHERE o.quantity IS DISTINCT FROM m.quantity",
    ),
    (
        "open checkouts hold their lines and others hold nothing",
        "SELECT COALESCE(l.id, h.id), COALESCE(l.product, h.product), l.quantity, h.quantity FROM (
            SELECT c.id, product, sum(quantity) AS quantity FROM checkouts c JOIN checkout_lines ON checkout_id = c.id
            WHERE state IN ('open', 'completing') GROUP BY c.id, product) AS l
         FULL JOIN (SELECT checkout_id AS id, product, sum(quantity) AS quantity FROM stock_holds
            GROUP BY checkout_id, product) AS h ON h.id = l.id AND h.product = l.product
         WHERE l.quantity IS DISTINCT FROM h.quantity",
    ),
    (
        "a checkout stands as its order does",
        "SELECT o.id, o.state, c.state FROM orders o JOIN checkouts c ON c.id = o.checkout_id
         WHERE (o.state = 'pending_payment' AND c.state <> 'completing')
            OR (o.state = 'cancelled' AND c.state NOT IN ('cancelled', 'expired'))
            OR (o.state IN ('paid', 'partially_refunded', 'refunded') AND c.state <> 'completed')",
    ),
    (
        "a checkout that is completing or completed has an order",
        "SELECT c.id, c.state FROM checkouts c LEFT JOIN orders o ON o.checkout_id = c.id
         WHERE c.state IN ('completing', 'completed') AND o.id IS NULL",
    ),
    (
        "a total is the sum of its lines, at the prices of one snapshot",
        "SELECT o.id, o.total_minor, sum(quantity * unit_price_minor), count(DISTINCT l.snapshot)
         FROM orders o JOIN order_lines l ON l.order_id = o.id
         GROUP BY o.id HAVING o.total_minor <> sum(quantity * unit_price_minor)
            OR count(DISTINCT l.snapshot) <> 1 OR min(l.snapshot) <> o.snapshot",
    ),
    (
        "refunds that count are what the payment says, and no more than was captured",
        "SELECT p.id, p.captured_minor, p.refunded_minor, sum(r.amount_minor)
         FROM payments p LEFT JOIN refunds r ON r.payment_id = p.id AND r.state <> 'failed'
         GROUP BY p.id HAVING p.refunded_minor <> COALESCE(sum(r.amount_minor), 0)
            OR p.refunded_minor > p.captured_minor OR p.captured_minor > p.amount_minor",
    ),
    (
        "an order is refunded as far as its refunds succeeded",
        "SELECT o.id, o.state, p.captured_minor, sum(r.amount_minor)
         FROM orders o JOIN payments p ON p.order_id = o.id AND p.state = 'succeeded'
         LEFT JOIN refunds r ON r.payment_id = p.id AND r.state = 'succeeded'
         WHERE NOT EXISTS (SELECT FROM refunds u WHERE u.id = 'ref_' || substr(p.id, 5))
         GROUP BY o.id, p.id HAVING o.state IS DISTINCT FROM CASE COALESCE(sum(r.amount_minor), 0)
            WHEN 0 THEN 'paid' WHEN p.captured_minor THEN 'refunded' ELSE 'partially_refunded' END",
    ),
    (
        "the outbox has each version of an order once",
        "SELECT o.id, o.version, count(e.id), min(e.version), max(e.version)
         FROM orders o LEFT JOIN outbox e ON e.subject = 'orders/' || o.id
         GROUP BY o.id HAVING count(e.id) <> o.version OR min(e.version) <> 1 OR max(e.version) <> o.version",
    ),
    (
        "the outbox tells the transitions that an order made",
        "SELECT o.id, o.state, string_agg(e.kind, ',' ORDER BY e.version)
         FROM orders o JOIN outbox e ON e.subject = 'orders/' || o.id
         GROUP BY o.id HAVING count(*) FILTER (WHERE e.kind = 'order.created') <> 1
            OR count(*) FILTER (WHERE e.kind = 'order.created' AND e.version = 1) <> 1
            OR (count(*) FILTER (WHERE e.kind = 'order.paid') = 1)
                <> (o.state IN ('paid', 'partially_refunded', 'refunded'))
            OR count(*) FILTER (WHERE e.kind = 'order.paid') > 1
            OR (count(*) FILTER (WHERE e.kind = 'order.cancelled') = 1) <> (o.state = 'cancelled')
            OR count(*) FILTER (WHERE e.kind = 'order.cancelled') > 1",
    ),
    (
        "no fault of ours is kept as an answer",
        "SELECT endpoint, key, answer_status FROM idempotency_keys WHERE answer_status >= 500",
    ),
    (
        "nothing stands in the books that should never happen",
        "SELECT kind, reference, detail FROM reconciliation_breaks WHERE kind <> 'charged_after_cancel'",
    ),
];

/// What still waits to be dealt with: a name, and a number that must become 0.
const WAITING: &[(&str, &str)] = &[
    ("inbox", "SELECT count(*) FROM webhook_inbox WHERE applied_ms IS NULL"),
    ("outbox", "SELECT count(*) FROM outbox WHERE delivered_ms IS NULL"),
    ("payments", "SELECT count(*) FROM payments WHERE state IN ('prepared', 'requesting', 'unknown', 'processing')"),
    (
        "payments that are to be cancelled",
        "SELECT count(*) FROM payments p JOIN orders o ON o.id = p.order_id JOIN checkouts c ON c.id = o.checkout_id
         WHERE p.state = 'requires_action' AND (o.cancel_requested
            OR c.held_until_ms <= (extract(epoch FROM now()) * 1000)::bigint)",
    ),
    ("refunds", "SELECT count(*) FROM refunds WHERE state IN ('requesting', 'unknown', 'pending')"),
    (
        "checkouts whose hold is over",
        "SELECT count(*) FROM checkouts c LEFT JOIN orders o ON o.checkout_id = c.id
         WHERE c.state IN ('open', 'completing') AND held_until_ms <= (extract(epoch FROM now()) * 1000)::bigint",
    ),
    ("products to tell of", "SELECT count(*) FROM stock_dirty"),
];

struct OrderBook {
    state: String,
    total_minor: i64,
}

/// Waits until everything is dealt with, and asserts that the books agree.
///
/// # Panics
/// With every rule that is broken, and what breaks it.
pub async fn assert_books(world: &World) {
    settle(world).await;
    let mut broken = broken_rules(world).await;
    broken.extend(world.subscriber.faults());
    assert!(broken.is_empty(), "the books disagree:\n{}\nlog:\n{}", broken.join("\n"), world.log(0));
    let (is_right, said) = world.command(&["verify"]);
    assert!(is_right, "checkout verify says: {said}");
}

/// Waits until nothing waits.
pub async fn settle(world: &World) {
    let mut passes = 0_u32;
    until("everything is dealt with", async || {
        let left = waiting(world);
        passes += 1;
        if passes.is_multiple_of(100) {
            eprintln!("still waiting: {left}");
        }
        left.is_empty()
    })
    .await;
}

/// What still waits, by name and number; empty where nothing does.
pub fn waiting(world: &World) -> String {
    let all: Vec<String> = WAITING.iter().map(|(_, sql)| format!("({sql})")).collect();
    let said = world.sql(&format!("SELECT concat_ws('|', {})", all.join(", ")));
    let counts = WAITING.iter().zip(said.split('|'));
    let left = counts.filter(|(_, count)| *count != "0").map(|((name, _), count)| format!("{name}: {count}"));
    left.collect::<Vec<_>>().join(", ")
}

/// The rules that are broken, after a while in which things may come right: what came to pass a moment ago may still be
/// under way.
pub async fn broken_rules(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    comes_true(async || {
        broken = look(world).await;
        broken.is_empty()
    })
    .await;
    broken
}

/// All rows of an order, for whoever looks for a reason.
pub fn history(world: &World, order: &str) -> String {
    let tables = [
        ("order", format!("SELECT row_to_json(t) FROM orders t WHERE id = '{order}'")),
        (
            "checkout",
            format!(
                "SELECT row_to_json(t) FROM checkouts t WHERE id = (SELECT checkout_id FROM orders WHERE id = '{order}')"
            ),
        ),
        ("line", format!("SELECT row_to_json(t) FROM order_lines t WHERE order_id = '{order}' ORDER BY line")),
        ("payment", format!("SELECT row_to_json(t) FROM payments t WHERE order_id = '{order}' ORDER BY id")),
        ("refund", format!("SELECT row_to_json(t) FROM refunds t WHERE order_id = '{order}' ORDER BY id")),
        (
            "hold",
            format!(
                "SELECT row_to_json(t) FROM stock_holds t WHERE checkout_id = (SELECT checkout_id FROM orders WHERE id = '{order}')"
            ),
        ),
        ("move", format!("SELECT row_to_json(t) FROM stock_moves t WHERE order_id = '{order}' ORDER BY id")),
        ("event", format!("SELECT row_to_json(t) FROM outbox t WHERE subject = 'orders/{order}' ORDER BY version")),
        ("audit", format!("SELECT row_to_json(t) FROM audit t WHERE subject LIKE '%{order}%' ORDER BY id")),
        (
            "break",
            format!(
                "SELECT row_to_json(t) FROM reconciliation_breaks t WHERE EXISTS (SELECT FROM payments p
                    WHERE p.order_id = '{order}' AND position(p.id IN t.reference || t.detail) > 0)"
            ),
        ),
        (
            "webhook",
            format!(
                "SELECT json_build_object('id', id, 'kind', kind, 'received_ms', received_ms, 'applied_ms', applied_ms, 'tries', tries, 'why', why) FROM webhook_inbox WHERE position('{order}'::bytea IN body) > 0 ORDER BY received_ms"
            ),
        ),
    ];
    let mut told = String::new();
    for (name, sql) in tables {
        for row in world.sql(&sql).lines() {
            told += &format!("{name}: {row}\n");
        }
    }
    told
}

/// Adds everything up once.
async fn look(world: &World) -> Vec<String> {
    let mut broken = Vec::new();
    for (rule, sql) in RULES {
        broken.extend(world.sql(sql).lines().map(|row| format!("{rule}: {row}")));
    }
    let ledger = world.stripe.ledger().await;
    compare_charges(world, &ledger, &mut broken);
    compare_refunds(world, &ledger, &mut broken);
    compare_events(world, &mut broken);
    broken
}

/// An order is paid if and only if Stripe charged for it, once and all of it; what was charged besides went back.
fn compare_charges(world: &World, ledger: &Ledger, broken: &mut Vec<String>) {
    let orders = rows(world, "SELECT id, state, total_minor FROM orders");
    let orders: BTreeMap<String, OrderBook> = orders
        .into_iter()
        .map(|row| (row[0].clone(), OrderBook { state: row[1].clone(), total_minor: number(&row[2]) }))
        .collect();
    let unwanted = rows(
        world,
        "SELECT p.intent FROM payments p JOIN refunds r ON r.id = 'ref_' || substr(p.id, 5) WHERE r.state <> 'failed'",
    );
    let unwanted: BTreeSet<String> = unwanted.into_iter().map(|row| row[0].clone()).collect();
    let succeeded: Vec<Charged> = ledger.intents().into_iter().filter(|one| one.status == "succeeded").collect();
    let mut kept: BTreeMap<&str, Vec<&Charged>> = BTreeMap::new();
    for charge in &succeeded {
        if unwanted.contains(&charge.intent) {
            if charge.refunded != charge.received {
                broken.push(format!("what nobody wanted goes back: {charge:?}"));
            }
        } else {
            kept.entry(&charge.order).or_default().push(charge);
        }
    }
    for (order, charges) in &kept {
        if !orders.contains_key(*order) {
            broken.push(format!("whoever was charged has an order: {charges:?}"));
        }
    }
    for (id, order) in &orders {
        let charges = kept.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        let is_paid = matches!(order.state.as_str(), "paid" | "partially_refunded" | "refunded");
        if charges.len() > 1 {
            broken.push(format!("an order is charged for once: {id} {charges:?}"));
        }
        if is_paid == charges.is_empty() {
            broken.push(format!("an order is paid if and only if it is charged for: {id} {} {charges:?}", order.state));
        }
        if charges.iter().any(|charge| charge.received != order.total_minor) {
            broken.push(format!("an order's total is what is charged: {id} {} {charges:?}", order.total_minor));
        }
    }
}

/// Each refund of Stripe's is one of ours, of the same amount and standing.
fn compare_refunds(world: &World, ledger: &Ledger, broken: &mut Vec<String>) {
    let ours = rows(
        world,
        "SELECT r.id, p.intent, r.amount_minor, r.state, r.stripe_refund FROM refunds r JOIN payments p ON p.id = r.payment_id",
    );
    let mut by_stripe: BTreeMap<&str, &Vec<String>> = BTreeMap::new();
    for row in &ours {
        match row[4].as_str() {
            // Stripe refused it, so that it has none.
            "" if row[3] == "failed" => {}
            "" => broken.push(format!("a refund that counts is one of Stripe's: {row:?}")),
            stripe_refund => {
                by_stripe.insert(stripe_refund, row);
            }
        }
    }
    for (id, intent, amount, status) in ledger.refunds() {
        let Some(row) = by_stripe.remove(id.as_str()) else {
            broken.push(format!("a refund of Stripe's is in our books: {id} {intent} {amount} {status}"));
            continue;
        };
        let is_failed = matches!(status.as_str(), "failed" | "canceled");
        if row[1] != intent || number(&row[2]) != amount || (row[3] == "failed") != is_failed {
            broken.push(format!("a refund stands as at Stripe: {row:?}, and {id} {intent} {amount} {status}"));
        }
    }
    broken.extend(by_stripe.values().map(|row| format!("a refund of ours is in Stripe's books: {row:?}")));
}

/// Subscribers were told everything.
fn compare_events(world: &World, broken: &mut Vec<String>) {
    let written = rows(world, "SELECT subject, version FROM outbox WHERE delivered_ms IS NOT NULL");
    let written: BTreeSet<(String, u64)> =
        written.into_iter().map(|row| (row[0].clone(), number(&row[1]).unsigned_abs())).collect();
    let taken = world.subscriber.taken().into_iter();
    let taken: BTreeSet<(String, u64)> = taken.map(|event| (event.subject, event.version)).collect();
    broken.extend(written.difference(&taken).map(|event| format!("what was delivered was taken: {event:?}")));
    // What was taken is marked a moment later.
    let known = rows(world, "SELECT subject, version FROM outbox");
    let known: BTreeSet<(String, u64)> =
        known.into_iter().map(|row| (row[0].clone(), number(&row[1]).unsigned_abs())).collect();
    broken.extend(taken.difference(&known).map(|event| format!("what was taken was written: {event:?}")));
}

fn rows(world: &World, sql: &str) -> Vec<Vec<String>> {
    world.sql(sql).lines().map(|row| row.split('|').map(str::to_owned).collect()).collect()
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("'{text}' is no number"))
}
