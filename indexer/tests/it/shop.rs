//! A shop on Azurite whose inbox is watched while its segments are merged.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use snapshots::{ChannelName, Manifest, Pointer, Store};
use test_servers::{Azurite, Moment, Passing, Proxy, Settings};

use crate::collecting::block;
use crate::command::indexer;
use crate::updating::{answers, build, row};

pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PRODUCTS: usize = 40;

/// A store on Azurite with a first build, and an inbox whose first file changes so much that all should become one segment.
pub struct Shop {
    pub azurite: Azurite,
    folder: tempfile::TempDir,
    /// What the products should be by now.
    pub rows: BTreeMap<usize, String>,
    /// The first build.
    pub base: String,
    /// The object that the first merge comes to.
    pub merged: String,
}

/// Keeps the merged segment from being uploaded while it is closed.
pub struct Gate {
    pub endpoint: String,
    pub reached: Receiver<()>,
    pub closed: Sender<()>,
}

/// A change of one product: its new title, or none where it is deleted.
pub type Change = (usize, Option<String>);

impl Shop {
    pub fn new() -> Self {
        let mut shop = Self::of(PRODUCTS);
        shop.leave("0001.jsonl", (0..10).map(|id| (id, Some(format!("blue lamp {id}")))).collect());
        // The same products are the same segment, however it came to be.
        let fresh = build(shop.path(), "merged", &all(&shop.rows));
        shop.merged = answers(shop.path(), "merged", &fresh).0.segments[0].segment.to_string();
        shop
    }

    /// One of so many products, and an empty inbox.
    pub fn of(products: usize) -> Self {
        let (azurite, folder) = (Azurite::start(), tempfile::tempdir().expect("a temporary folder"));
        let rows: BTreeMap<usize, String> =
            (0..products).map(|id| (id, row(id, &format!("red lamp {id}"), 10))).collect();
        let base = build(folder.path(), "shop", &all(&rows));
        fs::create_dir(folder.path().join("inbox")).expect("a folder");
        let shop = Self { azurite, folder, rows, base, merged: String::new() };
        shop.run(&["publish", "--store", &shop.url(), "shop"]);
        shop
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self) -> String {
        self.azurite.url("shop")
    }

    pub fn store(&self) -> Store {
        Store::open(&self.url(), &self.azurite.settings()).expect("a store")
    }

    pub fn command(&self, args: &[&str], settings: Settings) -> Command {
        let mut command = indexer();
        command.current_dir(self.path()).arg("--json").args(args).envs(settings);
        command
    }

    /// Runs the indexer, and gives the last line of what it says.
    pub fn run(&self, args: &[&str]) -> Value {
        let output = self.command(args, self.azurite.settings()).output().expect("the indexer runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{args:?}: {text}");
        serde_json::from_str(text.lines().last().unwrap_or("null")).expect("JSON lines")
    }

    /// Leaves changes in the inbox, whole and under their name at once.
    pub fn leave(&mut self, name: &str, changes: Vec<Change>) {
        let mut lines = String::new();
        for (id, title) in changes {
            match title {
                Some(title) => {
                    lines += &row(id, &title, 10);
                    self.rows.insert(id, row(id, &title, 10));
                }
                None => {
                    lines += &format!("{{\"delete\": \"p{id}\"}}\n");
                    self.rows.remove(&id);
                }
            }
        }
        let inbox = self.path().join("inbox");
        fs::write(inbox.join(".unfinished"), lines).expect("rows");
        fs::rename(inbox.join(".unfinished"), inbox.join(name)).expect("its name");
    }

    pub fn live(&self) -> (Pointer, Manifest) {
        let store = self.store();
        block(async {
            let live = store.pointer(&ChannelName::live()).await.expect("a pointer").expect("a live channel").pointer;
            let manifest = store.get_manifest(&live.snapshot).await.expect("its manifest");
            (live, manifest)
        })
    }

    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Manifest) -> bool) -> Manifest {
        let started = Instant::now();
        loop {
            let (_, manifest) = self.live();
            if is_so(&manifest) {
                return manifest;
            }
            assert!(started.elapsed() < PATIENCE, "{what}: {manifest:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the changes of a file are live.
    pub fn wait_for_file(&self, name: &str) -> Manifest {
        let mark = format!("files:{name}");
        self.wait_until(name, |manifest| manifest.source_watermark.as_deref() == Some(mark.as_str()))
    }

    pub fn gate(&self) -> Gate {
        let ((reach, reached), (closed, wait)) = (channel(), channel::<()>());
        let (object, wait) = (format!("/objects/{}", self.merged), Mutex::new(wait));
        let proxy = Proxy::start(self.azurite.address(), move |passing: &Passing| {
            let is_upload = passing.line.starts_with("PUT") && passing.line.contains(&object);
            if is_upload && passing.moment == Moment::Before {
                // A test that is over listens no more.
                let _ = reach.send(());
                // Nothing is ever sent: the wait ends when the other side is dropped.
                let _ = wait.lock().expect("the gate").recv();
            }
            true
        });
        let endpoint = format!("http://{}{}", proxy.address, self.azurite.account_path());
        Gate { endpoint, reached, closed }
    }

    pub fn watch(&self, settings: Settings) -> Watching {
        let url = self.url();
        let args = ["watch", "--store", &url, "--out", "updates", "--inbox", "inbox", "--every-s", "1"];
        Watching::start(&mut self.command(&args, settings))
    }

    /// A watch whose merge has come to the closed gate.
    pub fn watch_merging(&self) -> (Watching, Gate) {
        let gate = self.gate();
        let watching = self.watch(self.azurite.settings_through(&gate.endpoint));
        gate.reached.recv_timeout(PATIENCE).expect("the merge of the first update");
        assert_eq!(self.wait_for_file("0001.jsonl").segments.len(), 2, "the update is live");
        (watching, gate)
    }
}

pub fn all(rows: &BTreeMap<usize, String>) -> Vec<String> {
    rows.values().cloned().collect()
}

/// A watch that runs, and what it says.
pub struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the indexer runs");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (to, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { child, lines }
    }

    /// Waits for a line with a text in it.
    pub fn says(&self, what: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it does not say '{what}'"));
            if line.contains(what) {
                return line;
            }
        }
    }

    pub fn merged(&self) -> Value {
        serde_json::from_str(&self.says("\"event\":\"merged\"")).expect("JSON")
    }

    /// Ends it as whoever runs it would.
    pub fn terminate(&mut self) -> ExitStatus {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("an answer") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
