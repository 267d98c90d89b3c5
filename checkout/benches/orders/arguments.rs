//! What the run is told on its command line.

use std::path::PathBuf;
use std::time::Duration;

/// What can be measured alone.
const MEASURES: [&str; 5] = ["orders", "holds", "overhead", "recovery", "limit"];
const DEFAULT_SECONDS: f64 = 10.0;
const MAX_SECONDS: f64 = 3_600.0;
const MAX_RATE: f64 = 100_000.0;

pub struct Settings {
    /// How long each step is driven.
    pub time: Duration,
    /// Orders a second that are taken for the most, in place of searching.
    pub rate: Option<f64>,
    only: Option<String>,
    /// Where results are kept.
    pub out: PathBuf,
}

impl Settings {
    /// # Errors
    /// When a flag is unknown, or its value is none.
    pub fn read(words: &[String]) -> Result<Self, String> {
        let mut settings = Self {
            time: Duration::from_secs_f64(DEFAULT_SECONDS),
            rate: None,
            only: None,
            out: env!("CARGO_TARGET_TMPDIR").into(),
        };
        let mut words = words.iter();
        while let Some(flag) = words.next() {
            // Cargo adds it to every bench.
            if flag == "--bench" {
                continue;
            }
            let value =
                words.next().ok_or_else(|| format!("{flag}: there is no such flag, or its value is missing"))?;
            match flag.as_str() {
                "--seconds" => settings.time = Duration::from_secs_f64(number(flag, value, MAX_SECONDS)?),
                "--rate" => settings.rate = Some(number(flag, value, MAX_RATE)?),
                "--only" if MEASURES.contains(&value.as_str()) => settings.only = Some(value.clone()),
                "--only" => return Err(format!("--only: '{value}' is none of {}", MEASURES.join(", "))),
                "--out" => settings.out = value.into(),
                _ => return Err(format!("{flag}: there is no such flag")),
            }
        }
        Ok(settings)
    }

    pub fn is_wanted(&self, measure: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == measure)
    }
}

fn number(flag: &str, value: &str, most: f64) -> Result<f64, String> {
    let number = value.parse().ok().filter(|number| *number >= 1.0 && *number <= most);
    number.ok_or_else(|| format!("{flag}: '{value}' is no number from 1 to {most}"))
}
