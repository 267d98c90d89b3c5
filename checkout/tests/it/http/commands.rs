//! The binary: its commands, its exit codes, and its end.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use checkout::domain::BreakKind;
use checkout::store::{FoundBreak, SqliteStore, Store, StoreSettings};
use serde_json::Value;

use super::shop::{Shop, wait_until};

fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_checkout"));
    command.args(args).env("CHECKOUT_DATA_DIR", data).env("CHECKOUT_LOG", "warn");
    for name in ["PRIMARY_SQL_URL", "READ_SQL_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "REDIS_URL"] {
        command.env_remove(name);
    }
    command
}

fn checkout(data: &Path, args: &[&str]) -> Output {
    command(data, args).output().expect("checkout runs")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn settings_at_fault_are_told_all_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = checkout(folder.path(), &["serve", "--listen", "nowhere", "--hold-ms", "5"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{text}");
    for flag in ["--listen", "--hold-ms", "--stripe-secret-key", "--stripe-webhook-secret"] {
        assert!(text.contains(flag), "{text}");
    }
    assert_eq!(checkout(folder.path(), &[]).status.code(), Some(64));
    assert_eq!(checkout(folder.path(), &["--help"]).status.code(), Some(0));
}

#[test]
fn a_new_database_is_migrated_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let dry = told(&checkout(folder.path(), &["migrate", "--dry-run"]));
    assert!(dry.contains("CREATE TABLE") && dry.starts_with("-- 1 "), "{dry}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "a file was made to look at");
    let before = checkout(folder.path(), &["status", "--json"]);
    assert_eq!(before.status.code(), Some(1), "{before:?}");
    assert!(json(&before)["fault"].is_string());
    assert!(told(&checkout(folder.path(), &["migrate"])).starts_with("applied 1 "));
    assert_eq!(told(&checkout(folder.path(), &["migrate"])), "there is nothing to apply\n");
    let dry = told(&checkout(folder.path(), &["migrate", "--dry-run"]));
    assert_eq!(dry, "-- there is nothing to apply\n");
    let status = checkout(folder.path(), &["status", "--json"]);
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    let status = json(&status);
    assert_eq!((&status["fault"], status["waiting"]["dead_letters"].as_u64()), (&Value::Null, Some(0)));
    let verified = checkout(folder.path(), &["verify", "--json"]);
    assert_eq!((verified.status.code(), json(&verified)["violations"].as_array().map(Vec::len)), (Some(0), Some(0)));
    let letters = checkout(folder.path(), &["dead-letters", "list", "--json"]);
    assert_eq!(json(&letters)["dead_letters"].as_array().map(Vec::len), Some(0), "{letters:?}");
    // Whoever was told nothing did not know whether it had looked.
    assert_eq!(told(&checkout(folder.path(), &["dead-letters", "list"])), "there are no dead letters or webhooks\n");
    assert_eq!(told(&checkout(folder.path(), &["breaks", "list"])), "there are no open breaks\n");
    let replayed = checkout(folder.path(), &["dead-letters", "replay", "--json"]);
    assert_eq!(json(&replayed)["replayed"].as_u64(), Some(0), "{replayed:?}");
    // Nothing was replayed, and nobody was told.
    let unknown = checkout(folder.path(), &["dead-letters", "replay", "evt_of_nobody"]);
    assert!(unknown.status.code() == Some(1) && told(&unknown).contains("evt_of_nobody is not dead"), "{unknown:?}");
    let unknown = checkout(folder.path(), &["dead-letters", "discard", "evt_of_nobody", "--reason", "old", "--json"]);
    assert_eq!((unknown.status.code(), json(&unknown)["discarded"].as_u64()), (Some(1), Some(0)), "{unknown:?}");
}

/// Behind `head`, which goes away once it has seen enough, a command ended in a panic.
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command(folder.path(), &["migrate", "--dry-run"]).stdout(writer).output().expect("checkout runs");
    assert_eq!(output.status.code(), Some(141), "{output:?}");
}

/// Proxies that the environment names were asked, and shown the key of Stripe's API.
#[test]
fn no_proxy_of_the_environment_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", proxy.local_addr().expect("its address"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_checkout"));
    command
        .args(["reconcile", "--stripe-api-url", "http://127.0.0.1:9", "--stripe-timeout-ms", "500"])
        .env("CHECKOUT_DATA_DIR", folder.path())
        .env("CHECKOUT_LOG", "warn")
        .env("STRIPE_SECRET_KEY", "sk_test_tests");
    for name in ["PRIMARY_SQL_URL", "READ_SQL_URL", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, &url);
    }
    let output = command.output().expect("checkout runs");
    // By 1 it would say that the books differ.
    assert_eq!(output.status.code(), Some(2), "nobody listens where Stripe should be: {output:?}");
    proxy.set_nonblocking(true).expect("a listener that does not wait");
    let asked = proxy.accept().expect_err("the proxy was asked");
    assert_eq!(asked.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_token_is_told_once_and_kept_as_a_hash() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = told(&checkout(folder.path(), &["token", "new", "anna"]));
    let token = output.lines().find_map(|line| line.strip_prefix("token: ")).expect("a token");
    let hash = checkout::tokens::TokenHash::of(token).to_hex();
    assert!(output.lines().any(|line| line == format!("anna {hash}")), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn breaks_are_shown_until_somebody_dealt_with_them() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(checkout(folder.path(), &["migrate"]).status.success());
    let file = folder.path().join("checkout.sqlite3");
    let store = SqliteStore::open(&file, StoreSettings::default()).await.expect("a store");
    let found = FoundBreak {
        kind: BreakKind::UnknownCharge,
        reference: "pi_1".to_owned(),
        detail: "12.00 EUR that nobody asked for".to_owned(),
    };
    store.record_break(&found, 0).await.expect("it is noted");
    let listed = told(&checkout(folder.path(), &["breaks", "list"]));
    assert_eq!(listed, "1970-01-01T00:00:00Z unknown_charge pi_1: 12.00 EUR that nobody asked for\n");
    let resolve = ["breaks", "resolve", "unknown_charge", "pi_1", "--reason", "sent back", "--actor", "anna"];
    assert_eq!(told(&checkout(folder.path(), &resolve)), "pi_1 is dealt with\n");
    let listed = checkout(folder.path(), &["breaks", "list", "--json"]);
    assert_eq!(json(&listed)["breaks"].as_array().map(Vec::len), Some(0), "{listed:?}");
    let again = checkout(folder.path(), &resolve);
    assert!(again.status.code() == Some(1) && told(&again).contains("no open break"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_imported_whole_or_not_at_all() {
    let shop = Shop::open().await;
    let data = shop.folder.path().join("data");
    let file = shop.folder.path().join("stock.csv");
    let path = file.to_str().expect("a plain path").to_owned();
    let run = |args: &[&str]| checkout(&data, args);
    std::fs::write(&file, "product,quantity,reason\np1,7,counted\np2,many,counted\n").expect("a file");
    let output = run(&["stock", "import", &path]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains("line 3: 'many'"), "{text}");
    assert_eq!(shop.available("p1").await, 10);
    std::fs::write(&file, "quantity,product,reason\n7,p1,counted\n0,p2,counted\n").expect("a file");
    assert_eq!(told(&run(&["stock", "import", "--dry-run", &path])), "2 products would be set\n");
    assert_eq!(shop.available("p1").await, 10);
    assert_eq!(told(&run(&["stock", "import", &path])), "2 products were set\n");
    assert_eq!((shop.available("p1").await, shop.available("p2").await), (7, 0));
    assert_eq!(told(&run(&["stock", "adjust", "p1", "-3", "--reason", "broken"])), "p1: 4 can be sold, 0 are held\n");
    let adjust = ["stock", "adjust", "p1", "-1", "--reason", "broken", "--key", "one of 31 January"];
    assert_eq!(run(&adjust).status.code(), Some(64), "a key is one word");
    let adjust = ["stock", "adjust", "p1", "-1", "--reason", "broken", "--key", "2026-01-31/1"];
    assert_eq!(told(&run(&adjust)), "p1: 3 can be sold, 0 are held\n");
    assert_eq!(told(&run(&adjust)), "p1: 3 can be sold, 0 are held (it was done before)\n");
    // Asked for again by somebody else, it counted twice.
    let by_other = [&adjust[..], &["--actor", "bert"][..]].concat();
    assert_eq!(told(&run(&by_other)), "p1: 3 can be sold, 0 are held (it was done before)\n");
    let other = ["stock", "adjust", "p1", "-2", "--reason", "broken", "--key", "2026-01-31/1"];
    assert_eq!(run(&other).status.code(), Some(1), "another change has another key");
    assert_eq!(told(&run(&["stock", "set", "p1", "9", "--reason", "counted"])), "p1: 9 can be sold, 0 are held\n");
    assert_eq!(run(&["stock", "adjust", "p1", "-10", "--reason", "broken"]).status.code(), Some(1));
    assert_eq!(shop.available("p1").await, 9);
    // A whole catalogue is more than one transaction takes.
    let rows: String = (0..1_203).map(|number| format!("c{number},{number},counted\n")).collect();
    std::fs::write(&file, format!("product,quantity,reason\n{rows}")).expect("a file");
    assert_eq!(told(&run(&["stock", "import", &path])), "1203 products were set\n");
    assert_eq!((shop.available("c0").await, shop.available("c1202").await), (0, 1_202));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_process_in_order() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_checkout"))
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--drain-ms", "0"])
        .env("CHECKOUT_DATA_DIR", folder.path())
        .env_remove("PRIMARY_SQL_URL")
        .env_remove("CHECKOUT_CORS_ORIGINS")
        .env_remove("CHECKOUT_RETURN_ORIGINS")
        .env("STRIPE_SECRET_KEY", "sk_test_tests")
        .env("STRIPE_WEBHOOK_SECRET", "whsec_tests")
        .stdout(Stdio::piped())
        .spawn()
        .expect("checkout starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("JSON lines"));
    let mut is_warned = false;
    let listening = lines.find(|line| {
        let is_of_origins =
            line["message"].as_str().is_some_and(|message| message.contains("every return_url is refused"));
        is_warned |= line["level"] == "WARN" && is_of_origins;
        line["message"] == "listening"
    });
    let listening = listening.expect("it says where it listens");
    assert!(is_warned, "no origin was named");
    let url = format!("http://{}/checkout/healthz", listening["public"].as_str().expect("an address"));
    assert_eq!(reqwest::get(&url).await.expect("an answer").status().as_u16(), 200);
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
    let rest: Vec<Value> = lines.collect();
    assert!(rest.iter().any(|line| line["http.route"] == "healthz" && line["http.status"] == 200), "{rest:?}");
    assert_eq!(rest.last().map(|line| line["message"].clone()), Some("ended".into()));
    wait_until("the process is gone", async || child.try_wait().expect("its state").is_some()).await;
    assert!(child.wait().expect("its status").success());
}
