//! Processes that end when they are told to.

use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PAUSE: Duration = Duration::from_millis(20);
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until `is_ready`; false where the process ended before, or `timeout` is over.
pub(crate) fn wait_until_ready(process: &mut Child, timeout: Duration, is_ready: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < timeout && matches!(process.try_wait(), Ok(None)) {
        if is_ready() {
            return true;
        }
        std::thread::sleep(PAUSE);
    }
    false
}

/// Ends a process by a signal, and by force should it not heed that.
pub(crate) fn end(process: &mut Child, signal: Signal) -> io::Result<ExitStatus> {
    if let Some(status) = process.try_wait()? {
        return Ok(status);
    }
    kill_process(Pid::from_child(process), signal)?;
    let asked = Instant::now();
    while asked.elapsed() < END_TIMEOUT {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(PAUSE);
    }
    process.kill()?;
    process.wait()
}
