//! Checkouts: placed with their stock, changed, cancelled, expired.

use sqlx::{PgConnection, Row};

use super::connections::Lease;
use super::failure::Failure;
use super::primary::random;
use super::records::{CheckoutRecord, LineRecord, WholeCheckout, from_json, to_json};
use super::{claims, holds};
use crate::domain::{Checkout, CheckoutState, Refusal};
use crate::ids::CheckoutId;
use crate::store::{Answer, CheckoutChange, Claim, ClaimUse, Claimed};

/// Everything at once: the key, the checkout, its lines, and one row of stock a product, taken without waiting for
/// anybody, from a unit at random on. Where the key is taken, or a product has no free row with enough in it, nothing
/// is written.
///
/// The stock is locked before the key, so that a miss leaves no key. Whoever waits for a key while another one with
/// that key waits for stock is a deadlock, which PostgreSQL ends and the store runs again.
const PLACE: &str = "
WITH wanted AS (
    SELECT w.product, w.quantity FROM unnest($1::text[], $2::bigint[]) AS w (product, quantity)
    WHERE NOT $3::boolean OR EXISTS (SELECT FROM stock_products s WHERE s.product = w.product)
), picked AS MATERIALIZED (
    SELECT w.product, coalesce(above.unit, below.unit) AS unit, w.quantity
    FROM wanted w
    LEFT JOIN LATERAL (
        SELECT u.unit FROM stock_units u
        WHERE u.product = w.product AND u.unit >= $4::int AND u.quantity >= w.quantity
        ORDER BY u.unit LIMIT 1 FOR UPDATE SKIP LOCKED
    ) above ON true
    LEFT JOIN LATERAL (
        SELECT u.unit FROM stock_units u
        WHERE above.unit IS NULL AND u.product = w.product AND u.unit < $4::int AND u.quantity >= w.quantity
        ORDER BY u.unit LIMIT 1 FOR UPDATE SKIP LOCKED
    ) below ON true
), ready AS MATERIALIZED (
    SELECT coalesce(bool_and(unit IS NOT NULL), true) AS is_ready FROM picked
), claimed AS (
    INSERT INTO idempotency_keys
        (caller, endpoint, key, fingerprint, subject, lease_until_ms, created_ms, answer_status, answer_body)
    SELECT $5::text, $6::text, $7::text, $8::bytea, $9::text, $10::bigint, $11::bigint, $12::int, $13::bytea
    FROM ready WHERE is_ready AND $5::text IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING caller
), placed AS (
    INSERT INTO checkouts (id, state, version, market, currency, total_minor, snapshot, held_until_ms, cart_id, email,
        shipping_address, token_hash, created_ms, look_ms)
    SELECT c.id, c.state, c.version, c.market, c.currency, c.total_minor, c.snapshot, c.held_until_ms, c.cart_id,
        c.email, c.shipping_address, c.token_hash, c.created_ms, c.look_ms
    FROM ready, json_populate_record(NULL::checkouts, $14::text::json) c
    WHERE is_ready AND ($5::text IS NULL OR EXISTS (SELECT FROM claimed))
    ON CONFLICT DO NOTHING RETURNING id
), lines AS (
    INSERT INTO checkout_lines (checkout_id, line, product, title, quantity, unit_price_minor)
    SELECT placed.id, l.line, l.product, l.title, l.quantity, l.unit_price_minor
    FROM placed, json_populate_recordset(NULL::checkout_lines, $15::text::json) l
), taken AS (
    UPDATE stock_units u SET quantity = u.quantity - p.quantity FROM picked p, placed
    WHERE u.product = p.product AND u.unit = p.unit RETURNING u.product, u.quantity
), held AS (
    INSERT INTO stock_holds (checkout_id, product, unit, quantity)
    SELECT placed.id, p.product, p.unit, p.quantity FROM picked p, placed
), marked AS (
    INSERT INTO stock_dirty (product) SELECT product FROM taken WHERE quantity = 0
)
SELECT EXISTS (SELECT FROM placed)";

/// The row and its lines alone; nothing where it is there.
const INSERT: &str = "
WITH placed AS (
    INSERT INTO checkouts (id, state, version, market, currency, total_minor, snapshot, held_until_ms, cart_id, email,
        shipping_address, token_hash, created_ms, look_ms)
    SELECT c.id, c.state, c.version, c.market, c.currency, c.total_minor, c.snapshot, c.held_until_ms, c.cart_id,
        c.email, c.shipping_address, c.token_hash, c.created_ms, c.look_ms
    FROM json_populate_record(NULL::checkouts, $1::text::json) c
    ON CONFLICT DO NOTHING RETURNING id
), lines AS (
    INSERT INTO checkout_lines (checkout_id, line, product, title, quantity, unit_price_minor)
    SELECT placed.id, l.line, l.product, l.title, l.quantity, l.unit_price_minor
    FROM placed, json_populate_recordset(NULL::checkout_lines, $2::text::json) l
)
SELECT EXISTS (SELECT FROM placed)";

const READ: &str = "
SELECT json_build_object('checkout', c, 'lines', coalesce(
    (SELECT json_agg(l ORDER BY l.line) FROM checkout_lines l WHERE l.checkout_id = c.id), '[]'))::text
FROM checkouts c WHERE c.id = $1";

/// Lines never change, so that those of before the wait are right.
const LOCK: &str = "
SELECT json_build_object('checkout', c, 'lines', coalesce(
    (SELECT json_agg(l ORDER BY l.line) FROM checkout_lines l WHERE l.checkout_id = c.id), '[]'))::text
FROM checkouts c WHERE c.id = $1 FOR UPDATE OF c";

const EXPIRE: &str = "
WITH due AS (
    SELECT id FROM checkouts WHERE look_ms <= $1 AND state = 'open' ORDER BY look_ms LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE checkouts c SET state = 'expired', look_ms = NULL, ended_ms = $1 FROM due WHERE c.id = due.id RETURNING c.id";

pub(super) async fn place(
    mut lease: Lease,
    new: &Checkout,
    claim: &ClaimUse<'_, Checkout>,
    sells_untracked: bool,
) -> Result<Claimed<Checkout>, Failure> {
    // A key that was begun is there already, which the fast way takes for somebody else's.
    if !matches!(claim, ClaimUse::Finish(..)) {
        let answer = match claim {
            ClaimUse::Whole(_, render) => Some(render(new)),
            _ => None,
        };
        match place_at_once(&mut lease, new, claim.claim(), answer.as_ref(), sells_untracked).await {
            Ok(true) => return lease.end(Ok(Claimed::Done(new.clone(), answer))).await,
            Ok(false) => {}
            Err(failure) => return lease.end(Err(failure)).await,
        }
    }
    lease.begin().await?;
    let outcome = place_waiting(&mut lease, new, claim, sells_untracked).await;
    lease.end(outcome).await
}

pub(super) async fn read(connection: &mut PgConnection, id: CheckoutId) -> Result<Option<Checkout>, Failure> {
    let row = sqlx::query(READ).bind(id.to_string()).fetch_optional(&mut *connection).await?;
    match row {
        Some(row) => Ok(Some(whole(row.try_get(0)?)?)),
        None => Ok(None),
    }
}

/// Waits for others that have it, and keeps it until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, id: CheckoutId) -> Result<Checkout, Failure> {
    let row = sqlx::query(LOCK).bind(id.to_string()).fetch_optional(&mut *connection).await?;
    whole(row.ok_or(Refusal::NotFound("checkout"))?.try_get(0)?)
}

pub(super) async fn change(
    connection: &mut PgConnection,
    id: CheckoutId,
    version: u32,
    change: &CheckoutChange,
    now_ms: i64,
    is_rerun: bool,
) -> Result<Checkout, Failure> {
    let mut checkout = lock(connection, id).await?;
    let is_changed_already = version.checked_add(1) == Some(checkout.version)
        && change.email.as_ref().is_none_or(|email| checkout.email.as_ref() == Some(email))
        && change.shipping_address.as_ref().is_none_or(|to| checkout.shipping_address.as_ref() == Some(to));
    if is_rerun && is_changed_already {
        return Ok(checkout);
    }
    change.apply(&mut checkout, version, now_ms)?;
    sqlx::query("UPDATE checkouts SET version = $2, email = $3, shipping_address = $4 WHERE id = $1")
        .bind(id.to_string())
        .bind(i64::from(checkout.version))
        .bind(checkout.email.as_deref())
        .bind(checkout.shipping_address.as_ref().map(ToString::to_string))
        .execute(&mut *connection)
        .await?;
    Ok(checkout)
}

pub(super) async fn cancel(
    connection: &mut PgConnection,
    id: CheckoutId,
    claim: &ClaimUse<'_, Checkout>,
    now_ms: i64,
) -> Result<Claimed<Checkout>, Failure> {
    let ours = match claims::enter(connection, claim).await? {
        claims::Standing::Free => None,
        claims::Standing::Ours(answer) => Some(answer),
        claims::Standing::Taken(taken) => return Ok(taken.into()),
    };
    let mut checkout = lock(connection, id).await?;
    if let Some(answer) = ours {
        return Ok(Claimed::Done(checkout, answer));
    }
    match checkout.state {
        CheckoutState::Open => {}
        CheckoutState::Cancelled => return done(connection, checkout, claim).await,
        CheckoutState::Completing | CheckoutState::Completed => return Err(Refusal::PaymentInProgress.into()),
        CheckoutState::Expired => return Err(Refusal::CheckoutClosed(checkout.state).into()),
    }
    checkout.state = CheckoutState::Cancelled;
    sqlx::query("UPDATE checkouts SET state = 'cancelled', look_ms = NULL, ended_ms = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    holds::release(connection, &[id.to_string()]).await?;
    done(connection, checkout, claim).await
}

pub(super) async fn expire(connection: &mut PgConnection, limit: u32, now_ms: i64) -> Result<u64, Failure> {
    let rows = sqlx::query(EXPIRE).bind(now_ms).bind(i64::from(limit)).fetch_all(&mut *connection).await?;
    let mut expired: Vec<String> = Vec::with_capacity(rows.len());
    for row in &rows {
        expired.push(row.try_get(0)?);
    }
    if !expired.is_empty() {
        holds::release(connection, &expired).await?;
    }
    Ok(expired.len() as u64)
}

async fn place_at_once(
    connection: &mut PgConnection,
    new: &Checkout,
    claim: Option<&Claim>,
    answer: Option<&Answer>,
    sells_untracked: bool,
) -> Result<bool, Failure> {
    let (products, quantities): (Vec<&str>, Vec<i64>) = holds::wanted(&new.lines).into_iter().unzip();
    let sealed = claim.zip(answer).map(|(claim, answer)| claim.seal(answer)).transpose()?;
    let row = sqlx::query(PLACE)
        .bind(products)
        .bind(quantities)
        .bind(sells_untracked)
        .bind(holds::any_unit(random()))
        .bind(claim.map(|claim| claim.caller.as_str()))
        .bind(claim.map(|claim| claim.endpoint.as_str()))
        .bind(claim.map(Claim::kept_key))
        .bind(claim.map(|claim| claim.fingerprint.as_slice()))
        .bind(claim.map(|claim| claim.subject.as_str()))
        .bind(claim.map(|claim| claim.lease_until_ms))
        .bind(claim.map(|claim| claim.now_ms))
        .bind(answer.map(|answer| i32::from(answer.status)))
        .bind(sealed)
        .bind(to_json(&CheckoutRecord::of(new))?)
        .bind(to_json(&LineRecord::all_of(&new.lines))?)
        .fetch_one(&mut *connection)
        .await?;
    Ok(row.try_get(0)?)
}

/// Finds out what was in the way, and waits for it: for those who have the key, then for those who have the stock.
async fn place_waiting(
    connection: &mut PgConnection,
    new: &Checkout,
    claim: &ClaimUse<'_, Checkout>,
    sells_untracked: bool,
) -> Result<Claimed<Checkout>, Failure> {
    match claims::enter(connection, claim).await? {
        claims::Standing::Free => {}
        claims::Standing::Ours(answer) => {
            let placed = read(connection, new.id).await?.unwrap_or_else(|| new.clone());
            return Ok(Claimed::Done(placed, answer));
        }
        claims::Standing::Taken(taken) => return Ok(taken.into()),
    }
    let inserted = sqlx::query(INSERT)
        .bind(to_json(&CheckoutRecord::of(new))?)
        .bind(to_json(&LineRecord::all_of(&new.lines))?)
        .fetch_one(&mut *connection)
        .await?;
    let is_new: bool = inserted.try_get(0)?;
    if is_new {
        holds::take(connection, new.id, &new.lines, sells_untracked).await?;
        return done(connection, new.clone(), claim).await;
    }
    // It is ours: the acknowledgement of its commit was lost.
    let placed = lock(connection, new.id).await?;
    done(connection, placed, claim).await
}

async fn done(
    connection: &mut PgConnection,
    checkout: Checkout,
    claim: &ClaimUse<'_, Checkout>,
) -> Result<Claimed<Checkout>, Failure> {
    let answer = claims::answer(connection, claim, &checkout).await?;
    Ok(Claimed::Done(checkout, answer))
}

fn whole(text: &str) -> Result<Checkout, Failure> {
    from_json::<WholeCheckout>(text)?.into_checkout()
}
