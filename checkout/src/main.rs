//! Configure, then serve and drain, or do what is asked.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use checkout::config::{Cli, Config, Resolved, Task};
use checkout::{build, commands, fail_points, log};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The configuration is at fault (EX_USAGE of sysexits.h).
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let resolved = match cli.resolve() {
        Ok(resolved) => resolved,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("checkout: {fault}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if let Err(error) = fail_points::arm(resolved.fail_point.as_deref()) {
        eprintln!("checkout: --fail-point: {error}");
        return ExitCode::from(EXIT_USAGE);
    }
    match run(resolved) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("checkout: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(resolved: Resolved) -> anyhow::Result<ExitCode> {
    let Resolved { log: filter, task, .. } = resolved;
    match task {
        Task::Serve(config) => serve(*config, &filter).await,
        Task::NewToken { name } => commands::new_token(&name),
        Task::With { database, json, action } => {
            log::start_aside(&filter).map_err(anyhow::Error::from_boxed)?;
            commands::run(&database, json, action).await
        }
    }
}

async fn serve(config: Config, filter: &str) -> anyhow::Result<ExitCode> {
    let log = log::start(filter).map_err(anyhow::Error::from_boxed)?;
    let service = build(config).await?;
    let addresses = service.addresses()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    info!(public = %addresses.public, admin = %addresses.admin, "listening");
    service
        .serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
    log.flush();
    Ok(ExitCode::SUCCESS)
}
