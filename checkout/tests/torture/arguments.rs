//! What the run is told on its command line. It stands among tests, so that it knows what `cargo test` tells all of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DEFAULT_SECONDS: u64 = 15;
const DEFAULT_CLIENTS: u64 = 8;
const MAX_CLIENTS: u64 = 256;
/// Switches of the test harness that say nothing here.
const SWITCHES: &[&str] =
    &["--nocapture", "--no-capture", "--exact", "--quiet", "-q", "--show-output", "--include-ignored", "--test"];
/// The same with a value after them.
const OPTIONS: &[&str] = &["--test-threads", "--format", "--color", "--logfile", "--skip", "-Z"];

#[derive(Debug)]
pub struct Arguments {
    pub time: Duration,
    pub seed: u64,
    pub clients: u64,
}

impl Arguments {
    /// None where the run is not meant.
    ///
    /// # Errors
    /// When something is no number.
    pub fn read(mut given: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments =
            Self { time: Duration::from_secs(DEFAULT_SECONDS), seed: any_seed(), clients: DEFAULT_CLIENTS };
        let mut filters = Vec::new();
        while let Some(word) = given.next() {
            let (flag, mut value) = match word.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            let mut number = || -> Result<u64, String> {
                let text = value.take().or_else(|| given.next()).unwrap_or_default();
                text.parse().map_err(|_| format!("{flag}: '{text}' is no number"))
            };
            match flag.as_str() {
                "--seconds" => arguments.time = Duration::from_secs(number()?),
                "--seed" => arguments.seed = number()?,
                "--clients" => arguments.clients = number()?.clamp(1, MAX_CLIENTS),
                "--list" | "--ignored" => return Ok(None),
                switch if SWITCHES.contains(&switch) => {}
                option if OPTIONS.contains(&option) => {
                    if value.is_none() {
                        given.next();
                    }
                }
                unknown if unknown.starts_with('-') => return Err(format!("{unknown}: there is no such flag")),
                filter => filters.push(filter.to_owned()),
            }
        }
        let is_meant = filters.is_empty() || filters.iter().any(|filter| "torture".contains(filter.as_str()));
        Ok(is_meant.then_some(arguments))
    }
}

/// Another one each time.
fn any_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |elapsed| elapsed.as_nanos() as u64 % 1_000_000_007)
}
