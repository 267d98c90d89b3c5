//! Where a measure takes place: a database of its own, and fresh processes around it.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use test_servers::{HeldPort, Postgres};

use crate::cost::{self, Cost};
use crate::servers::{Environment, Server, WEBHOOK_SECRET, run_checkout};
use crate::shopper::{PRODUCTS, STRIPE_KEY, Shop};
use crate::subscriber::Subscriber;

/// Requests a second to Stripe that nothing here comes near.
pub const NO_LIMIT: u32 = 10_000;
/// What staff show.
const STAFF: &str = "st_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// More than any run sells.
pub const STOCK: i64 = 1_000_000_000;
const CALM_TIMEOUT: Duration = Duration::from_secs(60);
const CALM_PAUSE: Duration = Duration::from_millis(50);

/// Events that are not applied or not told, and payments of which Stripe has not said anything.
const BACKLOG: &str = "
SELECT (SELECT count(*) FROM webhook_inbox WHERE applied_ms IS NULL)
    + (SELECT count(*) FROM outbox WHERE delivered_ms IS NULL)
    + (SELECT count(*) FROM payments WHERE state IN ('prepared', 'requesting', 'unknown'))";
const PAID: &str = "SELECT count(*) FROM orders WHERE state = 'paid'";

pub struct Scene {
    checkout: Server,
    pub stripe: Server,
    edge: Server,
    pub shop: Arc<Shop>,
    pub environment: Environment,
    flags: Vec<String>,
    pub database: String,
    postmaster: u32,
    _port: HeldPort,
    _subscriber: Subscriber,
    _folder: TempDir,
}

impl Scene {
    /// # Panics
    /// When something does not start.
    pub async fn set(postgres: &Postgres, stripe_requests_per_s: u32) -> Self {
        let database = postgres.database();
        let subscriber = Subscriber::start().await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let staff = folder.path().join("staff");
        let digits: String = Sha256::digest(STAFF).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&staff, format!("bench {digits}\n")).expect("the staff's tokens");
        // Stripe has to know where checkout will listen, and checkout where Stripe does.
        let port = HeldPort::find();
        let listen = format!("127.0.0.1:{}", port.number());
        let stripe = Server::stripe(&format!("http://{listen}/checkout/webhooks/stripe"));
        let edge = Server::edge();
        let environment = environment(&database, &stripe.url(), &edge.url(), &subscriber.url());
        let requests_per_s = stripe_requests_per_s.to_string();
        let flags = ["--listen", &listen, "--admin-listen", "127.0.0.1:0", "--drain-ms", "0"];
        let more = ["--reconcile-at", "never", "--stripe-requests-per-s", &requests_per_s, "--staff-tokens"];
        let mut flags: Vec<String> = flags.into_iter().chain(more).map(str::to_owned).collect();
        flags.push(staff.to_string_lossy().into_owned());
        migrate(&environment);
        let checkout = Server::checkout(&environment, &flags);
        let shop = Shop::new(checkout.url(), stripe.url(), subscriber.paid());
        shop.stock_up(STAFF, PRODUCTS, STOCK).await;
        Self {
            checkout,
            stripe,
            edge,
            shop: Arc::new(shop),
            environment,
            flags,
            database,
            postmaster: postgres.process_id().expect("PostgreSQL runs"),
            _port: port,
            _subscriber: subscriber,
            _folder: folder,
        }
    }

    /// What everybody used so far.
    pub fn cost(&self) -> Cost {
        Cost {
            checkout_s: cost::of_process(self.checkout.process_id()),
            postgres_s: cost::of_family(self.postmaster),
            stripe_s: cost::of_process(self.stripe.process_id()),
            edge_s: cost::of_process(self.edge.process_id()),
            generator_s: cost::of_process(std::process::id()),
        }
    }

    /// As `kill -9`.
    pub fn kill_checkout(&mut self) {
        self.checkout.kill();
    }

    /// Starts it again where it was.
    pub fn start_checkout(&mut self) {
        self.checkout = Server::checkout(&self.environment, &self.flags);
    }

    /// Waits until nothing is left to do, and says whether that came to be.
    pub async fn calm(&self) -> bool {
        let waiting = async {
            let mut connection = PgConnection::connect(&self.database).await.expect("a connection");
            while backlog(&mut connection).await > 0 || self.shop.undelivered_webhooks().await > 0 {
                tokio::time::sleep(CALM_PAUSE).await;
            }
        };
        tokio::time::timeout(CALM_TIMEOUT, waiting).await.is_ok()
    }

    /// Orders that are paid, by checkout's own books.
    ///
    /// # Panics
    /// When the database does not tell.
    pub async fn paid(&self) -> usize {
        let mut connection = PgConnection::connect(&self.database).await.expect("a connection");
        let paid: i64 = sqlx::query_scalar(PAID).fetch_one(&mut connection).await.expect("a count");
        usize::try_from(paid).unwrap_or_default()
    }

    /// # Errors
    /// With what checkout itself finds wrong in its books.
    pub fn books(&self) -> Result<(), String> {
        let output = run_checkout(&self.environment, &["verify"]);
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
        }
    }
}

/// Brings the tables of a database up to date.
///
/// # Panics
/// When that fails.
pub fn migrate(environment: &[(String, String)]) {
    let output = run_checkout(environment, &["migrate"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn backlog(connection: &mut PgConnection) -> i64 {
    sqlx::query_scalar(BACKLOG).fetch_one(&mut *connection).await.expect("a count")
}

fn environment(database: &str, stripe: &str, edge: &str, subscriber: &str) -> Environment {
    let pairs = [
        ("PRIMARY_SQL_URL", database),
        ("STRIPE_SECRET_KEY", STRIPE_KEY),
        ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("STRIPE_API_URL", stripe),
        ("EDGE_URL", edge),
        ("CHECKOUT_RETURN_ORIGINS", "https://shop.example"),
        ("EVENT_GRID_URL", subscriber),
        ("EVENT_GRID_KEY", "key-of-the-bench"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
