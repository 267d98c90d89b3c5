//! What must never be: the books of stock, money and events against each other. Each rule is a question whose answers
//! are its violations, one line each.

use sqlx::SqliteConnection;

use super::fault::Fault;
use crate::store::Violation;
use crate::store::rules::Rule;

/// Of one rule: more say nothing more.
const MAX_OF_A_RULE: u32 = 100;

/// What finds that a rule does not hold.
fn question(rule: Rule) -> &'static str {
    match rule {
        Rule::ChargedOnce => ORDERS_CHARGED_TWICE,
        Rule::PaidIfCharged => ORDERS_NOT_AS_CHARGED,
        Rule::RefundsAddUp => REFUNDS_DIFFER,
        Rule::StockAddsUp => STOCK_DIFFERS,
        Rule::StockIsNotNegative => STOCK_BELOW_ZERO,
        Rule::HoldsEndWithCheckouts => HOLDS_LEFT_OVER,
        Rule::HoldsAreTheLines => HOLDS_DIFFER,
        Rule::SalesAreTheLines => SALES_DIFFER,
        Rule::StatesAgree => STATES_DIFFER,
        Rule::EventsAreTheTransitions => EVENTS_MISSING,
        Rule::TotalsAddUp => TOTALS_DIFFER,
        Rule::AnswersAreNoFailures => FAULTS_KEPT,
    }
}

// A charge that the order did not want has a refund whose id follows from the payment's: the same digits.
const ORDERS_CHARGED_TWICE: &str = "
    SELECT order_id || ' has ' || count(*) || ' charges' FROM payments
    WHERE state = 'succeeded'
        AND NOT EXISTS (SELECT 1 FROM refunds WHERE refunds.id = 'ref_' || substr(payments.id, 5))
    GROUP BY order_id HAVING count(*) > 1 LIMIT ?1";

const ORDERS_NOT_AS_CHARGED: &str = "
    SELECT id || ' is ' || state || ' and has ' || charges || ' charges' FROM (
        SELECT id, state, (
            SELECT count(*) FROM payments
            WHERE payments.order_id = orders.id AND payments.state = 'succeeded'
                AND NOT EXISTS (SELECT 1 FROM refunds WHERE refunds.id = 'ref_' || substr(payments.id, 5))
        ) AS charges FROM orders)
    WHERE (state IN ('paid', 'partially_refunded', 'refunded')) != (charges = 1) LIMIT ?1";

const REFUNDS_DIFFER: &str = "
    SELECT id || ' counts ' || refunded_minor || ' of ' || captured_minor || ', and its refunds are ' || refunds FROM (
        SELECT id, refunded_minor, captured_minor, (
            SELECT coalesce(sum(amount_minor), 0) FROM refunds
            WHERE refunds.payment = payments.id AND refunds.state != 'failed'
        ) AS refunds FROM payments)
    WHERE refunded_minor != refunds OR refunded_minor > captured_minor LIMIT ?1";

const STOCK_DIFFERS: &str = "
    SELECT product || ': ' || available || ' available, ' || held || ' held, ' || sold || ' sold; ' || came || ' came'
    FROM (
        SELECT product, coalesce((SELECT available FROM stock WHERE stock.product = p.product), 0) AS available,
            (SELECT coalesce(sum(quantity), 0) FROM stock_holds WHERE stock_holds.product = p.product) AS held,
            (SELECT coalesce(sum(-quantity), 0) FROM stock_moves
                WHERE stock_moves.product = p.product AND kind = 'sale') AS sold,
            (SELECT coalesce(sum(quantity), 0) FROM stock_moves
                WHERE stock_moves.product = p.product AND kind != 'sale') AS came
        FROM stock_products AS p)
    WHERE available + held + sold != came LIMIT ?1";

const STOCK_BELOW_ZERO: &str = "
    SELECT product || ' has ' || available FROM stock WHERE available < 0
    UNION ALL
    SELECT checkout || ' holds ' || quantity || ' of ' || product FROM stock_holds WHERE quantity <= 0 LIMIT ?1";

const HOLDS_LEFT_OVER: &str = "
    SELECT checkout || ' is ' || state || ' and holds ' || quantity || ' of ' || product
    FROM stock_holds JOIN checkouts ON checkouts.id = stock_holds.checkout
    WHERE state NOT IN ('open', 'completing') LIMIT ?1";

const HOLDS_DIFFER: &str = "
    SELECT checkout || ' holds ' || sum(held) || ' of ' || product || ', and its lines have ' || sum(wanted) FROM (
        SELECT checkout, product, quantity AS wanted, 0 AS held FROM checkout_lines WHERE is_held = 1
        UNION ALL
        SELECT checkout, product, 0, quantity FROM stock_holds)
    WHERE checkout IN (SELECT id FROM checkouts WHERE state IN ('open', 'completing'))
    GROUP BY checkout, product HAVING sum(held) != sum(wanted) LIMIT ?1";

const SALES_DIFFER: &str = "
    SELECT checkout || ' sold ' || sum(sold) || ' of ' || product || ', and its lines have ' || sum(wanted) FROM (
        SELECT checkout, product, quantity AS wanted, 0 AS sold FROM checkout_lines
        WHERE is_held = 1 AND checkout IN (SELECT id FROM checkouts WHERE state = 'completed')
        UNION ALL
        SELECT checkout, product, 0, -quantity FROM stock_moves WHERE kind = 'sale')
    GROUP BY checkout, product HAVING sum(sold) != sum(wanted) LIMIT ?1";

// A checkout and its order tell the same, and an order has its lines.
const STATES_DIFFER: &str = "
    SELECT orders.id || ' is ' || orders.state || ', its checkout is ' || coalesce(checkouts.state, 'gone')
    FROM orders LEFT JOIN checkouts ON checkouts.id = orders.checkout
    WHERE NOT coalesce(CASE orders.state
            WHEN 'pending_payment' THEN checkouts.state = 'completing'
            WHEN 'cancelled' THEN checkouts.state IN ('cancelled', 'expired')
            ELSE checkouts.state = 'completed' END, 0)
        OR NOT EXISTS (SELECT 1 FROM order_lines WHERE order_lines.order_id = orders.id)
    UNION ALL
    SELECT id || ' is ' || state || ' without an order' FROM checkouts
    WHERE state IN ('completing', 'completed')
        AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.checkout = checkouts.id) LIMIT ?1";

// The oldest may have been swept away.
const EVENTS_MISSING: &str = "
    SELECT orders.id || ' has version ' || orders.version || ', and events ' || min(outbox.version) || ' to '
        || max(outbox.version) || ', ' || count(*) || ' of them'
    FROM orders JOIN outbox ON outbox.subject = 'orders/' || orders.id
    GROUP BY orders.id
    HAVING max(outbox.version) != orders.version OR max(outbox.version) - min(outbox.version) + 1 != count(*) LIMIT ?1";

const TOTALS_DIFFER: &str = "
    SELECT id || ' totals ' || total_minor || ', and its lines ' || lines FROM (
        SELECT id, total_minor, (
            SELECT coalesce(sum(quantity * unit_price_minor), 0) FROM checkout_lines WHERE checkout = checkouts.id
        ) AS lines FROM checkouts
        UNION ALL
        SELECT id, total_minor, (
            SELECT coalesce(sum(quantity * unit_price_minor), 0) FROM order_lines WHERE order_id = orders.id
        ) FROM orders)
    WHERE total_minor != lines LIMIT ?1";

const FAULTS_KEPT: &str = "
    SELECT subject || ' was answered with ' || status FROM idempotency_keys WHERE status >= 500 LIMIT ?1";

pub(super) async fn find(conn: &mut SqliteConnection) -> Result<Vec<Violation>, Fault> {
    let mut violations = Vec::new();
    for rule in Rule::ALL {
        let details = sqlx::query_scalar::<_, String>(question(rule)).bind(MAX_OF_A_RULE).fetch_all(&mut *conn).await?;
        violations.extend(details.into_iter().map(|detail| Violation { rule: rule.name(), detail }));
    }
    Ok(violations)
}
