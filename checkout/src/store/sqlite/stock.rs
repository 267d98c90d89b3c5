//! Stock: what can be sold, what is held, and the ledger of what came and went.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sqlx::SqliteConnection;

use super::claims::Entry;
use super::fault::{Fault, broken};
use super::rows::get;
use super::{audit, claims, outbox};
use crate::domain::{Checkout, Refusal};
use crate::ids::CheckoutId;
use crate::store::{Audit, ClaimUse, Claimed, StockChange, StockLevel};

/// Of one product. Far more than any shop has, and sums of it fit.
const MAX_AVAILABLE: i64 = 1_000_000_000_000;
/// Of one call.
const MAX_CHANGES: usize = 1_000;
const MAX_TRACKED_PRODUCTS: i64 = 10_000_000;
const AVAILABILITY_CHANGED: &str = "product.availability_changed";

/// Takes what a checkout wants out of what can be sold. Returns the products that are tracked.
pub(super) async fn hold<'a>(
    conn: &mut SqliteConnection,
    checkout: &'a Checkout,
    sells_untracked: bool,
) -> Result<BTreeSet<&'a str>, Fault> {
    let mut quantities = BTreeMap::<&str, i64>::new();
    for line in &checkout.lines {
        *quantities.entry(&line.product).or_default() += i64::from(line.quantity);
    }
    let mut held = BTreeSet::new();
    for (product, wanted) in quantities {
        let available = match available(conn, product).await? {
            Some(available) => available,
            None if sells_untracked => continue,
            None => 0,
        };
        if available < wanted {
            let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
            return Err(Refusal::SoldOut { product: product.to_owned(), wanted, available }.into());
        }
        held.insert(product);
        if wanted == 0 {
            continue;
        }
        set_available(conn, product, available, available - wanted, checkout.created_ms).await?;
        sqlx::query("INSERT INTO stock_holds (checkout, product, quantity) VALUES (?1, ?2, ?3)")
            .bind(checkout.id.to_string())
            .bind(product)
            .bind(wanted)
            .execute(&mut *conn)
            .await?;
    }
    Ok(held)
}

/// Gives what is held for a checkout back to those who buy. A second time does nothing: nothing is held by then.
pub(super) async fn release(conn: &mut SqliteConnection, checkout: CheckoutId, now_ms: i64) -> Result<(), Fault> {
    for (product, quantity) in take_holds(conn, checkout).await? {
        let before = available(conn, &product).await?.ok_or_else(|| broken(format!("{product} has no stock")))?;
        set_available(conn, &product, before, before + quantity, now_ms).await?;
    }
    Ok(())
}

/// What is held for a checkout has been sold, and leaves the stock.
pub(super) async fn sell(conn: &mut SqliteConnection, checkout: CheckoutId, now_ms: i64) -> Result<(), Fault> {
    for (product, quantity) in take_holds(conn, checkout).await? {
        write_move(conn, &product, Move::Sale { quantity, checkout }, now_ms).await?;
    }
    Ok(())
}

/// Returns the levels of the products that changed, each once and in their order.
pub(super) async fn change(
    conn: &mut SqliteConnection,
    changes: &[StockChange],
    claim: &ClaimUse<'_, Vec<StockLevel>>,
    audited: &Audit,
    now_ms: i64,
) -> Result<Claimed<Vec<StockLevel>>, Fault> {
    if changes.len() > MAX_CHANGES {
        return Err(Refusal::TooMany("products").into());
    }
    let products: BTreeSet<&str> = changes.iter().map(StockChange::product).collect();
    match claims::enter(conn, claim).await? {
        Entry::Work => {}
        Entry::Ours(answer) => return Ok(Claimed::Done(levels(conn, &products).await?, answer)),
        Entry::Stopped(stopped) => return Ok(stopped),
    }
    for one in changes {
        let product = one.product();
        let before = available(conn, product).await?;
        let after = match one {
            StockChange::Set { available, .. } => *available,
            StockChange::Adjust { by, .. } => before.unwrap_or(0).saturating_add(*by),
        };
        if !(0..=MAX_AVAILABLE).contains(&after) {
            return Err(Refusal::StockOutOfBounds(after).into());
        }
        match before {
            Some(before) => set_available(conn, product, before, after, now_ms).await?,
            None => track(conn, product, after, now_ms).await?,
        }
        let by = after - before.unwrap_or(0);
        let moved = match one {
            StockChange::Set { reason, .. } => Move::Set { by, reason },
            StockChange::Adjust { reason, .. } => Move::Adjust { by, reason },
        };
        write_move(conn, product, moved, now_ms).await?;
    }
    audit::write(conn, audited, now_ms).await?;
    let levels = levels(conn, &products).await?;
    let answer = claims::leave(conn, claim, &levels).await?;
    Ok(Claimed::Done(levels, answer))
}

pub(super) async fn level(conn: &mut SqliteConnection, product: &str) -> Result<Option<StockLevel>, Fault> {
    let Some(available) = available(conn, product).await? else {
        return Ok(None);
    };
    let held = sqlx::query_scalar::<_, i64>("SELECT coalesce(sum(quantity), 0) FROM stock_holds WHERE product = ?1")
        .bind(product)
        .fetch_one(&mut *conn)
        .await?;
    Ok(Some(StockLevel { product: product.to_owned(), available, held }))
}

/// Tells others of products that came into stock or went out of it since they were told.
pub(super) async fn tell_availability(conn: &mut SqliteConnection, limit: u32, now_ms: i64) -> Result<u64, Fault> {
    let rows = sqlx::query(
        "SELECT product, version, announced, available
         FROM stock_dirty JOIN stock_products USING (product) JOIN stock USING (product)
         ORDER BY since_ms, product LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        let product: String = get(row, "product")?;
        let in_stock = get::<i64>(row, "available")? > 0;
        if get::<Option<bool>>(row, "announced")? != Some(in_stock) {
            let version = get::<u32>(row, "version")? + 1;
            sqlx::query("UPDATE stock_products SET version = ?2, announced = ?3 WHERE product = ?1")
                .bind(&product)
                .bind(version)
                .bind(in_stock)
                .execute(&mut *conn)
                .await?;
            let data = json!({ "product": product, "in_stock": in_stock, "version": version });
            let subject = format!("products/{product}");
            outbox::write(conn, AVAILABILITY_CHANGED, &subject, version, &data, now_ms).await?;
        }
        sqlx::query("DELETE FROM stock_dirty WHERE product = ?1").bind(&product).execute(&mut *conn).await?;
    }
    Ok(rows.len() as u64)
}

async fn levels(conn: &mut SqliteConnection, products: &BTreeSet<&str>) -> Result<Vec<StockLevel>, Fault> {
    let mut levels = Vec::with_capacity(products.len());
    for product in products {
        levels.extend(level(conn, product).await?);
    }
    Ok(levels)
}

/// What the ledger is told.
enum Move<'a> {
    Set { by: i64, reason: &'a str },
    Adjust { by: i64, reason: &'a str },
    Sale { quantity: i64, checkout: CheckoutId },
}

/// What can be sold now; None where the product is not tracked.
async fn available(conn: &mut SqliteConnection, product: &str) -> Result<Option<i64>, Fault> {
    let available = sqlx::query_scalar::<_, i64>("SELECT available FROM stock WHERE product = ?1")
        .bind(product)
        .fetch_optional(&mut *conn)
        .await?;
    Ok(available)
}

async fn set_available(
    conn: &mut SqliteConnection,
    product: &str,
    before: i64,
    after: i64,
    now_ms: i64,
) -> Result<(), Fault> {
    sqlx::query("UPDATE stock SET available = ?2 WHERE product = ?1")
        .bind(product)
        .bind(after)
        .execute(&mut *conn)
        .await?;
    if (before > 0) != (after > 0) {
        mark(conn, product, now_ms).await?;
    }
    Ok(())
}

/// Begins to track a product. Others are told of it in any case: they knew nothing of its stock.
async fn track(conn: &mut SqliteConnection, product: &str, available: i64, now_ms: i64) -> Result<(), Fault> {
    // Products are never deleted, so that the highest row number is their count.
    let count = sqlx::query_scalar::<_, i64>("SELECT coalesce(max(rowid), 0) FROM stock_products")
        .fetch_one(&mut *conn)
        .await?;
    if count >= MAX_TRACKED_PRODUCTS {
        return Err(Refusal::TooMany("products").into());
    }
    sqlx::query("INSERT INTO stock_products (product, version, created_ms) VALUES (?1, 0, ?2)")
        .bind(product)
        .bind(now_ms)
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO stock (product, available) VALUES (?1, ?2)")
        .bind(product)
        .bind(available)
        .execute(&mut *conn)
        .await?;
    mark(conn, product, now_ms).await
}

async fn mark(conn: &mut SqliteConnection, product: &str, now_ms: i64) -> Result<(), Fault> {
    sqlx::query("INSERT INTO stock_dirty (product, since_ms) VALUES (?1, ?2) ON CONFLICT (product) DO NOTHING")
        .bind(product)
        .bind(now_ms)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

async fn take_holds(conn: &mut SqliteConnection, checkout: CheckoutId) -> Result<Vec<(String, i64)>, Fault> {
    let holds = sqlx::query_as::<_, (String, i64)>(
        "SELECT product, quantity FROM stock_holds WHERE checkout = ?1 ORDER BY product",
    )
    .bind(checkout.to_string())
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query("DELETE FROM stock_holds WHERE checkout = ?1").bind(checkout.to_string()).execute(&mut *conn).await?;
    Ok(holds)
}

async fn write_move(conn: &mut SqliteConnection, product: &str, moved: Move<'_>, now_ms: i64) -> Result<(), Fault> {
    let (kind, quantity, reason, checkout) = match moved {
        Move::Set { by, reason } => ("set", by, Some(reason), None),
        Move::Adjust { by, reason } => ("adjust", by, Some(reason), None),
        Move::Sale { quantity, checkout } => ("sale", -quantity, None, Some(checkout.to_string())),
    };
    sqlx::query(
        "INSERT INTO stock_moves (product, kind, quantity, reason, checkout, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(product)
    .bind(kind)
    .bind(quantity)
    .bind(reason)
    .bind(checkout)
    .bind(now_ms)
    .execute(&mut *conn)
    .await?;
    Ok(())
}
