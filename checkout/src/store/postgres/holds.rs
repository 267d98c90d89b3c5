//! Stock that is held for checkouts. It lies in several rows a product, so that those who buy the same do not wait for
//! each other; a hold remembers which rows it took from.

use std::collections::{BTreeMap, HashSet};

use sqlx::{PgConnection, Row};

use super::failure::Failure;
use crate::domain::{Line, Refusal};
use crate::ids::CheckoutId;

/// Rows of one product. More would make each search for a free one dearer.
pub(super) const MAX_UNITS: i32 = 64;

/// By product and row: those who all lock in one order never wait for each other in a circle.
const LOCK_UNITS: &str = "
SELECT product, unit, quantity FROM stock_units WHERE product = ANY ($1::text[]) AND quantity > 0
ORDER BY product, unit FOR UPDATE";

const TAKE: &str = "
WITH picked AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[]) AS p (product, unit, quantity)
), taken AS (
    UPDATE stock_units u SET quantity = u.quantity - p.quantity FROM picked p
    WHERE u.product = p.product AND u.unit = p.unit RETURNING u.product, u.quantity
), held AS (
    INSERT INTO stock_holds (checkout_id, product, unit, quantity)
    SELECT $1::text, p.product, p.unit, p.quantity FROM picked p
)
INSERT INTO stock_dirty (product) SELECT DISTINCT product FROM taken WHERE quantity = 0";

const RELEASE: &str = "
WITH gone AS (
    DELETE FROM stock_holds WHERE checkout_id = ANY ($1::text[]) RETURNING product, unit, quantity
), back AS MATERIALIZED (
    SELECT product, unit, sum(quantity)::bigint AS quantity FROM gone GROUP BY product, unit
), locked AS MATERIALIZED (
    SELECT u.product, u.unit, b.quantity FROM back b JOIN stock_units u ON u.product = b.product AND u.unit = b.unit
    ORDER BY u.product, u.unit FOR UPDATE OF u
), given AS (
    UPDATE stock_units u SET quantity = u.quantity + l.quantity FROM locked l
    WHERE u.product = l.product AND u.unit = l.unit RETURNING u.product, u.quantity = l.quantity AS was_empty
)
INSERT INTO stock_dirty (product) SELECT DISTINCT product FROM given WHERE was_empty";

/// A row of stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    unit: i32,
    quantity: i64,
}

/// How many of each product a checkout needs, in the order of the products.
pub(super) fn wanted(lines: &[Line]) -> BTreeMap<&str, i64> {
    let mut wanted = BTreeMap::new();
    for line in lines {
        *wanted.entry(line.product.as_str()).or_insert(0) += i64::from(line.quantity);
    }
    wanted
}

/// Where to begin the search for a free row.
pub(super) fn any_unit(random: u64) -> i32 {
    (random % u64::from(MAX_UNITS.unsigned_abs())) as i32
}

/// Takes what a checkout needs, waiting for those who hold rows at the moment: what one of them rolls back can still be
/// sold.
///
/// # Errors
/// `Refusal::SoldOut` with what is left.
pub(super) async fn take(
    connection: &mut PgConnection,
    checkout: CheckoutId,
    lines: &[Line],
    sells_untracked: bool,
) -> Result<(), Failure> {
    let mut wanted = wanted(lines);
    if sells_untracked {
        let tracked = tracked(connection, &wanted).await?;
        wanted.retain(|product, _| tracked.contains(*product));
    }
    let products: Vec<&str> = wanted.keys().copied().collect();
    let rows = sqlx::query(LOCK_UNITS).bind(products).fetch_all(&mut *connection).await?;
    let mut units: BTreeMap<String, Vec<Unit>> = BTreeMap::new();
    for row in &rows {
        let unit = Unit { unit: row.try_get("unit")?, quantity: row.try_get("quantity")? };
        units.entry(row.try_get("product")?).or_default().push(unit);
    }
    let (mut products, mut places, mut quantities) = (Vec::new(), Vec::new(), Vec::new());
    for (product, quantity) in wanted {
        let free = units.get(product).map(Vec::as_slice).unwrap_or_default();
        let picked = pick(free, quantity).map_err(|available| Refusal::SoldOut {
            product: product.to_owned(),
            wanted: u32::try_from(quantity).unwrap_or(u32::MAX),
            available,
        })?;
        for unit in picked {
            products.push(product);
            places.push(unit.unit);
            quantities.push(unit.quantity);
        }
    }
    sqlx::query(TAKE)
        .bind(checkout.to_string())
        .bind(products)
        .bind(places)
        .bind(quantities)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Gives back what is held for checkouts, to the rows that it came from. What was given back or sold before is not
/// there.
pub(super) async fn release(connection: &mut PgConnection, checkouts: &[String]) -> Result<(), Failure> {
    sqlx::query(RELEASE).bind(checkouts).execute(&mut *connection).await?;
    Ok(())
}

async fn tracked(connection: &mut PgConnection, wanted: &BTreeMap<&str, i64>) -> Result<HashSet<String>, Failure> {
    let products: Vec<&str> = wanted.keys().copied().collect();
    let rows = sqlx::query("SELECT product FROM stock_products WHERE product = ANY ($1::text[])")
        .bind(products)
        .fetch_all(&mut *connection)
        .await?;
    let mut tracked = HashSet::new();
    for row in &rows {
        tracked.insert(row.try_get("product")?);
    }
    Ok(tracked)
}

/// Which rows to take how many from: one where one has enough, or else the fullest.
///
/// # Errors
/// How many there are, where they are too few.
fn pick(free: &[Unit], quantity: i64) -> Result<Vec<Unit>, i64> {
    if let Some(unit) = free.iter().find(|unit| unit.quantity >= quantity) {
        return Ok(vec![Unit { unit: unit.unit, quantity }]);
    }
    let available: i64 = free.iter().map(|unit| unit.quantity).sum();
    if available < quantity {
        return Err(available);
    }
    let mut fullest = free.to_vec();
    fullest.sort_by_key(|unit| (-unit.quantity, unit.unit));
    let mut missing = quantity;
    let mut picked = Vec::new();
    for unit in fullest {
        if missing == 0 {
            break;
        }
        let taken = unit.quantity.min(missing);
        missing -= taken;
        picked.push(Unit { unit: unit.unit, quantity: taken });
    }
    Ok(picked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(quantities: &[i64]) -> Vec<Unit> {
        (0..).zip(quantities).map(|(unit, &quantity)| Unit { unit, quantity }).collect()
    }

    #[test]
    fn one_row_is_enough_where_one_has_enough() {
        assert_eq!(pick(&units(&[1, 3, 2]), 2), Ok(vec![Unit { unit: 1, quantity: 2 }]));
    }

    #[test]
    fn several_rows_are_taken_from_the_fullest_on() {
        let picked = pick(&units(&[1, 3, 2]), 5).expect("enough");
        assert_eq!(picked, [Unit { unit: 1, quantity: 3 }, Unit { unit: 2, quantity: 2 }]);
        let all = pick(&units(&[1, 3, 2]), 6).expect("just enough");
        assert_eq!(all.iter().map(|unit| unit.quantity).sum::<i64>(), 6);
    }

    #[test]
    fn too_few_are_counted() {
        assert_eq!(pick(&units(&[1, 3, 2]), 7), Err(6));
        assert_eq!(pick(&[], 1), Err(0));
    }

    #[test]
    fn a_search_begins_at_any_row() {
        let begun: HashSet<i32> = (0..64).map(any_unit).collect();
        assert_eq!(begun.len(), 64);
        assert!(begun.iter().all(|unit| (0..MAX_UNITS).contains(unit)));
    }
}
