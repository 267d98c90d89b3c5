//! Where the books and Stripe's differ, and what a person says of it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::say;
use crate::config::Breaks;
use crate::database::Opened;
use crate::http::answers::time;
use crate::store::{OpenBreak, Resolution};
use crate::work::now_ms;

/// More than a person reads.
const MAX_LISTED: u32 = 1_000;

pub(super) async fn run(opened: &Opened, task: Breaks, is_json: bool) -> anyhow::Result<ExitCode> {
    match task {
        Breaks::List => list(opened, is_json).await,
        Breaks::Resolve { kind, reference, reason, actor } => {
            let resolution = Resolution { kind, reference: &reference, reason: &reason, actor: &actor };
            resolve(opened, &resolution).await
        }
    }
}

async fn list(opened: &Opened, is_json: bool) -> anyhow::Result<ExitCode> {
    let breaks: Vec<Value> = opened.store().breaks(MAX_LISTED).await?.iter().map(told).collect();
    match is_json {
        true => say(json!({ "breaks": breaks })),
        false if breaks.is_empty() => say("there are no open breaks"),
        false => breaks.iter().for_each(|found| {
            let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
            say(format_args!("{} {} {}: {}", text("found"), text("kind"), text("reference"), text("detail")));
        }),
    }
    Ok(ExitCode::SUCCESS)
}

/// Exits with 1 where there is no such open break.
async fn resolve(opened: &Opened, resolution: &Resolution<'_>) -> anyhow::Result<ExitCode> {
    if opened.store().resolve_break(resolution, now_ms()).await? {
        say(format_args!("{} is dealt with", resolution.reference));
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!("{} is no open break of that kind: see 'checkout breaks list'", resolution.reference));
    Ok(ExitCode::FAILURE)
}

fn told(found: &OpenBreak) -> Value {
    json!({
        "kind": found.kind,
        "reference": found.reference,
        "detail": found.detail,
        "found": time(found.found_ms),
    })
}
