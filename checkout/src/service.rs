//! The service from its start to its end: bind, open, serve, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::carts::Carts;
use crate::config::Config;
use crate::connection::Door;
use crate::database::Opened;
use crate::edge_watch::EdgeWatch;
use crate::http::cors::Cors;
use crate::http::{self, App};
use crate::metrics::Metrics;
use crate::pricing::EdgeClient;
use crate::staff::Staff;
use crate::store::{Lane, Store, Terms};
use crate::stripe;
use crate::work::{self, Work};

/// How long connections, and what was begun for clients that have left, may take to end once nothing new is accepted.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the working parts may take to finish the step that they are at.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const LOOK_PAUSE: Duration = Duration::from_millis(10);
const MAX_ADMIN_CONNECTIONS: usize = 64;
const WEBHOOK_TOLERANCE_S: i64 = 300;
const OUTBOX_MAX_TRIES: u32 = 20;
const POLL_MS: u64 = 500;

/// A service that is about to serve.
pub struct Service {
    app: Arc<App>,
    opened: Arc<Opened>,
    public: TcpListener,
    admin: TcpListener,
    max_connections: usize,
    drain: Duration,
}

/// Where a service listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub public: SocketAddr,
    pub admin: SocketAddr,
}

/// Binds the ports and opens what is needed. Nothing is served yet; a PostgreSQL, a Redis, an edge or a Stripe that is
/// away does not keep it from starting.
///
/// # Errors
/// When an address is taken, a setting cannot be used, or the database's tables are not those of this version.
pub async fn build(config: Config) -> anyhow::Result<Service> {
    if config.return_origins.is_empty() {
        warn!("no origin is named that shoppers may be sent back to: every return_url is refused");
    }
    let opened = Arc::new(Opened::open_ready(&config.database).await.context("the database")?);
    let store = opened.store();
    let work = new_work(&config, store.with_terms(Terms::each(Lane::Work)))?;
    let app = App {
        work,
        edge: EdgeClient::new(&config.edge_url).map_err(|fault| anyhow!("the edge: {fault}"))?,
        edge_watch: EdgeWatch::new(),
        carts: Carts::new(config.redis_url.as_ref()).map_err(|fault| anyhow!("Redis: {fault}"))?,
        store,
        staff: Staff::read(config.staff_tokens).context("the staff's tokens")?,
        cors: Cors::new(&config.cors_origins).map_err(|fault| anyhow!("origins: {fault}"))?,
        return_origins: config.return_origins,
        metrics: Arc::new(Metrics::new()),
        hold_ms: config.hold_ms,
        cart_ttl_ms: config.cart_ttl_ms,
        publishable_key: config.publishable_key,
        max_in_flight: config.max_in_flight,
        in_flight: Arc::default(),
        connections: Arc::default(),
        draining: AtomicBool::new(false),
    };
    let bind = async |address| TcpListener::bind(address).await.with_context(|| format!("listening on {address}"));
    let (public, admin) = (bind(config.listen).await?, bind(config.admin_listen).await?);
    let (max_connections, drain) = (config.max_connections, config.drain);
    Ok(Service { app: Arc::new(app), opened, public, admin, max_connections, drain })
}

fn new_work(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Arc<Work>> {
    let client = stripe::Client::new(stripe::Settings {
        base_url: config.stripe.api_url.clone(),
        secret_key: config.stripe.secret_key.clone(),
        timeout_ms: config.stripe.timeout_ms,
        requests_per_s: config.stripe.requests_per_s,
    });
    let events = config.events.as_ref().map(|events| work::EventGrid {
        url: events.url.clone(),
        key: events.key.clone(),
        source: events.source.clone(),
    });
    let settings = work::Settings {
        webhook_secrets: config.webhook_secrets.clone(),
        webhook_tolerance_s: WEBHOOK_TOLERANCE_S,
        events,
        outbox_max_tries: OUTBOX_MAX_TRIES,
        reconcile_at: config.reconcile_at,
        keep_abandoned_ms: config.keep_abandoned_ms,
        poll_ms: POLL_MS,
    };
    Ok(Work::new(store, client.context("Stripe")?, settings))
}

impl Service {
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses { public: self.public.local_addr()?, admin: self.admin.local_addr()? })
    }

    /// Serves until `stop` is done, then drains: health turns to 503 while requests are still answered, then nothing
    /// new is accepted, open requests end, and the working parts finish the step that they are at. Whatever is left is
    /// found again by the next process.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { app, opened, public, admin, max_connections, drain } = self;
        let (stopping, stops) = watch::channel(false);
        let loops = app.work.run(stops.clone());
        let (looking, until) = (app.clone(), stops.clone());
        tokio::spawn(async move { looking.edge_watch.run(&looking.edge, until).await });
        let (metrics, store) = (app.metrics.clone(), app.store.with_terms(Terms::each(Lane::Work)));
        tokio::spawn(async move { metrics.watch_backlog(&*store, stops).await });
        let serving_admin = tokio::spawn(serve_admin(admin, Admin { app: app.clone(), opened }));
        let door = Door {
            router: http::router(app.clone()),
            connections: GracefulShutdown::new(),
            open: app.connections.clone(),
            most: max_connections,
        };
        tokio::select! {
            () = door.accept(&public) => {}
            () = stop => {}
        }
        app.draining.store(true, Ordering::Relaxed);
        info!(drain_ms = drain.as_millis() as u64, "draining");
        let _ = timeout(drain, door.accept(&public)).await;
        drop(public);
        close(door, &app).await;
        let _ = stopping.send(true);
        stop_work(loops).await;
        serving_admin.abort();
        info!("ended");
    }
}

/// Ends connections, and waits for what was begun on them.
async fn close(door: Door, app: &App) {
    let deadline = Instant::now() + CLOSE_TIMEOUT;
    let Door { router, connections, .. } = door;
    drop(router);
    if timeout_at(deadline, connections.shutdown()).await.is_err() {
        warn!("connections were cut: they did not end in time");
    }
    // What writes goes on where its client has left.
    let begun = async {
        while app.in_flight.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    if timeout_at(deadline, begun).await.is_err() {
        warn!("requests were cut: their keys are resumed by whoever asks again, and their payments by recovery");
    }
}

async fn stop_work(mut loops: JoinSet<()>) {
    let ending = async { while loops.join_next().await.is_some() {} };
    if timeout(STOP_TIMEOUT, ending).await.is_err() {
        warn!("the working parts were cut: they did not end in time");
    }
}

async fn serve_admin(listener: TcpListener, admin: Admin) {
    let door = Door {
        router: admin::router(admin),
        connections: GracefulShutdown::new(),
        open: Arc::new(AtomicUsize::new(0)),
        most: MAX_ADMIN_CONNECTIONS,
    };
    door.accept(&listener).await;
}
