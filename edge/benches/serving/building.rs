//! How fast the indexer builds a snapshot, beside tantivy alone, which only inverts the same text.

use std::path::Path;

use serde_json::{Value, json};
use tantivy::directory::MmapDirectory;
use tantivy::schema::{Schema, TEXT, TantivyDocument};
use tantivy::{Index, SingleSegmentIndexWriter};
use test_servers::processes;

use crate::Settings;
use crate::limits::{in_turn, own_cpu_us};
use crate::shops::{build, rows_of};
use crate::wanted::{Limit, Wanted};

const FIELDS: [&str; 4] = ["title", "brand", "category", "description"];
/// As the indexer gives it.
const TEXT_BUDGET_BYTES: usize = 256 * 1024 * 1024;

/// Products a second of CPU, over those of tantivy: the indexer has two threads, tantivy has one, so that time would say
/// something else. The indexer reads JSON and writes records, facets and tables meanwhile; tantivy has its words, and stores
/// nothing.
pub fn building(settings: &Settings, indexer: &Path, folder: &Path) -> Limit {
    let texts: Vec<[String; 4]> = rows_of(folder).lines().map(texts_of).collect();
    let (times_dearer, [indexer_us, tantivy_us]) = in_turn(settings, || {
        let out = tempfile::tempdir().expect("a temporary folder");
        let before_us = with_children_us();
        build(indexer, folder, &out.path().join("built"), &[]);
        let indexer_us = with_children_us() - before_us;
        [indexer_us, bare_us(&texts)]
    });
    Limit {
        name: "build rate over that of tantivy alone on the same text, by CPU",
        wanted: Wanted::AtLeast(0.6),
        seen: 1.0 / times_dearer,
        parts: json!({
            "indexer_cpu_s": indexer_us / 1e6, "tantivy_cpu_s": tantivy_us / 1e6, "products": texts.len(),
        }),
    }
}

/// What is searched as text, of a row.
fn texts_of(line: &str) -> [String; 4] {
    let row: Value = serde_json::from_str(line).expect("a row");
    FIELDS.map(|name| match &row[name] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    })
}

/// This process and its children, those that have ended too: it only waits while one builds.
fn with_children_us() -> f64 {
    processes::cpu_us(std::process::id()).expect("this process's times")
}

/// What it takes tantivy to write a segment of texts that are in memory, with its default tokenizer.
fn bare_us(texts: &[[String; 4]]) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut schema = Schema::builder();
    let fields = FIELDS.map(|name| schema.add_text_field(name, TEXT));
    let directory = MmapDirectory::open(folder.path()).expect("a folder of tantivy's");
    let builder = Index::builder().schema(schema.build());
    let before_us = own_cpu_us();
    let mut writer: SingleSegmentIndexWriter =
        builder.single_segment_index_writer(directory, TEXT_BUDGET_BYTES).expect("a writer");
    for texts in texts {
        let mut document = TantivyDocument::new();
        fields.iter().zip(texts).for_each(|(field, text)| document.add_text(*field, text));
        writer.add_document(document).expect("room for a document");
    }
    writer.finalize().expect("an index");
    own_cpu_us() - before_us
}
