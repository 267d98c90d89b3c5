//! Configure, build, serve, drain.

#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use edge::Edge;
use edge::config::{Cli, Config};
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
    let config = match cli.resolve() {
        Ok(config) => config,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("edge: {fault}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    start_log(&config.log);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    let edge = Edge::build(config).await?;
    let served = edge.addresses()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    info!(public = %served.public, admin = %served.admin, "listening");
    edge.serve(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

/// Events go where request lines go: text for people, JSON for collectors.
fn start_log(filter: &str) {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    match std::io::stdout().is_terminal() {
        true => builder.init(),
        false => builder.json().flatten_event(true).init(),
    }
}
