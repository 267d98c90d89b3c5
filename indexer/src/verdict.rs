//! How the nodes that try a canary fare beside the others.

use serde::Serialize;
use snapshots::{Followed, SnapshotId, Times, Traffic};

use crate::nodes::NodeView;

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

/// Whether a node follows its channel, and could try something.
pub(crate) fn is_free(node: &NodeView) -> bool {
    node.market.served.as_ref().is_some_and(|served| served.followed == Followed::Channel)
}

/// Whether a node tries a snapshot.
pub(crate) fn tries(node: &NodeView, snapshot: &SnapshotId) -> bool {
    let served = node.market.served.as_ref();
    served.is_some_and(|served| served.snapshot == *snapshot && served.followed == Followed::Canary)
}

/// Compares those that were chosen to try a snapshot with the others, since all were heard of `before`. Its faults so far are
/// those of the chosen that are lost.
pub(crate) fn compare(chosen: &[String], snapshot: &SnapshotId, before: &[NodeView], now: &[NodeView]) -> Verdict {
    let (tried, rest): (Vec<&NodeView>, Vec<&NodeView>) =
        now.iter().partition(|node| chosen.contains(&node.full_name()));
    let faults = chosen.iter().filter_map(|name| lost(name, snapshot, before, &tried)).collect();
    let canary = sum(tried.iter().filter(|node| tries(node, snapshot)).map(|node| tried_since(node, before)));
    let others = sum(rest.iter().filter(|node| is_free(node)).map(|node| counted_since(node, before)));
    Verdict { nodes: chosen.to_vec(), canary, others, faults }
}

/// Why a node says nothing of what it was to try: with the process that died went what it had counted.
fn lost(name: &str, snapshot: &SnapshotId, before: &[NodeView], tried: &[&NodeView]) -> Option<String> {
    if !tried.iter().any(|node| node.full_name() == name) {
        return Some(format!("node {name} is no longer heard of"));
    }
    let mut began = before.iter().filter(|node| node.full_name() == name && tries(node, snapshot));
    let is_lost = began.any(|earlier| !tried.iter().any(|node| is_same(earlier, node)));
    is_lost.then(|| format!("node {name} has begun anew, or serves something else by now"))
}

impl Verdict {
    /// With everything by which the canary is worse than the others.
    pub(crate) fn judged(mut self, min_requests: u64) -> Self {
        let worse = faults(&self, min_requests);
        self.faults.extend(worse);
        self
    }
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
pub(crate) fn has_failed(verdict: &Verdict, min_requests: u64) -> bool {
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
    use jiff::Timestamp;
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

    /// A node that died of what it tried, and was started again, counted as fine once it had answered enough.
    #[test]
    fn a_node_that_is_lost_is_a_fault_of_what_it_tried() {
        let trying = |name: &str, since_s: i64| {
            let mut node = node(("east", name, "us"), 500, &[]);
            let served = node.market.served.as_mut().expect("something served");
            (served.followed, served.since) = (Followed::Canary, Timestamp::from_second(since_s).expect("a time"));
            node
        };
        let (chosen, snapshot): (_, SnapshotId) = (["east/n1".to_owned()], "a".parse().expect("an id"));
        let following = |requests: u64| node(("east", "n1", "us"), requests, &[]);
        let before = [following(100), trying("n1", 7)];
        let check = |now: NodeView, expected: &[&str]| {
            assert_eq!(compare(&chosen, &snapshot, &before, &[now]).faults, expected);
        };
        check(trying("n1", 7), &[]);
        check(trying("n2", 7), &["node east/n1 is no longer heard of"]);
        check(trying("n1", 8), &["node east/n1 has begun anew, or serves something else by now"]);
        check(following(600), &["node east/n1 has begun anew, or serves something else by now"]);
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
