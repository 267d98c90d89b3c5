//! What holds a snapshot: leases, pointers, pins, canaries. Asked again, it reads only what is new.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result};
use futures::StreamExt;
use jiff::Timestamp;
use serde::Serialize;
use snapshots::{
    ChannelName, Digest, Error, Manifest, Pointer, PointerName, PointerState, PointerVersion, SnapshotId, Store,
};

use super::Retention;
use crate::canary::is_under_way;
use crate::channels::remedy;

/// So many manifests are read at once.
const READ_AT_ONCE: usize = 16;

/// Why a snapshot stays; the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    Channel,
    Canary,
    Pin,
    Previous,
    Node,
    Newest,
    Young,
    Lease,
}

impl Why {
    /// For people: "a channel points at it".
    pub fn text(self) -> &'static str {
        match self {
            Self::Channel => "a channel points at it",
            Self::Canary => "a canary tries it",
            Self::Pin => "a region is pinned to it",
            Self::Previous => "a channel pointed at it before",
            Self::Node => "a node serves it",
            Self::Newest => "it is one of the newest",
            Self::Young => "it is young",
            Self::Lease => "a publish holds it",
        }
    }

    /// Whether an edge that starts now may be told to open it.
    fn is_followed(self) -> bool {
        matches!(self, Self::Channel | Self::Canary | Self::Pin)
    }
}

/// All that is held. It only grows: what was held once in a run stays until the next.
pub(super) struct Roots<'a> {
    store: &'a Store,
    retention: &'a Retention,
    pub(super) snapshots: BTreeMap<SnapshotId, Why>,
    /// A few dozen for each snapshot that is held.
    pub(super) objects: HashSet<Digest>,
    pub(super) expired: Vec<String>,
    leases: HashSet<String>,
    pointers: Vec<(PointerName, PointerVersion)>,
}

impl<'a> Roots<'a> {
    pub(super) fn new(store: &'a Store, retention: &'a Retention) -> Self {
        Self {
            store,
            retention,
            snapshots: BTreeMap::new(),
            objects: HashSet::new(),
            expired: Vec::new(),
            leases: HashSet::new(),
            pointers: Vec::new(),
        }
    }

    /// Takes in leases and pointers that are new. Returns whether there were any.
    ///
    /// Leases come first: one that is gone by then had its pointer moved before that, which is read after.
    pub(super) async fn refresh(&mut self) -> Result<bool> {
        let mut has_changed = false;
        for name in self.store.list_leases().await.context("listing the leases")? {
            if !self.leases.contains(&name) {
                has_changed |= self.take_in_lease(name).await?;
            }
        }
        let channels = self.store.list_channels().await.context("listing the channels")?;
        let pins = self.store.list_pins().await.context("listing the pins")?;
        let channels = channels.iter().map(PointerName::from);
        for name in channels.chain(pins.iter().map(PointerName::from)) {
            has_changed |= self.take_in_pointer(name).await?;
        }
        Ok(has_changed)
    }

    /// Keeps snapshots, and what their manifests name.
    pub(super) async fn hold(&mut self, wanted: Vec<(SnapshotId, Why)>) -> Result<()> {
        let store = self.store;
        let mut unread = Vec::new();
        for (id, why) in wanted {
            match self.snapshots.get_mut(&id) {
                // A lease's word is not enough, nor is that what could not be read was let go of for a lesser reason.
                Some(held) if *held != Why::Lease && !self.retention.ignored.contains(&id) => *held = why.min(*held),
                _ => unread.push((id, why)),
            }
        }
        let mut reads = futures::stream::iter(unread)
            .map(|(id, why)| async move {
                let read = store.get_manifest(&id).await;
                (id, why, read)
            })
            .buffer_unordered(READ_AT_ONCE);
        while let Some((id, why, read)) = reads.next().await {
            self.take_in_manifest(id, why, read)?;
        }
        Ok(())
    }

    /// How many leases are in use.
    pub(super) fn lease_count(&self) -> usize {
        self.leases.len() - self.expired.len()
    }

    async fn take_in_lease(&mut self, name: String) -> Result<bool> {
        let lease = match self.store.get_lease(&name).await {
            Ok(lease) => lease,
            // Its run has ended since it was listed.
            Err(Error::NotFound(_)) => return Ok(true),
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("what lease {name} holds is unknown, so that nothing is removed; if its publish has ended, remove it")
                });
            }
        };
        if Timestamp::now().duration_since(lease.taken_at) > self.retention.lease_for {
            self.expired.push(name.clone());
        } else {
            self.objects.extend(lease.objects);
            self.snapshots.entry(lease.snapshot).or_insert(Why::Lease);
        }
        self.leases.insert(name);
        Ok(true)
    }

    async fn take_in_pointer(&mut self, name: PointerName) -> Result<bool> {
        let known = self.pointers.iter().find(|(other, _)| *other == name).map(|(_, version)| version);
        let is_canary = name == PointerName::from(&ChannelName::canary());
        // After keys were changed, what is left of the last canary is signed with the old one. That it is over it says all
        // the same.
        let store = match is_canary {
            true => self.store.clone().trusting(None),
            false => self.store.clone(),
        };
        let read = match store.read_pointer(name.clone(), known).await {
            // No node follows it.
            Err(Error::Corrupt { .. }) if is_canary => return Ok(false),
            read => read,
        };
        let remedy = match &name {
            PointerName::Channel(_) => read.as_ref().map_or_else(remedy, |_| ""),
            PointerName::Pin(_) => "",
        };
        let read = match read.with_context(|| format!("{}{remedy}", told(&name)))? {
            PointerState::Moved(read) => read,
            PointerState::Missing | PointerState::Unchanged => return Ok(false),
        };
        self.hold(held_by(&name, &read.pointer)).await.with_context(|| told(&name))?;
        self.pointers.retain(|(other, _)| *other != name);
        self.pointers.push((name, read.version().clone()));
        Ok(true)
    }

    fn take_in_manifest(&mut self, id: SnapshotId, why: Why, read: Result<Manifest, Error>) -> Result<()> {
        match read {
            Ok(manifest) => self.objects.extend(manifest.objects.iter().map(|object| object.blake3)),
            // What is gone needs nothing: the home store also has the pins of regions with stores of their own.
            Err(Error::NotFound(_)) if !matches!(why, Why::Channel | Why::Canary) => return Ok(()),
            // Itself it stays: what it is may be found out yet.
            Err(_) if self.retention.ignored.contains(&id) && !why.is_followed() => {}
            Err(error) => {
                let remedy = match why.is_followed() {
                    true => "point at something else first: publish, roll back, withdraw, or unpin".to_owned(),
                    false => format!("mend it, or let go of what it needs with --ignore-manifest {id}"),
                };
                return Err(error).with_context(|| {
                    format!(
                        "snapshot {id} stays ({}), and what it needs is unknown, so that nothing is removed; {remedy}",
                        why.text()
                    )
                });
            }
        }
        let held = self.snapshots.entry(id).or_insert(why);
        *held = why.min(*held);
        Ok(())
    }
}

/// The snapshots that a pointer holds.
fn held_by(name: &PointerName, pointer: &Pointer) -> Vec<(SnapshotId, Why)> {
    let snapshot = pointer.snapshot.clone();
    match name {
        PointerName::Pin(_) => vec![(snapshot, Why::Pin)],
        // One that is over holds nothing: nodes no longer follow it.
        PointerName::Channel(channel) if *channel == ChannelName::canary() => match is_under_way(pointer) {
            true => vec![(snapshot, Why::Canary)],
            false => Vec::new(),
        },
        PointerName::Channel(_) => {
            let previous = pointer.previous.clone().map(|previous| (previous, Why::Previous));
            std::iter::once((snapshot, Why::Channel)).chain(previous).collect()
        }
    }
}

fn told(name: &PointerName) -> String {
    match name {
        PointerName::Channel(channel) => format!("channel '{channel}'"),
        PointerName::Pin(region) => format!("the pin of region '{region}'"),
    }
}
