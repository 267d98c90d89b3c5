//! The commands that look before a publish: `diff` and `check`.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use search::{Index, RuleFindings};
use serde_json::{Value, json};
use snapshots::Snapshot;

use crate::checks::{self, Checked};
use crate::config;
use crate::diff::{self, Diff};
use crate::ending::Ending;
use crate::opened::{self, Scratch};
use crate::policy::{NAMED, Policy};
use crate::report;

/// What changes between two snapshots, and what `check` finds in the newer one, where a policy is given.
pub enum Looked {
    Compared(Box<Diff>),
    Judged(Box<Findings>),
}

/// Compares two snapshots, and writes the page if one is asked for.
///
/// # Errors
/// When a snapshot cannot be opened, the policy is at fault, or the page cannot be written.
pub async fn diff(args: &config::Diff, settings: &[(String, String)]) -> Result<Looked> {
    let policy = args.policy.as_deref().map(Policy::read).transpose().map_err(Ending::settings)?;
    let scratch = Scratch::new(args.cache_dir.as_deref())?;
    let trust = args.trust.read()?;
    let before = opened::open_snapshot(&args.before, &scratch, settings, trust.as_ref()).await?;
    let after = opened::open_snapshot(&args.after, &scratch, settings, trust.as_ref()).await?;
    scratch.keep_only([&before.manifest, &after.manifest]);
    let examples = usize::from(args.examples);
    let looked = match policy {
        None => Looked::Compared(Box::new(diff::compare(Some(&before), &after, examples)?)),
        Some(policy) => Looked::Judged(Box::new(find(Index::open(after)?, Some(before), &policy, examples)?)),
    };
    if let Some(path) = &args.html {
        let page = match &looked {
            Looked::Compared(diff) => diff::page(diff, None),
            Looked::Judged(findings) => findings.page(),
        };
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    Ok(looked)
}

impl Looked {
    /// The comparison, with what was found beside it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn json(&self) -> Result<Value> {
        let mut value = match self {
            Self::Compared(diff) => serde_json::to_value(diff)?,
            Self::Judged(findings) => {
                let mut value = serde_json::to_value(&findings.checked.diff)?;
                value["violations"] = serde_json::to_value(&findings.checked.violations)?;
                value["golden"] = serde_json::to_value(&findings.checked.golden)?;
                value["rule_faults"] = json!(findings.rule_findings.faults);
                value["rule_doubts"] = json!(findings.rule_findings.doubts);
                value
            }
        };
        value["event"] = "compared".into();
        Ok(value)
    }

    pub fn text(&self) -> String {
        match self {
            Self::Compared(diff) => diff::text(diff),
            Self::Judged(findings) => format!("{}\n{}", diff::text(&findings.checked.diff), findings.text()),
        }
    }
}

/// What `check` found.
pub struct Findings {
    rules: usize,
    rule_findings: RuleFindings,
    checked: Checked,
}

/// Checks a snapshot's rules, and the snapshot by a policy, and writes the page if one is asked for.
///
/// # Errors
/// When a snapshot cannot be opened, rules or policy cannot be read, or the page cannot be written.
pub async fn check(args: &config::Check, settings: &[(String, String)]) -> Result<Findings> {
    let policy = args.policy.as_deref().map(Policy::read).transpose().map_err(Ending::settings)?.unwrap_or_default();
    let rules = args.rules.as_deref().map(config::read_text).transpose().map_err(Ending::settings)?;
    let scratch = Scratch::new(args.cache_dir.as_deref())?;
    let trust = args.trust.read()?;
    let mut snapshot = opened::open_snapshot(&args.snapshot, &scratch, settings, trust.as_ref()).await?;
    let against = match &args.against {
        Some(against) => Some(opened::open_snapshot(against, &scratch, settings, trust.as_ref()).await?),
        None => None,
    };
    scratch.keep_only(against.iter().map(|against| &against.manifest).chain([&snapshot.manifest]));
    if rules.is_some() {
        snapshot.rules = rules;
    }
    // The rules of all markets are looked at.
    let index = Index::open(snapshot)?;
    let findings = find(index, against, &policy, NAMED)?;
    if let Some(path) = &args.html {
        std::fs::write(path, findings.page()).with_context(|| path.display().to_string())?;
    }
    Ok(findings)
}

fn find(index: Index, against: Option<Snapshot>, policy: &Policy, examples: usize) -> Result<Findings> {
    let (rules, rule_findings) = (index.rules().count(), index.check_rules(Timestamp::now()));
    let checked = checks::check_index(index, against, policy, examples)?;
    Ok(Findings { rules, rule_findings, checked })
}

impl Findings {
    pub fn json(&self) -> Value {
        json!({
            "event": "checked", "rules": self.rules,
            "faults": self.rule_findings.faults, "doubts": self.rule_findings.doubts,
            "violations": self.checked.violations, "golden": self.checked.golden,
        })
    }

    pub fn text(&self) -> String {
        self.checked.text() + &report::findings_text(self.rules, &self.rule_findings)
    }

    fn page(&self) -> String {
        diff::page(&self.checked.diff, Some((&self.checked, &self.rule_findings)))
    }

    /// # Errors
    /// When something is at fault or violated.
    pub fn verdict(&self) -> Result<()> {
        let codes: Vec<&str> = self.checked.violations.iter().map(|violation| violation.code).collect();
        let mut told = Vec::new();
        if !codes.is_empty() {
            told.push(format!("the policy is violated: {}", codes.join(", ")));
        }
        if !self.rule_findings.faults.is_empty() {
            told.push(format!("{} of the rules are at fault", self.rule_findings.faults.len()));
        }
        ensure!(told.is_empty(), Ending::verdict(told.join("; ")));
        Ok(())
    }
}
