//! Flags, and what is told of those that are at fault.

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
    let reconcile =
        ["checkout", "reconcile", "--stripe-secret-key=sk_test_1", "--from=1970-01-02", "--to=1970-01-03T00:00:00Z"];
    let Task::With { action: Action::Reconcile { from_ms, to_ms, .. }, .. } = task(&reconcile) else {
        panic!("a comparison")
    };
    assert_eq!((from_ms, to_ms), (DAY_MS, 2 * DAY_MS));
    for fault in [
        &["checkout", "stock", "set", "p1", "-5", "--reason", "x"][..],
        &["checkout", "stock", "set", "p1", "5", "--reason", ""],
        &["checkout", "stock", "adjust", "p1", "5", "--reason", "x", "--key", "a b"],
        &["checkout", "dead-letters", "replay", "evn_1"],
        &["checkout", "dead-letters", "discard", "evn_1", "--reason", "x"],
        &["checkout", "dead-letters", "discard", "evt_1", "--reason", ""],
        &["checkout", "breaks", "resolve", "no_such_kind", "pi_1", "--reason", "x"],
        &["checkout", "token", "new", "an na"],
    ] {
        assert_eq!(resolve(fault).expect_err("a fault").len(), 1, "{fault:?}");
    }
    assert!(Cli::try_parse_from(["checkout"]).is_err(), "what to do is said");
    let all = ["checkout", "dead-letters", "discard", "--reason", "x"];
    assert!(Cli::try_parse_from(all).is_err(), "what is put away is named");
}
