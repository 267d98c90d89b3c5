//! What checkout is told to do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::database::{Database, DatabaseFlags};
use super::reading::Faults;
use super::service::{Config, ServiceFlags, Stripe, StripeFlags};
use crate::http::idempotency::{MAX_KEY_BYTES, is_key};
use crate::http::stock::{MAX_REASON_BYTES, MAX_STOCK, is_product, is_reason};
use crate::ids::OutboxId;
use crate::staff::is_name;
use crate::store::StockChange;
use crate::work::now_ms;

const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// Stripe lists what is older, but nobody compares more at once by mistake.
const MAX_WINDOW_MS: i64 = 366 * DAY_MS;
/// What Stripe's ids of events begin with.
const WEBHOOK_PREFIX: &str = "evt_";

/// Takes orders: carts, checkouts, payments by Stripe, refunds.
#[derive(Debug, Parser)]
#[command(name = "checkout", version, max_term_width = 100)]
pub struct Cli {
    /// Which events are logged, as `tracing` filters write it.
    #[arg(long, global = true, value_name = "FILTER", env = "CHECKOUT_LOG", default_value = "info")]
    log: String,
    /// For tests: the point at which the process dies, and at which time that it comes there.
    #[arg(long, global = true, hide = true, value_name = "NAME[:NTH]", env = "CHECKOUT_FAIL_POINT")]
    fail_point: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM.
    Serve(Box<ServiceFlags>),
    /// Bring the database's tables up to date.
    Migrate {
        #[command(flatten)]
        database: DatabaseFlags,
        /// Print the SQL that would be run, and run nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Tell how the database is and what waits.
    Status(Told),
    /// Look for what must never be: the books of stock, money and events against each other. Exits with 1 where there is
    /// any.
    Verify(Told),
    /// Compare the books with Stripe's. Exits with 1 where they differ.
    Reconcile {
        #[command(flatten)]
        told: Told,
        #[command(flatten)]
        stripe: StripeFlags,
        /// From this moment on: 2026-01-31, or 2026-01-31T12:00:00Z. A day before --to where it is not given.
        #[arg(long, value_name = "MOMENT")]
        from: Option<String>,
        /// Until this moment. Now, where it is not given.
        #[arg(long, value_name = "MOMENT")]
        to: Option<String>,
    },
    /// Events that could not be delivered, and webhooks that could not be applied.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// What can be sold.
    #[command(subcommand)]
    Stock(StockCommand),
    /// Tokens of the shop's staff.
    #[command(subcommand)]
    Token(TokenCommand),
}

/// A command that tells something.
#[derive(Debug, Args)]
struct Told {
    #[command(flatten)]
    database: DatabaseFlags,
    /// Speak JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// Show them, the oldest first.
    List(Told),
    /// Try them again: those that are named, or all. Exits with 1 where one that is named is not dead.
    Replay {
        #[command(flatten)]
        told: Told,
        #[command(flatten)]
        by: By,
        ids: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum StockCommand {
    /// Set the stock of many products: a CSV file with the columns product, quantity and reason. Where a line is at fault,
    /// nothing is written.
    Import {
        #[command(flatten)]
        actor: Actor,
        file: PathBuf,
        /// Check the file, and write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Set how many of a product can be sold, beside those that are held.
    Set(StockFlags),
    /// Add to what can be sold of a product, or take away.
    Adjust {
        #[command(flatten)]
        flags: StockFlags,
        /// A text that no other change has: the same command with the same key counts once, whoever runs it, for a day at the
        /// least.
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
}

#[derive(Debug, Args)]
struct StockFlags {
    #[command(flatten)]
    actor: Actor,
    product: String,
    #[arg(allow_negative_numbers = true)]
    number: i64,
    /// Why, for the audit.
    #[arg(long)]
    reason: String,
}

/// A command that changes something.
#[derive(Debug, Args)]
struct Actor {
    #[command(flatten)]
    database: DatabaseFlags,
    #[command(flatten)]
    by: By,
}

/// Who does it, for the audit.
#[derive(Debug, Args)]
struct By {
    /// Who does it, for the audit.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "operator")]
    actor: String,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token for one of the staff. Prints it, and the line for the file of --staff-tokens.
    New {
        /// 1 to 64 letters, digits, '.', '-', '_' and '@'.
        name: String,
    },
}

/// What is to be done, with settings that can be used as they are.
#[derive(Debug)]
pub struct Resolved {
    pub log: String,
    /// What `fail_points::arm` is told; None where no test says otherwise.
    pub fail_point: Option<String>,
    pub task: Task,
}

#[derive(Debug)]
pub enum Task {
    Serve(Box<Config>),
    NewToken {
        name: String,
    },
    /// Something that is done with the database.
    With {
        database: Database,
        json: bool,
        action: Action,
    },
}

#[derive(Debug)]
pub enum Action {
    Migrate { dry_run: bool },
    Status,
    Verify,
    Reconcile { stripe: Stripe, from_ms: i64, to_ms: i64 },
    DeadLetters(DeadLetters),
    Stock { actor: String, task: StockTask },
}

#[derive(Debug)]
pub enum DeadLetters {
    List,
    /// All, where none are named.
    Replay {
        actor: String,
        ids: Vec<String>,
    },
}

#[derive(Debug)]
pub enum StockTask {
    Import { file: PathBuf, dry_run: bool },
    Change { change: StockChange, key: Option<String> },
}

impl Cli {
    /// # Errors
    /// Lists every setting that is at fault.
    pub fn resolve(self) -> Result<Resolved, Vec<String>> {
        let mut faults = Faults::default();
        if let Err(error) = self.log.parse::<tracing_subscriber::EnvFilter>() {
            faults.add("--log", error);
        }
        let task = self.command.resolve(&mut faults);
        match (task, faults.0.is_empty()) {
            (Some(task), true) => Ok(Resolved { log: self.log, fail_point: self.fail_point, task }),
            _ => Err(faults.0),
        }
    }
}

impl Command {
    /// None only where a fault was noted.
    fn resolve(self, faults: &mut Faults) -> Option<Task> {
        match self {
            Self::Serve(flags) => flags.resolve(faults).map(|config| Task::Serve(Box::new(config))),
            Self::Migrate { database, dry_run } => {
                let action = Action::Migrate { dry_run };
                Some(Task::With { database: database.resolve(faults), json: false, action })
            }
            Self::Status(told) => Some(told.task(Action::Status, faults)),
            Self::Verify(told) => Some(told.task(Action::Verify, faults)),
            Self::Reconcile { told, stripe, from, to } => {
                let stripe = stripe.resolve(faults);
                let (from_ms, to_ms) = window(from.as_deref(), to.as_deref(), faults);
                let database = told.database.resolve(faults);
                let action = Action::Reconcile { stripe: stripe?, from_ms, to_ms };
                Some(Task::With { database, json: told.json, action })
            }
            Self::DeadLetters(command) => Some(command.resolve(faults)),
            Self::Stock(command) => Some(command.resolve(faults)),
            Self::Token(TokenCommand::New { name }) => {
                if !is_name(&name) {
                    faults.add("NAME", format!("'{name}' is not 1 to 64 letters, digits, '.', '-', '_' and '@'"));
                }
                Some(Task::NewToken { name })
            }
        }
    }
}

impl Told {
    fn task(self, action: Action, faults: &mut Faults) -> Task {
        Task::With { database: self.database.resolve(faults), json: self.json, action }
    }
}

impl DeadLettersCommand {
    fn resolve(self, faults: &mut Faults) -> Task {
        match self {
            Self::List(told) => told.task(Action::DeadLetters(DeadLetters::List), faults),
            Self::Replay { told, by, ids } => {
                // The others are Stripe's, which names them as it likes.
                for id in ids.iter().filter(|id| !id.starts_with(WEBHOOK_PREFIX)) {
                    if let Err(error) = id.parse::<OutboxId>() {
                        faults.add("IDS", error);
                    }
                }
                told.task(Action::DeadLetters(DeadLetters::Replay { actor: by.name(), ids }), faults)
            }
        }
    }
}

impl By {
    /// As the audit has it.
    fn name(&self) -> String {
        format!("cli:{}", self.actor)
    }
}

impl StockCommand {
    fn resolve(self, faults: &mut Faults) -> Task {
        let (actor, task) = match self {
            Self::Import { actor, file, dry_run } => (actor, StockTask::Import { file, dry_run }),
            Self::Set(flags) => {
                flags.check(0, faults);
                let StockFlags { actor, product, number, reason } = flags;
                let change = StockChange::Set { product, available: number, reason };
                (actor, StockTask::Change { change, key: None })
            }
            Self::Adjust { flags, key } => {
                flags.check(-MAX_STOCK, faults);
                if key.as_deref().is_some_and(|key| !is_key(key)) {
                    faults.add("--key", format!("is not 1 to {MAX_KEY_BYTES} visible ASCII characters"));
                }
                let StockFlags { actor, product, number, reason } = flags;
                let change = StockChange::Adjust { product, by: number, reason };
                (actor, StockTask::Change { change, key })
            }
        };
        let action = Action::Stock { actor: actor.by.name(), task };
        Task::With { database: actor.database.resolve(faults), json: false, action }
    }
}

impl StockFlags {
    fn check(&self, least: i64, faults: &mut Faults) {
        if !is_product(&self.product) {
            faults.add("PRODUCT", "is no id of a product");
        }
        if !(least..=MAX_STOCK).contains(&self.number) {
            faults.add("NUMBER", format!("{} is not from {least} to {MAX_STOCK}", self.number));
        }
        if !is_reason(&self.reason) {
            faults.add("--reason", format!("is not 1 to {MAX_REASON_BYTES} bytes long, or has control characters"));
        }
    }
}

/// From when to when is compared.
fn window(from: Option<&str>, to: Option<&str>, faults: &mut Faults) -> (i64, i64) {
    let to_ms = to.map_or_else(now_ms, |text| moment("--to", text, faults));
    let from_ms = from.map_or(to_ms - DAY_MS, |text| moment("--from", text, faults));
    if !(1..=MAX_WINDOW_MS).contains(&(to_ms - from_ms)) && faults.0.is_empty() {
        faults.add("--from", "is not before --to, or more than a year before it");
    }
    (from_ms, to_ms)
}

/// A date, at its beginning in UTC, or a moment.
fn moment(flag: &str, text: &str, faults: &mut Faults) -> i64 {
    let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() <= "2026-01-31".len());
    let midnight = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let moment = midnight.map(|midnight| midnight.timestamp()).or_else(|| text.parse::<jiff::Timestamp>().ok());
    moment.map(jiff::Timestamp::as_millisecond).unwrap_or_else(|| {
        faults.add(flag, format!("'{text}' is no moment such as 2026-01-31 or 2026-01-31T12:00:00Z"));
        0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVE: [&str; 5] =
        ["checkout", "serve", "--stripe-secret-key=sk_test_1", "--stripe-webhook-secret=whsec_1", "--log=info"];

    fn resolve(args: &[&str]) -> Result<Resolved, Vec<String>> {
        Cli::try_parse_from(args).expect("well-formed flags").resolve()
    }

    fn serve(flags: &[&str]) -> Result<Box<Config>, Vec<String>> {
        match resolve(&[&SERVE[..], flags].concat())?.task {
            Task::Serve(config) => Ok(config),
            other => panic!("{other:?} is not to serve"),
        }
    }

    fn check(flags: &[&str], told: &str) {
        let faults = serve(flags).expect_err(told);
        assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
    }

    #[test]
    fn little_is_needed_to_serve() {
        let config = serve(&[]).expect("a config");
        assert!(matches!(&config.database, Database::Embedded { folder, .. } if folder.ends_with("checkout-data")));
        assert_eq!((config.hold_ms, config.cart_ttl_ms), (900_000, 2_592_000_000));
        assert_eq!(config.keep_abandoned_ms, 90 * DAY_MS);
        assert_eq!((config.listen.port(), config.admin_listen.port()), (8090, 8091));
        assert_eq!((config.stripe.api_url.as_str(), config.stripe.requests_per_s), ("https://api.stripe.com", 25));
        assert!(config.events.is_none() && config.redis_url.is_none() && config.cors_origins.is_empty());
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let flags = [
            "checkout",
            "serve",
            "--listen=here",
            "--hold-ms=59999",
            "--primary-sql-url=mysql://x",
            "--edge-url=localhost",
            "--event-grid-url=https://grid.example",
            "--cors-origin=shop.example",
            "--reconcile-at=25:00",
            "--keep-abandoned-days=1",
            "--staff-tokens=/nowhere",
        ];
        let faults = resolve(&flags).expect_err("faults");
        // The nine, and that there is neither a key nor a secret for webhooks.
        assert_eq!(faults.len(), 11, "{faults:#?}");
    }

    #[test]
    fn a_live_key_is_only_sent_over_tls() {
        let fault = "only sent over https";
        for key in ["sk_live_1", "rk_live_1", "sk_org_live_1"] {
            let key = format!("--stripe-secret-key={key}");
            let faults = resolve(&[
                "checkout",
                "serve",
                &key,
                "--stripe-webhook-secret=whsec_1",
                "--stripe-api-url=http://127.0.0.1:12111",
            ]);
            let faults = faults.expect_err(fault);
            assert!(faults.len() == 1 && faults[0].contains(fault), "{faults:?}");
        }
        assert!(serve(&["--stripe-api-url=http://127.0.0.1:12111"]).is_ok());
    }

    #[test]
    fn secrets_come_from_files_and_are_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets");
        std::fs::write(&path, "whsec_hunter2, whsec_hunter3\n").expect("a file");
        let path = path.to_str().expect("a plain path");
        let config = resolve(&[
            "checkout",
            "serve",
            "--stripe-secret-key=sk_test_hunter4",
            "--stripe-webhook-secret-file",
            path,
            "--primary-sql-url=postgres://shop:hunter5@db/shop",
            "--redis-url=redis://:hunter6@cache:6379",
        ]);
        let Task::Serve(config) = config.expect("a config").task else { panic!("it is to serve") };
        assert_eq!(config.webhook_secrets.len(), 2);
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        check(&["--stripe-webhook-secret-file", path], "give one of them");
        check(&["--redis-url=http://cache"], "--redis-url");
        check(&["--event-grid-key=k"], "--event-grid-url: is missing");
        check(&["--read-sql-url=postgres://replica/shop"], "without --primary-sql-url");
    }

    #[test]
    fn shoppers_are_sent_to_named_origins_or_to_those_that_may_call() {
        let origins = |flags: &[&str]| serve(flags).expect("a config").return_origins;
        assert!(origins(&[]).is_empty() && origins(&["--cors-origin=*"]).is_empty());
        let shop = "--cors-origin=https://shop.example";
        assert_eq!(origins(&[shop, "--cors-origin=*"]), ["https://shop.example"]);
        let several = "--return-origin=https://a.example,http://127.0.0.1:8080";
        assert_eq!(origins(&[shop, several]), ["https://a.example", "http://127.0.0.1:8080"]);
        for text in ["https://a.example/", "a.example", "*"] {
            check(&[&format!("--return-origin={text}")], "is no origin");
        }
    }

    /// Each of them was taken without a word, and every webhook refused, every event put off, or a secret told to pages.
    #[test]
    fn secrets_that_cannot_be_used_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("long");
        std::fs::write(&path, "whsec_1,".repeat(3_000)).expect("a file");
        let file = format!("--stripe-webhook-secret-file={}", path.display());
        let (key, none) = ("--stripe-secret-key=sk_test_1", "--stripe-webhook-secret=");
        for (flags, told) in [
            (&[key, none][..], "--stripe-webhook-secret: is missing"),
            (&[key, "--stripe-webhook-secret=,"][..], "--stripe-webhook-secret: is missing"),
            (&[key, "--stripe-webhook-secret=whsec_1\nwhsec_2"][..], "separate several by commas"),
            (&[key, none, &file][..], "is larger than 16384 bytes"),
            (&["--stripe-secret-key=sk_test_1\n", "--stripe-webhook-secret=whsec_1"][..], "visible ASCII"),
        ] {
            let faults = resolve(&[&["checkout", "serve"][..], flags].concat()).expect_err(told);
            assert!(faults.len() == 1 && faults[0].contains(told), "{faults:?}");
        }
        check(&["--stripe-publishable-key=sk_live_1"], "--stripe-publishable-key: does not begin with pk_");
        let grid = "--event-grid-url=https://grid.example";
        check(&[grid, "--event-grid-key=k\n"], "--event-grid-key");
        check(&[grid, "--event-grid-key=k", "--event-source="], "--event-source");
    }

    #[test]
    fn commands_are_read() {
        let task = |args: &[&str]| resolve(args).expect("a command").task;
        let Task::With { json, action: Action::Status, .. } = task(&["checkout", "status", "--json"]) else {
            panic!("status")
        };
        assert!(json);
        let adjust = ["checkout", "stock", "adjust", "p1", "-5", "--reason", "broken", "--actor", "anna", "--key=k1"];
        let Task::With { action: Action::Stock { actor, task: StockTask::Change { change, key } }, .. } = task(&adjust)
        else {
            panic!("an adjustment")
        };
        assert_eq!((actor.as_str(), key.as_deref()), ("cli:anna", Some("k1")));
        assert_eq!(change, StockChange::Adjust { product: "p1".into(), by: -5, reason: "broken".into() });
        let reconcile = [
            "checkout",
            "reconcile",
            "--stripe-secret-key=sk_test_1",
            "--from=1970-01-02",
            "--to=1970-01-03T00:00:00Z",
        ];
        let Task::With { action: Action::Reconcile { from_ms, to_ms, .. }, .. } = task(&reconcile) else {
            panic!("a comparison")
        };
        assert_eq!((from_ms, to_ms), (DAY_MS, 2 * DAY_MS));
        for fault in [
            &["checkout", "stock", "set", "p1", "-5", "--reason", "x"][..],
            &["checkout", "stock", "set", "p1", "5", "--reason", ""],
            &["checkout", "stock", "adjust", "p1", "5", "--reason", "x", "--key", "a b"],
            &["checkout", "dead-letters", "replay", "evn_1"],
            &["checkout", "token", "new", "an na"],
        ] {
            assert_eq!(resolve(fault).expect_err("a fault").len(), 1, "{fault:?}");
        }
        assert!(Cli::try_parse_from(["checkout"]).is_err(), "what to do is said");
    }
}
