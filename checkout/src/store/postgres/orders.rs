//! An order is locked, read whole, changed by a pure function, and written where it differs.

use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::order_writes::{Writing, insert, update};
use super::records::{WholeOrder, from_json};
use super::{audit, checkouts, claims, holds, inbox};
use crate::domain::{Checkout, CheckoutState, Effects, Order, OrderEvent, Refusal, StockEffect};
use crate::ids::{CheckoutId, OrderId};
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

/// An order, and the transaction that changed it last.
pub(super) struct Stored {
    pub(super) order: Order,
    pub(super) changed_by: String,
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
        (Some(stored), None) => stored,
        (None, _) => create(connection, transaction, &checkout, new_order, now_ms).await?,
    };
    let order = run(connection, transaction, &before, change, now_ms).await?;
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
    let before = stored.ok_or(Refusal::NotFound("order"))?;
    if let Some(answer) = ours {
        return Ok(Claimed::Done(before.order, answer));
    }
    if before.changed_by == notes.transaction {
        return done(connection, before.order, claim).await;
    }
    let order = run(connection, notes.transaction, &before, change, now_ms).await?;
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

async fn done(
    connection: &mut PgConnection,
    order: Order,
    claim: &ClaimUse<'_, Order>,
) -> Result<Claimed<Order>, Failure> {
    let answer = claims::answer(connection, claim, &order).await?;
    Ok(Claimed::Done(order, answer))
}

/// Makes the order of a checkout that is locked.
async fn create(
    connection: &mut PgConnection,
    transaction: &str,
    checkout: &Checkout,
    id: OrderId,
    now_ms: i64,
) -> Result<Stored, Failure> {
    let order = Order::of(checkout, id, now_ms)?;
    let created = Effects { events: vec![OrderEvent::Created], ..Effects::default() };
    let writing = Writing::of(transaction, None, &order, &created)?;
    match insert(connection, checkout, None, writing, now_ms).await? {
        true => Ok(Stored { order, changed_by: transaction.to_owned() }),
        false => Err(changed_under_its_lock()),
    }
}

/// Runs a change on an order that is locked, and writes what changed; nothing where nothing did.
async fn run(
    connection: &mut PgConnection,
    transaction: &str,
    before: &Stored,
    change: OrderChange<'_>,
    now_ms: i64,
) -> Result<Order, Failure> {
    let mut order = before.order.clone();
    let effects = change(&mut order)?;
    if is_unchanged(&before.order, &mut order, &effects) {
        return Ok(order);
    }
    let writing = Writing::of(transaction, Some(&before.order), &order, &effects)?;
    let (is_written, _) = update(connection, &before.changed_by, writing, None, None, now_ms).await?;
    if !is_written {
        return Err(changed_under_its_lock());
    }
    if effects.stock == StockEffect::Release {
        holds::release(connection, &[order.checkout.to_string()]).await?;
    }
    Ok(order)
}

fn changed_under_its_lock() -> Failure {
    Failure::broken("an order or its checkout was changed by somebody who does not take the lock")
}
