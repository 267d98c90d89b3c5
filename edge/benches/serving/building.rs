//! How fast the indexer builds a snapshot, beside tantivy alone, which only inverts the same text.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use tantivy::directory::MmapDirectory;
use tantivy::schema::{Schema, TEXT, TantivyDocument};
use tantivy::{Index, SingleSegmentIndexWriter};
use test_servers::processes;

use crate::in_process::own_cpu_us;
use crate::shops::{build, rows_of};
use crate::wanted::{Limit, Wanted};
use crate::{Settings, median};

const FIELDS: [&str; 4] = ["title", "brand", "category", "description"];
/// As the indexer gives it.
const TEXT_BUDGET_BYTES: usize = 256 * 1024 * 1024;

/// Products a second over those of tantivy: by the clock, and by CPU, since the indexer has two threads and tantivy one. The
/// indexer reads JSON and writes records, facets and tables meanwhile; tantivy has its words, and stores nothing.
pub fn building(settings: &Settings, indexer: &Path, folder: &Path) -> [Limit; 2] {
    let texts: Vec<[String; 4]> = rows_of(folder).lines().map(texts_of).collect();
    let rounds = (0..settings.rounds).map(|_| {
        let out = tempfile::tempdir().expect("a temporary folder");
        let indexer = Taken::by(with_children_us, || {
            build(indexer, folder, &out.path().join("built"), &[]);
        });
        (indexer, Taken::by(own_cpu_us, || build_bare(&texts)))
    });
    let rounds: Vec<(Taken, Taken)> = rounds.collect();
    let limit = |name: &'static str, of: fn(&Taken) -> f64| Limit {
        name,
        wanted: Wanted::AtLeast(0.6),
        seen: median(rounds.iter().map(|(indexer, tantivy)| of(tantivy) / of(indexer)).collect()),
        parts: json!({
            "indexer_s": median(rounds.iter().map(|(indexer, _)| of(indexer)).collect()),
            "tantivy_s": median(rounds.iter().map(|(_, tantivy)| of(tantivy)).collect()),
            "products": texts.len(),
        }),
    };
    [
        limit("build rate over that of tantivy on the same text, by the clock", |taken| taken.elapsed_s),
        limit("the same by CPU", |taken| taken.cpu_s),
    ]
}

/// What some work took.
struct Taken {
    elapsed_s: f64,
    cpu_s: f64,
}

impl Taken {
    fn by(cpu_us: fn() -> f64, work: impl FnOnce()) -> Self {
        let (started, before_us) = (Instant::now(), cpu_us());
        work();
        Self { elapsed_s: started.elapsed().as_secs_f64(), cpu_s: (cpu_us() - before_us) / 1e6 }
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

/// Writes a segment of texts that are in memory with tantivy alone, and its default tokenizer.
fn build_bare(texts: &[[String; 4]]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut schema = Schema::builder();
    let fields = FIELDS.map(|name| schema.add_text_field(name, TEXT));
    let directory = MmapDirectory::open(folder.path()).expect("a folder of tantivy's");
    let builder = Index::builder().schema(schema.build());
    let mut writer: SingleSegmentIndexWriter =
        builder.single_segment_index_writer(directory, TEXT_BUDGET_BYTES).expect("a writer");
    for texts in texts {
        let mut document = TantivyDocument::new();
        fields.iter().zip(texts).for_each(|(field, text)| document.add_text(*field, text));
        writer.add_document(document).expect("room for a document");
    }
    writer.finalize().expect("an index");
}
