//! What a store holds, told to people and to programs: `status`, `list` and `show`.

use std::fmt::Write;

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use search::RuleFindings;
use serde_json::{Value, json};
use snapshots::{ChannelName, Error, Manifest, PointerState, SnapshotId, Store};

/// What each channel points at.
///
/// # Errors
/// When the store fails.
pub async fn status(store: &Store) -> Result<Value> {
    let mut channels = Vec::new();
    for channel in store.list_channels().await? {
        let pointer = match store.read_pointer(&channel, None).await {
            Ok(PointerState::Moved(read)) => read.pointer,
            Ok(_) => continue,
            // One damaged channel must not hide the others.
            Err(error) => {
                channels.push(json!({ "channel": channel.as_str(), "fault": error.to_string() }));
                continue;
            }
        };
        let manifest = store.get_manifest(&pointer.snapshot).await;
        channels.push(json!({
            "channel": channel.as_str(),
            "snapshot": pointer.snapshot,
            "sequence": pointer.sequence,
            "announced_at": pointer.announced_at,
            "age_s": age(pointer.announced_at).as_secs(),
            "held": pointer.held,
            "product_count": manifest.as_ref().ok().map(|manifest| manifest.statistics.product_count),
            "catalogue": manifest.as_ref().ok().map(|manifest| manifest.catalogue.clone()),
            "fault": manifest.err().map(|error| error.to_string()),
        }));
    }
    Ok(json!({ "store": store.url(), "channels": channels }))
}

/// Every snapshot of a store, oldest first.
///
/// # Errors
/// When the store fails.
pub async fn list(store: &Store) -> Result<Value> {
    let mut pointed: Vec<(SnapshotId, String)> = Vec::new();
    for channel in store.list_channels().await? {
        if let Ok(PointerState::Moved(read)) = store.read_pointer(&channel, None).await {
            pointed.push((read.pointer.snapshot, channel.to_string()));
        }
    }
    let mut snapshots = Vec::new();
    for id in store.list_snapshots().await? {
        let channels: Vec<&str> = pointed.iter().filter(|(of, _)| *of == id).map(|(_, name)| name.as_str()).collect();
        snapshots.push(match store.get_manifest(&id).await {
            Ok(manifest) => json!({
                "snapshot": id, "catalogue": manifest.catalogue, "created_at": manifest.created_at,
                "product_count": manifest.statistics.product_count, "size_bytes": manifest.size_bytes(), "channels": channels,
            }),
            Err(error) => json!({ "snapshot": id, "channels": channels, "fault": error.to_string() }),
        });
    }
    Ok(json!({ "store": store.url(), "snapshots": snapshots }))
}

/// One manifest, by snapshot id or by the channel that points at it.
///
/// # Errors
/// When there is neither, or the store fails.
pub async fn show(store: &Store, name: &str) -> Result<Manifest> {
    if let Ok(channel) = name.parse::<ChannelName>()
        && let PointerState::Moved(read) = store.read_pointer(&channel, None).await?
    {
        return Ok(store.get_manifest(&read.pointer.snapshot).await?);
    }
    let id: SnapshotId = name.parse()?;
    match store.get_manifest(&id).await {
        Err(Error::NotFound(_)) => bail!("'{name}' is neither a channel nor a snapshot of {}", store.url()),
        found => Ok(found?),
    }
}

/// `status` for people.
pub fn status_text(status: &Value) -> String {
    let channels = status["channels"].as_array().map_or(&[][..], Vec::as_slice);
    if channels.is_empty() {
        return format!("{}: nothing has been announced yet\n", status["store"].as_str().unwrap_or_default());
    }
    let rows = channels.iter().map(|channel| {
        let state = match (channel["held"].as_bool(), channel["fault"].as_str()) {
            (_, Some(fault)) => format!("DAMAGED: {fault}"),
            (Some(true), _) => "HELD: publishers refuse until it is resumed".to_owned(),
            _ => String::new(),
        };
        let age = channel["age_s"].as_i64().unwrap_or(0);
        vec![
            text(&channel["channel"]),
            text(&channel["snapshot"]),
            text(&channel["sequence"]),
            duration(age),
            text(&channel["product_count"]),
            state,
        ]
    });
    table(&["CHANNEL", "SNAPSHOT", "SEQUENCE", "ANNOUNCED", "PRODUCTS", ""], rows.collect())
}

/// `list` for people.
pub fn list_text(list: &Value) -> String {
    let snapshots = list["snapshots"].as_array().map_or(&[][..], Vec::as_slice);
    if snapshots.is_empty() {
        return format!("{}: no snapshots\n", list["store"].as_str().unwrap_or_default());
    }
    let rows = snapshots.iter().map(|snapshot| {
        let channels: Vec<String> =
            snapshot["channels"].as_array().map_or(&[][..], Vec::as_slice).iter().map(text).collect();
        let note = snapshot["fault"].as_str().map_or_else(|| channels.join(", "), |fault| format!("DAMAGED: {fault}"));
        let size = snapshot["size_bytes"].as_u64().map_or(String::new(), bytes);
        vec![text(&snapshot["snapshot"]), text(&snapshot["catalogue"]), text(&snapshot["product_count"]), size, note]
    });
    table(&["SNAPSHOT", "CATALOGUE", "PRODUCTS", "SIZE", "CHANNELS"], rows.collect())
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
    line("format", manifest.format_version.to_string());
    line("products", manifest.statistics.product_count.to_string());
    line("rows", format!("{} read, {} set aside", manifest.validation.rows_read, manifest.validation.rows_rejected));
    for (field, count) in &manifest.validation.rejected_by_field {
        line("", format!("{count} for their {field}"));
    }
    for (facet, count) in &manifest.validation.facet_value_counts {
        line("facet", format!("{facet}: {count} values"));
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

fn age(since: Timestamp) -> SignedDuration {
    Timestamp::now().duration_since(since)
}

/// "3h 12m ago" in the two units that tell most.
fn duration(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds.max(0);
    let mut parts = Vec::new();
    for (length, name) in units {
        if left >= length && parts.len() < 2 {
            parts.push(format!("{}{name}", left / length));
            left %= length;
        }
    }
    if parts.is_empty() { "just now".to_owned() } else { format!("{} ago", parts.join(" ")) }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "?".to_owned(),
        other => other.to_string(),
    }
}

fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
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
    use super::*;

    #[test]
    fn ages_are_told_in_two_units() {
        assert_eq!(duration(0), "just now");
        assert_eq!(duration(59), "59s ago");
        assert_eq!(duration(3_725), "1h 2m ago");
        assert_eq!(duration(90_061), "1d 1h ago");
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![vec!["a".into(), "long one".into()], vec!["bbb".into(), "x".into()]];
        assert_eq!(table(&["X", "Y"], rows), "X    Y\na    long one\nbbb  x\n");
    }
}
