//! The stores of all regions: pointers move in the home store first, and are copied from there as they are.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use snapshots::{ChannelName, Error, Hint, Hints, Pointer, PointerVersion, RegionName, Store, WrittenPointer};

use crate::checks::is_damage;
use crate::progress::Progress;
use crate::{bring, channels};

/// A copy is tried so often when others move the same pointer meanwhile.
const MAX_TRIES: u32 = 5;
/// Enough for all of a large snapshot to come to a region that is well.
pub const DEFAULT_TIMEOUT_S: u64 = 600;

/// The home store, and those of other regions that are kept like it.
#[derive(Clone, Debug)]
pub struct Regions {
    pub home: Store,
    pub others: Vec<(RegionName, Store)>,
    /// How edges are told at once; without it they see it at their next poll.
    pub hints: Option<Hints>,
    /// How long a region may take over one thing, be it a whole snapshot that it is brought. Then it is given up on, as one
    /// that is down.
    pub timeout: Duration,
}

/// How a region fared. What is down or slow is caught up later, and keeps nobody waiting.
#[derive(Debug)]
pub struct RegionOutcome {
    pub region: RegionName,
    pub result: Result<()>,
}

impl Regions {
    pub fn of(home: Store) -> Self {
        Self { home, others: Vec::new(), hints: None, timeout: Duration::from_secs(DEFAULT_TIMEOUT_S) }
    }

    /// Has a region do something, which ends after some time, whatever comes of it. What was begun there may be left half
    /// done, as by a run that was killed; its lease expires.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done,
            Err(_) => bail!("it is slow, and was given up on after {} s (--region-timeout-s)", self.timeout.as_secs()),
        }
    }

    /// Tells the edges that a channel, or a pin of its region, has moved. That they are not told is no failure.
    pub async fn tell(&self, channel: &ChannelName, sequence: Option<u64>, progress: &Progress) {
        let Some(hints) = &self.hints else { return };
        let hint = Hint { catalogue: None, channel: channel.clone(), sequence };
        if let Err(error) = hints.announce(&hint).await {
            progress.note(&format!("the edges were not told, and will see it at their next poll: {error}"));
        }
    }

    /// Brings every region to what was announced to a channel at home: all at once, so that one that is down or slow keeps
    /// none of the others waiting.
    pub async fn follow(
        &self,
        channel: &ChannelName,
        announced: &WrittenPointer,
        progress: &Progress,
    ) -> Vec<RegionOutcome> {
        let follow = self.others.iter().map(|(region, store)| async move {
            let mut quiet = progress.quiet();
            let caught_up = catch_up(&self.home, store, channel, announced, false, &mut quiet);
            RegionOutcome { region: region.clone(), result: self.in_time(caught_up).await.map(drop) }
        });
        futures::future::join_all(follow).await
    }

    /// Brings every region to where the home store is: objects, manifest, pointer, for every channel.
    ///
    /// # Errors
    /// When the home store fails. Regions that fail are in what is returned.
    pub async fn sync(&self, dry_run: bool, progress: &mut Progress) -> Result<Vec<SyncedChannel>> {
        let mut synced = Vec::new();
        for channel in self.home.list_channels().await? {
            let Some(read) = channels::read(&self.home, &channel).await? else { continue };
            let announced = read.written();
            for (region, store) in &self.others {
                let caught_up = catch_up(&self.home, store, &channel, &announced, dry_run, progress);
                let result = self.in_time(caught_up).await;
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
    announced: &WrittenPointer,
    dry_run: bool,
    progress: &mut Progress,
) -> Result<u64> {
    // What is copied is signed as it is at home, whoever has a key here: nobody may have verified it.
    let store = &store.clone().signing(None);
    let (there, _) = copy_there(store, channel).await?;
    let pointer = announced.pointer();
    let behind = pointer.sequence.saturating_sub(there.as_ref().map_or(0, |there| there.sequence));
    if behind > 0 && !dry_run {
        let manifest = home.get_manifest(&pointer.snapshot).await?;
        let live = there.as_ref().map(|there| &there.snapshot);
        let brought = bring::bring(home, store, &manifest, live, None, progress).await?;
        let copied = match brought.ensure_held() {
            Ok(()) => copy_pointer(store, channel, announced).await,
            Err(error) => Err(error),
        };
        brought.let_go(progress).await;
        copied?;
    }
    Ok(behind)
}

/// A region's copy of a pointer, and the version of what stands there. A copy that cannot be read is as good as none: home
/// knows what it is to be.
///
/// # Errors
/// When the store fails.
pub(crate) async fn copy_there(
    store: &Store,
    channel: &ChannelName,
) -> Result<(Option<Pointer>, Option<PointerVersion>), Error> {
    match store.pointer(channel).await {
        Ok(None) => Ok((None, None)),
        Ok(Some(read)) => {
            let version = read.version().clone();
            Ok((Some(read.pointer), Some(version)))
        }
        Err(error) if is_damage(&error) => Ok((None, store.unreadable_pointer(channel).await?)),
        Err(error) => Err(error),
    }
}

/// Moves a region's copy of a pointer, unless it is there or further already.
///
/// # Errors
/// When the store fails, or says something else by the same sequence.
pub async fn copy_pointer(store: &Store, channel: &ChannelName, announced: &WrittenPointer) -> Result<()> {
    let pointer = announced.pointer();
    for _ in 0..MAX_TRIES {
        let (there, version) = copy_there(store, channel).await?;
        if let Some(there) = there.filter(|there| there.sequence >= pointer.sequence) {
            ensure!(
                there.sequence > pointer.sequence || there.snapshot == pointer.snapshot,
                "sequence {} is {} there and {} at home: the two stores were written apart",
                pointer.sequence,
                there.snapshot,
                pointer.snapshot
            );
            return Ok(());
        }
        match store.put_pointer(channel, version.as_ref(), announced).await {
            Err(Error::Conflict { .. }) => {}
            moved => return Ok(moved?),
        }
    }
    bail!("channel '{channel}' is moved by others all the time")
}
