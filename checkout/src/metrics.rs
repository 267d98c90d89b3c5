//! What checkout counts, in the Prometheus text format.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::http::App;
use crate::log;
use crate::store::{Backlog, Store};
use crate::stripe::BreakerState;
use crate::work::{Work, now_ms};

/// How often it is asked how much waits.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhatLabel {
    what: &'static str,
}

/// All counters of a process.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabel, Histogram, fn() -> Histogram>,
    /// Counts of the working parts, brought up to what those say when they are asked for.
    work: Family<WhatLabel, Counter>,
    waiting: Family<WhatLabel, Gauge>,
    oldest: Family<WhatLabel, Gauge>,
    in_flight: Gauge,
    connections: Gauge,
    breaker: Gauge,
    lines_lost: Counter,
    backlog_failures: Counter,
    /// Held while counters are brought up to date, so that none is brought too far.
    updating: Mutex<()>,
}

fn request_histogram() -> Histogram {
    // From half a millisecond to about 16 seconds.
    Histogram::new((0..16).map(|step| 0.000_5 * f64::from(1 << step)))
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("vitrine_checkout"),
            requests: Family::default(),
            durations: Family::new_with_constructor(request_histogram),
            work: Family::default(),
            waiting: Family::default(),
            oldest: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            breaker: Gauge::default(),
            lines_lost: Counter::default(),
            backlog_failures: Counter::default(),
            updating: Mutex::new(()),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests answered", self.requests.clone());
        let help = "Time from a request's head to its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, self.durations.clone());
        registry.register("work", "What the working parts have done", self.work.clone());
        registry.register("waiting", "What waits to be dealt with", self.waiting.clone());
        let help = "Age of the oldest of what waits";
        registry.register_with_unit("oldest_waiting", help, Unit::Seconds, self.oldest.clone());
        registry.register("requests_in_flight", "Requests that are being worked on", self.in_flight.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let help =
            "0 while Stripe is asked, 1 while one request finds out whether it works again, 2 while it is left alone";
        registry.register("stripe_breaker", help, self.breaker.clone());
        let help = "Lines of the log that were dropped because standard output was too slow";
        registry.register("log_lost_lines", help, self.lines_lost.clone());
        let help = "Times that the database did not say how much waits";
        registry.register("backlog_failures", help, self.backlog_failures.clone());
    }

    pub fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.durations.get_or_create(&RouteLabel { route }).observe(took.as_secs_f64());
    }

    /// Asks again and again how much waits, until it is told to stop.
    pub async fn watch_backlog(&self, store: &dyn Store, mut stops: watch::Receiver<bool>) {
        let mut ticks = interval(BACKLOG_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stops.wait_for(|stops| *stops) => return,
            }
            match store.backlog(now_ms()).await {
                Ok(backlog) => self.set_backlog(&backlog),
                Err(error) => {
                    self.backlog_failures.inc();
                    warn!(error = %error, "the database does not say how much waits");
                }
            }
        }
    }

    fn set_backlog(&self, backlog: &Backlog) {
        for (what, count) in [
            ("payments_unanswered", backlog.payments_unanswered),
            ("payments_waiting", backlog.payments_waiting),
            ("refunds", backlog.refunds_open),
            ("inbox", backlog.inbox),
            ("dead_webhooks", backlog.dead_webhooks),
            ("outbox", backlog.outbox),
            ("dead_letters", backlog.dead_letters),
            ("breaks", backlog.open_breaks),
            ("checkouts_held", backlog.checkouts_held),
        ] {
            self.waiting.get_or_create(&WhatLabel { what }).set(gauge(count));
        }
        for (what, age_ms) in [("inbox", backlog.oldest_inbox_ms), ("outbox", backlog.oldest_outbox_ms)] {
            self.oldest.get_or_create(&WhatLabel { what }).set(gauge(age_ms / 1_000));
        }
    }

    pub fn encode(&self, app: &App) -> String {
        {
            let _updating = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
            self.take_in(&app.work);
            catch_up(&self.lines_lost, log::lost_lines());
        }
        self.in_flight.set(gauge(app.in_flight.load(Ordering::Relaxed) as u64));
        self.connections.set(gauge(app.connections.load(Ordering::Relaxed) as u64));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// Takes in what the working parts have counted for themselves.
    fn take_in(&self, work: &Work) {
        let (counters, stripe) = (work.metrics(), work.stripe().counters());
        let counts: [(&'static str, &AtomicU64); 14] = [
            ("stripe_requests", &stripe.requests),
            ("stripe_rate_limited", &stripe.rate_limited),
            ("stripe_failures", &stripe.failures),
            ("webhooks_received", &counters.webhooks_received),
            ("webhooks_repeated", &counters.webhooks_repeated),
            ("webhooks_rejected", &counters.webhooks_rejected),
            ("webhooks_applied", &counters.webhooks_applied),
            ("webhooks_failed", &counters.webhooks_failed),
            ("outbox_delivered", &counters.outbox_delivered),
            ("outbox_failed", &counters.outbox_failed),
            ("outbox_dead", &counters.outbox_dead),
            ("recovered", &counters.recovered),
            ("recovery_postponed", &counters.recovery_postponed),
            ("checkouts_swept", &counters.checkouts_swept),
        ];
        for (what, count) in counts {
            catch_up(&self.work.get_or_create(&WhatLabel { what }), count.load(Ordering::Relaxed));
        }
        self.breaker.set(match work.stripe().breaker_state() {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
    }
}

/// A counter only grows, and so does what it follows.
fn catch_up(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_and_counters_only_grow() {
        let metrics = Metrics::new();
        metrics.set_backlog(&Backlog { inbox: 3, oldest_inbox_ms: 4_500, dead_webhooks: 2, ..Backlog::default() });
        metrics.answered("orders", 200, Duration::from_millis(3));
        let counter = Counter::default();
        [5, 5, 3, 7].into_iter().for_each(|count| catch_up(&counter, count));
        assert_eq!(counter.get(), 7);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry).expect("text");
        for line in [
            "vitrine_checkout_waiting{what=\"inbox\"} 3",
            "vitrine_checkout_waiting{what=\"dead_webhooks\"} 2",
            "vitrine_checkout_oldest_waiting_seconds{what=\"inbox\"} 4",
            "vitrine_checkout_requests_total{route=\"orders\",status=\"200\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
