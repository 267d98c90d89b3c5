//! Orders that are opened and changed in two round trips: read without a lock, and then written by one statement.
//!
//! That statement takes the lock which everybody takes who changes an order, the one on the row of its checkout, and
//! writes nothing where the order is not what was read any more. Whatever else is in the way (a key that is taken, a
//! refusal, stock to be released) is left to the slow way too, which locks first and then finds out: nothing was
//! written until then.

use sqlx::PgConnection;

use super::failure::Failure;
use super::order_writes::{Writing, insert, update};
use super::orders::{Notes, Stored, is_unchanged, read_stored};
use super::{checkouts, claims};
use crate::domain::{CheckoutState, Effects, Order, OrderEvent, StockEffect};
use crate::ids::{CheckoutId, OrderId};
use crate::store::{ClaimUse, Claimed, OrderChange};

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
    let writing = Writing::of(transaction, None, &order, &effects)?;
    let is_written = insert(connection, &checkout, claim, writing, now_ms).await?;
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
    let writing = Writing::of(notes.transaction, Some(&before), &order, &effects)?;
    let told = answer.as_ref().map(|(claim, answer)| (*claim, answer));
    let (is_written, is_answered) = update(connection, &changed_by, writing, notes.inbox, told, now_ms).await?;
    if !is_written {
        return Ok(None);
    }
    let answer = match answer {
        Some((claim, answer)) if !is_answered => Some(claims::first_answer(connection, claim, answer).await?),
        answer => answer.map(|(_, answer)| answer),
    };
    Ok(Some(Claimed::Done(order, answer)))
}
