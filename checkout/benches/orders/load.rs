//! Load at a fixed rate: work begins when it is due, however long earlier work takes, as shoppers do who know nothing of
//! each other. What is measured from the intended moment holds the wait that a slow server causes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Work that is under way at once; more is not begun, and counts as failed.
const MAX_OPEN: u64 = 10_000;
/// From the start of the pacing thread to the first arrival.
const LEAD: Duration = Duration::from_millis(5);
/// A rate is sustained where no more than so many seconds of arrivals are under way at the end,
const MAX_BACKLOG_S: f64 = 0.5;
/// or no more than a few, at rates so low that half a second holds less than one whole order may take.
const MIN_BACKLOG: f64 = 16.0;
/// A search ends when the lowest rate that fails is so much above the highest that holds.
const CLOSE_ENOUGH: f64 = 1.06;
const LEAST_RATE: f64 = 1.0;
const MOST_RATE: f64 = 20_000.0;

/// What came of a load.
pub struct Load<T> {
    pub rate: f64,
    pub done: Vec<T>,
    pub faults: BTreeMap<String, u64>,
    /// Under way when the last work arrived.
    pub open_at_end: u64,
    /// From the first arrival until all of it was done.
    pub took: Duration,
}

/// When work arrived.
struct Paced {
    start: Instant,
    open_at_end: u64,
}

/// Begins `work` so many times a second, and waits until all of it is done. It is told its number and the moment that it was
/// to begin at, and has to end by itself.
pub async fn run<T, F, Fut>(rate: f64, time: Duration, work: F) -> Load<T>
where
    T: Send + 'static,
    F: Fn(u64, Instant) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, String>> + Send + 'static,
{
    let (tell, mut told) = mpsc::unbounded_channel();
    let runtime = Handle::current();
    // A thread of its own: the runtime's clock counts whole milliseconds.
    let pacer = std::thread::spawn(move || pace(rate, time, &work, &tell, &runtime));
    let (mut done, mut faults) = (Vec::new(), BTreeMap::<String, u64>::new());
    // It ends with the last of those that tell.
    while let Some(outcome) = told.recv().await {
        match outcome {
            Ok(one) => done.push(one),
            Err(fault) => *faults.entry(fault).or_insert(0) += 1,
        }
    }
    let ended = Instant::now();
    let Paced { start, open_at_end } = pacer.join().expect("the pacer ends");
    Load { rate, done, faults, open_at_end, took: ended.saturating_duration_since(start) }
}

fn pace<T, F, Fut>(
    rate: f64,
    time: Duration,
    work: &F,
    tell: &mpsc::UnboundedSender<Result<T, String>>,
    runtime: &Handle,
) -> Paced
where
    T: Send + 'static,
    F: Fn(u64, Instant) -> Fut,
    Fut: Future<Output = Result<T, String>> + Send + 'static,
{
    let ended = Arc::new(AtomicU64::new(0));
    let count = (rate * time.as_secs_f64()).ceil() as u64;
    let start = Instant::now() + LEAD;
    for number in 0..count {
        let intended = start + Duration::from_secs_f64(number as f64 / rate);
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        if number - ended.load(Ordering::Relaxed) >= MAX_OPEN {
            ended.fetch_add(1, Ordering::Relaxed);
            let _ = tell.send(Err(format!("not begun: {MAX_OPEN} are under way")));
            continue;
        }
        let (working, tell, ended) = (work(number, intended), tell.clone(), ended.clone());
        runtime.spawn(async move {
            let outcome = working.await;
            ended.fetch_add(1, Ordering::Relaxed);
            // The one who listens waits for everybody.
            let _ = tell.send(outcome);
        });
    }
    Paced { start, open_at_end: count - ended.load(Ordering::Relaxed) }
}

impl<T> Load<T> {
    /// Whether everything went well, and no backlog grew.
    pub fn is_sustained(&self) -> bool {
        let most = (self.rate * MAX_BACKLOG_S).max(MIN_BACKLOG);
        self.faults.is_empty() && self.open_at_end as f64 <= most
    }

    /// Done a second, until the last was done.
    pub fn per_s(&self) -> f64 {
        self.done.len() as f64 / self.took.as_secs_f64()
    }

    /// The time that a share of all stayed below, in milliseconds.
    pub fn percentile_ms(&self, share: f64, time: impl Fn(&T) -> Duration) -> f64 {
        percentile_ms(self.done.iter().map(time).collect(), share)
    }

    /// A line about how it went.
    pub fn summary(&self) -> String {
        let verdict = if self.is_sustained() { "sustained" } else { "not sustained" };
        let faults: u64 = self.faults.values().sum();
        format!(
            "{:>8.0}/s {verdict}: {:.0}/s done, {} under way at the end, {faults} errors",
            self.rate,
            self.per_s(),
            self.open_at_end
        )
    }
}

/// The highest rate that holds: doubled until one fails, and then halved in between.
pub async fn highest(first: f64, mut holds: impl AsyncFnMut(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, MOST_RATE);
    let mut rate = first;
    while high > low * CLOSE_ENOUGH && (LEAST_RATE..MOST_RATE).contains(&rate) {
        match holds(rate).await {
            true => low = rate,
            false => high = rate,
        }
        let is_bounded = high < MOST_RATE;
        rate = if is_bounded { (low + high) / 2.0 } else { low * 2.0 };
    }
    low
}

/// The time that a share of all stayed below, in milliseconds; nothing is not a time.
pub fn percentile_ms(mut times: Vec<Duration>, share: f64) -> f64 {
    times.sort_unstable();
    let place = (times.len() as f64 * share).ceil() as usize;
    times.get(place.saturating_sub(1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
}
