//! What can go wrong with a transaction.

use thiserror::Error;

use crate::domain::Refusal;

#[derive(Debug, Error)]
pub enum StoreError {
    /// Nothing was written, and running it again would end the same way.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database cannot be reached, is failing over, or has too much to do; whether it was written is not known.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// A bug, or a database that was changed by others.
    #[error("the database: {0}")]
    Broken(String),
}

impl StoreError {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
