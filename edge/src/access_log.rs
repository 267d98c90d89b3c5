//! One line a request, written by a thread of its own: a slow terminal or pipe never slows an answer.

use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

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
    /// When it was answered, in microseconds of Unix time.
    pub at_us: i64,
    /// A token of HTTP, in which nothing needs escaping.
    pub method: &'a str,
    pub path: &'a str,
    pub route: &'static str,
    pub status: u16,
    pub took_us: u64,
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
        WRITTEN.with_borrow_mut(|written| {
            written.write(line);
            waiting.append(&written.bytes);
        });
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

thread_local! {
    /// Where this thread writes its lines, before it takes the lock that all wait for.
    static WRITTEN: RefCell<Written> = const { RefCell::new(Written::new()) };
}

/// A line, written out.
struct Written {
    bytes: Vec<u8>,
    /// The second that the date was last written for.
    second: i64,
    date: String,
}

impl Written {
    const fn new() -> Self {
        Self { bytes: Vec::new(), second: i64::MIN, date: String::new() }
    }

    fn write(&mut self, line: &Line<'_>) {
        let (second, micros) = (line.at_us.div_euclid(1_000_000), line.at_us.rem_euclid(1_000_000));
        if second != self.second {
            self.date = Timestamp::from_second(second).map(|time| time.to_string()).unwrap_or_default();
            self.second = second;
        }
        let (out, date) = (&mut self.bytes, self.date.trim_end_matches('Z'));
        out.clear();
        // Writing to a vector cannot fail.
        let _ =
            write!(out, "{{\"timestamp\":\"{date}.{micros:06}Z\",\"level\":\"INFO\",\"http.method\":\"{}", line.method);
        out.extend_from_slice(b"\",\"http.path\":");
        write_text(out, line.path);
        let Line { route, status, took_us, bytes, .. } = line;
        let _ =
            write!(out, ",\"http.route\":\"{route}\",\"http.status\":{status},\"took_us\":{took_us},\"bytes\":{bytes}");
        if let Some(cause) = line.cause {
            out.extend_from_slice(b",\"cause\":");
            write_text(out, cause);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        drop(serde_json::to_writer(out, text));
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

impl Waiting {
    fn append(&self, line: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.lines.len() > MAX_WAITING_BYTES {
            true => _ = self.lost.fetch_add(1, Ordering::Relaxed),
            false => state.lines.extend_from_slice(line),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    const AT_US: i64 = 1_767_323_045_000_007;

    fn line(path: &str) -> Line<'_> {
        let (method, route, cause) = ("GET", "search", None);
        Line { at_us: AT_US, method, path, route, status: 200, took_us: 12, bytes: 3, cause }
    }

    #[test]
    fn lines_are_json_one_after_the_other() {
        let mut written = Written::new();
        let mut check = |line: &Line<'_>, expected: &str| {
            written.write(line);
            assert_eq!(String::from_utf8_lossy(&written.bytes), format!("{expected}\n"));
        };
        check(
            &line("/v1/search"),
            r#"{"timestamp":"2026-01-02T03:04:05.000007Z","level":"INFO","http.method":"GET","http.path":"/v1/search","http.route":"search","http.status":200,"took_us":12,"bytes":3}"#,
        );
        check(
            &Line { at_us: AT_US + 999_993, cause: Some("it \"broke\"\n\\"), ..line("/ö\"") },
            r#"{"timestamp":"2026-01-02T03:04:06.000000Z","level":"INFO","http.method":"GET","http.path":"/ö\"","http.route":"search","http.status":200,"took_us":12,"bytes":3,"cause":"it \"broke\"\n\\"}"#,
        );
        check(
            &Line { at_us: AT_US - 8, ..line("/") },
            r#"{"timestamp":"2026-01-02T03:04:04.999999Z","level":"INFO","http.method":"GET","http.path":"/","http.route":"search","http.status":200,"took_us":12,"bytes":3}"#,
        );
    }

    #[test]
    fn lines_that_nobody_writes_are_dropped_and_counted() {
        let waiting = Waiting { state: Mutex::default(), ended: Condvar::new(), lost: Arc::default() };
        waiting.append("x".repeat(MAX_WAITING_BYTES + 1).as_bytes());
        waiting.append(b"lost");
        assert_eq!(waiting.lost.load(Ordering::Relaxed), 1);
        assert_eq!(waiting.state.lock().expect("no panic").lines.len(), MAX_WAITING_BYTES + 1);
    }
}
