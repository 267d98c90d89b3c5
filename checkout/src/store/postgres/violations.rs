//! What must never be: the books of money, stock and events against each other. Each rule is one query that finds
//! nothing where it holds. They see one moment of the database, and may take long.

use sqlx::{PgConnection, Row};

use super::failure::Failure;
use crate::store::Violation;
use crate::store::rules::Rule;

/// Of each rule, so that a broken database is told of in a bounded answer.
const MAX_FOUND: i64 = 100;

/// What finds that a rule does not hold.
fn question(rule: Rule) -> &'static str {
    match rule {
        Rule::ChargedOnce => CHARGED_ONCE,
        Rule::PaidIfCharged => PAID_IF_CHARGED,
        Rule::RefundsAddUp => REFUNDS_ADD_UP,
        Rule::StockAddsUp => STOCK_ADDS_UP,
        Rule::StockIsNotNegative => STOCK_IS_NOT_NEGATIVE,
        Rule::HoldsEndWithCheckouts => HOLDS_END_WITH_CHECKOUTS,
        Rule::HoldsAreTheLines => HOLDS_ARE_THE_LINES,
        Rule::SalesAreTheLines => SALES_ARE_THE_LINES,
        Rule::StatesAgree => STATES_AGREE,
        Rule::EventsAreTheTransitions => EVENTS_ARE_THE_TRANSITIONS,
        Rule::TotalsAddUp => TOTALS_ADD_UP,
        Rule::AnswersAreNoFailures => ANSWERS_ARE_NO_FAILURES,
    }
}

/// A charge that was not wanted is sent back by a refund whose id is the payment's but for the first letters.
const CHARGED_ONCE: &str = "
SELECT p.order_id || ' was charged ' || count(*) || ' times'
FROM payments p
WHERE p.state = 'succeeded' AND NOT EXISTS (SELECT FROM refunds r WHERE r.id = 'ref_' || substr(p.id, 5))
GROUP BY p.order_id HAVING count(*) > 1 LIMIT $1";

const PAID_IF_CHARGED: &str = "
SELECT o.id || ' is ' || o.state || ', charged: ' || charged.is_charged
FROM orders o CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM payments p WHERE p.order_id = o.id AND p.state = 'succeeded'
            AND NOT EXISTS (SELECT FROM refunds r WHERE r.id = 'ref_' || substr(p.id, 5))
    ) AS is_charged
) charged
WHERE charged.is_charged <> (o.state IN ('paid', 'partially_refunded', 'refunded')) LIMIT $1";

const REFUNDS_ADD_UP: &str = "
SELECT p.id || ' has ' || p.refunded_minor || ' of ' || p.captured_minor || ' refunded, its refunds are ' || r.sum
FROM payments p CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.amount_minor), 0) AS sum FROM refunds r
    WHERE r.order_id = p.order_id AND r.payment_id = p.id AND r.state <> 'failed'
) r
WHERE p.refunded_minor <> r.sum OR p.refunded_minor > p.captured_minor LIMIT $1";

const STOCK_ADDS_UP: &str = "
SELECT product || ': ' || available || ' can be sold, ' || held || ' are held, and the ledger says ' || ledger
FROM (
    SELECT product, coalesce(u.sum, 0) AS available, coalesce(h.sum, 0) AS held, coalesce(m.sum, 0) AS ledger
    FROM (SELECT product, sum(quantity) AS sum FROM stock_units GROUP BY product) u
    FULL JOIN (SELECT product, sum(quantity) AS sum FROM stock_holds GROUP BY product) h USING (product)
    FULL JOIN (SELECT product, sum(change) AS sum FROM stock_moves GROUP BY product) m USING (product)
) books
WHERE available + held <> ledger LIMIT $1";

const STOCK_IS_NOT_NEGATIVE: &str = "
SELECT product || ' has ' || quantity || ' in row ' || unit FROM stock_units WHERE quantity < 0
UNION ALL
SELECT product || ' has ' || quantity || ' held for ' || checkout_id FROM stock_holds WHERE quantity <= 0 LIMIT $1";

const HOLDS_END_WITH_CHECKOUTS: &str = "
SELECT h.quantity || ' of ' || h.product || ' are held for ' || h.checkout_id || ', which is '
    || coalesce(c.state, 'gone')
FROM stock_holds h LEFT JOIN checkouts c ON c.id = h.checkout_id
WHERE c.state IS NULL OR c.state NOT IN ('open', 'completing') LIMIT $1";

/// A product that is counted since after a checkout took it uncounted has no hold there. Clocks differ, and a count is written
/// a little after its moment, so that the rule begins a minute later.
const HOLDS_ARE_THE_LINES: &str = "
SELECT id || ' needs ' || needed || ' of ' || product || ', and holds ' || held
FROM (
    SELECT c.id, l.product, sum(l.quantity) AS needed, coalesce((
        SELECT sum(h.quantity) FROM stock_holds h WHERE h.checkout_id = c.id AND h.product = l.product), 0) AS held
    FROM checkouts c JOIN checkout_lines l ON l.checkout_id = c.id
    WHERE c.look_ms IS NOT NULL AND EXISTS (
        SELECT FROM stock_moves m WHERE m.product = l.product AND m.created_ms <= c.created_ms - 60000)
    GROUP BY c.id, l.product
) books
WHERE needed <> held LIMIT $1";

/// A product that is counted since after a checkout took it uncounted was sold without a move: again with a minute between.
const SALES_ARE_THE_LINES: &str = "
WITH wanted AS (
    SELECT o.id, l.product, c.created_ms AS placed_ms, sum(l.quantity) AS quantity
    FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN checkouts c ON c.id = o.checkout_id
    WHERE o.state IN ('paid', 'partially_refunded', 'refunded') GROUP BY o.id, l.product, c.created_ms
), sold AS (
    SELECT order_id AS id, product, -sum(change) AS quantity FROM stock_moves WHERE kind = 'sale'
    GROUP BY order_id, product
), counted AS (
    SELECT product, min(created_ms) AS since_ms FROM stock_moves GROUP BY product
)
SELECT coalesce(w.id, s.id) || ' sold ' || coalesce(s.quantity, 0) || ' of ' || coalesce(w.product, s.product)
    || ', and its lines have ' || coalesce(w.quantity, 0)
FROM wanted w FULL JOIN sold s ON s.id = w.id AND s.product = w.product LEFT JOIN counted t ON t.product = w.product
WHERE coalesce(w.quantity, 0) <> coalesce(s.quantity, 0)
    AND (s.id IS NOT NULL OR t.since_ms + 60000 <= w.placed_ms) LIMIT $1";

/// A checkout and its order tell the same, and an order has its lines.
const STATES_AGREE: &str = "
SELECT o.id || ' is ' || o.state || ', its checkout is ' || coalesce(c.state, 'gone')
FROM orders o LEFT JOIN checkouts c ON c.id = o.checkout_id
WHERE NOT coalesce(CASE o.state
        WHEN 'pending_payment' THEN c.state = 'completing'
        WHEN 'cancelled' THEN c.state IN ('cancelled', 'expired')
        ELSE c.state = 'completed' END, false)
    OR NOT EXISTS (SELECT FROM order_lines l WHERE l.order_id = o.id)
UNION ALL
SELECT c.id || ' is ' || c.state || ' without an order' FROM checkouts c
WHERE c.state IN ('completing', 'completed') AND NOT EXISTS (SELECT FROM orders o WHERE o.checkout_id = c.id) LIMIT $1";

/// The first ones may have been swept, once they were delivered.
const EVENTS_ARE_THE_TRANSITIONS: &str = "
SELECT o.id || ' has version ' || o.version || ', and ' || e.count || ' events from ' || coalesce(e.min::text, '-')
    || ' to ' || coalesce(e.max::text, '-')
FROM orders o CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(version) AS min, max(version) AS max FROM outbox WHERE subject = 'orders/' || o.id
) e
WHERE e.count > 0 AND (e.max <> o.version OR e.count <> e.max - e.min + 1) LIMIT $1";

const TOTALS_ADD_UP: &str = "
SELECT c.id || ' is ' || c.total_minor || ', its lines are ' || l.sum
FROM checkouts c CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity * unit_price_minor), 0) AS sum FROM checkout_lines WHERE checkout_id = c.id) l
WHERE c.total_minor <> l.sum
UNION ALL
SELECT o.id || ' is ' || o.total_minor || ', its lines are ' || l.sum
FROM orders o CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity * unit_price_minor), 0) AS sum FROM order_lines WHERE order_id = o.id) l
WHERE o.total_minor <> l.sum LIMIT $1";

const ANSWERS_ARE_NO_FAILURES: &str = "
SELECT 'an answer of ' || answer_status || ' is kept for ' || subject FROM idempotency_keys
WHERE answer_status >= 500 LIMIT $1";

/// Inside a transaction, whose limit of time it lifts.
pub(super) async fn find(connection: &mut PgConnection) -> Result<Vec<Violation>, Failure> {
    // One moment for all rules: between two statements, others go on.
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *connection).await?;
    sqlx::raw_sql("SET LOCAL statement_timeout = 0").execute(&mut *connection).await?;
    let mut found = Vec::new();
    for rule in Rule::ALL {
        for row in sqlx::query(question(rule)).bind(MAX_FOUND).fetch_all(&mut *connection).await? {
            found.push(Violation { rule: rule.name(), detail: row.try_get(0)? });
        }
    }
    Ok(found)
}
