//! One look at a whole store: what is held, and what nothing reaches.

use std::collections::BTreeMap;
use std::pin::pin;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use jiff::Timestamp;
use snapshots::{ListedManifest, ListedObject, MAX_MARKED, Marks, SnapshotId, StatusBoard, Store, heard_lately};

use super::roots::{Roots, Why};
use super::{Retention, Tally};
use crate::progress::Progress;

/// What a store holds. Its memory is bounded by what is held, not by what there is: of what is unreachable, only so much
/// is named as can be marked.
pub(super) struct Survey<'a> {
    pub(super) roots: Roots<'a>,
    pub(super) kept: Tally,
    /// All of it.
    pub(super) unreachable: Tally,
    /// As many as can be marked, those among them that are marked already.
    pub(super) manifests: Vec<ListedManifest>,
    pub(super) objects: Vec<ListedObject>,
}

/// Looks at everything: first at what holds, then at what there is, so that what is brought meanwhile is held or young.
pub(super) async fn survey<'a>(
    store: &'a Store,
    board: Option<&StatusBoard>,
    retention: &'a Retention,
    marks: &Marks,
    progress: &mut Progress,
) -> Result<Survey<'a>> {
    let mut roots = Roots::new(store, retention);
    roots.refresh().await?;
    let listed = store.list_manifests().await.context("listing the manifests")?;
    roots.hold(held_by_age(&listed, retention)).await?;
    if let Some(board) = board {
        roots.hold(served(board).await?).await?;
    }
    let mut survey = Survey {
        roots,
        kept: Tally::default(),
        unreachable: Tally::default(),
        manifests: Vec::new(),
        objects: Vec::new(),
    };
    for manifest in listed {
        survey.add_manifest(manifest, marks);
    }
    progress.begin("list", "objects", None);
    let mut count = 0;
    let mut objects = pin!(store.list_objects());
    while let Some(object) = objects.try_next().await.context("listing the objects")? {
        survey.add_object(object, marks);
        count += 1;
        progress.at(count);
    }
    Ok(survey)
}

impl Survey<'_> {
    /// How many snapshots stay for each reason.
    pub(super) fn reasons(&self) -> Vec<(Why, usize)> {
        let mut counts = BTreeMap::new();
        self.roots.snapshots.values().for_each(|why| *counts.entry(*why).or_insert(0) += 1);
        counts.into_iter().collect()
    }

    /// How much it is that some marks name.
    pub(super) fn tally_of(&self, marks: &Marks) -> Tally {
        let mut tally = Tally::default();
        for manifest in self.manifests.iter().filter(|manifest| marks.snapshots.contains_key(&manifest.id)) {
            tally.add_manifest(manifest);
        }
        for object in self.objects.iter().filter(|object| marks.objects.contains_key(&object.digest)) {
            tally.add_object(object);
        }
        tally
    }

    fn has_room(&self) -> bool {
        self.manifests.len() + self.objects.len() < MAX_MARKED
    }

    fn add_manifest(&mut self, manifest: ListedManifest, marks: &Marks) {
        if self.roots.snapshots.contains_key(&manifest.id) {
            return self.kept.add_manifest(&manifest);
        }
        self.unreachable.add_manifest(&manifest);
        if self.has_room() || marks.snapshots.contains_key(&manifest.id) {
            self.manifests.push(manifest);
        }
    }

    fn add_object(&mut self, object: ListedObject, marks: &Marks) {
        if self.roots.objects.contains(&object.digest) {
            return self.kept.add_object(&object);
        }
        self.unreachable.add_object(&object);
        if self.has_room() || marks.objects.contains_key(&object.digest) {
            self.objects.push(object);
        }
    }
}

impl Tally {
    pub(super) fn add_manifest(&mut self, manifest: &ListedManifest) {
        self.snapshots += 1;
        self.bytes += manifest.size_bytes;
    }

    pub(super) fn add_object(&mut self, object: &ListedObject) {
        self.objects += 1;
        self.bytes += object.size_bytes;
    }
}

/// The newest few, and the young. Ids begin with the time, and the list is in their order.
fn held_by_age(listed: &[ListedManifest], retention: &Retention) -> Vec<(SnapshotId, Why)> {
    let now = Timestamp::now();
    let manifests = || listed.iter().rev().filter(|manifest| manifest.has_manifest);
    let newest = manifests().take(retention.keep).map(|manifest| (manifest.id.clone(), Why::Newest));
    let young = manifests()
        .skip(retention.keep)
        .filter(|manifest| now.duration_since(manifest.modified_at) < retention.keep_for)
        .map(|manifest| (manifest.id.clone(), Why::Young));
    newest.chain(young).collect()
}

/// What nodes that were heard of lately say that they serve, of whichever store it is.
async fn served(board: &StatusBoard) -> Result<Vec<(SnapshotId, Why)>> {
    let now = Timestamp::now();
    let nodes = heard_lately(board.read_all().await.context("reading what nodes serve")?, now);
    let markets = nodes.iter().flat_map(|node| &node.markets);
    let served = markets.filter_map(|market| market.served.as_ref());
    Ok(served.map(|served| (served.snapshot.clone(), Why::Node)).collect())
}
