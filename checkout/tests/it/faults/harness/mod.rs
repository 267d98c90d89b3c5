//! A world of its own for each test: a database, an edge, Stripe, a subscriber, and the checkout as real processes that can
//! be killed.

pub mod client;
pub mod door;
pub mod edge;
pub mod process;
pub mod servers;
mod serving;
pub mod shop;
pub mod stripe;
pub mod subscriber;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use test_servers::Postgres;
use tokio::sync::{Semaphore, SemaphorePermit};

use client::{Client, Places};
use door::Door;
use edge::Edge;
use process::{CheckoutProcess, Environment};
use servers::Server;
use stripe::Stripe;
use subscriber::Subscriber;

/// How long a test waits for something that must happen. Long, since a test machine may be slow, and some things are
/// asked for again after a minute; waiting ends as soon as it happens.
pub const PATIENCE: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_millis(100);
/// Worlds at a time: each has processes, and they share the connections that PostgreSQL allows.
const MAX_WORLDS: usize = 4;
const SQL_CONNECTIONS: &str = "8";
static SEATS: Semaphore = Semaphore::const_new(MAX_WORLDS);
/// What staff show.
pub const STAFF: &str = "st_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// The product that most tests sell, and what it costs.
pub const BOOTS: &str = "boots";
pub const BOOTS_MINOR: i64 = 7_950;
pub const LAMP: &str = "lamp";
pub const LAMP_MINOR: i64 = 1_999;
/// So many of each can be sold where a test says nothing else.
pub const STOCK: i64 = 1_000;

pub struct World {
    pub postgres: Server,
    pub database_url: String,
    pub edge: Edge,
    pub stripe: Stripe,
    pub subscriber: Subscriber,
    pub door: Door,
    /// What processes are started with; a test may change it before.
    pub environment: Environment,
    pub flags: Vec<String>,
    places: Places,
    client: Client,
    processes: Mutex<Vec<Option<CheckoutProcess>>>,
    _folder: TempDir,
    _seat: SemaphorePermit<'static>,
}

impl World {
    /// With one process, and stock of both products.
    pub async fn serving() -> Self {
        let world = Self::new(servers::shared_postgres(), None).await;
        world.run(0, None);
        world.stock_up().await;
        world
    }

    /// Without a process yet.
    pub async fn new(postgres: Server, rate_limit_per_s: Option<u32>) -> Self {
        let seat = SEATS.acquire().await.expect("seats are never taken away");
        let database_url = blocking(|| locked(&postgres).database());
        let edge = Edge::start("snapshot-1", &[(BOOTS, BOOTS_MINOR), (LAMP, LAMP_MINOR)]).await;
        let places = Places::default();
        let door = Door::start(places.clone()).await;
        let stripe = Stripe::start(door.url(), rate_limit_per_s).await;
        let subscriber = Subscriber::start().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let staff = folder.path().join("staff");
        let digits: String = Sha256::digest(STAFF).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&staff, format!("tester {digits}\n")).expect("the staff's tokens");
        let environment = [
            ("PRIMARY_SQL_URL", database_url.as_str()),
            ("STRIPE_SECRET_KEY", stripe::KEY),
            ("STRIPE_WEBHOOK_SECRET", door::SECRET),
            ("STRIPE_API_URL", stripe.url()),
            ("EVENT_GRID_URL", subscriber.url().as_str()),
            ("EVENT_GRID_KEY", subscriber::KEY),
            ("EDGE_URL", edge.url().as_str()),
            ("CHECKOUT_RETURN_ORIGINS", "https://shop.example"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let staff = staff.to_string_lossy();
        let flags = ["--staff-tokens", &staff, "--drain-ms", "0", "--sql-connections", SQL_CONNECTIONS];
        let world = Self {
            postgres,
            database_url,
            edge,
            stripe,
            subscriber,
            door,
            environment,
            flags: flags.map(str::to_owned).to_vec(),
            client: Client::new(places.clone()),
            places,
            processes: Mutex::default(),
            _folder: folder,
            _seat: seat,
        };
        let migrated = world.command(&["migrate"]);
        assert!(migrated.0, "{}", migrated.1);
        world
    }

    /// Another value for a name of the environment.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Starts a process in a slot, killing the one that is there.
    ///
    /// # Panics
    /// When it does not come to listen.
    pub fn run(&self, slot: usize, fail_point: Option<&str>) {
        self.try_run(slot, fail_point).unwrap_or_else(|told| panic!("{told}"));
    }

    /// # Errors
    /// When it does not come to listen, with its last lines.
    pub fn try_run(&self, slot: usize, fail_point: Option<&str>) -> Result<(), String> {
        self.kill(slot);
        let mut environment = self.environment.clone();
        environment.extend(fail_point.map(|point| ("CHECKOUT_FAIL_POINT".to_owned(), point.to_owned())));
        let process = blocking(|| CheckoutProcess::start(&environment, &self.flags))?;
        self.places.set(slot, Some(process.public));
        self.with_slot(slot, |place| *place = Some(process));
        Ok(())
    }

    /// As `kill -9`.
    pub fn kill(&self, slot: usize) {
        self.places.set(slot, None);
        let process = self.with_slot(slot, Option::take);
        blocking(|| drop(process));
    }

    /// Waits until the process died at its fail point.
    pub fn wait_for_abort(&self, slot: usize) {
        let mut process = self.with_slot(slot, Option::take).expect("a process");
        blocking(|| process.wait_for_abort(PATIENCE));
        self.places.set(slot, None);
    }

    /// Whether a process is there, and did not end by itself.
    pub fn is_running(&self, slot: usize) -> bool {
        self.with_slot(slot, |place| place.as_mut().is_some_and(|process| !process.has_died()))
    }

    pub fn log(&self, slot: usize) -> String {
        self.with_slot(slot, |place| place.as_ref().map(CheckoutProcess::log)).unwrap_or_default()
    }

    /// Where the process of a slot listens.
    pub fn address(&self, slot: usize) -> SocketAddr {
        self.places.get(slot).expect("a process")
    }

    pub fn client(&self, slot: usize) -> Client {
        self.client.at(slot)
    }

    /// Whether a command of the binary succeeds, and all that it says.
    pub fn command(&self, args: &[&str]) -> (bool, String) {
        let output = blocking(|| process::run(&self.environment, args));
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs statements as nobody's client: what it says, columns divided by bars.
    pub fn sql(&self, sql: &str) -> String {
        blocking(|| locked(&self.postgres).execute(&self.database_url, sql))
    }

    /// The number that a statement gives.
    pub fn count(&self, sql: &str) -> i64 {
        let said = self.sql(sql);
        said.parse().unwrap_or_else(|_| panic!("{sql} gives a number, and not '{said}'"))
    }

    /// Ends the leases of keys, so that a test need not wait for what a request that died would have had time to do.
    pub fn end_leases(&self) {
        self.sql("UPDATE idempotency_keys SET lease_until_ms = 0 WHERE answer_status IS NULL");
    }

    /// Brings forward what recovery would look at later.
    pub fn make_due(&self) {
        self.sql("UPDATE payments SET next_check_ms = 0 WHERE next_check_ms IS NOT NULL");
        self.sql("UPDATE refunds SET next_check_ms = 0 WHERE next_check_ms IS NOT NULL");
    }

    /// Ends the hold of a checkout: prices and stock are kept no longer.
    pub fn end_hold(&self, checkout: &str) {
        self.sql(&format!(
            "UPDATE checkouts SET held_until_ms = 1, look_ms = 1 WHERE id = '{checkout}' AND look_ms IS NOT NULL;
             UPDATE payments SET next_check_ms = 1 WHERE next_check_ms IS NOT NULL
                AND order_id = (SELECT id FROM orders WHERE checkout_id = '{checkout}')"
        ));
    }

    /// Sets what can be sold of both products.
    pub async fn stock_up(&self) {
        for product in [BOOTS, LAMP] {
            shop::set_stock(&self.client(0), product, STOCK).await;
        }
    }

    fn with_slot<T>(&self, slot: usize, work: impl FnOnce(&mut Option<CheckoutProcess>) -> T) -> T {
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        if processes.len() <= slot {
            processes.resize_with(slot + 1, || None);
        }
        work(&mut processes[slot])
    }
}

/// Waits until it is so.
///
/// # Panics
/// When it does not come to be.
pub async fn until(what: &str, done: impl AsyncFnMut() -> bool) {
    assert!(comes_true(done).await, "in vain: {what}");
}

/// Looks again and again whether it is so; false where it does not come to be in time.
pub async fn comes_true(mut done: impl AsyncFnMut() -> bool) -> bool {
    let started = Instant::now();
    while !done().await {
        if started.elapsed() >= PATIENCE {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
    true
}

/// Work that waits without the runtime knowing: servers of the test go on meanwhile.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

pub fn locked(postgres: &Mutex<Postgres>) -> std::sync::MutexGuard<'_, Postgres> {
    postgres.lock().unwrap_or_else(PoisonError::into_inner)
}
