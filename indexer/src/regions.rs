//! The stores of all regions: pointers move in the home store first, and are copied from there.

use anyhow::{Context, Result, ensure};
use snapshots::{ChannelName, Error, Hint, Hints, Pointer, ReadPointer, RegionName, Store};

use crate::bring;
use crate::progress::Progress;

/// A copy is tried so often when others move the same pointer meanwhile.
const MAX_TRIES: u32 = 5;

/// The home store, and those of other regions that are kept like it.
#[derive(Clone, Debug)]
pub struct Regions {
    pub home: Store,
    pub others: Vec<(RegionName, Store)>,
    /// How edges are told at once; without it they see it at their next poll.
    pub hints: Option<Hints>,
}

/// How a region fared. What is down is caught up later, and keeps nobody waiting.
#[derive(Debug)]
pub struct RegionOutcome {
    pub region: RegionName,
    pub result: Result<()>,
}

impl Regions {
    pub fn of(home: Store) -> Self {
        Self { home, others: Vec::new(), hints: None }
    }

    /// Tells the edges that a channel, or a pin of its region, has moved. That they are not told is no failure.
    pub async fn tell(&self, channel: &ChannelName, sequence: Option<u64>, progress: &Progress) {
        let Some(hints) = &self.hints else { return };
        let hint = Hint { catalogue: None, channel: channel.clone(), sequence };
        if let Err(error) = hints.announce(&hint).await {
            progress.note(&format!("the edges were not told, and will see it at their next poll: {error}"));
        }
    }

    /// Brings every region to where one channel is at home: all at once, so that one that is down or slow keeps none of
    /// the others waiting.
    pub async fn follow(&self, channel: &ChannelName, progress: &Progress) -> Vec<RegionOutcome> {
        let follow = self.others.iter().map(|(region, store)| self.follow_in(region, store, channel, progress));
        futures::future::join_all(follow).await
    }

    async fn follow_in(
        &self,
        region: &RegionName,
        store: &Store,
        channel: &ChannelName,
        progress: &Progress,
    ) -> RegionOutcome {
        let result = match self.home.pointer(channel).await {
            Ok(Some(read)) => {
                let caught_up = catch_up(&self.home, store, channel, &read, false, &mut progress.quiet()).await;
                caught_up.map(drop)
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        RegionOutcome { region: region.clone(), result }
    }

    /// Brings every region to where the home store is: objects, manifest, pointer, for every channel.
    ///
    /// # Errors
    /// When the home store fails. Regions that fail are in what is returned.
    pub async fn sync(&self, dry_run: bool, progress: &mut Progress) -> Result<Vec<SyncedChannel>> {
        let mut synced = Vec::new();
        for channel in self.home.list_channels().await? {
            let Some(read) = self.home.pointer(&channel).await.with_context(|| format!("channel '{channel}'"))? else {
                continue;
            };
            for (region, store) in &self.others {
                let result = catch_up(&self.home, store, &channel, &read, dry_run, progress).await;
                synced.push(SyncedChannel { region: region.clone(), channel: channel.clone(), result });
            }
        }
        Ok(synced)
    }
}

/// What was done for a channel in one region.
pub struct SyncedChannel {
    pub region: RegionName,
    pub channel: ChannelName,
    /// How many sequences it was behind, 0 where there was nothing to do.
    pub result: Result<u64>,
}

async fn catch_up(
    home: &Store,
    store: &Store,
    channel: &ChannelName,
    read: &ReadPointer,
    dry_run: bool,
    progress: &mut Progress,
) -> Result<u64> {
    let there = store.pointer(channel).await?.map(|there| there.pointer);
    let behind = read.pointer.sequence.saturating_sub(there.as_ref().map_or(0, |there| there.sequence));
    if behind > 0 && !dry_run {
        let manifest = home.get_manifest(&read.pointer.snapshot).await?;
        let live = there.as_ref().map(|there| &there.snapshot);
        let brought = bring::bring(home, store, &manifest, live, None, progress).await?;
        let copied = match brought.ensure_held() {
            Ok(()) => copy_pointer(store, channel, &read.pointer).await,
            Err(error) => Err(error),
        };
        brought.let_go(progress).await;
        copied?;
    }
    Ok(behind)
}

/// Moves a region's copy of a pointer, unless it is there or further already.
///
/// # Errors
/// When the store fails, or says something else by the same sequence.
pub async fn copy_pointer(store: &Store, channel: &ChannelName, pointer: &Pointer) -> Result<()> {
    for _ in 0..MAX_TRIES {
        let there = store.pointer(channel).await?;
        if let Some(there) = there.as_ref().filter(|there| there.pointer.sequence >= pointer.sequence) {
            let is_same = there.pointer.sequence > pointer.sequence || there.pointer.snapshot == pointer.snapshot;
            ensure!(
                is_same,
                "sequence {} is {} there and {} at home: the two stores were written apart",
                pointer.sequence,
                there.pointer.snapshot,
                pointer.snapshot
            );
            return Ok(());
        }
        match store.move_pointer(channel, there.as_ref(), pointer).await {
            Err(Error::Conflict { .. }) => {}
            moved => return Ok(moved?),
        }
    }
    anyhow::bail!("channel '{channel}' is moved by others all the time")
}
