//! What nodes say of themselves, in a container of its own: the snapshot store is read-only to edges.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::channel::RegionName;
use crate::error::Error;
use crate::manifest::SnapshotId;
use crate::store::Store;
use crate::times::Times;
use crate::watch::Followed;

/// A status larger than this is not read.
pub(crate) const MAX_STATUS_BYTES: u64 = 256 * 1024;
/// A node that was not heard of for so long, while others were, is taken for gone.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);
/// Whoever looks may have a clock that is so far off.
const MAX_SKEW: Duration = Duration::from_secs(15 * 60);
/// So many are read at once.
const READ_AT_ONCE: usize = 16;

/// A node, and what it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    pub node: String,
    pub region: RegionName,
    pub version: String,
    pub started_at: Timestamp,
    pub reported_at: Timestamp,
    #[serde(default)]
    pub draining: bool,
    pub markets: Vec<MarketStatus>,
}

/// What a node serves of one market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarketStatus {
    pub market: String,
    pub channel: String,
    /// None before the first snapshot.
    pub served: Option<ServedStatus>,
    /// What keeps it from moving on.
    pub fault: Option<String>,
    /// Seconds since its store was last heard from.
    pub contact_age_s: Option<u64>,
}

/// A snapshot that is served, and how that goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServedStatus {
    pub catalogue: String,
    pub snapshot: SnapshotId,
    pub sequence: u64,
    pub followed: Followed,
    pub since: Timestamp,
    pub traffic: Traffic,
    /// How long its requests took. Older nodes do not tell.
    #[serde(default)]
    pub times_us: Times,
}

/// What was asked of a snapshot since it is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Searches, suggestions and what is similar.
    pub requests: u64,
    /// Answers of any kind that failed, with a status from 500 on; they are no requests.
    pub errors: u64,
    pub searches: u64,
    /// Searches that found nothing.
    pub empty: u64,
    /// 99 of 100 requests took no longer.
    pub p99_us: u64,
}

impl Serialize for RegionName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RegionName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl NodeStatus {
    /// What the node serves of a catalogue's channel. Of which catalogue a market is that serves nothing yet, nobody can tell: it
    /// is one of this catalogue where no other market of the node is.
    pub fn serving<'a>(&'a self, catalogue: &'a str, channel: &'a str) -> impl Iterator<Item = &'a MarketStatus> {
        let of_channel = move || self.markets.iter().filter(move |market| market.channel == channel);
        let serves = move |market: &MarketStatus| market.served.as_ref().map(|served| served.catalogue == catalogue);
        let is_served = of_channel().any(|market| serves(market) == Some(true));
        of_channel().filter(move |market| serves(market).unwrap_or(!is_served))
    }
}

/// The nodes that were heard of lately. They are compared with one another by the store's clock, since the clocks of nodes
/// and of whoever looks may be minutes off; only where all are silent for long does the latter count.
pub fn heard_lately(nodes: Vec<NodeStatus>, now: Timestamp) -> Vec<NodeStatus> {
    let Some(newest) = nodes.iter().map(|node| node.reported_at).max() else { return nodes };
    let within = |time: Timestamp, since: Timestamp, most: Duration| {
        time.duration_since(since).as_secs() <= most.as_secs() as i64
    };
    let is_any = within(now, newest, SILENT_AFTER + MAX_SKEW);
    nodes.into_iter().filter(|node| is_any && within(newest, node.reported_at, SILENT_AFTER)).collect()
}

/// Where nodes' statuses are kept: `status/<region>/<node>.json`.
#[derive(Clone, Debug)]
pub struct StatusBoard(Store);

impl StatusBoard {
    /// What stands before the names of variables that are about the board's account alone.
    pub const ACCOUNT: &str = "status";

    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Writes a node's status over its last one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write(&self, status: &NodeStatus) -> Result<(), Error> {
        let json = serde_json::to_vec(status).map_err(|error| Error::corrupt("node status", error))?;
        self.0.put_status(&status.region, &status.node, Bytes::from(json)).await
    }

    /// Removes the status of a node that ends as it should.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove(&self, region: &RegionName, node: &str) -> Result<(), Error> {
        self.0.delete_status(region, node).await
    }

    /// The last word of every node that was heard of shortly before the one that was heard of last, in the order of regions
    /// and names, with the time by the store's clock; what is damaged is passed over.
    ///
    /// # Errors
    /// When the store fails, or holds more than are ever listed.
    pub async fn read_all(&self) -> Result<Vec<NodeStatus>, Error> {
        // A second more than counts, since a listing may show whole seconds.
        let paths = self.0.list_statuses(SILENT_AFTER + Duration::from_secs(1)).await?;
        let mut reads = futures::stream::iter(paths).map(|path| self.0.get_status(path)).buffer_unordered(READ_AT_ONCE);
        let mut nodes = Vec::new();
        while let Some(read) = reads.next().await {
            match read {
                Ok((bytes, written_at)) => {
                    let status = serde_json::from_slice::<NodeStatus>(&bytes);
                    nodes.extend(status.map(|status| NodeStatus { reported_at: written_at, ..status }));
                }
                // It ended since it was listed; or one node's word is damaged or too long, which hides no other's.
                Err(Error::NotFound(_) | Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        nodes.sort_unstable_by(|a, b| (&a.region, &a.node).cmp(&(&b.region, &b.node)));
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each look read the last words of all nodes that had ever died.
    #[tokio::test]
    async fn what_nodes_have_left_that_are_gone_is_not_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let board = StatusBoard::new(Store::directory(folder.path()).expect("a store"));
        let status = |node: &str| NodeStatus {
            node: node.to_owned(),
            region: "local".parse().expect("a name"),
            version: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            reported_at: Timestamp::UNIX_EPOCH,
            draining: false,
            markets: Vec::new(),
        };
        for node in ["alive", "dead"] {
            board.write(&status(node)).await.expect("a status");
        }
        let file = std::fs::File::options().write(true).open(folder.path().join("status/local/dead.json"));
        let then = std::time::SystemTime::now() - 2 * SILENT_AFTER;
        file.expect("its status").set_modified(then).expect("an older status");
        let nodes = board.read_all().await.expect("statuses");
        assert_eq!(nodes.iter().map(|node| node.node.as_str()).collect::<Vec<_>>(), ["alive"]);
    }

    /// A publish to one market waited for another one of the same node, to which nothing had been published yet.
    #[test]
    fn a_market_that_serves_nothing_is_no_market_of_a_catalogue_that_another_one_serves() {
        let market = |market: &str, catalogue: Option<&str>| MarketStatus {
            market: market.to_owned(),
            channel: "live".to_owned(),
            served: catalogue.map(|catalogue| ServedStatus {
                catalogue: catalogue.to_owned(),
                snapshot: "a".parse().expect("an id"),
                sequence: 1,
                followed: Followed::Channel,
                since: Timestamp::UNIX_EPOCH,
                traffic: Traffic::default(),
                times_us: Times::default(),
            }),
            fault: None,
            contact_age_s: None,
        };
        let check = |markets: &[(&str, Option<&str>)], expected: &[&str]| {
            let node = NodeStatus {
                node: "n1".to_owned(),
                region: "local".parse().expect("a name"),
                version: String::new(),
                started_at: Timestamp::UNIX_EPOCH,
                reported_at: Timestamp::UNIX_EPOCH,
                draining: false,
                markets: markets.iter().map(|(name, catalogue)| market(name, *catalogue)).collect(),
            };
            let serving: Vec<&str> = node.serving("shop", "live").map(|market| market.market.as_str()).collect();
            assert_eq!(serving, expected, "{markets:?}");
            assert_eq!(node.serving("shop", "preview").count(), 0, "{markets:?}");
        };
        check(&[("us", Some("shop")), ("eu", None)], &["us"]);
        check(&[("us", Some("other")), ("eu", None)], &["eu"]);
        check(&[("us", None), ("eu", None)], &["us", "eu"]);
        check(&[("us", Some("shop")), ("ca", Some("shop")), ("uk", Some("other"))], &["us", "ca"]);
    }

    #[test]
    fn clocks_that_are_off_silence_nobody() {
        let node = |name: &str, reported_at: &str| NodeStatus {
            node: name.to_owned(),
            region: "local".parse().expect("a name"),
            version: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            reported_at: reported_at.parse().expect("a time"),
            draining: false,
            markets: Vec::new(),
        };
        let nodes = vec![
            node("a", "2026-01-01T10:00:00Z"),
            node("b", "2026-01-01T10:00:50Z"),
            node("c", "2026-01-01T09:58:00Z"),
        ];
        let heard = |now: &str| {
            let heard = heard_lately(nodes.clone(), now.parse().expect("a time"));
            heard.into_iter().map(|node| node.node).collect::<Vec<_>>()
        };
        for now in ["2026-01-01T10:01:00Z", "2026-01-01T09:51:00Z", "2026-01-01T10:11:00Z"] {
            assert_eq!(heard(now), ["a", "b"], "{now}");
        }
        assert!(heard("2026-01-01T10:30:00Z").is_empty(), "all are silent");
        assert!(heard_lately(Vec::new(), Timestamp::UNIX_EPOCH).is_empty());
    }
}
