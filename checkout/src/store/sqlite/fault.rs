//! What fails inside a transaction, and how it is told.

use crate::domain::Refusal;
use crate::store::StoreError;

// Primary result codes (<https://www.sqlite.org/rescode.html>); the higher bits say more about the same.
const ERROR: i32 = 1;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;
const PRIMARY_BITS: i32 = 0xff;

#[derive(Debug)]
pub(super) enum Fault {
    Store(StoreError),
    Sql(sqlx::Error),
}

/// Whether another process has the database.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    matches!(result_code(error), Some(BUSY | LOCKED))
}

/// Something in the database that this version cannot have written.
pub(super) fn broken(what: impl Into<String>) -> Fault {
    Fault::Store(StoreError::Broken(what.into()))
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Store(StoreError::Refused(refusal))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            Fault::Sql(error) => told(&error),
        }
    }
}

fn told(error: &sqlx::Error) -> StoreError {
    let Some(code) = result_code(error) else {
        return match error {
            sqlx::Error::PoolTimedOut => {
                StoreError::Unavailable("too much is waiting to be written to the file".to_owned())
            }
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => {
                StoreError::Unavailable(error.to_string())
            }
            _ => StoreError::Broken(error.to_string()),
        };
    };
    match code {
        BUSY | LOCKED => StoreError::Unavailable("another process keeps the file locked".to_owned()),
        FULL => StoreError::Broken("the disk is full, and nothing was written: make room".to_owned()),
        CORRUPT | NOTADB => {
            StoreError::Broken(format!("the file is damaged or no database: restore it from a copy ({error})"))
        }
        IOERR => StoreError::Broken(format!("the file cannot be read or written: look at its disk ({error})")),
        READONLY => {
            StoreError::Broken(format!("the file may not be written: look at its owner and its mode ({error})"))
        }
        CANTOPEN => StoreError::Broken(format!("the file cannot be opened: look for its folder ({error})")),
        ERROR if error.to_string().contains("no such table") => {
            StoreError::Broken(format!("a table is missing: run 'checkout migrate' ({error})"))
        }
        _ => StoreError::Broken(error.to_string()),
    }
}

fn result_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & PRIMARY_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_transient_and_what_does_not_is_not() {
        assert!(told(&sqlx::Error::PoolTimedOut).is_transient());
        assert!(told(&sqlx::Error::WorkerCrashed).is_transient());
        assert!(!told(&sqlx::Error::RowNotFound).is_transient());
        assert!(!is_locked(&sqlx::Error::RowNotFound));
    }
}
