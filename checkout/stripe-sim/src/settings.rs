//! How a simulator behaves from its start. Most of it can be changed later through `/sim`.

/// The version of Stripe's API that answers are shaped after.
pub const API_VERSION: &str = "2026-09-30.endive";
/// How long a bank takes to settle a debit, unless something else is said.
pub const DEFAULT_SETTLE_AFTER_S: u64 = 3;

/// What a simulator is started with.
#[derive(Clone)]
pub struct Settings {
    /// The keys that are accepted. Empty: every key that begins as a test key does.
    pub api_keys: Vec<String>,
    pub webhooks: Vec<WebhookTarget>,
    /// Requests a second to one endpoint; more are answered with 429. None for no limit.
    pub rate_limit_per_s: Option<u32>,
    /// How long each API call waits before it does anything.
    pub latency_ms: u64,
    /// How long late payment methods and pending refunds take, by the simulator's clock.
    pub settle_after_s: u64,
    /// How browsers reach the simulator; made of the address it listens on where it is not given.
    pub public_url: Option<String>,
    /// What events and answers name as their version.
    pub api_version: String,
}

/// Where events are delivered to.
#[derive(Clone)]
pub struct WebhookTarget {
    pub url: String,
    /// What deliveries are signed with, as `whsec_...`.
    pub secret: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_keys: Vec::new(),
            webhooks: Vec::new(),
            rate_limit_per_s: None,
            latency_ms: 0,
            settle_after_s: DEFAULT_SETTLE_AFTER_S,
            public_url: None,
            api_version: API_VERSION.to_owned(),
        }
    }
}
