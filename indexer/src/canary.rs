//! A canary: a few nodes try a snapshot while the rest go on as before, and are compared after a while.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures::future::join_all;
use jiff::Timestamp;
use snapshots::{ChannelName, Manifest, Pointer, ReadPointer, RegionName, StatusBoard, Store, WrittenPointer};

use crate::channels;
use crate::nodes::{NodeView, heard};
use crate::progress::Progress;
use crate::publish::announce;
use crate::regions::{Regions, copy_pointer};
use crate::verdict::{Verdict, compare, has_failed, is_free, tries};

const POLL: Duration = Duration::from_millis(500);
/// How long the chosen nodes may take to open what they are to try.
const OPEN_TIMEOUT: Duration = Duration::from_secs(120);
/// How long nodes may take to tell how they fared.
const REPORT_TIMEOUT: Duration = Duration::from_secs(15);
/// Nodes stop by themselves this long after the window, should this process die.
const LEFT_ALONE: Duration = Duration::from_secs(15 * 60);
/// What a store answers can be a page; a pointer must stay small.
const MAX_REASON_CHARACTERS: usize = 1_000;

/// How a canary is tried, and by what it is judged.
#[derive(Clone, Copy, Debug)]
pub struct CanaryPlan {
    /// Of a hundred nodes so many try it, and one at the least.
    pub percent: u32,
    pub window: Duration,
    /// Fewer requests say nothing, and it is withdrawn.
    pub min_requests: u64,
}

/// What came of a canary, and its pointer: where it is to be promoted, nodes follow that until it is taken back from the stores.
pub struct Tried {
    pub verdict: Verdict,
    pub pointer: Pointer,
    pub stores: Regions,
}

/// A snapshot that is to be tried.
pub struct Canary<'a> {
    /// The stores that have it, and keep it until this is over.
    pub stores: Regions,
    /// The regions that could not be brought it: none of their nodes tries it, and nobody waits for them once more.
    pub away: Vec<RegionName>,
    pub board: &'a StatusBoard,
    pub manifest: &'a Manifest,
    pub plan: CanaryPlan,
}

impl Canary<'_> {
    /// Lets a few nodes try the snapshot, and judges how they fare.
    ///
    /// # Errors
    /// When there is no node to try it, another canary is under way, or the home store or the nodes' fails: then no node is left
    /// to try it.
    pub async fn run(self, progress: &mut Progress) -> Result<Tried> {
        let chosen = self.choose().await?;
        let before = heard(self.board, &self.manifest.catalogue, "live").await?;
        let last = self.ended_one().await?;
        progress.begin("canary", "s", Some(self.plan.window.as_secs()));
        let pointer = self.pointer(last.as_ref(), &chosen);
        let judged = match self.point(last.as_ref(), &pointer, progress).await {
            Ok(told) => self.watch(&told, before, progress).await,
            Err(error) => Err(error),
        };
        progress.end();
        let withdrawn = match &judged {
            Ok(verdict) => verdict.faults.first().cloned(),
            Err(error) => Some(format!("{error:#}")),
        };
        // Also where it is to be promoted: by then the channel says the same, and a canary is no longer needed. It ends
        // only after that, so that no node goes back in between.
        if let Some(reason) = withdrawn
            && let Err(error) = withdraw(&self.stores, Some(&pointer), Some(reason), progress).await
        {
            progress.note(&format!("the canary is not taken back, 'indexer withdraw' does that: {error:#}"));
        }
        Ok(Tried { verdict: judged?, pointer, stores: self.stores })
    }

    /// A share of the nodes that follow the channel: spread by a hash, so that it is not always the same ones.
    async fn choose(&self) -> Result<Vec<String>> {
        let nodes = heard(self.board, &self.manifest.catalogue, "live").await?;
        let mut names: Vec<(u64, String)> = nodes
            .iter()
            .filter(|node| is_free(node))
            .map(NodeView::full_name)
            .map(|name| (snapshots::id_hash(&format!("{}{name}", self.manifest.id)), name))
            .collect();
        names.sort_unstable();
        names.dedup();
        ensure!(
            names.len() > 1,
            "{} nodes follow the live channel and were heard of in the last minute: a canary needs one to try it and one to \
             compare with",
            names.len()
        );
        let names = names.into_iter().map(|(_, name)| name).collect();
        let chosen = share(names, &self.away, self.plan.percent);
        ensure!(!chosen.is_empty(), "no node can try it: all are in regions that cannot be brought the snapshot");
        Ok(chosen)
    }

    /// The canary before this one, which must be over.
    async fn ended_one(&self) -> Result<Option<ReadPointer>> {
        let last = last(&self.stores.home).await?;
        if let Some(last) = last.as_ref().filter(|last| is_under_way(&last.pointer)) {
            bail!("a canary of {} is under way: wait for its end, or 'indexer withdraw' it", last.pointer.snapshot);
        }
        Ok(last)
    }

    fn pointer(&self, last: Option<&ReadPointer>, chosen: &[String]) -> Pointer {
        let pointer = Pointer::after(last.map(|last| &last.pointer), self.manifest.id.clone());
        let mut pointer = pointer.of_catalogue(&self.manifest.catalogue);
        pointer.nodes = chosen.to_vec();
        pointer.until = Some(Timestamp::now() + self.plan.window + OPEN_TIMEOUT + LEFT_ALONE);
        pointer
    }

    /// Announces it, and gives the nodes whose stores say so. Those of a region that went away meanwhile have no part in it. What
    /// it points at is there and held: the pointer alone is copied.
    async fn point(&self, last: Option<&ReadPointer>, pointer: &Pointer, progress: &Progress) -> Result<Vec<String>> {
        let channel = ChannelName::canary();
        let announced = announce(&self.stores.home, &channel, last.map(ReadPointer::version), pointer).await?;
        self.stores.tell(&channel, None, progress).await;
        let copies = self.stores.others.iter().map(|(region, store)| {
            let copy = self.copy(store, &channel, &announced);
            async move { (region, copy.await) }
        });
        let mut told = pointer.nodes.clone();
        for (region, copied) in join_all(copies).await {
            let Err(error) = copied else { continue };
            let error = error.context(format!("the canary in region {region}"));
            told.retain(|name| !is_in(name, region));
            if told.is_empty() {
                return Err(error);
            }
            progress.note(&format!("only nodes of other regions try it: {error:#}"));
        }
        Ok(told)
    }

    async fn copy(&self, store: &Store, channel: &ChannelName, announced: &WrittenPointer) -> Result<()> {
        self.stores.in_time(copy_pointer(&self.stores.home, store, channel, announced)).await?;
        self.stores.tell_followed(channel, announced).await;
        Ok(())
    }

    async fn watch(&self, chosen: &[String], mut before: Vec<NodeView>, progress: &mut Progress) -> Result<Verdict> {
        before.extend(self.wait_until_tried(chosen).await?);
        let started = Instant::now();
        while started.elapsed() < self.plan.window {
            tokio::time::sleep(POLL.min(self.plan.window)).await;
            progress.at(started.elapsed().as_secs());
            let verdict = self.compare(chosen, &before).await?;
            // Errors speak early, and so does who has died.
            if !verdict.faults.is_empty() || has_failed(&verdict, self.plan.min_requests) {
                return Ok(verdict.judged(self.plan.min_requests));
            }
        }
        let silent = self.wait_for_reports(chosen).await?;
        let mut verdict = self.compare(chosen, &before).await?;
        verdict.faults.extend(silent.iter().map(|name| format!("node {name} has told nothing since the window ended")));
        Ok(verdict.judged(self.plan.min_requests))
    }

    /// Nodes tell how they fare every few seconds: what they told before the window ended is not all of it. Gives the chosen
    /// ones that tell nothing more.
    async fn wait_for_reports(&self, chosen: &[String]) -> Result<Vec<String>> {
        let told = async || -> Result<BTreeSet<(String, Timestamp)>> {
            let nodes = heard(self.board, &self.manifest.catalogue, "live").await?;
            Ok(nodes.iter().map(|node| (node.full_name(), node.told_at)).collect())
        };
        let (before, started) = (told().await?, Instant::now());
        loop {
            let now = told().await?;
            if now.is_disjoint(&before) || started.elapsed() > REPORT_TIMEOUT {
                let silent = now.intersection(&before).map(|(name, _)| name).filter(|name| chosen.contains(name));
                return Ok(silent.cloned().collect());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Those that try it, as they were first heard of when all did.
    async fn wait_until_tried(&self, chosen: &[String]) -> Result<Vec<NodeView>> {
        let started = Instant::now();
        loop {
            let mut nodes = heard(self.board, &self.manifest.catalogue, "live").await?;
            nodes.retain(|node| chosen.contains(&node.full_name()));
            let Some(late) = nodes.iter().find(|node| !tries(node, &self.manifest.id)) else { return Ok(nodes) };
            if started.elapsed() > OPEN_TIMEOUT {
                let why = late.market.fault.as_deref().unwrap_or("it has not told why");
                bail!("node {} does not serve the canary: {why}", late.full_name());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn compare(&self, chosen: &[String], before: &[NodeView]) -> Result<Verdict> {
        let nodes = heard(self.board, &self.manifest.catalogue, "live").await?;
        Ok(compare(chosen, &self.manifest.id, before, &nodes))
    }
}

/// So many of a hundred nodes whose regions have the snapshot, and one at the least. Of several one goes on as before: what
/// serves a region must not hang on a snapshot that is only tried.
fn share(mut names: Vec<String>, away: &[RegionName], percent: u32) -> Vec<String> {
    names.retain(|name| !away.iter().any(|region| is_in(name, region)));
    let count = (names.len() * percent as usize).div_ceil(100);
    names.truncate(count.clamp(1, names.len().saturating_sub(1).max(1)));
    names
}

/// Whether a node, by its full name, stands in a region.
fn is_in(name: &str, region: &RegionName) -> bool {
    name.split_once('/').is_some_and(|(its_region, _)| its_region == region.as_str())
}

/// Takes a canary back, if one is under way: the one that is meant, or any. Returns whether it was.
///
/// # Errors
/// When the home store fails.
pub async fn withdraw(
    stores: &Regions,
    meant: Option<&Pointer>,
    reason: Option<String>,
    progress: &Progress,
) -> Result<bool> {
    let channel = ChannelName::canary();
    let Some(before) = last(&stores.home).await? else { return Ok(false) };
    // By now it may be another publisher's.
    if before.pointer.nodes.is_empty() || meant.is_some_and(|meant| *meant != before.pointer) {
        return Ok(false);
    }
    let mut pointer = channels::staying(&stores.home, &before.pointer).await?;
    pointer.reason = reason.map(|reason| reason.chars().take(MAX_REASON_CHARACTERS).collect());
    let announced = announce(&stores.home, &channel, Some(before.version()), &pointer).await?;
    stores.tell(&channel, None, progress).await;
    for outcome in stores.follow(&channel, &announced, progress).await {
        if let Err(error) = outcome.result {
            progress.note(&format!("region {} keeps the canary until it ends by itself: {error:#}", outcome.region));
        }
    }
    Ok(true)
}

/// What stands on the canary channel of a store, whoever has signed it. After keys were changed, what is left of the last
/// canary is signed with the old one, and all that is announced there must come after it.
///
/// # Errors
/// When the store fails, or the pointer is damaged.
pub(crate) async fn last(store: &Store) -> Result<Option<ReadPointer>> {
    channels::read(&store.clone().trusting(None), &ChannelName::canary()).await
}

/// Whether nodes follow this canary now.
pub fn is_under_way(pointer: &Pointer) -> bool {
    !pointer.nodes.is_empty() && pointer.until.is_none_or(|until| Timestamp::now() < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share was one of all nodes, and all nodes of the regions that were well came to try it.
    #[test]
    fn nodes_of_a_region_that_is_away_count_for_nothing() {
        let away: Vec<RegionName> = vec!["east".parse().expect("a name")];
        let check = |west: usize, east: usize, percent: u32, expected: usize| {
            let names = |region: &str, count: usize| (0..count).map(|n| format!("{region}/n{n}")).collect::<Vec<_>>();
            let chosen = share([names("west", west), names("east", east)].concat(), &away, percent);
            assert!(chosen.iter().all(|name| name.starts_with("west/")), "{chosen:?}");
            assert_eq!(chosen.len(), expected, "{percent}% of {west}, and {east} away");
        };
        check(10, 10, 50, 5);
        check(10, 10, 99, 9);
        check(10, 0, 5, 1);
        check(2, 10, 99, 1);
        check(1, 2, 99, 1);
        check(0, 2, 99, 0);
    }
}
