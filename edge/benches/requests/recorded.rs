//! What the steps of a request were counted to take, and what a new count says of that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How much more than recorded a step may take, built by the same compiler and by another.
const ALLOWED: f64 = 1.10;
const ALLOWED_OF_ANOTHER: f64 = 1.25;

/// What was counted, and by what it was built.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Recorded {
    pub rustc: String,
    pub instructions_per_request: BTreeMap<String, u64>,
}

/// The steps in which a new count differs, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    pub dearer: Vec<String>,
    pub not_recorded: Vec<String>,
    /// Recorded, and counted no longer: renamed or dropped.
    pub not_counted: Vec<String>,
}

impl Recorded {
    /// How many times as much a step may take, built by this compiler.
    pub fn allowed(&self, rustc: &str) -> f64 {
        if self.rustc == rustc { ALLOWED } else { ALLOWED_OF_ANOTHER }
    }

    pub fn differences(&self, now: &Self) -> Differences {
        let allowed = self.allowed(&now.rustc);
        let mut differences = Differences::default();
        for (name, count) in &now.instructions_per_request {
            match self.instructions_per_request.get(name) {
                None => differences.not_recorded.push(name.clone()),
                Some(before) if *count as f64 > *before as f64 * allowed => differences.dearer.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone =
            self.instructions_per_request.keys().filter(|name| !now.instructions_per_request.contains_key(*name));
        differences.not_counted.extend(gone.cloned());
        differences
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_step_that_was_renamed_is_missed_under_its_old_name() {
        // A bench has no tests, and nothing to import for them.
        use super::*;
        let counted = |rustc: &str, steps: &[(&str, u64)]| Recorded {
            rustc: rustc.to_owned(),
            instructions_per_request: steps.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        };
        let recorded = counted("1", &[("match", 1_000), ("suggest", 1_000), ("write", 1_000)]);
        let now = [("match", 1_101), ("suggest again", 1_000), ("write", 1_100)];
        let differences = |dearer: &[&str], not_recorded: &[&str], not_counted: &[&str]| {
            let [dearer, not_recorded, not_counted] = [dearer, not_recorded, not_counted]
                .map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            Differences { dearer, not_recorded, not_counted }
        };
        let renamed = (&["suggest again"], &["suggest"]);
        assert_eq!(recorded.differences(&counted("1", &now)), differences(&["match"], renamed.0, renamed.1));
        assert_eq!(recorded.differences(&counted("2", &now)), differences(&[], renamed.0, renamed.1));
        assert_eq!(recorded.differences(&counted("1", &[])).not_counted, ["match", "suggest", "write"]);
    }
}
