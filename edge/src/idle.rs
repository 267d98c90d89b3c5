//! Cuts connections that wait too long for a request, and in a full house those that have waited longest. hyper can do the
//! former for HTTP/1.1, but sets a timer for each request and clears it again; here one task looks at all connections, and a
//! request writes down no more than that it is there, until its answer is ready. Over HTTP/2, where several go on at once,
//! that is the last of them; and whatever is read of an answer after that is written down, too.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

/// Written down instead of a look while a connection is not waiting for a request.
const BUSY: u64 = u64::MAX;
/// Who waits for fewer looks than these, a second at the least, makes no room: its request may be on its way.
const SPARED_LOOKS: u64 = 2;

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
    /// The look since which nobody could make room: only with the next one can somebody.
    full_since: Option<u64>,
}

impl IdleWatch {
    /// Looks once in each interval.
    pub(crate) fn new(interval: Duration, patience: u64) -> Arc<Self> {
        Arc::new(Self { looks: AtomicU64::new(0), interval, patience, watched: Mutex::default() })
    }

    /// Serves a connection on a task of its own, which is ended when the connection waits for too long.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, serve: impl FnOnce(Waiting) -> F) {
        let since = Arc::new(AtomicU64::new(self.looks.load(Ordering::Relaxed)));
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

    /// Cuts so many, those first that have waited longest.
    pub(crate) fn make_room(&self, count: usize) {
        let now = self.looks.load(Ordering::Relaxed);
        let longest: Vec<AbortHandle> = self.change(|watched| {
            if watched.full_since == Some(now) {
                return Vec::new();
            }
            let waiting = watched.connections.values().filter_map(|(since, task)| {
                let task = task.as_ref().filter(|task| !task.is_finished())?;
                let since = since.load(Ordering::Relaxed);
                (now.saturating_sub(since) >= SPARED_LOOKS).then_some((since, task))
            });
            let mut waiting: Vec<(u64, &AbortHandle)> = waiting.collect();
            waiting.sort_unstable_by_key(|(since, _)| *since);
            let longest: Vec<AbortHandle> = waiting.into_iter().take(count).map(|(_, task)| task.clone()).collect();
            watched.full_since = longest.is_empty().then_some(now);
            longest
        });
        longest.iter().for_each(AbortHandle::abort);
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
    /// From now on the connection waits for a request, as it does from its beginning.
    pub(crate) fn begin(&self) {
        self.since.store(self.watch.looks.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// It has one, until it begins to wait for another.
    pub(crate) fn end(&self) {
        self.since.store(BUSY, Ordering::Relaxed);
    }

    /// It has one, until what this gives is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.end();
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
    use std::sync::Weak;

    use super::*;

    fn count(watch: &IdleWatch) -> usize {
        watch.change(|watched| watched.connections.len())
    }

    /// One that nobody looks at.
    pub(crate) fn alone() -> Waiting {
        Waiting { watch: IdleWatch::new(Duration::from_secs(1), 1), number: 0, since: Arc::default() }
    }

    #[tokio::test]
    async fn who_waits_too_long_is_cut_and_who_works_is_not() {
        let watch = IdleWatch::new(Duration::from_secs(1), 2);
        let (give, given) = tokio::sync::oneshot::channel();
        watch.spawn(|waiting| async move {
            let waiting = Arc::new(waiting);
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

    /// A connection that works or says nothing; this counts it for as long as it is there.
    async fn enter(watch: &Arc<IdleWatch>, works: bool) -> Weak<()> {
        let inside = Arc::new(());
        let seen = Arc::downgrade(&inside);
        watch.spawn(move |waiting| async move {
            let waiting = Arc::new(waiting);
            let busy = works.then(|| waiting.busy());
            std::future::pending::<()>().await;
            drop((busy, inside));
        });
        settle().await;
        seen
    }

    /// Those that said nothing once kept everybody else out.
    #[tokio::test]
    async fn who_has_waited_longest_makes_room() {
        let watch = IdleWatch::new(Duration::from_secs(1), 120);
        let (busy, first) = (enter(&watch, true).await, enter(&watch, false).await);
        watch.look();
        let second = enter(&watch, false).await;
        let there = || [&busy, &first, &second].map(Weak::strong_count);
        watch.make_room(9);
        settle().await;
        assert_eq!(there(), [1, 1, 1], "both have come only now");
        (0..2).for_each(|_| watch.look());
        watch.make_room(1);
        settle().await;
        assert_eq!(there(), [1, 0, 1]);
        watch.make_room(9);
        settle().await;
        assert_eq!(there(), [1, 0, 0], "one works");
    }

    /// All were looked at two hundred times a second, while nobody else could come or go.
    #[tokio::test]
    async fn where_nobody_makes_room_they_are_looked_at_once() {
        let watch = IdleWatch::new(Duration::from_secs(1), 120);
        let busy = enter(&watch, true).await;
        (0..3).for_each(|_| watch.look());
        watch.make_room(1);
        // Nobody has waited for longer before the next look; this one shows whether it is looked at.
        watch.change(|watched| watched.connections.values().for_each(|(since, _)| since.store(0, Ordering::Relaxed)));
        watch.make_room(1);
        settle().await;
        assert_eq!(busy.strong_count(), 1, "it is not looked at again");
        watch.look();
        watch.make_room(1);
        settle().await;
        assert_eq!(busy.strong_count(), 0);
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
