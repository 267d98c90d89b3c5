//! How far a long step has come: a bar on a terminal, JSON lines for programs, silence otherwise.

use std::fmt::Write;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::json;

use crate::stdout::say;

const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// How a command reports to whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Text,
    /// One JSON object a line, on standard output.
    Json,
}

/// Shows one step after another.
pub struct Progress {
    output: Output,
    bar: ProgressBar,
    step: &'static str,
    unit: &'static str,
    total: Option<u64>,
    started: Instant,
    reported: Instant,
    is_quiet: bool,
}

impl Progress {
    pub fn new(output: Output) -> Self {
        let now = Instant::now();
        let bar = ProgressBar::hidden();
        Self { output, bar, step: "", unit: "", total: None, started: now, reported: now, is_quiet: false }
    }

    /// One that shows nothing, for steps beside others.
    pub fn quiet(&self) -> Self {
        Self { bar: ProgressBar::hidden(), is_quiet: true, ..Self::new(self.output) }
    }

    /// Begins a step that counts `unit`s up to `total`, where that is known.
    pub fn begin(&mut self, step: &'static str, unit: &'static str, total: Option<u64>) {
        self.bar.finish_and_clear();
        (self.step, self.unit, self.total) = (step, unit, total);
        self.started = Instant::now();
        self.reported = self.started;
        if self.output == Output::Text && !self.is_quiet && stderr().is_terminal() {
            self.bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
            let template = match (total, unit) {
                (None, _) => "{msg:>10} {spinner} {human_pos} {prefix} ({rate})",
                (Some(_), "bytes") => "{msg:>10} [{wide_bar}] {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)",
                (Some(_), _) => "{msg:>10} [{wide_bar}] {human_pos}/{human_len} {prefix} ({rate}, {eta} left)",
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let rate = |state: &ProgressState, out: &mut dyn Write| {
                // Where a bar cannot be drawn, nothing is lost.
                let _ = write!(out, "{:.0}/s", state.per_sec());
            };
            self.bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
            self.bar.set_message(step);
            self.bar.set_prefix(unit);
        }
        self.report(0);
    }

    /// Says how far the step has come. Cheap enough for every row.
    #[inline]
    pub fn at(&mut self, position: u64) {
        self.bar.set_position(position);
        if self.output == Output::Json && self.reported.elapsed() > JSON_INTERVAL {
            self.reported = Instant::now();
            self.report(position);
        }
    }

    /// Says one thing beside the bar.
    pub fn note(&self, text: &str) {
        match self.output {
            Output::Text => self.bar.suspend(|| eprintln!("{text}")),
            Output::Json => say(&format!("{}\n", json!({ "event": "note", "text": text }))),
        }
    }

    /// Says what keeps a command that goes on from doing what it should.
    pub fn fault(&self, text: &str) {
        match self.output {
            Output::Text => self.bar.suspend(|| eprintln!("FAULT: {text}")),
            Output::Json => say(&format!("{}\n", json!({ "event": "fault", "error": text }))),
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn report(&self, position: u64) {
        if self.output == Output::Json && !self.is_quiet {
            let elapsed_s = self.started.elapsed().as_secs_f64();
            let rate = if elapsed_s > 0.0 { position as f64 / elapsed_s } else { 0.0 };
            let left_s = self.total.filter(|_| rate > 0.0).map(|total| total.saturating_sub(position) as f64 / rate);
            let line = json!({
                "event": "progress", "step": self.step, "unit": self.unit, "position": position, "total": self.total,
                "per_second": rate.round(), "left_s": left_s.map(f64::round),
            });
            say(&format!("{line}\n"));
        }
    }
}
