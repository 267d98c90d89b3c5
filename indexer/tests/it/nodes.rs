//! Nodes that follow a store's pointers, as edges do, and tell what a test has them tell.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use jiff::Timestamp;
use snapshots::{
    ChannelName, Followed, MarketStatus, NodeStatus, Pointer, RegionName, ServedStatus, StatusBoard, Store, Times,
    Traffic,
};

pub struct Nodes {
    pub store: Store,
    pub board: StatusBoard,
    /// The region and the name of each.
    pub names: Vec<(&'static str, &'static str)>,
    /// A region that is pinned to what is live.
    pub pinned: Option<&'static str>,
    pub started_at: Timestamp,
    pub fault: Option<String>,
    /// Whether those that try a canary tell so once, and nothing from then on.
    pub fall_silent: bool,
    pub have_told: Cell<bool>,
    /// What a node is asked in a moment that follows the channel, and in all one that follows a canary.
    pub traffic: [Traffic; 2],
    pub moments: Cell<u64>,
}

impl Nodes {
    /// Three that follow the store in a folder.
    pub fn of(path: &Path) -> Self {
        Self {
            store: Store::directory(&path.join("store")).expect("a store"),
            board: StatusBoard::new(Store::directory(&path.join("status")).expect("a store")),
            names: vec![("local", "n1"), ("local", "n2"), ("local", "n3")],
            pinned: None,
            started_at: Timestamp::now(),
            fault: None,
            fall_silent: false,
            have_told: Cell::new(false),
            traffic: Default::default(),
            moments: Cell::new(0),
        }
    }

    /// Runs something while they follow the store, once each of them has told so.
    pub fn beside<T>(self, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        let (first, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let telling = scope.spawn({
                let done = &done;
                move || self.tell_until(done, &first)
            });
            told.recv().expect("the nodes tell");
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            done.store(true, Ordering::Relaxed);
            telling.join().expect("the nodes end");
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `first` hears of the first time that all have told.
    fn tell_until(self, done: &AtomicBool, first: &Sender<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            while !done.load(Ordering::Relaxed) {
                self.moments.set(self.moments.get() + 1);
                for (region, name) in &self.names {
                    self.tell(region.parse().expect("a name"), name).await;
                }
                // Whoever waited has heard of it by the second time.
                let _ = first.send(());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }

    async fn tell(&self, region: RegionName, name: &str) {
        let grown = |traffic: Traffic| Traffic {
            requests: traffic.requests * self.moments.get(),
            searches: traffic.searches * self.moments.get(),
            empty: traffic.empty * self.moments.get(),
            ..traffic
        };
        let canary = self.store.pointer(&ChannelName::canary()).await.expect("a pointer");
        let followed = if self.pinned == Some(region.as_str()) { Followed::Pin } else { Followed::Channel };
        let canary = canary
            .map(|read| read.pointer)
            .filter(|pointer| followed != Followed::Pin && pointer.is_canary_of(Some(&region), name, Timestamp::now()));
        if canary.is_some() && self.fall_silent && self.have_told.replace(true) {
            return;
        }
        let live = self.store.pointer(&ChannelName::live()).await.expect("a pointer").map(|read| read.pointer);
        let served = |pointer: Pointer, followed, traffic| ServedStatus {
            catalogue: "shop".into(),
            snapshot: pointer.snapshot,
            sequence: pointer.sequence,
            followed,
            since: self.started_at,
            traffic,
            times_us: Times::default(),
        };
        let served = match (&self.fault, canary, live) {
            (Some(_), ..) => None,
            (None, Some(canary), _) => Some(served(canary, Followed::Canary, self.traffic[1])),
            (None, None, live) => live.map(|live| served(live, followed, grown(self.traffic[0]))),
        };
        let market = MarketStatus {
            market: "us".into(),
            channel: "live".into(),
            served,
            fault: self.fault.clone(),
            contact_age_s: Some(0),
        };
        let status = NodeStatus {
            node: name.into(),
            region,
            version: "1".into(),
            started_at: self.started_at,
            reported_at: Timestamp::now(),
            draining: false,
            markets: vec![market],
        };
        self.board.write(&status).await.expect("a status");
    }
}

/// Runs something while nodes follow the store, once each of them has told so.
pub fn beside_nodes<T>(path: &Path, fault: Option<&str>, traffic: [Traffic; 2], work: impl FnOnce() -> T) -> T {
    Nodes { fault: fault.map(str::to_owned), traffic, ..Nodes::of(path) }.beside(work)
}
