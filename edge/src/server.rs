//! Connections and requests: accepting, bounding, timing, logging, draining.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use jiff::Timestamp;
use secrecy::SecretString;
use snapshots::{Cache, SnapshotId};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::access_log::{AccessLog, Line};
use crate::admin;
use crate::config::Config;
use crate::connection::{self, IDLE_TIMEOUT};
use crate::error::ApiError;
use crate::follow::{Follower, MarketState};
use crate::hints::Hearing;
use crate::http2::OpenRequest;
use crate::idle::IdleWatch;
use crate::kept::KeptObjects;
use crate::live::Serving;
use crate::metrics::Metrics;
use crate::opening;
use crate::params::Target;
use crate::paths::Route;
use crate::pictures::Pictures;
use crate::preview::Previews;
use crate::preview_key::PreviewKey;
use crate::reply::{self, HttpResponse};
use crate::routes;
use crate::status::Reporter;
use crate::tls::Certificate;
use crate::unread::Unread;

/// The largest body of a request.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long a client may take for its request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How many bodies are awaited at once.
const MAX_BODIES: usize = 1_024;
/// How often connections are looked at that may be waiting for a request.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// How often room is made in a full house, and one place in how many: to look at all takes longer than to cut some.
const ROOM_INTERVAL: Duration = Duration::from_millis(5);
const ROOM_SHARE: usize = 100;
/// How long connections may take to end once nothing new is accepted.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What every request needs.
pub struct Shared {
    pub markets: Vec<Arc<MarketState>>,
    pub metrics: Arc<Metrics>,
    pub pictures: Pictures,
    previews: Arc<Previews>,
    pub hearing: Hearing,
    /// None: events are not taken.
    pub event_key: Option<SecretString>,
    max_in_flight: usize,
    bodies: Semaphore,
    unread: Unread,
    cors_origin: HeaderValue,
    draining: AtomicBool,
    log: AccessLog,
}

impl Shared {
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether every market's channel was asked, or its cached snapshot opened, and something is served.
    pub fn is_ready(&self) -> bool {
        let known = |market: &Arc<MarketState>| market.is_settled() || market.live.load().is_some();
        self.markets.iter().all(known) && self.markets.iter().any(|market| market.live.load().is_some())
    }

    /// The market of this name, or the first one.
    pub fn market(&self, name: Option<&str>) -> Result<&MarketState, ApiError> {
        let found = match name {
            None => self.markets.first(),
            Some(name) => self.markets.iter().find(|market| market.name == name),
        };
        found.map(Arc::as_ref).ok_or_else(|| {
            let names: Vec<&str> = self.markets.iter().map(|market| market.name.as_str()).collect();
            ApiError::bad_parameter("market", format!("is none of {}", names.join(", ")))
        })
    }

    /// The generation of a market, or of the first one.
    pub fn generation(&self, market: Option<&str>) -> Result<Serving, ApiError> {
        let market = self.market(market)?;
        let missing = || ApiError::unavailable("no_snapshot", format!("market '{}' has no snapshot yet", market.name));
        market.live.read().ok_or_else(missing)
    }

    /// The generation that a request asks: a market's live one, or the snapshot that it previews.
    pub async fn asked(&self, target: &Target, headers: &HeaderMap) -> Result<Serving, ApiError> {
        let live = self.generation(target.market.as_deref())?;
        let Some(wanted) = &target.snapshot else { return Ok(live) };
        let given = PreviewKey::in_headers(headers).or_else(|| target.preview_key.clone());
        self.previews.check_key(given.as_ref())?;
        let malformed = |_| ApiError::bad_parameter("snapshot", "is no id of a snapshot, as `indexer status` shows it");
        let id: SnapshotId = wanted.parse().map_err(malformed)?;
        if id == live.pointer.snapshot {
            return Ok(live);
        }
        // Who waits for a preview must not keep alive what is live now.
        let catalogue = live.index.snapshot().manifest.catalogue.clone();
        drop(live);
        self.previews.generation(self.market(target.market.as_deref())?, &catalogue, id).await.map(Serving::from)
    }
}

/// An edge that is about to serve.
pub struct Edge {
    config: Config,
    shared: Arc<Shared>,
    cache: Arc<Cache>,
    kept: Arc<KeptObjects>,
    public: TcpListener,
    admin: TcpListener,
    certificate: Option<Arc<Certificate>>,
}

/// Where a started edge listens.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    pub public: SocketAddr,
    pub admin: SocketAddr,
}

impl Edge {
    /// Binds the ports and opens the cache. Nothing is served yet.
    ///
    /// # Errors
    /// When an address is taken, or a folder cannot be used.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        use anyhow::Context;
        let cache = Arc::new(Cache::open(&config.cache_dir).context("the cache folder")?);
        let kept = Arc::new(KeptObjects::default());
        let bind = async |address| TcpListener::bind(address).await.with_context(|| format!("listening on {address}"));
        let (public, admin) = (bind(config.listen).await?, bind(config.admin_listen).await?);
        let markets: Vec<_> = config.markets.iter().map(|market| Arc::new(MarketState::new(market))).collect();
        let metrics = Arc::new(Metrics::new(markets.clone()));
        let pictures = match &config.pictures {
            Some(folder) => Pictures::read(folder).with_context(|| folder.display().to_string())?,
            None => Pictures::default(),
        };
        let hearing = Hearing::new(&config, &markets, &metrics).context("the thread that hears hints")?;
        let certificate = config.tls.as_ref().map(Certificate::read).transpose().context("TLS")?;
        let log = match config.access_log {
            true => AccessLog::start(metrics.access_lines_lost.clone()),
            false => AccessLog::off(),
        };
        let cors_origin = match config.cors_origin.as_str() {
            "*" => HeaderValue::from_static("*"),
            origin => HeaderValue::from_str(origin)?,
        };
        let (key, preview_bytes) = (config.preview_key.clone(), config.preview_bytes);
        let previews = Previews::new(key, preview_bytes, cache.clone(), kept.clone(), metrics.clone());
        let unread = Unread::new(metrics.unread_bytes.clone(), config.max_unread_bytes);
        let shared = Shared {
            markets,
            metrics,
            pictures,
            previews: Arc::new(previews),
            hearing,
            event_key: config.event_key.clone(),
            max_in_flight: config.max_in_flight,
            bodies: Semaphore::new(MAX_BODIES),
            unread,
            cors_origin,
            draining: AtomicBool::new(false),
            log,
        };
        Ok(Self { shared: Arc::new(shared), cache, kept, config, public, admin, certificate })
    }

    /// What requests are answered with, without a port.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> std::io::Result<Served> {
        Ok(Served { public: self.public.local_addr()?, admin: self.admin.local_addr()? })
    }

    /// Serves until `stop` is done, then drains: health turns to 503 while requests are still answered, then nothing
    /// new is accepted and open requests end.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { config, shared, cache, kept, public, admin, certificate } = self;
        tokio::spawn(serve_admin(admin, shared.clone()));
        tokio::spawn(follow_markets(config.clone(), shared.clone(), cache, kept));
        tokio::spawn(shared.previews.clone().sweep());
        let reporter = config.status.clone().map(|status| Reporter::new(status, shared.clone()));
        let reporting = reporter.clone().map(|reporter| tokio::spawn(reporter.run()));
        shared.hearing.listen();
        let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        if let Some(certificate) = certificate {
            tokio::spawn(certificate.follow());
        }
        let (closing, closes) = watch::channel(false);
        let connections = GracefulShutdown::new();
        let idle = IdleWatch::new(IDLE_INTERVAL, IDLE_TIMEOUT.as_secs());
        tokio::spawn(idle.clone().run());
        let door = Door { shared: &shared, connections: &connections, idle, tls, closes, most: config.max_connections };
        let mut accepting = Box::pin(door.accept(&public));
        tokio::select! {
            () = &mut accepting => {}
            () = stop => {}
        }
        shared.draining.store(true, Ordering::Relaxed);
        info!(drain_ms = config.drain.as_millis() as u64, "draining");
        let _ = tokio::time::timeout(config.drain, accepting).await;
        drop(public);
        let _ = closing.send(true);
        if tokio::time::timeout(CLOSE_TIMEOUT, connections.shutdown()).await.is_err() {
            warn!("connections were cut: they did not end in time");
        }
        if let (Some(reporter), Some(reporting)) = (reporter, reporting) {
            reporting.abort();
            reporter.leave().await;
        }
        shared.log.close();
        Ok(())
    }
}

/// First serves what the cache holds, for every market; then follows the channels.
async fn follow_markets(config: Config, shared: Arc<Shared>, cache: Arc<Cache>, kept: Arc<KeptObjects>) {
    opening::start_hashing();
    let follower = |market: &Arc<MarketState>| {
        Follower::new(market.clone(), cache.clone(), kept.clone(), shared.metrics.clone(), &config)
    };
    let mut followers: Vec<Follower> = shared.markets.iter().map(follower).collect();
    // What any market will serve from the cache is known before one of them tidies it up.
    let recalled: Vec<_> = followers.iter_mut().map(Follower::recall).collect();
    let serving = followers.iter().zip(recalled).map(|(follower, recalled)| follower.serve_recalled(recalled));
    futures::future::join_all(serving).await;
    for follower in followers {
        tokio::spawn(follower.follow());
    }
}

/// Where connections come in.
struct Door<'a> {
    shared: &'a Arc<Shared>,
    connections: &'a GracefulShutdown,
    idle: Arc<IdleWatch>,
    tls: Option<TlsAcceptor>,
    /// Told once connections are to end, for those that have not said anything yet.
    closes: watch::Receiver<bool>,
    /// How many connections there may be.
    most: usize,
}

impl Door<'_> {
    async fn accept(&self, listener: &TcpListener) {
        let open = &self.shared.metrics.connections;
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file handles, most likely; ending the loop would end the service.
                    warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // In a full house those make room who have waited longest, or clients that say nothing would keep out probes.
            // Who has not read an answer a second after it was ready is one of these, over HTTP/1.1 however steadily it reads.
            // Where all are at work, one waits at the door: the system's queue is short and bounded.
            while open.load(Ordering::Relaxed) >= self.most {
                self.idle.make_room(self.most.div_ceil(ROOM_SHARE));
                tokio::time::sleep(ROOM_INTERVAL).await;
            }
            let guard = Counted::new(open.clone());
            let (tls, shared, watcher) = (self.tls.clone(), self.shared.clone(), self.connections.watcher());
            let mut closes = self.closes.clone();
            self.idle.spawn(move |waiting| async move {
                let begun = tokio::select! {
                    begun = connection::begin(stream, tls) => begun,
                    _ = closes.wait_for(|closes| *closes) => None,
                };
                if let Some(begun) = begun {
                    begun.serve(shared, watcher, closes, waiting).await;
                }
                drop(guard);
            });
        }
    }
}

async fn serve_admin(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| admin::answer(shared.clone(), request));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// One more of something, until it is dropped.
struct Counted<C: Deref<Target = AtomicUsize>>(C);

impl<C: Deref<Target = AtomicUsize>> Counted<C> {
    fn new(counter: C) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl<C: Deref<Target = AtomicUsize>> Drop for Counted<C> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers one request, and tells of it. Over HTTP/2, where others may be open beside it, it is `open`.
pub(crate) async fn handle<B>(
    shared: Arc<Shared>,
    request: Request<B>,
    open: Option<&OpenRequest>,
) -> Result<HttpResponse, Infallible>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (started, now) = (Instant::now(), Timestamp::now());
    let (parts, body) = request.into_parts();
    let route = Route::of(parts.uri.path());
    let result = match route == Route::Unknown || route.takes(&parts.method) {
        true => work(&shared, &route, &parts, body, (started, now)).await,
        false => Ok(reply::method_not_allowed(route.allowed())),
    };
    let result = result.and_then(|response| match open {
        // What has no body leaves nothing to read, and probes are always answered.
        _ if route == Route::Health || parts.method == Method::HEAD => Ok(response),
        Some(open) => open.hold(&shared.unread, response),
        None => shared.unread.hold(0, response),
    });
    let mut cause = None;
    let mut response = result.unwrap_or_else(|error| {
        cause.clone_from(&error.cause);
        reply::error(&error)
    });
    let took = started.elapsed();
    reply::finish(&mut response, &shared.cors_origin, took);
    let (status, took_us) = (response.status().as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    shared.metrics.answered(&route, status, took);
    shared.log.write(&Line {
        at_us: now.as_microsecond().saturating_add_unsigned(took_us),
        method: parts.method.as_str(),
        path: parts.uri.path(),
        route: route.name(),
        status,
        took_us,
        bytes: response.body().size_hint().lower(),
        cause: cause.as_deref(),
    });
    Ok(response)
}

/// Reads the body, makes sure that there are not too many requests at once, and answers.
async fn work<B>(
    shared: &Shared,
    route: &Route<'_>,
    parts: &hyper::http::request::Parts,
    body: B,
    (started, now): (Instant, Timestamp),
) -> Result<HttpResponse, ApiError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let body = if parts.method == Method::POST { read_body(shared, body).await? } else { Bytes::new() };
    let query = parts.uri.query().unwrap_or("");
    let request = routes::Request { method: &parts.method, query, headers: &parts.headers, body, started, now };
    // Probes must hear from a busy node, or it is taken for a dead one.
    if *route == Route::Health {
        return routes::answer(shared, route, &request).await;
    }
    let _counted = Counted::new(&*shared.metrics.in_flight);
    if shared.metrics.in_flight.load(Ordering::Relaxed) > shared.max_in_flight {
        return Err(ApiError::unavailable("overloaded", "too many requests at once"));
    }
    routes::answer(shared, route, &request).await
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

async fn read_body<B>(shared: &Shared, body: B) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let too_large = || {
        let detail = format!("the body is larger than {MAX_BODY_BYTES} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    };
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let overloaded = |_| ApiError::unavailable("overloaded", "too many bodies at once");
    let _awaited = shared.bodies.try_acquire().map_err(overloaded)?;
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(ApiError::bad_parameter("body", error.to_string())),
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "the body did not arrive in time")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use http_body_util::{Empty, Full};
    use hyper::Response;

    use super::*;
    use crate::config::Cli;
    use crate::http2::Activity;
    use crate::idle::tests::alone;
    use crate::sample;

    /// They were refused like any other answer.
    #[tokio::test]
    async fn probes_are_answered_where_too_much_is_unread() {
        let folder = tempfile::tempdir().expect("a folder");
        let (any, cache) = ("127.0.0.1:0", folder.path().join("edge"));
        let cache = cache.to_str().expect("a plain path");
        let flags = ["edge", "--market", "us=memory://", "--listen", any, "--admin-listen", any, "--cache-dir", cache];
        let cli = Cli::try_parse_from(flags.into_iter().chain(["--no-access-log"])).expect("flags");
        let shared = Edge::build(cli.resolve().expect("settings")).await.expect("an edge").shared();
        shared.markets[0].live.replace(sample::generation(&sample::open(folder.path()).await), || ());
        let activity = Activity::new(alone());
        let large = Response::new(Full::new(Bytes::from(vec![b'x'; 32 << 20])));
        let _unread = activity.request(&Method::GET).answer(large);
        let ask = async |method: Method, path: &str| {
            let open = activity.request(&method);
            let request = Request::builder().method(method).uri(path).body(Empty::new()).expect("a request");
            let Ok(response) = handle(shared.clone(), request, Some(&open)).await;
            response.status().as_u16()
        };
        assert_eq!(ask(Method::GET, "/").await, 503, "too much is unread");
        assert_eq!(ask(Method::GET, "/healthz").await, 200);
        assert_eq!(ask(Method::HEAD, "/").await, 200, "there is nothing to read");
    }
}
