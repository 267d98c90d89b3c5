//! Whoever breaks the books is found out.

use checkout::domain::IntentStatus;
use checkout::store::StoreSettings;

use super::shop::{NOW, checkout, eur, intent, open_order, paid_order, place, set_stock_at, tell};
use super::{Bench, Case};

pub const CASES: &[Case] = &[
    ("a second charge is found", |bench| Box::pin(second_charge(bench))),
    ("a charge of an order that is not paid is found", |bench| Box::pin(charged_unpaid(bench))),
    ("an order that nobody paid is found", |bench| Box::pin(unpaid(bench))),
    ("a refund that is not there is found", |bench| Box::pin(refund_missing(bench))),
    ("stock from nowhere is found", |bench| Box::pin(stock_from_nowhere(bench))),
    ("a hold that is gone is found", |bench| Box::pin(hold_gone(bench))),
    ("a hold of a checkout that is over is found", |bench| Box::pin(hold_left(bench))),
    ("an event that is missing is found", |bench| Box::pin(event_missing(bench))),
    ("a total that is wrong is found", |bench| Box::pin(wrong_total(bench))),
    ("a sale that is not its order's is found", |bench| Box::pin(wrong_sale(bench))),
    ("a sale that is missing is found", |bench| Box::pin(sale_missing(bench))),
    ("what is counted while checkouts take it uncounted breaks no rule", |bench| Box::pin(counted_meanwhile(bench))),
    ("a checkout that is not as its order is found", |bench| Box::pin(states_differ(bench))),
];

/// A shop in order: one order that is paid, one that is not, and a checkout.
async fn shop(bench: &Bench) {
    let store = bench.store.as_ref();
    // Long enough before, so that whoever takes it has to hold it.
    set_stock_at(store, "boots", 100, NOW - 60_000).await;
    paid_order(store, 1_000).await;
    let pending = place(store, &checkout(&[("boots", 1, 500)])).await;
    open_order(store, pending.id).await;
    place(store, &checkout(&[("boots", 2, 300)])).await;
    let violations = store.violations().await.expect("the books are read");
    assert!(violations.is_empty(), "{violations:?}");
}

/// By the name that both stores have for it.
async fn is_found(bench: &Bench, rule: &str) {
    let violations = bench.store.violations().await.expect("the books are read");
    assert!(violations.iter().any(|one| one.rule == rule && !one.detail.is_empty()), "{rule}: {violations:?}");
}

async fn second_charge(bench: Bench) {
    shop(&bench).await;
    let postgres = "INSERT INTO payments (id, order_id, method, state, amount_minor, currency, captured_minor,
            refunded_minor, created_ms, checks)
        SELECT 'pay_forged', order_id, method, state, amount_minor, currency, captured_minor, 0, created_ms, 0
        FROM payments WHERE state = 'succeeded'";
    let sqlite = "INSERT INTO payments (id, order_id, position, method, state, amount_minor, currency, captured_minor,
            refunded_minor, created_ms, checks)
        SELECT 'pay_forged', order_id, 9, method, state, amount_minor, currency, captured_minor, 0, created_ms, 0
        FROM payments WHERE state = 'succeeded'";
    bench.break_stock_by(postgres, sqlite).await;
    is_found(&bench, "charged_once").await;
}

async fn charged_unpaid(bench: Bench) {
    shop(&bench).await;
    bench
        .break_by("UPDATE payments SET state = 'succeeded', captured_minor = amount_minor WHERE state <> 'succeeded'")
        .await;
    is_found(&bench, "paid_if_charged").await;
}

async fn unpaid(bench: Bench) {
    shop(&bench).await;
    bench.break_by("UPDATE payments SET state = 'failed', captured_minor = 0 WHERE state = 'succeeded'").await;
    is_found(&bench, "paid_if_charged").await;
}

async fn refund_missing(bench: Bench) {
    shop(&bench).await;
    bench.break_by("UPDATE payments SET refunded_minor = 10 WHERE state = 'succeeded'").await;
    is_found(&bench, "refunds_add_up").await;
}

async fn stock_from_nowhere(bench: Bench) {
    shop(&bench).await;
    let postgres = "UPDATE stock_units SET quantity = quantity + 1 WHERE unit = 0";
    bench.break_stock_by(postgres, "UPDATE stock SET available = available + 1").await;
    is_found(&bench, "stock_adds_up").await;
}

async fn hold_gone(bench: Bench) {
    shop(&bench).await;
    bench.break_by("DELETE FROM stock_holds WHERE quantity = 2").await;
    is_found(&bench, "holds_are_the_lines").await;
}

async fn hold_left(bench: Bench) {
    shop(&bench).await;
    let postgres = "UPDATE checkouts SET state = 'expired', look_ms = NULL WHERE state = 'open'";
    bench.break_stock_by(postgres, "UPDATE checkouts SET state = 'expired' WHERE state = 'open'").await;
    is_found(&bench, "holds_end_with_checkouts").await;
}

async fn event_missing(bench: Bench) {
    shop(&bench).await;
    bench.break_by("DELETE FROM outbox WHERE kind = 'order.paid'").await;
    is_found(&bench, "events_are_the_transitions").await;
}

async fn wrong_total(bench: Bench) {
    shop(&bench).await;
    bench.break_by("UPDATE orders SET total_minor = total_minor + 1").await;
    is_found(&bench, "totals_add_up").await;
}

async fn wrong_sale(bench: Bench) {
    shop(&bench).await;
    let postgres = "UPDATE stock_moves SET change = change - 1 WHERE kind = 'sale'";
    bench.break_stock_by(postgres, "UPDATE stock_moves SET quantity = quantity - 1 WHERE kind = 'sale'").await;
    is_found(&bench, "sales_are_the_lines").await;
}

async fn sale_missing(bench: Bench) {
    shop(&bench).await;
    bench.break_by("DELETE FROM stock_moves WHERE kind = 'sale'").await;
    is_found(&bench, "sales_are_the_lines").await;
}

/// The count has a moment before the checkouts', by a clock that is behind, or since its transaction took a while: each of them
/// was told to lack a hold, or a sale.
async fn counted_meanwhile(bench: Bench) {
    let generous = bench.another(StoreSettings { sells_untracked: true, ..StoreSettings::default() }).await;
    let sold = place(generous.as_ref(), &checkout(&[("boots", 1, 500)])).await;
    let (order, payment) = open_order(generous.as_ref(), sold.id).await;
    tell(generous.as_ref(), order.id, intent(payment, IntentStatus::Succeeded, eur(500))).await;
    place(generous.as_ref(), &checkout(&[("boots", 2, 300)])).await;
    set_stock_at(generous.as_ref(), "boots", 10, NOW - 59_999).await;
    let violations = bench.store.violations().await.expect("the books are read");
    assert!(violations.is_empty(), "{violations:?}");
}

async fn states_differ(bench: Bench) {
    shop(&bench).await;
    bench.break_by("UPDATE checkouts SET state = 'open' WHERE state = 'completing'").await;
    is_found(&bench, "states_agree").await;
}
