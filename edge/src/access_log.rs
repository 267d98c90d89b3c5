//! One line a request, written by a thread of its own: a slow terminal or pipe never slows an answer.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Lines that wait to be written take at most this much memory; beyond it they are counted and dropped.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Where request lines go.
#[derive(Clone)]
pub struct AccessLog(Option<Arc<Waiting>>);

struct Waiting {
    state: Mutex<State>,
    /// Told when the log is to end.
    ended: Condvar,
    lost: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    closed: bool,
    flushed: bool,
}

/// What is told of a request. No query, no body: they may hold what is nobody's business.
pub struct Line<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub route: &'a str,
    pub status: u16,
    pub took_us: u128,
    pub bytes: u64,
    pub cause: Option<&'a str>,
}

impl AccessLog {
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts the writing thread.
    pub fn start(lost: Arc<AtomicUsize>) -> Self {
        let waiting = Arc::new(Waiting { state: Mutex::default(), ended: Condvar::new(), lost });
        let writer = waiting.clone();
        let spawned = std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run());
        Self(spawned.ok().map(|_| waiting))
    }

    pub fn write(&self, line: &Line<'_>) {
        let Some(waiting) = &self.0 else { return };
        let mut state = waiting.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.lines.len() > MAX_WAITING_BYTES {
            waiting.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let out = &mut state.lines;
        let text = |out: &mut Vec<u8>, text: &str| drop(serde_json::to_writer(out, text));
        // Writing to a vector cannot fail.
        let _ = write!(out, "{{\"timestamp\":\"{:.6}\",\"level\":\"INFO\",\"http.method\":", jiff::Timestamp::now());
        text(out, line.method);
        out.extend_from_slice(b",\"http.path\":");
        text(out, line.path);
        out.extend_from_slice(b",\"http.route\":");
        text(out, line.route);
        let _ = write!(out, ",\"http.status\":{},\"took_us\":{},\"bytes\":{}", line.status, line.took_us, line.bytes);
        if let Some(cause) = line.cause {
            out.extend_from_slice(b",\"cause\":");
            text(out, cause);
        }
        out.extend_from_slice(b"}\n");
    }

    /// Writes what still waits. Lines of later requests are lost.
    pub fn close(&self) {
        let Some(waiting) = &self.0 else { return };
        let mut state = waiting.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        waiting.ended.notify_all();
        let done = waiting.ended.wait_timeout_while(state, Duration::from_secs(2), |state| !state.flushed);
        drop(done);
    }
}

impl Waiting {
    fn run(&self) {
        let mut writing = Vec::new();
        loop {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.ended.wait_timeout_while(state, FLUSH_INTERVAL, |state| !state.closed);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut state.lines, &mut writing);
            let closed = state.closed;
            drop(state);
            // A closed pipe is no reason to stop serving.
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&writing).and_then(|()| out.flush());
            drop(out);
            writing.clear();
            if closed {
                self.state.lock().unwrap_or_else(PoisonError::into_inner).flushed = true;
                self.ended.notify_all();
                return;
            }
        }
    }
}
