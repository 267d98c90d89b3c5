//! Recorded queries: what shoppers typed, and how often.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// More recorded queries are refused.
const MAX_QUERIES: usize = 2_000_000;

/// Reads lines of a query and its count, separated by a tab; without a count, a query was typed once.
///
/// # Errors
/// Names the line at fault.
pub fn read(path: &Path) -> Result<Vec<(String, u64)>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut queries = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (query, count) = line.split_once('\t').unwrap_or((line, "1"));
        let count = count.trim().parse();
        let count = count.with_context(|| format!("{}: line {}: '{line}' has no count", path.display(), number + 1))?;
        queries.push((query.trim().to_owned(), count));
    }
    ensure!(queries.len() <= MAX_QUERIES, "{}: more than {MAX_QUERIES} queries", path.display());
    Ok(queries)
}
