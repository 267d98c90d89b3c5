//! A simulator inside another process: tests start it, ask it, break it and bring it back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::control::{self, Pay};
use crate::error::ApiError;
use crate::faults::{Fault, FaultStatus};
use crate::ledger::Ledger;
use crate::server::{self, Phase};
use crate::settings::{Settings, WebhookTarget};
use crate::shared::Shared;
use crate::state::{Data, MAX_WEBHOOKS, State};
use crate::state_file::{self, StateError};
use crate::webhook_queue::{DeliveryOrder, WebhookCounts, WebhookPlan};
use crate::webhooks;

/// How often the clock is looked at when nobody calls.
const TICK: Duration = Duration::from_millis(50);

/// A Stripe for tests. It ends when it is dropped.
pub struct Sim {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Whether the public URL follows the address.
    is_url_own: bool,
    running: Option<Running>,
}

/// What was asked for by a test is not possible now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// The tasks of a simulator that serves.
struct Running {
    phase: watch::Sender<Phase>,
    server: JoinHandle<()>,
    helpers: Vec<JoinHandle<()>>,
}

impl Sim {
    /// Serves on `listener`, from within a runtime of tokio.
    ///
    /// # Panics
    /// When the system does not tell the listener's address, or has no TLS for webhooks: then no test makes sense.
    pub fn start(settings: Settings, listener: TcpListener) -> Self {
        Self::launch(settings, listener, Data::default(), None)
    }

    /// The same with the state that `file` holds, if there is one. It is written there once a second while it changes,
    /// and by `drain`.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// As `start` does.
    pub fn start_with_state(settings: Settings, listener: TcpListener, file: &Path) -> Result<Self, StateError> {
        Ok(Self::launch(settings, listener, state_file::read(file)?, Some(file)))
    }

    /// The address as a URL, without a slash at its end.
    pub fn url(&self) -> String {
        self.shared.lock().public_url.clone()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn ledger(&self) -> Ledger {
        let mut state = self.shared.lock();
        state.do_what_is_due();
        Ledger::of(&state)
    }

    /// Adds a line to the fault script.
    ///
    /// # Errors
    /// When `on` cannot be understood, or the script is full.
    pub fn set_fault(&self, fault: Fault) -> Result<(), Refused> {
        self.shared.lock().faults.add(fault).map_err(Refused)
    }

    pub fn faults(&self) -> Vec<FaultStatus> {
        self.shared.lock().faults.status()
    }

    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Adds an endpoint for events; `secret` is what they are signed with.
    ///
    /// # Errors
    /// When there are too many.
    pub fn add_webhook(&self, url: &str, secret: &str) -> Result<(), Refused> {
        let mut state = self.shared.lock();
        if state.targets.len() >= MAX_WEBHOOKS {
            return Err(Refused(format!("there are {MAX_WEBHOOKS} endpoints already")));
        }
        state.targets.push(WebhookTarget { url: url.to_owned(), secret: secret.to_owned() });
        Ok(())
    }

    pub fn set_webhooks(&self, plan: WebhookPlan) {
        self.shared.lock().webhooks.plan = plan;
    }

    pub fn webhook_counts(&self) -> WebhookCounts {
        self.shared.lock().webhooks.counts()
    }

    /// Delivers what is held, each once or `times` times, one after the other.
    pub async fn deliver(&self, order: DeliveryOrder, seed: u64, times: u32) {
        let released = self.shared.lock().webhooks.release(order, seed, times);
        webhooks::deliver_in_order(&self.shared, released).await;
    }

    /// None for no limit.
    pub fn set_rate_limit(&self, limit_per_s: Option<u32>) {
        self.shared.lock().tuning.rate_limit_per_s = limit_per_s.filter(|limit| *limit > 0);
    }

    pub fn set_latency(&self, latency_ms: u64) {
        self.shared.lock().tuning.latency_ms = latency_ms;
    }

    pub fn set_settle_after(&self, settle_after_s: u64) {
        self.shared.lock().tuning.settle_after_s = settle_after_s;
    }

    /// Moves the clock forward.
    pub fn advance(&self, by_s: u32) {
        self.change(|state| state.advance(by_s));
    }

    /// Pays an intent as the shopper's browser would. A payment that is declined is no error; see the ledger.
    pub fn pay_intent(&self, id: &str, payment_method: &str, authenticate: Option<bool>) {
        // What the ledger shows says more than the error of one attempt.
        let _ = self.change(|state| control::pay_intent(state, id, &Pay::with(payment_method, authenticate)));
    }

    /// The same on the page of a Checkout session.
    pub fn pay_session(&self, id: &str, payment_method: &str, authenticate: Option<bool>) {
        let _ = self.change(|state| control::pay_session(state, id, &Pay::with(payment_method, authenticate)));
    }

    /// Settles a payment that takes its time.
    ///
    /// # Errors
    /// When it is not being processed.
    pub fn settle_intent(&self, id: &str, succeeds: bool) -> Result<(), Refused> {
        self.change(|state| state.settle_intent(id, Some(succeeds))).map_err(Refused::from)
    }

    /// # Errors
    /// When it cannot be settled so.
    pub fn settle_refund(&self, id: &str, succeeds: bool) -> Result<(), Refused> {
        self.change(|state| state.settle_refund(id, succeeds)).map_err(Refused::from)
    }

    /// Opens a dispute over a charge, and gives its id.
    ///
    /// # Errors
    /// When the charge took no money.
    pub fn dispute(&self, charge: &str, reason: &str) -> Result<String, Refused> {
        self.change(|state| state.open_dispute(charge, reason)).map_err(Refused::from)
    }

    /// # Errors
    /// When it is closed already.
    pub fn close_dispute(&self, id: &str, is_won: bool) -> Result<(), Refused> {
        self.change(|state| state.close_dispute(id, is_won)).map_err(Refused::from)
    }

    /// An object as the API shows it, by its id; null where there is none.
    pub fn object(&self, id: &str) -> Value {
        let state = self.shared.lock();
        match id.split_once('_').map_or("", |(prefix, _)| prefix) {
            "pi" => state.intent_json(id),
            "ch" | "py" => state.charge_json(id),
            "re" | "pyr" => state.refund_json(id),
            "cs" => state.session_json(id),
            "dp" => state.dispute_json(id),
            "txn" => state.transaction_json(id),
            _ => Value::Null,
        }
    }

    /// An outage: nothing listens any more, and every connection is gone. The state stays. Work that had begun is
    /// still done.
    pub async fn stop(&mut self) {
        self.end(Phase::Cut).await;
    }

    /// Serves again, with the state as it was. Does nothing while it serves.
    ///
    /// # Panics
    /// When the system does not tell the listener's address.
    pub fn restart(&mut self, listener: TcpListener) {
        if self.running.is_some() {
            return;
        }
        self.address = listener.local_addr().expect("a listener has an address");
        if self.is_url_own {
            self.shared.lock().public_url = own_url(self.address);
        }
        self.running = Some(run(&self.shared, listener));
    }

    /// Ends in order: open requests are answered, and the state is written.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn drain(&mut self) -> Result<(), StateError> {
        self.end(Phase::Draining).await;
        state_file::write_if_changed(&self.shared)
    }

    fn launch(settings: Settings, listener: TcpListener, data: Data, file: Option<&Path>) -> Self {
        let address = listener.local_addr().expect("a listener has an address");
        let mut state = State::new(&settings, data);
        let is_url_own = state.public_url.is_empty();
        if is_url_own {
            state.public_url = own_url(address);
        }
        let http = webhooks::client().expect("a client for webhooks");
        let shared = Arc::new(Shared::new(state, settings.api_keys, http, file.map(Path::to_owned)));
        let running = Some(run(&shared, listener));
        Self { shared, address, is_url_own, running }
    }

    /// Changes the state on behalf of the shopper, a bank or the clock, and lets the events of it be delivered.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.lock();
        state.do_what_is_due();
        let result = change(&mut state);
        state.take_made(false);
        drop(state);
        self.shared.deliver.notify_one();
        result
    }

    async fn end(&mut self, phase: Phase) {
        let Some(running) = self.running.take() else { return };
        let _ = running.phase.send(phase);
        let _ = running.server.await;
        running.helpers.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // The server ends by itself when nobody can tell it anything any more.
        if let Some(running) = &self.running {
            running.helpers.iter().for_each(JoinHandle::abort);
        }
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self(error.message().to_owned())
    }
}

fn run(shared: &Arc<Shared>, listener: TcpListener) -> Running {
    let (phase, seen) = watch::channel(Phase::Serving);
    let server = tokio::spawn(server::serve(shared.clone(), listener, seen));
    let mut helpers = vec![tokio::spawn(webhooks::deliver_all(shared.clone())), tokio::spawn(tick(shared.clone()))];
    if shared.state_file.is_some() {
        helpers.push(tokio::spawn(state_file::keep_writing(shared.clone())));
    }
    Running { phase, server, helpers }
}

/// Lets the clock do what is due, even when nobody calls.
async fn tick(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(TICK).await;
        do_what_is_due(&shared);
    }
}

fn do_what_is_due(shared: &Shared) {
    let mut state = shared.lock();
    state.do_what_is_due();
    state.take_made(false);
    drop(state);
    shared.deliver.notify_one();
}

/// How this machine reaches an address: one that stands for all interfaces is reached by the loopback.
fn own_url(address: SocketAddr) -> String {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
