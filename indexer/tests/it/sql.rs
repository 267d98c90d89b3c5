//! `indexer build --sql`: rows of a real PostgreSQL.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use test_servers::{HeldPort, Postgres};

use crate::command::{SETTINGS, fails, indexer, json};

/// More than are fetched at once.
const PRODUCTS: usize = 3_500;
const PATIENCE: Duration = Duration::from_secs(60);

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("catalogue.toml"), SETTINGS).expect("settings");
    folder
}

fn command(folder: &Path, url: &str, flags: &[&str]) -> Command {
    let mut command = indexer();
    command.current_dir(folder).env("READ_SQL_URL", url).env_remove("READ_SQL_URL_FILE");
    command.args(["--json", "build", "--catalogue", "catalogue.toml", "--out", "out"]).args(flags);
    command
}

/// The last line that it says, and whether it went well.
fn told(output: &Output) -> (Value, bool) {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (serde_json::from_str(last).expect("JSON lines"), output.status.success())
}

fn build(folder: &Path, url: &str, flags: &[&str]) -> Value {
    let (value, went_well) = told(&command(folder, url, flags).output().expect("the indexer runs"));
    assert!(went_well, "{value}");
    value
}

fn refused(folder: &Path, url: &str, flags: &[&str]) -> String {
    let (value, went_well) = told(&command(folder, url, flags).output().expect("the indexer runs"));
    assert!(!went_well, "{flags:?} went well");
    value["error"].as_str().expect("an error").to_owned()
}

#[test]
fn a_query_gives_the_same_products_as_a_file() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let rows = format!(
        "CREATE TABLE products (number int, name text, price numeric(10,2), colours text[], details jsonb, maker text,
         changed timestamptz);
         INSERT INTO products SELECT n, 'Lamp ' || n, n + 0.10, ARRAY['red', 'blue'], '{{\"size\": 1.50, \"cost\": 7.77}}',
         CASE WHEN n % 2 = 0 THEN 'Acme' END, '2026-01-01T02:00:00+02:00' FROM generate_series(1, {PRODUCTS}) n"
    );
    postgres.execute(&url, &rows);
    let folder = folder();
    let path = folder.path();
    let query =
        "SELECT number AS id, name, price, maker AS brand, details AS attributes, colours AS \"attributes.color\",
                 changed AS updated_at FROM products -- all of them";
    let built = build(path, &url, &["--map", "name=title", "--sql", query]);
    assert_eq!((&built["product_count"], &built["rows_rejected"]), (&PRODUCTS.into(), &0.into()));

    let line = |n: usize| {
        let brand = if n.is_multiple_of(2) { "\"Acme\"" } else { "null" };
        format!(
            "{{\"id\": {n}, \"title\": \"Lamp {n}\", \"price\": \"{n}.10\", \"brand\": {brand}, \"size\": \"1.50\", \
             \"color\": [\"red\", \"blue\"], \"updated_at\": 1767225600}}\n"
        )
    };
    fs::write(path.join("rows.jsonl"), (1..=PRODUCTS).map(line).collect::<String>()).expect("rows");
    let from_file = json(path, &["build", "--catalogue", "catalogue.toml", "--out", "file", "rows.jsonl"]);
    assert_eq!(built["objects"], from_file["objects"]);

    // From files, and with a file of rows besides.
    fs::write(path.join("query.sql"), "SELECT 'other' AS id, 'Chair' AS title;\n").expect("a query");
    fs::write(path.join("url"), format!("{url}\n")).expect("a URL");
    let flags = ["--sql-file", "query.sql", "--read-sql-url-file", "url", "rows.jsonl"];
    assert_eq!(build(path, "", &flags)["product_count"], PRODUCTS + 1);
}

#[test]
fn bad_rows_are_set_aside_by_their_number() {
    let postgres = Postgres::start();
    let folder = folder();
    let query = "SELECT * FROM (VALUES (1, 'Lamp', 1.10), (2, NULL, 2.00), (3, 'Desk', 1.999)) v (id, title, price);";
    let built = build(folder.path(), &postgres.url(), &["--sql", query]);
    assert_eq!((&built["product_count"], &built["rows_read"]), (&1.into(), &3.into()));
    let rejects = fs::read_to_string(folder.path().join("rejects.jsonl")).expect("the rejects");
    let rejects: Vec<Value> = rejects.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let told: Vec<_> =
        rejects.iter().map(|row| (row["input"].as_str(), row["line"].as_u64(), row["field"].as_str())).collect();
    assert_eq!(told, [(Some("sql"), Some(2), Some("title")), (Some("sql"), Some(3), Some("price"))]);
}

#[test]
fn faults_of_queries_are_told_in_the_databases_words() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let folder = folder();
    let check = |query: &str, expected: &str| {
        let error = refused(folder.path(), &url, &["--sql", query]);
        assert!(error.contains(expected), "{query}: {error}");
    };
    check("SELECT idd FROM pg_class", "sql: the query is refused: column \"idd\" does not exist, at character 8");
    check("SELECT 1 AS id, 2 AS id", "the query gives two columns 'id': tell them apart with AS");
    check("SELECT 1 AS id; DROP TABLE x", "multiple commands");
    check("CREATE TABLE x ()", "the query gives no columns: is it a SELECT?");
    check("SELECT n AS id, 'x' AS title, 1 / (1500 - n) AS price FROM generate_series(1, 2000) n", "division by zero");
    check("SELECT 1 AS id, 'x' AS title WHERE false", "holds no product");
    check(" ; ", "the query is empty");
    assert!(!folder.path().join("out/snapshots").exists(), "nothing was built");
}

#[test]
fn a_database_that_is_not_there_is_named_without_the_password() {
    let held = HeldPort::find();
    let free = held.number();
    let url = format!("postgres://shop:s3cret-word@127.0.0.1:{free}/catalogue");
    let folder = folder();
    let path = folder.path();
    let error = refused(path, &url, &["--sql", "SELECT 1 AS id"]);
    assert!(error.contains(&format!("cannot connect to 127.0.0.1:{free}: Connection refused")), "{error}");
    fs::write(path.join("url"), &url).expect("a URL");
    let both = refused(path, &url, &["--sql", "SELECT 1", "--read-sql-url-file", "url"]);
    assert!(both.contains("--read-sql-url: stands beside --read-sql-url-file; give one of them"), "{both}");
    // It was taken for none that was given.
    fs::write(path.join("empty"), "\n").expect("a file");
    let empty = refused(path, "", &["--sql", "SELECT 1", "--read-sql-url-file", "empty"]);
    assert!(empty.contains("--read-sql-url-file: empty is empty"), "{empty}");
    let other = refused(path, &url.replace("postgres", "mysql"), &["--sql", "SELECT 1"]);
    assert!(other.contains("READ_SQL_URL does not begin with postgres://"), "{other}");
    let none = refused(path, "", &["--sql", "SELECT 1"]);
    assert!(none.contains("say which database to ask"), "{none}");
    for error in [error, both, empty, other, none] {
        assert!(!error.contains("s3cret-word"), "{error}");
    }
    let help = command(path, &url, &["--help"]).output().expect("the indexer runs");
    assert!(!String::from_utf8_lossy(&help.stdout).contains("s3cret-word"));
    let two = fails(path, &["build", "--catalogue", "catalogue.toml", "--out", "out", "--sql", "x", "--sql-file", "y"]);
    assert!(two.contains("cannot be used with"), "{two}");
}

#[test]
fn a_connection_that_breaks_ends_the_build_and_nothing_is_written() {
    let mut postgres = Postgres::start();
    let url = postgres.url();
    let folder = folder();
    let query = "SELECT n AS id, 'Lamp' AS title, CASE WHEN n = 2500 THEN pg_sleep(600)::text END AS pause
                 FROM generate_series(1, 5000) n";
    let mut command = command(folder.path(), &url, &["--sql", query]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the indexer runs");
    let began = Instant::now();
    while postgres.execute(&url, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != "1" {
        assert!(began.elapsed() < PATIENCE, "it never comes to sleep");
        std::thread::sleep(Duration::from_millis(20));
    }
    postgres.kill();
    let (error, went_well) = told(&child.wait_with_output().expect("it ends"));
    let text = error["error"].as_str().expect("an error");
    assert!(!went_well && text.starts_with("sql: after row 2"), "{text}");
    assert!(!folder.path().join("out/snapshots").exists(), "half a shop");

    // When it is back, so is the shop.
    postgres.restart();
    let query = "SELECT 1 AS id, 'Lamp' AS title";
    assert_eq!(build(folder.path(), &url, &["--sql", query])["product_count"], 1);
}
