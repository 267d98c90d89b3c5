//! Checkouts: placed with their stock, changed, cancelled.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::claims::Entry;
use super::fault::Fault;
use super::rows::{currency, get, hash, id, json, money, parsed, state};
use super::{claims, stock};
use crate::domain::{Checkout, CheckoutState, Line, Refusal};
use crate::ids::CheckoutId;
use crate::store::{CheckoutChange, ClaimUse, Claimed, text};

pub(super) async fn place(
    conn: &mut SqliteConnection,
    new: &Checkout,
    sells_untracked: bool,
    claim: &ClaimUse<'_, Checkout>,
) -> Result<Claimed<Checkout>, Fault> {
    let ours = match claims::enter(conn, claim).await? {
        Entry::Work => None,
        Entry::Ours(answer) => Some(answer),
        Entry::Stopped(stopped) => return Ok(stopped),
    };
    // One that is there was placed by a transaction whose acknowledgement was lost.
    let placed = match (load(conn, new.id).await?, ours) {
        (Some(placed), Some(answer)) => return Ok(Claimed::Done(placed, answer)),
        (Some(placed), None) => placed,
        (None, _) => {
            insert(conn, new, sells_untracked).await?;
            new.clone()
        }
    };
    let answer = claims::leave(conn, claim, &placed).await?;
    Ok(Claimed::Done(placed, answer))
}

pub(super) async fn load(conn: &mut SqliteConnection, id: CheckoutId) -> Result<Option<Checkout>, Fault> {
    let row =
        sqlx::query("SELECT * FROM checkouts WHERE id = ?1").bind(id.to_string()).fetch_optional(&mut *conn).await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let lines = sqlx::query("SELECT * FROM checkout_lines WHERE checkout = ?1 ORDER BY position")
        .bind(id.to_string())
        .fetch_all(&mut *conn)
        .await?;
    let lines = lines.iter().map(line).collect::<Result<Vec<_>, Fault>>()?;
    Ok(Some(checkout(&row, lines)?))
}

pub(super) async fn change(
    conn: &mut SqliteConnection,
    id: CheckoutId,
    version: u32,
    change: &CheckoutChange,
    now_ms: i64,
) -> Result<Checkout, Fault> {
    let mut checkout = load(conn, id).await?.ok_or(Refusal::NotFound("checkout"))?;
    change.apply(&mut checkout, version, now_ms)?;
    sqlx::query("UPDATE checkouts SET version = ?2, email = ?3, shipping_address = ?4 WHERE id = ?1")
        .bind(id.to_string())
        .bind(checkout.version)
        .bind(checkout.email.as_deref())
        .bind(checkout.shipping_address.as_ref().map(ToString::to_string))
        .execute(&mut *conn)
        .await?;
    Ok(checkout)
}

pub(super) async fn cancel(
    conn: &mut SqliteConnection,
    id: CheckoutId,
    claim: &ClaimUse<'_, Checkout>,
    now_ms: i64,
) -> Result<Claimed<Checkout>, Fault> {
    let ours = match claims::enter(conn, claim).await? {
        Entry::Work => None,
        Entry::Ours(answer) => Some(answer),
        Entry::Stopped(stopped) => return Ok(stopped),
    };
    let mut checkout = load(conn, id).await?.ok_or(Refusal::NotFound("checkout"))?;
    if let Some(answer) = ours {
        return Ok(Claimed::Done(checkout, answer));
    }
    match checkout.state {
        CheckoutState::Open => {
            checkout.state = CheckoutState::Cancelled;
            end(conn, id, checkout.state, now_ms).await?;
            stock::release(conn, id, now_ms).await?;
        }
        CheckoutState::Cancelled => {}
        CheckoutState::Completing | CheckoutState::Completed => return Err(Refusal::PaymentInProgress.into()),
        CheckoutState::Expired => return Err(Refusal::CheckoutClosed(checkout.state).into()),
    }
    let answer = claims::leave(conn, claim, &checkout).await?;
    Ok(Claimed::Done(checkout, answer))
}

pub(super) async fn set_state(conn: &mut SqliteConnection, id: CheckoutId, state: CheckoutState) -> Result<(), Fault> {
    sqlx::query("UPDATE checkouts SET state = ?2 WHERE id = ?1")
        .bind(id.to_string())
        .bind(text::to_text(&state))
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// Ends a checkout that has no order, and notes when.
pub(super) async fn end(
    conn: &mut SqliteConnection,
    id: CheckoutId,
    state: CheckoutState,
    now_ms: i64,
) -> Result<(), Fault> {
    sqlx::query("UPDATE checkouts SET state = ?2, ended_ms = ?3 WHERE id = ?1")
        .bind(id.to_string())
        .bind(text::to_text(&state))
        .bind(now_ms)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

/// A line of a checkout or of an order.
pub(super) fn line(row: &SqliteRow) -> Result<Line, Fault> {
    Ok(Line {
        product: get(row, "product")?,
        title: get(row, "title")?,
        quantity: get(row, "quantity")?,
        unit_price: money(row, "unit_price_minor")?,
    })
}

fn checkout(row: &SqliteRow, lines: Vec<Line>) -> Result<Checkout, Fault> {
    Ok(Checkout {
        id: id(row, "id")?,
        state: state(row, "state")?,
        version: get(row, "version")?,
        market: get(row, "market")?,
        currency: currency(row)?,
        lines,
        total: money(row, "total_minor")?,
        snapshot: get(row, "snapshot")?,
        held_until_ms: get(row, "held_until_ms")?,
        cart: get::<Option<&str>>(row, "cart")?.map(parsed).transpose()?,
        email: get(row, "email")?,
        shipping_address: json(row, "shipping_address")?,
        token_hash: hash(row, "token_hash")?,
        created_ms: get(row, "created_ms")?,
    })
}

async fn insert(conn: &mut SqliteConnection, new: &Checkout, sells_untracked: bool) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO checkouts (id, state, version, market, currency, total_minor, snapshot, held_until_ms, cart, email,
             shipping_address, token_hash, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )
    .bind(new.id.to_string())
    .bind(text::to_text(&new.state))
    .bind(new.version)
    .bind(&new.market)
    .bind(new.currency.as_str())
    .bind(new.total.amount_minor())
    .bind(&new.snapshot)
    .bind(new.held_until_ms)
    .bind(new.cart.map(|cart| cart.to_string()))
    .bind(new.email.as_deref())
    .bind(new.shipping_address.as_ref().map(ToString::to_string))
    .bind(&new.token_hash[..])
    .bind(new.created_ms)
    .execute(&mut *conn)
    .await?;
    let held = stock::hold(conn, new, sells_untracked).await?;
    for (position, line) in (0_i64..).zip(&new.lines) {
        sqlx::query(
            "INSERT INTO checkout_lines (checkout, position, product, title, quantity, unit_price_minor, currency,
                 is_held)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .bind(new.id.to_string())
        .bind(position)
        .bind(&line.product)
        .bind(&line.title)
        .bind(line.quantity)
        .bind(line.unit_price.amount_minor())
        .bind(line.unit_price.currency().as_str())
        .bind(held.contains(line.product.as_str()))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
