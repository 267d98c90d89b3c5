//! What can be sold, set from a shell.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;

use super::import::{self, MAX_FILE_BYTES};
use super::say;
use crate::config::StockTask;
use crate::database::Opened;
use crate::http::idempotency::fingerprint;
use crate::ids::OrderId;
use crate::store::{Answer, Audit, Claim, ClaimUse, Claimed, StockChange, StockLevel};
use crate::work::now_ms;

/// What keys of shells belong to.
const KEY_SCOPE: &str = "cli";

pub(super) async fn run(opened: &Opened, actor: String, task: StockTask) -> anyhow::Result<ExitCode> {
    match task {
        StockTask::Import { file, dry_run } => import(opened, actor, &file, dry_run).await,
        StockTask::Change { change, key } => self::change(opened, &actor, change, key).await,
    }
}

async fn change(opened: &Opened, actor: &str, change: StockChange, key: Option<String>) -> anyhow::Result<ExitCode> {
    let (audit, now_ms) = (change.audit(actor), now_ms());
    let claim = key.map(|key| claim(&audit, key, now_ms));
    let render = |levels: &Vec<StockLevel>| Answer { status: 200, body: told(levels).into_bytes() };
    let used: ClaimUse<'_, Vec<StockLevel>> = match &claim {
        Some(claim) => ClaimUse::Whole(claim, &render),
        None => ClaimUse::None,
    };
    match opened.store().change_stock(&[change], &used, &audit, now_ms).await? {
        Claimed::Done(levels, _) => say(told(&levels)),
        Claimed::Replayed(answer) => {
            say(format_args!("{} (it was done before)", String::from_utf8_lossy(&answer.body)))
        }
        Claimed::Reused => bail!("this key was used for another change: take a new one"),
        Claimed::InFlight { .. } | Claimed::Resumed { .. } => bail!("another command with this key is at work"),
    }
    Ok(ExitCode::SUCCESS)
}

fn told(levels: &[StockLevel]) -> String {
    let told =
        |level: &StockLevel| format!("{}: {} can be sold, {} are held", level.product, level.available, level.held);
    levels.iter().map(told).collect::<Vec<_>>().join("\n")
}

/// A key of a shell's, whoever sits at it: the same command counts once. The work is one transaction, so that no lease is
/// needed.
fn claim(audit: &Audit, key: String, now_ms: i64) -> Claim {
    Claim {
        caller: KEY_SCOPE.to_owned(),
        endpoint: format!("{} {}", audit.action, audit.subject),
        key,
        fingerprint: fingerprint(&audit.detail),
        // No work has this id: it tells one command from another.
        subject: OrderId::new().to_string(),
        now_ms,
        lease_until_ms: now_ms,
    }
}

/// Products of one transaction: what it locks cannot be sold meanwhile.
const CHUNK: usize = 500;

/// Writes nothing when a line is at fault. What is written is written in parts, so that shoppers need not wait for all of
/// it. One that was broken off goes on with the lines after those: set again, the others would have back what was sold since.
async fn import(opened: &Opened, actor: String, path: &Path, dry_run: bool) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    // A pipe does not say how long it is.
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text));
    read.with_context(|| path.display().to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        bail!("{} is larger than {MAX_FILE_BYTES} bytes", path.display());
    }
    let changes = match import::read(&text) {
        Ok(changes) => changes,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{}: {fault}", path.display()));
            bail!("{} lines are at fault, and nothing was written", faults.len());
        }
    };
    if dry_run {
        say(format_args!("{} products would be set", changes.len()));
        return Ok(ExitCode::SUCCESS);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let is_watched = std::io::stderr().is_terminal();
    let mut written = 0;
    for chunk in changes.chunks(CHUNK) {
        let detail = json!({ "file": name, "products": chunk.len(), "from": written + 1 });
        let audit =
            Audit { actor: actor.clone(), action: "stock.import".to_owned(), subject: "stock".to_owned(), detail };
        let set = opened.store().change_stock(chunk, &ClaimUse::None, &audit, now_ms()).await;
        set.with_context(|| {
            format!("the first {written} of {} lines were set; import those after them", changes.len())
        })?;
        written += chunk.len();
        if is_watched {
            eprint!("\r{written} of {}", changes.len());
        }
    }
    if is_watched {
        eprintln!();
    }
    say(format_args!("{written} products were set"));
    Ok(ExitCode::SUCCESS)
}
