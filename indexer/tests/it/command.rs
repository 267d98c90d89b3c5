//! The indexer's own binary, run and read.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub const SETTINGS: &str =
    "name = \"shop\"\ncurrency = \"USD\"\n[[facets]]\nname = \"brand\"\n[attributes]\nprivate = [\"cost\"]\n";

pub fn indexer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_indexer"));
    command.stdin(Stdio::null());
    command
}

/// Runs in a folder; gives the last JSON line of what it says.
pub fn json(folder: &Path, args: &[&str]) -> Value {
    let output = run(folder, &[&["--json"], args].concat());
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{args:?}: {text}");
    serde_json::from_str(text.lines().last().unwrap_or("null")).expect("JSON lines")
}

/// Runs in a folder, expects failure, and gives what it says.
pub fn fails(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success(), "{args:?} went well");
    text
}

pub fn run(folder: &Path, args: &[&str]) -> Output {
    indexer().current_dir(folder).args(args).output().expect("the indexer runs")
}

/// Builds a snapshot of some products into `folder/name`; returns its id.
pub fn build_products(folder: &Path, name: &str, products: usize) -> String {
    let rows = (0..products).map(|number| format!("{{\"id\": \"p{number}\", \"title\": \"{name} thing {number}\"}}\n"));
    std::fs::write(folder.join("catalogue.toml"), SETTINGS).expect("settings");
    std::fs::write(folder.join("rows.jsonl"), rows.collect::<String>()).expect("rows");
    let built = json(folder, &["build", "--catalogue", "catalogue.toml", "--out", name, "rows.jsonl"]);
    built["snapshot"].as_str().expect("an id").to_owned()
}
