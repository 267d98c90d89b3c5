//! Settings of the service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use snapshots::Hints;
use url::Url;

use super::database::{Database, DatabaseFlags};
use super::reading::{Faults, filled};
use crate::http::cors::{Cors, is_origin};
use crate::stripe::{KeySource, is_for_tests};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const YEAR_S: u64 = 366 * 24 * 3_600;
/// As long as answers are kept, which name the checkout.
const LEAST_KEEP_ABANDONED_DAYS: u64 = 2;
const MOST_KEEP_ABANDONED_DAYS: u64 = 3_650;

/// How Stripe is asked.
#[derive(Debug, Args)]
pub(super) struct StripeFlags {
    /// The secret key of Stripe's API. Other users of the machine can see flags: give it in the environment or in a file.
    #[arg(long, value_name = "KEY", env = "STRIPE_SECRET_KEY", hide_env_values = true)]
    stripe_secret_key: Option<SecretString>,
    /// A file that holds that key; it is read again when it changes.
    #[arg(long, value_name = "FILE", env = "STRIPE_SECRET_KEY_FILE")]
    stripe_secret_key_file: Option<PathBuf>,
    /// Where Stripe's API is; another address than Stripe's own is for a simulator.
    #[arg(long, value_name = "URL", env = "STRIPE_API_URL", default_value = "https://api.stripe.com")]
    stripe_api_url: String,
    /// How many requests Stripe is sent in a second.
    #[arg(long, value_name = "COUNT", env = "STRIPE_REQUESTS_PER_S", default_value = "25")]
    stripe_requests_per_s: String,
    /// How long Stripe may take for an answer, in milliseconds.
    #[arg(long, value_name = "MS", env = "STRIPE_TIMEOUT_MS", default_value = "10000")]
    stripe_timeout_ms: String,
}

#[derive(Debug, Args)]
pub(super) struct ServiceFlags {
    #[command(flatten)]
    database: DatabaseFlags,
    #[command(flatten)]
    stripe: StripeFlags,
    /// What Stripe signs its events with; several, separated by commas, while it is changed.
    #[arg(long, value_name = "SECRETS", env = "STRIPE_WEBHOOK_SECRET", hide_env_values = true)]
    stripe_webhook_secret: Option<SecretString>,
    /// A file that holds them.
    #[arg(long, value_name = "FILE", env = "STRIPE_WEBHOOK_SECRET_FILE")]
    stripe_webhook_secret_file: Option<PathBuf>,
    /// The key that pages give to Stripe's script. It is told to them with what they need to pay.
    #[arg(long, value_name = "KEY", env = "STRIPE_PUBLISHABLE_KEY")]
    stripe_publishable_key: Option<String>,
    /// The Redis that keeps carts: redis://host:6379, or rediss:// for TLS. Without one, the database does.
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<SecretString>,
    /// A file that holds the URL of Redis.
    #[arg(long, value_name = "FILE", env = "REDIS_URL_FILE")]
    redis_url_file: Option<PathBuf>,
    /// The topic of Event Grid's that events are told to. Without one, they are only logged.
    #[arg(long, value_name = "URL", env = "EVENT_GRID_URL")]
    event_grid_url: Option<String>,
    /// The key of that topic.
    #[arg(long, value_name = "KEY", env = "EVENT_GRID_KEY", hide_env_values = true)]
    event_grid_key: Option<SecretString>,
    /// A file that holds that key.
    #[arg(long, value_name = "FILE", env = "EVENT_GRID_KEY_FILE")]
    event_grid_key_file: Option<PathBuf>,
    /// What events name as their source.
    #[arg(long, value_name = "TEXT", env = "EVENT_SOURCE", default_value = "/vitrine/checkout")]
    event_source: String,
    /// The edge that prices are asked of.
    #[arg(long, value_name = "URL", env = "EDGE_URL", default_value = "http://127.0.0.1:8080")]
    edge_url: String,
    /// A file of names and hashes of tokens, as 'checkout token new' makes them. Without one, nobody is staff.
    #[arg(long, value_name = "FILE", env = "CHECKOUT_STAFF_TOKENS")]
    staff_tokens: Option<PathBuf>,
    /// How long prices and stock are kept for a checkout, in milliseconds; a minute at the least.
    #[arg(long, value_name = "MS", env = "CHECKOUT_HOLD_MS", default_value = "900000")]
    hold_ms: String,
    /// How long a cart is kept after its last change, in seconds.
    #[arg(long, value_name = "SECONDS", env = "CHECKOUT_CART_TTL", default_value = "2592000")]
    cart_ttl: String,
    /// How long a checkout is kept that expired or was cancelled without an order, in days.
    #[arg(long, value_name = "DAYS", env = "CHECKOUT_KEEP_ABANDONED_DAYS", default_value = "90")]
    keep_abandoned_days: String,
    /// When the books are compared with Stripe's every day, in UTC; 'never' for never.
    #[arg(long, value_name = "HH:MM", env = "CHECKOUT_RECONCILE_AT", default_value = "03:30")]
    reconcile_at: String,
    /// The public address.
    #[arg(long, value_name = "ADDRESS", env = "CHECKOUT_LISTEN", default_value = "127.0.0.1:8090")]
    listen: String,
    /// The address of /livez, /readyz and /metrics; keep it private.
    #[arg(long, value_name = "ADDRESS", env = "CHECKOUT_ADMIN_LISTEN", default_value = "127.0.0.1:8091")]
    admin_listen: String,
    /// An origin that pages may call from; * for any. Repeatable; in the environment, separate several by commas.
    #[arg(long = "cors-origin", value_name = "ORIGIN", env = "CHECKOUT_CORS_ORIGINS", value_delimiter = ',')]
    cors_origins: Vec<String>,
    /// An origin that a 'return_url' may lead to. Repeatable; in the environment, separate several by commas. Without one,
    /// those of --cors-origin that are named; where there is none, every 'return_url' is refused.
    #[arg(long = "return-origin", value_name = "ORIGIN", env = "CHECKOUT_RETURN_ORIGINS", value_delimiter = ',')]
    return_origins: Vec<String>,
    /// How many requests are worked on at once; more are turned away with 503, and what begins something new where they are
    /// half as many.
    #[arg(long, value_name = "COUNT", env = "CHECKOUT_MAX_IN_FLIGHT", default_value = "256")]
    max_in_flight: String,
    /// How many connections are held open at once.
    #[arg(long, value_name = "COUNT", env = "CHECKOUT_MAX_CONNECTIONS", default_value = "10000")]
    max_connections: String,
    /// How long to go on answering after SIGTERM, in milliseconds, while the balancer takes note.
    #[arg(long, value_name = "MS", env = "CHECKOUT_DRAIN_MS", default_value = "10000")]
    drain_ms: String,
}

/// Settings that can be used as they are.
#[derive(Clone, Debug)]
pub struct Config {
    pub database: Database,
    pub stripe: Stripe,
    pub webhook_secrets: Vec<SecretString>,
    pub publishable_key: Option<String>,
    /// None: the database keeps carts.
    pub redis_url: Option<SecretString>,
    /// None: events are only logged.
    pub events: Option<EventGrid>,
    pub edge_url: Url,
    pub staff_tokens: Option<PathBuf>,
    pub hold_ms: i64,
    pub cart_ttl_ms: i64,
    pub keep_abandoned_ms: i64,
    pub reconcile_at: Option<jiff::civil::Time>,
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub cors_origins: Vec<String>,
    /// Origins that a shopper may be sent to after paying.
    pub return_origins: Vec<String>,
    pub max_in_flight: usize,
    pub max_connections: usize,
    pub drain: Duration,
}

#[derive(Clone, Debug)]
pub struct Stripe {
    pub api_url: String,
    pub secret_key: KeySource,
    pub requests_per_s: u32,
    pub timeout_ms: u64,
}

#[derive(Clone, Debug)]
pub struct EventGrid {
    pub url: String,
    pub key: SecretString,
    pub source: String,
}

impl StripeFlags {
    pub(super) fn resolve(self, faults: &mut Faults) -> Option<Stripe> {
        let file = self.stripe_secret_key_file.filter(|path| !path.as_os_str().is_empty());
        let key = faults.secret("--stripe-secret-key", self.stripe_secret_key, file.as_deref());
        let url = faults.url("--stripe-api-url", &self.stripe_api_url);
        let requests_per_s = faults.number("--stripe-requests-per-s", &self.stripe_requests_per_s, 1, 10_000) as u32;
        let timeout_ms = faults.number("--stripe-timeout-ms", &self.stripe_timeout_ms, 100, 25_000);
        if key.as_ref().is_some_and(|key| !is_visible(key.expose_secret())) {
            faults.add("--stripe-secret-key", "is not one line of visible ASCII characters");
        }
        let Some(key) = key else {
            if file.is_none() {
                faults.add("--stripe-secret-key", "is missing");
            }
            return None;
        };
        let url = url?;
        if !is_for_tests(key.expose_secret()) && url.scheme() != "https" {
            faults.add("--stripe-api-url", "a key that is not for tests is only sent over https://");
        }
        let secret_key = file.map_or(KeySource::Fixed(key), KeySource::File);
        let api_url = self.stripe_api_url.trim_end_matches('/').to_owned();
        Some(Stripe { api_url, secret_key, requests_per_s, timeout_ms })
    }
}

impl ServiceFlags {
    pub(super) fn resolve(self, faults: &mut Faults) -> Option<Config> {
        let database = self.database.resolve(faults);
        let stripe = self.stripe.resolve(faults);
        let webhook_secrets =
            webhook_secrets(self.stripe_webhook_secret, self.stripe_webhook_secret_file.as_deref(), faults);
        let publishable_key = filled(self.stripe_publishable_key);
        if publishable_key.as_ref().is_some_and(|key| !key.starts_with("pk_")) {
            faults.add("--stripe-publishable-key", "does not begin with pk_, and would be told to every page");
        }
        let redis_url = faults.secret("--redis-url", self.redis_url, self.redis_url_file.as_deref());
        if let Some(Err(error)) = redis_url.as_ref().map(Hints::new) {
            faults.add("--redis-url", error);
        }
        let key = faults.secret("--event-grid-key", self.event_grid_key, self.event_grid_key_file.as_deref());
        let events = events(filled(self.event_grid_url), key, self.event_source, faults);
        let edge_url = faults.url("--edge-url", &self.edge_url);
        let hold_ms = faults.number("--hold-ms", &self.hold_ms, MINUTE_MS, DAY_MS) as i64;
        let cart_ttl_s = faults.number("--cart-ttl", &self.cart_ttl, 60, YEAR_S) as i64;
        let keep_abandoned_days = faults.number(
            "--keep-abandoned-days",
            &self.keep_abandoned_days,
            LEAST_KEEP_ABANDONED_DAYS,
            MOST_KEEP_ABANDONED_DAYS,
        );
        let reconcile_at = faults.noted(reconcile_at(&self.reconcile_at)).flatten();
        let listen = faults.address("--listen", &self.listen);
        let admin_listen = faults.address("--admin-listen", &self.admin_listen);
        let cors_origins: Vec<String> = self.cors_origins.into_iter().filter(|origin| !origin.is_empty()).collect();
        if let Err(fault) = Cors::new(&cors_origins) {
            faults.add("--cors-origin", fault);
        }
        let return_origins = return_origins(self.return_origins, &cors_origins, faults);
        let staff_tokens = self.staff_tokens.filter(|path| !path.as_os_str().is_empty());
        check_staff(staff_tokens.as_deref(), faults);
        let max_in_flight = faults.number("--max-in-flight", &self.max_in_flight, 1, 100_000) as usize;
        let max_connections = faults.number("--max-connections", &self.max_connections, 1, 1_000_000) as usize;
        let drain = Duration::from_millis(faults.number("--drain-ms", &self.drain_ms, 0, 600_000));
        Some(Config {
            database,
            stripe: stripe?,
            webhook_secrets,
            publishable_key,
            redis_url,
            events,
            edge_url: edge_url?,
            staff_tokens,
            hold_ms,
            cart_ttl_ms: cart_ttl_s * 1_000,
            keep_abandoned_ms: (keep_abandoned_days * DAY_MS) as i64,
            reconcile_at,
            listen,
            admin_listen,
            cors_origins,
            return_origins,
            max_in_flight,
            max_connections,
            drain,
        })
    }
}

fn webhook_secrets(given: Option<SecretString>, file: Option<&Path>, faults: &mut Faults) -> Vec<SecretString> {
    let known = faults.0.len();
    let secret = faults.secret("--stripe-webhook-secret", given, file);
    let secrets = secret.map(|secrets| several(&secrets)).unwrap_or_default();
    // An empty one is none, and a file at fault was told already.
    if secrets.is_empty() && faults.0.len() == known {
        faults.add("--stripe-webhook-secret", "is missing: Stripe's events could not be told from forged ones");
    }
    if secrets.iter().any(|secret| !is_visible(secret.expose_secret())) {
        faults.add("--stripe-webhook-secret", "has other than visible ASCII characters; separate several by commas");
    }
    secrets
}

/// Whether a text can stand in a header as it is.
fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Secrets that are separated by commas.
fn several(secrets: &SecretString) -> Vec<SecretString> {
    let parts = secrets.expose_secret().split(',').map(str::trim).filter(|secret| !secret.is_empty());
    parts.map(SecretString::from).collect()
}

fn events(url: Option<String>, key: Option<SecretString>, source: String, faults: &mut Faults) -> Option<EventGrid> {
    match (url, key) {
        (Some(url), Some(key)) => {
            if !is_visible(key.expose_secret()) {
                faults.add("--event-grid-key", "is not one line of visible ASCII characters");
            }
            if !is_visible(&source) {
                faults.add("--event-source", "is empty, or has other than visible ASCII characters");
            }
            faults.url("--event-grid-url", &url)?;
            Some(EventGrid { url, key, source })
        }
        (None, None) => None,
        (Some(_), None) => {
            faults.add("--event-grid-key", "is missing beside --event-grid-url");
            None
        }
        (None, Some(_)) => {
            faults.add("--event-grid-url", "is missing beside --event-grid-key");
            None
        }
    }
}

fn reconcile_at(text: &str) -> Result<Option<jiff::civil::Time>, String> {
    match text {
        "never" => Ok(None),
        text => match jiff::civil::Time::strptime("%H:%M", text) {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err(format!("--reconcile-at: '{text}' is no time such as 03:30, nor 'never'")),
        },
    }
}

/// Pages that may call are the shop's own, so that a shopper may be sent there. That any page may call is no word on that.
fn return_origins(given: Vec<String>, callers: &[String], faults: &mut Faults) -> Vec<String> {
    let named: Vec<String> = given.into_iter().filter(|origin| !origin.is_empty()).collect();
    if let Some(text) = named.iter().find(|text| !is_origin(text)) {
        faults.add("--return-origin", format!("'{text}' is no origin"));
    }
    match named.is_empty() {
        true => callers.iter().filter(|origin| *origin != "*").cloned().collect(),
        false => named,
    }
}

fn check_staff(path: Option<&Path>, faults: &mut Faults) {
    if let Err(error) = crate::staff::Staff::read(path.map(Path::to_path_buf)) {
        faults.add("--staff-tokens", error);
    }
}
