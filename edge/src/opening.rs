//! Opening a snapshot: on a thread of its own at low priority, so that nothing that serves ever waits for a disk or a
//! digest, and hardly for a processor.

use std::hint::black_box;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc;
use std::time::Duration;

use search::Index;
use snapshots::{Cache, Digest, Manifest, Snapshot, Store};
use thiserror::Error;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use tokio::runtime::Handle;

use crate::server::panic_text;

/// Where a thread that takes only what others leave has not done a millisecond's work by then, they leave nothing.
const SPARE_TIMEOUT: Duration = Duration::from_millis(20);
const SPARE_WORK: u32 = 1 << 20;
/// So much is hashed on several threads.
const HASHED_BY_SEVERAL: usize = 256 * 1024;

/// Why a snapshot cannot be served.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Snapshot(#[from] snapshots::Error),
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error("opening it panicked: {0}")]
    Panic(String),
}

impl OpenError {
    /// Whether opening it again may succeed without anything being mended.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Snapshot(error) if error.is_transient())
    }

    /// Whether space must be made before it can be served.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Snapshot(error) if error.is_disk_full())
    }
}

/// Starts a thread that gives way to those that serve.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(work: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    start_as("open-snapshot", work)
}

fn start_as(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let quiet = move || {
        // Threads of one process can have different niceness on Linux; where that fails, nothing is lost.
        let _ = rustix::process::nice(10);
        work();
    };
    let spawned = std::thread::Builder::new().name(name.into()).spawn(quiet);
    spawned.map(drop).map_err(|error| OpenError::Panic(error.to_string()))
}

/// Has the threads made that hash large objects: whoever hashes first makes them, and they have its name and its priority,
/// for ever.
pub fn start_hashing() {
    let _ = start_as("hash-objects", || _ = Digest::of(&[0; HASHED_BY_SEVERAL]));
}

/// Leaves the processors to those that serve from now on, where they leave any. Nice as it is, a thread is left alone on its
/// processor for up to 20 ms while those that serve wait for each other on another one, since to the scheduler that one is no
/// busier. On a machine that has nothing to spare it goes on as it is: it would hardly move on otherwise, and there is no way
/// back. Whoever holds what others wait for must not give way.
pub fn give_way() {
    let (tell, told) = mpsc::channel();
    let probe = move || {
        take_what_is_left();
        (0..SPARE_WORK).for_each(|number| _ = black_box(number));
        // Too late is no answer.
        let _ = tell.send(());
    };
    let is_asked = std::thread::Builder::new().name("spare-processor".into()).spawn(probe).is_ok();
    if is_asked && told.recv_timeout(SPARE_TIMEOUT).is_ok() {
        take_what_is_left();
    }
}

/// As SCHED_IDLE has it: whoever else wants the processor gets it at once. Where that fails, nothing is lost.
fn take_what_is_left() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
}

/// Does what may panic over a damaged snapshot, and makes an error of that.
pub fn caught<T>(open: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let done = std::panic::catch_unwind(AssertUnwindSafe(open));
    done.unwrap_or_else(|panic| Err(OpenError::Panic(panic_text(&*panic))))
}

/// Installs what is missing (where there is a store to ask), and opens a snapshot for a market. Blocks.
///
/// # Errors
/// When an object is missing, damaged, or does not fit the others.
pub fn open_index(
    runtime: &Handle,
    store: Option<&Store>,
    cache: &Cache,
    manifest: Manifest,
    market: &str,
) -> Result<Index, OpenError> {
    if let Some(store) = store {
        runtime.block_on(snapshots::install(store, cache, &manifest))?;
    }
    Ok(Index::open_for(Snapshot::open(cache, manifest)?, Some(market))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Niceness and scheduling policy of the thread that asks: see proc_pid_stat(5), whose fields 19 and 41 they are.
    fn scheduling() -> (i32, i32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("this thread");
        let (_, fields) = stat.rsplit_once(')').expect("its name");
        let fields: Vec<i32> = fields.split_whitespace().map(|field| field.parse().unwrap_or(-1)).collect();
        (fields[16], fields[38])
    }

    #[test]
    fn threads_give_way_and_leave_others_as_they_are() {
        const SCHED_IDLE: i32 = 5;
        let before = scheduling();
        let (tell, told) = mpsc::channel();
        let work = move || {
            tell.send(scheduling()).expect("somebody waits");
            take_what_is_left();
            tell.send(scheduling()).expect("somebody waits");
        };
        start(work).expect("a thread");
        let told: Vec<(i32, i32)> = told.iter().collect();
        assert_eq!(told[0], ((before.0 + 10).min(19), before.1));
        assert_eq!(told[1].1, SCHED_IDLE);
        assert_eq!(scheduling(), before);
    }
}
