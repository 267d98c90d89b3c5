//! The statements that write orders, each with all that goes with it. Who changes an order holds the lock on the row of its
//! checkout: the statements take it, and find it taken where the transaction has it already.

use serde::Serialize;
use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::records::{OrderRecord, PaymentRecord, RefundRecord, to_json};
use crate::domain::{BreakKind, Checkout, Effects, Order, OrderEvent, StockEffect};
use crate::ids::OutboxId;
use crate::store::text::to_text;
use crate::store::{Answer, Claim};

/// The key, the order, its lines and its payments, where the checkout is open and has the version that was read.
///
/// The checkout is locked before the key, so that a miss leaves no key. Whoever waits there while holding the key, in
/// the slow way, is a deadlock, which PostgreSQL ends and the store runs again.
const OPEN: &str = "
WITH locked AS MATERIALIZED (
    SELECT id FROM checkouts WHERE id = $1::text AND state = 'open' AND version = $2::bigint FOR UPDATE
), claimed AS (
    INSERT INTO idempotency_keys (caller, endpoint, key, fingerprint, subject, lease_until_ms, created_ms)
    SELECT $3::text, $4::text, $5::text, $6::bytea, $7::text, $8::bigint, $9::bigint
    FROM locked WHERE $3::text IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING caller
), ordered AS (
    INSERT INTO orders (id, checkout_id, state, dispute, version, market, currency, total_minor, snapshot, email,
        shipping_address, token_hash, cancel_requested, created_ms, updated_ms, changed_by)
    SELECT o.id, locked.id, o.state, o.dispute, o.version, o.market, o.currency, o.total_minor, o.snapshot, o.email,
        o.shipping_address, o.token_hash, o.cancel_requested, o.created_ms, o.updated_ms, o.changed_by
    FROM locked, json_populate_record(NULL::orders, $10::text::json) o
    WHERE $3::text IS NULL OR EXISTS (SELECT FROM claimed)
    RETURNING id, snapshot, currency
), lines AS (
    INSERT INTO order_lines (order_id, line, product, title, quantity, unit_price_minor, currency, snapshot)
    SELECT o.id, l.line, l.product, l.title, l.quantity, l.unit_price_minor, o.currency, o.snapshot
    FROM ordered o, checkout_lines l WHERE l.checkout_id = $1::text
), moved AS (
    UPDATE checkouts c SET state = 'completing' FROM ordered WHERE c.id = $1::text
), paid AS (
    INSERT INTO payments (id, order_id, method, state, amount_minor, currency, intent, session, client_secret,
        hosted_url, return_url, captured_minor, refunded_minor, failure, created_ms, next_check_ms, checks)
    SELECT p.id, p.order_id, p.method, p.state, p.amount_minor, p.currency, p.intent, p.session, p.client_secret,
        p.hosted_url, p.return_url, p.captured_minor, p.refunded_minor, p.failure, p.created_ms, p.next_check_ms,
        p.checks
    FROM ordered, json_populate_recordset(NULL::payments, $11::text::json) p
), told AS (
    INSERT INTO outbox (id, kind, subject, version, data, created_ms, tries, next_ms, is_dead)
    SELECT t.id, t.kind, t.subject, t.version, t.data, $13::bigint, 0, $13::bigint, false
    FROM ordered, json_populate_recordset(NULL::outbox, $12::text::json) t
)
SELECT EXISTS (SELECT FROM ordered)";

/// Everything that a change of an order may write beside it, where the order was last changed by whom it was read of.
const CHANGE: &str = "
WITH locked AS MATERIALIZED (
    SELECT id FROM checkouts WHERE id = $1::text FOR UPDATE
), ordered AS (
    UPDATE orders o SET state = n.state, dispute = n.dispute, disputes = n.disputes, version = n.version,
        email = n.email, shipping_address = n.shipping_address, cancel_requested = n.cancel_requested, updated_ms = n.updated_ms,
        changed_by = n.changed_by
    FROM locked, json_populate_record(NULL::orders, $3::text::json) n
    WHERE o.id = n.id AND o.checkout_id = locked.id AND o.changed_by = $2::text
    RETURNING o.id
), moved AS (
    UPDATE checkouts c SET state = $4::text,
        look_ms = CASE WHEN $4::text IN ('open', 'completing') THEN c.look_ms END
    FROM ordered WHERE c.id = $1::text AND c.state <> $4::text
), paid AS (
    INSERT INTO payments (id, order_id, method, state, amount_minor, currency, intent, session, client_secret,
        hosted_url, return_url, captured_minor, refunded_minor, failure, created_ms, next_check_ms, checks)
    SELECT p.id, p.order_id, p.method, p.state, p.amount_minor, p.currency, p.intent, p.session, p.client_secret,
        p.hosted_url, p.return_url, p.captured_minor, p.refunded_minor, p.failure, p.created_ms, p.next_check_ms,
        p.checks
    FROM ordered, json_populate_recordset(NULL::payments, $5::text::json) p
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, intent = excluded.intent, session = excluded.session,
        client_secret = excluded.client_secret, hosted_url = excluded.hosted_url,
        captured_minor = excluded.captured_minor, refunded_minor = excluded.refunded_minor, failure = excluded.failure,
        next_check_ms = excluded.next_check_ms, checks = excluded.checks
), refunded AS (
    INSERT INTO refunds (id, order_id, payment_id, state, amount_minor, currency, stripe_refund, reason, failure,
        created_ms, next_check_ms, checks)
    SELECT r.id, r.order_id, r.payment_id, r.state, r.amount_minor, r.currency, r.stripe_refund, r.reason, r.failure,
        r.created_ms, r.next_check_ms, r.checks
    FROM ordered, json_populate_recordset(NULL::refunds, $6::text::json) r
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, stripe_refund = excluded.stripe_refund,
        failure = excluded.failure, next_check_ms = excluded.next_check_ms, checks = excluded.checks
), told AS (
    INSERT INTO outbox (id, kind, subject, version, data, created_ms, tries, next_ms, is_dead)
    SELECT t.id, t.kind, t.subject, t.version, t.data, $9::bigint, 0, $9::bigint, false
    FROM ordered, json_populate_recordset(NULL::outbox, $7::text::json) t
), broken AS (
    INSERT INTO reconciliation_breaks (kind, reference, detail, created_ms)
    SELECT b.kind, b.reference, b.detail, $9::bigint
    FROM ordered, json_populate_recordset(NULL::reconciliation_breaks, $8::text::json) b
    ON CONFLICT (kind, reference) DO UPDATE SET detail = excluded.detail, created_ms = excluded.created_ms,
        resolved_ms = NULL, resolved_by = NULL, resolved_why = NULL
    WHERE reconciliation_breaks.resolved_ms IS NOT NULL AND reconciliation_breaks.detail <> excluded.detail
), gone AS (
    DELETE FROM stock_holds h USING ordered WHERE $10::boolean AND h.checkout_id = $1::text
    RETURNING h.product, h.quantity, ordered.id AS order_id
), sold AS (
    INSERT INTO stock_moves (product, kind, change, reason, order_id, created_ms)
    SELECT product, 'sale', -sum(quantity)::bigint, 'sold', order_id, $9::bigint
    FROM gone GROUP BY product, order_id ORDER BY product
), settled AS (
    UPDATE webhook_inbox i SET applied_ms = $9::bigint, why = NULL
    FROM ordered WHERE i.id = $11::text AND i.applied_ms IS NULL
), answered AS (
    UPDATE idempotency_keys k SET answer_status = $15::int, answer_body = $16::bytea
    FROM ordered
    WHERE k.caller = $12::text AND k.endpoint = $13::text AND k.key = $14::text AND k.answer_status IS NULL
    RETURNING k.caller
)
SELECT EXISTS (SELECT FROM ordered), EXISTS (SELECT FROM answered)";

/// What of an order is to be written, as statements take it; records are JSON.
pub(super) struct Writing {
    checkout: String,
    checkout_state: String,
    order: String,
    /// Payments and refunds that are new or changed.
    payments: String,
    refunds: String,
    told: String,
    breaks: String,
    sells: bool,
}

/// Writes a new order. False where its checkout is not what was read any more, or the key is taken.
pub(super) async fn insert(
    connection: &mut PgConnection,
    checkout: &Checkout,
    claim: Option<&Claim>,
    writing: Writing,
    now_ms: i64,
) -> Result<bool, Failure> {
    let row = sqlx::query(OPEN)
        .bind(writing.checkout)
        .bind(i64::from(checkout.version))
        .bind(claim.map(|claim| claim.caller.as_str()))
        .bind(claim.map(|claim| claim.endpoint.as_str()))
        .bind(claim.map(Claim::kept_key))
        .bind(claim.map(|claim| claim.fingerprint.as_slice()))
        .bind(claim.map(|claim| claim.subject.as_str()))
        .bind(claim.map(|claim| claim.lease_until_ms))
        .bind(claim.map(|claim| claim.now_ms))
        .bind(writing.order)
        .bind(writing.payments)
        .bind(writing.told)
        .bind(now_ms)
        .fetch_one(&mut *connection)
        .await?;
    Ok(row.try_get(0)?)
}

/// Writes an order that was changed by `changed_by` when it was read. Whether it was written, and whether the answer was
/// stored: neither where somebody changed it since then.
pub(super) async fn update(
    connection: &mut PgConnection,
    changed_by: &str,
    writing: Writing,
    inbox: Option<&str>,
    answer: Option<(&Claim, &Answer)>,
    now_ms: i64,
) -> Result<(bool, bool), Failure> {
    let sealed = answer.map(|(claim, answer)| claim.seal(answer)).transpose()?;
    let row = sqlx::query(CHANGE)
        .bind(writing.checkout)
        .bind(changed_by)
        .bind(writing.order)
        .bind(writing.checkout_state)
        .bind(writing.payments)
        .bind(writing.refunds)
        .bind(writing.told)
        .bind(writing.breaks)
        .bind(now_ms)
        .bind(writing.sells)
        .bind(inbox)
        .bind(answer.map(|(claim, _)| claim.caller.as_str()))
        .bind(answer.map(|(claim, _)| claim.endpoint.as_str()))
        .bind(answer.map(|(claim, _)| claim.kept_key()))
        .bind(answer.map(|(_, answer)| i32::from(answer.status)))
        .bind(sealed)
        .fetch_one(&mut *connection)
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

impl Writing {
    pub(super) fn of(
        transaction: &str,
        before: Option<&Order>,
        order: &Order,
        effects: &Effects,
    ) -> Result<Self, Failure> {
        let payments = order.payments.iter().filter(|one| before.is_none_or(|before| !before.payments.contains(one)));
        let payments: Vec<PaymentRecord> = payments.map(PaymentRecord::of).collect();
        let refunds = order.refunds.iter().filter(|one| before.is_none_or(|before| !before.refunds.contains(one)));
        let refunds: Vec<RefundRecord> = refunds.map(RefundRecord::of).collect();
        Ok(Self {
            checkout: order.checkout.to_string(),
            checkout_state: to_text(&order.checkout_state),
            order: to_json(&OrderRecord::of(order, transaction))?,
            payments: to_json(&payments)?,
            refunds: to_json(&refunds)?,
            told: to_json(&told(order, &effects.events))?,
            breaks: to_json(&breaks(effects))?,
            sells: effects.stock == StockEffect::Sell,
        })
    }
}

/// A row of the outbox that is to be written.
#[derive(Serialize)]
struct Told {
    id: OutboxId,
    kind: OrderEvent,
    subject: String,
    version: u32,
    data: String,
}

#[derive(Serialize)]
struct Break<'a> {
    kind: BreakKind,
    reference: &'a str,
    detail: &'a str,
}

/// Each event has the version that it made; the last one has the order's.
fn told(order: &Order, events: &[OrderEvent]) -> Vec<Told> {
    let after_last = order.version.saturating_add(1);
    let first = after_last.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
    let of = |(version, kind): (u32, &OrderEvent)| Told {
        id: OutboxId::new(),
        kind: *kind,
        subject: format!("orders/{}", order.id),
        version,
        data: order.event_data(version).to_string(),
    };
    (first..after_last).zip(events).map(of).collect()
}

/// The same kind and reference is one break; a statement cannot write one row twice.
fn breaks(effects: &Effects) -> Vec<Break<'_>> {
    let mut breaks: Vec<Break<'_>> = Vec::with_capacity(effects.breaks.len());
    for one in &effects.breaks {
        if !breaks.iter().any(|other| other.kind == one.kind && other.reference == one.reference) {
            breaks.push(Break { kind: one.kind, reference: &one.reference, detail: &one.detail });
        }
    }
    breaks
}
