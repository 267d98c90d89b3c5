//! Orders: opened, changed and written with all that belongs to them.

use sqlx::SqliteConnection;

use super::claims::Entry;
use super::fault::Fault;
use super::rows::parsed;
use super::{audit, breaks, checkouts, claims, inbox, order_rows, outbox, payments, stock};
use crate::domain::{Effects, Order, OrderEvent, Refusal, StockEffect};
use crate::ids::{CheckoutId, OrderId};
use crate::store::{Audit, ClaimUse, Claimed, OrderChange, text};

pub(super) async fn open(
    conn: &mut SqliteConnection,
    checkout: CheckoutId,
    new_order: OrderId,
    change: OrderChange<'_>,
    claim: &ClaimUse<'_, Order>,
    now_ms: i64,
) -> Result<Claimed<Order>, Fault> {
    let ours = match claims::enter(conn, claim).await? {
        Entry::Work => None,
        Entry::Ours(answer) => Some(answer),
        Entry::Stopped(stopped) => return Ok(stopped),
    };
    let mut order = match (of_checkout(conn, checkout).await?, ours) {
        (Some(id), Some(answer)) => return Ok(Claimed::Done(existing(conn, id).await?, answer)),
        (Some(id), None) => existing(conn, id).await?,
        (None, _) => create(conn, checkout, new_order, now_ms).await?,
    };
    run(conn, &mut order, change, now_ms).await?;
    let answer = claims::leave(conn, claim, &order).await?;
    Ok(Claimed::Done(order, answer))
}

/// What is done beside changing an order.
pub(super) struct Beside<'a> {
    pub(super) audit: Option<&'a Audit>,
    /// The event of the inbox that is applied with it.
    pub(super) inbox: Option<&'a str>,
}

pub(super) async fn change(
    conn: &mut SqliteConnection,
    id: OrderId,
    change: OrderChange<'_>,
    claim: &ClaimUse<'_, Order>,
    beside: Beside<'_>,
    now_ms: i64,
) -> Result<Claimed<Order>, Fault> {
    let ours = match claims::enter(conn, claim).await? {
        Entry::Work => None,
        Entry::Ours(answer) => Some(answer),
        Entry::Stopped(stopped) => return Ok(stopped),
    };
    let mut order = existing(conn, id).await?;
    if let Some(answer) = ours {
        return Ok(Claimed::Done(order, answer));
    }
    run(conn, &mut order, change, now_ms).await?;
    if let Some(audited) = beside.audit {
        audit::write(conn, audited, now_ms).await?;
    }
    if let Some(event) = beside.inbox {
        inbox::settle(conn, event, now_ms).await?;
    }
    let answer = claims::leave(conn, claim, &order).await?;
    Ok(Claimed::Done(order, answer))
}

pub(super) async fn of_checkout(conn: &mut SqliteConnection, id: CheckoutId) -> Result<Option<OrderId>, Fault> {
    let order = sqlx::query_scalar::<_, String>("SELECT id FROM orders WHERE checkout = ?1")
        .bind(id.to_string())
        .fetch_optional(&mut *conn)
        .await?;
    order.as_deref().map(parsed).transpose()
}

async fn existing(conn: &mut SqliteConnection, id: OrderId) -> Result<Order, Fault> {
    order_rows::load(conn, id).await?.ok_or_else(|| Refusal::NotFound("order").into())
}

async fn create(
    conn: &mut SqliteConnection,
    checkout: CheckoutId,
    new_order: OrderId,
    now_ms: i64,
) -> Result<Order, Fault> {
    let checkout = checkouts::load(conn, checkout).await?.ok_or(Refusal::NotFound("checkout"))?;
    let order = Order::of(&checkout, new_order, now_ms)?;
    order_rows::insert(conn, &order).await?;
    checkouts::set_state(conn, order.checkout, order.checkout_state).await?;
    tell(conn, &order, &[OrderEvent::Created], now_ms).await?;
    Ok(order)
}

/// Runs a change on an order, and writes what came of it.
async fn run(
    conn: &mut SqliteConnection,
    order: &mut Order,
    change: OrderChange<'_>,
    now_ms: i64,
) -> Result<(), Fault> {
    let before = order.clone();
    let Effects { stock, events, breaks: found } = change(order)?;
    // That it was looked at is no change.
    let looked_at_ms = std::mem::replace(&mut order.updated_ms, before.updated_ms);
    if *order != before {
        order.updated_ms = looked_at_ms;
        order_rows::update(conn, order).await?;
        payments::write(conn, &before, order).await?;
    }
    if order.checkout_state != before.checkout_state {
        checkouts::set_state(conn, order.checkout, order.checkout_state).await?;
    }
    match stock {
        StockEffect::Keep => {}
        StockEffect::Sell => stock::sell(conn, order.checkout, now_ms).await?,
        StockEffect::Release => stock::release(conn, order.checkout, now_ms).await?,
    }
    tell(conn, order, &events, now_ms).await?;
    for one in found {
        breaks::record(conn, one.kind, &one.reference, &one.detail, now_ms).await?;
    }
    Ok(())
}

/// Writes events to the outbox. The last one has the order's version, and those before it the versions before.
async fn tell(conn: &mut SqliteConnection, order: &Order, events: &[OrderEvent], now_ms: i64) -> Result<(), Fault> {
    let subject = format!("orders/{}", order.id);
    for (event, after) in events.iter().zip((0..events.len() as u32).rev()) {
        let version = order.version - after;
        outbox::write(conn, &text::to_text(event), &subject, version, &order.event_data(version), now_ms).await?;
    }
    Ok(())
}
