//! Work on every core, whose results come in the order of what was given.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, bail};

/// So much is under way for each worker: what it works on, and what it goes on with while its result waits to be taken.
const AHEAD: usize = 2;
/// A batch ends at so many items, or when they take so much memory: what is under way is bounded by both.
const MAX_BATCH: usize = 64;
const MAX_BATCH_BYTES: usize = 256 * 1024;

struct Worker<'scope, T, R> {
    items: SyncSender<T>,
    results: Receiver<R>,
    thread: ScopedJoinHandle<'scope, ()>,
}

/// As many workers as there are cores.
pub(crate) fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Does `work` on every item, on threads of its own. Items are given and results are taken in turn, on the caller's thread,
/// one worker after another: so they keep their order, and no more than [`AHEAD`] for each worker wait anywhere.
///
/// # Errors
/// When `take` fails, which ends it, or there is no thread. A worker's panic becomes the caller's, once the results before it
/// were taken.
pub(crate) fn map<T: Send, R: Send>(
    workers: usize,
    items: impl Iterator<Item = T>,
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let (mut items, work) = (items.fuse(), &work);
    thread::scope(|scope| {
        let mut team = Vec::new();
        for _ in 0..workers.max(1) {
            let (items, given) = sync_channel::<T>(AHEAD);
            let (done, results) = sync_channel::<R>(AHEAD);
            let run = move || {
                for item in given {
                    // Where nobody takes results any more, nobody wants them.
                    if done.send(work(item)).is_err() {
                        break;
                    }
                }
            };
            let thread = thread::Builder::new().name("worker".to_owned()).spawn_scoped(scope, run);
            team.push(Worker { items, results, thread: thread.context("a thread")? });
        }
        let (mut given, mut taken) = (0, 0);
        loop {
            while given - taken < AHEAD * team.len()
                && let Some(item) = items.next()
            {
                // Where the worker has died, its next result says so.
                let _ = team[given % team.len()].items.send(item);
                given += 1;
            }
            if taken == given {
                return Ok(());
            }
            let next = taken % team.len();
            let Ok(result) = team[next].results.recv() else { return died(team.swap_remove(next)) };
            take(result)?;
            taken += 1;
        }
    })
}

/// Goes on with the panic that has ended a worker.
fn died<T, R>(worker: Worker<'_, T, R>) -> Result<()> {
    match worker.thread.join() {
        Err(panic) => resume_unwind(panic),
        Ok(()) => bail!("a worker has ended too early"),
    }
}

/// Puts items together, of which `size_bytes` tells about how much memory each takes: to hand over each alone would cost more
/// than many take to be worked on.
pub(crate) fn batches<T>(
    mut items: impl Iterator<Item = T>,
    size_bytes: impl Fn(&T) -> usize,
) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let (mut batch, mut total_bytes) = (Vec::new(), 0);
        while batch.len() < MAX_BATCH
            && total_bytes < MAX_BATCH_BYTES
            && let Some(item) = items.next()
        {
            total_bytes += size_bytes(&item);
            batch.push(item);
        }
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        for (workers, count) in [(0, 5), (1, 100), (3, 0), (3, 1), (3, 100), (7, 101)] {
            let mut taken = Vec::new();
            let take = |result| {
                taken.push(result);
                Ok(())
            };
            map(workers, 0..count, |item| 2 * item, take).expect("nothing fails");
            assert_eq!(taken, (0..count).map(|item| 2 * item).collect::<Vec<_>>(), "{workers} workers");
        }
    }

    /// The first item is done only after the second one is.
    #[test]
    fn who_is_done_first_waits_for_those_before() {
        let (tell, told) = channel();
        let told = Mutex::new(told);
        let work = |item: u32| {
            match item {
                0 => told.lock().expect("one waits").recv().expect("the other one tells"),
                _ => tell.send(()).expect("one listens"),
            }
            item
        };
        let mut taken = Vec::new();
        let take = |item| {
            taken.push(item);
            Ok(())
        };
        map(2, 0..2, work, take).expect("nothing fails");
        assert_eq!(taken, [0, 1]);
    }

    #[test]
    fn no_more_is_under_way_than_the_workers_have_room_for() {
        let (under_way, most) = (Cell::new(0_usize), Cell::new(0_usize));
        let items = (0..100).inspect(|_| {
            under_way.set(under_way.get() + 1);
            most.set(most.get().max(under_way.get()));
        });
        let take = |_| {
            under_way.set(under_way.get() - 1);
            Ok(())
        };
        map(3, items, |item| item, take).expect("nothing fails");
        assert_eq!((under_way.get(), most.get()), (0, 3 * AHEAD));
    }

    #[test]
    fn a_failure_ends_all_and_comes_out_once() {
        let mut taken = Vec::new();
        let take = |item: u32| {
            taken.push(item);
            if item == 3 { bail!("the disk is full") } else { Ok(()) }
        };
        let error = map(2, 0.., |item| item, take).expect_err("a failure");
        assert_eq!(error.to_string(), "the disk is full");
        assert_eq!(taken, [0, 1, 2, 3]);
    }

    #[test]
    fn a_panic_of_a_worker_comes_out_once_and_behind_what_was_before_it() {
        for workers in [1, 3] {
            let mut taken = Vec::new();
            let work = |item: u32| {
                assert!(item != 5, "the sixth");
                item
            };
            let take = |item| {
                taken.push(item);
                Ok(())
            };
            let panic = catch_unwind(AssertUnwindSafe(|| map(workers, 0.., work, take))).expect_err("a panic");
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"the sixth"));
            assert_eq!(taken, [0, 1, 2, 3, 4], "{workers} workers");
        }
    }

    #[test]
    fn batches_are_bounded_in_number_and_in_bytes() {
        let lengths = |count: usize, size_bytes: usize| {
            batches(0..count, |_| size_bytes).map(|batch| batch.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(0, 1), Vec::<usize>::new());
        assert_eq!(lengths(2 * MAX_BATCH + 1, 1), [MAX_BATCH, MAX_BATCH, 1]);
        assert_eq!(lengths(5, MAX_BATCH_BYTES / 2), [2, 2, 1]);
        assert_eq!(lengths(2, 10 * MAX_BATCH_BYTES), [1, 1]);
        let all: Vec<usize> = batches(0..1_000, |_| 1).flatten().collect();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>(), "in their order");
    }
}
