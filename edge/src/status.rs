//! Telling what this node serves, so that publishers see when everyone has followed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use jiff::Timestamp;
use snapshots::{MarketStatus, NodeStatus, RegionName, ServedStatus, StatusBoard};
use tracing::{info, warn};

use crate::follow::MarketState;
use crate::server::Shared;

/// How often a node is heard of where nothing changes; silence for a minute is taken for its end.
const INTERVAL: Duration = Duration::from_secs(5);
/// What changes in bursts is told once.
const SETTLE: Duration = Duration::from_millis(50);
/// How long a last word may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Where and under which name a node tells of itself.
#[derive(Clone, Debug)]
pub struct StatusSettings {
    pub board: StatusBoard,
    pub region: RegionName,
    pub node: String,
    pub channel: String,
}

/// Tells of one node for as long as it runs.
#[derive(Clone)]
pub struct Reporter {
    settings: StatusSettings,
    shared: Arc<Shared>,
    started_at: Timestamp,
}

impl Reporter {
    pub fn new(settings: StatusSettings, shared: Arc<Shared>) -> Self {
        Self { settings, shared, started_at: Timestamp::now() }
    }

    /// Tells at once when something changes, and at a steady pace.
    pub async fn run(self) {
        let mut was_told = true;
        loop {
            let told = self.settings.board.write(&self.status()).await;
            // The same fault every few seconds is one event.
            match &told {
                Err(fault) if was_told => warn!("the node's status cannot be written: {fault}"),
                Ok(()) if !was_told => info!("the node's status is written again"),
                _ => {}
            }
            was_told = told.is_ok();
            let changes = self.shared.markets.iter().map(|market| Box::pin(market.changed.notified()));
            let _ = tokio::time::timeout(INTERVAL, select_all(changes)).await;
            tokio::time::sleep(SETTLE).await;
        }
    }

    /// Takes the status back: nobody waits for a node that ended as it should.
    pub async fn leave(&self) {
        let removed = self.settings.board.remove(&self.settings.region, &self.settings.node);
        match tokio::time::timeout(LEAVE_TIMEOUT, removed).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => warn!("the node's status could not be removed: {fault}"),
            Err(_) => warn!("the node's status could not be removed in time"),
        }
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            node: self.settings.node.clone(),
            region: self.settings.region.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            reported_at: Timestamp::now(),
            draining: self.shared.is_draining(),
            markets: self.shared.markets.iter().map(|market| self.market(market)).collect(),
        }
    }

    fn market(&self, market: &MarketState) -> MarketStatus {
        let served = market.live.load().map(|generation| ServedStatus {
            catalogue: generation.index.catalogue().name.clone(),
            snapshot: generation.pointer.snapshot.clone(),
            sequence: generation.pointer.sequence,
            followed: generation.followed,
            since: generation.since,
            traffic: generation.traffic.sum(),
            times_us: generation.traffic.times_us(),
        });
        MarketStatus {
            market: market.name.clone(),
            channel: self.settings.channel.clone(),
            served,
            fault: market.fault(),
            contact_age_s: market.contact_age_s(),
        }
    }
}
