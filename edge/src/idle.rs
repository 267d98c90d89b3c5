//! Cuts HTTP/1.1 connections that wait too long for a request. hyper can, but sets a timer for each request and clears it
//! again; here one task looks at all connections, and a request writes down no more than that it is there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

/// Written down instead of a look while a connection is not waiting for a request.
const BUSY: u64 = u64::MAX;

/// All connections of a port.
pub(crate) struct IdleWatch {
    /// How often it has looked: the only clock there is.
    looks: AtomicU64,
    interval: Duration,
    /// A connection may wait for so many looks, and is cut at the next.
    patience: u64,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    connections: HashMap<u64, (Arc<AtomicU64>, Option<AbortHandle>)>,
    next: u64,
}

impl IdleWatch {
    /// Looks once in each interval.
    pub(crate) fn new(interval: Duration, patience: u64) -> Arc<Self> {
        Arc::new(Self { looks: AtomicU64::new(0), interval, patience, watched: Mutex::default() })
    }

    /// Serves a connection on a task of its own, which is ended when the connection waits for too long.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, serve: impl FnOnce(Waiting) -> F) {
        let since = Arc::new(AtomicU64::new(BUSY));
        let number = self.change(|watched| {
            watched.next += 1;
            watched.connections.insert(watched.next, (since.clone(), None));
            watched.next
        });
        let task = tokio::spawn(serve(Waiting { watch: self.clone(), number, since }));
        self.change(|watched| {
            // It may be over already.
            if let Some((_, handle)) = watched.connections.get_mut(&number) {
                *handle = Some(task.abort_handle());
            }
        });
    }

    /// Looks for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.interval).await;
            self.look();
        }
    }

    /// Cuts what has waited for longer than it may.
    pub(crate) fn look(&self) {
        let now = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        let is_overdue = |since: &AtomicU64| now.saturating_sub(since.load(Ordering::Relaxed)) > self.patience;
        let overdue: Vec<AbortHandle> = self.change(|watched| {
            let overdue = watched.connections.values().filter(|(since, _)| is_overdue(since));
            overdue.filter_map(|(_, task)| task.clone()).collect()
        });
        // Whatever ends takes itself off the list, so that this must not hold it.
        overdue.iter().for_each(AbortHandle::abort);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Watched) -> T) -> T {
        change(&mut self.watched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection that is watched until this is dropped.
pub(crate) struct Waiting {
    watch: Arc<IdleWatch>,
    number: u64,
    since: Arc<AtomicU64>,
}

impl Waiting {
    /// From now on the connection waits for a request.
    pub(crate) fn begin(&self) {
        self.since.store(self.watch.looks.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// It has one, until what this gives is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.since.store(BUSY, Ordering::Relaxed);
        Busy(self.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.watch.change(|watched| watched.connections.remove(&self.number));
    }
}

/// A request that is being answered.
pub(crate) struct Busy(Arc<Waiting>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.begin();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn count(watch: &IdleWatch) -> usize {
        watch.change(|watched| watched.connections.len())
    }

    #[tokio::test]
    async fn who_waits_too_long_is_cut_and_who_works_is_not() {
        let watch = IdleWatch::new(Duration::from_secs(1), 2);
        let (give, given) = tokio::sync::oneshot::channel();
        watch.spawn(|waiting| async move {
            let waiting = Arc::new(waiting);
            waiting.begin();
            drop(give.send(waiting.busy()));
            std::future::pending::<()>().await;
        });
        let busy = given.await.expect("it has begun");
        (0..9).for_each(|_| watch.look());
        settle().await;
        assert_eq!(count(&watch), 1, "it works");
        drop(busy);
        (0..2).for_each(|_| watch.look());
        settle().await;
        assert_eq!(count(&watch), 1, "it has waited for as long as it may");
        watch.look();
        settle().await;
        assert_eq!(count(&watch), 0);
    }

    #[tokio::test]
    async fn what_has_ended_is_watched_no_more() {
        let watch = IdleWatch::new(Duration::from_secs(1), 2);
        watch.spawn(|waiting| async move { drop(waiting) });
        settle().await;
        assert_eq!(count(&watch), 0);
    }

    /// Lets every task go on that can.
    pub(crate) async fn settle() {
        for _ in 0..9 {
            tokio::task::yield_now().await;
        }
    }
}
