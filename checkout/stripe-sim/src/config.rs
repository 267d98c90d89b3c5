//! Flags and environment of the program. Nothing else reads either; every fault is reported at once.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::settings::{API_VERSION, Settings, WebhookTarget};

/// A Stripe for tests and demos. No money moves.
#[derive(Parser)]
#[command(name = "stripe-sim", version, max_term_width = 100)]
pub struct Cli {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", env = "STRIPE_SIM_LISTEN", default_value = "127.0.0.1:12111")]
    listen: String,
    /// How browsers reach it; the address it listens on where this is absent.
    #[arg(long, value_name = "URL", env = "STRIPE_SIM_PUBLIC_URL")]
    public_url: Option<String>,
    /// Where events are delivered to. Repeatable; in the environment, separate several by commas.
    #[arg(long = "webhook", value_name = "URL", env = "STRIPE_SIM_WEBHOOKS", value_delimiter = ',')]
    webhooks: Vec<String>,
    /// What events are signed with, whsec_...: one for all endpoints, or one for each in their order. Other users of
    /// the machine can see flags; in the environment, separate several by commas.
    #[arg(
        long = "webhook-secret",
        value_name = "SECRET",
        env = "STRIPE_SIM_WEBHOOK_SECRETS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    webhook_secrets: Vec<String>,
    /// The API keys that are accepted; all keys for tests where there is none. Separate several by commas.
    #[arg(
        long = "api-key",
        value_name = "KEY",
        env = "STRIPE_SIM_API_KEYS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    api_keys: Vec<String>,
    /// How many calls a second an endpoint takes; more are answered with 429. 0 for no limit.
    #[arg(long, value_name = "COUNT", env = "STRIPE_SIM_RATE_LIMIT", default_value = "25")]
    rate_limit: String,
    /// How long each call waits before anything is done, in milliseconds.
    #[arg(long, value_name = "MS", env = "STRIPE_SIM_LATENCY_MS", default_value = "0")]
    latency_ms: String,
    /// How long banks take to settle debits and refunds, in seconds.
    #[arg(long, value_name = "SECONDS", env = "STRIPE_SIM_SETTLE_AFTER_S", default_value = "3")]
    settle_after_s: String,
    /// The version of the API that events name.
    #[arg(long, value_name = "VERSION", env = "STRIPE_SIM_API_VERSION", default_value = API_VERSION)]
    api_version: String,
    /// The file that payments are kept in over restarts.
    #[arg(long, value_name = "FILE", env = "STRIPE_SIM_STATE")]
    state: Option<PathBuf>,
    /// Which events are logged, as `tracing` filters write it.
    #[arg(long, value_name = "FILTER", env = "STRIPE_SIM_LOG", default_value = "info")]
    log: String,
}

/// Settings that can be used as they are.
pub struct Config {
    pub listen: SocketAddr,
    pub settings: Settings,
    /// None where nothing is kept.
    pub state: Option<PathBuf>,
    pub log: String,
}

impl Cli {
    /// # Errors
    /// Lists every setting that is at fault.
    pub fn resolve(self) -> Result<Config, Vec<String>> {
        let mut faults = Vec::new();
        // Templates set what is not wanted to nothing.
        let [urls, secrets, api_keys] = [self.webhooks, self.webhook_secrets, self.api_keys].map(without_empty);
        let mut number = |flag: &str, text: &str, most: u64| match text.parse::<u64>() {
            Ok(number) if number <= most => number,
            _ => {
                faults.push(format!("{flag}: '{text}' is not a number from 0 to {most}"));
                0
            }
        };
        let rate_limit_per_s = number("--rate-limit", &self.rate_limit, 1_000_000);
        let latency_ms = number("--latency-ms", &self.latency_ms, 600_000);
        let settle_after_s = number("--settle-after-s", &self.settle_after_s, 10_000_000);
        let listen = self.listen.parse().unwrap_or_else(|_| {
            faults.push(format!("--listen: '{}' is no address such as 127.0.0.1:12111", self.listen));
            SocketAddr::from(([127, 0, 0, 1], 0))
        });
        let public_url = self.public_url.filter(|url| !url.is_empty());
        let named = urls.iter().map(|url| ("--webhook", url));
        for (flag, url) in named.chain(public_url.iter().map(|url| ("--public-url", url))) {
            if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
                faults.push(format!("{flag}: '{url}' is no URL such as http://127.0.0.1:8090/webhooks"));
            }
        }
        let webhooks = targets(urls, &secrets).unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        });
        if let Err(error) = self.log.parse::<tracing_subscriber::EnvFilter>() {
            faults.push(format!("--log: {error}"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let settings = Settings {
            api_keys,
            webhooks,
            rate_limit_per_s: (rate_limit_per_s > 0).then_some(rate_limit_per_s as u32),
            latency_ms,
            settle_after_s,
            public_url,
            api_version: self.api_version,
        };
        let state = self.state.filter(|file| !file.as_os_str().is_empty());
        Ok(Config { listen, settings, state, log: self.log })
    }
}

fn without_empty(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

/// Each endpoint with its secret.
fn targets(urls: Vec<String>, secrets: &[String]) -> Result<Vec<WebhookTarget>, String> {
    if urls.is_empty() {
        return Ok(Vec::new());
    }
    if secrets.len() != 1 && secrets.len() != urls.len() {
        return Err("--webhook-secret: give one for all endpoints, or one for each".to_owned());
    }
    let secrets = secrets.iter().cycle();
    Ok(urls.into_iter().zip(secrets).map(|(url, secret)| WebhookTarget { url, secret: secret.clone() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &[&str]) -> Result<Config, Vec<String>> {
        let args = ["stripe-sim"].iter().chain(args).copied();
        Cli::try_parse_from(args).expect("well-formed flags").resolve()
    }

    #[test]
    fn one_secret_serves_all_endpoints() {
        let args = ["--webhook", "http://a/1", "--webhook", "http://b/2", "--webhook-secret", "whsec_a"];
        let config = resolve(&args).unwrap_or_else(|faults| panic!("{faults:?}"));
        let targets: Vec<_> =
            config.settings.webhooks.iter().map(|target| (target.url.as_str(), target.secret.as_str())).collect();
        assert_eq!(targets, [("http://a/1", "whsec_a"), ("http://b/2", "whsec_a")]);
        assert_eq!(config.settings.rate_limit_per_s, Some(25), "as Stripe has it");
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let args = ["--listen", "here", "--rate-limit", "many", "--webhook", "ftp://a", "--public-url", "shop"];
        let Err(faults) = resolve(&args) else { panic!("faults were expected") };
        assert_eq!(faults.len(), 5, "{faults:?}");
    }
}
