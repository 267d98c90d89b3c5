//! What a store holds, told to people and to programs: `status`, `list` and `show`.

use std::fmt::Write;

use anyhow::{Result, bail};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use search::RuleFindings;
use serde_json::{Value, json};
use snapshots::{ChannelName, Error, Followed, Manifest, SnapshotId, StatusBoard, Store};

use crate::checks::is_damage;
use crate::regions::Regions;
use crate::{canary, channels, nodes};

/// Manifests are read so many at once.
const READS_AT_ONCE: usize = 16;

/// What each channel points at, at home and in every region, who is pinned, and what every node serves.
///
/// # Errors
/// When the home store fails; of others the fault is told.
pub async fn status(stores: &Regions, board: Option<&StatusBoard>) -> Result<Value> {
    let home = &stores.home;
    let channels = channels_of(home, channels::remedy).await?;
    let mut regions = Vec::new();
    for (region, store) in &stores.others {
        let told = match channels_of(store, remedy_of_copy).await {
            Ok(there) => json!({ "region": region, "store": store.url(), "channels": behind(&channels, there) }),
            Err(error) => json!({ "region": region, "store": store.url(), "fault": error.to_string() }),
        };
        regions.push(told);
    }
    let mut pins = Vec::new();
    for region in home.list_pins().await? {
        let pin = match home.pointer(&region).await {
            Ok(Some(read)) => json!({
                "region": region, "snapshot": read.pointer.snapshot, "pinned_at": read.pointer.announced_at,
                "reason": read.pointer.reason,
            }),
            Ok(None) => continue,
            Err(error) => json!({ "region": region, "fault": error.to_string() }),
        };
        pins.push(pin);
    }
    let nodes = match board {
        None => Value::Null,
        Some(board) => nodes_of(board, &channels).await?,
    };
    Ok(json!({ "store": home.url(), "channels": channels, "regions": regions, "pins": pins, "nodes": nodes }))
}

/// The nodes of every catalogue and channel that there is.
async fn nodes_of(board: &StatusBoard, channels: &[Value]) -> Result<Value> {
    let mut nodes = Vec::new();
    for channel in channels {
        let (Some(name), Some(catalogue)) = (channel["channel"].as_str(), channel["catalogue"].as_str()) else {
            continue;
        };
        let newest = channel["sequence"].as_u64().unwrap_or(0);
        for node in nodes::heard(board, catalogue, name).await? {
            let served = node.market.served.as_ref().filter(|served| served.followed == Followed::Channel);
            let mut told = node.to_json();
            told["channel"] = json!(name);
            // How many announcements it has yet to follow.
            told["skew"] = json!(served.map(|served| newest.saturating_sub(served.sequence)));
            nodes.push(told);
        }
    }
    Ok(Value::Array(nodes))
}

/// A region's channels, with how many announcements each is behind the home store.
fn behind(home: &[Value], mut there: Vec<Value>) -> Vec<Value> {
    for channel in &mut there {
        let at_home = home.iter().find(|other| other["channel"] == channel["channel"]);
        let sequence = |channel: &Value| channel["sequence"].as_u64().unwrap_or(0);
        let behind = at_home.map_or(0, |at_home| sequence(at_home).saturating_sub(sequence(channel)));
        channel["behind"] = json!(behind);
    }
    for channel in home.iter().filter(|channel| channel["nodes"].is_null()) {
        if !there.iter().any(|other| other["channel"] == channel["channel"]) {
            there.push(json!({ "channel": channel["channel"], "behind": channel["sequence"] }));
        }
    }
    there
}

async fn channels_of(store: &Store, remedy: fn(&Error) -> &'static str) -> Result<Vec<Value>> {
    let mut channels = Vec::new();
    for channel in store.list_channels().await? {
        let pointer = match store.pointer(&channel).await {
            Ok(Some(read)) => read.pointer,
            Ok(None) => continue,
            // One damaged channel must not hide the others.
            Err(error) => {
                let fault = format!("{error}{}", remedy(&error));
                channels.push(json!({ "channel": channel.as_str(), "fault": fault }));
                continue;
            }
        };
        // A canary that is over says nothing about anyone.
        let is_canary = channel == ChannelName::canary();
        if is_canary && !canary::is_under_way(&pointer) {
            continue;
        }
        let manifest = store.get_manifest(&pointer.snapshot).await;
        let known = manifest.as_ref().ok();
        channels.push(json!({
            "channel": channel.as_str(),
            "snapshot": pointer.snapshot,
            "sequence": pointer.sequence,
            "announced_at": pointer.announced_at,
            "age_s": age(pointer.announced_at).as_secs(),
            "held": pointer.held,
            "reason": pointer.reason,
            "previous": pointer.previous,
            "nodes": is_canary.then_some(&pointer.nodes),
            "product_count": known.map(|manifest| manifest.statistics.product_count),
            "catalogue": known.map(|manifest| manifest.catalogue.clone()),
            "fault": manifest.as_ref().err().map(|error| error.to_string()),
        }));
    }
    Ok(channels)
}

/// What mends a region's copy of a channel that cannot be read.
fn remedy_of_copy(error: &Error) -> &'static str {
    if is_damage(error) { " ('indexer sync' writes it anew)" } else { "" }
}

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

/// `status` for people.
pub fn status_text(status: &Value) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let channels = list(&status["channels"]);
    if channels.is_empty() {
        return format!("{}: nothing has been announced yet\n", status["store"].as_str().unwrap_or_default());
    }
    let rows = channels.iter().map(|channel| {
        vec![
            text(&channel["channel"]),
            text(&channel["snapshot"]),
            text(&channel["sequence"]),
            duration(channel["age_s"].as_i64().unwrap_or(0)),
            text(&channel["product_count"]),
            channel_state(channel),
        ]
    });
    let mut out = table(&["CHANNEL", "SNAPSHOT", "SEQUENCE", "ANNOUNCED", "PRODUCTS", ""], rows.collect());
    for pin in list(&status["pins"]) {
        let reason = pin["reason"].as_str().map_or(String::new(), |reason| format!(": {reason}"));
        let _ = writeln!(out, "\nregion {} is PINNED to {}{reason}", text(&pin["region"]), text(&pin["snapshot"]));
    }
    let regions = list(&status["regions"]);
    let rows: Vec<Vec<String>> = regions.iter().flat_map(region_rows).collect();
    if !rows.is_empty() {
        out += "\n";
        out += &table(&["REGION", "CHANNEL", "SNAPSHOT", ""], rows);
    }
    if let Some(nodes) = status["nodes"].as_array() {
        out += "\n";
        out += &nodes_text(nodes);
    }
    out
}

fn channel_state(channel: &Value) -> String {
    let reason = channel["reason"].as_str().map_or(String::new(), |reason| format!(" ({reason})"));
    match (channel["fault"].as_str(), channel["held"].as_bool(), channel["nodes"].as_array()) {
        (Some(fault), ..) => format!("DAMAGED: {fault}"),
        (_, Some(true), _) => format!("HELD{reason}: publishers refuse until 'indexer resume'"),
        (.., Some(nodes)) => format!("CANARY on {}", nodes.iter().map(text).collect::<Vec<_>>().join(", ")),
        _ => reason.trim_start().to_owned(),
    }
}

fn region_rows(region: &Value) -> Vec<Vec<String>> {
    let name = text(&region["region"]);
    if let Some(fault) = region["fault"].as_str() {
        return vec![vec![name, String::new(), String::new(), format!("DOWN: {fault}")]];
    }
    let channels = region["channels"].as_array().map_or(&[][..], Vec::as_slice);
    let row = |channel: &Value| {
        let state = match (channel["fault"].as_str(), channel["behind"].as_u64()) {
            (Some(fault), _) => format!("DAMAGED: {fault}"),
            (_, Some(0) | None) => "up to date".to_owned(),
            (_, Some(behind)) => format!("{behind} BEHIND: 'indexer sync' brings it up"),
        };
        let snapshot = channel["snapshot"].as_str().unwrap_or("nothing").to_owned();
        vec![name.clone(), text(&channel["channel"]), snapshot, state]
    };
    channels.iter().map(row).collect()
}

fn nodes_text(nodes: &[Value]) -> String {
    if nodes.is_empty() {
        return "no node was heard of in the last minute\n".to_owned();
    }
    let row = |node: &Value| {
        let state = match (node["fault"].as_str(), node["followed"].as_str(), node["skew"].as_u64()) {
            (Some(fault), ..) => format!("FAULT: {fault}"),
            (_, Some("pin"), _) => "PINNED".to_owned(),
            (_, Some("canary"), _) => "CANARY".to_owned(),
            (.., Some(0)) => "ok".to_owned(),
            (.., Some(skew)) => format!("{skew} behind"),
            _ => "serves nothing yet".to_owned(),
        };
        let snapshot = node["snapshot"].as_str().unwrap_or("nothing").to_owned();
        vec![text(&node["region"]), text(&node["node"]), text(&node["market"]), snapshot, text(&node["version"]), state]
    };
    table(&["REGION", "NODE", "MARKET", "SERVES", "VERSION", ""], nodes.iter().map(row).collect())
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
