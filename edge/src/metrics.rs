//! What the edge counts, in the Prometheus text format.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::follow::MarketState;
use crate::paths::{KINDS, Route};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MarketLabel {
    market: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceLabel {
    source: &'static str,
}

/// What nearly every request to a route counts, once one has: looking it up by its labels takes longer than counting.
#[derive(Default)]
struct RouteMetrics {
    ok: OnceLock<Counter>,
    not_modified: OnceLock<Counter>,
    durations: OnceLock<Histogram>,
}

/// All counters of a process.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabel, Histogram, fn() -> Histogram>,
    routes: [RouteMetrics; KINDS],
    poll_failures: Family<MarketLabel, Counter>,
    open_failures: Family<MarketLabel, Counter>,
    openings: Family<MarketLabel, Histogram, fn() -> Histogram>,
    pub in_flight: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    pub access_lines_lost: Arc<AtomicUsize>,
    pub unread_bytes: Arc<AtomicUsize>,
    result_cache: Family<ResultLabel, Counter>,
    result_hits: OnceLock<Counter>,
    result_misses: OnceLock<Counter>,
    hints: Family<SourceLabel, Counter>,
    pub redis_connected: Gauge,
    generations: Arc<AtomicUsize>,
    previews: Arc<AtomicUsize>,
    preview_bytes: Arc<AtomicUsize>,
}

fn request_histogram() -> Histogram {
    // From 50 microseconds to about 1.6 seconds.
    Histogram::new((0..16).map(|step| 50e-6 * f64::from(1 << step)))
}

fn opening_histogram() -> Histogram {
    Histogram::new((0..12).map(|step| 0.01 * f64::from(1 << step)))
}

impl Metrics {
    pub fn new(markets: Vec<Arc<MarketState>>) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("vitrine_edge"),
            requests: Family::default(),
            durations: Family::new_with_constructor(request_histogram),
            routes: Default::default(),
            poll_failures: Family::default(),
            open_failures: Family::default(),
            openings: Family::new_with_constructor(opening_histogram),
            in_flight: Arc::default(),
            connections: Arc::default(),
            access_lines_lost: Arc::default(),
            unread_bytes: Arc::default(),
            result_cache: Family::default(),
            result_hits: OnceLock::new(),
            result_misses: OnceLock::new(),
            hints: Family::default(),
            redis_connected: Gauge::default(),
            generations: Arc::default(),
            previews: Arc::default(),
            preview_bytes: Arc::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests answered", metrics.requests.clone());
        let help = "Time from a request's head to its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, metrics.durations.clone());
        registry.register("poll_failures", "Failed reads of a channel", metrics.poll_failures.clone());
        registry.register(
            "open_failures",
            "Announced snapshots that could not be served",
            metrics.open_failures.clone(),
        );
        let help = "Answers that were looked for among those given already";
        registry.register("result_cache_lookups", help, metrics.result_cache.clone());
        let help = "Hints that a channel moved, by where they came from; 'invalid' is what Redis brought and is none";
        registry.register("hints", help, metrics.hints.clone());
        let help = "1 while hints are heard from Redis, 0 while it is away or none is configured";
        registry.register("redis_connected", help, metrics.redis_connected.clone());
        let help = "Time from seeing an announcement to serving it";
        registry.register_with_unit("snapshot_open", help, Unit::Seconds, metrics.openings.clone());
        let (in_flight, connections) = (metrics.in_flight.clone(), metrics.connections.clone());
        let (generations, lost) = (metrics.generations.clone(), metrics.access_lines_lost.clone());
        let (previews, preview_bytes) = (metrics.previews.clone(), metrics.preview_bytes.clone());
        let unread_bytes = metrics.unread_bytes.clone();
        let gauges =
            Gauges { markets, in_flight, connections, generations, previews, preview_bytes, lost, unread_bytes };
        registry.register_collector(Box::new(gauges));
        metrics
    }

    pub fn answered(&self, route: &Route<'_>, status: u16, took: Duration) {
        let (number, route) = route.kind();
        let known = &self.routes[number];
        let requests = || self.requests.get_or_create_owned(&RequestLabels { route, status });
        match status {
            200 => known.ok.get_or_init(requests).inc(),
            304 => known.not_modified.get_or_init(requests).inc(),
            _ => requests().inc(),
        };
        let durations = || self.durations.get_or_create_owned(&RouteLabel { route });
        known.durations.get_or_init(durations).observe(took.as_secs_f64());
    }

    pub fn looked_up_result(&self, is_found: bool) {
        let (known, result) = match is_found {
            true => (&self.result_hits, "hit"),
            false => (&self.result_misses, "miss"),
        };
        known.get_or_init(|| self.result_cache.get_or_create_owned(&ResultLabel { result })).inc();
    }

    pub fn hinted(&self, source: &'static str) {
        self.hints.get_or_create(&SourceLabel { source }).inc();
    }

    pub fn poll_failed(&self, market: &str) {
        self.poll_failures.get_or_create(&MarketLabel { market: market.to_owned() }).inc();
    }

    pub fn open_failed(&self, market: &str) {
        self.open_failures.get_or_create(&MarketLabel { market: market.to_owned() }).inc();
    }

    pub fn opened(&self, market: &str, took: Duration) {
        self.openings.get_or_create(&MarketLabel { market: market.to_owned() }).observe(took.as_secs_f64());
    }

    /// Counts generations while they exist.
    pub fn generations_alive(&self) -> Arc<AtomicUsize> {
        self.generations.clone()
    }

    /// Says how many snapshots are open for previews, and how large they are together.
    pub fn set_previews(&self, count: usize, size_bytes: u64) {
        self.previews.store(count, Ordering::Relaxed);
        self.preview_bytes.store(size_bytes as usize, Ordering::Relaxed);
    }

    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// Values that are read when they are asked for.
#[derive(Debug)]
struct Gauges {
    markets: Vec<Arc<MarketState>>,
    in_flight: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    generations: Arc<AtomicUsize>,
    previews: Arc<AtomicUsize>,
    preview_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
    unread_bytes: Arc<AtomicUsize>,
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let plain = [
            ("requests_in_flight", "Requests that are being worked on", &self.in_flight),
            ("connections", "Open connections", &self.connections),
            (
                "snapshot_generations",
                "Snapshots that are mapped: one for each market but during a swap, and previews",
                &self.generations,
            ),
            ("previews", "Snapshots that are open for previews", &self.previews),
            ("preview_bytes", "What snapshots take that are open for previews", &self.preview_bytes),
            ("unread_bytes", "Answers over 64 KiB a connection that clients have not read yet", &self.unread_bytes),
            ("access_log_lost_lines", "Lines that were dropped because standard output was too slow", &self.lost),
        ];
        for (name, help, value) in plain {
            let gauge = ConstGauge::new(value.load(Ordering::Relaxed) as i64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        self.encode_markets(&mut encoder, "snapshot_sequence", "Sequence of the served snapshot", |market| {
            market.live.load().map(|generation| generation.pointer.sequence as i64)
        })?;
        self.encode_markets(&mut encoder, "snapshot_products", "Products in the served snapshot", |market| {
            market.live.load().map(|generation| generation.index.product_count() as i64)
        })?;
        self.encode_markets(
            &mut encoder,
            "snapshot_age_seconds",
            "Time since the served snapshot was announced",
            |market| market.live.load().map(|generation| crate::answers::age_s(&generation.pointer)),
        )?;
        self.encode_markets(
            &mut encoder,
            "store_contact_age_seconds",
            "Time since the store last answered",
            |market| market.contact_age_s().map(|age| age as i64),
        )?;
        self.encode_markets(&mut encoder, "market_faulty", "1 while a market cannot follow its channel", |market| {
            Some(i64::from(market.fault().is_some()))
        })
    }
}

impl Gauges {
    fn encode_markets(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&MarketState) -> Option<i64>,
    ) -> Result<(), std::fmt::Error> {
        let mut metric = encoder.encode_descriptor(name, help, None, prometheus_client::metrics::MetricType::Gauge)?;
        for market in &self.markets {
            if let Some(value) = value(market) {
                let label = MarketLabel { market: market.name.clone() };
                ConstGauge::new(value).encode(metric.encode_family(&label)?)?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for MarketState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_status() {
        let metrics = Metrics::new(Vec::new());
        let answered = |path: &str, status| metrics.answered(&Route::of(path), status, Duration::from_millis(1));
        for (path, status) in [("/v1/search", 200), ("/v1/search", 200), ("/v1/search", 304), ("/v1/products/p", 200)] {
            answered(path, status);
        }
        [404, 404, 503].into_iter().for_each(|status| answered("/v1/products/p", status));
        [true, false, true].into_iter().for_each(|is_found| metrics.looked_up_result(is_found));
        let text = metrics.encode();
        for line in [
            "requests_total{route=\"search\",status=\"200\"} 2",
            "requests_total{route=\"search\",status=\"304\"} 1",
            "requests_total{route=\"product\",status=\"200\"} 1",
            "requests_total{route=\"product\",status=\"404\"} 2",
            "request_duration_seconds_count{route=\"search\"} 3",
            "request_duration_seconds_count{route=\"product\"} 4",
            "result_cache_lookups_total{result=\"hit\"} 2",
            "result_cache_lookups_total{result=\"miss\"} 1",
        ] {
            assert!(text.lines().any(|known| known == format!("vitrine_edge_{line}")), "{line}: {text}");
        }
        assert!(!text.contains("route=\"suggest\""), "what did not happen is not told");
    }
}
