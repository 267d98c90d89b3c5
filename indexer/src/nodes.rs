//! What the nodes of all regions serve, and waiting until they have followed.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::{Value, json};
use snapshots::{Followed, MarketStatus, NodeStatus, Pointer, StatusBoard, heard_lately};

use crate::progress::Output;
use crate::report::table;
use crate::stdout::say;

const POLL: Duration = Duration::from_millis(300);

/// What is waited for: a pointer that a channel was moved to.
pub struct Wanted<'a> {
    pub catalogue: &'a str,
    pub channel: &'a str,
    pub pointer: &'a Pointer,
}

/// A node, as far as one catalogue's channel goes.
#[derive(Clone, Debug)]
pub struct NodeView {
    pub region: String,
    pub node: String,
    pub version: String,
    pub silent_s: i64,
    /// When it told this, by the clock of the store.
    pub told_at: Timestamp,
    pub market: MarketStatus,
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It serves what is wanted.
    There,
    /// It is pinned, or tries a canary: it follows something else, as it should.
    Elsewhere,
    Behind,
}

impl NodeView {
    /// What it is called among the nodes of all regions, as `region/node`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.region, self.node)
    }

    pub fn standing(&self, pointer: &Pointer) -> Standing {
        match &self.market.served {
            Some(served) if served.followed != Followed::Channel => Standing::Elsewhere,
            Some(served) if served.snapshot == pointer.snapshot && served.sequence >= pointer.sequence => {
                Standing::There
            }
            // What came after is there too.
            Some(served) if served.sequence > pointer.sequence => Standing::There,
            _ => Standing::Behind,
        }
    }

    pub fn to_json(&self) -> Value {
        let served = self.market.served.as_ref();
        json!({
            "region": self.region, "node": self.node, "version": self.version, "silent_s": self.silent_s,
            "market": self.market.market, "fault": self.market.fault,
            "snapshot": served.map(|served| &served.snapshot), "sequence": served.map(|served| served.sequence),
            "followed": served.map(|served| served.followed), "since": served.map(|served| served.since),
            "traffic": served.map(|served| served.traffic),
        })
    }
}

/// The nodes that were heard of lately and serve a catalogue's channel.
///
/// # Errors
/// When the statuses cannot be read.
pub async fn heard(board: &StatusBoard, catalogue: &str, channel: &str) -> Result<Vec<NodeView>> {
    heard_of(board, Some(catalogue), channel).await
}

/// The same; those of all catalogues where it is not known which one is meant.
///
/// # Errors
/// As [`heard`].
pub async fn heard_of(board: &StatusBoard, catalogue: Option<&str>, channel: &str) -> Result<Vec<NodeView>> {
    let now = Timestamp::now();
    let nodes = heard_lately(board.read_all().await?, now);
    Ok(nodes.iter().flat_map(|node| views(node, catalogue, channel, now)).collect())
}

fn views(node: &NodeStatus, catalogue: Option<&str>, channel: &str, now: Timestamp) -> Vec<NodeView> {
    let view = |market: &MarketStatus| NodeView {
        region: node.region.to_string(),
        node: node.node.clone(),
        version: node.version.clone(),
        silent_s: now.duration_since(node.reported_at).as_secs(),
        told_at: node.reported_at,
        market: market.clone(),
    };
    match catalogue {
        Some(catalogue) => node.serving(catalogue, channel).map(view).collect(),
        None => node.markets.iter().filter(|market| market.channel == channel).map(view).collect(),
    }
}

/// Waits until every node that was heard of lately serves what is wanted; shows a table meanwhile. A store that does not
/// answer is asked again: what was announced is followed all the same.
///
/// # Errors
/// When time is up: names the nodes that are stuck, and why. When no node is heard of at all.
pub async fn wait(
    board: &StatusBoard,
    wanted: &Wanted<'_>,
    timeout: Duration,
    output: Output,
) -> Result<Vec<NodeView>> {
    let (started, mut told) = (Instant::now(), None);
    let bar = live_table(output);
    loop {
        let nodes = match heard(board, wanted.catalogue, wanted.channel).await {
            Err(_) if started.elapsed() <= timeout => {
                tokio::time::sleep(POLL).await;
                continue;
            }
            heard => heard.context("what the nodes serve is unknown, and it is announced all the same")?,
        };
        let there = nodes.iter().filter(|node| node.standing(wanted.pointer) != Standing::Behind).count();
        bar.set_message(nodes_text(&nodes, Some(wanted.pointer)));
        bar.tick();
        if output == Output::Json && told != Some((there, nodes.len())) {
            let following = json!({ "event": "following", "nodes": nodes.len(), "there": there });
            say(&format!("{following}\n"));
            told = Some((there, nodes.len()));
        }
        if !nodes.is_empty() && there == nodes.len() {
            bar.finish_and_clear();
            return Ok(nodes);
        }
        if started.elapsed() > timeout {
            bar.finish_and_clear();
            bail!("{}", stuck(&nodes, wanted.pointer, timeout));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn live_table(output: Output) -> ProgressBar {
    match output == Output::Text && stderr().is_terminal() {
        true => ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())),
        false => ProgressBar::hidden(),
    }
}

/// Which nodes have not followed, and why.
fn stuck(nodes: &[NodeView], pointer: &Pointer, timeout: Duration) -> String {
    if nodes.is_empty() {
        return "no node was heard of in the last minute: do the edges have --status-store, and is it this one?"
            .to_owned();
    }
    let behind: Vec<&NodeView> = nodes.iter().filter(|node| node.standing(pointer) == Standing::Behind).collect();
    let mut text = format!(
        "{} of {} nodes do not serve {} after {} s; it is announced all the same:",
        behind.len(),
        nodes.len(),
        pointer.snapshot,
        timeout.as_secs()
    );
    for node in behind {
        let serves = node.market.served.as_ref().map_or("nothing".to_owned(), |served| served.snapshot.to_string());
        let why = node.market.fault.as_deref().unwrap_or("it has not told why");
        text.push_str(&format!("\n  {} serves {serves}: {why}", node.full_name()));
    }
    text
}

/// Nodes for people.
pub fn nodes_text(nodes: &[NodeView], wanted: Option<&Pointer>) -> String {
    let rows = nodes.iter().map(|node| {
        let served = node.market.served.as_ref();
        let followed = served.map_or(Followed::Channel, |served| served.followed);
        let state = match (&node.market.fault, followed, wanted.map(|pointer| node.standing(pointer))) {
            (Some(fault), ..) => format!("FAULT: {fault}"),
            (None, Followed::Pin, _) => "PINNED".to_owned(),
            (None, Followed::Canary, _) => "CANARY".to_owned(),
            (None, _, Some(Standing::Behind)) => "behind".to_owned(),
            _ => "ok".to_owned(),
        };
        vec![
            node.region.clone(),
            node.node.clone(),
            served.map_or("nothing".to_owned(), |served| served.snapshot.to_string()),
            served.map_or(String::new(), |served| served.sequence.to_string()),
            format!("{} s ago", node.silent_s.max(0)),
            node.version.clone(),
            state,
        ]
    });
    table(&["REGION", "NODE", "SERVES", "SEQUENCE", "HEARD", "VERSION", ""], rows.collect())
}

#[cfg(test)]
mod tests {
    use snapshots::{ServedStatus, Store, Times, Traffic};

    use super::*;

    #[tokio::test]
    async fn a_status_store_that_fails_for_a_moment_ends_no_waiting() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let board = StatusBoard::new(Store::directory(folder.path()).expect("a store"));
        let (pointer, now) = (Pointer::new("a".parse().expect("an id"), 1), Timestamp::now());
        let served = ServedStatus {
            catalogue: "shop".into(),
            snapshot: pointer.snapshot.clone(),
            sequence: 1,
            followed: Followed::Channel,
            since: now,
            traffic: Traffic::default(),
            times_us: Times::default(),
        };
        let (market, channel) = ("us".into(), "live".into());
        let status = NodeStatus {
            node: "n1".into(),
            region: "local".parse().expect("a name"),
            version: String::new(),
            started_at: now,
            reported_at: now,
            draining: false,
            markets: vec![MarketStatus { market, channel, served: Some(served), fault: None, contact_age_s: None }],
        };
        board.write(&status).await.expect("a status");
        // A folder that is within itself cannot be listed.
        let within = folder.path().join("status/local/within");
        std::os::unix::fs::symlink(folder.path().join("status"), &within).expect("a link");
        assert!(board.read_all().await.is_err(), "the store fails");
        let mend = async {
            tokio::time::sleep(POLL).await;
            std::fs::remove_file(&within).expect("it is mended");
        };
        let wanted = Wanted { catalogue: "shop", channel: "live", pointer: &pointer };
        let waiting = wait(&board, &wanted, Duration::from_secs(60), Output::Text);
        let (nodes, ()) = tokio::join!(waiting, mend);
        assert_eq!(nodes.expect("it was for a moment").len(), 1);
    }
}
