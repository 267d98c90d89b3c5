//! The log: text for people, JSON for collectors, written by a thread of its own, so that a slow terminal or pipe never
//! slows an answer.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// So many lines wait to be written; beyond them they are counted and dropped.
const MAX_WAITING_LINES: usize = 16_384;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const FULL_PAUSE: Duration = Duration::from_millis(5);

static LOST: AtomicU64 = AtomicU64::new(0);

enum Message {
    Line(Vec<u8>),
    /// Tells when all lines before it are written.
    Flushed(SyncSender<()>),
}

/// The log while it is open.
#[derive(Debug)]
pub struct Log(SyncSender<Message>);

/// Where `tracing` writes lines to.
struct Lines(SyncSender<Message>);

/// Starts to log, for the rest of the process.
///
/// # Errors
/// When the system has no thread to give, or something logs already.
pub fn start(filter: &str) -> Result<Log, Box<dyn std::error::Error + Send + Sync>> {
    let (sender, receiver) = sync_channel(MAX_WAITING_LINES);
    std::thread::Builder::new().name("log".into()).spawn(move || write_lines(&receiver))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(Lines(sender.clone()));
    match io::stdout().is_terminal() {
        true => builder.try_init()?,
        false => builder.json().flatten_event(true).with_ansi(false).try_init()?,
    }
    Ok(Log(sender))
}

/// Tells of what goes wrong on standard error, for commands whose output is on standard output.
///
/// # Errors
/// When something logs already.
pub fn start_aside(filter: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .try_init()
}

/// Lines that were dropped so far.
pub(crate) fn lost_lines() -> u64 {
    LOST.load(Ordering::Relaxed)
}

impl Log {
    /// Waits until what was logged is written; 2 seconds at the most, since nobody may be reading.
    pub fn flush(&self) {
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flushed(done);
        while let Err(TrySendError::Full(back)) = self.0.try_send(message) {
            if Instant::now() >= deadline {
                return;
            }
            message = back;
            std::thread::sleep(FULL_PAUSE);
        }
        // A thread that is gone has nothing to write.
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

impl Write for &Lines {
    /// Takes a whole line, which is how `tracing` writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_vec())).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(receiver: &Receiver<Message>) {
    let mut out = io::stdout();
    while let Ok(message) = receiver.recv() {
        // A closed pipe is no reason to stop serving.
        let _ = match message {
            Message::Line(line) => out.write_all(&line),
            Message::Flushed(done) => {
                let flushed = out.flush();
                let _ = done.send(());
                flushed
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a full queue and nobody who reads standard output, the process never ended.
    #[test]
    fn a_log_that_nobody_reads_does_not_hold_up_the_end() {
        let (sender, receiver) = sync_channel(1);
        sender.send(Message::Line(b"a line".to_vec())).expect("room for one");
        let (ended, end) = sync_channel(1);
        std::thread::spawn(move || {
            Log(sender).flush();
            ended.send(()).expect("the test waits");
        });
        end.recv_timeout(Duration::from_secs(60)).expect("it ends");
        drop(receiver);
    }
}
