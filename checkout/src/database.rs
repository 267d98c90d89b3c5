//! Opens whichever database is set.

use std::sync::Arc;

use crate::config::Database;
use crate::store::migrations::Migration;
use crate::store::{PostgresStore, SqliteStore, Store, StoreError};

const FILE_NAME: &str = "checkout.sqlite3";

/// What would bring the tables up to date: the transactions that would be run, one a step. Nothing is made or changed.
///
/// # Errors
/// When the database cannot be read, or is of a version that this one does not know.
pub(crate) async fn plan(database: &Database) -> Result<Vec<String>, StoreError> {
    match database {
        Database::Postgres { primary, replica, settings } => {
            let store = PostgresStore::connect(primary, replica.as_ref(), *settings).await?;
            Ok(told(&store.migrate(true).await?, PostgresStore::transaction_of))
        }
        Database::Embedded { folder, .. } => {
            let steps = SqliteStore::pending_of(&folder.join(FILE_NAME)).await?;
            Ok(told(&steps, SqliteStore::transaction_of))
        }
    }
}

fn told(steps: &[&Migration], transaction_of: fn(&Migration) -> String) -> Vec<String> {
    steps.iter().map(|step| format!("-- {} {}\n{}", step.version, step.name, transaction_of(step))).collect()
}

/// A database that is open. Its tables may be missing.
pub(crate) enum Opened {
    Postgres(Arc<PostgresStore>),
    Embedded(Arc<SqliteStore>),
}

impl Opened {
    /// # Errors
    /// When the settings cannot be used, or the folder cannot be made. A PostgreSQL need not answer yet.
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        match database {
            Database::Postgres { primary, replica, settings } => {
                let store = PostgresStore::connect(primary, replica.as_ref(), *settings).await?;
                Ok(Self::Postgres(Arc::new(store)))
            }
            Database::Embedded { folder, settings } => {
                let fault = |error| StoreError::Broken(format!("the folder {}: {error}", folder.display()));
                std::fs::create_dir_all(folder).map_err(fault)?;
                let store = SqliteStore::open(&folder.join(FILE_NAME), *settings).await?;
                Ok(Self::Embedded(Arc::new(store)))
            }
        }
    }

    /// The same, with its tables as this version needs them: the embedded one brings them up to date, while those of
    /// PostgreSQL, which others use too, are only looked at.
    ///
    /// # Errors
    /// When tables are missing. A PostgreSQL that does not answer is none: a service starts without it, and waits.
    pub async fn open_ready(database: &Database) -> Result<Self, StoreError> {
        let opened = Self::open(database).await?;
        match &opened {
            Self::Embedded(store) => {
                store.migrate(false).await?;
            }
            Self::Postgres(store) => match store.check_schema().await {
                Err(error) if error.is_transient() => tracing::warn!(error = %error, "the database is away"),
                checked => checked?,
            },
        }
        Ok(opened)
    }

    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Postgres(store) => store.clone(),
            Self::Embedded(store) => store.clone(),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Embedded(_) => "embedded SQLite",
        }
    }

    /// Brings tables up to date.
    pub async fn migrate(&self) -> Result<Vec<&'static Migration>, StoreError> {
        match self {
            Self::Postgres(store) => store.migrate(false).await,
            Self::Embedded(store) => store.migrate(false).await,
        }
    }

    pub async fn check_schema(&self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(store) => store.check_schema().await,
            Self::Embedded(store) => store.check_schema().await,
        }
    }
}
