//! Configure, serve, drain.

#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use stripe_sim::Sim;
use stripe_sim::config::{Cli, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

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
            faults.iter().for_each(|fault| eprintln!("stripe-sim: {fault}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    start_log(&config.log);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stripe-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut sim = match &config.state {
        Some(file) => Sim::start_with_state(config.settings, listener, file)?,
        None => Sim::start(config.settings, listener),
    };
    info!(address = %sim.address(), url = %sim.url(), "listening");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("draining");
    sim.drain().await.context("the state")
}

/// Text for people, JSON for collectors.
fn start_log(filter: &str) {
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    match std::io::stdout().is_terminal() {
        true => builder.init(),
        false => builder.json().flatten_event(true).init(),
    }
}
