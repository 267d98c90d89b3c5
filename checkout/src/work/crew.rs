//! Steps that run side by side: so many at once, and none for the same thing twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{Id, JoinSet};
use tracing::error;

pub(super) struct Crew<K> {
    running: JoinSet<()>,
    /// What each running step is for. A step that panics leaves too.
    things: HashMap<Id, K>,
    permits: Arc<Semaphore>,
    seats: usize,
}

/// Steps that wait for their turn, for each one that may run: so that one look at a queue brings work for several.
const WAITING_PER_RUNNING: usize = 3;

impl<K: PartialEq> Crew<K> {
    pub(super) fn new(at_once: usize) -> Self {
        let (permits, seats) = (Arc::new(Semaphore::new(at_once)), at_once * (1 + WAITING_PER_RUNNING));
        Self { running: JoinSet::new(), things: HashMap::new(), permits, seats }
    }

    pub(super) fn free_seats(&self) -> usize {
        self.seats.saturating_sub(self.running.len())
    }

    /// Starts a step, unless one for the same thing is running.
    pub(super) fn start(&mut self, thing: K, step: impl Future<Output = ()> + Send + 'static) {
        if self.things.values().any(|other| *other == thing) {
            return;
        }
        let permits = Arc::clone(&self.permits);
        let handle = self.running.spawn(async move {
            // The semaphore is never closed.
            let _permit = permits.acquire_owned().await;
            step.await;
        });
        self.things.insert(handle.id(), thing);
    }

    /// Waits for a reason to look for more work: with all seats taken until half of them are free, else until the time is
    /// over or somebody calls. Returns at once on shutdown.
    pub(super) async fn pause(&mut self, time: Duration, call: &Notify, shutdown: &mut watch::Receiver<bool>) {
        let was_full = self.free_seats() == 0;
        while was_full && self.free_seats() * 2 < self.seats {
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => self.leave(ended),
                () = stopped(shutdown) => return,
            }
        }
        if !was_full {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = call.notified() => {}
                () = stopped(shutdown) => {}
            }
        }
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.leave(ended);
        }
    }

    /// Lets all running steps end.
    pub(super) async fn finish(mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            self.leave(ended);
        }
    }

    fn leave(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(fault) => {
                error!(error = %fault, "a step panicked");
                fault.id()
            }
        };
        self.things.remove(&id);
    }
}

/// Whether the loops are to end. One whose sender is gone has nobody to wait for it.
pub(super) fn is_stopped(shutdown: &watch::Receiver<bool>) -> bool {
    *shutdown.borrow() || shutdown.has_changed().is_err()
}

/// Waits until the loops are to end.
pub(super) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    /// Pauses until so many seats are free.
    async fn until_free<K: PartialEq>(crew: &mut Crew<K>, seats: usize) {
        let (call, (_stop, mut shutdown)) = (Notify::new(), watch::channel(false));
        while crew.free_seats() < seats {
            crew.pause(SHORT, &call, &mut shutdown).await;
        }
    }

    #[tokio::test]
    async fn a_thing_has_one_step_at_a_time_even_after_a_panic() {
        let (gate, runs) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let mut crew = Crew::new(1);
        for _ in 0..3 {
            let (gate, runs) = (Arc::clone(&gate), Arc::clone(&runs));
            crew.start("one", async move {
                runs.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                panic!("on purpose");
            });
        }
        assert_eq!(crew.free_seats(), 3);
        gate.notify_one();
        until_free(&mut crew, 4).await;
        let again = Arc::clone(&runs);
        crew.start("one", async move {
            again.fetch_add(1, Ordering::SeqCst);
        });
        until_free(&mut crew, 4).await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn so_many_run_at_once_and_a_full_crew_waits() {
        let (gate, running, most) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)), Arc::default());
        let mut crew = Crew::new(2);
        for thing in 0..8 {
            let (gate, running, most) = (Arc::clone(&gate), Arc::clone(&running), Arc::<AtomicUsize>::clone(&most));
            crew.start(thing, async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let _passed = gate.acquire().await;
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        assert_eq!(crew.free_seats(), 0);
        while running.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(8);
        until_free(&mut crew, 4).await;
        crew.finish().await;
        assert_eq!((most.load(Ordering::SeqCst), running.load(Ordering::SeqCst)), (2, 0));
    }

    #[tokio::test]
    async fn a_shutdown_ends_every_pause() {
        let (stop, mut shutdown) = watch::channel(false);
        let call = Notify::new();
        let mut crew = Crew::new(1);
        stop.send(true).expect("a receiver");
        assert!(is_stopped(&shutdown));
        crew.pause(Duration::from_secs(3_600), &call, &mut shutdown).await;
        for thing in 0..4 {
            crew.start(thing, std::future::pending());
        }
        crew.pause(Duration::from_secs(3_600), &call, &mut shutdown).await;
        drop(stop);
        assert!(is_stopped(&shutdown));
    }
}
