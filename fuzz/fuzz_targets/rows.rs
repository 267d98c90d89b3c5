//! Inputs of any bytes give products, rejects, or one error that ends them. The first byte picks the format.

#![no_main]

use std::sync::LazyLock;

use indexer::product_row::product_of;
use indexer::source::{Format, Mapping, Source};
use libfuzzer_sys::fuzz_target;
use snapshots::Catalogue;
use tempfile::TempDir;

static PLACE: LazyLock<(TempDir, Catalogue)> = LazyLock::new(|| {
    let catalogue = Catalogue::parse("name = \"fuzz\"\ncurrency = \"USD\"").expect("settings");
    (tempfile::tempdir().expect("a temporary folder"), catalogue)
});

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let format = match first % 4 {
        0 => Format::Jsonl,
        1 => Format::Csv,
        2 => Format::Tsv,
        _ => Format::Google,
    };
    let file = PLACE.0.path().join("input");
    std::fs::write(&file, bytes).expect("a file");
    let Ok(source) = Source::open(&file, Some(format), Mapping::default()) else { return };
    for row in source {
        let Ok(row) = row else { return };
        if let Ok(fields) = &row.row {
            let _ = product_of(fields, &PLACE.1);
        }
    }
});
