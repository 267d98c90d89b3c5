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
use crate::store::{Audit, StockChange};
use crate::work::now_ms;

pub(super) async fn run(opened: &Opened, actor: String, task: StockTask) -> anyhow::Result<ExitCode> {
    match task {
        StockTask::Import { file, dry_run } => import(opened, actor, &file, dry_run).await,
        StockTask::Set { product, available, reason } => {
            let detail = json!({ "set": available, "reason": reason });
            let audit = Audit { actor, action: "stock.set".to_owned(), subject: product.clone(), detail };
            change(opened, StockChange::Set { product, available, reason }, &audit).await
        }
        StockTask::Adjust { product, by, reason } => {
            let detail = json!({ "adjust": by, "reason": reason });
            let audit = Audit { actor, action: "stock.adjust".to_owned(), subject: product.clone(), detail };
            change(opened, StockChange::Adjust { product, by, reason }, &audit).await
        }
    }
}

async fn change(opened: &Opened, change: StockChange, audit: &Audit) -> anyhow::Result<ExitCode> {
    for level in opened.store().change_stock(&[change], audit, now_ms()).await? {
        say(format_args!("{}: {} can be sold, {} are held", level.product, level.available, level.held));
    }
    Ok(ExitCode::SUCCESS)
}

/// Products of one transaction: what it locks cannot be sold meanwhile.
const CHUNK: usize = 500;

/// Writes nothing when a line is at fault. What is written is written in parts, so that shoppers need not wait for all of
/// it; since each line says how many there are, an import that was broken off is run again.
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
        let levels = opened.store().change_stock(chunk, &audit, now_ms()).await;
        let again = || format!("{written} of {} products were set; run it again for the others", changes.len());
        written += levels.with_context(again)?.len();
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
