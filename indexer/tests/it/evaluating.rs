//! `indexer evaluate`: judged queries in, scores out.

use std::fs;
use std::path::Path;

use crate::command::{SETTINGS, fails, json, run};

#[test]
fn judged_queries_are_scored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    let rows = ["red lamp", "blue lamp", "red chair"].iter().enumerate();
    let rows: String =
        rows.map(|(number, title)| format!("{{\"id\": \"p{number}\", \"title\": \"{title}\"}}\n")).collect();
    fs::write(path.join("rows.jsonl"), rows).expect("rows");
    json(path, &["build", "--catalogue", "catalogue.toml", "--out", "built", "rows.jsonl"]);
    let queries = "{\"id\": \"q1\", \"query\": \"red lamp\"}\n{\"id\": \"q2\", \"query\": \"sofa\"}\n{\"id\": \"q3\", \"query\": \"chair\"}\n";
    fs::write(path.join("queries.jsonl"), queries).expect("queries");
    // q3 has no product that is any good, and is left out.
    fs::write(path.join("judgments.tsv"), "q1\tp0\t3\nq1\tp1\t1\nq2\tp2\t2\nq3\tp1\t0\n").expect("judgements");

    let arguments = ["evaluate", "--snapshot", "built", "--queries", "queries.jsonl", "--judgments", "judgments.tsv"];
    let scores = json(path, &arguments);
    assert_eq!((&scores["queries"], &scores["zero_results"], &scores["mrr"]), (&2.into(), &0.5.into(), &0.5.into()));
    let first = &scores["per_query"][0];
    assert_eq!((&first["id"], &first["recall"], &first["found"]), (&"q1".into(), &1.0.into(), &3.into()));
    assert!(first["ndcg"].as_f64().is_some_and(|ndcg| ndcg > 0.9), "{first}");
    let text = String::from_utf8(run(path, &arguments).stdout).expect("text");
    assert!(text.contains("nDCG@10") && text.lines().last().is_some_and(|line| line.ends_with("red lamp")), "{text}");

    let store = format!("file://{}/store", path.display());
    json(path, &["publish", "--store", &store, "built"]);
    let live = ["evaluate", "--snapshot", &store, "--queries", "queries.jsonl", "--judgments", "judgments.tsv"];
    assert_eq!(json(path, &live)["ndcg"], scores["ndcg"]);

    // Beside another snapshot, as a page, and against floors.
    fs::write(path.join("rows.jsonl"), "{\"id\": \"p1\", \"title\": \"blue lamp\"}\n").expect("rows");
    json(path, &["build", "--catalogue", "catalogue.toml", "--out", "other", "rows.jsonl"]);
    let compared = [&arguments[..], &["--against", "other", "--html", "report.html", "--floor", "ndcg=0.1"]].concat();
    let text = String::from_utf8(run(path, &compared).stdout).expect("text");
    assert!(text.contains("against") && text.contains("1 queries moved"), "{text}");
    let page = fs::read_to_string(path.join("report.html")).expect("a page");
    assert!(
        page.starts_with("<!doctype html>") && page.contains("red lamp") && page.contains("class=\"up\""),
        "{page}"
    );
    let strict = [&arguments[..], &["--floor", "ndcg=0.99"]].concat();
    assert!(fails(path, &strict).contains("must be 0.99"), "a floor fails the command");
    let unknown = [&arguments[..], &["--floor", "f1=0.5"]].concat();
    assert!(fails(path, &unknown).contains("'f1' is none of ndcg"), "the measure is named");

    fs::write(path.join("judgments.tsv"), "q1\tp0\t3\nq1 p1 1\n").expect("judgements");
    assert!(fails(path, &arguments).contains("judgments.tsv: line 2: expected query id"), "the line is named");
}

/// Builds a shop of two lamps, with a rule in each of two markets, and has someone judge a query.
fn build_lamps(path: &Path) {
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    let rows = "{\"id\": \"p0\", \"title\": \"red lamp\"}\n{\"id\": \"p1\", \"title\": \"blue lamp\"}\n";
    fs::write(path.join("rows.jsonl"), rows).expect("rows");
    let rule = |market: &str, then: &str| {
        format!(
            "[[rules]]\nname = \"{market}\"\nwhen = {{ query_is = \"lamp\", markets = [\"{market}\"] }}\nthen = {then}\n"
        )
    };
    let rules = rule("us", "{ pin = [{ id = \"p1\", position = 1 }] }") + &rule("eu", "{ hide = [\"p1\"] }");
    fs::write(path.join("rules.toml"), rules).expect("rules");
    json(path, &["build", "--catalogue", "catalogue.toml", "--out", "built", "rows.jsonl"]);
    fs::write(path.join("queries.jsonl"), "{\"id\": \"q1\", \"query\": \"lamp\"}\n").expect("queries");
    fs::write(path.join("judgments.tsv"), "q1\tp1\t3\n").expect("judgements");
}

const EVALUATE: [&str; 7] =
    ["evaluate", "--snapshot", "built", "--queries", "queries.jsonl", "--judgments", "judgments.tsv"];

#[test]
fn rules_hold_as_in_one_market() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build_lamps(path);
    let check = |more: &[&str], found: u64, mrr: f64| {
        let scores = json(path, &[&EVALUATE[..], more].concat());
        assert_eq!((&scores["per_query"][0]["found"], &scores["mrr"]), (&found.into(), &mrr.into()), "{more:?}");
    };
    check(&[], 2, 0.5);
    check(&["--market", "us"], 2, 1.0);
    check(&["--market", "eu"], 1, 0.0);
    check(&["--market", "jp"], 2, 0.5);
    // Other rules than those that were built in, beside these.
    fs::write(path.join("next.toml"), "[[hidden]]\nid = \"p0\"\n").expect("rules");
    check(&["--rules", "next.toml"], 1, 1.0);
    let compared = [&EVALUATE[..], &["--market", "us", "--rules", "next.toml", "--against", "built"]].concat();
    let scores = json(path, &compared);
    assert_eq!((&scores["per_query"][0]["found"], &scores["against"]["per_query"][0]["found"]), (&1.into(), &2.into()));
}

#[test]
fn a_refused_query_finds_nothing_and_ends_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    build_lamps(path);
    let long = "lamp ".repeat(200);
    let queries = [("q1", "lamp"), ("q2", "sofa"), ("q3", long.as_str()), ("q4", "blue lamp")];
    let queries = queries.map(|(id, query)| format!("{{\"id\": \"{id}\", \"query\": \"{query}\"}}\n"));
    fs::write(path.join("queries.jsonl"), queries.concat()).expect("queries");
    fs::write(path.join("judgments.tsv"), "q1\tp1\t3\nq2\tp0\t2\nq3\tp0\t2\nq4\tp1\t2\n").expect("judgements");
    let scores = json(path, &EVALUATE);
    assert_eq!((&scores["queries"], &scores["refused"], &scores["recall"]), (&4.into(), &1.into(), &0.5.into()));
    let refused = scores["per_query"][2]["refused"].as_str().expect("a reason");
    let text = String::from_utf8(run(path, &EVALUATE).stdout).expect("text");
    assert!(text.contains(&format!("1, the first q3: {refused}\n")), "{text}");

    let bounded = |bound: &'static str| [&EVALUATE[..], &["--ceiling", bound]].concat();
    json(path, &bounded("zero_results=0.5"));
    let text = fails(path, &bounded("zero_results=0.4"));
    assert!(text.contains("zero_results is 0.5000, and may be at most 0.4"), "{text}");
    assert!(fails(path, &bounded("ndcg=0.5")).contains("'ndcg' is none of zero_results"), "the measure is named");
    assert!(
        fails(path, &bounded("zero_results=5%")).contains("'5%' is not a number from 0 to 1"),
        "the value is named"
    );
}
