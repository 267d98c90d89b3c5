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
    /// How many were answered with anything but 200, or not at all. A connection that breaks is opened anew.
    pub failed: usize,
}

struct Plan {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    requests_per_s: f64,
    count: usize,
    begins: Instant,
}

struct Outcome {
    took: Duration,
    became: Became,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Became {
    /// It was never begun.
    GivenUp,
    /// It has this status.
    Answered(u16),
    /// The connection broke, or there was none.
    Broken,
}

impl Outcome {
    fn is_useful(&self) -> bool {
        self.became == Became::Answered(200) && self.took <= USEFUL
    }

    fn is_failed(&self) -> bool {
        !matches!(self.became, Became::GivenUp | Became::Answered(200))
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
            streams.push(connect(address).await.expect("a connection"));
        }
        ask_all(streams, Plan { address, requests, requests_per_s, count, begins: Instant::now() }).await
    });
    Observed::of(&outcomes, lasts)
}

impl Observed {
    fn of(outcomes: &[Outcome], lasts: Duration) -> Self {
        let mut times: Vec<Duration> = outcomes.iter().map(|outcome| outcome.took).collect();
        times.sort_unstable();
        let useful = outcomes.iter().filter(|outcome| outcome.is_useful()).count();
        let begun = outcomes.iter().filter(|outcome| outcome.became != Became::GivenUp).count();
        Self {
            p99_ms: times[times.len() * 99 / 100].as_secs_f64() * 1e3,
            goodput: useful as f64 / lasts.as_secs_f64(),
            begun: begun as f64 / outcomes.len() as f64,
            failed: outcomes.iter().filter(|outcome| outcome.is_failed()).count(),
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
        outcomes.extend(asked.await.expect("no panic"));
    }
    outcomes
}

async fn ask(stream: TcpStream, plan: Arc<Plan>, first: usize) -> Vec<Outcome> {
    let (mut outcomes, mut stream, mut answer) = (Vec::new(), Some(stream), Vec::with_capacity(64 * 1024));
    for number in (first..plan.count).step_by(CONNECTIONS) {
        let planned = plan.begins + Duration::from_secs_f64(number as f64 / plan.requests_per_s);
        sleep_until(planned).await;
        if planned.elapsed() > PATIENCE {
            outcomes.push(Outcome { took: planned.elapsed(), became: Became::GivenUp });
            continue;
        }
        let request = &plan.requests[number % plan.requests.len()];
        let became = match ask_once(&mut stream, plan.address, request, &mut answer).await {
            Ok(status) => Became::Answered(status),
            Err(_) => Became::Broken,
        };
        outcomes.push(Outcome { took: planned.elapsed(), became });
    }
    outcomes
}

/// Asks over a connection, or a new one where there is none; gives the status. A connection that breaks is gone.
async fn ask_once(
    stream: &mut Option<TcpStream>,
    address: SocketAddr,
    request: &[u8],
    answer: &mut Vec<u8>,
) -> std::io::Result<u16> {
    let mut open = match stream.take() {
        Some(open) => open,
        None => connect(address).await?,
    };
    open.write_all(request).await?;
    let status = read_answer(&mut open, answer).await?;
    *stream = Some(open);
    Ok(status)
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
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
        let outcome = |ms: u64, became: Became| Outcome { took: Duration::from_millis(ms), became };
        let outcomes = [
            outcome(1, Became::Answered(200)),
            outcome(2, Became::Answered(503)),
            outcome(2, Became::Broken),
            outcome(300, Became::GivenUp),
            outcome(2_000, Became::Answered(200)),
        ];
        let observed = Observed::of(&outcomes, Duration::from_secs(2));
        assert_eq!((observed.failed, observed.begun, observed.goodput), (2, 0.8, 0.5));
    }

    #[test]
    fn a_connection_that_broke_is_opened_anew() {
        use super::*;
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = std::thread::spawn(move || {
            drop(listener.accept().expect("the first connection"));
            let (mut second, _) = listener.accept().expect("the second connection");
            let read = second.read(&mut [0; 1024]).expect("a request");
            second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").expect("a client");
            read
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (mut stream, mut answer) = (None, Vec::new());
        let mut ask = || runtime.block_on(ask_once(&mut stream, address, b"GET / HTTP/1.1\r\n\r\n", &mut answer));
        assert!(ask().is_err(), "it is closed without an answer");
        assert_eq!(ask().expect("an answer"), 200);
        assert!(server.join().expect("no panic") > 0);
    }
}
