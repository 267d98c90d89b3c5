//! Rows of a query to PostgreSQL, one state of the database, a few at a time.

use std::collections::HashSet;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use futures::TryStreamExt;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgErrorPosition};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Executor, Postgres, SqlSafeStr, Statement};
use tokio::time::timeout;

use super::{MAX_LINE_BYTES, Mapping, Row, SourceError, SourceRow, UnreadRow};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The server ends a statement itself after ten minutes; past that, it is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(11 * 60);
/// How many rows may wait for whoever builds.
const ROWS_AHEAD: usize = 64;
/// Read-only, so that no query can do harm; and all rows are of one moment. In UTC, the same rows give the same texts.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                     SET LOCAL statement_timeout = '10min'; SET LOCAL TIME ZONE 'UTC'";
/// No clock on earth is further ahead of UTC.
const MAX_ZONE_OFFSET: SignedDuration = SignedDuration::from_hours(14);
const FETCH: &str = "FETCH FORWARD 1000 FROM vitrine_rows";

/// A query, and the database that is asked.
#[derive(Clone, Debug)]
pub struct SqlQuery {
    text: String,
    url: SecretString,
    since: Option<Since>,
}

/// Which rows are new: those of which a column with a time is not before another time.
#[derive(Clone, Debug)]
struct Since {
    column: String,
    /// The query is asked as it is, and its latest time is noted where it has such a column: to sort all rows may take longer
    /// than a statement may.
    only_noted: bool,
    /// As the database writes times in JSON; None takes all rows.
    after: Option<String>,
    /// So far back rows are read once more: a transaction that took long shows its rows late.
    overlap_s: f64,
    seen: Arc<Mutex<Seen>>,
}

/// The times of the rows that were read.
#[derive(Debug, Default)]
struct Seen {
    latest: Option<String>,
    /// The one before it that is another; of rows in their order.
    before: Option<String>,
}

impl SqlQuery {
    /// # Errors
    /// When there is no query, or the URL is no `postgres://` one.
    pub fn new(text: &str, url: SecretString) -> Result<Self, SourceError> {
        let text = text.trim().trim_end_matches(';').trim_end();
        if text.is_empty() {
            return Err(SourceError::Sql("the query is empty".to_owned()));
        }
        options_of(&url)?;
        Ok(Self { text: text.to_owned(), url, since: None })
    }

    /// The same query for rows whose `column`, a time, is not before `after` less `overlap_s`, in its order.
    #[must_use]
    pub fn since(&self, column: &str, after: Option<&str>, overlap_s: u32) -> Self {
        let since = Since {
            column: column.to_owned(),
            only_noted: false,
            after: after.map(str::to_owned),
            overlap_s: f64::from(overlap_s),
            seen: Arc::default(),
        };
        Self { since: Some(since), ..self.clone() }
    }

    /// The same query, which notes the latest time of `column` where it has that column.
    #[must_use]
    pub fn noting(&self, column: &str) -> Self {
        let mut query = self.since(column, None, 0);
        query.since.iter_mut().for_each(|since| since.only_noted = true);
        query
    }

    /// The latest time of the rows that were read, or else the one that they were read from.
    pub fn latest(&self) -> Option<String> {
        let since = self.since.as_ref()?;
        since.seen().latest.clone().or_else(|| since.after.clone())
    }

    /// The latest time of which all rows were read before the last one, or else the one that they were read from. Rows of the
    /// last one's time may come behind it.
    pub fn latest_whole(&self) -> Option<String> {
        let since = self.since.as_ref()?;
        since.seen().before.clone().or_else(|| since.after.clone())
    }
}

/// The query over the query: its rows as JSON, those `since` a time in the order of their times. On lines of its own, so that
/// a comment at its end ends there.
fn declaration(text: &str, since: Option<&Since>) -> String {
    let mut declaration =
        format!("DECLARE vitrine_rows NO SCROLL CURSOR FOR SELECT row_to_json(t)::text FROM (\n{text}\n) t");
    if let Some(since) = since.filter(|since| !since.only_noted) {
        let column = since.column.replace('"', "\"\"");
        if since.after.is_some() {
            declaration +=
                &format!(" WHERE t.\"{column}\" >= $1::text::timestamptz - make_interval(secs => $2::float8)");
        }
        declaration += &format!(" ORDER BY t.\"{column}\" NULLS FIRST");
    }
    declaration
}

/// What the thread that asks the database says.
enum Event {
    Row(String),
    /// All rows have come. Nothing else ends them: a build of fewer would empty a shop.
    End,
    Fault(SourceError),
}

/// The rows as they come.
pub(super) struct SqlRows {
    events: Receiver<Event>,
    mapping: Arc<Mapping>,
    read_bytes: Arc<AtomicU64>,
    since: Option<Since>,
    row: u64,
    is_over: bool,
}

impl SqlRows {
    /// Begins to ask, on a thread of its own; whether that goes well shows with the first row.
    pub(super) fn ask(query: &SqlQuery, mapping: Mapping, read_bytes: Arc<AtomicU64>) -> Result<Self, SourceError> {
        let options = options_of(&query.url)?;
        let asked = query.clone();
        let (sender, events) = sync_channel(ROWS_AHEAD);
        let run = move || {
            let last = match read_all(&options, &asked, &sender) {
                Ok(()) => Event::End,
                Err(error) => Event::Fault(error),
            };
            // Where nobody hears it, the build has failed already.
            let _ = sender.send(last);
        };
        thread::Builder::new().name("sql".to_owned()).spawn(run).map_err(|error| fault("a thread", &error))?;
        let mapping = Arc::new(mapping);
        Ok(Self { events, mapping, read_bytes, since: query.since.clone(), row: 0, is_over: false })
    }
}

impl Iterator for SqlRows {
    type Item = Result<UnreadRow, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let event = self.events.recv();
        self.is_over = !matches!(event, Ok(Event::Row(_)));
        match event {
            Ok(Event::Row(text)) => {
                self.row += 1;
                let size_bytes = text.len();
                self.read_bytes.fetch_add(size_bytes as u64, Ordering::Relaxed);
                let row = serde_json::from_str(&text).map_err(|error| format!("is no JSON object: {error}"));
                // Which time is the latest depends on the order of the rows.
                if let (Ok(row), Some(since)) = (&row, &self.since) {
                    since.take_note(row, Timestamp::now());
                }
                let (number, mapping) = (self.row, self.mapping.clone());
                let read = move || SourceRow::new(number, text, row.map(|row| mapping.apply(row)));
                Some(Ok(UnreadRow::new(size_bytes, read)))
            }
            Ok(Event::End) => None,
            Ok(Event::Fault(error)) => Some(Err(error)),
            Err(_) => Some(Err(SourceError::Sql(format!("after row {}: the reader has died", self.row)))),
        }
    }
}

impl Since {
    /// A time of the future is passed over: whoever went on from there would miss all that changes before it.
    fn take_note(&self, row: &Row, now: Timestamp) {
        if let Some(Value::String(time)) = row.get(&self.column)
            && has_come(time, now)
        {
            let mut seen = self.seen();
            let is_later = match &seen.latest {
                Some(latest) if self.only_noted => instant(time) > instant(latest),
                // Rows come in the order of their times, which the database knows better.
                latest => latest.as_ref() != Some(time),
            };
            if is_later {
                seen.before = seen.latest.replace(time.clone());
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a time, as the database writes it in JSON, has come. One without a zone may be that of any zone.
fn has_come(time: &str, now: Timestamp) -> bool {
    let has_zone = time.parse::<Timestamp>().is_ok();
    let most_ahead = if has_zone { SignedDuration::ZERO } else { MAX_ZONE_OFFSET };
    instant(time).is_some_and(|time| time.duration_since(now) <= most_ahead)
}

/// A time as the database writes it in JSON; one without a zone as if it were in UTC.
fn instant(time: &str) -> Option<Timestamp> {
    let with_zone = time.parse::<Timestamp>().ok();
    with_zone.or_else(|| Offset::UTC.to_timestamp(time.parse::<DateTime>().ok()?).ok())
}

fn options_of(url: &SecretString) -> Result<PgConnectOptions, SourceError> {
    let text = url.expose_secret();
    if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err(SourceError::Sql("READ_SQL_URL does not begin with postgres://".to_owned()));
    }
    let options = PgConnectOptions::from_str(text).map_err(|error| {
        let hint = "what is special in a URL is percent-encoded in a user's name and password";
        SourceError::Sql(format!("READ_SQL_URL: {} ({hint})", reason_of(&error)))
    })?;
    Ok(options.application_name("vitrine-indexer").disable_statement_logging())
}

fn read_all(options: &PgConnectOptions, query: &SqlQuery, sender: &SyncSender<Event>) -> Result<(), SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fault("a runtime", &error))?;
    runtime.block_on(read(options, query, sender))
}

async fn read(options: &PgConnectOptions, query: &SqlQuery, sender: &SyncSender<Event>) -> Result<(), SourceError> {
    let mut connection = connect(options).await?;
    let begun = sqlx::raw_sql(BEGIN).execute(&mut connection).await;
    begun.map_err(|error| refusal("the database lets no one read", &error))?;
    check_columns(&mut connection, &query.text).await?;
    let since = query.since.as_ref();
    let mut declare = sqlx::query(AssertSqlSafe(declaration(&query.text, since)));
    if let Some(since) = since.filter(|since| since.after.is_some()) {
        declare = declare.bind(since.after.clone()).bind(since.overlap_s);
    }
    send_rows(&mut connection, declare, sender).await?;
    // All rows are here; how the connection ends changes nothing.
    let _ = connection.close().await;
    Ok(())
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, SourceError> {
    let what = format!("cannot connect to {}:{}", options.get_host(), options.get_port());
    match timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| refusal(&what, &error)),
        Err(_) => Err(fault(&what, &format!("no answer in {} s", CONNECT_TIMEOUT.as_secs()))),
    }
}

/// That the query is sound, and each of its columns has a name of its own.
async fn check_columns(connection: &mut PgConnection, text: &str) -> Result<(), SourceError> {
    let statement = connection.prepare(AssertSqlSafe(text).into_sql_str()).await;
    let statement = statement.map_err(|error| refusal("the query is refused", &error))?;
    if statement.columns().is_empty() {
        return Err(SourceError::Sql("the query gives no columns: is it a SELECT?".to_owned()));
    }
    let mut names = HashSet::new();
    for column in statement.columns() {
        if !names.insert(column.name()) {
            let reason = format!("the query gives two columns '{}': tell them apart with AS", column.name());
            return Err(SourceError::Sql(reason));
        }
    }
    Ok(())
}

/// Sends what the query of `declare` selects. Who wants only what has changed binds that to `declare`.
async fn send_rows(
    connection: &mut PgConnection,
    declare: Query<'_, Postgres, PgArguments>,
    sender: &SyncSender<Event>,
) -> Result<(), SourceError> {
    let declared = timeout(ANSWER_TIMEOUT, declare.execute(&mut *connection)).await;
    declared.map_err(|_| too_late(0))?.map_err(|error| refusal("the query fails", &error))?;
    let mut row = 0;
    loop {
        let before = row;
        let mut rows = sqlx::query_scalar::<Postgres, String>(FETCH).fetch(&mut *connection);
        loop {
            let next = timeout(ANSWER_TIMEOUT, rows.try_next()).await.map_err(|_| too_late(row))?;
            let Some(text) = next.map_err(|error| refusal(&format!("after row {row}"), &error))? else { break };
            row += 1;
            if text.len() > MAX_LINE_BYTES {
                return Err(SourceError::Sql(format!("row {row} is longer than {MAX_LINE_BYTES} bytes")));
            }
            if sender.send(Event::Row(text)).is_err() {
                // The build has failed and takes no more.
                return Ok(());
            }
        }
        if row == before {
            return Ok(());
        }
    }
}

fn too_late(row: u64) -> SourceError {
    fault(&format!("after row {row}"), &format!("no answer in {} s", ANSWER_TIMEOUT.as_secs()))
}

fn refusal(what: &str, error: &sqlx::Error) -> SourceError {
    fault(what, &reason_of(error))
}

fn fault(what: &str, reason: &dyn Display) -> SourceError {
    SourceError::Sql(format!("{what}: {reason}"))
}

/// In the database's own words, without where in its own source code they stand.
fn reason_of(error: &sqlx::Error) -> String {
    let from_database = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    match (from_database, error) {
        (Some(told), _) => {
            let mut text = told.message().to_owned();
            if let Some(PgErrorPosition::Original(at)) = told.position() {
                text += &format!(", at character {at}");
            }
            for more in [told.detail(), told.hint()].into_iter().flatten() {
                text += &format!("; {more}");
            }
            text
        }
        (None, sqlx::Error::Io(error)) => error.to_string(),
        (None, sqlx::Error::Configuration(error)) => error.to_string(),
        (None, error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str, url: &str) -> Result<SqlQuery, SourceError> {
        SqlQuery::new(text, SecretString::from(url))
    }

    #[test]
    fn a_query_ends_without_semicolons() {
        let query = query(" SELECT 1 ;; \n", "postgres://shop:s3cret@db/catalogue").expect("a query");
        assert_eq!(query.text, "SELECT 1");
        assert!(!format!("{query:?}").contains("s3cret"), "{query:?}");
    }

    /// A row that says it was changed in 2099, or at infinity, was taken for where the source stood, and what others
    /// said they were changed at was before that for ever.
    #[test]
    fn a_time_of_the_future_is_not_where_the_source_stands() {
        let query = query("SELECT 1", "postgres://db/x").expect("a query").since("at", Some("before"), 0);
        let since = query.since.as_ref().expect("a column of times");
        let check = |time: Value, expected: &str| {
            let row = Row::from_iter([("at".to_owned(), time.clone())]);
            since.take_note(&row, "2026-03-01T12:00:00Z".parse().expect("a time"));
            assert_eq!(query.latest().as_deref(), Some(expected), "{time}");
        };
        check("infinity".into(), "before");
        check("2099-01-01T00:00:00+00:00".into(), "before");
        check("-infinity".into(), "before");
        check(Value::Null, "before");
        check("2026-03-01T11:59:59.123456+00:00".into(), "2026-03-01T11:59:59.123456+00:00");
        check("2026-03-01T12:00:01+00:00".into(), "2026-03-01T11:59:59.123456+00:00");
        check("2026-03-01T12:00:00+00:00".into(), "2026-03-01T12:00:00+00:00");
        // Times without a zone are compared with each other by the database, and may be ahead by one.
        check("2026-03-02T02:00:00".into(), "2026-03-02T02:00:00");
        check("2026-03-02T02:00:01".into(), "2026-03-02T02:00:00");
        check("2026-03-01".into(), "2026-03-01");
    }

    /// Whoever stops in the middle of a time must read the rest of it.
    #[test]
    fn a_time_is_whole_when_a_later_one_was_read() {
        let query = query("SELECT 1", "postgres://db/x").expect("a query").since("at", Some("before"), 0);
        let since = query.since.as_ref().expect("a column of times");
        let check = |time: &str, expected: &str| {
            let row = Row::from_iter([("at".to_owned(), time.into())]);
            since.take_note(&row, "2026-03-01T12:00:00Z".parse().expect("a time"));
            assert_eq!(query.latest_whole().as_deref(), Some(expected), "{time}");
        };
        check("2026-01-01T00:00:00+00:00", "before");
        check("2026-01-01T00:00:00+00:00", "before");
        check("2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00");
        check("2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00");
        check("2099-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00");
        check("2026-01-03T00:00:00+00:00", "2026-01-02T00:00:00+00:00");
    }

    /// A build had all rows sorted, which a large table takes longer for than a statement may.
    #[test]
    fn what_is_only_noted_comes_in_any_order() {
        let query = query("SELECT 1", "postgres://db/x").expect("a query");
        let declared = |query: &SqlQuery| declaration(&query.text, query.since.as_ref());
        let ordered = query.since("at", None, 0);
        let noting = query.noting("at");
        assert!(declared(&ordered).contains("ORDER BY t.\"at\""), "{}", declared(&ordered));
        assert_eq!(declared(&noting), declared(&query));
        let check = |noting: &SqlQuery, time: &str, expected: &str| {
            let row = Row::from_iter([("at".to_owned(), time.into())]);
            let since = noting.since.as_ref().expect("a column of times");
            since.take_note(&row, "2026-03-01T12:00:00Z".parse().expect("a time"));
            assert_eq!(noting.latest().as_deref(), Some(expected), "{time}");
        };
        check(&noting, "2026-01-02T00:00:00.5+00:00", "2026-01-02T00:00:00.5+00:00");
        check(&noting, "2026-01-02T00:00:00+00:00", "2026-01-02T00:00:00.5+00:00");
        check(&noting, "2026-01-02T00:00:01+00:00", "2026-01-02T00:00:01+00:00");
        check(&noting, "2099-01-01T00:00:00+00:00", "2026-01-02T00:00:01+00:00");
        let without_zone = query.noting("at");
        check(&without_zone, "2026-01-02T00:00:01", "2026-01-02T00:00:01");
        check(&without_zone, "2026-01-02T00:00:00", "2026-01-02T00:00:01");
    }

    #[test]
    fn what_is_no_query_or_no_url_is_told_without_the_password() {
        let check = |text: &str, url: &str, reason: &str| {
            let error = query(text, url).expect_err(reason).to_string();
            assert!(error.contains(reason) && !error.contains("s3cret"), "{error}");
        };
        check(" ; ", "postgres://db/x", "the query is empty");
        check("SELECT 1", "mysql://shop:s3cret@db/x", "does not begin with postgres://");
        check("SELECT 1", "postgres://shop:s3cret/x@db:notaport/x", "percent-encoded");
        check("SELECT 1", "postgres://shop:s3cret@db/x?sslmode=perhaps", "perhaps");
    }
}
