//! pgbench on the same server, with the statements of the store's methods.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use test_servers::Postgres;

use crate::scene::{STOCK, migrate};
use crate::shopper::{PRODUCT_PREFIX, PRODUCTS};

/// All of one order.
const ORDER: &str = include_str!("order.sql");
/// The line after which a checkout is placed, and its stock is held.
const HOLD_ENDS: &str = "-- END OF HOLD";
/// Clients at once; the better of both is compared with.
pub const CLIENTS: [u32; 2] = [8, 16];
const THREADS: u32 = 2;
/// Numbers of orders of one run: the next one begins behind them, as ids do that are made by time.
const FIRST_NUMBER: u64 = 1_000_000_000_000_000_000;
const NUMBERS_A_RUN: u64 = 10_000_000_000_000_000;
const ROWS_A_PRODUCT: i64 = 64;

/// A database of its own with checkout's tables, and stock.
pub struct Bench<'a> {
    postgres: &'a Postgres,
    pub database: String,
    folder: TempDir,
    runs: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Script {
    Order,
    Hold,
}

impl<'a> Bench<'a> {
    /// # Panics
    /// When the database cannot be made.
    pub fn new(postgres: &'a Postgres) -> Self {
        let database = postgres.database();
        migrate(&[("PRIMARY_SQL_URL".to_owned(), database.clone())]);
        let (first, last, last_row) = (PRODUCTS.start, PRODUCTS.end - 1, ROWS_A_PRODUCT - 1);
        let quantity = STOCK / ROWS_A_PRODUCT;
        let stock = format!(
            "INSERT INTO stock_products (product, version, announced)
             SELECT '{PRODUCT_PREFIX}' || p, 0, true FROM generate_series({first}, {last}) p;
             INSERT INTO stock_units (product, unit, quantity)
             SELECT '{PRODUCT_PREFIX}' || p, u, {quantity}
             FROM generate_series({first}, {last}) p, generate_series(0, {last_row}) u"
        );
        postgres.execute(&database, &stock);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (hold, _) = ORDER.split_once(HOLD_ENDS).expect("the script says where a hold ends");
        std::fs::write(folder.path().join("order.sql"), ORDER).expect("a script");
        std::fs::write(folder.path().join("hold.sql"), hold).expect("a script");
        Self { postgres, database, folder, runs: 0 }
    }

    /// Runs a script without a pause; how often it ran a second.
    ///
    /// # Panics
    /// When pgbench fails, or one of the script's statements does.
    pub fn run(&mut self, script: Script, texts: &[(String, String)], clients: u32, time: Duration) -> f64 {
        let base = FIRST_NUMBER + self.runs * NUMBERS_A_RUN;
        self.runs += 1;
        let seconds = time.as_secs().max(1);
        let mut command = self.postgres.program("pgbench");
        command.args(["--no-vacuum", "--protocol=prepared"]);
        command.arg(format!("--client={clients}")).arg(format!("--jobs={THREADS}")).arg(format!("--time={seconds}"));
        command.arg("--file").arg(self.file(script));
        command.arg("--define=n=0").arg(format!("--define=base={base}"));
        texts.iter().for_each(|(name, text)| {
            command.arg(format!("--define={name}={text}"));
        });
        let output = command.arg(&self.database).output().expect("pgbench runs");
        let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "pgbench: {complaints}");
        let per_s = said.split_once("tps = ").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        per_s.unwrap_or_else(|| panic!("pgbench tells no rate: {said}"))
    }

    fn file(&self, script: Script) -> PathBuf {
        self.folder.path().join(match script {
            Script::Order => "order.sql",
            Script::Hold => "hold.sql",
        })
    }
}
