//! Rules and recorded queries, from their files to a snapshot.

use std::fs;

use crate::command::{SETTINGS, fails, json, run};

#[test]
fn rules_are_built_in_and_checked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    fs::write(
        path.join("rows.jsonl"),
        "{\"id\": \"a\", \"title\": \"red lamp\"}\n{\"id\": \"b\", \"title\": \"lamp\"}\n",
    )
    .expect("rows");
    let build = ["build", "--catalogue", "catalogue.toml", "--out", "built", "rows.jsonl"];
    let rule = |id: &str| {
        format!(
            "[[rules]]\nname = \"first\"\nwhen = {{ query_is = \"lamp\" }}\nthen = {{ pin = [{{ id = \"{id}\", position = 1 }}] }}\n"
        )
    };
    fs::write(path.join("rules.toml"), rule("zzz")).expect("rules");
    assert!(fails(path, &build).contains("rule 'first': there is no product 'zzz'"), "a build checks its rules");
    fs::write(path.join("rules.toml"), "[[rules]]\nname = 1\n").expect("rules");
    assert!(fails(path, &build).contains("rules.toml: TOML parse error at line 2"), "the line is named");
    fs::write(path.join("rules.toml"), rule("a")).expect("rules");
    let built = json(path, &build);
    assert_eq!(built["objects"].as_array().map(Vec::len), Some(3), "settings, rules and segment");
    let checked = json(path, &["check", "--snapshot", "built"]);
    assert_eq!((&checked["rules"], &checked["faults"]), (&1.into(), &serde_json::json!([])));

    // Another file of rules, before it is built in.
    fs::write(
        path.join("next.toml"),
        format!(
            "{}\n[[rules]]\nname = \"over\"\nwhen = {{ until = 2020-01-01T00:00:00Z }}\nthen = {{ hide = [\"b\"] }}\n",
            rule("gone")
        ),
    )
    .expect("rules");
    let output = run(path, &["check", "--snapshot", "built", "--rules", "next.toml"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("fault: rule 'first': pin 'gone': there is no such product"), "{text}");
    assert!(
        text.contains("fault: rule 'over': it has ended") && text.ends_with("2 rules, 2 at fault, 0 doubtful\n"),
        "{text}"
    );

    // A rule ends by itself one day: a publish says so, and goes on.
    let over = fs::read_to_string(path.join("next.toml")).expect("rules").replace("gone", "a");
    fs::write(path.join("rules.toml"), over).expect("rules");
    json(path, &build);
    let output = run(path, &["publish", "--store", &format!("file://{}/store", path.display()), "built"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && text.contains("rules.toml: rule 'over': it has ended"), "{text}");
}

#[test]
fn recorded_queries_are_read_line_by_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    fs::write(path.join("catalogue.toml"), SETTINGS).expect("settings");
    fs::write(path.join("rows.jsonl"), "{\"id\": \"a\", \"title\": \"red lamp\"}\n").expect("rows");
    let build =
        ["build", "--catalogue", "catalogue.toml", "--recorded-queries", "queries.tsv", "--out", "built", "rows.jsonl"];
    fs::write(path.join("queries.tsv"), "red lamp\t7\nlamp\tmany\n").expect("queries");
    assert!(fails(path, &build).contains("queries.tsv: line 2: 'lamp\tmany' has no count"), "the line is named");
    fs::write(path.join("queries.tsv"), "red lamp\t7\nlamp\n").expect("queries");
    assert_eq!(json(path, &build)["product_count"], 1);
}
