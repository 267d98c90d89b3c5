//! The primary: the host that can be written to, found among those that are named, and found again when it moved.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::connections::{Connections, Lease, Role};
use super::failure::Failure;
use crate::store::{Lane, StoreError, StoreSettings, Terms};

/// How long a transaction is tried again before its caller is told that the database does not answer.
const RETRY_WITHIN: Duration = Duration::from_secs(6);
const MAX_TRIES: u32 = 40;
const FIRST_PAUSE_MS: u64 = 10;
const LAST_PAUSE_MS: u64 = 400;
/// What an attempt may take beyond the limit of one statement, by the clock of the client: a server that hangs tells no
/// limit.
const ATTEMPT_MARGIN: Duration = Duration::from_secs(2);
/// Who comes so soon after a search that found nothing need not search again.
const SEARCH_HOLDS: Duration = Duration::from_millis(300);

/// The primary, as somebody has it.
pub(super) struct Primary {
    hosts: Arc<Hosts>,
    terms: Terms,
}

/// Where it may be, and the connections to where it is, which all share.
struct Hosts {
    candidates: Vec<PgConnectOptions>,
    settings: StoreSettings,
    attempt_limit: Duration,
    /// None until it is needed, and after it was lost.
    current: RwLock<Option<Arc<Connections>>>,
    /// Held by the one that searches; the last search that found nothing.
    search: Mutex<Option<(Instant, String)>>,
}

impl Primary {
    pub(super) fn new(candidates: Vec<PgConnectOptions>, settings: StoreSettings) -> Self {
        let attempt_limit = Duration::from_millis(settings.statement_timeout_ms) + ATTEMPT_MARGIN;
        let (current, search) = (RwLock::default(), Mutex::default());
        let hosts = Hosts { candidates, settings, attempt_limit, current, search };
        Self { hosts: Arc::new(hosts), terms: Terms::each(Lane::Begun) }
    }

    /// The same for somebody else.
    pub(super) fn with_terms(&self, terms: Terms) -> Self {
        Self { hosts: self.hosts.clone(), terms }
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.hosts.current().is_some_and(|connections| connections.is_crowded())
    }

    /// Runs a transaction, and again when others were in the way or the server went away. `attempt` is told whether it
    /// runs again: what it is to write may be there then.
    ///
    /// # Errors
    /// `Unavailable` when it did not succeed in time; what `attempt` says is final otherwise.
    pub(super) async fn run<T, F, Fut>(&self, attempt: F) -> Result<T, StoreError>
    where
        F: Fn(Lease, bool) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        // Whoever has less time than that is told what was in the way, while there is still time to.
        let patience = self.terms.time_left().min(RETRY_WITHIN);
        self.terms.within(self.hosts.run(self.terms.lane(), patience, attempt)).await
    }

    /// A connection for what takes its time and is not run again.
    pub(super) async fn lease(&self) -> Result<Lease, Failure> {
        self.hosts.connections().await?.lease(self.terms.lane()).await
    }
}

impl Hosts {
    async fn run<T, F, Fut>(&self, lane: Lane, patience: Duration, attempt: F) -> Result<T, StoreError>
    where
        F: Fn(Lease, bool) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let started = Instant::now();
        let mut tries = 0;
        loop {
            let why = match self.once(lane, &attempt, tries > 0).await {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again(why) | Failure::Lost(why)) => why,
            };
            tries += 1;
            let pause = pause(tries, random());
            if tries >= MAX_TRIES || started.elapsed() + pause > patience {
                return Err(StoreError::Unavailable(why));
            }
            tracing::debug!(sql.tries = tries, sql.why = %why, "a transaction is run again");
            sleep(pause).await;
        }
    }

    async fn once<T, F, Fut>(&self, lane: Lane, attempt: &F, is_rerun: bool) -> Result<T, Failure>
    where
        F: Fn(Lease, bool) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let connections = self.connections().await?;
        let outcome = match connections.lease(lane).await {
            Ok(lease) => match timeout(self.attempt_limit, attempt(lease, is_rerun)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::Lost("the database did not answer in time".to_owned())),
            },
            Err(failure) => Err(failure),
        };
        if let Err(Failure::Lost(why)) = &outcome {
            self.leave(&connections, why);
        }
        outcome
    }

    async fn connections(&self) -> Result<Arc<Connections>, Failure> {
        if let Some(current) = self.current() {
            return Ok(current);
        }
        let mut last = self.search.lock().await;
        // Whoever searched before may have found it, or not.
        if let Some(current) = self.current() {
            return Ok(current);
        }
        if let Some((_, why)) = last.as_ref().filter(|(at, _)| at.elapsed() < SEARCH_HOLDS) {
            return Err(Failure::Lost(why.clone()));
        }
        match self.find().await {
            Ok(found) => {
                *last = None;
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
                Ok(found)
            }
            Err(why) => {
                *last = Some((Instant::now(), why.clone()));
                Err(Failure::Lost(why))
            }
        }
    }

    /// The first host that answers and is no standby.
    async fn find(&self) -> Result<Arc<Connections>, String> {
        let mut faults = Vec::new();
        for options in &self.candidates {
            let connections = Connections::new(options.clone(), Role::Primary, &self.settings);
            match connections.lease(Lane::Begun).await {
                // Given back, it is the first idle one.
                Ok(lease) => match lease.end(Ok(())).await {
                    Ok(()) => return Ok(connections),
                    Err(failure) => faults.push(format!("{failure:?}")),
                },
                Err(Failure::Lost(why)) => faults.push(why),
                Err(failure) => faults.push(format!("{failure:?}")),
            }
        }
        Err(faults.join("; "))
    }

    fn current(&self) -> Option<Arc<Connections>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives up connections that lead nowhere, unless others did so before.
    fn leave(&self, lost: &Arc<Connections>, why: &str) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, lost)) {
            tracing::warn!(sql.why = %why, "the connections to the database are opened anew");
            *current = None;
        }
        drop(current);
        lost.retire();
    }
}

/// A number that nobody foresees, for spreading load; not for secrets.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Longer with each try, and from half to one and a half times as long, so that those who failed together part.
fn pause(tries: u32, random: u64) -> Duration {
    let middle_ms = FIRST_PAUSE_MS.saturating_mul(1 << tries.min(16)).min(LAST_PAUSE_MS);
    Duration::from_millis(middle_ms / 2 + random % (middle_ms + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_spread() {
        assert_eq!(pause(1, 0), Duration::from_millis(10));
        assert_eq!(pause(1, 20), Duration::from_millis(30));
        assert_eq!(pause(30, 0), Duration::from_millis(200));
        assert!((0..1000).all(|random| pause(40, random) <= Duration::from_millis(600)));
    }

    #[test]
    fn numbers_differ() {
        let numbers: std::collections::HashSet<u64> = (0..100).map(|_| random()).collect();
        assert!(numbers.len() > 90);
    }
}
