//! A replica for listings, as long as it keeps up.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;

use super::connections::{Connections, Lease, Role};
use super::failure::Failure;
use crate::store::{Lane, StoreSettings};

/// How long a measurement holds.
const LAG_HOLDS: Duration = Duration::from_secs(1);
/// Where nothing was replayed yet, or nobody sends: further behind than any limit.
const UNKNOWN_LAG_MS: i64 = i64::MAX;

/// How far a standby is behind. One that has replayed all it received is not behind, however long ago that was, as long
/// as somebody sends.
const LAG_MS: &str = "
SELECT CASE
    WHEN NOT pg_is_in_recovery() THEN 0
    WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver) THEN NULL
    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) * 1000
END::bigint";

pub(super) struct Replica {
    connections: Arc<Connections>,
    lag_max_ms: i64,
    /// When it was looked at, and whether it may be read from.
    seen: Mutex<Option<(Instant, bool)>>,
}

impl Replica {
    pub(super) fn new(options: PgConnectOptions, settings: &StoreSettings) -> Self {
        Self {
            connections: Connections::new(options, Role::Replica, settings),
            lag_max_ms: i64::try_from(settings.replica_lag_max_ms).unwrap_or(UNKNOWN_LAG_MS - 1),
            seen: Mutex::default(),
        }
    }

    /// A connection to it, and whether it has answered just now; None where it is away, or too far behind.
    pub(super) async fn lease(&self) -> Option<(Lease, bool)> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, is_good)) = seen.filter(|(at, _)| at.elapsed() < LAG_HOLDS) {
            let lease = if is_good { self.connections.lease(Lane::Begun).await.ok() } else { None };
            return lease.map(|lease| (lease, false));
        }
        // Whoever comes meanwhile goes to the primary.
        self.note(false);
        match self.measured().await {
            Ok((lease, lag_ms)) => {
                let is_good = lag_ms <= self.lag_max_ms;
                self.note(is_good);
                if is_good {
                    return Some((lease, true));
                }
                tracing::warn!(sql.lag_ms = lag_ms, "the replica lags: listings are read from the primary");
                lease.end(Ok(())).await.ok();
                None
            }
            Err(failure) => {
                self.failed(&failure);
                None
            }
        }
    }

    /// Notes that it failed somebody.
    pub(super) fn failed(&self, failure: &Failure) {
        tracing::warn!(sql.why = ?failure, "the replica fails: listings are read from the primary");
        self.connections.forget_idle();
        self.note(false);
    }

    async fn measured(&self) -> Result<(Lease, i64), Failure> {
        let mut lease = self.connections.lease(Lane::Begun).await?;
        let lag_ms: Option<i64> = sqlx::query_scalar(LAG_MS).fetch_one(&mut *lease).await?;
        Ok((lease, lag_ms.unwrap_or(UNKNOWN_LAG_MS)))
    }

    fn note(&self, is_good: bool) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), is_good));
    }
}
