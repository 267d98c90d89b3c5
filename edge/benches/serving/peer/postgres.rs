//! PostgreSQL's own full-text search: a tsvector with a GIN index, `:*` for prefixes, and pg_trgm over the vocabulary
//! for typos, as the manual's pages on both have it.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::shop::{FACET_VALUES, HITS, Question, Set, Shop};
use super::{INDEX, Peer, Session, Target};

/// Documents of a statement.
const BATCH: usize = 1_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What is typed, word for word as the vocabulary has what is likest to it.
const CORRECTED: &str = "
    SELECT plainto_tsquery('english', string_agg(coalesce(word, typed), ' ' ORDER BY place)) AS query
    FROM unnest(string_to_array(lower($1), ' ')) WITH ORDINALITY AS typed(typed, place)
    LEFT JOIN LATERAL (
        SELECT word FROM vitrine_bench_words WHERE word % typed
        ORDER BY similarity(word, typed) DESC, ndoc DESC, word LIMIT 1
    ) known ON true";

pub struct Postgres {
    options: PgConnectOptions,
    version: String,
    local_port: Option<u16>,
}

impl Postgres {
    /// # Errors
    /// As [`super::Kind::open`].
    pub fn open(url: &str) -> Result<Self> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            bail!("URL does not begin with postgres://");
        }
        let options = PgConnectOptions::from_str(url).map_err(|error| anyhow!("URL: {}", reason_of(&error)))?;
        let options = options.application_name("vitrine-bench").disable_statement_logging();
        let (version, address, port): (String, Option<String>, String) = runtime()?.block_on(async {
            let mut connection = connect(&options).await?;
            let place = "SELECT current_setting('server_version'), host(inet_server_addr()), current_setting('port')";
            sqlx::query_as(place).fetch_one(&mut connection).await.map_err(refused)
        })?;
        // Over a socket of the file system there is no address.
        let is_local = address.is_none_or(|text| text.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()));
        Ok(Self { options, version, local_port: port.parse().ok().filter(|_| is_local) })
    }

    /// Runs statements one after the other.
    fn execute(&self, statements: &[String]) -> Result<()> {
        runtime()?.block_on(async {
            let mut connection = connect(&self.options).await?;
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut connection).await.map_err(refused)?;
            }
            Ok(())
        })
    }

    fn insert(&self, shop: &Shop) -> Result<()> {
        let statement = insertion(shop);
        runtime()?.block_on(async {
            let mut connection = connect(&self.options).await?;
            for batch in shop.documents.chunks(BATCH) {
                let insert = sqlx::query(AssertSqlSafe(statement.as_str())).bind(batch).bind(shop.shown.as_slice());
                insert.execute(&mut connection).await.map_err(refused)?;
            }
            Ok(())
        })
    }
}

impl Peer for Postgres {
    fn version(&self) -> &str {
        &self.version
    }

    fn local_port(&self) -> Option<u16> {
        self.local_port
    }

    fn remove(&self) -> Result<()> {
        self.execute(&[format!("DROP TABLE IF EXISTS {INDEX}, {INDEX}_words")])
    }

    fn load(&self, shop: &Shop) -> Result<()> {
        self.execute(&["CREATE EXTENSION IF NOT EXISTS pg_trgm".to_owned()]).context(
            "pg_trgm, which finds misspelled words, is not there and cannot be added by this user: install PostgreSQL's \
             contrib package where it is missing, and let the database's owner run CREATE EXTENSION pg_trgm",
        )?;
        self.execute(&[format!(
            "CREATE TABLE {INDEX} (id int PRIMARY KEY, product text NOT NULL, brand text, category text[] NOT NULL, \
             price bigint, texts text NOT NULL, words tsvector NOT NULL)"
        )])?;
        self.insert(shop)?;
        self.execute(&[
            format!("CREATE INDEX ON {INDEX} USING gin (words)"),
            format!(
                "CREATE TABLE {INDEX}_words AS SELECT word, ndoc \
                 FROM ts_stat('SELECT to_tsvector(''simple'', texts) FROM {INDEX}')"
            ),
            format!("CREATE INDEX ON {INDEX}_words USING gin (word gin_trgm_ops)"),
            format!("VACUUM ANALYZE {INDEX}, {INDEX}_words"),
        ])
    }

    fn target(&self, shop: &Shop) -> Box<dyn Target> {
        let statements = Set::ALL.map(|set| (set, Arc::<str>::from(selection(set, shop))));
        Box::new(PostgresTarget { options: self.options.clone(), statements })
    }
}

struct PostgresTarget {
    options: PgConnectOptions,
    statements: [(Set, Arc<str>); Set::ALL.len()],
}

/// A connection, and what waits for it.
struct PostgresSession {
    connection: PgConnection,
    runtime: Runtime,
    statements: [(Set, Arc<str>); Set::ALL.len()],
}

impl Target for PostgresTarget {
    fn connect(&self) -> Result<Box<dyn Session>> {
        let runtime = runtime()?;
        let connection = runtime.block_on(connect(&self.options))?;
        Ok(Box::new(PostgresSession { connection, runtime, statements: self.statements.clone() }))
    }
}

impl PostgresSession {
    fn answer(&mut self, question: &Question) -> Result<PgRow> {
        let typed = match question.set {
            // The words are letters and digits alone.
            Set::Prefix => question.text.replace(' ', " & ") + ":*",
            _ => question.text.clone(),
        };
        let (_, statement) = self.statements.iter().find(|(set, _)| *set == question.set).context("a statement")?;
        let asked = sqlx::query(AssertSqlSafe(statement.clone())).bind(typed).fetch_one(&mut self.connection);
        self.runtime.block_on(asked).map_err(refused).with_context(|| question.text.clone())
    }
}

impl Session for PostgresSession {
    fn ask(&mut self, question: &Question) -> Result<()> {
        self.answer(question).map(drop)
    }

    fn count(&mut self, question: &Question) -> Result<u64> {
        let found: i64 = self.answer(question)?.try_get("found")?;
        Ok(u64::try_from(found)?)
    }
}

/// Makes rows of the documents in `$1`, with the fields of `$2` as what a hit shows.
fn insertion(shop: &Shop) -> String {
    let others = shop.searched.iter().filter(|name| **name != "title");
    let others: String = others.map(|name| format!(", d->>'{name}'")).collect();
    format!(
        "INSERT INTO {INDEX}
         SELECT (d->>'id')::int, shown::text, d->>'brand', ARRAY(SELECT jsonb_array_elements_text(d->'category')),
             (d->>'price')::bigint, concat_ws(' ', d->>'title', others),
             setweight(to_tsvector('english', d->>'title'), 'A') || to_tsvector('english', others)
         FROM unnest($1::text[]) AS line, LATERAL (SELECT line::jsonb AS d) AS read,
             LATERAL (SELECT concat_ws(' ', ''{others}) AS others) AS searched,
             LATERAL (SELECT jsonb_object_agg(key, value) AS shown FROM jsonb_each(d) WHERE key = ANY ($2)) AS hit"
    )
}

/// Finds what is typed in `$1`: one row with how many products there are, the best of them, and what is counted.
fn selection(set: Set, shop: &Shop) -> String {
    let query = match set {
        Set::Plain | Set::Filtered => "SELECT plainto_tsquery('english', $1) AS query",
        Set::Prefix => "SELECT to_tsquery('english', $1) AS query",
        Set::Typo => CORRECTED,
    };
    let price = shop.price_below.as_ref().filter(|_| set == Set::Filtered);
    let filter = price.map(|price| format!(" AND price < {}", price.minor)).unwrap_or_default();
    let facets: &[&str] = if set == Set::Filtered { &shop.facets } else { &[] };
    let columns: String = facets.iter().map(|facet| format!(", {facet}")).collect();
    let counts: String = facets.iter().map(|facet| count_of(facet)).collect();
    format!(
        "WITH understood AS ({query}), found AS MATERIALIZED (
             SELECT id, ts_rank(words, query) AS rank{columns} FROM understood, {INDEX} WHERE words @@ query{filter}
         ), best AS (SELECT id, rank FROM found ORDER BY rank DESC, id LIMIT {HITS})
         SELECT (SELECT count(*) FROM found) AS found,
             (SELECT array_agg(product ORDER BY rank DESC, id) FROM best JOIN {INDEX} USING (id)) AS hits{counts}"
    )
}

/// A facet's values with how many products have each, or the least and the greatest price.
fn count_of(facet: &str) -> String {
    if facet == "price" {
        return ", (SELECT json_build_array(min(price), max(price)) FROM found) AS price".to_owned();
    }
    let values = match facet {
        "category" => "found, unnest(category) AS value",
        _ => "(SELECT brand AS value FROM found WHERE brand IS NOT NULL) AS brands",
    };
    format!(
        ", (SELECT json_object_agg(value, count) FROM (
             SELECT value, count(*) FROM {values} GROUP BY value ORDER BY count(*) DESC, value LIMIT {FACET_VALUES}
         ) AS counted) AS {facet}"
    )
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("a runtime")
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    let place = || format!("cannot connect to {}:{}", options.get_host(), options.get_port());
    let connected = timeout(CONNECT_TIMEOUT, options.connect()).await.with_context(place)?;
    connected.map_err(refused).with_context(place)
}

fn refused(error: sqlx::Error) -> anyhow::Error {
    anyhow!("PostgreSQL: {}", reason_of(&error))
}

/// In the database's own words where it has any.
fn reason_of(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |told| told.message().to_owned())
}
