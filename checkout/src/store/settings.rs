//! What an operator sets of a store.

/// Settings of both stores; what is of PostgreSQL alone says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Products without a row of stock are sold without a hold. Otherwise they are sold out.
    pub sells_untracked: bool,
    /// Connections to the primary, and as many to the replica (PostgreSQL).
    pub max_connections: u32,
    /// A replica that is further behind is not read from (PostgreSQL).
    pub replica_lag_max_ms: u64,
    /// A statement that takes longer is ended (PostgreSQL).
    pub statement_timeout_ms: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { sells_untracked: false, max_connections: 16, replica_lag_max_ms: 5_000, statement_timeout_ms: 5_000 }
    }
}
