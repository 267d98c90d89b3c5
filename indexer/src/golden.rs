//! Golden queries: what shoppers must find, asked of a snapshot before it is published, and of the one before it.

use std::fmt::Write;

use anyhow::Result;
use search::Index;
use serde::Serialize;
use snapshots::Snapshot;

use crate::evaluate::{self, Evaluation, evaluate};
use crate::policy::GoldenPolicy;

/// What golden queries scored.
#[derive(Debug, Serialize)]
pub struct Golden {
    /// Whether someone has judged them. If nobody has, only what they find counts.
    pub judged: bool,
    pub after: Evaluation,
    pub before: Option<Evaluation>,
}

/// Asks the policy's queries. `after` has the rules of the policy's market.
///
/// # Errors
/// When a file of the policy is at fault, or a snapshot cannot be searched.
pub fn ask(policy: &GoldenPolicy, after: &Index, before: Option<Snapshot>) -> Result<Golden> {
    let queries = match &policy.judgments {
        Some(judgments) => evaluate::read(&policy.queries, judgments, policy.min_judged)?,
        None => evaluate::read_unjudged(&policy.queries)?,
    };
    let before = match before {
        Some(before) => Some(evaluate(&Index::open_for(before, Some(policy.market()))?, &queries)?),
        None => None,
    };
    Ok(Golden { judged: policy.judgments.is_some(), after: evaluate(after, &queries)?, before })
}

/// What they scored, for people.
pub fn text(golden: &Golden) -> String {
    let mut out = String::new();
    let mut line = |name: &str, of: fn(&Evaluation) -> f64| {
        let _ = write!(out, "golden queries: {name} {:.3}", of(&golden.after));
        if let Some(before) = &golden.before {
            let _ = write!(out, ", before {:.3}", of(before));
        }
        out.push('\n');
    };
    if golden.judged {
        line("nDCG@10", |one| one.ndcg);
    }
    line("without a result", |one| one.zero_results);
    if let Some(refusals) = golden.after.refusals() {
        let _ = writeln!(out, "golden queries: refused {refusals}");
    }
    out
}
