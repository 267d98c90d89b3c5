//! Flags and environment. Nothing else in the edge reads either; every fault is reported at once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use secrecy::{ExposeSecret, SecretString};
use snapshots::{ChannelName, Hints, Place, RegionName, StatusBoard, Store, Trust, azure_settings, secret_of};

use crate::preview_key::PreviewKey;
use crate::status::StatusSettings;
use crate::tls::TlsFiles;

/// A shorter key could be guessed.
const MIN_EVENT_KEY_BYTES: usize = 16;

/// Serves catalogue and search from the newest snapshot of each market.
#[derive(Debug, Parser)]
#[command(name = "edge", version, max_term_width = 100)]
pub struct Cli {
    /// A market and the store that its snapshots come from: NAME=URL, where URL is file:///folder or
    /// az://container/prefix. With NAME:CATALOGUE=URL, nothing is served but snapshots of the catalogue that is called so in
    /// its settings; --trust needs that, since one key may sign for several markets. Repeatable; the first is served where a
    /// request names none. In the environment, separate several by commas.
    #[arg(
        long = "market",
        value_name = "NAME[:CATALOGUE]=URL",
        env = "VITRINE_MARKETS",
        value_delimiter = ',',
        required = true
    )]
    markets: Vec<String>,
    /// The channel to follow.
    #[arg(long, env = "VITRINE_CHANNEL", default_value = "live")]
    channel: String,
    /// The region that this node stands in; its pin is heeded, and its name is told.
    #[arg(long, env = "VITRINE_REGION", default_value = "local")]
    region: String,
    /// The node's name among those of its region; made of the machine's name and the public port where it is not given.
    #[arg(long, env = "VITRINE_NODE")]
    node: Option<String>,
    /// Where the node tells what it serves: a store of its own, which 'indexer status' and 'publish --wait' read. Where it is
    /// of another account than the markets' stores, that one is told by variables with STATUS_ before their names.
    #[arg(long, value_name = "URL", env = "VITRINE_STATUS_STORE")]
    status_store: Option<String>,
    /// A file of public keys, as PEM: only what one of them has signed is served. Repeatable; several are trusted while keys
    /// are changed.
    #[arg(long = "trust", value_name = "FILE", env = "VITRINE_TRUST", value_delimiter = ',')]
    trust: Vec<PathBuf>,
    /// The folder that downloaded objects are kept in; one process uses it at a time.
    #[arg(long, value_name = "FOLDER", env = "VITRINE_CACHE_DIR", default_value = "edge-cache")]
    cache_dir: PathBuf,
    /// The public address.
    #[arg(long, value_name = "ADDRESS", env = "VITRINE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: String,
    /// The certificate chain to speak TLS with on the public port, as PEM. It is taken up again when the file changes.
    #[arg(long, value_name = "FILE", env = "VITRINE_TLS_CERTIFICATE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(long, value_name = "FILE", env = "VITRINE_TLS_KEY", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The address of /livez, /readyz and /metrics; keep it private.
    #[arg(long, value_name = "ADDRESS", env = "VITRINE_ADMIN_LISTEN", default_value = "127.0.0.1:8081")]
    admin_listen: String,
    /// How often a channel is asked whether it moved, in milliseconds.
    #[arg(long, value_name = "MS", env = "VITRINE_POLL_INTERVAL_MS", default_value = "5000")]
    poll_interval_ms: String,
    /// The Redis that tells at once when a channel moved: redis://host:6379, or rediss:// for TLS. Polling goes on.
    #[arg(long, value_name = "URL", env = "VITRINE_REDIS_URL", hide_env_values = true)]
    redis_url: Option<SecretString>,
    /// A file that holds the URL of Redis.
    #[arg(long, value_name = "FILE", env = "VITRINE_REDIS_URL_FILE")]
    redis_url_file: Option<PathBuf>,
    /// The key that Event Grid shows at /events/blob, which is off without one. Other users of the machine can see
    /// flags: give it in the environment or in a file.
    #[arg(long, value_name = "KEY", env = "VITRINE_EVENT_KEY", hide_env_values = true)]
    event_key: Option<SecretString>,
    /// A file that holds that key.
    #[arg(long, value_name = "FILE", env = "VITRINE_EVENT_KEY_FILE")]
    event_key_file: Option<PathBuf>,
    /// How many requests are worked on at once; more are turned away with 503.
    #[arg(long, value_name = "COUNT", env = "VITRINE_MAX_IN_FLIGHT", default_value = "256")]
    max_in_flight: String,
    /// How many connections are held open at once. Where another one comes, those are cut that have waited longest for
    /// something to answer, or for an answer to be read: a second at the least.
    #[arg(long, value_name = "COUNT", env = "VITRINE_MAX_CONNECTIONS", default_value = "10000")]
    max_connections: String,
    /// How much memory answers may take that clients have not read yet, in MiB; more are turned away with 503. The first
    /// 64 KiB of each connection are not counted.
    #[arg(long, value_name = "MIB", env = "VITRINE_MAX_UNREAD_MIB", default_value = "256")]
    max_unread_mib: String,
    /// How much memory answers take that may be given again, for each market, in MiB; 0 for none.
    #[arg(long, value_name = "MIB", env = "VITRINE_RESULT_CACHE_MIB", default_value = "64")]
    result_cache_mib: String,
    /// The key that opens previews of any snapshot, 16 to 256 characters; without one, there are no previews. Whoever lists
    /// processes sees a flag, so that the environment or a file is the better place.
    #[arg(long, value_name = "KEY", env = "VITRINE_PREVIEW_KEY", hide_env_values = true)]
    preview_key: Option<SecretString>,
    /// The file that holds that key.
    #[arg(long, value_name = "FILE", env = "VITRINE_PREVIEW_KEY_FILE")]
    preview_key_file: Option<PathBuf>,
    /// How large the snapshots may be together that are open for previews, in MiB.
    #[arg(long, value_name = "MIB", env = "VITRINE_PREVIEW_MEMORY_MIB", default_value = "2048")]
    preview_memory_mib: String,
    /// How long to go on answering after SIGTERM, in milliseconds, while the balancer takes note.
    #[arg(long, value_name = "MS", env = "VITRINE_DRAIN_MS", default_value = "10000")]
    drain_ms: String,
    /// The origin that pages may call from; * for any.
    #[arg(long, value_name = "ORIGIN", env = "VITRINE_CORS_ORIGIN", default_value = "*")]
    cors_origin: String,
    /// A folder of pictures to serve under /pictures/, for demos; shops have a CDN for that.
    #[arg(long, value_name = "FOLDER", env = "VITRINE_PICTURES")]
    pictures: Option<PathBuf>,
    /// Which events are logged, as `tracing` filters write it.
    #[arg(long, value_name = "FILTER", env = "VITRINE_LOG", default_value = "info")]
    log: String,
    /// Do not log a line for each request.
    #[arg(long, env = "VITRINE_NO_ACCESS_LOG", value_parser = clap::builder::BoolishValueParser::new())]
    no_access_log: bool,
}

/// Settings that can be used as they are.
#[derive(Clone, Debug)]
pub struct Config {
    pub markets: Vec<Market>,
    pub channel: ChannelName,
    pub place: Place,
    /// None where the node keeps to itself.
    pub status: Option<StatusSettings>,
    pub cache_dir: PathBuf,
    pub listen: SocketAddr,
    /// None for plain HTTP.
    pub tls: Option<TlsFiles>,
    pub admin_listen: SocketAddr,
    pub poll_interval: Duration,
    /// None: announcements are seen by polling alone.
    pub redis: Option<Hints>,
    pub event_key: Option<SecretString>,
    pub max_in_flight: usize,
    pub max_connections: usize,
    pub max_unread_bytes: usize,
    pub result_cache_bytes: usize,
    /// None where previews are off.
    pub preview_key: Option<PreviewKey>,
    pub preview_bytes: u64,
    pub drain: Duration,
    pub cors_origin: String,
    pub pictures: Option<PathBuf>,
    pub log: String,
    pub access_log: bool,
}

/// A catalogue that is served under a name.
#[derive(Clone, Debug)]
pub struct Market {
    pub name: String,
    pub store: Store,
}

impl Cli {
    /// # Errors
    /// Lists every setting that is at fault.
    pub fn resolve(self) -> Result<Config, Vec<String>> {
        let mut faults = Vec::new();
        let azure = azure_settings(std::env::vars(), None);
        let trust = trust(&self.trust).unwrap_or_else(|fault| {
            faults.push(format!("--trust: {fault}"));
            None
        });
        let mut markets: Vec<Market> = Vec::new();
        for text in &self.markets {
            match market(text, &azure, trust.as_ref()) {
                Ok(market) if markets.iter().any(|other| other.name == market.name) => {
                    faults.push(format!("--market: '{}' stands twice", market.name));
                }
                Ok(market) => markets.push(market),
                Err(fault) => faults.push(format!("--market: {fault}")),
            }
        }
        let mut number = |flag: &str, text: &str, least: u64, most: u64| match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                faults.push(format!("{flag}: '{text}' is not a number from {least} to {most}"));
                least
            }
        };
        let poll_interval_ms = number("--poll-interval-ms", &self.poll_interval_ms, 10, 3_600_000);
        let max_in_flight = number("--max-in-flight", &self.max_in_flight, 1, 100_000);
        let max_connections = number("--max-connections", &self.max_connections, 1, 1_000_000);
        let max_unread_mib = number("--max-unread-mib", &self.max_unread_mib, 1, 65_536);
        let result_cache_mib = number("--result-cache-mib", &self.result_cache_mib, 0, 65_536);
        let preview_memory_mib = number("--preview-memory-mib", &self.preview_memory_mib, 1, 1 << 20);
        let drain_ms = number("--drain-ms", &self.drain_ms, 0, 600_000);
        let mut address = |flag: &str, text: &str| {
            text.parse().unwrap_or_else(|_| {
                faults.push(format!("{flag}: '{text}' is no address such as 127.0.0.1:8080"));
                SocketAddr::from(([127, 0, 0, 1], 0))
            })
        };
        let listen = address("--listen", &self.listen);
        let admin_listen = address("--admin-listen", &self.admin_listen);
        let channel = self.channel.parse().unwrap_or_else(|error| {
            faults.push(format!("--channel: {error}"));
            ChannelName::live()
        });
        let region: Option<RegionName> =
            self.region.parse().map_err(|error| faults.push(format!("--region: {error}"))).ok();
        let node = self.node.unwrap_or_else(|| format!("{}-{}", machine_name(), listen.port()));
        if node.is_empty() || node.len() > 128 || !node.chars().all(is_plain_in_node) {
            faults.push(format!("--node: '{node}' is not 1 to 128 letters, digits, '.', '-' and '_'"));
        }
        let status_azure = azure_settings(std::env::vars(), Some(StatusBoard::ACCOUNT));
        let board = self.status_store.as_ref().map(|url| Store::create(url, &status_azure)).transpose();
        let board = board.unwrap_or_else(|error| {
            faults.push(format!("--status-store: {error}"));
            None
        });
        let redis = secret("--redis-url", self.redis_url, self.redis_url_file.as_deref()).and_then(open_redis);
        let redis = noted(redis, &mut faults);
        let event_key = secret("--event-key", self.event_key, self.event_key_file.as_deref()).and_then(check_key);
        let event_key = noted(event_key, &mut faults);
        if hyper::header::HeaderValue::from_str(&self.cors_origin).is_err() {
            faults.push(format!("--cors-origin: '{}' is no origin", self.cors_origin));
        }
        if let Some(folder) = self.pictures.as_ref().filter(|folder| !folder.is_dir()) {
            faults.push(format!("--pictures: {} is no folder", folder.display()));
        }
        if let Err(error) = self.log.parse::<tracing_subscriber::EnvFilter>() {
            faults.push(format!("--log: {error}"));
        }
        let preview_key = secret("--preview-key", self.preview_key, self.preview_key_file.as_deref())
            .and_then(|key| key.map(|key| PreviewKey::new(key.expose_secret())).transpose())
            .map_err(|fault| if fault.starts_with("--") { fault } else { format!("--preview-key: {fault}") });
        let preview_key = noted(preview_key, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let status = board.zip(region.clone()).map(|(board, region)| StatusSettings {
            board: StatusBoard::new(board),
            region,
            node: node.clone(),
            channel: self.channel,
        });
        Ok(Config {
            markets,
            channel,
            place: Place { region, node: Some(node) },
            status,
            cache_dir: self.cache_dir,
            listen,
            tls: self.tls_certificate.zip(self.tls_key).map(|(certificate, key)| TlsFiles { certificate, key }),
            admin_listen,
            poll_interval: Duration::from_millis(poll_interval_ms),
            redis,
            event_key,
            max_in_flight: max_in_flight as usize,
            max_connections: max_connections as usize,
            max_unread_bytes: (max_unread_mib as usize) << 20,
            result_cache_bytes: (result_cache_mib as usize) << 20,
            preview_key,
            preview_bytes: preview_memory_mib << 20,
            drain: Duration::from_millis(drain_ms),
            cors_origin: self.cors_origin,
            pictures: self.pictures,
            log: self.log,
            access_log: !self.no_access_log,
        })
    }
}

/// The keys that are trusted; None where nothing was said of any.
fn trust(files: &[PathBuf]) -> Result<Option<Trust>, String> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut pem = String::new();
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        pem.push_str(&text);
        pem.push('\n');
    }
    Trust::from_pem(&pem).map(Some).map_err(|error| error.to_string())
}

/// What the machine calls itself, without what stands in no name of a node.
fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    name.chars().filter(|c| is_plain_in_node(*c)).take(64).collect()
}

fn is_plain_in_node(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

fn market(text: &str, azure: &[(String, String)], trust: Option<&Trust>) -> Result<Market, String> {
    let (names, url) = text.split_once('=').ok_or_else(|| format!("'{text}' is not NAME=URL"))?;
    let (name, catalogue) = match names.split_once(':') {
        Some((name, catalogue)) => (name, Some(catalogue)),
        None => (names, None),
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    for name in std::iter::once(name).chain(catalogue) {
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(format!("the name '{name}' is not 1 to 64 of a-z, 0-9, - and _"));
        }
    }
    if trust.is_some() && catalogue.is_none() {
        // What the same key has signed for another market would be served in its place.
        return Err(format!("with --trust, say which catalogue '{name}' is of: {name}:CATALOGUE=URL"));
    }
    let store = Store::open(url, azure).map_err(|error| error.to_string())?.trusting(trust.cloned());
    Ok(Market { name: name.to_owned(), store: store.of_catalogue(catalogue.map(str::to_owned)) })
}

fn secret(flag: &str, given: Option<SecretString>, file: Option<&Path>) -> Result<Option<SecretString>, String> {
    secret_of(flag, given, file).map_err(|error| error.to_string())
}

fn open_redis(url: Option<SecretString>) -> Result<Option<Hints>, String> {
    url.map(|url| Hints::new(&url)).transpose().map_err(|error| format!("--redis-url: {error}"))
}

fn check_key(key: Option<SecretString>) -> Result<Option<SecretString>, String> {
    let is_short = key.as_ref().is_some_and(|key| key.expose_secret().len() < MIN_EVENT_KEY_BYTES);
    match is_short {
        true => Err(format!("--event-key: is shorter than {MIN_EVENT_KEY_BYTES} bytes")),
        false => Ok(key),
    }
}

/// What could be read; what could not is noted among the faults.
fn noted<T>(read: Result<Option<T>, String>, faults: &mut Vec<String>) -> Option<T> {
    read.unwrap_or_else(|fault| {
        faults.push(fault);
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &[&str]) -> Result<Config, Vec<String>> {
        let args = ["edge", "--market", "us=memory://"].iter().chain(args).copied();
        Cli::try_parse_from(args).expect("well-formed flags").resolve()
    }

    #[test]
    fn secrets_come_from_files_and_are_not_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [url, key, none, long] = ["url", "key", "none", "long"].map(|name| folder.path().join(name));
        std::fs::write(&url, "rediss://:hunter2@cache.example:6380\n").expect("a file");
        std::fs::write(&key, "0123456789abcdef\n").expect("a file");
        std::fs::write(&none, "\n").expect("a file");
        std::fs::write(&long, "0123456789abcdef".repeat(1_025)).expect("a file");
        let [url, key, none, long] = [&url, &key, &none, &long].map(|path| path.to_str().expect("a plain path"));
        let config = resolve(&["--redis-url-file", url, "--event-key-file", key]).expect("a config");
        assert_eq!(config.event_key.as_ref().map(|key| key.expose_secret()), Some("0123456789abcdef"));
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("0123456789abcdef"), "{shown}");
        assert!(config.redis.is_some());
        let config = resolve(&["--redis-url", "", "--event-key", ""]).expect("a config");
        assert!(config.redis.is_none() && config.event_key.is_none());
        let check = |args: &[&str], told: &str| {
            let faults = resolve(args).expect_err("faults");
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        };
        check(&["--redis-url", "redis://a", "--redis-url-file", url], "give one of them");
        check(&["--redis-url", "http://a"], "--redis-url: this is no URL of a Redis");
        check(&["--event-key-file", none], "is empty");
        // What did not fit was once cut off without a word.
        check(&["--event-key-file", long], "is larger than 16384 bytes");
        check(&["--event-key-file", "/nowhere"], "--event-key-file: /nowhere");
        check(&["--event-key", "short"], "shorter than 16 bytes");
    }

    #[test]
    fn whoever_trusts_a_key_says_which_catalogue_a_market_is_of() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("key.pub");
        std::fs::write(&file, snapshots::SigningKey::generate().expect("a key").1).expect("a file");
        let resolve = |markets: &str, trust: &[&str]| {
            let args = [&["edge", "--market", markets][..], trust].concat();
            Cli::try_parse_from(args).expect("well-formed flags").resolve()
        };
        let trust = ["--trust", file.to_str().expect("a plain path")];
        let faults = resolve("us:shop-us=memory://,eu=memory://", &trust).expect_err("a fault");
        assert_eq!(faults, ["--market: with --trust, say which catalogue 'eu' is of: eu:CATALOGUE=URL"]);
        let faults = resolve("us:=memory://", &[]).expect_err("a fault");
        assert!(faults.len() == 1 && faults[0].contains("the name '' is not"), "{faults:?}");
        let config = resolve("us:shop-us=memory://,eu:shop-eu=memory://", &trust).expect("a config");
        let [us, eu] = &config.markets[..] else { panic!("two markets") };
        assert_eq!((us.name.as_str(), eu.name.as_str()), ("us", "eu"));
        assert!(us.store.expects("shop-us") && !us.store.expects("shop-eu") && eu.store.expects("shop-eu"));
        assert!(resolve("us=memory://", &[]).expect("a config").markets[0].store.expects("any"));
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let args = [
            "edge",
            "--market",
            "us",
            "--market",
            "EU=memory://",
            "--listen",
            "here",
            "--max-in-flight",
            "0",
            "--channel",
            "L!",
            "--preview-key-file",
            "/dev/null",
        ];
        let faults = Cli::try_parse_from(args).expect("well-formed flags").resolve().expect_err("faults");
        assert_eq!(faults.len(), 6, "{faults:?}");
        let args = ["edge", "--market", "us=memory://,eu=memory://"];
        let config = Cli::try_parse_from(args).expect("well-formed flags").resolve().expect("a config");
        assert_eq!(config.markets.iter().map(|market| market.name.as_str()).collect::<Vec<_>>(), ["us", "eu"]);
    }
}
