//! Orders that are opened and changed in two round trips: read without a lock, and then written by one statement.
//!
//! That statement takes the lock which everybody takes who changes an order, the one on the row of its checkout, and
//! writes nothing where the order is not what was read any more. Whatever else is in the way (a key that is taken, a
//! refusal, stock to be released) is left to the slow way too, which locks first and then finds out: nothing was
//! written until then.

use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::orders::{Notes, Stored, Texts, is_unchanged, read_stored};
use super::{checkouts, claims};
use crate::domain::{CheckoutState, Effects, Order, OrderEvent, StockEffect};
use crate::ids::{CheckoutId, OrderId};
use crate::store::text::to_text;
use crate::store::{Claim, ClaimUse, Claimed, OrderChange};

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
    UPDATE orders o SET state = n.state, dispute = n.dispute, version = n.version, email = n.email,
        shipping_address = n.shipping_address, cancel_requested = n.cancel_requested, updated_ms = n.updated_ms,
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
    ON CONFLICT DO NOTHING
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

/// Makes the order of an open checkout. None where that is left to the slow way.
pub(super) async fn open(
    connection: &mut PgConnection,
    transaction: &str,
    checkout: CheckoutId,
    new_order: OrderId,
    change: OrderChange<'_>,
    claim: &ClaimUse<'_, Order>,
    now_ms: i64,
) -> Result<Option<Claimed<Order>>, Failure> {
    let claim = match claim {
        ClaimUse::None => None,
        ClaimUse::Begin(claim) => Some(*claim),
        ClaimUse::Finish(..) | ClaimUse::Whole(..) => return Ok(None),
    };
    let found = checkouts::read(connection, checkout).await?;
    let Some(checkout) = found.filter(|found| found.state == CheckoutState::Open) else { return Ok(None) };
    let Ok(mut order) = Order::of(&checkout, new_order, now_ms) else { return Ok(None) };
    let Ok(mut effects) = change(&mut order) else { return Ok(None) };
    if effects != Effects::default() || !order.refunds.is_empty() || order.checkout_state != CheckoutState::Completing {
        return Ok(None);
    }
    effects.events.push(OrderEvent::Created);
    let texts = Texts::of(transaction, None, &order, &effects)?;
    let row = sqlx::query(OPEN)
        .bind(checkout.id.to_string())
        .bind(i64::from(checkout.version))
        .bind(claim.map(|claim| claim.caller.as_str()))
        .bind(claim.map(|claim| claim.endpoint.as_str()))
        .bind(claim.map(Claim::kept_key))
        .bind(claim.map(|claim| claim.fingerprint.as_slice()))
        .bind(claim.map(|claim| claim.subject.as_str()))
        .bind(claim.map(|claim| claim.lease_until_ms))
        .bind(claim.map(|claim| claim.now_ms))
        .bind(texts.order)
        .bind(texts.payments)
        .bind(texts.told)
        .bind(now_ms)
        .fetch_one(&mut *connection)
        .await?;
    let is_written: bool = row.try_get(0)?;
    Ok(is_written.then_some(Claimed::Done(order, None)))
}

/// Changes an order. None where that is left to the slow way.
pub(super) async fn change(
    connection: &mut PgConnection,
    id: OrderId,
    change: OrderChange<'_>,
    claim: &ClaimUse<'_, Order>,
    notes: &Notes<'_>,
    now_ms: i64,
) -> Result<Option<Claimed<Order>>, Failure> {
    let finish = match claim {
        ClaimUse::None => None,
        ClaimUse::Finish(claim, render) => Some((*claim, *render)),
        ClaimUse::Begin(_) | ClaimUse::Whole(..) => return Ok(None),
    };
    if notes.audit.is_some() {
        return Ok(None);
    }
    let stored = read_stored(connection, &id.to_string()).await?;
    let Some(Stored { order: before, changed_by }) = stored else { return Ok(None) };
    let mut order = before.clone();
    let Ok(effects) = change(&mut order) else { return Ok(None) };
    if effects.stock == StockEffect::Release || is_unchanged(&before, &mut order, &effects) {
        return Ok(None);
    }
    let answer = finish.map(|(claim, render)| (claim, render(&order)));
    let sealed = answer.as_ref().map(|(claim, answer)| claim.seal(answer)).transpose()?;
    let texts = Texts::of(notes.transaction, Some(&before), &order, &effects)?;
    let row = sqlx::query(CHANGE)
        .bind(order.checkout.to_string())
        .bind(changed_by)
        .bind(texts.order)
        .bind(to_text(&order.checkout_state))
        .bind(texts.payments)
        .bind(texts.refunds)
        .bind(texts.told)
        .bind(texts.breaks)
        .bind(now_ms)
        .bind(effects.stock == StockEffect::Sell)
        .bind(notes.inbox)
        .bind(answer.as_ref().map(|(claim, _)| claim.caller.as_str()))
        .bind(answer.as_ref().map(|(claim, _)| claim.endpoint.as_str()))
        .bind(answer.as_ref().map(|(claim, _)| claim.kept_key()))
        .bind(answer.as_ref().map(|(_, answer)| i32::from(answer.status)))
        .bind(sealed)
        .fetch_one(&mut *connection)
        .await?;
    let (is_written, is_answered): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if !is_written {
        return Ok(None);
    }
    let answer = match answer {
        Some((claim, answer)) if !is_answered => Some(claims::first_answer(connection, claim, answer).await?),
        answer => answer.map(|(_, answer)| answer),
    };
    Ok(Some(Claimed::Done(order, answer)))
}
