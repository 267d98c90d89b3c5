//! `indexer diff` and the policy of `indexer check`: what a publish would change, and whether that may be.

use std::fs;
use std::path::Path;

use indexer::checks::{self, Stored};
use indexer::opened::Scratch;
use indexer::policy::Policy;
use serde_json::{Value, json as value};
use snapshots::{Manifest, Store};

use crate::command::{SETTINGS, fails, json, run};

/// Builds a snapshot of these rows into `folder/name`.
fn build(folder: &Path, name: &str, rows: &[Value]) {
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(folder.join("catalogue.toml"), SETTINGS).expect("settings");
    fs::write(folder.join("rows.jsonl"), rows).expect("rows");
    json(folder, &["build", "--catalogue", "catalogue.toml", "--out", name, "rows.jsonl"]);
}

/// A shop of five products, and what became of it a day later.
fn build_two_days(folder: &Path) {
    let lamps = ["Home", "Lamps"];
    let table = value!({"id": "e", "title": "Table", "price": "5", "category": ["Home", "Tables"]});
    let images = ["https://shop.example/a.jpg?b=1&c=\"2\""];
    fs::write(folder.join("rules.toml"), "stop_words = [\"please\"]\n").expect("rules");
    build(
        folder,
        "old",
        &[
            value!({"id": "a", "title": "Red lamp", "price": "10.00", "brand": "Acme", "category": lamps, "images": images, "attributes": {"color": "red"}}),
            value!({"id": "b", "title": "Blue lamp", "price": "20.00", "category": lamps, "images": ["/b.jpg"]}),
            value!({"id": "c", "title": "Chair", "price": "30.00", "category": ["Home", "Chairs"]}),
            value!({"id": "d", "title": "Old thing"}),
            table.clone(),
        ],
    );
    fs::write(folder.join("rules.toml"), "stop_words = [\"now\"]\n").expect("rules");
    build(
        folder,
        "new",
        &[
            value!({"id": "a", "title": "Red lamp", "price": "100.00", "category": lamps, "images": images, "attributes": {"color": "<b>blue</b>"}}),
            value!({"id": "b", "title": "Blue lamp", "price": "15.00", "category": lamps, "availability": "out_of_stock"}),
            value!({"id": "c", "title": "Chair", "price": "30.00", "category": ["Garden", "Chairs"]}),
            table,
            value!({"id": "f", "title": "<script>alert(1)</script> lamp"}),
        ],
    );
}

#[test]
fn what_changed_is_counted_exactly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build_two_days(path);
    let diff = json(path, &["diff", "old", "new"]);
    let counts = |of: &Value| (of["count"].clone(), of["examples"][0]["id"].clone());
    assert_eq!(counts(&diff["products"]["added"]), (1.into(), "f".into()));
    assert_eq!(counts(&diff["products"]["removed"]), (1.into(), "d".into()));
    assert_eq!((&diff["products"]["changed"], &diff["products"]["unchanged"]), (&3.into(), &1.into()));

    let fields = diff["fields"].as_array().expect("fields");
    let told: Vec<(&str, u64, u64, u64)> = fields
        .iter()
        .map(|field| {
            let number = |name: &str| field[name].as_u64().expect("a count");
            (field["field"].as_str().expect("a name"), number("products"), number("gained"), number("lost"))
        })
        .collect();
    let expected = [
        ("price", 2, 0, 0),
        ("attributes.color", 1, 0, 0),
        ("availability", 1, 0, 0),
        ("brand", 1, 0, 1),
        ("category", 1, 0, 0),
        ("images", 1, 0, 1),
    ];
    assert_eq!(told, expected);
    let example = &fields[0]["examples"][0];
    assert_eq!((&example["id"], &example["title"]), (&"a".into(), &"Red lamp".into()));
    assert_eq!((&example["before"], &example["after"]), (&"10.00 USD".into(), &"100.00 USD".into()));
    assert_eq!(fields[4]["examples"][0]["after"], "Garden > Chairs");

    let prices = &diff["prices"];
    assert_eq!((&prices["in_both"], &prices["raised"], &prices["lowered"]), (&4.into(), &1.into(), &1.into()));
    assert_eq!(
        prices["bands"][0],
        value!({"direction": "up", "over_percent": 100, "up_to_percent": null, "products": 1})
    );
    assert_eq!(
        prices["bands"][1],
        value!({"direction": "down", "over_percent": 10, "up_to_percent": 25, "products": 1})
    );
    assert_eq!(prices["largest_rises"][0]["after"], value!({"amount_minor": 10_000, "currency": "USD"}));
    assert_eq!(prices["largest_rises"][0]["change_percent"], 900);
    assert_eq!(diff["availability"], value!([{"from": "in_stock", "to": "out_of_stock", "products": 1}]));

    let change =
        |category: &str, before: u64, after: u64| value!({"category": category, "before": before, "after": after});
    let categories = &diff["categories"];
    assert_eq!(categories["top"]["changes"], value!([change("Garden", 0, 1), change("Home", 4, 3)]));
    assert_eq!(categories["full"]["changes"], value!([change("Garden > Chairs", 0, 1), change("Home > Chairs", 1, 0)]));
    assert_eq!((&categories["full"]["vanished"], &categories["full"]["appeared"]), (&1.into(), &1.into()));

    let images = &diff["without_images"];
    assert_eq!((&images["before"], &images["after"], &images["lost"]), (&3.into(), &4.into(), &1.into()));
    assert_eq!(images["lost_examples"][0]["id"], "b");
    assert_eq!(diff["facets"]["became_empty"], value!(["brand"]));
    assert_eq!((&diff["rules"]["removed"], &diff["rules"]["added"]), (&1.into(), &1.into()));
    assert_eq!(diff["rules"]["lines"][1]["text"], "stop_words = [\"now\"]");
    assert_eq!(diff["settings"]["lines"], value!([]));
    assert_eq!((&diff["objects"]["shared"], &diff["objects"]["new"]), (&1.into(), &2.into()));
}

#[test]
fn nothing_changes_from_a_snapshot_to_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build_two_days(path);
    let arguments = ["diff", "old", "old", "--cache-dir", "cache"];
    let diff = json(path, &arguments);
    assert_eq!((&diff["products"]["unchanged"], &diff["objects"]["new"]), (&5.into(), &0.into()));
    assert_eq!((&diff["fields"], &diff["prices"]["in_both"]), (&value!([]), &4.into()));
    let kept = || fs::read_dir(path.join("cache/objects")).expect("objects").count();
    assert_eq!(kept(), 3, "settings, rules and segment");
    json(path, &["diff", "old", "new", "--cache-dir", "cache"]);
    assert_eq!(kept(), 5, "the settings are shared");
    json(path, &arguments);
    assert_eq!(kept(), 3, "what was not used goes");
}

#[test]
fn the_page_and_the_text_tell_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build_two_days(path);
    let output = run(path, &["diff", "old", "new", "--html", "diff.html"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}");
    assert!(text.contains("a  Red lamp: 10.00 USD -> 100.00 USD +900%"), "{text}");
    assert!(text.contains("Garden > Chairs") && text.contains("facets that became empty: brand"), "{text}");
    let page = fs::read_to_string(path.join("diff.html")).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.contains("100.00 USD"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<b>blue"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; lamp"), "{page}");
    let image = "<img loading=\"lazy\" alt=\"\" src=\"https://shop.example/a.jpg?b=1&amp;c=&quot;2&quot;\">";
    assert!(page.contains(image) && !page.contains("/b.jpg\""), "{page}");

    let none = String::from_utf8(run(path, &["diff", "old", "new", "--examples", "0"]).stdout).expect("text");
    assert!(!none.contains("Red lamp"), "{none}");
    fs::write(path.join("policy.toml"), "max_price_outliers = 0\n").expect("a policy");
    let judged = json(path, &["diff", "old", "new", "--policy", "policy.toml", "--html", "diff.html"]);
    assert_eq!(judged["violations"][1]["code"], "price_outliers", "{}", judged["violations"]);
    assert!(fs::read_to_string(path.join("diff.html")).expect("a page").contains("<b>price_outliers</b>"));
    assert!(fails(path, &["diff", "old", "nothing"]).contains("there is no folder"), "a missing folder");
}

#[test]
fn a_price_with_a_digit_too_many_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let rows = |fourth: &str| -> Vec<Value> {
        let price = |number| if number == 4 { fourth } else { "19.99" };
        (0..10).map(|number| value!({"id": format!("p{number}"), "title": format!("lamp {number}"), "price": price(number)})).collect()
    };
    build(path, "old", &rows("19.99"));
    build(path, "new", &rows("199.90"));
    let store = format!("file://{}/store", path.display());
    json(path, &["publish", "--store", &store, "old"]);
    let arguments = ["check", "--snapshot", "new", "--against", &store];
    assert_eq!(json(path, &arguments)["violations"], value!([]), "one price in ten may be right");

    fs::write(path.join("policy.toml"), "max_price_outliers = 0\n").expect("a policy");
    let strict = [&arguments[..], &["--policy", "policy.toml"]].concat();
    let output = run(path, &strict);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("policy: price_outliers: 1 of 10 prices") && text.contains("  p4  lamp 4\n"), "{text}");
    assert!(text.contains("product p4 went from 19.99 USD to 199.90 USD"), "{text}");
    assert!(fails(path, &strict).contains("the policy is violated: price_outliers"), "the code is told");
    let output = run(path, &[&["--json"], &strict[..]].concat());
    let lines = String::from_utf8(output.stdout).expect("text");
    let told: Value = serde_json::from_str(lines.lines().next().unwrap_or_default()).expect("JSON lines");
    assert_eq!(told["violations"][0]["products"], value!([{"id": "p4", "title": "lamp 4"}]));
    // Against nothing there is no price that moved.
    assert_eq!(json(path, &["check", "--snapshot", "new", "--policy", "policy.toml"])["violations"], value!([]));

    fs::write(path.join("policy.toml"), "max_price_outlier = 0\n").expect("a policy");
    let text = fails(path, &strict);
    assert!(text.contains("policy.toml") && text.contains("max_price_outlier"), "{text}");
}

#[test]
fn golden_queries_are_asked_where_the_policy_names_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build(path, "old", &[value!({"id": "a", "title": "red lamp"}), value!({"id": "b", "title": "green sofa"})]);
    build(path, "new", &[value!({"id": "a", "title": "red lamp"}), value!({"id": "b", "title": "green couch"})]);
    fs::create_dir(path.join("golden")).expect("a folder");
    let queries = "{\"id\": \"q1\", \"query\": \"red lamp\"}\n{\"id\": \"q2\", \"query\": \"sofa\"}\n";
    fs::write(path.join("golden/queries.jsonl"), queries).expect("queries");
    fs::write(path.join("golden/judgments.tsv"), "q1\ta\t3\nq2\tb\t3\n").expect("judgements");
    let check = |keys: &str, codes: &str| {
        let policy = format!("[golden]\nqueries = \"queries.jsonl\"\njudgments = \"judgments.tsv\"\n{keys}\n");
        fs::write(path.join("golden/policy.toml"), policy).expect("a policy");
        let arguments = ["check", "--snapshot", "new", "--against", "old", "--policy", "golden/policy.toml"];
        assert!(fails(path, &arguments).contains(&format!("the policy is violated: {codes}\n")), "{keys}");
    };
    check("max_zero_results_percent = 10", "golden_zero_results");
    check("min_ndcg = 0.9\nmax_ndcg_drop = 0.1", "golden_ndcg, golden_ndcg_drop");
    fs::write(path.join("golden/policy.toml"), "[golden]\nqueries = \"queries.jsonl\"\n").expect("a policy");
    let checked = json(path, &["check", "--snapshot", "new", "--policy", "golden/policy.toml"]);
    assert_eq!(
        (&checked["golden"]["after"]["zero_results"], &checked["golden"]["judged"]),
        (&0.5.into(), &false.into())
    );
}

/// The page had violations alone, and `diff` did not look at the rules.
#[test]
fn a_page_has_all_that_was_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let rows = [value!({"id": "a", "title": "red lamp"}), value!({"id": "b", "title": "green sofa"})];
    build(path, "old", &rows);
    let over = "[[rules]]\nname = \"over\"\nwhen = { until = 2020-01-01T00:00:00Z }\nthen = { hide = [\"b\"] }\n";
    fs::write(path.join("rules.toml"), over).expect("rules");
    build(path, "new", &rows);
    fs::write(path.join("queries.jsonl"), "{\"id\": \"q1\", \"query\": \"red lamp\"}\n").expect("queries");
    fs::write(path.join("policy.toml"), "[golden]\nqueries = \"queries.jsonl\"\n").expect("a policy");
    let diff = json(path, &["diff", "old", "new", "--policy", "policy.toml", "--html", "diff.html"]);
    assert_eq!(diff["rule_faults"].as_array().map(Vec::len), Some(1), "{diff}");
    let check = ["check", "--snapshot", "new", "--against", "old", "--policy", "policy.toml", "--html", "check.html"];
    assert!(fails(path, &check).contains("1 of the rules are at fault"));
    for name in ["diff.html", "check.html"] {
        let page = fs::read_to_string(path.join(name)).expect("a page");
        assert!(page.contains("it has ended, and can never fire again"), "{name}: {page}");
        assert!(page.contains("golden queries: without a result 0.000, before 0.000"), "{name}: {page}");
    }
}

#[test]
fn golden_queries_are_asked_as_in_the_market_that_the_policy_names() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let rules = "[[rules]]\nname = \"eu\"\nwhen = { markets = [\"eu\"] }\nthen = { hide = [\"a\"] }\n";
    fs::write(path.join("rules.toml"), rules).expect("rules");
    build(path, "shop", &[value!({"id": "a", "title": "red lamp"}), value!({"id": "b", "title": "green sofa"})]);
    fs::write(path.join("queries.jsonl"), "{\"id\": \"q1\", \"query\": \"lamp\"}\n").expect("queries");
    for (market, zero_results) in [("", 0.0), ("market = \"us\"", 0.0), ("market = \"eu\"", 1.0)] {
        let policy = format!("[golden]\nqueries = \"queries.jsonl\"\n{market}\n");
        fs::write(path.join("policy.toml"), policy).expect("a policy");
        for command in [
            &["check", "--snapshot", "shop", "--against", "shop", "--policy", "policy.toml"][..],
            &["diff", "shop", "shop", "--policy", "policy.toml"],
        ] {
            let golden = &json(path, command)["golden"];
            for of in ["before", "after"] {
                assert_eq!(golden[of]["zero_results"], value!(zero_results), "{of}, {market}: {command:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_live_snapshot_that_is_damaged_keeps_nothing_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build_two_days(path);
    let (from, from_manifest) = stored(&path.join("new")).await;
    let (to, to_manifest) = stored(&path.join("old")).await;
    let (after, before) =
        (Stored { store: &from, manifest: &from_manifest }, Stored { store: &to, manifest: &to_manifest });
    let policy = Policy::parse("max_lost_images_percent = 100\nallow_empty_facets = [\"brand\"]\n").expect("a policy");
    let scratch = || Scratch::new(None).expect("a temporary folder");
    let checked = checks::before_publish(after, Some(before), &policy, &scratch()).await.expect("both are whole");
    let codes: Vec<_> = checked.violations.iter().map(|violation| violation.code).collect();
    assert_eq!((codes, checked.unreadable), (vec!["price_outliers"], None));

    let objects = fs::read_dir(path.join("old/objects")).expect("objects").map(|entry| entry.expect("an entry").path());
    let segment = objects.max_by_key(|path| fs::metadata(path).expect("a file").len()).expect("a segment");
    fs::remove_file(&segment).expect("damage");
    let checked = checks::before_publish(after, Some(before), &policy, &scratch()).await.expect("it is told");
    assert!(checked.unreadable.is_some_and(|reason| reason.contains("is not in the store")));
    assert!(checked.diff.before.is_none() && checked.violations.is_empty(), "{:?}", checked.violations);
    assert!(checks::before_publish(before, Some(after), &policy, &scratch()).await.is_err(), "it cannot be published");
}

/// The store in a folder, and its one snapshot.
async fn stored(folder: &Path) -> (Store, Manifest) {
    let store = Store::folder(folder).expect("a store");
    let id = store.list_snapshots().await.expect("snapshots").pop().expect("a snapshot");
    let manifest = store.get_manifest(&id).await.expect("a manifest");
    (store, manifest)
}
