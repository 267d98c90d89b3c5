//! The connections to one host. sqlx's own pool asks the server after each use whether the connection still lives,
//! which is one round trip more a transaction; and it goes on with one host for ever. Here a connection comes back only
//! when its work ended in order, and is closed otherwise.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::failure::Failure;
use super::seats::{Seat, Seats};
use crate::store::{Lane, StoreError, StoreSettings};

/// How long to wait for a connection that others use.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long opening one may take, with its name looked up and its session prepared.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// One that was idle for longer is asked whether it lives: balancers drop quiet connections.
const MAX_QUIET: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// An older one is opened anew, so that a changed address is followed.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// Nobody waits for a lock longer than that: a deadlock is found after a second.
const LOCK_TIMEOUT_MS: u64 = 3_000;
/// The server ends a transaction that its client forgot.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: u64 = 10_000;
/// More statements than there are.
const STATEMENT_CACHE: usize = 256;

/// What a host is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A standby is refused: what it says is old, and nothing can be written to it.
    Primary,
    Replica,
}

/// At most so many connections to one host, opened when they are needed.
pub(super) struct Connections {
    options: PgConnectOptions,
    role: Role,
    /// What each session begins with.
    session: Arc<str>,
    idle: Mutex<Vec<Idle>>,
    seats: Seats,
    /// Another host took over: what comes back is closed.
    is_retired: AtomicBool,
}

struct Idle {
    connection: PgConnection,
    opened: Instant,
    since: Instant,
}

/// A connection of one's own. Dropped without `end`, it is closed: the server rolls back.
pub(super) struct Lease {
    connection: PgConnection,
    opened: Instant,
    is_in_transaction: bool,
    home: Arc<Connections>,
    seat: Seat,
}

impl Connections {
    pub(super) fn new(options: PgConnectOptions, role: Role, settings: &StoreSettings) -> Arc<Self> {
        let options = options.disable_statement_logging().statement_cache_capacity(STATEMENT_CACHE);
        let session = format!(
            "SET statement_timeout = {}; SET lock_timeout = {LOCK_TIMEOUT_MS}; \
             SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_TIMEOUT_MS}; \
             SET default_transaction_isolation = 'read committed'; SET jit = off",
            settings.statement_timeout_ms
        );
        Arc::new(Self {
            options,
            role,
            session: session.into(),
            idle: Mutex::default(),
            seats: Seats::new(settings.max_connections),
            is_retired: AtomicBool::new(false),
        })
    }

    /// A connection that nobody else uses, idle or new.
    pub(super) async fn lease(self: &Arc<Self>, lane: Lane) -> Result<Lease, Failure> {
        let seat = match timeout(WAIT_TIMEOUT, self.seats.take(lane)).await {
            Ok(Ok(seat)) => seat,
            Ok(Err(_)) => return Err(Failure::Lost("the connections were closed".to_owned())),
            Err(_) => {
                let busy = "all connections to the database are in use".to_owned();
                return Err(Failure::Final(StoreError::Unavailable(busy)));
            }
        };
        while let Some(mut idle) = self.pop() {
            let is_quiet = idle.since.elapsed() > MAX_QUIET;
            if is_quiet && !matches!(timeout(PING_TIMEOUT, idle.connection.ping()).await, Ok(Ok(()))) {
                continue;
            }
            return Ok(self.lend(idle.connection, idle.opened, seat));
        }
        let connection = self.open().await?;
        Ok(self.lend(connection, Instant::now(), seat))
    }

    /// Whether so many wait for a connection that nothing new should be begun.
    pub(super) fn is_crowded(&self) -> bool {
        self.seats.is_crowded(Instant::now())
    }

    /// Closes what is idle, and what comes back from now on.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.forget_idle();
    }

    /// Closes what is idle: the server that it leads to went away.
    pub(super) fn forget_idle(&self) {
        let forgotten = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(forgotten);
    }

    fn lend(self: &Arc<Self>, connection: PgConnection, opened: Instant, seat: Seat) -> Lease {
        Lease { connection, opened, is_in_transaction: false, home: self.clone(), seat }
    }

    /// The one that was used last, which is the least likely to be stale.
    fn pop(&self) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    async fn open(&self) -> Result<PgConnection, Failure> {
        let opening = async {
            let mut connection = self.options.connect().await?;
            sqlx::raw_sql(AssertSqlSafe(self.session.clone())).execute(&mut connection).await?;
            let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut connection).await?;
            Ok::<_, sqlx::Error>((connection, is_standby))
        };
        match timeout(CONNECT_TIMEOUT, opening).await {
            Ok(Ok((_, true))) if self.role == Role::Primary => {
                Err(Failure::Lost(format!("{} is a standby", self.place())))
            }
            Ok(Ok((connection, _))) => Ok(connection),
            // Whatever it is, another host may be better.
            Ok(Err(error)) => Err(Failure::Lost(format!("{}: {error}", self.place()))),
            Err(_) => Err(Failure::Lost(format!("{} does not answer", self.place()))),
        }
    }

    /// Host and port, without a name or a password.
    fn place(&self) -> String {
        format!("{}:{}", self.options.get_host(), self.options.get_port())
    }
}

impl Lease {
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        self.is_in_transaction = true;
        Ok(())
    }

    /// Commits where the work succeeded, rolls back otherwise, and gives the connection back where it is in order.
    pub(super) async fn end<T>(mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(outcome, Err(Failure::Lost(_))) {
            return outcome;
        }
        if self.is_in_transaction {
            let statement = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
            if let Err(error) = sqlx::raw_sql(statement).execute(&mut self.connection).await {
                return outcome.and_then(|_| Err(error.into()));
            }
        }
        self.give_back();
        outcome
    }

    fn give_back(self) {
        let Self { connection, opened, home, seat, .. } = self;
        if !home.is_retired.load(Ordering::Acquire) && opened.elapsed() < MAX_AGE {
            let mut idle = home.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(Idle { connection, opened, since: Instant::now() });
        }
        // Only now may another one look for it.
        drop(seat);
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
