//! What was measured: a table for people while it runs, and JSON for whoever compares runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What a figure is to reach.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

pub struct Report {
    file: PathBuf,
    measures: Vec<Value>,
    figures: Vec<Value>,
    name: &'static str,
    judged: Vec<String>,
}

impl Target {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl Report {
    /// # Panics
    /// When the folder cannot be made.
    pub fn new(out: &Path) -> Self {
        std::fs::create_dir_all(out).expect("a folder for the results");
        let file = out.join("orders.json");
        Self { file, measures: Vec::new(), figures: Vec::new(), name: "", judged: Vec::new() }
    }

    /// A new table.
    pub fn begin(&mut self, name: &'static str) {
        self.close();
        self.name = name;
        println!("\n{name}");
    }

    /// Something that is no figure: how a search goes on.
    pub fn note(&self, text: &str) {
        println!("  {text}");
    }

    pub fn tell(&mut self, name: &str, value: f64, unit: &str) {
        println!("  {name:<44} {value:>11.2} {unit}");
        self.figures.push(json!({ "name": name, "value": value, "unit": unit }));
    }

    /// A figure that has a target.
    pub fn judge(&mut self, name: &str, value: f64, unit: &str, target: Target) {
        let is_reached = target.is_reached(value);
        let (words, bound) = match target {
            Target::AtLeast(least) => ("at least", least),
            Target::AtMost(most) => ("at most", most),
        };
        let verdict = if is_reached { "reached" } else { "not reached" };
        println!("  {name:<44} {value:>11.2} {unit:<9} {verdict}: {words} {bound}");
        self.judged.push(format!("{:<9} {name}: {value:.2} {unit}, {verdict} ({words} {bound})", self.name));
        self.figures.push(json!({
            "name": name, "value": value, "unit": unit, "target": bound, "target_is": words, "is_reached": is_reached,
        }));
    }

    /// What went wrong, and how often.
    pub fn faults(&mut self, faults: &BTreeMap<String, u64>) {
        let count: u64 = faults.values().sum();
        self.tell("errors", count as f64, "");
        faults.iter().for_each(|(fault, count)| println!("  {count:>8}  {fault}"));
        if count > 0 {
            self.figures.push(json!({ "name": "errors by kind", "value": faults }));
        }
    }

    /// # Panics
    /// When the results cannot be kept.
    pub fn end(&mut self) {
        self.close();
        println!("\ntargets");
        self.judged.iter().for_each(|line| println!("  {line}"));
        println!("kept in {}", self.file.display());
    }

    /// Keeps what there is, so that a run that is ended early leaves it.
    fn close(&mut self) {
        if self.figures.is_empty() {
            return;
        }
        let figures = std::mem::take(&mut self.figures);
        self.measures.push(json!({ "measure": self.name, "figures": figures }));
        let result = json!({ "machine": machine(), "measures": self.measures });
        std::fs::write(&self.file, format!("{result:#}\n")).expect("the results are kept");
    }
}

/// What the figures were taken on.
fn machine() -> Value {
    let line = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.map(|rest| rest.trim_start_matches([':', '\t', ' ']).to_owned())
    };
    json!({
        "cpu": line("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": line("/proc/meminfo", "MemTotal"),
        "kernel": line("/proc/version", "Linux version").and_then(|text| text.split(' ').next().map(str::to_owned)),
    })
}
