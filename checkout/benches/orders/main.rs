//! What orders cost: checkout as a process of its own on a PostgreSQL that writes to the disk, with Stripe and the edge as
//! other processes, driven at fixed rates. Beside it pgbench executes the same statements on the same server in the same
//! run, so that the ratio of both holds when the machine's speed drifts.
//!
//! `cargo bench -p checkout --bench orders -- [--seconds 10] [--rate 100] [--only NAME] [--out FOLDER]`
//!
//! Figures are compared with the targets and never decide anything: the run succeeds whatever they are.

#![forbid(unsafe_code)]

mod arguments;
mod cost;
mod holds;
mod limit;
mod load;
mod overhead;
mod pgbench;
mod recovery;
mod report;
mod scene;
mod servers;
mod shopper;
mod signing;
mod subscriber;
mod texts;
mod whole_orders;

use std::process::ExitCode;

use test_servers::Postgres;

use arguments::Settings;
use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line is at fault (EX_USAGE of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// Orders a second that are taken for the most where nothing says how many are.
const UNMEASURED_RATE: f64 = 100.0;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [servers::SERVE_STRIPE, webhook] => {
            servers::serve_stripe((*webhook).to_owned());
            return ExitCode::SUCCESS;
        }
        [servers::SERVE_EDGE] => {
            servers::serve_edge();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    match Settings::read(&words) {
        Ok(settings) => {
            run(&settings);
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("orders: {fault}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

#[tokio::main]
async fn run(settings: &Settings) {
    let postgres = Postgres::start_durable();
    let mut report = Report::new(&settings.out);
    let mut most = settings.rate;
    if settings.is_wanted("orders") {
        most = Some(whole_orders::measure(&postgres, settings, &mut report).await);
    }
    // A machine that sustains nothing is driven all the same, which shows what goes wrong.
    let half = most.filter(|most| *most > 0.0).unwrap_or(UNMEASURED_RATE) / 2.0;
    if settings.is_wanted("holds") {
        holds::measure(&postgres, settings, &mut report).await;
    }
    if settings.is_wanted("overhead") {
        overhead::measure(&postgres, half, settings, &mut report).await;
    }
    if settings.is_wanted("recovery") {
        recovery::measure(&postgres, half, settings, &mut report).await;
    }
    if settings.is_wanted("limit") {
        limit::measure(&postgres, &mut report).await;
    }
    report.end();
}
