//! Columns as the types that they stand for.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::Value;
use snapshots::{Currency, Money};
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

use super::fault::{Fault, broken};
use crate::ids::{Id, Kind};
use crate::store::text;

const HASH_BYTES: usize = 32;

pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T, Fault>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    Ok(row.try_get(column)?)
}

pub(super) fn id<K: Kind>(row: &SqliteRow, column: &str) -> Result<Id<K>, Fault> {
    parsed::<Id<K>>(get(row, column)?)
}

pub(super) fn state<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, Fault> {
    Ok(text::from_text(get(row, column)?)?)
}

pub(super) fn currency(row: &SqliteRow) -> Result<Currency, Fault> {
    parsed(get(row, "currency")?)
}

/// An amount of the currency that stands in the same row.
pub(super) fn money(row: &SqliteRow, column: &str) -> Result<Money, Fault> {
    Ok(Money::from_minor(get(row, column)?, currency(row)?))
}

pub(super) fn json(row: &SqliteRow, column: &str) -> Result<Option<Value>, Fault> {
    get::<Option<&str>>(row, column)?.map(from_json).transpose()
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| broken(format!("a column holds no JSON that is known: {error}")))
}

pub(super) fn hash(row: &SqliteRow, column: &str) -> Result<[u8; HASH_BYTES], Fault> {
    let bytes: &[u8] = get(row, column)?;
    bytes.try_into().map_err(|_| broken(format!("{column} has {} bytes", bytes.len())))
}

/// What was written by us, and reads as what it was.
pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|error: T::Err| broken(error.to_string()))
}
