//! Shops that benches make with the indexer's own commands, and publish to stores of their own.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use snapshots::{Cache, ChannelName, Manifest, Pointer, SnapshotId, Store};
use test_servers::processes;

/// Which of each thousand products the updates change: each fewer than half of those before, so that none is merged with
/// another in passing.
const UPDATES: [Range<usize>; 3] = [0..10, 10..14, 14..15];
/// What shoppers typed, in the folder of a shop.
const QUERIES_FILE: &str = "queries.tsv";
/// So many updates are staged at once, and their merge.
const STAGED: usize = 4;

/// How often a command is looked at that runs: what it holds only between two looks is missed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The most memory that a command was seen to hold: on its own, and with what it maps.
#[derive(Clone, Copy, Default)]
pub struct Peak {
    pub own_bytes: u64,
    pub resident_bytes: u64,
}

/// Builds and publishes a demo shop; gives its store.
pub fn shop(indexer: &Path, folder: &Path, products: u64) -> String {
    shop_and_peak(indexer, folder, products).0
}

/// The same, and what memory the build took.
pub fn shop_and_peak(indexer: &Path, folder: &Path, products: u64) -> (String, Peak) {
    write_rows(indexer, folder, products);
    let peak = build(indexer, folder, &folder.join("built"), &[]);
    (publish(indexer, folder, "store"), peak)
}

/// The same, whose shoppers typed so many queries, or as many as its titles give.
pub fn shop_with_queries(indexer: &Path, folder: &Path, products: u64, queries: usize) -> String {
    write_rows(indexer, folder, products);
    let file = folder.join(QUERIES_FILE);
    std::fs::write(&file, recorded(&rows_of(folder), queries)).expect("queries");
    build(indexer, folder, &folder.join("built"), &["--recorded-queries", &file.display().to_string()]);
    publish(indexer, folder, "store")
}

fn write_rows(indexer: &Path, folder: &Path, products: u64) {
    let out = folder.join("shop").display().to_string();
    run(indexer, &["demo-catalogue", "--products", &products.to_string(), "--seed", "1", "--out", &out]);
}

/// The rows of the shop in a folder, as JSON Lines.
pub fn rows_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("shop/products.jsonl")).expect("the products")
}

/// What shoppers typed in the shop in a folder: a query and its count on each line.
pub fn queries_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join(QUERIES_FILE)).expect("the queries")
}

/// Builds the rows of the shop in a folder; gives what memory that took.
pub fn build(indexer: &Path, folder: &Path, out: &Path, flags: &[&str]) -> Peak {
    let path = |name: &str| folder.join(name).display().to_string();
    let (catalogue, rejects, rows) = (path("shop/catalogue.toml"), path("rejects.jsonl"), path("shop/products.jsonl"));
    let out = out.display().to_string();
    let args: &[&str] = &["build", "--catalogue", &catalogue, "--rejects", &rejects, "--out", &out, &rows];
    run(indexer, &[args, flags].concat())
}

/// Brings what is live in a store to a cache folder.
pub fn install(store: &str, cache: &Path) -> Manifest {
    let store = Store::open(store, &[]).expect("a store");
    wait_for(async {
        let read = store.pointer(&ChannelName::live()).await.expect("a pointer").expect("an announcement");
        let manifest = store.get_manifest(&read.pointer.snapshot).await.expect("a manifest");
        let cache = Cache::open(cache).expect("a cache");
        snapshots::install(&store, &cache, &manifest).await.expect("the objects in the cache");
        manifest
    })
}

/// A demo shop that is updated.
pub struct UpdatedShop {
    indexer: PathBuf,
    folder: PathBuf,
    /// The place among each thousand products that the next update changes.
    next: usize,
    pub store: String,
}

impl UpdatedShop {
    /// Updates the shop of that store, in that folder, three times.
    pub fn update_thrice(indexer: &Path, folder: &Path, store: String) -> Self {
        let next = UPDATES.iter().map(|places| places.end).max().unwrap_or(0);
        let shop = Self { indexer: indexer.to_owned(), folder: folder.to_owned(), next, store };
        for places in UPDATES {
            shop.update(&places);
            publish(&shop.indexer, &shop.folder, "store");
        }
        shop
    }

    /// Publishes the same products as one segment; gives the store of that.
    pub fn publish_merged(&self) -> String {
        self.merge();
        publish(&self.indexer, &self.folder, "merged")
    }

    /// Makes snapshots that the store has not seen yet, and brings them there without announcing them: updates, each on top
    /// of the one before, and their merge, which is a new segment as a whole.
    pub fn stage(&mut self) -> Vec<SnapshotId> {
        for _ in 0..STAGED {
            self.update(&(self.next..self.next + 1));
            self.next += 1;
        }
        self.merge();
        bring(&self.folder.join("built"), &self.folder.join("store"))
    }

    /// Announces a snapshot of the store; gives the sequence.
    pub fn announce(&self, snapshot: SnapshotId) -> u64 {
        let live = ChannelName::live();
        wait_for(async {
            let store = Store::open(&self.store, &[]).expect("a store");
            let read = store.pointer(&live).await.expect("a pointer").expect("an announcement");
            let pointer = Pointer::after(Some(&read.pointer), snapshot);
            store.move_pointer(&live, Some(&read), &pointer).await.expect("an announcement");
            pointer.sequence
        })
    }

    /// Updates what was built last.
    fn update(&self, places: &Range<usize>) {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let (built, changes, rejects) = (path("built"), path("changes.jsonl"), path("rejects.jsonl"));
        std::fs::write(&changes, changed(&rows_of(&self.folder), places)).expect("rows");
        run(&self.indexer, &["update", "--out", &built, "--rejects", &rejects, &changes]);
    }

    fn merge(&self) {
        run(&self.indexer, &["merge", "--out", &self.folder.join("built").display().to_string()]);
    }
}

pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Those rows of each thousand, with other titles.
fn changed(rows: &str, places: &Range<usize>) -> String {
    let rows = rows.lines().enumerate().filter(|(number, _)| places.contains(&(number % 1_000)));
    let changed = rows.map(|(_, line)| {
        let mut row: Value = serde_json::from_str(line).expect("a row");
        row["title"] = format!("{} renewed", row["title"].as_str().unwrap_or_default()).into();
        format!("{row}\n")
    });
    changed.collect()
}

/// Queries as shoppers may have typed them: words of titles in their order, each query once, and how often it was typed.
fn recorded(rows: &str, most: usize) -> String {
    let mut queries = BTreeSet::new();
    for line in rows.lines() {
        let row: Value = serde_json::from_str(line).expect("a row");
        queries.extend(word_sets(row["title"].as_str().unwrap_or_default()));
        if queries.len() >= most {
            break;
        }
    }
    let lines = queries.iter().take(most).enumerate();
    lines.map(|(number, query)| format!("{query}\t{}\n", 1 + number % 1_000)).collect()
}

/// Every two, three and four words of a title's first ones.
fn word_sets(title: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in title.split_whitespace().map(|word| word.trim_end_matches(',').to_lowercase()) {
        let is_plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_plain && !words.contains(&word) {
            words.push(word);
        }
    }
    words.truncate(10);
    let sets = (0_u32..1 << words.len()).filter(|set| (2..=4).contains(&set.count_ones()));
    let words_of = |set: u32| {
        let some = words.iter().enumerate().filter(|(place, _)| (set >> *place) & 1 == 1);
        some.map(|(_, word)| word.as_str()).collect::<Vec<_>>().join(" ")
    };
    sets.map(words_of).collect()
}

/// Copies what a store in a folder lacks of what was built; gives the snapshots that are new there, by age.
fn bring(built: &Path, store: &Path) -> Vec<SnapshotId> {
    let mut new: Vec<SnapshotId> = Vec::new();
    for kind in ["objects", "snapshots"] {
        for entry in std::fs::read_dir(built.join(kind)).expect("what was built") {
            let source = entry.expect("a file").path();
            let name = source.file_name().and_then(|name| name.to_str()).expect("a plain name");
            let target = store.join(kind).join(name);
            if !target.exists() {
                std::fs::copy(&source, &target).expect("room in the store");
                new.extend(name.strip_suffix(".json").and_then(|id| id.parse::<SnapshotId>().ok()));
            }
        }
    }
    new.sort_unstable();
    new
}

/// Publishes what was built last to a store of this name.
pub fn publish(indexer: &Path, folder: &Path, name: &str) -> String {
    let (built, store) = (folder.join("built").display().to_string(), folder.join(name));
    std::fs::create_dir_all(&store).expect("a store");
    let url = format!("file://{}", store.display());
    run(indexer, &["publish", "--store", &url, &built]);
    url
}

fn run(indexer: &Path, args: &[&str]) -> Peak {
    let mut command = Command::new(indexer);
    let command = command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the indexer runs");
    let process = child.id();
    let ending = std::thread::spawn(move || child.wait_with_output());
    let mut peak = Peak::default();
    while !ending.is_finished() {
        peak.own_bytes = peak.own_bytes.max(processes::own_bytes(process).unwrap_or(0));
        peak.resident_bytes = peak.resident_bytes.max(processes::peak_bytes(process).unwrap_or(0));
        std::thread::sleep(LOOK_EVERY);
    }
    let output = ending.join().expect("no panic").expect("what the indexer says");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    peak
}
