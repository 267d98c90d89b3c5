//! Builds a snapshot from files and queries into a folder that is laid out like a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use search::{BuildReport, Rules, SegmentBuilder};
use snapshots::{Catalogue, Draft, DraftSegment, Manifest, Statistics, ValidationReport};

use crate::changes::{FILES_MARK, SQL_MARK};
use crate::filling::add_all;
use crate::in_order::{self, batches};
use crate::progress::Progress;
use crate::recorded;
use crate::rejects::{RejectPolicy, Rejects};
use crate::row_sink::RowSink;
use crate::source::{Format, Input, Mapping, Source};
use crate::spool::Spool;
use crate::workshop::{BUILDER, Workshop};

/// What to build from what.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    pub catalogue: PathBuf,
    pub rows: RowsRequest,
    pub out: PathBuf,
    /// The catalogue's rules; None takes `rules.toml` beside the settings, if there is one.
    pub rules: Option<PathBuf>,
    /// Recorded queries, which are suggested: lines of a query and its count, separated by a tab.
    pub recorded_queries: Option<PathBuf>,
    /// The last file of an inbox whose rows are among these; who follows the inbox goes on behind it.
    pub inbox_read_to: Option<String>,
}

/// Which rows to read, and how.
#[derive(Clone, Debug)]
pub struct RowsRequest {
    pub inputs: Vec<Input>,
    pub format: Option<Format>,
    pub mapping: Mapping,
    pub rejects: RejectPolicy,
}

/// What came of a build.
pub struct Built {
    pub manifest: Manifest,
    pub rejected: u64,
    /// Rows of a query that say that their product is deleted.
    pub deleted: u64,
    /// Items of a feed that are to be sold no longer.
    pub expired: u64,
    pub rejects_file: Option<PathBuf>,
    pub products_per_second: f64,
}

/// Reads all inputs, sets bad rows aside, writes a segment and the manifest.
///
/// # Errors
/// When the settings or an input cannot be read, too many rows are bad, or the disk is full.
pub async fn build(request: &BuildRequest, progress: &mut Progress) -> Result<Built> {
    build_on(in_order::workers(), request, progress).await
}

async fn build_on(workers: usize, request: &BuildRequest, progress: &mut Progress) -> Result<Built> {
    let started = std::time::Instant::now();
    let path = &request.catalogue;
    let settings = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let catalogue = Arc::new(Catalogue::parse(&settings).with_context(|| path.display().to_string())?);
    let rules = read_rules(request)?;
    let parsed = rules.as_deref().map(|text| Rules::parse(text, &catalogue, None)).transpose()?;
    let queries = request.recorded_queries.as_deref().map(recorded::read).transpose()?.unwrap_or_default();
    ensure!(!request.rows.inputs.is_empty(), "give a file of rows, or --sql");
    let workshop = Workshop::open(&request.out)?;
    let scratch = workshop.scratch();

    let mut spool = Spool::new(scratch)?;
    let rejects = Rejects::new(request.rows.rejects.clone(), catalogue.private_attributes.clone());
    let mut sink = RowSink::new(&catalogue, rejects);
    for input in &request.rows.inputs {
        let source = Source::of(input, request.rows.format, request.rows.mapping.clone())?;
        sink.read(source, input, workers, &mut spool, progress)?;
    }
    let rejected = sink.rejects.finish()?;
    ensure!(spool.len() > 0, "the input holds no product: an empty snapshot would empty the shop");

    check_rules(parsed.as_ref(), &sink)?;

    let file = scratch.join("segment");
    let mut builder = SegmentBuilder::new(catalogue.clone(), &file, scratch)?;
    queries.iter().for_each(|(query, count)| builder.record_query(query, *count));
    let report = write_segment(spool, builder, workers, progress)?;
    let product_count = report.product_count;
    let statistics = Statistics { product_count: u64::from(product_count), words: report.words.into_iter().collect() };
    for (name, count) in &report.unread_numbers {
        progress
            .note(&format!("'{name}' should be a number, and {count} products have none in it: they count as without"));
    }
    for column in request.rows.mapping.unused() {
        progress.note(&format!("column '{column}' is mapped, but no row has it"));
    }
    for name in catalogue.private_attributes.iter().filter(|name| !sink.private_seen.contains(name.as_str())) {
        progress.note(&format!("private attribute '{name}' is in no row: is its name right?"));
    }
    for (facet, _) in report.facet_values.iter().filter(|(_, count)| *count == 0) {
        progress.note(&format!("facet '{facet}' has no value: no product has such an attribute"));
    }
    let validation = ValidationReport {
        rows_read: sink.rows,
        rows_rejected: rejected.all,
        rejected_by_field: rejected.by_field,
        facet_value_counts: report.facet_values.into_iter().collect(),
        overridden: None,
    };
    let draft = Draft {
        settings,
        rules,
        kept: Vec::new(),
        segments: vec![DraftSegment { file, product_count, liveness: None }],
        statistics,
        validation,
        source_watermark: watermark(request),
        parent: None,
        created_at: workshop.created_at(jiff::Timestamp::now()).await?,
        builder_version: BUILDER.to_owned(),
    };
    progress.begin("store", "bytes", None);
    let manifest = draft.write(&workshop.store).await?;
    progress.end();
    Ok(Built {
        manifest,
        rejected: rejected.all,
        deleted: sink.deleted,
        expired: sink.expired,
        rejects_file: sink.rejects.file().map(Path::to_owned),
        products_per_second: f64::from(product_count) / started.elapsed().as_secs_f64(),
    })
}

/// Where the source stands, as far as the rows or the request say.
fn watermark(request: &BuildRequest) -> Option<String> {
    let of_inbox = request.inbox_read_to.as_ref().map(|name| format!("{FILES_MARK}{name}"));
    of_inbox.or_else(|| {
        request.rows.inputs.iter().find_map(|input| match input {
            Input::Sql(query) => query.latest().map(|latest| format!("{SQL_MARK}{latest}")),
            Input::File(_) => None,
        })
    })
}

/// The rules, from where the request or the settings have them.
fn read_rules(request: &BuildRequest) -> Result<Option<String>> {
    let beside = request.catalogue.with_file_name("rules.toml");
    let path = match &request.rules {
        Some(path) => path,
        None if beside.is_file() => &beside,
        None => return Ok(None),
    };
    Ok(Some(std::fs::read_to_string(path).with_context(|| path.display().to_string())?))
}

/// That every product that a rule names is there.
fn check_rules(rules: Option<&Rules>, sink: &RowSink<'_>) -> Result<()> {
    let named = rules.into_iter().flat_map(Rules::products);
    let missing = named.filter(|(_, id)| !sink.has(id));
    let missing: Vec<String> = missing.map(|(at, id)| format!("{at}: there is no product '{id}'")).collect();
    ensure!(missing.is_empty(), "rules.toml: {}", missing.join("; "));
    Ok(())
}

fn write_segment(
    spool: Spool,
    mut builder: SegmentBuilder,
    workers: usize,
    progress: &mut Progress,
) -> Result<BuildReport> {
    progress.begin("index", "products", Some(spool.len() as u64));
    let ranked = spool.into_ranked()?;
    let entries = batches(ranked.entries().iter(), |entry| entry.size_bytes());
    add_all(&mut builder, workers, entries, |entry| ranked.product(entry), progress)?;
    progress.begin("write", "bytes", None);
    Ok(builder.finish()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::demo;
    use crate::progress::Output;

    /// Rows of a demo shop, many batches of them, with bad ones and ones that come again between them.
    fn write_rows(shop: &Path, progress: &mut Progress) {
        demo::write(shop, 1_000, 1, progress).expect("a demo shop");
        let products = std::fs::read_to_string(shop.join("products.jsonl")).expect("products");
        let mut rows = String::new();
        for (number, row) in products.lines().enumerate() {
            rows += &format!("{row}\n");
            match number % 100 {
                7 => rows += &format!("{row}\n"),
                8 => rows += "no JSON\n",
                9 => rows += "{\"id\": \"untitled\"}\n\n",
                _ => {}
            }
        }
        let first = products.lines().next().expect("a product");
        std::fs::write(shop.join("rows.jsonl"), format!("{rows}{first}\n")).expect("rows");
    }

    #[tokio::test]
    async fn any_number_of_workers_builds_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shop = folder.path().join("shop");
        let mut progress = Progress::new(Output::Text);
        write_rows(&shop, &mut progress);
        let mut told = Vec::new();
        for workers in [1, 4] {
            let file = folder.path().join(format!("rejects-{workers}.jsonl"));
            let request = BuildRequest {
                catalogue: shop.join("catalogue.toml"),
                rows: RowsRequest {
                    inputs: vec![Input::File(shop.join("rows.jsonl"))],
                    format: None,
                    mapping: Mapping::default(),
                    rejects: RejectPolicy { file: file.clone(), strict: false, max_rejects: 100, keeps_earlier: false },
                },
                out: folder.path().join(format!("built-{workers}")),
                rules: None,
                recorded_queries: None,
                inbox_read_to: None,
            };
            let manifest = build_on(workers, &request, &mut progress).await.expect("a build").manifest;
            let rejects = std::fs::read_to_string(file).expect("the rejects");
            told.push(json!({
                "objects": manifest.objects, "validation": manifest.validation, "statistics": manifest.statistics,
                "rejects": rejects,
            }));
        }
        assert_eq!(told[0]["validation"]["rows_rejected"], 31);
        assert_eq!(told[0], told[1]);
    }
}
