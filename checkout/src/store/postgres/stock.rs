//! How much can be sold: set, adjusted, read, and told where it ran out or came back.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, Row};

use super::failure::Failure;
use super::holds::MAX_UNITS;
use super::{audit, claims};
use crate::domain::Refusal;
use crate::ids::OutboxId;
use crate::store::{Audit, ClaimUse, Claimed, StockChange, StockLevel};

/// Products that one call may change.
const MAX_CHANGES: usize = 1_000;
/// Far more than any shop has, and far from the end of an i64.
const MAX_STOCK: i64 = 1_000_000_000_000;
/// So many a row, as long as there are rows left: fewer would send those who buy several to several rows.
const QUANTITY_A_UNIT: i64 = 4;

const LOCK_UNITS: &str = "
SELECT product, unit, quantity FROM stock_units WHERE product = ANY ($1::text[]) ORDER BY product, unit FOR UPDATE";

const SPREAD: &str = "
INSERT INTO stock_units (product, unit, quantity) SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
ON CONFLICT (product, unit) DO UPDATE SET quantity = excluded.quantity";

const NOTE_MOVES: &str = "
WITH moved AS (
    INSERT INTO stock_moves (product, kind, change, reason, created_ms)
    SELECT m.product, m.kind, m.change, m.reason, $5
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS m (product, kind, change, reason)
)
INSERT INTO stock_dirty (product) SELECT DISTINCT product FROM unnest($1::text[]) AS m (product)";

/// What is held is read once for all products: there is no index by product, which would cost every hold.
const READ: &str = "
SELECT p.product, coalesce(u.quantity, 0) AS available, coalesce(h.quantity, 0) AS held
FROM stock_products p
LEFT JOIN (
    SELECT product, sum(quantity)::bigint AS quantity FROM stock_units WHERE product = ANY ($1::text[]) GROUP BY product
) u ON u.product = p.product
LEFT JOIN (
    SELECT product, sum(quantity)::bigint AS quantity FROM stock_holds WHERE product = ANY ($1::text[]) GROUP BY product
) h ON h.product = p.product
WHERE p.product = ANY ($1::text[]) ORDER BY p.product";

const TAKE_MARKS: &str = "
DELETE FROM stock_dirty WHERE id IN (SELECT id FROM stock_dirty ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING product";

const AVAILABILITY: &str = "
SELECT p.product, p.version, p.announced,
    EXISTS (SELECT FROM stock_units u WHERE u.product = p.product AND u.quantity > 0) AS in_stock
FROM stock_products p WHERE p.product = ANY ($1::text[]) ORDER BY p.product";

const TELL: &str = "
WITH told AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::boolean[], $5::text[])
        AS t (id, product, version, in_stock, data)
), noted AS (
    UPDATE stock_products p SET version = t.version, announced = t.in_stock FROM told t WHERE p.product = t.product
)
INSERT INTO outbox (id, kind, subject, version, data, created_ms, tries, next_ms, is_dead)
SELECT t.id, 'product.availability_changed', 'products/' || t.product, t.version, t.data, $6, 0, $6, false FROM told t";

/// What the changes of one call come to.
#[derive(Debug)]
struct Plan {
    available: BTreeMap<String, i64>,
    moves: Vec<(String, &'static str, i64, String)>,
}

/// An adjustment without a key has no id of its own that a rerun would find: its note in the audit has one.
pub(super) async fn change(
    connection: &mut PgConnection,
    transaction: &str,
    changes: &[StockChange],
    claim: &ClaimUse<'_, Vec<StockLevel>>,
    note: &Audit,
    now_ms: i64,
    is_rerun: bool,
) -> Result<Claimed<Vec<StockLevel>>, Failure> {
    if changes.len() > MAX_CHANGES {
        return Err(Refusal::TooMany("products").into());
    }
    let products: BTreeSet<&str> = changes.iter().map(StockChange::product).collect();
    let products: Vec<&str> = products.into_iter().collect();
    match claims::enter(connection, claim).await? {
        claims::Standing::Free => {}
        claims::Standing::Ours(answer) => return Ok(Claimed::Done(levels(connection, &products).await?, answer)),
        claims::Standing::Taken(taken) => return Ok(taken.into()),
    }
    if is_rerun && audit::is_noted(connection, transaction).await? {
        return Ok(Claimed::Done(levels(connection, &products).await?, None));
    }
    lock_products(connection, &products).await?;
    let mut available: BTreeMap<String, i64> = products.iter().map(|product| ((*product).to_owned(), 0)).collect();
    let mut units: BTreeMap<String, i32> = BTreeMap::new();
    let rows = sqlx::query(LOCK_UNITS).bind(products.as_slice()).fetch_all(&mut *connection).await?;
    for row in &rows {
        let (product, quantity): (String, i64) = (row.try_get("product")?, row.try_get("quantity")?);
        *available.entry(product.clone()).or_default() += quantity;
        *units.entry(product).or_default() += 1;
    }
    let plan = plan(available, changes)?;
    write(connection, &plan, &units, now_ms).await?;
    audit::note(connection, transaction, note, now_ms).await?;
    let levels = levels(connection, &products).await?;
    let answer = claims::answer(connection, claim, &levels).await?;
    Ok(Claimed::Done(levels, answer))
}

pub(super) async fn levels(connection: &mut PgConnection, products: &[&str]) -> Result<Vec<StockLevel>, Failure> {
    let rows = sqlx::query(READ).bind(products).fetch_all(&mut *connection).await?;
    let mut levels = Vec::with_capacity(rows.len());
    for row in &rows {
        levels.push(StockLevel {
            product: row.try_get("product")?,
            available: row.try_get("available")?,
            held: row.try_get("held")?,
        });
    }
    Ok(levels)
}

pub(super) async fn tell_availability(connection: &mut PgConnection, limit: u32, now_ms: i64) -> Result<u64, Failure> {
    let rows = sqlx::query(TAKE_MARKS).bind(i64::from(limit)).fetch_all(&mut *connection).await?;
    let mut marked: BTreeSet<String> = BTreeSet::new();
    for row in &rows {
        marked.insert(row.try_get("product")?);
    }
    // All marks count, of which a product may have several: as long as there are as many as asked for, there may be more.
    let rows_marked = rows.len() as u64;
    let marked: Vec<String> = marked.into_iter().collect();
    if marked.is_empty() {
        return Ok(0);
    }
    // Of two that tell about one product, the second sees what the first has told.
    sqlx::query("SELECT FROM stock_products WHERE product = ANY ($1::text[]) ORDER BY product FOR UPDATE")
        .bind(marked.as_slice())
        .execute(&mut *connection)
        .await?;
    let (mut ids, mut products, mut versions, mut states, mut texts) = (vec![], vec![], vec![], vec![], vec![]);
    let rows = sqlx::query(AVAILABILITY).bind(marked.as_slice()).fetch_all(&mut *connection).await?;
    for row in &rows {
        let (product, version): (String, i64) = (row.try_get("product")?, row.try_get("version")?);
        let (announced, in_stock): (Option<bool>, bool) = (row.try_get("announced")?, row.try_get("in_stock")?);
        if announced == Some(in_stock) {
            continue;
        }
        let version = version + 1;
        let data = serde_json::json!({ "product": product, "in_stock": in_stock, "version": version });
        ids.push(OutboxId::new().to_string());
        texts.push(data.to_string());
        products.push(product);
        versions.push(version);
        states.push(in_stock);
    }
    if !ids.is_empty() {
        sqlx::query(TELL)
            .bind(ids)
            .bind(products)
            .bind(versions)
            .bind(states)
            .bind(texts)
            .bind(now_ms)
            .execute(&mut *connection)
            .await?;
    }
    Ok(rows_marked)
}

/// From here on, nobody else changes or tells of these products.
async fn lock_products(connection: &mut PgConnection, products: &[&str]) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO stock_products (product, version)
         SELECT product, 0 FROM unnest($1::text[]) AS p (product) ORDER BY product ON CONFLICT DO NOTHING",
    )
    .bind(products)
    .execute(&mut *connection)
    .await?;
    sqlx::query("SELECT FROM stock_products WHERE product = ANY ($1::text[]) ORDER BY product FOR UPDATE")
        .bind(products)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

async fn write(
    connection: &mut PgConnection,
    plan: &Plan,
    units: &BTreeMap<String, i32>,
    now_ms: i64,
) -> Result<(), Failure> {
    let (mut products, mut places, mut quantities) = (Vec::new(), Vec::new(), Vec::new());
    for (product, available) in &plan.available {
        let spread = spread(*available, units.get(product).copied().unwrap_or(0));
        for (place, quantity) in (0_i32..).zip(spread) {
            products.push(product.as_str());
            places.push(place);
            quantities.push(quantity);
        }
    }
    sqlx::query(SPREAD).bind(products).bind(places).bind(quantities).execute(&mut *connection).await?;
    let (mut products, mut kinds, mut moved, mut reasons) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (product, kind, change, reason) in &plan.moves {
        products.push(product.as_str());
        kinds.push(*kind);
        moved.push(*change);
        reasons.push(reason.as_str());
    }
    sqlx::query(NOTE_MOVES)
        .bind(products)
        .bind(kinds)
        .bind(moved)
        .bind(reasons)
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// One change after the other. What is set goes into the ledger as its difference, so that the books can be added up.
fn plan(mut available: BTreeMap<String, i64>, changes: &[StockChange]) -> Result<Plan, Refusal> {
    let mut moves = Vec::with_capacity(changes.len());
    for change in changes {
        let stock = available.entry(change.product().to_owned()).or_default();
        let (kind, next, reason) = match change {
            StockChange::Set { available, reason, .. } => ("set", *available, reason),
            StockChange::Adjust { by, reason, .. } => ("adjust", stock.saturating_add(*by), reason),
        };
        if !(0..=MAX_STOCK).contains(&next) {
            return Err(Refusal::StockOutOfBounds(next));
        }
        moves.push((change.product().to_owned(), kind, next - *stock, reason.clone()));
        *stock = next;
    }
    Ok(Plan { available, moves })
}

/// The quantity of each row. Rows are never taken away, since holds remember them.
fn spread(available: i64, rows: i32) -> Vec<i64> {
    let useful = (available / QUANTITY_A_UNIT).clamp(1, i64::from(MAX_UNITS));
    let rows = useful.max(i64::from(rows));
    (0..rows).map(|row| available / rows + i64::from(row < available % rows)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(product: &str, available: i64) -> StockChange {
        StockChange::Set { product: product.to_owned(), available, reason: "counted".to_owned() }
    }

    fn adjust(product: &str, by: i64) -> StockChange {
        StockChange::Adjust { product: product.to_owned(), by, reason: "broken".to_owned() }
    }

    #[test]
    fn stock_is_spread_evenly_and_nothing_is_lost() {
        for (available, rows) in [(0, 0), (1, 0), (7, 0), (50, 0), (1_000_000, 0), (3, 64), (100, 2)] {
            let spread = spread(available, rows);
            assert_eq!(spread.iter().sum::<i64>(), available);
            assert!(spread.len() >= rows as usize && spread.len() <= 64 && !spread.is_empty());
            let (least, most) = (spread.iter().min().expect("a row"), spread.iter().max().expect("a row"));
            assert!(most - least <= 1, "{spread:?}");
        }
        assert_eq!(spread(50, 0).len(), 12);
    }

    #[test]
    fn changes_follow_each_other_and_add_up() {
        let before = BTreeMap::from([("a".to_owned(), 5)]);
        let plan = plan(before, &[set("a", 9), adjust("a", -2), adjust("b", 3)]).expect("a plan");
        assert_eq!(plan.available, BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 3)]));
        let changes: Vec<i64> = plan.moves.iter().map(|(_, _, change, _)| *change).collect();
        assert_eq!(changes, [4, -2, 3]);
    }

    #[test]
    fn less_than_nothing_cannot_be_sold() {
        let refused = plan(BTreeMap::new(), &[set("a", 2), adjust("a", -3)]).err();
        assert_eq!(refused, Some(Refusal::StockOutOfBounds(-1)));
        assert_eq!(plan(BTreeMap::new(), &[set("a", -1)]).err(), Some(Refusal::StockOutOfBounds(-1)));
        assert!(plan(BTreeMap::new(), &[adjust("a", i64::MAX)]).is_err());
    }
}
