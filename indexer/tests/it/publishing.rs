//! `publish`, `status`, `list` and `show` on a directory.

use std::fs;

use crate::command::{SETTINGS, build_products, fails, indexer, json, run};

#[test]
fn a_publish_announces_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = format!("file://{}/store", path.display());
    let first = build_products(path, "one", 3);
    let second = build_products(path, "two", 5);

    let dry = json(path, &["publish", "--store", &store, "--dry-run", "one"]);
    assert_eq!((dry["event"].as_str(), dry["uploaded_objects"].as_u64()), (Some("dry_run"), Some(2)));
    assert!(!path.join("store").exists(), "a dry run writes nothing");

    let published = json(path, &["publish", "--store", &store, "one"]);
    assert_eq!((published["event"].as_str(), published["sequence"].as_u64()), (Some("announced"), Some(1)));
    assert_eq!(json(path, &["publish", "--store", &store, "one"])["event"], "unchanged");
    let published = json(path, &["publish", "--store", &store, "two"]);
    assert_eq!(published["previous"], first.as_str());
    assert_eq!(published["uploaded_objects"], 1, "the settings are shared");
    assert_eq!(fs::read_dir(path.join("store/leases")).expect("leases").count(), 0, "no lease is left");

    let status = json(path, &["status", "--store", &store]);
    let live = &status["channels"][0];
    assert_eq!((live["snapshot"].as_str(), live["sequence"].as_u64()), (Some(second.as_str()), Some(2)));
    assert_eq!((live["product_count"].as_u64(), live["held"].as_bool()), (Some(5), Some(false)));
    let list = json(path, &["list", "--store", &store]);
    assert_eq!(list["snapshots"].as_array().map(Vec::len), Some(2));
    assert_eq!(json(path, &["show", "--store", &store, &first])["statistics"]["product_count"], 3);
    assert_eq!(json(path, &["show", "--store", &store])["id"], second.as_str());
    let text = String::from_utf8(run(path, &["status", "--store", &store]).stdout).expect("text");
    assert!(text.starts_with("CHANNEL  SNAPSHOT") && text.contains(&second), "{text}");
    let preview = json(path, &["publish", "--store", &store, "--channel", "preview", "--snapshot", &first, "one"]);
    assert_eq!(preview["uploaded_objects"], 0);
    assert_eq!(json(path, &["status", "--store", &store])["channels"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_publish_that_must_not_be_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = format!("file://{}/store", path.display());
    build_products(path, "one", 3);
    let check = |args: &[&str], expected: &str| {
        let text = fails(path, args);
        assert!(text.contains(expected), "{args:?}: {text}");
    };
    check(&["publish", "--store", &store, "nothing"], "there is no folder");
    check(&["status", "--store", &format!("{store}-mistyped")], "there is no folder");
    fs::create_dir(path.join("empty")).expect("a folder");
    check(&["publish", "--store", &store, "empty"], "holds no snapshot: run 'indexer build' first");
    check(&["publish", "--store", "s3://x", "one"], "'s3' is none of file, memory and az");
    check(&["show", "--store", &store, "nothing"], "neither a channel nor a snapshot");
    json(path, &["publish", "--store", &store, "one"]);

    let pointer = path.join("store/channels/live.json");
    let whole = fs::read_to_string(&pointer).expect("the pointer");
    build_products(path, "two", 4);
    fs::write(&pointer, whole.replace("\"held\":false", "\"held\":true")).expect("a held channel");
    check(&["publish", "--store", &store, "two"], "is held at");
    let held = String::from_utf8(run(path, &["status", "--store", &store]).stdout).expect("text");
    assert!(held.contains("HELD"), "{held}");
    fs::write(&pointer, &whole).expect("the pointer");

    // A damaged object is found before it is announced.
    let objects = fs::read_dir(path.join("two/objects")).expect("objects").map(|entry| entry.expect("an entry").path());
    let segment = objects.max_by_key(|path| fs::metadata(path).expect("a file").len()).expect("a segment");
    let mut bytes = fs::read(&segment).expect("the segment");
    bytes[500] ^= 1;
    fs::write(&segment, bytes).expect("damage");
    check(&["publish", "--store", &store, "two"], "is damaged");
    assert_eq!(fs::read_to_string(&pointer).expect("the pointer"), whole);
    // Building again mends what is damaged, although its name is there already.
    build_products(path, "two", 4);
    json(path, &["publish", "--store", &store, "two"]);
}

/// It was read as a URL, whose path ends at such a character, and another folder was opened.
#[test]
fn a_folder_may_be_called_anything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = format!("file://{}/store", path.display());
    for name in ["shop #1", "shop?", "50%20"] {
        let built = build_products(path, name, 3);
        assert_eq!(json(path, &["publish", "--store", &store, name])["snapshot"], built.as_str(), "{name}");
        assert_eq!(json(path, &["merge", "--out", name])["snapshot"], built.as_str(), "{name}");
        let inbox = format!("inbox of {name}");
        fs::create_dir(path.join(&inbox)).expect("a folder");
        let looked = json(path, &["watch", "--store", &store, "--out", "updates", "--inbox", &inbox, "--once"]);
        assert_eq!(looked["event"], "unchanged", "{name}");
    }
}

/// What is live could be damaged so that nobody saw of which catalogue it was, and be replaced by another one's.
#[test]
fn another_catalogue_is_kept_out_although_what_is_live_is_damaged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = format!("file://{}/store", path.display());
    let one = build_products(path, "one", 3);
    json(path, &["publish", "--store", &store, "one"]);
    fs::write(path.join(format!("store/snapshots/{one}.json")), "{").expect("damage");
    fs::write(path.join("catalogue.toml"), SETTINGS.replace("\"shop\"", "\"other\"")).expect("settings");
    json(path, &["build", "--catalogue", "catalogue.toml", "--out", "other", "rows.jsonl"]);
    let refused = fails(path, &["publish", "--store", &store, "other"]);
    assert!(refused.contains("serves the catalogue 'shop', and this snapshot is of 'other'"), "{refused}");
}

/// Behind `head`, which goes away once it has seen enough, a command ended in a panic.
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = format!("file://{}", folder.path().display());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = indexer().args(["status", "--store", &store]).stdout(writer).output().expect("the indexer runs");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
}

#[test]
fn two_publishers_race_and_one_wins() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = format!("file://{}/store", path.display());
    let base = build_products(path, "base", 2);
    json(path, &["publish", "--store", &store, "base"]);
    let ids: Vec<String> = (0..4).map(|racer| build_products(path, &format!("racer{racer}"), 3)).collect();
    let racers: Vec<_> = (0..4)
        .map(|racer| {
            let mut command = indexer();
            command.current_dir(path).args(["publish", "--store", &store, &format!("racer{racer}")]);
            command
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("the indexer runs")
        })
        .collect();
    let outputs: Vec<_> = racers.into_iter().map(|racer| racer.wait_with_output().expect("it ends")).collect();
    let won = outputs.iter().filter(|output| output.status.success()).count();
    // They may also have come one after another; then each is a publish of its own.
    let status = json(path, &["status", "--store", &store]);
    let live = &status["channels"][0];
    assert!(won >= 1);
    assert_eq!(live["sequence"].as_u64(), Some(1 + won as u64), "each success is one sequence");
    assert!(ids.iter().any(|id| live["snapshot"] == id.as_str()) && live["snapshot"] != base.as_str());
    for loser in outputs.iter().filter(|output| !output.status.success()) {
        let text = String::from_utf8_lossy(&loser.stderr);
        assert!(text.contains("another publish was faster"), "{text}");
    }
}

#[test]
fn a_policy_stops_a_publish_unless_someone_says_why_not() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = format!("file://{}/store", path.display());
    build_products(path, "one", 10);
    json(path, &["publish", "--store", &store, "one"]);
    let few = build_products(path, "two", 4);
    let refused = fails(path, &["publish", "--store", &store, "two"]);
    assert!(refused.contains("--override REASON"), "{refused}");
    let told = String::from_utf8(run(path, &["publish", "--store", &store, "two"]).stdout).expect("text");
    assert!(told.contains("products 10 -> 4: 0 added, 6 removed") && told.contains("removed_products"), "{told}");
    assert!(told.contains("p9"), "the products are named: {told}");
    let dry = fails(path, &["publish", "--store", &store, "--dry-run", "two"]);
    assert!(dry.contains("--override REASON"), "{dry}");

    let published = json(path, &["publish", "--store", &store, "--override", "end of season", "two"]);
    assert_ne!(published["snapshot"], few.as_str(), "its manifest says more than what was built");
    let manifest = json(path, &["show", "--store", &store]);
    assert_eq!(manifest["validation"]["overridden"]["reason"], "end of season");
    assert_eq!(manifest["validation"]["overridden"]["violations"][0], "removed_products");
    // Run again, it was announced as it was built, without the reason, and a rollback came to the same products.
    for reason in [&["--override", "end of season"][..], &[]] {
        let again = json(path, &[&["publish", "--store", &store][..], reason, &["two"]].concat());
        let of = |published: &serde_json::Value| (published["snapshot"].clone(), published["sequence"].clone());
        assert_eq!((again["event"].as_str(), of(&again)), (Some("unchanged"), of(&published)), "{again}");
    }

    // A reason that is not needed changes nothing; a policy of one's own is asked in place of the default.
    fs::write(path.join("strict.toml"), "max_added_percent = 10").expect("a policy");
    build_products(path, "three", 6);
    let strict = ["publish", "--store", &store, "--policy", "strict.toml", "three"];
    fails(path, &strict);
    assert_eq!(json(path, &["publish", "--store", &store, "three"])["event"], "announced");
    assert!(fails(path, &["publish", "--store", &store, "--policy", "none.toml", "three"]).contains("none.toml"));
}

/// A script could not tell a verdict from a store that is down.
#[test]
fn exit_codes_tell_verdicts_and_wrong_settings_from_failures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let store = format!("file://{}/store", path.display());
    build_products(path, "one", 3);
    json(path, &["publish", "--store", &store, "one"]);
    let check = |args: &[&str], expected: i32| {
        let output = run(path, args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(expected), "{args:?}: {told}");
    };
    fs::write(path.join("policy.toml"), "min_products = 4\n").expect("a policy");
    let check_by = ["check", "--snapshot", "one", "--policy", "policy.toml"];
    check(&check_by, 2);
    build_products(path, "two", 2);
    check(&["publish", "--store", &store, "--policy", "policy.toml", "two"], 2);
    json(path, &["hold", "--store", &store]);
    check(&["publish", "--store", &store, "two"], 2);

    fs::write(path.join("policy.toml"), "min_produce = 4\n").expect("a policy");
    check(&check_by, 64);
    check(&["publish", "--store", &store, "--sign-key", "no.pem", "two"], 64);
    check(&["status", "--store", "s3://x"], 64);
    check(&["status", "--store", &store, "--trust", "no.pem"], 64);
    let watch = ["watch", "--store", "s3://x", "--out", "updates", "--policy", "policy.toml", "--map", "nothing"];
    check(&watch, 64);
    let told = fails(path, &watch);
    for fault in ["'s3' is none of", "min_produce", "'nothing' is no mapping"] {
        assert!(told.contains(fault), "all at once: {told}");
    }

    fs::write(path.join("store/channels/live.json"), "{").expect("a damaged pointer");
    check(&["publish", "--store", &store, "two"], 1);
}
