//! What is looked at before a snapshot is announced: how it differs from what is live, and whether a policy lets that
//! pass.

use anyhow::{Context, Result};
use jiff::Timestamp;
use search::{Index, Rules};
use serde::Serialize;
use snapshots::{Error, Manifest, Override, Snapshot, Store, ValidationReport};

use crate::diff::{self, Diff};
use crate::golden::{self, Golden};
use crate::opened::Scratch;
use crate::policy::{NAMED, Policy, Violation, judge};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Checked {
    pub diff: Diff,
    pub violations: Vec<Violation>,
    /// None where the policy names no golden queries.
    pub golden: Option<Golden>,
    /// What rules can never do again, before a publish: told, but no reason to stop it. A date that has passed is none.
    pub rule_faults: Vec<String>,
    /// Why the snapshot before could not be compared with, although there is one.
    pub unreadable: Option<String>,
}

/// A snapshot, by its manifest, and the store that has it.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    pub store: &'a Store,
    pub manifest: &'a Manifest,
}

/// Judges `after`, which is to be announced in place of `before`. Both are brought to `scratch` and opened there.
///
/// What is live and damaged must not keep its replacement out: it is told, and compared with no more than if there were
/// none.
///
/// # Errors
/// When a store fails, `after` is damaged, or a file of the policy is at fault.
pub async fn before_publish(
    after: Stored<'_>,
    before: Option<Stored<'_>>,
    policy: &Policy,
    scratch: &Scratch,
) -> Result<Checked> {
    let mut unreadable = None;
    let older = match before {
        None => None,
        Some(before) => match scratch.open(before.store, before.manifest.clone()).await {
            Ok(snapshot) => Some(snapshot),
            Err(error) if is_damage(&error) => {
                unreadable = Some(format!("snapshot {}: {error}", before.manifest.id));
                None
            }
            Err(error) => return Err(error).with_context(|| format!("snapshot {}", before.manifest.id)),
        },
    };
    let newer = scratch.open(after.store, after.manifest.clone()).await;
    let newer = newer.with_context(|| format!("snapshot {}", after.manifest.id))?;
    let rule_faults = rule_faults(&newer)?;
    let checked = check(newer, older, policy, NAMED)?;
    scratch.keep_only(before.into_iter().chain([after]).map(|stored| stored.manifest));
    Ok(Checked { rule_faults, unreadable, ..checked })
}

fn rule_faults(snapshot: &Snapshot) -> Result<Vec<String>> {
    let Some(text) = &snapshot.rules else { return Ok(Vec::new()) };
    let rules = Rules::parse(text, &snapshot.catalogue, None)?;
    Ok(rules.check(snapshot, Timestamp::now()).faults)
}

/// Whether reading it again would find the same.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::NotFound(_)
            | Error::Corrupt { .. }
            | Error::DigestMismatch { .. }
            | Error::OlderFormat { .. }
            | Error::Untrusted { .. }
    )
}

impl Checked {
    /// Lets a snapshot through in spite of what was found, and has its manifest say so.
    pub fn let_through(&self, manifest: &mut Manifest, reason: &str) {
        let mut violations: Vec<String> = self.violations.iter().map(|violation| violation.code.to_string()).collect();
        violations.dedup();
        manifest.validation.overridden = Some(Override { reason: reason.to_owned(), violations });
        manifest.seal();
    }
}

/// Compares and judges two open snapshots; up to `examples` products are named of each kind. Their text is opened only
/// where the policy has golden queries.
///
/// # Errors
/// When a snapshot is damaged, or a file of the policy is at fault.
pub fn check(after: Snapshot, before: Option<Snapshot>, policy: &Policy, examples: usize) -> Result<Checked> {
    if policy.golden.is_some() {
        return check_index(Index::open(after)?, before, policy, examples);
    }
    let diff = diff::compare(before.as_ref(), &after, examples)?;
    let violations = judge(policy, &diff, of_build(&after.manifest), None);
    Ok(Checked { diff, violations, golden: None, rule_faults: Vec::new(), unreadable: None })
}

/// As [`check`], for a snapshot whose text is open, whatever market's rules it has.
///
/// # Errors
/// As [`check`].
pub fn check_index(mut after: Index, before: Option<Snapshot>, policy: &Policy, examples: usize) -> Result<Checked> {
    let diff = diff::compare(before.as_ref(), after.snapshot(), examples)?;
    let mut golden = None;
    if let Some(queries) = &policy.golden {
        after = after.with_rules_of(Some(queries.market()))?;
        golden = Some(golden::ask(queries, &after, before)?);
    }
    let violations = judge(policy, &diff, of_build(&after.snapshot().manifest), golden.as_ref());
    Ok(Checked { diff, violations, golden, rule_faults: Vec::new(), unreadable: None })
}

/// What the builder of a snapshot saw of its input; None where it is made of another snapshot.
fn of_build(manifest: &Manifest) -> Option<&ValidationReport> {
    manifest.parent.is_none().then_some(&manifest.validation)
}

impl Checked {
    /// What the policy says, for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if let Some(reason) = &self.unreadable {
            out += &format!("not compared with what was before, which cannot be read: {reason}\n");
        }
        out += &self.golden.as_ref().map_or(String::new(), golden::text);
        for fault in self.rule_faults.iter().take(NAMED) {
            out += &format!("rules.toml: {fault}\n");
        }
        if self.rule_faults.len() > NAMED {
            out += &format!("rules.toml: {} more; 'indexer check' tells all\n", self.rule_faults.len() - NAMED);
        }
        for violation in &self.violations {
            out += &format!("policy: {}: {}\n", violation.code, violation.message);
            for product in &violation.products {
                out += &format!("  {}  {}\n", product.id, product.title);
            }
        }
        out
    }
}
