//! Asks one server as fast as it answers, over several connections at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use test_servers::processes;

use super::shop::Question;
use super::{Session, Target};

/// How hard it is driven.
#[derive(Clone, Copy)]
pub struct Drive {
    pub connections: usize,
    pub time: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Driven {
    pub requests_per_s: f64,
    /// None where nobody knows the server's process.
    pub cpu_ms: Option<f64>,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Asks all questions in turn, over and over, each connection beginning elsewhere.
///
/// # Errors
/// When an answer is none.
pub fn drive(target: &dyn Target, process: Option<u32>, questions: &[Question], drive: Drive) -> Result<Driven> {
    let sessions = (0..drive.connections).map(|_| target.connect()).collect::<Result<Vec<_>>>()?;
    let before_us = process.map(cpu_us).transpose()?;
    let started = Instant::now();
    let until = started + drive.time;
    let asked = std::thread::scope(|scope| {
        let numbered = sessions.into_iter().enumerate();
        let threads: Vec<_> = numbered
            .map(|(number, session)| {
                let first = number * questions.len() / drive.connections;
                scope.spawn(move || ask_until(session, questions, first, until))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect::<Result<Vec<_>>>()
    })?;
    let elapsed_s = started.elapsed().as_secs_f64();
    // The sessions are open still: what ending them costs belongs to no question.
    let after_us = process.map(cpu_us).transpose()?;
    let mut times_ms: Vec<f64> = asked.iter().flat_map(|(_, times_ms)| times_ms).copied().collect();
    times_ms.sort_by(f64::total_cmp);
    let percentile = |percent: usize| times_ms[(times_ms.len() * percent / 100).min(times_ms.len() - 1)];
    let count = times_ms.len() as f64;
    Ok(Driven {
        requests_per_s: count / elapsed_s,
        cpu_ms: after_us.zip(before_us).map(|(after_us, before_us)| (after_us - before_us) / count / 1_000.0),
        p50_ms: percentile(50),
        p99_ms: percentile(99),
    })
}

/// How many of the questions find nothing, each asked once.
///
/// # Errors
/// When an answer is none.
pub fn find_nothing(target: &dyn Target, questions: &[Question]) -> Result<usize> {
    let mut session = target.connect()?;
    let counts = questions.iter().map(|question| session.count(question)).collect::<Result<Vec<_>>>()?;
    Ok(counts.iter().filter(|count| **count == 0).count())
}

/// Returns the session, so that it stays open, and the milliseconds that each answer took.
fn ask_until(
    mut session: Box<dyn Session>,
    questions: &[Question],
    first: usize,
    until: Instant,
) -> Result<(Box<dyn Session>, Vec<f64>)> {
    let mut times_ms = Vec::new();
    for question in questions.iter().cycle().skip(first) {
        let asked = Instant::now();
        session.ask(question)?;
        times_ms.push(asked.elapsed().as_secs_f64() * 1_000.0);
        if Instant::now() >= until {
            break;
        }
    }
    Ok((session, times_ms))
}

fn cpu_us(process: u32) -> Result<f64> {
    processes::cpu_us(process).with_context(|| format!("process {process} has ended"))
}
