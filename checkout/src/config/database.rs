//! Which database, and how it is used.

use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::reading::Faults;
use crate::store::StoreSettings;

/// Flags that every command has which needs the database.
#[derive(Debug, Args)]
pub(super) struct DatabaseFlags {
    /// The PostgreSQL that everything is written to: postgres://user:password@host/name. Other users of the machine can see
    /// flags: give it in the environment or in a file.
    #[arg(long, value_name = "URL", env = "PRIMARY_SQL_URL", hide_env_values = true)]
    primary_sql_url: Option<SecretString>,
    /// A file that holds that URL.
    #[arg(long, value_name = "FILE", env = "PRIMARY_SQL_URL_FILE")]
    primary_sql_url_file: Option<PathBuf>,
    /// A replica of it, which lists are read from.
    #[arg(long, value_name = "URL", env = "READ_SQL_URL", hide_env_values = true)]
    read_sql_url: Option<SecretString>,
    /// A file that holds that URL.
    #[arg(long, value_name = "FILE", env = "READ_SQL_URL_FILE")]
    read_sql_url_file: Option<PathBuf>,
    /// The folder of the database that is built in, for demos and a single process. It is used where no PostgreSQL is given.
    #[arg(long, value_name = "FOLDER", env = "CHECKOUT_DATA_DIR", default_value = "checkout-data")]
    data_dir: PathBuf,
    /// Sell products whose stock nobody has set, as many as are wanted.
    #[arg(long, env = "CHECKOUT_SELL_UNTRACKED", value_parser = clap::builder::BoolishValueParser::new())]
    sell_untracked: bool,
    /// How many connections there are to the primary at the most; one in eight is kept for Stripe's webhooks.
    #[arg(long, value_name = "COUNT", env = "CHECKOUT_SQL_CONNECTIONS", default_value = "16")]
    sql_connections: String,
}

#[derive(Clone, Debug)]
pub enum Database {
    Postgres {
        primary: SecretString,
        replica: Option<SecretString>,
        settings: StoreSettings,
    },
    /// In a folder, which is made where it is missing. It brings its tables up to date by itself.
    Embedded {
        folder: PathBuf,
        settings: StoreSettings,
    },
}

impl DatabaseFlags {
    pub(super) fn resolve(self, faults: &mut Faults) -> Database {
        let primary = faults.secret("--primary-sql-url", self.primary_sql_url, self.primary_sql_url_file.as_deref());
        let replica = faults.secret("--read-sql-url", self.read_sql_url, self.read_sql_url_file.as_deref());
        for (flag, url) in [("--primary-sql-url", &primary), ("--read-sql-url", &replica)] {
            if url.as_ref().is_some_and(|url| !is_postgres(url.expose_secret())) {
                faults.add(flag, "is no postgres:// address");
            }
        }
        if replica.is_some() && primary.is_none() {
            faults.add("--read-sql-url", "stands without --primary-sql-url");
        }
        let max_connections = faults.number("--sql-connections", &self.sql_connections, 2, 1_000) as u32;
        let settings =
            StoreSettings { sells_untracked: self.sell_untracked, max_connections, ..StoreSettings::default() };
        match primary {
            Some(primary) => Database::Postgres { primary, replica, settings },
            None => Database::Embedded { folder: self.data_dir, settings },
        }
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}
