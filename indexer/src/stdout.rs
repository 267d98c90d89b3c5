//! Standard output, whose reader may go away before all is said, as `head` does.

use std::io::{ErrorKind, Write, stdout};
use std::process::exit;

/// What a shell says of a program that SIGPIPE has ended.
const EXIT_NOBODY_READS: i32 = 128 + 13;

/// Writes whole lines. Where nobody reads them any more, that is the end, and no fault.
///
/// # Panics
/// As `print!` does, where they cannot be written for another reason.
pub fn say(lines: &str) {
    match stdout().write_all(lines.as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(EXIT_NOBODY_READS),
        Err(error) => panic!("writing to standard output: {error}"),
    }
}
