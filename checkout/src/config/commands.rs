//! What checkout is told to do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use super::database::{Database, DatabaseFlags};
use super::reading::Faults;
use super::service::{Config, ServiceFlags, Stripe, StripeFlags};
use crate::domain::BreakKind;
use crate::http::idempotency::{MAX_KEY_BYTES, is_key};
use crate::http::stock::{MAX_REASON_CHARS, MAX_STOCK, is_product, is_reason};
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
        /// Print the SQL that would be run, and run nothing. Whoever applies it by hand (psql -v ON_ERROR_STOP=1) need not
        /// migrate any more.
        #[arg(long)]
        dry_run: bool,
    },
    /// Tell how the database is and what waits.
    Status(Told),
    /// Look for what must never be: the books of stock, money and events against each other. Exits with 1 where there is
    /// any, with 2 where that could not be found out.
    Verify(Told),
    /// Compare the books with Stripe's: payments and refunds that were made in a window, and disputes of the four months before.
    /// What the books missed is taken in. Exits with 1 where they differ, with 2 where that could not be found out.
    Reconcile {
        #[command(flatten)]
        told: Told,
        #[command(flatten)]
        by: By,
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
    /// Where the books and Stripe's differ.
    #[command(subcommand)]
    Breaks(BreaksCommand),
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
    /// Put webhooks away that nobody needs any more: they are swept as others are. Exits with 1 where one of them is not dead.
    Discard {
        #[command(flatten)]
        told: Told,
        #[command(flatten)]
        by: By,
        /// Why, for the audit.
        #[arg(long)]
        reason: String,
        /// As `dead-letters list` shows them, such as evt_1. Events that nobody took cannot be put away.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum BreaksCommand {
    /// Show those that nobody dealt with, the newest first.
    List(Told),
    /// Say that one is dealt with. It opens again only where it says something else. Exits with 1 where it is not open.
    Resolve {
        #[command(flatten)]
        actor: Actor,
        /// As `breaks list` shows it, such as unknown_charge.
        kind: String,
        /// As `breaks list` shows it.
        reference: String,
        /// What was done, for the audit.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
enum StockCommand {
    /// Set the stock of many products: a CSV file with the columns product, quantity and reason. Where a line is at fault,
    /// nothing is written. It is written 500 lines at a time; should that break off, import the lines after those that were
    /// set, since to set a product again brings back what was sold in between.
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
    Reconcile { stripe: Stripe, actor: String, from_ms: i64, to_ms: i64 },
    DeadLetters(DeadLetters),
    Breaks(Breaks),
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
    Discard {
        actor: String,
        reason: String,
        ids: Vec<String>,
    },
}

#[derive(Debug)]
pub enum Breaks {
    List,
    Resolve { kind: BreakKind, reference: String, reason: String, actor: String },
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
            Self::Reconcile { told, by, stripe, from, to } => {
                let stripe = stripe.resolve(faults);
                let (from_ms, to_ms) = window(from.as_deref(), to.as_deref(), faults);
                let database = told.database.resolve(faults);
                let action = Action::Reconcile { stripe: stripe?, actor: by.name(), from_ms, to_ms };
                Some(Task::With { database, json: told.json, action })
            }
            Self::DeadLetters(command) => Some(command.resolve(faults)),
            Self::Breaks(command) => command.resolve(faults),
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
            Self::Discard { told, by, reason, ids } => {
                check_reason(&reason, faults);
                for id in ids.iter().filter(|id| !id.starts_with(WEBHOOK_PREFIX)) {
                    faults.add("IDS", format!("'{id}' is no webhook's, which begin with {WEBHOOK_PREFIX}"));
                }
                told.task(Action::DeadLetters(DeadLetters::Discard { actor: by.name(), reason, ids }), faults)
            }
        }
    }
}

impl BreaksCommand {
    /// None only where a fault was noted.
    fn resolve(self, faults: &mut Faults) -> Option<Task> {
        let (actor, kind, reference, reason) = match self {
            Self::List(told) => return Some(told.task(Action::Breaks(Breaks::List), faults)),
            Self::Resolve { actor, kind, reference, reason } => (actor, kind, reference, reason),
        };
        check_reason(&reason, faults);
        let database = actor.database.resolve(faults);
        let Ok(kind) = serde_json::from_value(Value::from(kind.as_str())) else {
            faults.add("KIND", format!("'{kind}' is no kind of a break"));
            return None;
        };
        let action = Action::Breaks(Breaks::Resolve { kind, reference, reason, actor: actor.by.name() });
        Some(Task::With { database, json: false, action })
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
        check_reason(&self.reason, faults);
    }
}

fn check_reason(reason: &str, faults: &mut Faults) {
    if !is_reason(reason) {
        faults.add("--reason", format!("is not 1 to {MAX_REASON_CHARS} characters long, or has control characters"));
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
mod tests;
