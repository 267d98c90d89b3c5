//! `indexer build`: every format, every fault.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::command::{SETTINGS, fails, indexer, json, run};

const ROWS: &str = "{\"id\": \"a\", \"title\": \"Lamp\", \"price\": 28.99, \"brand\": \"Acme\", \"attributes\": {\"cost\": \"7.77\"}}\n\
                    {\"id\": \"b\", \"title\": \"Chair\", \"price\": \"3\"}\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("catalogue.toml"), SETTINGS).expect("settings");
    folder
}

fn build(folder: &Path, input: &str, flags: &[&str]) -> Value {
    json(folder, &[&["build", "--catalogue", "catalogue.toml", "--out", "out"], flags, &[input]].concat())
}

#[test]
fn the_same_rows_give_the_same_objects_in_every_format() {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("rows.jsonl"), ROWS).expect("rows");
    let plain = build(path, "rows.jsonl", &[]);
    assert_eq!(plain["product_count"], 2);
    let shown = json(
        path,
        &["show", "--store", &format!("file://{}/out", path.display()), plain["snapshot"].as_str().expect("an id")],
    );
    assert_eq!(shown["validation"]["facet_value_counts"]["brand"], 1);
    let check =
        |input: &str, flags: &[&str]| assert_eq!(build(path, input, flags)["objects"], plain["objects"], "{input}");
    check("rows.jsonl", &[]);
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut gzip = gzip;
    gzip.write_all(ROWS.as_bytes()).expect("gzip");
    fs::write(path.join("rows.jsonl.gz"), gzip.finish().expect("gzip")).expect("rows");
    check("rows.jsonl.gz", &[]);
    fs::write(path.join("rows.ndjson.zst"), zstd::encode_all(ROWS.as_bytes(), 1).expect("zstd")).expect("rows");
    check("rows.ndjson.zst", &[]);
    fs::write(path.join("rows.csv"), "id,name,price,brand,cost\na,Lamp,28.99,Acme,7.77\nb,Chair,3,,\n").expect("rows");
    check("rows.csv", &["--map", "name=title"]);
    fs::write(path.join("mapping.toml"), "[columns]\nname = \"title\"\n").expect("a mapping");
    fs::write(
        path.join("rows.tsv"),
        "\u{feff}id\tname\tprice\tbrand\tcost\r\na\tLamp\t28.99\tAcme\t7.77\r\nb\tChair\t3\t\t\r\n",
    )
    .expect("rows");
    check("rows.tsv", &["--mapping", "mapping.toml"]);
    let mut child = indexer()
        .current_dir(path)
        .args(["--json", "build", "--catalogue", "catalogue.toml", "--out", "out", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the indexer runs");
    child.stdin.take().expect("its input").write_all(ROWS.as_bytes()).expect("rows");
    let output = child.wait_with_output().expect("it ends");
    let last = String::from_utf8(output.stdout).expect("text").lines().last().map(str::to_owned).expect("a line");
    let built: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(built["objects"], plain["objects"], "standard input");
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let folder = folder();
    let reversed: String = ROWS.lines().rev().map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("a.jsonl"), ROWS).expect("rows");
    fs::write(folder.path().join("b.jsonl"), reversed).expect("rows");
    assert_eq!(build(folder.path(), "a.jsonl", &[])["objects"], build(folder.path(), "b.jsonl", &[])["objects"]);
}

#[test]
fn bad_rows_are_set_aside_with_line_field_and_reason() {
    let folder = folder();
    let path = folder.path();
    let rows = format!(
        "{ROWS}\nnot json\n{{\"id\": \"c\"}}\n{{\"id\": \"a\", \"title\": \"Again\"}}\n{{\"id\": \"d\", \"title\": \"x\", \"price\": \"1.999\", \"attributes\": {{\"cost\": \"7.77\"}}}}\n"
    );
    fs::write(path.join("rows.jsonl"), rows).expect("rows");
    let built = build(path, "rows.jsonl", &[]);
    assert_eq!(
        (&built["product_count"], &built["rows_read"], &built["rows_rejected"]),
        (&2.into(), &6.into(), &4.into())
    );
    let rejects = fs::read_to_string(path.join("rejects.jsonl")).expect("the rejects");
    let rejects: Vec<Value> = rejects.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let told: Vec<_> = rejects
        .iter()
        .map(|row| (row["line"].as_u64().expect("a line"), row["field"].as_str().expect("a field")))
        .collect();
    assert_eq!(told, [(4, "row"), (5, "title"), (6, "id"), (7, "price")]);
    assert_eq!(rejects[2]["reason"], "'a' stands twice, first in line 1");
    assert_eq!(rejects[0]["row"], Value::Null, "what cannot be read may hold something private");
    assert_eq!(rejects[3]["row"], serde_json::json!({"id": "d", "title": "x", "price": "1.999", "attributes": {}}));
    assert!(!fs::read_to_string(path.join("rejects.jsonl")).expect("the rejects").contains("7.77"));

    let arguments = ["build", "--catalogue", "catalogue.toml", "--out", "out"];
    let strict = fails(path, &[&arguments[..], &["--strict", "rows.jsonl"]].concat());
    assert!(strict.contains("rows.jsonl: line 4: row: is no JSON object"), "{strict}");
    let too_many = fails(path, &[&arguments[..], &["--max-rejects", "3", "rows.jsonl"]].concat());
    assert!(too_many.contains("4 rows are no products") && too_many.contains("--max-rejects allows 3"), "{too_many}");
    assert!(too_many.contains("id: 1, price: 1, row: 1, title: 1"), "{too_many}");
}

#[test]
fn what_is_probably_a_mistake_is_told() {
    let folder = folder();
    let path = folder.path();
    let settings =
        format!("{SETTINGS}[[facets]]\nname = \"colour\"\n[[facets]]\nname = \"watts\"\nkind = \"number\"\n");
    let settings = settings.replace("private = [\"cost\"]", "").replace("[attributes]", "");
    let settings = format!("{settings}[attributes]\nprivate = [\"cost\", \"margin\"]\n");
    fs::write(path.join("catalogue.toml"), settings).expect("settings");
    let rows = "{\"id\": \"a\", \"title\": \"x\", \"cost\": 1, \"color\": \"red\", \"watts\": \"5 W\"}\n";
    fs::write(path.join("rows.jsonl"), rows).expect("rows");
    let build =
        ["build", "--catalogue", "catalogue.toml", "--out", "out", "--map", "colr=attributes.colour", "rows.jsonl"];
    let told = String::from_utf8(run(path, &build).stderr).expect("text");
    for expected in [
        "facet 'colour' has no value",
        "'watts' should be a number, and 1 products have none in it",
        "column 'colr' is mapped, but no row has it",
        "private attribute 'margin' is in no row",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!told.contains("'cost'"), "{told}");
}

#[test]
fn faults_of_the_whole_are_explained() {
    let folder = folder();
    let path = folder.path();
    let check = |args: &[&str], expected: &str| {
        let text = fails(path, args);
        assert!(text.contains(expected), "{args:?}: {text}");
    };
    fs::write(path.join("rows.csv"), "id,title\na,Lamp,more\n").expect("rows");
    fs::write(path.join("empty.jsonl"), "").expect("rows");
    fs::write(path.join("bad.toml"), "name = \"x\"\ncurency = \"USD\"\n").expect("settings");
    let build = ["build", "--catalogue", "catalogue.toml", "--out", "out"];
    check(&[&build[..], &["none.jsonl"]].concat(), "none.jsonl");
    check(&[&build[..], &["catalogue.toml"]].concat(), "give --format");
    check(&[&build[..], &["empty.jsonl"]].concat(), "holds no product");
    check(
        &[&build[..], &["--map", "nme=title", "rows.csv"]].concat(),
        "column 'nme' is not in the input, which has id, title",
    );
    check(&[&build[..], &["--map", "title=titel", "rows.csv"]].concat(), "'titel' is none of id");
    check(&[&build[..], &["--strict", "rows.csv"]].concat(), "line 2: row: has 3 columns, the first row has 2");
    check(&["build", "--catalogue", "bad.toml", "--out", "out", "rows.csv"], "unknown field `curency`");
    let usage = run(path, &["build"]);
    assert_eq!(usage.status.code(), Some(64));
    assert_eq!(run(path, &["--help"]).status.code(), Some(0));
}

#[test]
fn a_build_reports_progress_as_json_lines_and_leaves_no_scratch() {
    let folder = folder();
    fs::write(folder.path().join("rows.jsonl"), ROWS).expect("rows");
    let output =
        run(folder.path(), &["--json", "build", "--catalogue", "catalogue.toml", "--out", "out", "rows.jsonl"]);
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let steps: Vec<&str> = lines.iter().filter_map(|line| line["step"].as_str()).collect();
    assert_eq!(steps, ["read", "index", "write", "store"]);
    assert_eq!(lines.last().expect("a line")["event"], "built");
    let mut left: Vec<String> = fs::read_dir(folder.path().join("out"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left, [".build.lock", "objects", "snapshots"]);
}

#[test]
fn the_demo_shop_is_the_same_for_the_same_seed() {
    let folder = folder();
    let path = folder.path();
    for name in ["one", "two"] {
        json(path, &["demo-catalogue", "--products", "300", "--seed", "5", "--out", name]);
        let arguments = ["build", "--catalogue", &format!("{name}/catalogue.toml"), "--out", &format!("{name}-built")];
        json(path, &[&arguments[..], &["--strict", &format!("{name}/products.jsonl")]].concat());
    }
    let objects = |name: &str| {
        let mut names: Vec<_> = fs::read_dir(path.join(name).join("objects"))
            .expect("objects")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(objects("one-built"), objects("two-built"));
    let picture = fs::read_to_string(path.join("one/pictures/mug-red.svg")).expect("a picture");
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>"));
}
