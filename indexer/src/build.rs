//! Builds a snapshot from files and queries into a folder that is laid out like a store.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use search::{BuildReport, Rules, SegmentBuilder};
use serde_json::Value;
use snapshots::{
    Catalogue, Draft, DraftSegment, Manifest, Product, ProductError, Statistics, ValidationReport, id_hash,
};

use crate::changes::{FILES_MARK, SQL_MARK, deleted_id};
use crate::product_row::product_of;
use crate::progress::Progress;
use crate::recorded;
use crate::rejects::{RejectPolicy, Rejects};
use crate::source::{Format, Input, Mapping, Row, Source, SourceRow};
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
    let mut reader = RowSink {
        catalogue: &catalogue,
        rejects: Rejects::new(request.rows.rejects.clone(), catalogue.private_attributes.clone()),
        lines: HashMap::new(),
        private_seen: BTreeSet::new(),
        rows: 0,
        deleted: 0,
        expired: 0,
    };
    for input in &request.rows.inputs {
        let source = Source::of(input, request.rows.format, request.rows.mapping.clone())?;
        reader.read(source, input, &mut spool, progress)?;
    }
    let rejected = reader.rejects.finish()?;
    ensure!(spool.len() > 0, "the input holds no product: an empty snapshot would empty the shop");

    check_rules(parsed.as_ref(), &reader)?;

    let file = scratch.join("segment");
    let report = write_segment(spool, &catalogue, &queries, &file, scratch, progress)?;
    let product_count = report.product_count;
    let statistics = Statistics { product_count: u64::from(product_count), words: report.words.into_iter().collect() };
    for (name, count) in &report.unread_numbers {
        progress
            .note(&format!("'{name}' should be a number, and {count} products have none in it: they count as without"));
    }
    for column in request.rows.mapping.unused() {
        progress.note(&format!("column '{column}' is mapped, but no row has it"));
    }
    for name in catalogue.private_attributes.difference(&reader.private_seen) {
        progress.note(&format!("private attribute '{name}' is in no row: is its name right?"));
    }
    for (facet, _) in report.facet_values.iter().filter(|(_, count)| *count == 0) {
        progress.note(&format!("facet '{facet}' has no value: no product has such an attribute"));
    }
    let validation = ValidationReport {
        rows_read: reader.rows,
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
        created_at: workshop.created_at().await?,
        builder_version: BUILDER.to_owned(),
    };
    progress.begin("store", "bytes", None);
    let manifest = draft.write(&workshop.store).await?;
    progress.end();
    Ok(Built {
        manifest,
        rejected: rejected.all,
        deleted: reader.deleted,
        expired: reader.expired,
        rejects_file: reader.rejects.file().map(Path::to_owned),
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

/// Takes rows, and tells products from rejects.
struct RowSink<'a> {
    catalogue: &'a Catalogue,
    rejects: Rejects,
    /// Where each id was seen first.
    lines: HashMap<u64, u64>,
    /// The private attributes that some row has.
    private_seen: BTreeSet<String>,
    rows: u64,
    deleted: u64,
    expired: u64,
}

impl RowSink<'_> {
    fn read(&mut self, mut source: Source, input: &Input, spool: &mut Spool, progress: &mut Progress) -> Result<()> {
        let (name, is_of_query) = (input.name(), matches!(input, Input::Sql(_)));
        progress.begin("read", "bytes", source.size_bytes());
        while let Some(row) = source.next() {
            let row = row.with_context(|| name.display().to_string())?;
            self.rows += 1;
            progress.at(source.position());
            if row.is_expired {
                self.expired += 1;
                continue;
            }
            match self.product(&row, is_of_query) {
                Ok(Some(product)) => spool.push(&product)?,
                Ok(None) => self.deleted += 1,
                Err(fault) => {
                    self.rejects.add(name, &row, &fault).with_context(|| name.display().to_string())?;
                }
            }
        }
        progress.end();
        Ok(())
    }

    /// The product that a row is; None where a query, which may be one that is followed as well, says that it is deleted.
    fn product(&mut self, row: &SourceRow, is_of_query: bool) -> Result<Option<Product>, ProductError> {
        let fields = row.row.as_ref().map_err(|reason| ProductError::new("row", reason.clone()))?;
        self.look_for_private(fields);
        if is_of_query && deleted_id(fields)?.is_some() {
            return Ok(None);
        }
        let product = product_of(fields, self.catalogue)?;
        self.first_of_its_id(product, row.line).map(Some)
    }

    fn look_for_private(&mut self, fields: &Row) {
        let attributes = fields.get("attributes").and_then(Value::as_object);
        for name in &self.catalogue.private_attributes {
            let has = fields.contains_key(name) || attributes.is_some_and(|attributes| attributes.contains_key(name));
            if has && !self.private_seen.contains(name) {
                self.private_seen.insert(name.clone());
            }
        }
    }

    fn first_of_its_id(&mut self, product: Product, line: u64) -> Result<Product, ProductError> {
        match self.lines.insert(id_hash(product.id.as_str()), line) {
            None => Ok(product),
            Some(first) => {
                self.lines.insert(id_hash(product.id.as_str()), first);
                let reason = format!("'{}' stands twice, first in line {first}", product.id);
                Err(ProductError::new("id", reason))
            }
        }
    }
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
fn check_rules(rules: Option<&Rules>, rows: &RowSink<'_>) -> Result<()> {
    let named = rules.into_iter().flat_map(Rules::products);
    let missing = named.filter(|(_, id)| !rows.lines.contains_key(&id_hash(id)));
    let missing: Vec<String> = missing.map(|(at, id)| format!("{at}: there is no product '{id}'")).collect();
    ensure!(missing.is_empty(), "rules.toml: {}", missing.join("; "));
    Ok(())
}

fn write_segment(
    spool: Spool,
    catalogue: &Arc<Catalogue>,
    queries: &[(String, u64)],
    file: &Path,
    scratch: &Path,
    progress: &mut Progress,
) -> Result<BuildReport> {
    progress.begin("index", "products", Some(spool.len() as u64));
    let mut builder = SegmentBuilder::new(catalogue.clone(), file, scratch)?;
    queries.iter().for_each(|(query, count)| builder.record_query(query, *count));
    for (number, product) in spool.into_ranked()?.enumerate() {
        builder.add(&product?)?;
        progress.at(number as u64);
    }
    progress.begin("write", "bytes", None);
    Ok(builder.finish()?)
}
