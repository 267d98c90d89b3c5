//! What commands that move channels have done, told to people and to programs.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use snapshots::{ChannelName, RegionName, SnapshotId};

use crate::channels::{Moved, PinnedIn};
use crate::checks::Checked;
use crate::diff;
use crate::nodes::NodeView;
use crate::publish::{PublishRequest, Published};
use crate::regions::{Ahead, RegionOutcome, SyncedChannel};
use crate::report;
use crate::update::Updated;

/// What an update did.
pub fn updated_json(updated: &Updated) -> Value {
    let manifest = &updated.manifest;
    json!({
        "event": if updated.is_same { "unchanged" } else { "updated" }, "snapshot": manifest.id,
        "parent": manifest.parent, "product_count": manifest.statistics.product_count,
        "segments": manifest.segments.len(), "size_bytes": manifest.size_bytes(), "changed": updated.changed,
        "deleted": updated.deleted, "unchanged_rows": updated.unchanged, "unknown_deletions": updated.unknown,
        "rows_expired": updated.expired, "rows_rejected": updated.rejected, "rejects_file": updated.rejects_file,
    })
}

pub fn updated_text(updated: &Updated, out: &Path) -> String {
    let manifest = &updated.manifest;
    let mut text = match updated.is_same {
        true => format!("nothing has changed: {} is as it was\n", manifest.id),
        false => format!(
            "updated to {}: {} products new or changed, {} deleted; {} products in {} segments\n",
            manifest.id,
            updated.changed,
            updated.deleted,
            manifest.statistics.product_count,
            manifest.segments.len()
        ),
    };
    if updated.unchanged > 0 {
        text += &format!("{} rows say what is so already\n", updated.unchanged);
    }
    if updated.unknown > 0 {
        text += &format!("{} deletions name products that are not there\n", updated.unknown);
    }
    if updated.expired > 0 {
        text += &format!(
            "{} items have expired, and are deleted where their file does not sell them as well\n",
            updated.expired
        );
    }
    if let Some(file) = &updated.rejects_file {
        text += &format!("rows set aside in {}: {}\n", file.display(), updated.rejected);
    }
    match updated.is_same {
        true => text,
        false => text + &format!("publish it with: indexer publish --store URL {}\n", out.display()),
    }
}

/// What was found before a publish.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn checked_json(checked: &Checked) -> Result<Value> {
    let mut value = serde_json::to_value(checked)?;
    value["event"] = "checked".into();
    Ok(value)
}

/// What changes in a few lines, and what a policy has against it.
pub fn checked_text(checked: &Checked) -> String {
    format!("{}{}", diff::summary(&checked.diff), checked.text())
}

/// What a publish did, or would do.
pub fn published_json(published: &Published, request: &PublishRequest) -> Value {
    json!({
        "event": event(published, request), "snapshot": published.manifest.id, "channel": request.channel.as_str(),
        "sequence": published.pointer.sequence, "announced_at": published.pointer.announced_at, "reason": published.pointer.reason,
        "uploaded_objects": published.uploaded_objects, "uploaded_bytes": published.uploaded_bytes,
        "size_bytes": published.manifest.size_bytes(),
        "previous": published.previous.as_ref().map(|previous| &previous.snapshot),
        "regions": regions_json(&published.regions), "canary": published.verdict,
    })
}

fn event(published: &Published, request: &PublishRequest) -> &'static str {
    match (published.already_live, request.dry_run, published.was_withdrawn()) {
        (true, ..) => "unchanged",
        (_, true, _) => "dry_run",
        (.., true) => "withdrawn",
        _ => "announced",
    }
}

pub fn published_text(published: &Published, request: &PublishRequest) -> String {
    let (id, channel, sequence) = (&published.manifest.id, &request.channel, published.pointer.sequence);
    let before = published.previous.as_ref().map_or("nothing".to_owned(), |previous| previous.snapshot.to_string());
    let upload = format!(
        "{} objects, {} of {}",
        published.uploaded_objects,
        report::bytes(published.uploaded_bytes),
        report::bytes(published.manifest.size_bytes())
    );
    let mut text = canary_text(published);
    text += &match event(published, request) {
        "unchanged" => format!("channel '{channel}' is at {id} already (sequence {sequence})\n"),
        "dry_run" => format!("would upload {upload}, then move channel '{channel}' from {before} to {id}\n"),
        "withdrawn" => format!("withdrawn: channel '{channel}' stays at {before}; uploaded {upload}\n"),
        _ => format!("channel '{channel}' is at {id} (sequence {sequence}); uploaded {upload}; before: {before}\n"),
    };
    text + &regions_text(&published.regions)
}

fn canary_text(published: &Published) -> String {
    let Some(verdict) = &published.verdict else { return String::new() };
    let line = |name: &str, traffic: &snapshots::Traffic| {
        format!(
            "{name:<7} {:>9} requests {:>6} errors {:>6} of {} searches empty, 99 of 100 within {} us\n",
            traffic.requests, traffic.errors, traffic.empty, traffic.searches, traffic.p99_us
        )
    };
    let mut text = format!("tried by {}\n", verdict.nodes.join(", "));
    text += &line("canary", &verdict.canary);
    text += &line("others", &verdict.others);
    verdict.faults.iter().for_each(|fault| text += &format!("worse: {fault}\n"));
    text
}

/// What moving a channel did, or would do.
pub fn moved_json(event: &str, channel: &ChannelName, moved: &Moved, dry_run: bool) -> Value {
    json!({
        "event": if dry_run { "dry_run" } else { event }, "channel": channel.as_str(), "snapshot": moved.pointer.snapshot,
        "sequence": moved.pointer.sequence, "announced_at": moved.pointer.announced_at, "held": moved.pointer.held, "reason": moved.pointer.reason,
        "previous": moved.before.as_ref().map(|before| &before.snapshot), "regions": regions_json(&moved.regions),
    })
}

pub fn moved_text(channel: &ChannelName, moved: &Moved, dry_run: bool) -> String {
    let (id, sequence) = (&moved.pointer.snapshot, moved.pointer.sequence);
    let before = moved.before.as_ref().map_or("what cannot be read", |before| before.snapshot.as_str());
    if dry_run {
        return format!(
            "would move channel '{channel}' from {before} to {id} (sequence {sequence}), and hold it there\n"
        );
    }
    let from = match before == id.as_str() {
        true => String::new(),
        false => format!("; before: {before}"),
    };
    let held = match moved.pointer.held {
        true => "HELD: publishers refuse until 'indexer resume'\n",
        false => "",
    };
    format!("channel '{channel}' is at {id} (sequence {sequence}){from}\n{held}") + &regions_text(&moved.regions)
}

/// Where a region was pinned, or let go of.
pub fn pinned_json(event: &str, region: &RegionName, pinned: &PinnedIn) -> Value {
    json!({ "event": event, "region": region.as_str(), "stores": pinned.stores })
}

pub fn pinned_text(region: &RegionName, to: &SnapshotId, pinned: &PinnedIn) -> String {
    let stores = pinned.stores.join(" and ");
    format!("region '{region}' is PINNED to {to} in {stores} until 'indexer unpin {region}'\n")
        + &elsewhere(region, pinned)
}

pub fn unpinned_text(region: &RegionName, lifted: &PinnedIn) -> String {
    format!("region '{region}' follows its channel again in {}\n", lifted.stores.join(" and "))
        + &elsewhere(region, lifted)
}

fn elsewhere(region: &RegionName, pinned: &PinnedIn) -> String {
    match pinned.has_own_store {
        true => String::new(),
        false => format!("its edges heed that if they read this store: name any other with --region {region}=URL\n"),
    }
}

/// What bringing regions up did.
pub fn synced_json(synced: &[SyncedChannel], dry_run: bool) -> Value {
    let channels = synced.iter().map(|one| {
        json!({
            "region": one.region.as_str(), "channel": one.channel.as_str(),
            "behind": one.result.as_ref().ok(), "fault": one.result.as_ref().err().map(|error| format!("{error:#}")),
        })
    });
    json!({ "event": if dry_run { "dry_run" } else { "synced" }, "channels": channels.collect::<Vec<_>>() })
}

pub fn synced_text(synced: &[SyncedChannel], dry_run: bool) -> String {
    if synced.is_empty() {
        return "nothing to bring up: no region is named, or nothing has been announced yet\n".to_owned();
    }
    let line = |one: &SyncedChannel| match &one.result {
        Ok(0) => format!("{} {}: up to date\n", one.region, one.channel),
        Ok(behind) if dry_run => format!("{} {}: {behind} behind\n", one.region, one.channel),
        Ok(behind) => format!("{} {}: brought up, was {behind} behind\n", one.region, one.channel),
        Err(error) => format!("{} {}: FAILED: {error:#}\n", one.region, one.channel),
    };
    synced.iter().map(line).collect()
}

/// Fails where a region could not be brought up.
///
/// # Errors
/// Says how many failed.
pub fn all_synced(synced: &[SyncedChannel]) -> Result<()> {
    let failed = synced.iter().filter(|one| one.result.is_err()).count();
    ensure!(failed == 0, "{failed} channels of regions could not be brought up");
    Ok(())
}

/// That all nodes have followed.
pub fn followed_json(nodes: &[NodeView]) -> Value {
    json!({ "event": "followed", "nodes": nodes.iter().map(NodeView::to_json).collect::<Vec<_>>() })
}

pub(crate) fn regions_json(outcomes: &[RegionOutcome]) -> Value {
    let region = |outcome: &RegionOutcome| {
        let fault = outcome.result.as_ref().err().map(|error| format!("{error:#}"));
        json!({ "region": outcome.region.as_str(), "fault": fault })
    };
    outcomes.iter().map(region).collect()
}

/// The regions that went along, and loudly those that did not.
pub(crate) fn regions_text<'o>(outcomes: impl IntoIterator<Item = &'o RegionOutcome>) -> String {
    let line = |outcome: &RegionOutcome| match &outcome.result {
        Ok(()) => format!("region {}: followed\n", outcome.region),
        Err(error) if error.is::<Ahead>() => {
            format!("region {}: NOT FOLLOWED, its edges serve what they have: {error:#}\n", outcome.region)
        }
        Err(error) => format!(
            "region {}: BEHIND, its edges serve what they have: {error:#}\n  'indexer sync' brings it up, and so does the next publish\n",
            outcome.region
        ),
    };
    outcomes.into_iter().map(line).collect()
}
