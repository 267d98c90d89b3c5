//! What an operator does from a shell. Output is for people, or JSON for programs.

mod breaks;
mod dead_letters;
mod import;
mod reconcile;
mod status;
mod stock;

use std::fmt::Display;
use std::io::{ErrorKind, Write, stdout};
use std::process::{ExitCode, exit};

use anyhow::Context;
use serde_json::{Value, json};

use crate::config::{Action, Database};
use crate::database::{Opened, plan};
use crate::tokens::NewToken;

/// What a shell says of a program that SIGPIPE has ended.
const EXIT_NOBODY_READS: i32 = 128 + 13;

/// The books could not be looked at, or not all of them.
const EXIT_NOT_KNOWN: u8 = 2;

/// Does what is asked with the database.
///
/// # Errors
/// When it cannot be done.
pub async fn run(database: &Database, is_json: bool, action: Action) -> anyhow::Result<ExitCode> {
    match action {
        Action::Migrate { dry_run } => migrate(database, dry_run).await,
        Action::Status => status::tell(database, is_json).await,
        Action::Verify => Ok(or_not_known(verify(database, is_json).await)),
        Action::Reconcile { stripe, actor, from_ms, to_ms } => {
            let compare = async {
                let opened = Opened::open_ready(database).await.context("the database")?;
                reconcile::run(&opened, &stripe, actor, from_ms, to_ms, is_json).await
            };
            Ok(or_not_known(compare.await))
        }
        Action::DeadLetters(task) => {
            let opened = Opened::open_ready(database).await.context("the database")?;
            dead_letters::run(&opened, task, is_json).await
        }
        Action::Breaks(task) => {
            let opened = Opened::open_ready(database).await.context("the database")?;
            breaks::run(&opened, task, is_json).await
        }
        Action::Stock { actor, task } => {
            let opened = Opened::open_ready(database).await.context("the database")?;
            stock::run(&opened, actor, task).await
        }
    }
}

/// Makes a token for one of the staff.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_token(name: &str) -> anyhow::Result<ExitCode> {
    let token = NewToken::staff().context("random bytes")?;
    say(format_args!("token: {}", token.text()));
    say("line for the file of --staff-tokens:");
    say(format_args!("{name} {}", token.hash().to_hex()));
    Ok(ExitCode::SUCCESS)
}

async fn migrate(database: &Database, dry_run: bool) -> anyhow::Result<ExitCode> {
    if dry_run {
        let steps = plan(database).await.context("the database")?;
        steps.iter().for_each(say);
        if steps.is_empty() {
            say("-- there is nothing to apply");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let opened = Opened::open(database).await.context("the database")?;
    let migrations = opened.migrate().await.context("migrating")?;
    for migration in &migrations {
        say(format_args!("applied {} {}", migration.version, migration.name));
    }
    if migrations.is_empty() {
        say("there is nothing to apply");
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(database: &Database, is_json: bool) -> anyhow::Result<ExitCode> {
    let opened = Opened::open_ready(database).await.context("the database")?;
    let violations = opened.store().violations().await?;
    let told: Vec<Value> = violations.iter().map(|one| json!({ "rule": one.rule, "detail": one.detail })).collect();
    match is_json {
        true => say(json!({ "violations": told })),
        false => violations.iter().for_each(|one| say(format_args!("{}: {}", one.rule, one.detail))),
    }
    if violations.is_empty() {
        if !is_json {
            say("nothing is wrong");
        }
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Of a command that says by 1 what it found: that nothing was found out is another thing.
fn or_not_known(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("checkout: {error:#}");
        ExitCode::from(EXIT_NOT_KNOWN)
    })
}

/// Writes a line. Where nobody reads any more, as behind `head`, that is the end, and no fault.
fn say(line: impl Display) {
    match writeln!(stdout(), "{line}") {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(EXIT_NOBODY_READS),
        Err(error) => panic!("writing to standard output: {error}"),
    }
}
