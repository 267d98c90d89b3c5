//! An order is locked, read whole, changed by a pure function, and written where it differs.

use serde::Serialize;
use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::records::{OrderRecord, PaymentRecord, RefundRecord, WholeOrder, from_json, to_json};
use super::{audit, checkouts, claims, holds, inbox};
use crate::domain::{BreakKind, CheckoutState, Effects, Order, OrderEvent, Refusal, StockEffect};
use crate::ids::{CheckoutId, OrderId, OutboxId, PaymentId};
use crate::store::text::to_text;
use crate::store::{Audit, ClaimUse, Claimed, OrderChange};

const READ: &str = "
SELECT json_build_object(
    'order', o,
    'checkout_state', c.state,
    'held_until_ms', c.held_until_ms,
    'lines', coalesce((SELECT json_agg(l ORDER BY l.line) FROM order_lines l WHERE l.order_id = o.id), '[]'),
    'payments', coalesce(
        (SELECT json_agg(p ORDER BY p.created_ms, p.id) FROM payments p WHERE p.order_id = o.id), '[]'),
    'refunds', coalesce(
        (SELECT json_agg(r ORDER BY r.created_ms, r.id) FROM refunds r WHERE r.order_id = o.id), '[]')
)::text
FROM orders o JOIN checkouts c ON c.id = o.checkout_id
WHERE o.id = $1";

const OF_CHECKOUT: &str = "SELECT id FROM orders WHERE checkout_id = $1";

/// Apart from reading, which has to see what the one before committed.
const LOCK: &str = "
SELECT id FROM checkouts WHERE id = (SELECT checkout_id FROM orders WHERE id = $1) FOR UPDATE";

/// An order that is new or changed, and all that goes with it. Lists may be empty.
const WRITE: &str = "
WITH ordered AS (
    INSERT INTO orders (id, checkout_id, state, dispute, version, market, currency, total_minor, snapshot, email,
        shipping_address, token_hash, cancel_requested, created_ms, updated_ms, changed_by)
    SELECT o.id, o.checkout_id, o.state, o.dispute, o.version, o.market, o.currency, o.total_minor, o.snapshot, o.email,
        o.shipping_address, o.token_hash, o.cancel_requested, o.created_ms, o.updated_ms, o.changed_by
    FROM json_populate_record(NULL::orders, $1::text::json) o
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, dispute = excluded.dispute, version = excluded.version,
        email = excluded.email, shipping_address = excluded.shipping_address,
        cancel_requested = excluded.cancel_requested, updated_ms = excluded.updated_ms, changed_by = excluded.changed_by
    RETURNING id, snapshot, currency
), lines AS (
    INSERT INTO order_lines (order_id, line, product, title, quantity, unit_price_minor, currency, snapshot)
    SELECT o.id, l.line, l.product, l.title, l.quantity, l.unit_price_minor, o.currency, o.snapshot
    FROM ordered o, checkout_lines l WHERE $2::boolean AND l.checkout_id = $3::text
), moved AS (
    UPDATE checkouts SET state = $4::text, look_ms = CASE WHEN $4::text IN ('open', 'completing') THEN look_ms END
    WHERE id = $3::text AND state <> $4::text
), paid AS (
    INSERT INTO payments (id, order_id, method, state, amount_minor, currency, intent, session, client_secret,
        hosted_url, return_url, captured_minor, refunded_minor, failure, created_ms, next_check_ms, checks)
    SELECT p.id, p.order_id, p.method, p.state, p.amount_minor, p.currency, p.intent, p.session, p.client_secret,
        p.hosted_url, p.return_url, p.captured_minor, p.refunded_minor, p.failure, p.created_ms, p.next_check_ms,
        p.checks
    FROM json_populate_recordset(NULL::payments, $5::text::json) p
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, intent = excluded.intent, session = excluded.session,
        client_secret = excluded.client_secret, hosted_url = excluded.hosted_url,
        captured_minor = excluded.captured_minor, refunded_minor = excluded.refunded_minor, failure = excluded.failure,
        next_check_ms = excluded.next_check_ms, checks = excluded.checks
), refunded AS (
    INSERT INTO refunds (id, order_id, payment_id, state, amount_minor, currency, stripe_refund, reason, failure,
        created_ms, next_check_ms, checks)
    SELECT r.id, r.order_id, r.payment_id, r.state, r.amount_minor, r.currency, r.stripe_refund, r.reason, r.failure,
        r.created_ms, r.next_check_ms, r.checks
    FROM json_populate_recordset(NULL::refunds, $6::text::json) r
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, stripe_refund = excluded.stripe_refund,
        failure = excluded.failure, next_check_ms = excluded.next_check_ms, checks = excluded.checks
), told AS (
    INSERT INTO outbox (id, kind, subject, version, data, created_ms, tries, next_ms, is_dead)
    SELECT t.id, t.kind, t.subject, t.version, t.data, $8::bigint, 0, $8::bigint, false
    FROM json_populate_recordset(NULL::outbox, $7::text::json) t
)
INSERT INTO reconciliation_breaks (kind, reference, detail, created_ms)
SELECT b.kind, b.reference, b.detail, $8::bigint
FROM json_populate_recordset(NULL::reconciliation_breaks, $9::text::json) b
ON CONFLICT DO NOTHING";

/// An order, and the transaction that changed it last.
pub(super) struct Stored {
    pub(super) order: Order,
    pub(super) changed_by: String,
}

/// What of an order is to be written, as statements take it: JSON of records.
pub(super) struct Texts {
    pub(super) order: String,
    /// Payments and refunds that are new or changed.
    pub(super) payments: String,
    pub(super) refunds: String,
    pub(super) told: String,
    pub(super) breaks: String,
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
    reference: PaymentId,
    detail: &'a str,
}

/// What a change is noted with.
pub(super) struct Notes<'a> {
    /// The id of this transaction, the same for all attempts at it.
    pub(super) transaction: &'a str,
    pub(super) audit: Option<&'a Audit>,
    pub(super) inbox: Option<&'a str>,
}

pub(super) async fn read(connection: &mut PgConnection, id: OrderId) -> Result<Option<Order>, Failure> {
    Ok(read_stored(connection, &id.to_string()).await?.map(|stored| stored.order))
}

pub(super) async fn of_checkout(connection: &mut PgConnection, id: CheckoutId) -> Result<Option<String>, Failure> {
    Ok(sqlx::query_scalar(OF_CHECKOUT).bind(id.to_string()).fetch_optional(&mut *connection).await?)
}

pub(super) async fn open(
    connection: &mut PgConnection,
    transaction: &str,
    checkout: CheckoutId,
    new_order: OrderId,
    change: OrderChange<'_>,
    claim: &ClaimUse<'_, Order>,
    now_ms: i64,
) -> Result<Claimed<Order>, Failure> {
    let ours = match claims::enter(connection, claim).await? {
        claims::Standing::Free => None,
        claims::Standing::Ours(answer) => Some(answer),
        claims::Standing::Taken(taken) => return Ok(taken.into()),
    };
    let checkout = checkouts::lock(connection, checkout).await?;
    // An open checkout has no order: the one who makes it says Completing under the same lock.
    let before = match checkout.state {
        CheckoutState::Open => None,
        _ => match of_checkout(connection, checkout.id).await? {
            Some(id) => read_stored(connection, &id).await?,
            None => None,
        },
    };
    let before = match (before, ours) {
        (Some(stored), Some(answer)) => return Ok(Claimed::Done(stored.order, answer)),
        (Some(stored), None) if stored.changed_by == transaction => return done(connection, stored.order, claim).await,
        (before, _) => before.map(|stored| stored.order),
    };
    let mut order = match &before {
        Some(order) => order.clone(),
        None => Order::of(&checkout, new_order, now_ms)?,
    };
    let mut effects = change(&mut order)?;
    if before.is_none() {
        effects.events.insert(0, OrderEvent::Created);
    }
    store(connection, transaction, before.as_ref(), &mut order, &effects, now_ms).await?;
    done(connection, order, claim).await
}

pub(super) async fn change(
    connection: &mut PgConnection,
    id: OrderId,
    change: OrderChange<'_>,
    claim: &ClaimUse<'_, Order>,
    notes: &Notes<'_>,
    now_ms: i64,
) -> Result<Claimed<Order>, Failure> {
    let ours = match claims::enter(connection, claim).await? {
        claims::Standing::Free => None,
        claims::Standing::Ours(answer) => Some(answer),
        claims::Standing::Taken(taken) => return Ok(taken.into()),
    };
    let locked = sqlx::query(LOCK).bind(id.to_string()).fetch_optional(&mut *connection).await?;
    let stored = match locked {
        Some(_) => read_stored(connection, &id.to_string()).await?,
        None => None,
    };
    let Stored { order: before, changed_by } = stored.ok_or(Refusal::NotFound("order"))?;
    if let Some(answer) = ours {
        return Ok(Claimed::Done(before, answer));
    }
    if changed_by == notes.transaction {
        return done(connection, before, claim).await;
    }
    let mut order = before.clone();
    let effects = change(&mut order)?;
    store(connection, notes.transaction, Some(&before), &mut order, &effects, now_ms).await?;
    if let Some(note) = notes.audit {
        audit::note(connection, notes.transaction, note, now_ms).await?;
    }
    if let Some(event) = notes.inbox {
        inbox::settle(connection, event, now_ms).await?;
    }
    done(connection, order, claim).await
}

/// Whether nothing was changed but the time, which is put back then.
pub(super) fn is_unchanged(before: &Order, order: &mut Order, effects: &Effects) -> bool {
    let changed_ms = std::mem::replace(&mut order.updated_ms, before.updated_ms);
    if *before == *order && *effects == Effects::default() {
        return true;
    }
    order.updated_ms = changed_ms;
    false
}

pub(super) async fn read_stored(connection: &mut PgConnection, id: &str) -> Result<Option<Stored>, Failure> {
    let row = sqlx::query(READ).bind(id).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(None) };
    let mut whole: WholeOrder = from_json(row.try_get(0)?)?;
    let changed_by = std::mem::take(&mut whole.order.changed_by);
    Ok(Some(Stored { order: whole.into_order()?, changed_by }))
}

impl Texts {
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
            order: to_json(&OrderRecord::of(order, transaction))?,
            payments: to_json(&payments)?,
            refunds: to_json(&refunds)?,
            told: to_json(&told(order, &effects.events))?,
            breaks: to_json(&breaks(effects))?,
        })
    }
}

async fn done(
    connection: &mut PgConnection,
    order: Order,
    claim: &ClaimUse<'_, Order>,
) -> Result<Claimed<Order>, Failure> {
    let answer = claims::answer(connection, claim, &order).await?;
    Ok(Claimed::Done(order, answer))
}

/// Writes what changed; nothing where nothing did.
async fn store(
    connection: &mut PgConnection,
    transaction: &str,
    before: Option<&Order>,
    order: &mut Order,
    effects: &Effects,
    now_ms: i64,
) -> Result<(), Failure> {
    if before.is_some_and(|before| is_unchanged(before, order, effects)) {
        return Ok(());
    }
    write(connection, transaction, before, order, effects, now_ms).await?;
    match effects.stock {
        StockEffect::Keep => Ok(()),
        StockEffect::Sell => holds::sell(connection, order.checkout, order.id, now_ms).await,
        StockEffect::Release => holds::release(connection, &[order.checkout.to_string()]).await,
    }
}

async fn write(
    connection: &mut PgConnection,
    transaction: &str,
    before: Option<&Order>,
    order: &Order,
    effects: &Effects,
    now_ms: i64,
) -> Result<(), Failure> {
    let texts = Texts::of(transaction, before, order, effects)?;
    sqlx::query(WRITE)
        .bind(texts.order)
        .bind(before.is_none())
        .bind(order.checkout.to_string())
        .bind(to_text(&order.checkout_state))
        .bind(texts.payments)
        .bind(texts.refunds)
        .bind(texts.told)
        .bind(now_ms)
        .bind(texts.breaks)
        .execute(&mut *connection)
        .await?;
    Ok(())
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

/// The same kind for the same payment is one break.
fn breaks(effects: &Effects) -> Vec<Break<'_>> {
    effects.breaks.iter().map(|one| Break { kind: one.kind, reference: one.payment, detail: &one.detail }).collect()
}
