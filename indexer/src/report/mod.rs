//! What a store holds, told to people and to programs: `status`, `list` and `show`.

mod status;

use std::fmt::Write;

use anyhow::{Result, bail};
use futures::StreamExt;
use search::RuleFindings;
use serde_json::{Value, json};
use snapshots::{ChannelName, Error, Manifest, SnapshotId, Store};

use crate::channels;
pub use status::{ensure_readable, status, status_text};

/// Manifests are read so many at once.
const READS_AT_ONCE: usize = 16;

/// The newest snapshots of a store, newest first: `last` of them at the most.
///
/// # Errors
/// When the store fails.
pub async fn list(store: &Store, last: usize) -> Result<Value> {
    let mut pointed: Vec<(SnapshotId, String)> = Vec::new();
    for channel in store.list_channels().await? {
        if let Ok(Some(read)) = store.pointer(&channel).await {
            pointed.push((read.pointer.snapshot, channel.to_string()));
        }
    }
    let mut ids = store.newest_snapshots(last.saturating_add(1)).await?;
    let has_older = ids.len() > last;
    ids.truncate(last);
    let listed = futures::stream::iter(ids).map(|id| listed(store, id, &pointed)).buffered(READS_AT_ONCE);
    let snapshots: Vec<Value> = listed.collect().await;
    Ok(json!({ "store": store.url(), "snapshots": snapshots, "has_older": has_older }))
}

async fn listed(store: &Store, id: SnapshotId, pointed: &[(SnapshotId, String)]) -> Value {
    let channels: Vec<&str> = pointed.iter().filter(|(of, _)| *of == id).map(|(_, name)| name.as_str()).collect();
    match store.get_manifest(&id).await {
        Ok(manifest) => json!({
            "snapshot": id, "catalogue": manifest.catalogue, "created_at": manifest.created_at,
            "product_count": manifest.statistics.product_count, "size_bytes": manifest.size_bytes(), "channels": channels,
        }),
        Err(error) => json!({ "snapshot": id, "channels": channels, "fault": error.to_string() }),
    }
}

/// One manifest, by snapshot id or by the channel that points at it.
///
/// # Errors
/// When there is neither, or the store fails.
pub async fn show(store: &Store, name: &str) -> Result<Manifest> {
    if let Ok(channel) = name.parse::<ChannelName>()
        && let Some(read) = channels::read(store, &channel).await?
    {
        return Ok(store.get_manifest(&read.pointer.snapshot).await?);
    }
    let id: SnapshotId = name.parse()?;
    match store.get_manifest(&id).await {
        Err(Error::NotFound(_)) => bail!("'{name}' is neither a channel nor a snapshot of {}", store.url()),
        found => Ok(found?),
    }
}

/// `list` for people.
pub fn list_text(list: &Value) -> String {
    let snapshots = rows_of(&list["snapshots"]);
    if snapshots.is_empty() {
        return format!("{}: no snapshots\n", list["store"].as_str().unwrap_or_default());
    }
    let rows = snapshots.iter().map(|snapshot| {
        let channels: Vec<String> = rows_of(&snapshot["channels"]).iter().map(text).collect();
        let note = snapshot["fault"].as_str().map_or_else(|| channels.join(", "), |fault| format!("DAMAGED: {fault}"));
        let size = snapshot["size_bytes"].as_u64().map_or(String::new(), bytes);
        vec![text(&snapshot["snapshot"]), text(&snapshot["catalogue"]), text(&snapshot["product_count"]), size, note]
    });
    let table = table(&["SNAPSHOT", "CATALOGUE", "PRODUCTS", "SIZE", "CHANNELS"], rows.collect());
    match list["has_older"].as_bool() {
        Some(true) => table + "there are older ones: --last COUNT\n",
        _ => table,
    }
}

/// `show` for people.
pub fn show_text(manifest: &Manifest) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    line("snapshot", manifest.id.to_string());
    line("catalogue", manifest.catalogue.clone());
    line("created", format!("{} by {}", manifest.created_at, manifest.builder_version));
    if let Some(parent) = &manifest.parent {
        line("parent", parent.to_string());
    }
    if let Some(watermark) = &manifest.source_watermark {
        line("watermark", watermark.clone());
    }
    if let Some(overridden) = &manifest.validation.overridden {
        line("override", overridden.reason.clone());
        overridden.violations.iter().for_each(|violation| line("", violation.clone()));
    }
    line("format", manifest.format_version.to_string());
    line("products", manifest.statistics.product_count.to_string());
    line("rows", format!("{} read, {} set aside", manifest.validation.rows_read, manifest.validation.rows_rejected));
    for (field, count) in &manifest.validation.rejected_by_field {
        line("", format!("{count} for their {field}"));
    }
    for (facet, count) in &manifest.validation.facet_value_counts {
        line("facet", format!("{facet}: {count} values"));
    }
    for segment in &manifest.segments {
        line("segment", format!("{}: {} of {} products", segment.segment, segment.live_count, segment.product_count));
    }
    line("size", bytes(manifest.size_bytes()));
    for object in &manifest.objects {
        line(
            "object",
            format!("{} {} {}", object.blake3, format!("{:?}", object.role).to_lowercase(), bytes(object.size_bytes)),
        );
    }
    out
}

/// `check` for people.
pub fn findings_text(rules: usize, findings: &RuleFindings) -> String {
    let mut out = String::new();
    findings.faults.iter().for_each(|fault| out.push_str(&format!("fault: {fault}\n")));
    findings.doubts.iter().for_each(|doubt| out.push_str(&format!("probably a mistake: {doubt}\n")));
    let _ = writeln!(out, "{rules} rules, {} at fault, {} doubtful", findings.faults.len(), findings.doubts.len());
    out
}

/// 1536 as "1.5 KiB".
pub fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

fn rows_of(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "?".to_owned(),
        other => other.to_string(),
    }
}

pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let rows: Vec<Vec<String>> =
        std::iter::once(header.iter().map(|name| (*name).to_owned()).collect()).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use snapshots::{Digest, ObjectRef, Override, Role, SegmentRef, Statistics, ValidationReport};

    use super::*;

    /// Why a policy was overridden, where an update comes from, and what it is made of could not be seen.
    #[test]
    fn a_snapshot_is_shown_with_what_came_before_it_and_why_it_was_let_through() {
        let (settings, segment) = (Digest::of(b"settings"), Digest::of(b"segment"));
        let object = |role, blake3| ObjectRef { role, blake3, size_bytes: 512 };
        let overridden =
            Override { reason: "end of season".to_owned(), violations: vec!["too few products".to_owned()] };
        let manifest = Manifest {
            format_version: snapshots::FORMAT_VERSION,
            id: "after".parse().expect("an id"),
            catalogue: "shop".to_owned(),
            parent: Some("before".parse().expect("an id")),
            created_at: Timestamp::UNIX_EPOCH,
            builder_version: "test".to_owned(),
            objects: vec![object(Role::Catalogue, settings), object(Role::Segment, segment)],
            segments: vec![SegmentRef { segment, liveness: None, product_count: 3, live_count: 2 }],
            statistics: Statistics::default(),
            validation: ValidationReport { overridden: Some(overridden), ..ValidationReport::default() },
            source_watermark: Some("7.jsonl".to_owned()),
        };
        let shown = show_text(&manifest);
        let segment = format!("{segment}: 2 of 3 products");
        for (name, value) in [
            ("parent", "before"),
            ("watermark", "7.jsonl"),
            ("override", "end of season"),
            ("", "too few products"),
            ("segment", segment.as_str()),
        ] {
            let line = format!("{name:<12} {value}");
            assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
        }
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![vec!["a".into(), "long one".into()], vec!["bbb".into(), "x".into()]];
        assert_eq!(table(&["X", "Y"], rows), "X    Y\na    long one\nbbb  x\n");
    }
}
