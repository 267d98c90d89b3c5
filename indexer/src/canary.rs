//! A canary: a few nodes try a snapshot while the rest go on as before, and are compared after a while.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde::Serialize;
use snapshots::{ChannelName, Followed, Manifest, Pointer, ReadPointer, StatusBoard, Store, Times, Traffic};

use crate::channels;
use crate::nodes::{NodeView, heard};
use crate::progress::Progress;
use crate::publish::announce;
use crate::regions::Regions;

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

/// How much worse than the others a canary may be: in hundredths of a percent of requests, and in hundredths of the time.
const MAX_MORE_ERRORS: u64 = 50;
const MAX_MORE_EMPTY: u64 = 500;
const MAX_P99_PERCENT: u64 = 150;
/// Two milliseconds are noise, whatever they are a multiple of.
const P99_NOISE_US: u64 = 2_000;

/// What came of a canary.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Those that tried it, each as `region/node`.
    pub nodes: Vec<String>,
    pub canary: Traffic,
    pub others: Traffic,
    /// Why it is withdrawn; none where it is promoted.
    pub faults: Vec<String>,
}

/// What came of a canary, and its pointer: where it is to be promoted, nodes follow that until it is taken back.
pub struct Tried {
    pub verdict: Verdict,
    pub pointer: Pointer,
}

/// A snapshot that is to be tried.
pub struct Canary<'a> {
    pub stores: &'a Regions,
    pub board: &'a StatusBoard,
    pub manifest: &'a Manifest,
    pub plan: CanaryPlan,
}

impl Canary<'_> {
    /// Lets a few nodes try the snapshot, whose objects are everywhere, and judges how they fare.
    ///
    /// # Errors
    /// When there is no node to try it, another canary is under way, or a store fails: then no node is left to try it.
    pub async fn run(&self, progress: &mut Progress) -> Result<Tried> {
        let chosen = self.choose().await?;
        let before = heard(self.board, &self.manifest.catalogue, "live").await?;
        let last = self.ended_one().await?;
        progress.begin("canary", "s", Some(self.plan.window.as_secs()));
        let pointer = self.pointer(last.as_ref(), &chosen);
        let judged = match self.point(last.as_ref(), &pointer, progress).await {
            Ok(()) => self.watch(&chosen, before, progress).await,
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
            && let Err(error) = withdraw(self.stores, Some(&pointer), Some(reason), progress).await
        {
            progress.note(&format!("the canary is not taken back, 'indexer withdraw' does that: {error:#}"));
        }
        Ok(Tried { verdict: judged?, pointer })
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
        let count = (names.len() * self.plan.percent as usize).div_ceil(100).clamp(1, names.len() - 1);
        Ok(names.into_iter().take(count).map(|(_, name)| name).collect())
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

    async fn point(&self, last: Option<&ReadPointer>, pointer: &Pointer, progress: &mut Progress) -> Result<()> {
        let channel = ChannelName::canary();
        let announced = announce(&self.stores.home, &channel, last.map(ReadPointer::version), pointer).await?;
        self.stores.tell(&channel, None, progress).await;
        for outcome in self.stores.follow(&channel, &announced, progress).await {
            outcome.result.with_context(|| format!("the canary in region {}", outcome.region))?;
        }
        Ok(())
    }

    async fn watch(&self, chosen: &[String], mut before: Vec<NodeView>, progress: &mut Progress) -> Result<Verdict> {
        before.extend(self.wait_until_tried(chosen).await?);
        let started = Instant::now();
        while started.elapsed() < self.plan.window {
            tokio::time::sleep(POLL.min(self.plan.window)).await;
            progress.at(started.elapsed().as_secs());
            let verdict = self.judge(chosen, &before).await?;
            // Errors speak early.
            if has_failed(&verdict, self.plan.min_requests) {
                return Ok(verdict);
            }
        }
        self.wait_for_reports().await?;
        self.judge(chosen, &before).await
    }

    /// Nodes tell how they fare every few seconds: what they told before the window ended is not all of it.
    async fn wait_for_reports(&self) -> Result<()> {
        let told = async || -> Result<Vec<(String, i64)>> {
            let nodes = heard(self.board, &self.manifest.catalogue, "live").await?;
            Ok(nodes.into_iter().map(|node| (node.node, node.told_at.as_millisecond())).collect())
        };
        let (before, started) = (told().await?, Instant::now());
        while started.elapsed() < REPORT_TIMEOUT {
            let now = told().await?;
            if now.iter().all(|node| !before.contains(node)) {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Those that try it, as they were first heard of when all did.
    async fn wait_until_tried(&self, chosen: &[String]) -> Result<Vec<NodeView>> {
        let started = Instant::now();
        loop {
            let mut nodes = heard(self.board, &self.manifest.catalogue, "live").await?;
            nodes.retain(|node| chosen.contains(&node.full_name()));
            let Some(late) = nodes.iter().find(|node| !self.is_tried_by(node)) else { return Ok(nodes) };
            if started.elapsed() > OPEN_TIMEOUT {
                let why = late.market.fault.as_deref().unwrap_or("it has not told why");
                bail!("node {} does not serve the canary: {why}", late.full_name());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn is_tried_by(&self, node: &NodeView) -> bool {
        let served = node.market.served.as_ref();
        served.is_some_and(|served| served.snapshot == self.manifest.id && served.followed == Followed::Canary)
    }

    async fn judge(&self, chosen: &[String], before: &[NodeView]) -> Result<Verdict> {
        let nodes = heard(self.board, &self.manifest.catalogue, "live").await?;
        let (tried, rest): (Vec<&NodeView>, Vec<&NodeView>) =
            nodes.iter().partition(|node| chosen.contains(&node.full_name()));
        let lost = chosen.iter().filter(|name| !tried.iter().any(|node| node.full_name() == **name));
        let lost: Vec<String> = lost.map(|name| format!("node {name} is no longer heard of")).collect();
        let canary = sum(tried.iter().filter(|node| self.is_tried_by(node)).map(|node| tried_since(node, before)));
        let others = sum(rest.iter().filter(|node| is_free(node)).map(|node| counted_since(node, before)));
        let mut verdict = Verdict { nodes: chosen.to_vec(), canary, others, faults: lost };
        verdict.faults.extend(faults(&verdict, self.plan.min_requests));
        Ok(verdict)
    }
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

fn is_free(node: &NodeView) -> bool {
    node.market.served.as_ref().is_some_and(|served| served.followed == Followed::Channel)
}

/// Whether these are the same counters, which begin anew with another snapshot. A node may have several markets of one
/// catalogue, and its name may be taken in another region, too.
fn is_same(earlier: &NodeView, now: &NodeView) -> bool {
    let since = |node: &NodeView| node.market.served.as_ref().map(|served| served.since);
    let is_of_market = earlier.node == now.node && earlier.market.market == now.market.market;
    is_of_market && earlier.region == now.region && since(earlier) == since(now)
}

/// What was counted of a node's market since it was heard of before; all where its counters began after that. Where it was
/// heard of more than once, the last time counts.
fn counted_since(node: &NodeView, before: &[NodeView]) -> (Traffic, Times) {
    let earlier = before.iter().rfind(|earlier| is_same(earlier, node));
    since(counted(node), earlier.map(counted))
}

/// What was counted of a node that tries a canary: all, but its times without those of its first answers, when nothing had
/// been read yet.
fn tried_since(node: &NodeView, before: &[NodeView]) -> (Traffic, Times) {
    let ((traffic, all), (_, times)) = (counted(node), counted_since(node, before));
    (traffic, if times.is_empty() { all } else { times })
}

fn counted(node: &NodeView) -> (Traffic, Times) {
    let served = node.market.served.as_ref();
    served.map(|served| (served.traffic, served.times_us.clone())).unwrap_or_default()
}

fn since((now, times): (Traffic, Times), earlier: Option<(Traffic, Times)>) -> (Traffic, Times) {
    let (earlier, earlier_times) = earlier.unwrap_or_default();
    let traffic = Traffic {
        requests: now.requests.saturating_sub(earlier.requests),
        errors: now.errors.saturating_sub(earlier.errors),
        searches: now.searches.saturating_sub(earlier.searches),
        empty: now.empty.saturating_sub(earlier.empty),
        p99_us: now.p99_us,
    };
    (traffic, times.since(&earlier_times))
}

/// Together. Where some node does not tell how long its requests took, the time is that of the slowest node, whenever it
/// was so slow.
fn sum(nodes: impl Iterator<Item = (Traffic, Times)>) -> Traffic {
    let (mut sum, mut all_times, mut all_tell) = (Traffic::default(), Times::default(), true);
    for (one, times) in nodes {
        sum.requests = sum.requests.saturating_add(one.requests);
        sum.errors = sum.errors.saturating_add(one.errors);
        sum.searches = sum.searches.saturating_add(one.searches);
        sum.empty = sum.empty.saturating_add(one.empty);
        sum.p99_us = sum.p99_us.max(one.p99_us);
        all_tell &= one.requests == 0 || !times.is_empty();
        all_times.merge(&times);
    }
    if all_tell {
        sum.p99_us = all_times.p99_us();
    }
    sum
}

/// Requests, and what failed, which is none of them.
fn answers(traffic: &Traffic) -> u64 {
    traffic.requests.saturating_add(traffic.errors)
}

/// Parts of ten thousand.
fn share(part: u64, all: u64) -> u64 {
    part.saturating_mul(10_000) / all.max(1)
}

fn has_more_errors(verdict: &Verdict) -> bool {
    let (canary, others) = (&verdict.canary, &verdict.others);
    let rate = |traffic: &Traffic| share(traffic.errors, answers(traffic));
    rate(canary) > rate(others).saturating_add(MAX_MORE_ERRORS)
}

/// Whether so much fails on the canary that nobody need wait for the end of its window. Where all does, nothing is a request.
fn has_failed(verdict: &Verdict, min_requests: u64) -> bool {
    answers(&verdict.canary) >= min_requests && has_more_errors(verdict)
}

/// Everything by which the canary is worse than the others.
fn faults(verdict: &Verdict, min_requests: u64) -> Vec<String> {
    let (canary, others) = (&verdict.canary, &verdict.others);
    let mut faults = Vec::new();
    for (name, traffic) in [("canary", canary), ("other", others)] {
        let count = answers(traffic);
        if count < min_requests {
            faults.push(format!("{name} nodes had {count} requests, and {min_requests} are needed to judge by"));
        }
    }
    if has_more_errors(verdict) {
        faults.push(format!("{} errors of the canary, {} of the others", canary.errors, others.errors));
    }
    let empty = |traffic: &Traffic| share(traffic.empty, traffic.searches);
    if empty(canary) > empty(others).saturating_add(MAX_MORE_EMPTY) {
        faults.push(format!(
            "{} of {} searches find nothing on the canary, {} of {} on the others",
            canary.empty, canary.searches, others.empty, others.searches
        ));
    }
    let most_us = (others.p99_us / 100).saturating_mul(MAX_P99_PERCENT).saturating_add(P99_NOISE_US);
    if canary.p99_us > most_us {
        faults.push(format!(
            "99 of 100 answers take {} us on the canary, {} us on the others",
            canary.p99_us, others.p99_us
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use snapshots::{MarketStatus, ServedStatus};

    use super::*;

    /// A market of a node that serves the same all the time.
    fn node((region, name, market): (&str, &str, &str), requests: u64, times: &[(u64, u64)]) -> NodeView {
        let served = ServedStatus {
            catalogue: "shop".into(),
            snapshot: "a".parse().expect("an id"),
            sequence: 1,
            followed: Followed::Channel,
            since: Timestamp::UNIX_EPOCH,
            traffic: Traffic { requests, ..Traffic::default() },
            times_us: times.iter().copied().collect(),
        };
        let (market, channel) = (market.into(), "live".into());
        NodeView {
            region: region.into(),
            node: name.into(),
            version: String::new(),
            silent_s: 0,
            told_at: Timestamp::UNIX_EPOCH,
            market: MarketStatus { market, channel, served: Some(served), fault: None, contact_age_s: None },
        }
    }

    /// What the first market of a node had counted before was taken off from all of its markets.
    #[test]
    fn each_market_of_each_node_is_compared_with_itself() {
        let markets = [("east", "n1", "us"), ("east", "n1", "eu"), ("west", "n1", "us"), ("east", "n2", "us")];
        let counts = [900, 10, 20, 30];
        let before: Vec<NodeView> = markets.into_iter().zip(counts).map(|(of, count)| node(of, count, &[])).collect();
        for (of, count) in markets.into_iter().zip(counts) {
            let (traffic, _) = counted_since(&node(of, count + 7, &[]), &before);
            assert_eq!(traffic.requests, 7, "{of:?}");
        }
        let (new, _) = counted_since(&node(("west", "n2", "us"), 5, &[]), &before);
        assert_eq!(new.requests, 5);
    }

    /// A node that has only just opened a snapshot is slower than those that it is compared with.
    #[test]
    fn a_canarys_first_answers_are_no_part_of_its_time() {
        let of = ("east", "n1", "us");
        let before = [node(of, 100, &[(70_000, 100)])];
        let sum_of = |now: NodeView| {
            let sum = sum([tried_since(&now, &before)].into_iter());
            (sum.requests, sum.p99_us)
        };
        assert_eq!(sum_of(node(of, 300, &[(900, 200), (70_000, 100)])), (300, 900));
        assert_eq!(sum_of(node(of, 300, &[(900, 100), (70_000, 200)])), (300, 70_000), "it is still slow");
        assert_eq!(sum_of(node(of, 100, &[(70_000, 100)])), (100, 70_000), "there were no others");
    }

    /// Numbers come from a store that others write to.
    #[test]
    fn no_number_is_too_large_to_be_judged() {
        const ALL: u64 = u64::MAX;
        let most = Traffic { requests: ALL, errors: ALL, searches: 1, empty: ALL, p99_us: ALL };
        let counted = || (most, Times::default());
        let both = sum([counted(), counted()].into_iter());
        assert_eq!((both.requests, both.errors, both.empty), (ALL, ALL, ALL));
        let (canary, others) = (both, Traffic { requests: 0, errors: ALL, ..most });
        let verdict = Verdict { nodes: Vec::new(), canary, others, faults: Vec::new() };
        assert_eq!(faults(&verdict, 100), [""; 0]);
    }

    #[test]
    fn a_canary_is_judged_by_errors_empty_answers_and_time() {
        let fine = Traffic { requests: 1_000, errors: 1, searches: 500, empty: 20, p99_us: 900 };
        let check = |canary: Traffic, others: Traffic, expected: &[&str]| {
            let verdict = Verdict { nodes: Vec::new(), canary, others, faults: Vec::new() };
            let found = faults(&verdict, 100);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            found.iter().zip(expected).for_each(|(fault, text)| assert!(fault.contains(text), "{fault}"));
        };
        check(fine, fine, &[]);
        check(Traffic { errors: 6, ..fine }, fine, &[]);
        check(Traffic { errors: 9, ..fine }, fine, &["9 errors"]);
        check(Traffic { empty: 44, ..fine }, fine, &[]);
        check(Traffic { empty: 51, ..fine }, fine, &["51 of 500 searches find nothing"]);
        check(Traffic { p99_us: 3_300, ..fine }, fine, &[]);
        check(Traffic { p99_us: 3_400, ..fine }, fine, &["99 of 100"]);
        check(Traffic { requests: 20, errors: 0, searches: 5, empty: 0, ..fine }, fine, &["canary nodes had 20"]);
        check(fine, Traffic::default(), &["other nodes had 0"]);
    }

    /// A canary whose every answer failed went on to the end of its window, since it had no requests.
    #[test]
    fn a_canary_that_fails_ends_early() {
        let fine = Traffic { requests: 1_000, errors: 1, searches: 500, empty: 20, p99_us: 900 };
        let check = |requests: u64, errors: u64, expected: bool| {
            let canary = Traffic { requests, errors, ..Traffic::default() };
            let verdict = Verdict { nodes: Vec::new(), canary, others: fine, faults: Vec::new() };
            assert_eq!(has_failed(&verdict, 200), expected, "{requests} requests, {errors} errors");
        };
        check(0, 500, true);
        check(150, 50, true);
        check(150, 49, false);
        check(0, 199, false);
        check(1_000, 6, false);
        check(1_000, 9, true);
    }

    /// The others were compared by the time that they took ever since they serve, cold caches and all.
    #[test]
    fn times_are_those_of_the_window() {
        let counted = |requests, p99_us, times: &[(u64, u64)]| {
            (Traffic { requests, p99_us, ..Traffic::default() }, times.iter().copied().collect::<Times>())
        };
        let before = counted(1_000, 70_000, &[(900, 500), (70_000, 500)]);
        let now = counted(2_000, 70_000, &[(900, 1_500), (70_000, 500)]);
        let window = since(now.clone(), Some(before));
        assert_eq!(sum([window.clone()].into_iter()), Traffic { requests: 1_000, p99_us: 900, ..Traffic::default() });
        assert_eq!(sum([now].into_iter()).p99_us, 70_000);
        let older = counted(10, 4_000, &[]);
        assert_eq!(sum([window.clone(), older].into_iter()).p99_us, 70_000, "one tells nothing of the window");
        assert_eq!(sum([window, counted(0, 0, &[])].into_iter()).p99_us, 900);
    }
}
