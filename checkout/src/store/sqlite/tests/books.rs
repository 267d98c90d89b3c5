//! Books that were tampered with are found out.

use super::{Bench, NOW, checkout, done};
use crate::domain::Checkout;
use crate::store::{Answer, Claim, ClaimUse, Store};

/// What is done to the books, how it is undone, and the rule that is broken.
const FORGERIES: &[(&str, &str, &str)] = &[
    (
        "INSERT INTO payments (id, order_id, position, method, state, amount_minor, currency, captured_minor,
             refunded_minor, created_ms, checks)
         SELECT 'pay_forged', order_id, 9, method, state, amount_minor, currency, captured_minor, 0, created_ms, 0
         FROM payments",
        "DELETE FROM payments WHERE id = 'pay_forged'",
        "charged_once",
    ),
    ("UPDATE orders SET state = 'cancelled'", "UPDATE orders SET state = 'paid'", "paid_if_charged"),
    ("UPDATE payments SET refunded_minor = 1", "UPDATE payments SET refunded_minor = 0", "refunds_add_up"),
    ("UPDATE stock SET available = available + 1", "UPDATE stock SET available = available - 1", "stock_adds_up"),
    ("UPDATE stock SET available = -1", "UPDATE stock SET available = 7", "stock_is_not_negative"),
    (
        "INSERT INTO stock_holds SELECT checkout, product, 1 FROM checkout_lines
         WHERE checkout IN (SELECT checkout FROM orders)",
        "DELETE FROM stock_holds WHERE checkout IN (SELECT checkout FROM orders)",
        "holds_end_with_checkouts",
    ),
    (
        "UPDATE stock_holds SET quantity = quantity + 1",
        "UPDATE stock_holds SET quantity = quantity - 1",
        "holds_are_the_lines",
    ),
    (
        "UPDATE stock_moves SET quantity = quantity - 1 WHERE kind = 'sale'",
        "UPDATE stock_moves SET quantity = quantity + 1 WHERE kind = 'sale'",
        "sales_are_the_lines",
    ),
    (
        "UPDATE outbox SET version = 5 WHERE version = 2",
        "UPDATE outbox SET version = 2 WHERE version = 5",
        "events_are_the_transitions",
    ),
    (
        "UPDATE checkouts SET state = 'cancelled' WHERE state = 'completed'",
        "UPDATE checkouts SET state = 'completed' WHERE state = 'cancelled'",
        "states_agree",
    ),
    (
        "UPDATE checkouts SET total_minor = total_minor + 1",
        "UPDATE checkouts SET total_minor = total_minor - 1",
        "totals_add_up",
    ),
    (
        "UPDATE orders SET total_minor = total_minor + 1",
        "UPDATE orders SET total_minor = total_minor - 1",
        "totals_add_up",
    ),
    ("UPDATE idempotency_keys SET status = 500", "UPDATE idempotency_keys SET status = 201", "answers_are_no_failures"),
];

#[tokio::test]
async fn every_rule_finds_the_books_that_break_it() {
    let bench = Bench::start().await;
    bench.paid().await;
    let claim = Claim {
        caller: "caller".to_owned(),
        endpoint: "POST /checkout/v1/checkouts".to_owned(),
        key: "key".to_owned(),
        fingerprint: [1; 32],
        subject: "subject".to_owned(),
        now_ms: NOW,
        lease_until_ms: NOW + 1,
    };
    let created = |_: &Checkout| Answer { status: 201, body: Vec::new() };
    done(bench.store.place_checkout(&checkout(&[("lamp", 1)]), &ClaimUse::Whole(&claim, &created)).await);
    assert_eq!(bench.stock("lamp").await, (7, 1));
    bench.expect_sound_books().await;

    let mut forger = bench.other_process().await;
    sqlx::query("PRAGMA ignore_check_constraints = ON").execute(&mut forger).await.expect("no checks");
    for &(forgery, undoing, rule) in FORGERIES {
        sqlx::query(forgery).execute(&mut forger).await.expect(rule);
        let violations = bench.store.violations().await.expect("the books");
        assert!(violations.iter().any(|violation| violation.rule == rule), "{rule}: {violations:?}");
        sqlx::query(undoing).execute(&mut forger).await.expect(rule);
        bench.expect_sound_books().await;
    }
}
