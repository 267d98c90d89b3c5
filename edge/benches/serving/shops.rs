//! Shops that benches make with the indexer's own commands, and publish to stores of their own.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use snapshots::{ChannelName, Pointer, Store};

/// Which of each thousand products the updates change: each fewer than half of those before, so that none is merged with
/// another in passing.
const UPDATES: [Range<usize>; 3] = [0..10, 10..14, 14..15];

/// Builds and publishes a demo shop; gives its store.
pub fn shop(indexer: &Path, folder: &Path, products: u64) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    run(indexer, &["demo-catalogue", "--products", &products.to_string(), "--seed", "1", "--out", &path("shop")]);
    let (catalogue, rejects) = (path("shop/catalogue.toml"), path("rejects.jsonl"));
    let (built, rows) = (path("built"), path("shop/products.jsonl"));
    run(indexer, &["build", "--catalogue", &catalogue, "--rejects", &rejects, "--out", &built, &rows]);
    publish(indexer, folder, "store")
}

/// A demo shop that was updated three times, and the same products as one segment.
pub struct UpdatedShop {
    pub store: String,
    pub merged_store: String,
}

impl UpdatedShop {
    pub fn make(indexer: &Path, folder: &Path, products: u64) -> Self {
        let store = shop(indexer, folder, products);
        let path = |name: &str| folder.join(name).display().to_string();
        let (built, changes, rejects) = (path("built"), path("changes.jsonl"), path("rejects.jsonl"));
        let rows = std::fs::read_to_string(path("shop/products.jsonl")).expect("the products");
        for places in UPDATES {
            std::fs::write(&changes, changed(&rows, &places)).expect("rows");
            run(indexer, &["update", "--out", &built, "--rejects", &rejects, &changes]);
            publish(indexer, folder, "store");
        }
        run(indexer, &["merge", "--out", &built]);
        Self { store, merged_store: publish(indexer, folder, "merged") }
    }

    /// Announces the snapshot that was live before the one that is; gives the sequence. Done again and again, two snapshots
    /// take turns.
    pub fn swap(&self) -> u64 {
        let live = ChannelName::live();
        wait_for(async {
            let store = Store::open(&self.store, &[]).expect("a store");
            let read = store.pointer(&live).await.expect("a pointer").expect("an announcement");
            let before = read.pointer.previous.clone().expect("a snapshot before");
            let pointer = Pointer::after(Some(&read.pointer), before);
            store.move_pointer(&live, Some(&read), &pointer).await.expect("an announcement");
            pointer.sequence
        })
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

/// Publishes what was built last to a store of this name.
fn publish(indexer: &Path, folder: &Path, name: &str) -> String {
    let (built, store) = (folder.join("built").display().to_string(), folder.join(name));
    std::fs::create_dir_all(&store).expect("a store");
    let url = format!("file://{}", store.display());
    run(indexer, &["publish", "--store", &url, &built]);
    url
}

fn run(indexer: &Path, args: &[&str]) {
    let output = Command::new(indexer).args(args).output().expect("the indexer runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
