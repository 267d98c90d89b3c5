//! An open-loop client: requests come when they are planned, however slow the answers are, and the time of each counts
//! from then. It plans to the millisecond, as its timer does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// Each asks for one thing after another; together they ask for more at once than an edge works on.
const CONNECTIONS: usize = 512;
/// A request that could not be begun for so long is given up, and counts as having taken that long.
const PATIENCE: Duration = Duration::from_millis(250);
/// An answer that comes later is good for nothing.
const USEFUL: Duration = Duration::from_secs(1);

/// What became of the requests of a run.
pub struct Observed {
    pub p99_ms: f64,
    /// Useful answers a second: 200, and in time.
    pub goodput: f64,
    /// Which share of the requests was begun. Where that is not nearly all, the client was too slow.
    pub begun: f64,
    /// How many were answered with anything but 200. A connection that breaks ends the run.
    pub failed: usize,
}

struct Plan {
    requests: Vec<Vec<u8>>,
    requests_per_s: f64,
    count: usize,
    begins: Instant,
}

struct Outcome {
    took: Duration,
    /// None where it was given up.
    status: Option<u16>,
}

impl Outcome {
    fn is_useful(&self) -> bool {
        self.status == Some(200) && self.took <= USEFUL
    }
}

/// Asks for all paths in turn, so many a second, for so long.
pub fn offer(address: SocketAddr, paths: &[String], requests_per_s: f64, lasts: Duration) -> Observed {
    let requests = paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes());
    let (requests, count) = (requests.collect(), (requests_per_s * lasts.as_secs_f64()) as usize);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcomes = runtime.block_on(async {
        let mut streams = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            streams.push(TcpStream::connect(address).await.expect("a connection"));
        }
        ask_all(streams, Plan { requests, requests_per_s, count, begins: Instant::now() }).await
    });
    Observed::of(&outcomes, lasts)
}

impl Observed {
    fn of(outcomes: &[Outcome], lasts: Duration) -> Self {
        let mut times: Vec<Duration> = outcomes.iter().map(|outcome| outcome.took).collect();
        times.sort_unstable();
        let useful = outcomes.iter().filter(|outcome| outcome.is_useful()).count();
        let begun = outcomes.iter().filter(|outcome| outcome.status.is_some()).count();
        Self {
            p99_ms: times[times.len() * 99 / 100].as_secs_f64() * 1e3,
            goodput: useful as f64 / lasts.as_secs_f64(),
            begun: begun as f64 / outcomes.len() as f64,
            failed: outcomes.iter().filter(|outcome| outcome.status.is_some_and(|status| status != 200)).count(),
        }
    }
}

/// Shares the plan among connections.
async fn ask_all(streams: Vec<TcpStream>, plan: Plan) -> Vec<Outcome> {
    let plan = Arc::new(plan);
    let asking = streams.into_iter().enumerate();
    let asking: Vec<_> = asking.map(|(first, stream)| tokio::spawn(ask(stream, plan.clone(), first))).collect();
    let mut outcomes = Vec::with_capacity(plan.count);
    for asked in asking {
        outcomes.extend(asked.await.expect("no panic").expect("answers"));
    }
    outcomes
}

async fn ask(mut stream: TcpStream, plan: Arc<Plan>, first: usize) -> std::io::Result<Vec<Outcome>> {
    let _ = stream.set_nodelay(true);
    let (mut outcomes, mut answer) = (Vec::new(), Vec::with_capacity(64 * 1024));
    for number in (first..plan.count).step_by(CONNECTIONS) {
        let planned = plan.begins + Duration::from_secs_f64(number as f64 / plan.requests_per_s);
        sleep_until(planned).await;
        if planned.elapsed() > PATIENCE {
            outcomes.push(Outcome { took: planned.elapsed(), status: None });
            continue;
        }
        stream.write_all(&plan.requests[number % plan.requests.len()]).await?;
        let status = read_answer(&mut stream, &mut answer).await?;
        outcomes.push(Outcome { took: planned.elapsed(), status: Some(status) });
    }
    Ok(outcomes)
}

/// Reads an answer to its end; gives its status.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> std::io::Result<u16> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((status, bytes)) = measure(answer)
            && answer.len() >= bytes
        {
            return Ok(status);
        }
    }
}

/// The status of an answer whose head is there, and how long it is with its body.
fn measure(answer: &[u8]) -> Option<(u16, usize)> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some((status, end + 4 + length.parse::<usize>().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn answers_that_fail_are_counted_apart_from_requests_that_were_never_begun() {
        // A bench has no tests, and nothing to import for them.
        use super::*;
        let outcome = |ms: u64, status: Option<u16>| Outcome { took: Duration::from_millis(ms), status };
        let outcomes = [outcome(1, Some(200)), outcome(2, Some(503)), outcome(300, None), outcome(2_000, Some(200))];
        let observed = Observed::of(&outcomes, Duration::from_secs(2));
        assert_eq!((observed.failed, observed.begun, observed.goodput), (1, 0.75, 0.5));
    }
}
