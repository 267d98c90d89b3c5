//! The stores of all regions: pointers move in the home store first, and are copied from there as they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use snapshots::{
    ChannelName, Error, Hint, HintError, Hints, Pointer, PointerVersion, ReadPointer, RegionName, Store, WrittenPointer,
};

use crate::bring::Brought;
use crate::checks::is_damage;
use crate::progress::Progress;
use crate::{bring, canary, channels};

/// A copy is tried so often when others move the same pointer meanwhile.
const MAX_TRIES: u32 = 5;
/// Enough for anything to be done in a region that is well; what is large may take longer.
pub const DEFAULT_TIMEOUT_S: u64 = 600;
/// The home store is waited for: without it nothing is published anywhere.
pub(crate) const NO_TIMEOUT: Duration = Duration::MAX;
/// What follows a source does without a region for so long at the least once it was given up on, or was slow to fail.
const LEFT_OUT: Duration = Duration::from_secs(300);
/// What fails sooner keeps nobody waiting.
const SLOW_TO_FAIL: Duration = Duration::from_secs(10);

/// A region took longer over one thing than it may.
#[derive(Debug, thiserror::Error)]
#[error("it is slow, and was given up on after {} s (--region-timeout-s)", .0.as_secs())]
pub(crate) struct TooSlow(Duration);

/// A region's copy of a pointer is further than what it is a copy of. No edge of that region follows anything before home is
/// past that.
#[derive(Debug, thiserror::Error)]
#[error(
    "it is AHEAD, at sequence {there} where home is at {home}: the two were written apart, or home was restored. \
     'indexer rollback --channel {channel} --to ID --sequence {}' or a higher one gets home past it", .there.saturating_add(1)
)]
pub(crate) struct Ahead {
    channel: ChannelName,
    there: u64,
    home: u64,
}

/// The home store, and those of other regions that are kept like it.
#[derive(Clone, Debug)]
pub struct Regions {
    pub home: Store,
    pub others: Vec<(RegionName, Store)>,
    /// How edges are told at once; without it they see it at their next poll.
    pub hints: Option<Hints>,
    /// How long a region may take over one thing, and a second more for each MiB that it is brought. Then it is given up on, as
    /// one that is down.
    pub timeout: Duration,
    /// Until when regions are left out. Clones share it.
    pub(crate) given_up: Arc<Mutex<HashMap<RegionName, Instant>>>,
}

/// What became of a region that was to be brought up.
struct CaughtUp {
    /// How many sequences it was behind.
    behind: u64,
    /// Why its edges were not told.
    untold: Option<HintError>,
}

/// How a region fared. What is down or slow is caught up later, and keeps nobody waiting.
#[derive(Debug)]
pub struct RegionOutcome {
    pub region: RegionName,
    pub result: Result<()>,
}

impl Regions {
    pub fn of(home: Store) -> Self {
        let timeout = Duration::from_secs(DEFAULT_TIMEOUT_S);
        Self { home, others: Vec::new(), hints: None, timeout, given_up: Arc::default() }
    }

    /// Has a region do something, which ends after some time, whatever comes of it.
    pub(crate) async fn in_time<T, E: Into<anyhow::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T> {
        in_time(self.timeout, work).await
    }

    /// Has a region do something, and leaves it out from then on where it was given up on or was slow to fail.
    pub(crate) async fn or_leave_out<T>(
        &self,
        region: &RegionName,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        let done = work.await;
        if let Err(error) = &done {
            self.leave_out(region, error, began.elapsed());
        }
        done
    }

    /// A store gives up on what stands still by itself, long before the time that a whole snapshot may take. For twice as long
    /// as all waited: whoever publishes without a pause spends a third of the time on it at the most.
    fn leave_out(&self, region: &RegionName, error: &anyhow::Error, took: Duration) {
        if error.is::<TooSlow>() || took > SLOW_TO_FAIL {
            let until = Instant::now() + LEFT_OUT.max(2 * took);
            self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(region.clone(), until);
        }
    }

    /// That a region was not given up on a few minutes ago. Whoever publishes every few seconds would wait for it each time,
    /// and all others with them.
    ///
    /// # Errors
    /// When it was.
    pub(crate) fn ensure_not_left_out(&self, region: &RegionName) -> Result<()> {
        let given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        let until = given_up.get(region).copied();
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        ensure!(left.is_zero(), "it is slow, and is left out for {} minutes", left.as_secs().div_ceil(60).max(1));
        Ok(())
    }

    /// Tells the edges that a channel, or a pin of its region, has moved. That they are not told is no failure.
    pub async fn tell(&self, channel: &ChannelName, sequence: Option<u64>, progress: &Progress) {
        if let Err(error) = self.hint(channel, sequence).await {
            note_untold(&error, progress);
        }
    }

    /// Tells the edges of a region that followed, which found nothing new when they were told of the announcement at home. That
    /// they cannot be told was said then.
    pub(crate) async fn tell_followed(&self, channel: &ChannelName, announced: &WrittenPointer) {
        let _ = self.hint(channel, Some(announced.pointer().sequence)).await;
    }

    async fn hint(&self, channel: &ChannelName, sequence: Option<u64>) -> Result<(), HintError> {
        let Some(hints) = &self.hints else { return Ok(()) };
        // Whoever follows a canary listens for the live channel, whose sequence is another.
        let (channel, sequence) = match *channel == ChannelName::canary() {
            true => (ChannelName::live(), None),
            false => (channel.clone(), sequence),
        };
        hints.announce(&Hint { catalogue: None, channel, sequence }).await
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
            let caught_up = self.catch_up(store, channel, announced, false, &mut quiet).await;
            RegionOutcome { region: region.clone(), result: caught_up.map(drop) }
        });
        futures::future::join_all(follow).await
    }

    /// As [`Regions::follow`], but for the regions that are left out, which fail.
    pub(crate) async fn follow_again(
        &self,
        channel: &ChannelName,
        announced: &WrittenPointer,
        progress: &Progress,
    ) -> Vec<RegionOutcome> {
        let follow = self.others.iter().map(|(region, store)| async move {
            let mut quiet = progress.quiet();
            let result = match self.ensure_not_left_out(region) {
                Ok(()) => {
                    let caught_up = self.catch_up(store, channel, announced, false, &mut quiet);
                    self.or_leave_out(region, caught_up).await.map(drop)
                }
                Err(error) => Err(error),
            };
            RegionOutcome { region: region.clone(), result }
        });
        futures::future::join_all(follow).await
    }

    /// Brings every region to where the home store is: objects, manifest, pointer, for every channel.
    ///
    /// # Errors
    /// When the home store fails. Regions that fail are in what is returned, and so are channels that cannot be read, where
    /// there is a region.
    pub async fn sync(&self, dry_run: bool, progress: &mut Progress) -> Result<Vec<SyncedChannel>> {
        let (mut synced, mut is_noted) = (Vec::new(), false);
        for channel in self.home.list_channels().await? {
            let announced = match self.at_home(&channel).await {
                Ok(Some(read)) => Ok(read.written()),
                Ok(None) => continue,
                // The other channels can be brought up all the same.
                Err(error) if !self.others.is_empty() && is_of_channel(&error) => Err(format!("{error:#}")),
                Err(error) => return Err(error),
            };
            for (region, store) in &self.others {
                let caught_up = match &announced {
                    Ok(announced) => self.catch_up(store, &channel, announced, dry_run, progress).await,
                    Err(fault) => Err(anyhow::anyhow!("{fault}")),
                };
                // Nothing was announced at home, which would have said so.
                if let Ok(CaughtUp { untold: Some(error), .. }) = &caught_up
                    && !is_noted
                {
                    note_untold(error, progress);
                    is_noted = true;
                }
                let result = caught_up.map(|caught_up| caught_up.behind);
                synced.push(SyncedChannel { region: region.clone(), channel: channel.clone(), result });
            }
        }
        Ok(synced)
    }

    /// What a channel points at. A canary's pointer is read whoever has signed it: see [`canary::last`].
    async fn at_home(&self, channel: &ChannelName) -> Result<Option<ReadPointer>> {
        match *channel == ChannelName::canary() {
            true => canary::last(&self.home).await,
            false => channels::read(&self.home, channel).await,
        }
    }

    async fn catch_up(
        &self,
        store: &Store,
        channel: &ChannelName,
        announced: &WrittenPointer,
        dry_run: bool,
        progress: &mut Progress,
    ) -> Result<CaughtUp> {
        let pointer = announced.pointer();
        let is_over = *channel == ChannelName::canary() && !canary::is_under_way(pointer);
        // What is copied is signed as it is at home, whoever has a key here: nobody may have verified it.
        let (mut home, mut store) = (self.home.clone(), store.clone().signing(None));
        if is_over {
            (home, store) = (home.trusting(None), store.trusting(None));
        }
        let (home, store) = (&home, &store);
        let (there, _) = self.in_time(copy_there(store, channel)).await?;
        if let Some(there) = &there {
            ensure_copy(home, channel, there, pointer).await?;
        }
        let behind = pointer.sequence.saturating_sub(there.as_ref().map_or(0, |there| there.sequence));
        let mut untold = None;
        if behind > 0 && !dry_run {
            // No node opens what a canary was of that is over, and retention may have removed it.
            let brought = match is_over {
                true => None,
                false => {
                    let manifest = home.get_manifest(&pointer.snapshot).await?;
                    let live = there.as_ref().map(|there| &there.snapshot);
                    Some(bring::bring(home, store, &manifest, live, None, self.timeout, progress).await?)
                }
            };
            let copied = match brought.as_ref().map_or(Ok(()), Brought::ensure_held) {
                Ok(()) => self.in_time(copy_pointer(home, store, channel, announced)).await,
                Err(error) => Err(error),
            };
            if copied.is_ok() {
                untold = self.hint(channel, Some(pointer.sequence)).await.err();
            }
            if let Some(brought) = &brought {
                brought.let_go(progress).await;
            }
            copied?;
        }
        Ok(CaughtUp { behind, untold })
    }
}

/// Whether it is a channel that is at fault, and not the store.
fn is_of_channel(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(is_damage)
}

/// What was done for a channel in one region.
pub struct SyncedChannel {
    pub region: RegionName,
    pub channel: ChannelName,
    /// How many sequences it was behind, 0 where there was nothing to do.
    pub result: Result<u64>,
}

fn note_untold(error: &HintError, progress: &Progress) {
    progress.note(&format!("the edges were not told, and will see it at their next poll: {error}"));
}

/// Does something that ends after some time, whatever comes of it. What was begun may be left half done, as by a run that was
/// killed.
///
/// # Errors
/// [`TooSlow`] then; otherwise as what is done.
pub(crate) async fn in_time<T, E: Into<anyhow::Error>>(
    timeout: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(TooSlow(timeout).into()),
    }
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
/// When the store fails, says something else by the same sequence, or is ahead of home.
pub async fn copy_pointer(
    home: &Store,
    store: &Store,
    channel: &ChannelName,
    announced: &WrittenPointer,
) -> Result<()> {
    let pointer = announced.pointer();
    for _ in 0..MAX_TRIES {
        let (there, version) = copy_there(store, channel).await?;
        if let Some(there) = there.filter(|there| there.sequence >= pointer.sequence) {
            return ensure_copy(home, channel, &there, pointer).await;
        }
        match store.put_pointer(channel, version.as_ref(), announced).await {
            Err(Error::Conflict { .. }) => {}
            moved => return Ok(moved?),
        }
    }
    bail!("channel '{channel}' is moved by others all the time")
}

/// That what stands in a region was copied from home: it says the same by the same sequence, and is no further. What others
/// have announced meanwhile is.
async fn ensure_copy(home: &Store, channel: &ChannelName, there: &Pointer, announced: &Pointer) -> Result<()> {
    let sequence = announced.sequence;
    ensure!(
        there.sequence != sequence || there.snapshot == announced.snapshot,
        "sequence {sequence} is {} there and {} at home: the two stores were written apart",
        there.snapshot,
        announced.snapshot
    );
    if there.sequence > sequence {
        let newest = home.pointer(channel).await?.map_or(0, |read| read.pointer.sequence);
        let ahead = Ahead { channel: channel.clone(), there: there.sequence, home: newest };
        ensure!(there.sequence <= newest, ahead);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that stood still failed by itself after two minutes, each time, and was never left out.
    #[test]
    fn a_region_is_left_out_that_was_slow_to_fail() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let regions = Regions::of(Store::directory(folder.path()).expect("a store"));
        let check = |region: &str, error: anyhow::Error, took_s: u64, expected: Option<&str>| {
            let region: RegionName = region.parse().expect("a name");
            regions.leave_out(&region, &error, Duration::from_secs(took_s));
            let told = regions.ensure_not_left_out(&region).err().map(|error| error.to_string());
            assert_eq!(told.as_deref(), expected, "{region}");
        };
        let too_slow = || anyhow::Error::new(TooSlow(Duration::from_secs(1)));
        let refused = || anyhow::anyhow!("refused");
        check("down", refused(), 3, None);
        check("given-up", too_slow(), 1, Some("it is slow, and is left out for 5 minutes"));
        check("standing-still", refused(), 120, Some("it is slow, and is left out for 5 minutes"));
        check("slower", too_slow(), 600, Some("it is slow, and is left out for 20 minutes"));
    }
}
