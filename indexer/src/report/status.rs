//! What a store and the nodes beside it stand at: `status`.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use snapshots::{ChannelName, Error, Followed, RegionName, StatusBoard, Store};

use super::{READS_AT_ONCE, rows_of, table, text};
use crate::checks::is_damage;
use crate::regions::Regions;
use crate::{canary, channels, nodes};

/// A region is waited for so long at the most, whatever it may take over a publish.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What each channel points at, at home and in every region, who is pinned, and what every node serves.
///
/// # Errors
/// When the home store fails; of others the fault is told.
pub async fn status(stores: &Regions, board: Option<&StatusBoard>) -> Result<Value> {
    let home = &stores.home;
    let timeout = stores.timeout.min(LOOK_TIMEOUT);
    let looks = stores.others.iter().map(|(_, store)| copies_in_time(store, timeout));
    let copies = futures::future::join_all(looks).await;
    // After them: what is announced meanwhile puts no region ahead of it.
    let mut channels = channels_of(home, channels::remedy).await?;
    let mut pins = pins_of(home).await?;
    let lost = lost(&channels, copies.iter().flatten().flat_map(|(there, _)| there));
    channels.extend(lost);
    let mut regions = Vec::new();
    for ((region, store), there) in stores.others.iter().zip(copies) {
        let told = match there {
            Ok((there, pinned)) => {
                for pin in pinned {
                    // A store may be that of several regions.
                    if !pins.contains(&pin) {
                        pins.push(pin);
                    }
                }
                json!({ "region": region, "store": store.url(), "channels": behind(&channels, there) })
            }
            Err(error) => json!({ "region": region, "store": store.url(), "fault": format!("{error:#}") }),
        };
        regions.push(told);
    }
    let nodes = match board {
        None => Value::Null,
        Some(board) => match nodes_of(board, &channels).await {
            Ok(nodes) => Value::Array(nodes),
            Err(error) => json!({ "fault": format!("{error:#}") }),
        },
    };
    Ok(json!({ "store": home.url(), "channels": channels, "regions": regions, "pins": pins, "nodes": nodes }))
}

/// That all of a status could be read. A canary's pointer that cannot be is followed by no node: most likely it is long over,
/// and signed with a key that is no longer trusted.
///
/// # Errors
/// Says how many channels and pins could not be, or that it is not known what nodes serve.
pub fn ensure_readable(status: &Value) -> Result<()> {
    let is_harmless = |row: &Value| row["channel"] == ChannelName::canary().as_str() && row["snapshot"].is_null();
    let is_fault = |row: &&Value| row["fault"].is_string() && !is_harmless(row);
    let faults = |rows: &Value| rows_of(rows).iter().filter(is_fault).count();
    let in_regions: usize = rows_of(&status["regions"]).iter().map(|region| faults(&region["channels"])).sum();
    let damaged = faults(&status["channels"]) + faults(&status["pins"]) + in_regions;
    ensure!(damaged == 0, "{damaged} channels or pins are damaged");
    ensure!(status["nodes"]["fault"].is_null(), "what the nodes serve is not known");
    Ok(())
}

/// The channels of a region's store, and its pins.
async fn copies_in_time(store: &Store, timeout: Duration) -> Result<(Vec<Value>, Vec<Value>)> {
    let copies = futures::future::try_join(channels_of(store, remedy_of_copy), pins_of(store));
    match tokio::time::timeout(timeout, copies).await {
        Ok(copies) => copies,
        Err(_) => bail!("it is slow: a status waits {} s", timeout.as_secs()),
    }
}

/// The pins that stand in a store, which may be of other regions, too.
async fn pins_of(store: &Store) -> Result<Vec<Value>> {
    let pins = stream::iter(store.list_pins().await?).map(|region| pin_of(store, region)).buffered(READS_AT_ONCE);
    Ok(pins.filter_map(std::future::ready).collect().await)
}

/// A pin, if there is one still.
async fn pin_of(store: &Store, region: RegionName) -> Option<Value> {
    match store.pointer(&region).await {
        Ok(read) => read.map(|read| {
            json!({
                "region": region, "store": store.url(), "snapshot": read.pointer.snapshot,
                "pinned_at": read.pointer.announced_at, "reason": read.pointer.reason,
            })
        }),
        Err(error) => Some(json!({ "region": region, "store": store.url(), "fault": error.to_string() })),
    }
}

/// The channels that only regions have still. A canary that is over at home may not be over there.
fn lost<'a>(home: &[Value], copies: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut lost: Vec<Value> = Vec::new();
    for copy in copies.filter(|copy| copy["channel"] != ChannelName::canary().as_str()) {
        if !home.iter().chain(&lost).any(|other| other["channel"] == copy["channel"]) {
            let fault = format!("its pointer is lost{}", channels::MENDING);
            lost.push(json!({ "channel": copy["channel"], "catalogue": copy["catalogue"], "fault": fault }));
        }
    }
    lost
}

/// The nodes of every channel that there is, and of the live one, even where nothing is left of it. Where it is not known which
/// catalogue a channel is of, they are those of all.
async fn nodes_of(board: &StatusBoard, channels: &[Value]) -> Result<Vec<Value>> {
    let live = json!({ "channel": ChannelName::live().as_str() });
    let has_live = channels.iter().any(|channel| channel["channel"] == live["channel"]);
    let mut nodes = Vec::new();
    for channel in channels.iter().chain((!has_live).then_some(&live)) {
        let name = channel["channel"].as_str().unwrap_or_default();
        for node in nodes::heard_of(board, channel["catalogue"].as_str(), name).await? {
            let served = node.market.served.as_ref().filter(|served| served.followed == Followed::Channel);
            let mut told = node.to_json();
            told["channel"] = json!(name);
            // How many announcements it has yet to follow, where that is known.
            let skew = served.zip(channel["sequence"].as_u64());
            told["skew"] = json!(skew.map(|(served, newest)| newest.saturating_sub(served.sequence)));
            nodes.push(told);
        }
    }
    Ok(nodes)
}

/// A region's channels, with how many announcements each is behind the home store, or ahead of it, where that is known.
fn behind(home: &[Value], mut there: Vec<Value>) -> Vec<Value> {
    for channel in &mut there {
        let at_home = home.iter().find(|other| other["channel"] == channel["channel"]);
        let newest = at_home.and_then(|at_home| at_home["sequence"].as_u64());
        let sequence = channel["sequence"].as_u64().unwrap_or(0);
        channel["behind"] = json!(newest.map(|newest| newest.saturating_sub(sequence)));
        channel["ahead"] = json!(newest.map(|newest| sequence.saturating_sub(newest)));
    }
    for channel in home.iter().filter(|channel| channel["nodes"].is_null()) {
        if !there.iter().any(|other| other["channel"] == channel["channel"]) {
            there.push(json!({ "channel": channel["channel"], "behind": channel["sequence"] }));
        }
    }
    there
}

async fn channels_of(store: &Store, remedy: fn(&Error) -> &'static str) -> Result<Vec<Value>> {
    let channels = stream::iter(store.list_channels().await?);
    let channels = channels.map(|channel| channel_of(store, channel, remedy)).buffered(READS_AT_ONCE);
    Ok(channels.filter_map(std::future::ready).collect().await)
}

/// A channel, if there is anything to say about it.
async fn channel_of(store: &Store, channel: ChannelName, remedy: fn(&Error) -> &'static str) -> Option<Value> {
    let pointer = match store.pointer(&channel).await {
        Ok(read) => read?.pointer,
        // One damaged channel must not hide the others.
        Err(error) => {
            let fault = format!("{error}{}", remedy(&error));
            return Some(json!({ "channel": channel.as_str(), "fault": fault }));
        }
    };
    // A canary that is over says nothing about anyone.
    let is_canary = channel == ChannelName::canary();
    if is_canary && !canary::is_under_way(&pointer) {
        return None;
    }
    let manifest = store.get_manifest(&pointer.snapshot).await;
    let known = manifest.as_ref().ok();
    Some(json!({
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
        "catalogue": known.map(|manifest| &manifest.catalogue).or(pointer.catalogue.as_ref()),
        "fault": manifest.as_ref().err().map(|error| error.to_string()),
    }))
}

/// What mends a region's copy of a channel that cannot be read.
fn remedy_of_copy(error: &Error) -> &'static str {
    if is_damage(error) { " ('indexer sync' writes it anew)" } else { "" }
}

/// `status` for people.
pub fn status_text(status: &Value) -> String {
    let channels = rows_of(&status["channels"]);
    let rows = channels.iter().map(|channel| {
        vec![
            text(&channel["channel"]),
            text(&channel["snapshot"]),
            text(&channel["sequence"]),
            channel["age_s"].as_i64().map_or("?".to_owned(), duration),
            text(&channel["product_count"]),
            channel_state(channel),
        ]
    });
    let mut out = match channels.is_empty() {
        true => format!("{}: nothing has been announced yet\n", text(&status["store"])),
        false => table(&["CHANNEL", "SNAPSHOT", "SEQUENCE", "ANNOUNCED", "PRODUCTS", ""], rows.collect()),
    };
    for pin in rows_of(&status["pins"]) {
        let (region, store) = (text(&pin["region"]), text(&pin["store"]));
        let _ = match pin["fault"].as_str() {
            Some(fault) => writeln!(out, "\nthe pin of region {region} in {store} is DAMAGED: {fault}"),
            None => {
                let (snapshot, reason) = (text(&pin["snapshot"]), reason(pin, ": ", ""));
                writeln!(out, "\nregion {region} is PINNED to {snapshot} in {store}{reason}")
            }
        };
    }
    let rows: Vec<Vec<String>> = rows_of(&status["regions"]).iter().flat_map(region_rows).collect();
    if !rows.is_empty() {
        out += "\n";
        out += &table(&["REGION", "CHANNEL", "SNAPSHOT", ""], rows);
    }
    if let Some(nodes) = status["nodes"].as_array() {
        out += "\n";
        out += &nodes_text(nodes);
    }
    if let Some(fault) = status["nodes"]["fault"].as_str() {
        let _ = writeln!(out, "\nwhat the nodes serve is not known: {fault}");
    }
    out
}

/// Why it was moved, where someone said so.
fn reason(pointer: &Value, before: &str, behind: &str) -> String {
    pointer["reason"].as_str().map_or(String::new(), |reason| format!("{before}{reason}{behind}"))
}

/// All that is to be said of a channel: what is damaged may be held as well.
fn channel_state(channel: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(fault) = channel["fault"].as_str() {
        parts.push(format!("DAMAGED: {fault}"));
    }
    match (channel["held"].as_bool(), channel["nodes"].as_array()) {
        (Some(true), _) => {
            parts.push(format!("HELD{}: publishers refuse until 'indexer resume'", reason(channel, " (", ")")));
        }
        (_, Some(nodes)) => {
            parts.push(format!("CANARY on {}", nodes.iter().map(text).collect::<Vec<_>>().join(", ")));
        }
        _ => parts.extend(Some(reason(channel, "(", ")")).filter(|reason| !reason.is_empty())),
    }
    parts.join("; ")
}

fn region_rows(region: &Value) -> Vec<Vec<String>> {
    let name = text(&region["region"]);
    if let Some(fault) = region["fault"].as_str() {
        return vec![vec![name, String::new(), String::new(), format!("DOWN: {fault}")]];
    }
    let row = |channel: &Value| {
        let [behind, ahead] = ["behind", "ahead"].map(|which| channel[which].as_u64());
        let state = match (channel["fault"].as_str(), behind, ahead) {
            (Some(fault), ..) => format!("DAMAGED: {fault}"),
            (_, _, Some(ahead @ 1..)) => format!("{ahead} AHEAD: written apart, or home was restored"),
            (_, Some(0), _) => "up to date".to_owned(),
            (_, Some(behind), _) => format!("{behind} BEHIND: 'indexer sync' brings it up"),
            (_, None, _) => "how far it is behind is not known".to_owned(),
        };
        let snapshot = channel["snapshot"].as_str().unwrap_or("nothing").to_owned();
        vec![name.clone(), text(&channel["channel"]), snapshot, state]
    };
    rows_of(&region["channels"]).iter().map(row).collect()
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
            (_, Some(_), None) => "how far it is behind is not known".to_owned(),
            _ => "serves nothing yet".to_owned(),
        };
        let snapshot = node["snapshot"].as_str().unwrap_or("nothing").to_owned();
        vec![text(&node["region"]), text(&node["node"]), text(&node["market"]), snapshot, text(&node["version"]), state]
    };
    table(&["REGION", "NODE", "MARKET", "SERVES", "VERSION", ""], nodes.iter().map(row).collect())
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
}
