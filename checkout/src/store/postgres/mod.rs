//! The store for real use: PostgreSQL, with money and stock on the primary and listings on a replica.

mod at_once;
mod audit;
mod breaks;
mod carts;
mod checkouts;
mod claims;
mod connections;
mod dead;
mod failure;
mod holds;
mod inbox;
mod order_changes;
mod order_writes;
mod orders;
mod outbox;
mod primary;
mod reading;
mod records;
mod recovery;
mod replica;
mod schema;
mod seats;
mod stock;
mod transactions;
mod violations;

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;

use self::connections::Lease;
use self::failure::Failure;
use self::primary::Primary;
use self::replica::Replica;
use super::{Migration, OrderFilter, OrderRow, StoreError, StoreSettings};

/// Orders in PostgreSQL.
pub struct PostgresStore {
    primary: Primary,
    replica: Option<Arc<Replica>>,
    settings: StoreSettings,
}

impl PostgresStore {
    /// `primary` is one URL, or several that are divided by commas or spaces: whichever host is no standby is used,
    /// also after a failover. Nothing is connected yet, so that a service starts while its database is down.
    ///
    /// # Errors
    /// `Broken` when a URL cannot be read.
    pub async fn connect(
        primary: &SecretString,
        replica: Option<&SecretString>,
        settings: StoreSettings,
    ) -> Result<Self, StoreError> {
        let candidates = urls(primary)?;
        let replica = replica.map(urls).transpose()?.and_then(|urls| urls.into_iter().next());
        let replica = replica.map(|options| Arc::new(Replica::new(options, &settings)));
        Ok(Self { primary: Primary::new(candidates, settings), replica, settings })
    }

    /// Applies the migrations that the database lacks, in order, each in a transaction; with `is_dry_run`, says which.
    ///
    /// # Errors
    /// `Broken` when one fails, or the database is of a version that this one does not know.
    pub async fn migrate(&self, is_dry_run: bool) -> Result<Vec<&'static Migration>, StoreError> {
        let lease = self.primary.lease().await.map_err(Failure::into_error)?;
        schema::migrate(lease, is_dry_run).await.map_err(Failure::into_error)
    }

    /// The SQL of a migration as it is run, as one transaction.
    pub fn transaction_of(migration: &Migration) -> String {
        schema::transaction_of(migration)
    }

    /// # Errors
    /// `Broken` when migrations are pending, or the database has one that this version cannot run on.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        self.primary.run(|lease, _| schema::check(lease)).await
    }
}

impl PostgresStore {
    /// None where the replica is missing, away, or too far behind, or there is no time for it. One that hangs tells no limit,
    /// so that the limit of a statement counts by our clock, or `most` where that is less.
    ///
    /// # Errors
    /// `Unavailable` where it is well and the listing is slow: that is no burden for the primary.
    async fn orders_of_replica(
        &self,
        filter: &OrderFilter,
        most: Duration,
    ) -> Result<Option<Vec<OrderRow>>, StoreError> {
        let Some(replica) = self.replica.as_ref().filter(|_| !most.is_zero()) else { return Ok(None) };
        let limit = Duration::from_millis(self.settings.statement_timeout_ms).min(most);
        let mut has_answered = false;
        let listing = async {
            let (lease, is_measured) = replica.lease().await?;
            has_answered = is_measured;
            Some(listed(lease, filter).await)
        };
        let outcome = timeout(limit, listing).await;
        let failure = match outcome {
            Ok(Some(Ok(orders))) => return Ok(Some(orders)),
            Ok(None) => return Ok(None),
            Ok(Some(Err(Failure::Final(slow @ StoreError::Unavailable(_))))) if has_answered => return Err(slow),
            Ok(Some(Err(failure))) => failure,
            Err(_) if has_answered => return Err(StoreError::Unavailable("the listing takes too long".to_owned())),
            Err(_) => Failure::Lost("it did not answer in time".to_owned()),
        };
        replica.failed(&failure);
        Ok(None)
    }
}

async fn listed(mut lease: Lease, filter: &OrderFilter) -> Result<Vec<OrderRow>, Failure> {
    let outcome = reading::orders(&mut lease, filter).await;
    lease.end(outcome).await
}

/// The URLs of a setting. What is wrong with one is told without its password.
fn urls(text: &SecretString) -> Result<Vec<PgConnectOptions>, StoreError> {
    let text = text.expose_secret();
    let urls: Vec<&str> = text.split([',', ' ', '\n']).map(str::trim).filter(|url| !url.is_empty()).collect();
    if urls.is_empty() {
        return Err(StoreError::Broken("no URL of a database is given".to_owned()));
    }
    let read = |(place, url): (usize, &&str)| {
        let fault = |why: String| StoreError::Broken(format!("URL {} of the database: {why}", place + 1));
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(fault("it does not begin with postgres://".to_owned()));
        }
        url.parse::<PgConnectOptions>().map_err(|error| fault(error.to_string()))
    };
    urls.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_urls_may_be_given_and_a_wrong_one_keeps_its_secret() {
        let hosts = |text: &str| -> Result<Vec<String>, StoreError> {
            let urls = urls(&SecretString::from(text))?;
            Ok(urls.iter().map(|options| format!("{}:{}", options.get_host(), options.get_port())).collect())
        };
        let two = "postgres://u:p@one:5433/shop, postgresql://u:p@two/shop?sslmode=disable";
        assert_eq!(hosts(two).expect("two"), ["one:5433", "two:5432"]);
        for text in ["", " , ", "mysql://u:secret@one/shop", "postgres://u:secret@one:port/shop"] {
            let fault = hosts(text).expect_err("a fault").to_string();
            assert!(!fault.contains("secret"), "{fault}");
        }
    }
}
